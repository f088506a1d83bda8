"""Load tests of an endpoint, as release evidence."""

from collections.abc import Mapping

from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest, Json
from signoff.release.history import History
from signoff.release.model import Signed
from signoff.release.people import People
from signoff.standard.deployment import LoadRules
from signoff.standard.model import UseCaseRules


def load_digest(load: LoadRules) -> Digest:
    """Digest of the load and its bounds: what a load test is bound to beside the model."""
    return Digest.of_json(load.to_json())


def load_test_of(
    history: History, model: Digest, load: LoadRules, *, people: People, authors: frozenset[str]
) -> Signed | None:
    """The newest load test of these bytes at this load that counts; None without one.

    It counts when a person who may promote and is no author signed it, and when the endpoint was one that the load
    test itself started from the verified bytes: an endpoint at an address can answer whatever it likes. Whether it
    passed says its ``passed``: a later failed test outdoes an earlier good one.

    Args:
        history: the use case's statements.
        model: digest of the version's files.
        load: the load and bounds of the standard now.
        people: the roster and roles.
        authors: of the version.
    """
    wanted = load_digest(load)
    found = [
        signed
        for signed in history.of("load-test")
        if any(people.may(signer, "promote") and signer not in authors for signer in signed.signers)
        and signed.statement.predicate.get("url") is False
        and signed.statement.subject("model") == model
        and signed.statement.subject("load") == wanted
    ]
    return found[-1] if found else None


def load_test_passed(test: Signed) -> bool:
    """Whether every bound was kept."""
    return test.statement.predicate.get("passed") is True


def load_test_statement(
    rules: UseCaseRules,
    load: LoadRules,
    *,
    version: int,
    model: Digest,
    passed: bool,
    figures: Mapping[str, Json],
    messages: tuple[str, ...],
    host: str | None,
    actor: str,
    at: str,
) -> Statement:
    """What an endpoint of this version bore.

    Args:
        rules: the use case's rules.
        load: the load and its bounds.
        version: the version's number.
        model: digest of its files, as they were loaded.
        passed: whether every bound was kept.
        figures: what was measured, with the machine it was measured on.
        messages: the arithmetic, one line for each bound.
        host: host and port of an endpoint that ran already; None: the test started its own.
        actor: who measured.
        at: ISO time, UTC.
    """
    return Statement(
        kind="load-test",
        subjects=(Subject(name="model", digest=model), Subject(name="load", digest=load_digest(load))),
        predicate={
            "use_case": rules.name,
            "version": version,
            "load": load.to_json(),
            "passed": passed,
            "figures": dict(figures),
            "messages": list(messages),
            "url": host is not None,
            "host": host or "",
            "actor": actor,
            "at": at,
        },
    )
