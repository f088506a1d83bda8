"""What an arrival statement says where an environment on a server of its own holds a released version."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from release_changes import digest
from release_samples import ANA, CLEO, PEOPLE, PROD, STRANGER, Desk, Key, released_desk

from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.release.arrival import (
    Held,
    arrival_statement,
    copied_artifacts,
    copied_tags,
    facts_digest,
    held,
    held_release,
    released_number,
)
from signoff.standard.model import Requirement, UseCaseRules

AWAY = replace(PROD, server="http://prod.example")
RUN = RunRecord(
    run_id="1" * 32,
    run_name="week 12",
    experiment_id="1",
    experiment="churn",
    status="FINISHED",
    user="ana",
    started_at=1,
    ended_at=2,
    params={"depth": "3"},
    metrics={"roc_auc": 0.8, "loss": float("nan")},
    tags={
        "signoff.owner": "ana",
        "mlflow.runName": "week 12",
        "signoff.copy.run": "x",
        "mlflow.note.content": "?",
    },
    artifacts=(
        "evidence/errors.csv",
        "environment/requirements.txt",
        "model/MLmodel",
        "plots/roc.png",
        "notes.md",
    ),
    datasets=(),
    models=(),
)


def arrive(
    desk: Desk,
    *,
    there: int = 7,
    version: int = 1,
    model: str = "model 1",
    environment: str = "prod",
    keys: Sequence[Key] = (CLEO,),
) -> None:
    statement = arrival_statement(
        desk.rules,
        replace(AWAY, name=environment),
        version=version,
        run_id=f"run of {model}",
        model=digest(model),
        facts=digest("facts"),
        there=there,
        run_there=f"copy {there}",
        server="http://prod.example",
        actor=CLEO.email,
        log=desk.head,
        at=desk.at,
    )
    desk.say(f"arrival {there}", statement, *keys)


def found(desk: Desk) -> Held | tuple[str, ...]:
    """Where it is, or the codes of the reasons."""
    release = desk.history.release("prod")
    assert release is not None
    place = held_release(AWAY, release, history=desk.history, people=PEOPLE)
    return place if isinstance(place, Held) else tuple(reason.code for reason in place)


def test_without_a_server_of_its_own_a_version_is_where_statements_say() -> None:
    desk = released_desk()
    release = desk.history.release("prod")
    assert release is not None
    place = held_release(PROD, release, history=desk.history, people=PEOPLE)
    assert place == Held(version=1, run_id="run of model 1", facts=None, arrival=None)


def test_an_arrival_says_which_version_it_is_there() -> None:
    desk = released_desk()
    arrive(desk)
    place = found(desk)
    assert isinstance(place, Held)
    assert (place.version, place.run_id, place.facts) == (7, "copy 7", digest("facts"))


def test_the_newest_copy_counts() -> None:
    desk = released_desk()
    arrive(desk, there=7)
    arrive(desk, there=9)
    place = found(desk)
    assert isinstance(place, Held)
    assert place.version == 9


@pytest.mark.parametrize("keys", [(), (ANA,), (STRANGER,)], ids=["nobody", "an author", "a stranger"])
def test_who_may_not_promote_says_nothing_about_arrivals(keys: Sequence[Key]) -> None:
    desk = released_desk()
    arrive(desk, keys=keys)
    assert found(desk) == ("arrival-signature",)
    arrive(desk, there=8)
    arrive(desk, there=9, keys=keys)
    place = found(desk)
    assert isinstance(place, Held)
    assert place.version == 8


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"environment": "test"}, "not-arrived"),
        ({"version": 2}, "not-arrived"),
        ({"model": "model 2"}, "arrival-digest"),
    ],
)
def test_an_arrival_of_something_else_does_not_count(change: dict[str, str], code: str) -> None:
    desk = released_desk()
    assert found(desk) == ("not-arrived",)
    arrive(desk, **change)  # type: ignore[arg-type]
    assert found(desk) == (code,)


def test_the_same_files_of_another_run_are_another_version() -> None:
    desk = released_desk()
    arrive(desk)
    place = held(
        AWAY, history=desk.history, version=1, run_id="another", model=digest("model 1"), people=PEOPLE
    )
    assert isinstance(place, tuple)
    assert [reason.code for reason in place] == ["arrival-digest"]


def test_numbers_there_are_told_as_statements_tell_them() -> None:
    desk = released_desk()
    arrive(desk, there=7)
    assert [released_number(AWAY, n, history=desk.history) for n in (7, 3, None)] == [1, 3, None]
    assert released_number(PROD, 7, history=desk.history) == 7


def test_an_arrival_revokes_and_releases_nothing() -> None:
    desk = released_desk()
    before = desk.history.release("prod")
    arrive(desk)
    after = desk.history.release("prod")
    assert before is not None
    assert after is not None
    assert (after.version, after.number) == (before.version, before.number)


def test_evidence_and_what_the_standard_asks_for_goes_along() -> None:
    plot = Requirement(
        kind="artifact",
        name="roc",
        accepts=("plots/roc.*",),
        why="",
        how="",
        by="you",
        severity="block",
        origin="test",
    )
    rules: UseCaseRules = replace(Desk().rules, requirements=(plot,))
    assert copied_artifacts(rules, RUN) == (
        "evidence/errors.csv",
        "environment/requirements.txt",
        "plots/roc.png",
    )
    older = LoggedModelRecord(
        model_id=None, name="plots", uri="", flavors=(), inputs=None, has_input_example=False
    )
    assert "plots/roc.png" not in copied_artifacts(rules, replace(RUN, models=(older,)))
    climbing = replace(RUN, artifacts=("evidence/../../etc/passwd", "/evidence/x"))
    assert copied_artifacts(rules, climbing) == ()


def test_tags_of_the_other_server_stay_there() -> None:
    assert copied_tags(RUN) == {"signoff.owner": "ana"}


CHANGES = [
    replace(RUN, params={"depth": "4"}),
    replace(RUN, params={"depth": "3", "more": "1"}),
    replace(RUN, metrics={"roc_auc": 0.81, "loss": float("nan")}),
    replace(RUN, metrics={"roc_auc": 0.8, "loss": 0.0}),
    replace(RUN, tags={"signoff.owner": "ben"}),
    replace(RUN, run_name="week 13"),
]


@pytest.mark.parametrize("changed", CHANGES)
def test_each_fact_is_in_the_digest(changed: RunRecord) -> None:
    files = {"evidence/errors.csv": digest("errors")}
    assert facts_digest(changed, files) != facts_digest(RUN, files)
    assert facts_digest(RUN, {"evidence/errors.csv": digest("others")}) != facts_digest(RUN, files)


def test_a_copy_has_the_digest_of_its_source() -> None:
    copy = replace(
        RUN,
        run_id="2" * 32,
        experiment_id="9",
        tags={"signoff.owner": "ana", "signoff.copy.state": "begun", "mlflow.runName": "week 12"},
    )
    assert facts_digest(copy, {}) == facts_digest(RUN, {})
