"""A stored gate decision, read back strictly: an unknown, missing or ill-typed field is an error."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from signoff.errors import EvidenceError
from signoff.gate.model import CheckResult, GateContext, GateDecision, ModelRef, Verdict
from signoff.record.digest import Digest, Json
from signoff.standard.model import Severity

_Choice = TypeVar("_Choice", bound=str)

_CASES: tuple[Literal["first-release", "against-baseline"], ...] = ("first-release", "against-baseline")
_VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")
_SEVERITIES: tuple[Severity, ...] = ("block", "warn")
_DECISION = (
    "use_case", "candidate", "baseline", "rules", "standard", "look", "data", "case", "verdict", "alpha",
    "error_note", "checks",
)  # fmt: skip
_CHECK = (
    "id", "title", "status", "severity", "message", "candidate", "baseline", "difference", "lower", "upper",
    "wanted", "rows", "method",
)  # fmt: skip


def decision_from_json(predicate: Mapping[str, Json]) -> GateDecision:
    """The decision that `GateDecision.to_json` wrote.

    It is not yet trusted: ask `signoff.gate.verdict.contradictions` whether it agrees with itself.

    Raises:
        EvidenceError: the predicate has another form; says which field.
    """
    fields = _Fields(predicate, "decision", _DECISION)
    standard = _Fields(fields.of("standard"), "standard", ("version", "digest"))
    data = _Fields(fields.of("data"), "data", ("digest", "rows"))
    alpha = fields.number("alpha")
    if not 0.0 < alpha < 0.5:
        raise EvidenceError(f"alpha {alpha:g} is no error rate", where="decision.alpha")
    checks = fields.of("checks")
    if not isinstance(checks, Sequence) or isinstance(checks, str) or not checks:
        raise EvidenceError("a decision has at least one check", where="decision.checks")
    baseline = fields.of("baseline")
    return GateDecision(
        context=GateContext(
            use_case=fields.text("use_case"),
            candidate=_model(fields.of("candidate"), "candidate"),
            baseline=None if baseline is None else _model(baseline, "baseline"),
            rules=fields.digest("rules"),
            standard_version=standard.text("version"),
            standard=standard.digest("digest"),
            look=fields.count("look", least=1),
        ),
        data=data.digest("digest"),
        rows=data.count("rows", least=1),
        case=_one_of(_CASES, fields.text("case"), "decision.case"),
        verdict=_one_of(_VERDICTS, fields.text("verdict"), "decision.verdict"),
        checks=tuple(_check(check, f"checks[{index}]") for index, check in enumerate(checks)),
        alpha=alpha,
        error_note=fields.text("error_note"),
    )


def _check(value: Json, where: str) -> CheckResult:
    fields = _Fields(value, where, _CHECK)
    return CheckResult(
        id=fields.text("id"),
        title=fields.text("title"),
        status=_one_of(_VERDICTS, fields.text("status"), f"{where}.status"),
        severity=_one_of(_SEVERITIES, fields.text("severity"), f"{where}.severity"),
        message=fields.text("message"),
        candidate=fields.optional_number("candidate"),
        baseline=fields.optional_number("baseline"),
        difference=fields.optional_number("difference"),
        lower=fields.optional_number("lower"),
        upper=fields.optional_number("upper"),
        wanted=fields.optional_number("wanted"),
        rows=None if fields.of("rows") is None else fields.count("rows", least=0),
        method=fields.text("method"),
    )


def _model(value: Json, where: str) -> ModelRef:
    fields = _Fields(value, where, ("digest", "name", "run_id"))
    run_id = None if fields.of("run_id") is None else fields.text("run_id")
    return ModelRef(digest=fields.digest("digest"), name=fields.text("name"), run_id=run_id)


def _one_of(known: Sequence[_Choice], value: str, where: str) -> _Choice:
    for choice in known:
        if choice == value:
            return choice
    raise EvidenceError(f"{value!r} is none of {', '.join(known)}", where=where)


class _Fields:
    """An object with exactly the expected keys, and typed access to them."""

    def __init__(self, value: Json, where: str, keys: Sequence[str]) -> None:
        if not isinstance(value, Mapping):
            raise EvidenceError("an object is expected here", where=where)
        if set(value) != set(keys):
            odd = ", ".join(sorted(set(value) ^ set(keys)))
            raise EvidenceError(f"unknown or missing fields: {odd}", where=where)
        self._value = value
        self._where = where

    def of(self, key: str) -> Json:
        """Whatever the field holds."""
        return self._value[key]

    def text(self, key: str) -> str:
        """A string."""
        value = self._value[key]
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def digest(self, key: str) -> Digest:
        """A digest."""
        return Digest.parse(self.text(key))

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._value[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, "a finite number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A finite number or null."""
        return None if self._value[key] is None else self.number(key)

    def count(self, key: str, *, least: int) -> int:
        """A whole number; canonical JSON writes 3.0 as 3."""
        value = self.number(key)
        if value != int(value) or value < least:
            raise self._wrong(key, f"a whole number from {least}")
        return int(value)

    def _wrong(self, key: str, expected: str) -> EvidenceError:
        return EvidenceError(f"{expected} is expected here", where=f"{self._where}.{key}")
