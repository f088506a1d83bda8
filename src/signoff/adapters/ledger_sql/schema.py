"""The ledger's tables: whether they are there, and making them with Alembic."""

from pathlib import Path
from typing import TYPE_CHECKING

from signoff.adapters.ledger_sql.address import Address, SqliteAddress
from signoff.adapters.ledger_sql.connection import Session, open_postgres, open_sqlite, postgres_driver
from signoff.errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy

VERSION_TABLE = "signoff_alembic_version"
# The newest migration; a test holds it against the folder, so that opening a ledger need not import Alembic.
REVISION = "0002"
_SAME_LEDGER = frozenset({"0001", REVISION})
"""Revisions with the same statements and log: 0002 adds the mark of a guarded database and touches nothing else."""
MIGRATIONS = Path(__file__).parent / "migrations"

# Any number, the same in each process: serialises "create if missing" on PostgreSQL.
_MIGRATION_LOCK = 7_466_301


def has_ledger(session: Session) -> bool:
    """Whether the ledger's tables are there, in the form that this program knows.

    Raises:
        StoreError: they are there in another form.
    """
    if not has_table(session, VERSION_TABLE):
        return False
    found = [row[0] for row in session.rows(f"SELECT version_num FROM {VERSION_TABLE}")]  # noqa: S608 - constant
    if len(found) == 1 and found[0] in _SAME_LEDGER:
        return True
    raise StoreError(
        f"the ledger has revision {', '.join(map(str, found)) or 'none'}; this program works with {REVISION}",
        where=session.shown,
        hint="signoff admin migrate, or install the newer Signoff that wrote it",
    )


def has_table(session: Session, name: str) -> bool:
    """Whether there is a table of that name."""
    if session.dialect == "sqlite":
        return bool(session.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))
    return session.rows("SELECT to_regclass(?)", (name,)) != [(None,)]


def no_ledger(shown: str) -> StoreError:
    """The error for a database without ledger."""
    return StoreError("this store has no ledger yet", where=shown, hint="signoff admin migrate")


def migrate(address: Address) -> None:
    """Create the tables, or bring them to the newest revision; does nothing when they are there.

    Raises:
        StoreError: the database refuses, or has a revision that this program does not know.
    """
    import sqlalchemy
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = _engine(address)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise StoreError(f"the ledger's tables cannot be made: {reason}", where=address.shown) from None
    except CommandError as error:
        raise StoreError(
            f"the ledger cannot be migrated: {error}",
            where=address.shown,
            hint="a newer Signoff wrote it: install that",
        ) from None
    finally:
        engine.dispose()


def _engine(address: Address) -> "sqlalchemy.Engine":
    """An engine on our own connections, so that there is one reading of an address and of its errors."""
    import sqlalchemy

    if not isinstance(address, SqliteAddress):
        driver = postgres_driver(address).__name__
        return sqlalchemy.create_engine(
            f"postgresql+{driver}://", creator=lambda: open_postgres(address), poolclass=sqlalchemy.NullPool
        )
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: open_sqlite(address), poolclass=sqlalchemy.NullPool
    )

    # The driver would leave DDL outside of the transaction: a crash could keep half of the tables.
    @sqlalchemy.event.listens_for(engine, "begin")
    def _begin(connection: "sqlalchemy.Connection") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
