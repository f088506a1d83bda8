"""Rules `experiment` and `artifact-location`: one experiment per use case, its files where the server puts them."""

from collections.abc import Iterator

from signoff.conformance.boundary import UNKNOWN, check_name, use_case_of
from signoff.release.guard.flush import Deed, Flush, Said, experiment_id, owner_detail
from signoff.release.guard.model import Asker, Change, Objection
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason

_DEFAULT_ID = "0"
_WORKSPACES = "workspaces"
"""Folder below the artifact root that holds a folder for each of MLflow's workspaces."""


def judge(flush: Flush, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to names of experiments, new ones and changed ones."""
    for change in flush.rows("experiments"):
        name = change.after.get("name")
        if change.operation == "delete" or name is None or experiment_id(change) == _DEFAULT_ID:
            continue
        reasons = _reasons(name, facts)
        use_case = use_case_of(facts.standard, name) or ""
        subject = f"experiment {name}"
        yield from (
            Objection(rule="experiment", use_case=use_case, subject=subject, reason=reason)
            for reason in reasons
        )
        new = change.operation == "insert"
        yield Deed(
            rule="experiment",
            use_case=use_case,
            operation="create experiment" if new else "rename experiment",
            subject=subject,
            detail=owner_detail(asker) if new else {"from": change.before.get("name")},
        )


def judge_location(flush: Flush, _asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to an artifact location that is not MLflow's own choice.

    MLflow makes an experiment without one, and adds its own in a second step, when the id is known.
    """
    for change in flush.rows("experiments"):
        location = change.after.get("artifact_location")
        if change.operation == "delete" or not location or _is_default(change, location, facts):
            continue
        name = change.value("name") or facts.experiment_name(experiment_id(change)) or experiment_id(change)
        yield Objection(
            rule="artifact-location",
            use_case=use_case_of(facts.standard, name) or "",
            subject=f"experiment {name}",
            reason=Reason(
                code="location-chosen",
                message=f"artifacts would lie at {location[:200]}, where the server cannot keep what was approved from "
                "changing",
                fix="leave artifact_location out: the server chooses the place",
            ),
        )


def _is_default(change: Change, location: str, facts: GuardFacts) -> bool:
    identifier, root = experiment_id(change), facts.artifact_root.rstrip("/")
    if not identifier or not root:
        return False
    workspace = change.value("workspace")
    places = {f"{root}/{identifier}"}
    if workspace:
        places.add(f"{root}/{_WORKSPACES}/{workspace}/{identifier}")
    return location in places


def _reasons(name: str, facts: GuardFacts) -> tuple[Reason, ...]:
    standard = facts.standard
    if any(name in rules.experiments for rules in standard.use_cases.values()):
        return ()  # the team's own choice is not judged
    reasons = [
        Reason(code=finding.code, message=f"it {finding.message}", fix=finding.fix or _names(facts))
        for finding in check_name(standard, name, facts.users)
    ]
    if use_case_of(standard, name) is None:
        unknown = Reason(
            code=UNKNOWN,
            message="it belongs to no use case, so nothing in it could ever be released",
            fix=_names(facts),
        )
        reasons.insert(0, unknown)
    return tuple(reasons)


def _names(facts: GuardFacts) -> str:
    names = [pattern for rules in facts.standard.use_cases.values() for pattern in rules.experiments]
    return f"use one of: {', '.join(names[:10])}; or add it to a use case in {facts.standard.path}"
