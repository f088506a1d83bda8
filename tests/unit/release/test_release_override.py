"""When a break-glass counts: who signed it, which rule, for how long, and who ended it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_samples import ANA, BEN, CLEO, DORA, PEOPLE, RULES, Key

from signoff.evidence.dsse import sign_statement
from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement
from signoff.record.days import at_second, second_number
from signoff.record.digest import Digest
from signoff.release.history import History, read_history
from signoff.release.override import (
    MAX_MINUTES,
    break_glasses,
    decide_override,
    end_statement,
    made_under,
    override_statement,
    overrides_in_force,
)

AT = "2026-11-22T10:00:00Z"
HEAD = LogHead(size=3, root=Digest.of(b"log"))
WHY = "the night job needs it"
MAY = replace(PEOPLE, roles={**PEOPLE.roles, "platform-owner": frozenset({"override"})})


def lifted(minutes: int = 60, rule: str = "alias", at: str = AT) -> Statement:
    return override_statement(
        RULES,
        rule,  # type: ignore[arg-type]  # a rule that does not exist is tried too
        actor=CLEO.email,
        minutes=minutes,
        reason=WHY,
        log=HEAD,
        at=at,
    )


def history(*said: tuple[Statement, Key | None]) -> History:
    envelopes = [sign_statement(one) if key is None else sign_statement(one, key) for one, key in said]
    return read_history("churn", envelopes, PEOPLE.roster)


def test_it_is_in_force_from_its_time_to_its_end() -> None:
    told = history((lifted(), CLEO))
    times = ("2026-11-22T09:59:59Z", AT, "2026-11-22T10:59:59Z", "2026-11-22T11:00:00Z")
    assert [len(overrides_in_force(told, MAY, now)) for now in times] == [0, 1, 1, 0]
    (override,) = overrides_in_force(told, MAY, AT)
    assert (override.rule, override.by, override.reason) == ("alias", CLEO.email, WHY)
    assert len(made_under(told, MAY, AT)) == 1


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        pytest.param(lifted(), None, id="nobody signed it"),
        pytest.param(lifted(), BEN, id="the role may not"),
        pytest.param(lifted(MAX_MINUTES + 1), CLEO, id="it is too long"),
        pytest.param(lifted(0), CLEO, id="it has no time"),
        pytest.param(lifted(rule="everything"), CLEO, id="there is no such rule"),
        pytest.param(
            replace(lifted(), predicate={**lifted().predicate, "until": "2026-11-23"}), CLEO, id="no time"
        ),
        pytest.param(replace(lifted(), predicate={**lifted().predicate, "reason": ""}), CLEO, id="no reason"),
    ],
)
def test_it_does_not_count(statement: Statement, key: Key | None) -> None:
    assert break_glasses(history((statement, key)), MAY) == ()


def test_an_end_counts_when_its_signer_may() -> None:
    start = (lifted(), CLEO)
    first = history(start).statements[0]
    end = end_statement(RULES, first, actor=DORA.email, reason="", log=HEAD, at="2026-11-22T10:20:00Z")
    (by_dora,) = break_glasses(history(start, (end, DORA)), MAY)
    assert (by_dora.end, by_dora.ended_by) == ("2026-11-22T10:20:00Z", DORA.email)
    assert overrides_in_force(history(start, (end, DORA)), MAY, "2026-11-22T10:20:00Z") == ()
    (by_ben,) = break_glasses(history(start, (end, BEN)), MAY)
    assert (by_ben.end, by_ben.ended_by) == ("2026-11-22T11:00:00Z", "")


def test_every_reason_to_refuse_is_told() -> None:
    said = decide_override(
        RULES, "everything", actor=ANA.email, minutes=MAX_MINUTES + 1, reason="hurry", people=MAY
    )
    codes = ["role", "override-rule", "override-time", "override-reason"]
    assert [reason.code for reason in said.reasons] == codes
    assert said.remarks == ()
    assert decide_override(RULES, "alias", actor=CLEO.email, minutes=1, reason=WHY, people=MAY).allowed


@given(st.integers(min_value=0, max_value=4_102_444_800))
def test_seconds_and_times_are_one_another_s_inverse(second: int) -> None:
    assert second_number(at_second(second)) == second


@pytest.mark.parametrize(
    "text", ["", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22T24:00:00Z", "2026-11-22T10:00:00+00:00"]
)
def test_another_text_is_no_time(text: str) -> None:
    assert second_number(text) is None
