"""Two runs that differ in one thing, and what the comparison says of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_samples import FAILED, PASSED, gate_decision

from signoff.gate.model import GateDecision
from signoff.record.code import FileChange
from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Digest, Json
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.review.diff import Difference, Row, Side, compare
from signoff.review.diff_render import WIDTH, cut, diff_markdown, diff_text


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def as_json(found: Difference) -> Any:
    return json.loads(json.dumps(found.to_json()))


DATA = DatasetRecord(
    name="weeks", digest="sha256:1", source="data/a", source_type="local", context="training", version="1"
)
COLUMNS = (ColumnRecord(name="age", type="long"), ColumnRecord(name="spend", type="double"))
MODEL = LoggedModelRecord(
    model_id="m-1",
    name="model",
    uri="mlruns/m-1",
    flavors=("sklearn", "python_function"),
    inputs=SchemaRecord(columns=COLUMNS),
    has_input_example=True,
)
RUN = RunRecord(
    run_id="0" * 32,
    run_name="churn-1",
    experiment_id="1",
    experiment="churn",
    status="FINISHED",
    user="ana",
    started_at=0,
    ended_at=1,
    params={"C": "1.0", "seed": "0"},
    metrics={"roc_auc": 0.75},
    tags={"signoff.git.commit": "a" * 40, "signoff.git.dirty": "false", "signoff.python": "3.11.7"},
    artifacts=(),
    datasets=(DATA,),
    models=(MODEL,),
)
SIDE = Side(
    label="churn/1",
    run=RUN,
    packages="mlflow==3.17.2\nnumpy==2.1.0\n",
    model=MODEL,
    digest=digest("model 1"),
    said_by="",
    decisions=(gate_decision("model 1"),),
)


def difference(a: Side, b: Side, files: tuple[FileChange, ...] | None = None) -> Difference:
    return compare(a, b, files=files, notes={})


def rows(a: Side, b: Side) -> dict[str, list[Row]]:
    return {part.name: list(part.rows) for part in difference(a, b).parts if part.rows}


def with_run(side: Side = SIDE, **values: object) -> Side:
    return replace(side, run=replace(RUN, **values))  # type: ignore[arg-type]


def with_inputs(*columns: ColumnRecord) -> Side:
    return replace(SIDE, model=replace(MODEL, inputs=SchemaRecord(columns=columns)))


def with_tags(**tags: str) -> Side:
    return with_run(tags={**RUN.tags, **{f"signoff.{name.replace('_', '.')}": v for name, v in tags.items()}})


@pytest.mark.parametrize(
    ("b", "part", "wanted"),
    [
        (with_run(params={"C": "2.0", "seed": "0"}), "parameters", [("C", "1.0", "2.0")]),
        (
            with_run(params={"C": "1.0", "depth": "3"}),
            "parameters",
            [("seed", "0", None), ("depth", None, "3")],
        ),
        (with_run(metrics={"roc_auc": 0.5}), "metrics", [("roc_auc", 0.75, 0.5)]),
        (with_run(metrics={"roc_auc": float("nan")}), "metrics", [("roc_auc", 0.75, "nan")]),
        (
            with_run(datasets=(replace(DATA, digest="sha256:2", version="2"),)),
            "data sets",
            [
                ("training weeks: digest", "sha256:1", "sha256:2"),
                ("training weeks: version", "1", "2"),
            ],
        ),
        (
            with_run(datasets=(DATA, replace(DATA, source="data/b", version=None))),
            "data sets",
            [("training weeks #2: source", None, "data/b"), ("training weeks #2: digest", None, "sha256:1")],
        ),
        (with_tags(git_commit="b" * 40), "code", [("commit", "a" * 40, "b" * 40)]),
        (with_tags(git_dirty="true"), "code", [("uncommitted changes", "false", "true")]),
        (with_tags(python="3.12.1"), "environment", [("python", "3.11.7", "3.12.1")]),
        (with_tags(platform_os="Debian"), "environment", [("os", None, "Debian")]),
        (
            replace(SIDE, packages="MLflow==3.17.2\nnumpy==2.2.0\nscipy==1.15\n"),
            "environment",
            [("package numpy", "2.1.0", "2.2.0"), ("package scipy", None, "1.15")],
        ),
        (
            replace(SIDE, digest=digest("model 2")),
            "model",
            [("files", str(digest("model 1")), str(digest("model 2")))],
        ),
        (
            replace(SIDE, model=replace(MODEL, flavors=("sklearn",))),
            "model",
            [("flavors", "sklearn, python_function", "sklearn")],
        ),
        (
            with_inputs(replace(COLUMNS[0], type="double"), COLUMNS[1]),
            "model",
            [("input column age", "long", "double")],
        ),
        (
            with_inputs(COLUMNS[0], replace(COLUMNS[1], required=False)),
            "model",
            [("input column spend", "double", "double, optional")],
        ),
        (
            with_inputs(COLUMNS[0], ColumnRecord(name="visits", type="long")),
            "model",
            [("input column spend", "double", None), ("input column visits", None, "long")],
        ),
        (
            with_inputs(*reversed(COLUMNS)),
            "model",
            [("order of input columns", "age, spend", "spend, age")],
        ),
    ],
)
def test_one_difference(b: Side, part: str, wanted: list[tuple[str, Json, Json]]) -> None:
    found = rows(SIDE, b)
    assert list(found) == [part]
    assert [(row.name, row.a, row.b) for row in found[part]] == wanted


def test_a_metric_says_by_how_much_it_changed() -> None:
    (row,) = rows(SIDE, with_run(metrics={"roc_auc": 0.8}))["metrics"]
    assert row.change == pytest.approx(0.05)
    assert "roc_auc  0.75  →  0.8  (+0.05)" in diff_text(difference(SIDE, with_run(metrics={"roc_auc": 0.8})))


def test_nan_equals_itself() -> None:
    side = with_run(metrics={"roc_auc": float("nan")})
    assert rows(side, side) == {}


VALUES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2", "3"]))


@settings(deadline=None)
@given(VALUES, VALUES)
def test_everything_is_told_or_counted_once(a: Mapping[str, str], b: Mapping[str, str]) -> None:
    part = difference(with_run(params=a), with_run(params=b)).parts[0]
    assert len(part.rows) + part.equal == len({*a, *b})
    assert {row.name for row in part.rows} == {name for name in {*a, *b} if a.get(name) != b.get(name)}
    back = difference(with_run(params=b), with_run(params=a)).parts[0]
    assert {(row.name, row.a, row.b) for row in part.rows} == {(r.name, r.b, r.a) for r in back.rows}


# the gate

SLICE = replace(FAILED, candidate=0.5)
MEASURED = replace(
    SLICE,
    id="measured:value_band=top:recall",
    title="measured(value_band=top, recall)",
    status="inconclusive",
    severity="warn",
    candidate=0.25,
)


def judged(*decisions: GateDecision) -> Side:
    return replace(SIDE, decisions=decisions)


def test_decisions_on_the_same_table_stand_side_by_side() -> None:
    better = replace(PASSED, candidate=0.91, message="0.9100")
    a, b = judged(gate_decision("1")), judged(gate_decision("1", checks=(better, SLICE)))
    verdict, threshold, quality = rows(a, b)["gate"]
    assert (verdict.name, verdict.a, verdict.b) == ("verdict", "pass", "fail")
    assert threshold.name == "threshold(roc_auc)"
    assert threshold.change == pytest.approx(0.1)
    assert (quality.name, quality.a) == ("quality(value_band=top, recall)", None)
    text = diff_text(difference(a, b))
    assert "  threshold(roc_auc)  (+0.1)\n    A  PASS  0.8100 [" in text
    assert "    B  PASS  0.9100\n" in text


def test_what_a_first_release_measured_stands_beside_the_later_comparison() -> None:
    a = judged(gate_decision("1", checks=(PASSED, MEASURED)))
    b = judged(gate_decision("1", baseline="0", checks=(PASSED, SLICE)))
    found = {row.name: row for row in rows(a, b)["gate"]}
    assert found["quality(value_band=top, recall)"].change == pytest.approx(0.25)
    assert found["compared with"].a == "none"
    assert any("released versions compared with are different" in n for n in difference(a, b).parts[-1].notes)


def test_decisions_on_different_tables_are_not_compared() -> None:
    other = replace(gate_decision("1", checks=(FAILED,)), data=digest("another table"))
    part = difference(judged(gate_decision("1")), judged(other)).parts[-1]
    assert part.rows == ()
    assert part.notes[0] == "judged on different tables, not compared"
    assert [note.split(" on ")[0] for note in part.notes[1:]] == ["churn/1: pass", "churn/1: fail"]


def test_the_newest_decisions_on_a_common_table_are_taken() -> None:
    elsewhere = replace(gate_decision("1"), data=digest("another table"))
    a = judged(gate_decision("1", checks=(FAILED,)), gate_decision("1"), elsewhere)
    assert "gate" not in rows(a, judged(gate_decision("1")))


def test_a_side_that_was_never_judged_is_named() -> None:
    part = difference(SIDE, replace(judged(), label="churn/2")).parts[-1]
    assert (part.rows, part.notes) == ((), ("the gate did not judge churn/2",))


# what cannot be compared is said


def notes(a: Side, b: Side) -> dict[str, tuple[str, ...]]:
    return {part.name: part.notes for part in difference(a, b).parts}


def test_what_is_missing_on_one_side_is_noted_and_not_shown_as_a_difference() -> None:
    bare = replace(SIDE, label="churn/2", packages=None, model=None, digest=None)
    assert rows(SIDE, bare) == {}
    said = notes(SIDE, bare)
    assert said["environment"] == ("churn/2 has no environment/requirements.txt",)
    assert said["model"] == (
        "the files of churn/2 are not known from here",
        "churn/2 has no model's record",
    )


def test_a_version_without_a_run_is_noted() -> None:
    said = notes(SIDE, replace(SIDE, label="churn/2", run=None, packages=None))
    assert said["parameters"] == ("churn/2 has no run",)
    assert "churn/2, registered without a run" in diff_text(
        difference(SIDE, replace(SIDE, label="churn/2", run=None))
    )


def test_a_digest_that_was_not_hashed_now_says_whose_word_it_is() -> None:
    said = notes(SIDE, replace(SIDE, label="churn/2", said_by="what the gate found"))
    assert said["model"] == ("the digest of churn/2 is not hashed, but what the gate found",)


def test_commits_that_git_does_not_have_and_uncommitted_changes_are_noted() -> None:
    said = notes(SIDE, with_tags(git_commit="b" * 40, git_dirty="true"))["code"]
    assert said[0].startswith("git here does not have both commits")
    assert said[1].startswith("uncommitted changes of churn/1 are in no commit")


# pages


def test_changed_files_are_listed_with_their_lines() -> None:
    files = (
        FileChange(path="train.py", added=12, deleted=3),
        FileChange(path="logo.png", added=None, deleted=None),
    )
    found = difference(SIDE, with_tags(git_commit="b" * 40), files)
    text, markdown = diff_text(found), diff_markdown(found)
    assert "between the commits: 2 files changed, 12 lines added, 3 deleted\n" in text
    assert "    train.py  +12 -3\n" in text
    assert "logo.png  not text" in text
    assert "- train.py  +12 -3\n" in markdown
    assert {"path": "train.py", "added": 12, "deleted": 3} in as_json(found)["files"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x" * 100 + "a", "x" * 100 + "b"),
        ("x" * 100, "x" * 100 + "b"),
        ("a" + "x" * 100, "b" + "x" * 100),
        ("", "b" * 100),
        ("x" * (WIDTH - 1) + "a", "x" * (WIDTH - 1) + "b"),
        ("x" * (WIDTH - 1) + "aa", "x" * (WIDTH - 1) + "bb"),
    ],
)
def test_a_cut_keeps_the_difference_in_sight(a: str, b: str) -> None:
    one, other = cut(a, b)
    assert one != other
    assert max(len(one), len(other)) <= WIDTH


@settings(deadline=None)
@given(st.text(max_size=120), st.text(max_size=120))
def test_values_that_differ_still_differ_when_they_are_cut(a: str, b: str) -> None:
    one, other = cut(a, b)
    assert (one == other) == (a == b) or "…" in a + b
    assert max(len(one), len(other)) <= WIDTH


def test_long_values_are_whole_in_json() -> None:
    long = "x" * 500
    found = difference(SIDE, with_run(params={"C": long, "seed": "0"}))
    assert long not in diff_text(found)
    assert as_json(found)["parts"][0]["rows"][0]["b"] == long


def test_a_parameter_cannot_forge_a_line_or_a_cell() -> None:
    found = difference(SIDE, with_run(params={"C\nB": "1\x1b[31m | `x`"}))
    text, markdown = diff_text(found), diff_markdown(found)
    assert "\x1b" not in text + markdown
    assert not [line for line in text.splitlines() if line == "B"]
    assert "\\| \\`x\\`" in markdown
