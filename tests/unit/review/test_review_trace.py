"""Each link of a trace with its verified twin and what breaks it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from release_changes import Change, about, deciding, digest, lacking, saying
from release_samples import (
    ANA,
    BEN,
    CLEO,
    FAILED,
    PASSED,
    PEOPLE,
    PROD,
    STRANGER,
    Desk,
    Key,
    candidate_of,
    gate_decision,
    needs,
    released_desk,
    two_versions,
    with_environment,
)

from signoff.record import capture
from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Digest, Json
from signoff.record.run import RunRecord
from signoff.review.model import Link, Trace
from signoff.review.trace import Found, OutputFacts, trace

PACKAGES = digest("packages")
RUN = RunRecord(
    run_id="run of model 1",
    run_name="week 12",
    experiment_id="1",
    experiment="churn",
    status="FINISHED",
    user="ana",
    started_at=0,
    ended_at=1,
    params={},
    metrics={},
    tags={
        capture.GIT_COMMIT: "c0ffee" * 6,
        capture.ENTRY_POINT: "train.py",
        capture.PYTHON: "3.11.7",
        capture.ENVIRONMENT_DIGEST: str(PACKAGES),
    },
    artifacts=(),
    datasets=(
        DatasetRecord(
            name="weeks", digest="sha256:abc", source="s3://x", source_type="s3", context="training"
        ),
    ),
    models=(),
)


def found(desk: Desk, name: str = "release") -> Found:
    """All that rests behind the release, as it should be."""
    return Found(
        target="churn@prod",
        environment="prod",
        release=desk.signed(name),
        alias=("churn@prod", 1, 1),
        output=OutputFacts(
            name="predictions version 4", release=commit_of(desk), data=digest("rows"), logged=digest("rows")
        ),
        record=candidate_of().version,
        model=digest("model 1"),
        run=RUN,
        data=digest("table"),
        commit=True,
        environment_file=PACKAGES,
        log=(),
        log_size=9,
    )


def commit_of(desk: Desk) -> dict[str, Json]:
    return {
        "release": str(desk.signed("release").id),
        "model_digest": str(digest("model 1")),
        "model_version": 1,
        "run_id": "run of model 1",
        "input": {"path": "week.parquet", "digest": "sha256:0123456789abcdef0123"},
    }


def traced(desk: Desk, facts: Found | None = None) -> Trace:
    return trace(facts or found(desk), history=desk.history, people=PEOPLE)


def link(shown: Trace, kind: str) -> Link:
    return next(one for one in shown.links if one.kind == kind)


def broken(shown: Trace) -> list[str]:
    return [one.kind for one in shown.broken]


def test_a_whole_trace_from_the_output_back_to_the_log() -> None:
    shown = traced(released_desk())
    assert [(one.kind, one.state) for one in shown.links] == [
        ("output", "verified"),
        ("alias", "verified"),
        ("release", "verified"),
        ("version", "verified"),
        ("model", "verified"),
        ("approval", "verified"),
        ("proposal", "verified"),
        ("gate", "verified"),
        ("data", "verified"),
        ("run", "recorded"),
        ("data", "recorded"),
        ("code", "recorded"),
        ("environment", "recorded"),
        ("log", "verified"),
    ]
    assert shown.broken == ()
    assert all((one.state == "verified") == (one.why == "") for one in shown.links)


def test_the_facts_below_the_links() -> None:
    desk = released_desk()
    shown = traced(desk)
    assert link(shown, "output").detail == ("input week.parquet sha256:0123456789ab",)
    assert link(shown, "release").detail == (f"{desk.signed('release').text('at')} by cleo@shop.example",)
    assert link(shown, "approval").detail == (
        f"{desk.signed('approval').text('at')} as reviewer",
        "read the errors",
    )
    assert link(shown, "proposal").name == "ana@shop.example"
    assert set(link(shown, "proposal").detail[1:]) == {"business_context: weekly", "notes: newer weeks"}
    assert link(shown, "gate").detail == (
        "pass: threshold(roc_auc): 0.8100 [0.7900, 0.8300]; wanted at least 0.7000",
    )
    assert link(shown, "code").name == "commit c0ffeec0ffee"
    assert link(shown, "code").detail == ("train.py",)


@pytest.mark.parametrize(
    ("changes", "kind", "state", "why"),
    [
        (
            {"output": OutputFacts(name="t", release=None, data=None, logged=None)},
            "output",
            "broken",
            "Signoff did not write it",
        ),
        ({"alias": ("churn@prod", 2, 1)}, "alias", "broken", "released is version 1"),
        ({"alias": ("churn@prod", None, 1)}, "alias", "broken", "moved by hand"),
        ({"alias": ("churn@prod", 1, None)}, "alias", "broken", "released is nothing"),
        ({"alias": ("churn@prod", None, None)}, "alias", "broken", "released is nothing"),
        ({"record": None}, "version", "broken", "no longer in the registry"),
        ({"record": candidate_of(run_id="other").version}, "version", "broken", "comes from run other"),
        ({"model": None}, "model", "broken", "its files are gone"),
        ({"model": digest("other")}, "model", "broken", "the files changed"),
        ({"data": None}, "data", "recorded", "not there any more"),
        ({"data": digest("newer")}, "data", "recorded", "finds a newer table"),
        ({"run": None}, "run", "broken", "no longer in the store"),
        ({"commit": None}, "code", "unknown", "no repository here"),
        ({"commit": False}, "code", "broken", "does not have this commit"),
        ({"environment_file": None}, "environment", "unknown", "was not attached"),
        ({"environment_file": digest("x")}, "environment", "broken", "has another digest"),
        ({"log": None}, "log", "unknown", "it was not checked"),
        ({"log": ("entry 3 is missing", "head")}, "log", "broken", "entry 3 is missing; head"),
    ],
)
def test_each_thing_found_otherwise_marks_its_own_link(
    changes: dict[str, object], kind: str, state: str, why: str
) -> None:
    desk = released_desk()
    facts = replace(found(desk), **changes)  # type: ignore[arg-type]
    shown = traced(desk, facts)
    one = link(shown, kind)
    assert one.state == state
    assert why in one.why
    assert broken(shown) == ([kind] if state == "broken" else [])


@pytest.mark.parametrize("field", ["release", "model_digest", "model_version", "run_id"])
def test_a_commit_that_disagrees_with_the_ledger_is_broken(field: str) -> None:
    desk = released_desk()
    for said in (
        {**commit_of(desk), field: "other"},
        {k: v for k, v in commit_of(desk).items() if k != field},
    ):
        facts = replace(
            found(desk),
            output=OutputFacts(name="t", release=said, data=digest("rows"), logged=digest("rows")),
        )
        assert broken(traced(desk, facts)) == ["output"]


def test_an_output_whose_input_is_not_told_still_verifies() -> None:
    desk = released_desk()
    said = {**commit_of(desk), "input": None}
    assert link(
        traced(
            desk,
            replace(
                found(desk),
                output=OutputFacts(name="t", release=said, data=digest("rows"), logged=digest("rows")),
            ),
        ),
        "output",
    ) == Link(kind="output", name="t", state="verified")


@pytest.mark.parametrize(
    ("data", "logged", "state"),
    [
        (digest("rows"), digest("rows"), "verified"),
        (digest("rows"), None, "recorded"),
        (digest("other rows"), digest("rows"), "broken"),
        (None, digest("rows"), "broken"),
    ],
)
def test_rows_are_vouched_for_by_the_log_alone(
    data: Digest | None, logged: Digest | None, state: str
) -> None:
    desk = released_desk()
    output = OutputFacts(name="t", release=commit_of(desk), data=data, logged=logged)
    assert link(traced(desk, replace(found(desk), output=output)), "output").state == state


def test_what_was_not_asked_through_is_not_shown() -> None:
    desk = released_desk()
    shown = traced(desk, replace(found(desk), alias=None, output=None))
    assert shown.links[0].kind == "release"


def test_without_a_release_the_trace_ends_there() -> None:
    desk = released_desk()
    shown = traced(desk, replace(found(desk), release=None))
    assert [(one.kind, one.state) for one in shown.links] == [
        ("output", "broken"),
        ("alias", "verified"),
        ("release", "broken"),
    ]


@pytest.mark.parametrize(
    ("name", "change", "keys", "marked"),
    [
        ("release", None, (), ["release"]),
        ("release", None, (ANA,), ["release"]),
        ("approval", None, (), ["release", "approval"]),
        ("approval", None, (ANA,), ["release", "approval"]),
        ("approval", about("model", "other"), (BEN,), ["release", "approval"]),
        ("approval", saying(environment="test"), (BEN,), ["release", "approval"]),
        ("approval", saying(version=2), (BEN,), ["release", "approval"]),
        ("proposal", None, (), ["release", "proposal"]),
        ("proposal", None, (STRANGER,), ["release", "proposal"]),
        ("decision", deciding(verdict="fail"), (), ["release", "gate"]),
        ("decision", deciding(checks=[]), (), ["release", "gate"]),
        ("decision", lacking("decision"), (), ["release", "gate"]),
        ("decision", about("model", "other"), (), ["release", "gate"]),
    ],
)
def test_each_statement_behind_the_release_marks_its_link_and_the_release(
    name: str, change: Change | None, keys: Sequence[Key], marked: list[str]
) -> None:
    desk = released_desk().retold(name, change, keys=keys)
    facts = replace(found(desk), output=None)
    assert broken(traced(desk, facts)) == marked


@pytest.mark.parametrize(
    ("name", "kind"), [("approval", "approval"), ("proposal", "proposal"), ("decision", "gate")]
)
def test_a_deleted_statement_marks_its_link(name: str, kind: str) -> None:
    desk = released_desk().without(name)
    shown = traced(desk, replace(found(desk), output=None))
    assert broken(shown) == ["release", kind]


@pytest.mark.parametrize(("subject", "kind"), [("proposal", "proposal"), ("decision", "gate")])
def test_a_statement_of_another_kind_marks_its_link(subject: str, kind: str) -> None:
    desk = released_desk()
    desk = desk.retold("release", about(subject, desk.signed("approval").id))
    assert kind in broken(traced(desk, replace(found(desk), output=None)))


def test_a_release_that_was_left_since_is_shown_and_not_broken() -> None:
    desk = two_versions()
    desk.roll_back()
    facts = replace(
        found(desk, "release 2"),
        alias=None,
        output=None,
        record=candidate_of(2, "model 2").version,
        model=digest("model 2"),
    )
    shown = traced(desk, facts)
    assert shown.broken == ()
    assert "revoked later by a rollback" in link(shown, "release").detail


def test_a_release_to_which_somebody_went_back_who_may_not_is_broken() -> None:
    desk = two_versions()
    desk.roll_back()
    assert broken(traced(desk)) == []
    assert broken(traced(desk.retold("rollback", keys=(ANA,)))) == ["release"]


def test_self_approval_and_waivers_stand_at_the_release() -> None:
    desk = Desk(rules=with_environment(PROD))
    desk.gate(decision=gate_decision("model 1", checks=(PASSED, FAILED)))
    desk.propose()
    desk.approve()
    desk.waive(FAILED.id)
    desk.release()
    desk = desk.retold("release", saying(self_approved=[BEN.email]), keys=(CLEO,))
    detail = link(traced(desk), "release").detail
    assert f"waived: {FAILED.id}" in detail
    assert "self-approved by ben@shop.example" in detail


def test_a_release_that_asked_for_nobody_says_so() -> None:
    desk = Desk(rules=with_environment(needs()))
    desk.gate()
    desk.propose()
    desk.release()
    one = link(traced(desk), "approval")
    assert (one.name, one.state) == ("none was asked for", "recorded")


def test_a_release_without_the_approvals_it_asked_for_is_broken() -> None:
    desk = released_desk().retold("release", about(f"approval:{BEN.email}", None))
    assert broken(traced(desk, replace(found(desk), output=None))) == ["release", "approval"]


@pytest.mark.parametrize(
    ("tag", "value", "kind", "name", "state"),
    [
        (capture.GIT_COMMIT, None, "code", "?", "unknown"),
        (capture.GIT_DIRTY, "true", "code", "commit c0ffeec0ffee with uncommitted changes", "recorded"),
        (capture.GIT_DIRTY, "false", "code", "commit c0ffeec0ffee", "recorded"),
        (capture.ENVIRONMENT_DIGEST, None, "environment", "Python 3.11.7", "unknown"),
    ],
)
def test_what_the_run_does_not_say_is_unknown(
    tag: str, value: str | None, kind: str, name: str, state: str
) -> None:
    desk = released_desk()
    tags = {key: text for key, text in {**RUN.tags, tag: value}.items() if text is not None}
    one = link(traced(desk, replace(found(desk), run=replace(RUN, tags=tags))), kind)
    assert (one.name, one.state) == (name, state)
