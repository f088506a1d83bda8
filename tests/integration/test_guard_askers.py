"""Who asks a guarded server, and what the server reads of the ledger."""

import getpass
from pathlib import Path

from guarded_team import ANA, CLEO, MIA, make_server, scope_of
from team import Team

from signoff.adapters.key_files import load_key
from signoff.apps.server.actor import asking
from signoff.apps.server.guard import ServerGuard


def test_who_asks_is_whom_the_login_let_in_and_not_whom_the_client_names(released: Team) -> None:
    from flask import Flask, g

    guard = make_server(released)
    forged = {"Authorization": "Basic Y2xlbzp4", "X-User": "cleo"}  # cleo:x, compared with nothing
    assert guard.asker() is None
    with asking(scope_of(MIA)):
        assert asked(guard) == (MIA, None)
        with Flask(__name__).test_request_context(headers=forged):
            assert asked(guard) == (MIA, None)
            for login in ("cleo", CLEO):
                g.mlflow_authenticated_user = login
                assert asked(guard) == (login, CLEO)
            for login in ("Cleo", "CLEO", "cleo ", "ｃｌｅｏ", "Cleo@lab.example"):  # noqa: RUF001 - the attack
                g.mlflow_authenticated_user = login
                assert asked(guard) == (login, None)
            g.mlflow_authenticated_user = f"Mia <{CLEO}>"
            assert asked(guard) == (f"Mia <{CLEO}>", None)
    with Flask(__name__).test_request_context(headers=forged), asking(scope_of(None)):
        assert guard.asker() is None


def asked(guard: ServerGuard) -> tuple[str, str | None]:
    asker = guard.asker()
    assert asker is not None
    return asker.login, asker.person


def test_a_server_without_login_has_one_user_and_only_within_requests(released: Team) -> None:
    guard = make_server(released, single_user=True)
    assert guard.asker() is None
    with asking(scope_of(CLEO)):
        login, person = asked(guard)
        asker = guard.asker()
    assert login == getpass.getuser()
    assert person is None
    assert asker is not None
    assert asker.single_user


def test_a_second_signature_that_comes_later_is_read(approved: Team) -> None:
    """The view reads on: what the log names again is read again."""
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.apps.server.ledger_view import LedgerView
    from signoff.evidence.ledger import Entry

    ledger = SqlLedger(f"sqlite:///{approved.folder / 'mlflow.db'}")
    roster = make_server(approved).workspace().people().roster
    view = LedgerView()

    def read() -> tuple[tuple[str, ...], ...]:
        with ledger.connection() as raw:
            seen = view.read("tumours", roster, lambda size: ledger.grown_on(raw, since=size))
        assert seen.head == ledger.head()
        return tuple(s.signers for s in seen.history.of("proposal"))

    assert read() == ((ANA,),)
    (proposal,) = ledger.find(use_case="tumours", kind="proposal")
    key = load_key(Path(approved.key("ben")))
    entry = Entry(
        at="2026-11-23T10:00:00Z",
        actor="ben@lab.example",
        action="propose",
        outcome="allowed",
        use_case="tumours",
        subject="tumours/1",
        statement=str(proposal.id),
        reasons=(),
        detail={"signed_with": key.fingerprint},
    )
    with ledger.transaction() as writer:
        again = proposal.with_signature(key.sign(proposal.signed_bytes))
        writer.put(again, use_case="tumours", version="tumours/1", run_id=approved.good)
        writer.append(entry)
    assert read() == ((ANA, "ben@lab.example"),)
