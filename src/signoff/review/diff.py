"""Two runs or versions compared: parameters, metrics, data, code, environment, model and gate decisions."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from signoff.gate.model import CheckResult, GateDecision
from signoff.record import capture
from signoff.record.code import FileChange
from signoff.record.dataset import DatasetRecord
from signoff.record.digest import Digest, Json
from signoff.record.run import LoggedModelRecord, RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two, with everything that was looked up for it.

    Attributes:
        label: what was asked for, such as ``churn/3``, ``churn@prod (churn/3)`` or a run id.
        run: the run that it is or came from; None for a version that was registered from files.
        packages: the frozen package list, one ``name==version`` per line; None when none was attached.
        model: the one model it stands for; None when there is none, or several to choose from.
        digest: of the model's files; None when it is not known from here.
        said_by: whose word the digest is, such as ``what the gate found``; "" when it was hashed just now.
        decisions: the gate's decisions on the run, oldest first.
        components: of a bundle its components and their settings by name; empty for another model.
    """

    label: str
    run: RunRecord | None
    packages: str | None
    model: LoggedModelRecord | None
    digest: Digest | None
    said_by: str
    decisions: tuple[GateDecision, ...]
    components: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> Json:
        """What it is, without what it holds."""
        run = self.run
        return {
            "label": self.label,
            "run_id": None if run is None else run.run_id,
            "run_name": None if run is None else run.run_name,
            "experiment": None if run is None else run.experiment,
            "user": None if run is None else run.user,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One thing that differs.

    Attributes:
        name: what it is.
        a: its value in the first; None where the first does not have it.
        b: its value in the second.
        change: b minus a for numbers, and for the candidates' metrics in a check; None for anything else.
    """

    name: str
    a: Json
    b: Json
    change: float | None = None

    def to_json(self) -> Json:
        """All fields."""
        return {"name": self.name, "a": self.a, "b": self.b, "change": self.change}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One aspect.

    Attributes:
        name: parameters, metrics, data sets, code, environment, model, components or gate.
        rows: what differs.
        equal: how many things are the same in both.
        notes: what could not be compared, and why.
    """

    name: str
    rows: tuple[Row, ...]
    equal: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """All fields."""
        return {
            "name": self.name,
            "rows": [row.to_json() for row in self.rows],
            "equal": self.equal,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Everything in which two runs or versions differ.

    Attributes:
        a: the first.
        b: the second.
        parts: in reading order.
        files: files that differ between the two commits; None when git does not have both.
    """

    a: Side
    b: Side
    parts: tuple[Part, ...]
    files: tuple[FileChange, ...] | None

    def to_json(self) -> Json:
        """All fields; nothing is cut."""
        files: Json = None
        if self.files is not None:
            files = [{"path": f.path, "added": f.added, "deleted": f.deleted} for f in self.files]
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "parts": [part.to_json() for part in self.parts],
            "files": files,
        }


def commits(a: Side, b: Side) -> tuple[str, str] | None:
    """The commits of both, when they have one each and these differ."""
    old, new = _fact(a.run, capture.GIT_COMMIT), _fact(b.run, capture.GIT_COMMIT)
    return None if old is None or new is None or old == new else (old, new)


def compare(
    a: Side, b: Side, *, files: tuple[FileChange, ...] | None, notes: Mapping[str, Sequence[str]]
) -> Difference:
    """Compare two sides.

    Args:
        a: the first.
        b: the second.
        files: the files that differ between `commits`; None when git could not say.
        notes: per part what could not be looked up.
    """
    parts = (
        _values("parameters", _params(a.run), _params(b.run)),
        _values("metrics", _metrics(a.run), _metrics(b.run)),
        _values("data sets", _datasets(a.run), _datasets(b.run)),
        _code(a, b, files),
        _environment(a, b),
        _model(a, b),
        *_components(a, b),
        _gate(a, b),
    )
    runless = [f"{side.label} has no run" for side in (a, b) if side.run is None]
    return Difference(
        a=a,
        b=b,
        parts=tuple(_noted(part, runless, notes.get(part.name, ())) for part in parts),
        files=files,
    )


def _noted(part: Part, runless: Sequence[str], notes: Sequence[str]) -> Part:
    of_the_run = () if part.name in ("model", "components", "gate") else runless
    return Part(name=part.name, rows=part.rows, equal=part.equal, notes=(*of_the_run, *part.notes, *notes))


def _values(name: str, a: Mapping[str, Json], b: Mapping[str, Json], *, notes: Sequence[str] = ()) -> Part:
    """A part of named values; a name that one side lacks is a difference."""
    names = dict.fromkeys((*a, *b))
    rows = tuple(
        Row(name=key, a=a.get(key), b=b.get(key), change=_minus(b.get(key), a.get(key)))
        for key in names
        if a.get(key) != b.get(key)
    )
    return Part(name=name, rows=rows, equal=len(names) - len(rows), notes=tuple(notes))


def _minus(b: Json, a: Json) -> float | None:
    """The change of a number, or of the candidate's metric in a check."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return _minus(b.get("candidate"), a.get("candidate"))
    return b - a if isinstance(a, float) and isinstance(b, float) else None


def _fact(run: RunRecord | None, tag: str) -> str | None:
    return None if run is None else capture.fact(run, tag)


def _params(run: RunRecord | None) -> dict[str, Json]:
    return {} if run is None else {name: run.params[name] for name in sorted(run.params)}


def _metrics(run: RunRecord | None) -> dict[str, Json]:
    """By name; a value that is not finite as text, which equals itself and has a place in JSON."""
    if run is None:
        return {}
    return {
        name: float(value) if math.isfinite(value) else str(value)
        for name, value in sorted(run.metrics.items())
    }


def _datasets(run: RunRecord | None) -> dict[str, Json]:
    """Per data set and field its value; several of one name and context are told apart by a number."""
    found: dict[str, Json] = {}
    seen: dict[str, int] = {}
    for data in () if run is None else run.datasets:
        name = f"{data.context} {data.name}".strip()
        seen[name] = seen.get(name, 0) + 1
        called = name if seen[name] == 1 else f"{name} #{seen[name]}"
        found |= {f"{called}: {field}": value for field, value in _fields(data) if value not in (None, "")}
    return found


def _fields(data: DatasetRecord) -> tuple[tuple[str, Json], ...]:
    return (
        ("source", data.source),
        ("digest", data.digest),
        ("version", data.version),
        ("rows", data.rows),
    )


_CODE = {
    "commit": capture.GIT_COMMIT,
    "branch": capture.GIT_BRANCH,
    "uncommitted changes": capture.GIT_DIRTY,
    "entry point": capture.ENTRY_POINT,
    "pipeline": capture.PIPELINE,
}


def _code(a: Side, b: Side, files: tuple[FileChange, ...] | None) -> Part:
    notes = []
    if commits(a, b) is not None and files is None:
        notes.append("git here does not have both commits, so their files are not compared")
    dirty = [side.label for side in (a, b) if _fact(side.run, capture.GIT_DIRTY) == "true"]
    if dirty:
        notes.append(f"uncommitted changes of {' and '.join(dirty)} are in no commit and not compared")
    return _values("code", _facts(a.run, _CODE), _facts(b.run, _CODE), notes=notes)


def _facts(run: RunRecord | None, tags: Mapping[str, str]) -> dict[str, Json]:
    said = {name: _fact(run, tag) for name, tag in tags.items()}
    return {name: value for name, value in said.items() if value is not None}


def _environment(a: Side, b: Side) -> Part:
    lacking = [side.label for side in (a, b) if side.run is not None and side.packages is None]
    notes = [f"{label} has no {capture.ENVIRONMENT_ARTIFACT}" for label in lacking]
    comparable = a.packages is not None and b.packages is not None
    return _values(
        "environment",
        _machine(a.run) | (_packages(a.packages or "") if comparable else {}),
        _machine(b.run) | (_packages(b.packages or "") if comparable else {}),
        notes=notes,
    )


def _machine(run: RunRecord | None) -> dict[str, Json]:
    if run is None:
        return {}
    prefix = capture.PLATFORM_PREFIX
    platform = {tag.removeprefix(prefix): run.tags[tag] for tag in sorted(run.tags) if tag.startswith(prefix)}
    return {**_facts(run, {"python": capture.PYTHON}), **platform}


def _packages(text: str) -> dict[str, Json]:
    """``package NAME`` → version; lines of another form are kept whole."""
    found: dict[str, Json] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, version = line.partition("==")
        called = name.lower().replace("_", "-").replace(".", "-") if equals else line
        found[f"package {called}"] = version if equals else "listed"
    return dict(sorted(found.items()))


def _model(a: Side, b: Side) -> Part:
    notes = [f"the files of {side.label} are not known from here" for side in (a, b) if side.digest is None]
    notes += [f"{side.label} has no model's record" for side in (a, b) if side.model is None]
    notes += [
        f"the digest of {side.label} is not hashed, but {side.said_by}" for side in (a, b) if side.said_by
    ]
    both = a.model is not None and b.model is not None
    known = a.digest is not None and b.digest is not None
    ordered = _column_names(a.model) == _column_names(b.model)
    return _values(
        "model",
        {**_digest(a.digest if known else None), **_model_facts(a.model if both else None, ordered=ordered)},
        {**_digest(b.digest if known else None), **_model_facts(b.model if both else None, ordered=ordered)},
        notes=notes,
    )


def _components(a: Side, b: Side) -> tuple[Part, ...]:
    """None where neither is a bundle."""
    if not a.components and not b.components:
        return ()
    notes = [
        f"{side.label} is no bundle, or its files are not here" for side in (a, b) if not side.components
    ]
    return (_values("components", a.components, b.components, notes=notes),)


def _digest(digest: Digest | None) -> dict[str, Json]:
    return {} if digest is None else {"files": str(digest)}


def _column_names(model: LoggedModelRecord | None) -> frozenset[str]:
    return frozenset() if model is None or model.inputs is None else frozenset(model.inputs.names)


def _model_facts(model: LoggedModelRecord | None, *, ordered: bool) -> dict[str, Json]:
    """Flavors and input columns; the order of columns says something only when both have the same."""
    if model is None:
        return {}
    facts: dict[str, Json] = {"flavors": ", ".join(model.flavors)}
    if model.inputs is None:
        return facts | {"input schema": "none"}
    for column in model.inputs.columns:
        facts[f"input column {column.name}"] = column.type + ("" if column.required else ", optional")
    return facts | ({"order of input columns": ", ".join(model.inputs.names)} if ordered else {})


_QUALITY = ("margin", "slice", "measured")


def _gate(a: Side, b: Side) -> Part:
    if not a.decisions or not b.decisions:
        notes = [f"the gate did not judge {side.label}" for side in (a, b) if not side.decisions]
        return Part(name="gate", rows=(), equal=0, notes=tuple(notes))
    pair = _on_the_same_table(a.decisions, b.decisions)
    if pair is None:
        notes = [
            f"{side.label}: {side.decisions[-1].verdict} on table {_short(side.decisions[-1].data)}"
            for side in (a, b)
        ]
        return Part(name="gate", rows=(), equal=0, notes=("judged on different tables, not compared", *notes))
    old, new = pair
    part = _values("gate", dict(_decision(old)), dict(_decision(new)))
    notes = [f"both on table {_short(old.data)}, {old.rows:,} rows"]
    if _baseline(old) != _baseline(new):
        notes.append("the released versions compared with are different, and with them what a margin says")
    return Part(name="gate", rows=part.rows, equal=part.equal, notes=tuple(notes))


def _on_the_same_table(
    a: Sequence[GateDecision], b: Sequence[GateDecision]
) -> tuple[GateDecision, GateDecision] | None:
    """The newest decision of each on the newest table that both were judged on."""
    for old in reversed(a):
        for new in reversed(b):
            if old.data == new.data:
                return old, new
    return None


def _short(digest: Digest) -> str:
    return f"sha256:{digest.short}…"


def _baseline(decision: GateDecision) -> str:
    baseline = decision.context.baseline
    return "none" if baseline is None else f"{baseline.name} {baseline.digest}"


def _decision(decision: GateDecision) -> Iterator[tuple[str, Json]]:
    yield "verdict", decision.verdict
    yield "rules", str(decision.context.rules)
    yield "compared with", _baseline(decision)
    yield from _checks(decision.checks)


def _checks(checks: Iterable[CheckResult]) -> Iterator[tuple[str, Json]]:
    for check in checks:
        yield _check_name(check), check.to_json()


def _check_name(check: CheckResult) -> str:
    """Its title; what a first release only measures has the name of the comparison that it stands for."""
    kind, bracket, about = check.title.partition("(")
    return f"quality({about}" if bracket and kind in _QUALITY else check.title
