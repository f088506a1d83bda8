"""Rule `deletion`: what was ever released stays, with everything that it was made from."""

from collections.abc import Iterator, Sequence

from signoff.conformance.boundary import use_case_of
from signoff.record.digest import Json
from signoff.release.deleted import DELETE_MODEL, DELETE_VERSION
from signoff.release.guard.aliases import rename_reason
from signoff.release.guard.flush import (
    SHOWN,
    Deed,
    Flush,
    Said,
    deletes_version,
    experiment_id,
    first_few,
    goes,
    kept,
    model_name,
    returns,
    run_id_of,
    some,
    use_case_name,
    use_case_of_label,
    version_called,
    version_number,
)
from signoff.release.guard.model import Asker, Change, Objection, VersionFacts
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason


def judge(flush: Flush, _asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to everything that would go, come back or lose the name that statements call it by."""
    for name in sorted(flush.models_deleted):
        yield from _model(flush, name, facts)
    for old in sorted(flush.models_renamed):
        if any(version.released_in for version in facts.versions(old)):
            reason = rename_reason(old, facts)
            if reason is not None:
                yield _objection(use_case_name(facts.standard, old), f"registered model {old}", reason)
    for change in flush.rows("model_versions"):
        if deletes_version(change) and model_name(change) not in flush.models_deleted:
            yield from _version(flush, change, facts)
    for change in flush.rows("experiments"):
        yield from _experiment(flush, change, facts)
    yield from _runs(flush, facts)
    yield from _logged_models(flush, facts)


def _model(flush: Flush, name: str, facts: GuardFacts) -> Iterator[Said]:
    use_case = use_case_name(facts.standard, name)
    subject = f"registered model {name}"
    released = [version for version in facts.versions(name) if version.released_in]
    if released:
        yield _objection(
            use_case,
            subject,
            _stays(
                ", ".join(f"{name}/{version.number}" for version in released[:SHOWN]),
                "and would go with it",
                _places(released),
            ),
        )
        return
    versions: list[Json] = [
        kept({**change.key, **change.before})
        for change in flush.rows("model_versions", operation="delete")
        if model_name(change) == name
    ]
    yield _deed(
        use_case,
        DELETE_MODEL,
        subject,
        {
            "versions": versions[:SHOWN],
            "count": len(facts.versions(name)),
            "aliases": _aliases(flush, name, None),
        },
    )


def _version(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Said]:
    name, number = model_name(change), version_number(change)
    subject = f"{name}/{number}"
    version = None if number is None else facts.version(name, number)
    use_case = use_case_name(facts.standard, name)
    if number is None:
        yield _objection(
            use_case,
            subject,
            Reason(
                code="version-unreadable",
                message="the row does not say which version goes",
                fix="delete versions one by one",
            ),
        )
    elif version is not None and version.released_in:
        yield _objection(use_case, subject, _stays(subject, "", _places([version])))
    else:
        # MLflow blanks source, run and description of the row that it keeps: the log is where they are found.
        yield _deed(
            use_case,
            DELETE_VERSION,
            subject,
            {"row": kept({**change.key, **change.before}), "aliases": _aliases(flush, name, number)},
        )


def _experiment(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Said]:
    identifier = experiment_id(change)
    deleted, restored = identifier in flush.experiments_deleted, returns(change)
    renamed = change.operation == "update" and "name" in change.after
    if not (deleted or renamed or restored):
        return
    name = change.before.get("name") or facts.experiment_name(identifier) or identifier
    subject = f"experiment {name}"
    bound = facts.frozen_in(identifier)
    if bound and (deleted or renamed):
        yield _objection(
            use_case_of_label(facts.standard, bound[0]),
            subject,
            _experiment_reason(bound, renamed=not deleted, facts=facts),
        )
    elif deleted or restored:
        runs = [
            run_id_of(run)
            for run in flush.rows("runs")
            if run.value("experiment_id") in {identifier, None} and goes(run)
        ]
        yield _deed(
            use_case_of(facts.standard, name) or "",
            "restore experiment" if restored else "delete experiment",
            subject,
            {"experiment_id": identifier, "row": kept(change.before), "runs": some(runs)},
        )


def _experiment_reason(bound: Sequence[str], *, renamed: bool, facts: GuardFacts) -> Reason:
    labels = first_few(bound)
    released = any(
        (found := version_called(facts, label)) is not None and found.released_in for label in bound
    )
    if renamed:
        return Reason(
            code="experiment-bound",
            message=f"runs behind {labels} are in it, and its name says which use case they belong to",
            fix="start a new experiment; add its name to the use case's in the standard",
        )
    return Reason(
        code="experiment-bound",
        message=f"runs behind {labels} are in it, {'released' if released else 'proposed'} on signed evidence",
        fix="delete single runs that no version was proposed from",
    )


def _runs(flush: Flush, facts: GuardFacts) -> Iterator[Said]:
    """Runs that go or come back by themselves; those of a deleted experiment are named in its entry."""
    gone: dict[tuple[str, str], list[str]] = {}
    for change in flush.rows("runs"):
        run_id = run_id_of(change)
        deleted, restored = goes(change), returns(change)
        renamed = change.operation == "update" and "name" in change.after
        run = facts.run(run_id) if deleted or restored or renamed else None
        if run is None:
            continue
        use_case = use_case_of(facts.standard, run.experiment) or ""
        if run.released_as and (deleted or renamed):
            yield _objection(
                use_case,
                f"run {run_id}",
                Reason(
                    code="run-released",
                    message=f"{', '.join(run.released_as[:5])} was made from it and released",
                    fix="keep it: a later reader must be able to see what was released and why",
                ),
            )
        elif (deleted or restored) and not flush.experiments_deleted:
            operation = "restore run" if restored else "delete run"
            gone.setdefault((use_case, operation), []).append(run_id)
    for (use_case, operation), ids in gone.items():
        subject = f"run {ids[0]}" if len(ids) == 1 else f"{len(ids)} runs"
        yield _deed(use_case, operation, subject, {"runs": some(ids)})


def _logged_models(flush: Flush, facts: GuardFacts) -> Iterator[Said]:
    for change in flush.rows("logged_models"):
        if not goes(change) or experiment_id(change) in flush.experiments_removed:
            continue
        model_id = change.value("model_id") or ""
        run = facts.run_of_model(model_id)
        use_case = "" if run is None else use_case_of(facts.standard, run.experiment) or ""
        if run is not None and run.released_as:
            yield _objection(
                use_case,
                f"logged model {model_id}",
                Reason(
                    code="model-released",
                    message=f"it belongs to the run that {', '.join(run.released_as[:5])} was released from",
                    fix="keep it: its files are what was approved",
                ),
            )
        else:
            yield _deed(
                use_case, "delete logged model", f"logged model {model_id}", {"row": kept(change.before)}
            )


def _aliases(flush: Flush, name: str, number: int | None) -> list[Json]:
    return [
        change.value("alias")
        for change in flush.rows("registered_model_aliases", operation="delete")
        if model_name(change) == name and number in {None, version_number(change)}
    ]


def _places(versions: Sequence[VersionFacts]) -> str:
    return ", ".join(dict.fromkeys(place for version in versions for place in version.released_in))


def _stays(what: str, how: str, places: str) -> Reason:
    return Reason(
        code="released",
        message=f"{what} was released in {places}{f' {how}' if how else ''}; what was trusted once must be found later",
        fix="delete versions that were never released",
    )


def _objection(use_case: str, subject: str, reason: Reason) -> Objection:
    return Objection(rule="deletion", use_case=use_case, subject=subject, reason=reason)


def _deed(use_case: str, operation: str, subject: str, detail: dict[str, Json]) -> Deed:
    return Deed(rule="deletion", use_case=use_case, operation=operation, subject=subject, detail=detail)
