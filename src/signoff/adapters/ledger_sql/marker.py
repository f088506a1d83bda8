"""The mark in a database that a Signoff server guards it: other processes then write there only what is warranted."""

from signoff.adapters.ledger_sql.address import parse_address
from signoff.adapters.ledger_sql.connection import write_session
from signoff.adapters.ledger_sql.ledger import GUARD_TABLE, SqlLedger


def mark_guarded(uri: str, *, since: str, by: str) -> None:
    """Mark MLflow's database as guarded, the ledger's tables made or brought up to date first.

    A database that is marked already keeps its first mark.

    Args:
        uri: the database's address, as MLflow writes it.
        since: ISO 8601 UTC.
        by: which program and where, for people.

    Raises:
        StoreError: MLflow's tables are not there yet, or the database refuses.
    """
    SqlLedger.create(uri)
    with write_session(parse_address(uri)) as session:
        session.rows(
            f'INSERT INTO {GUARD_TABLE} (id, since, "by") VALUES (1, ?, ?) ON CONFLICT DO NOTHING',  # noqa: S608 - constant
            (since, by),
        )
