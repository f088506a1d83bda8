"""Rule `registration`: a version exists because its run is a serious candidate of its use case."""

import posixpath
import re
from collections.abc import Iterator

from signoff.conformance.boundary import use_case_of
from signoff.record.from_mlflow import model_id_of
from signoff.release.guard.evidence import OPEN_FOLDER
from signoff.release.guard.flush import (
    Caution,
    Deed,
    Flush,
    Said,
    deletes_version,
    is_prompt,
    model_name,
    owner_detail,
    rules_of_model,
    unknown_model,
    use_case_name,
    version_number,
)
from signoff.release.guard.model import NOT_ENDED, Asker, Change, Objection, RunFacts
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason
from signoff.standard.model import UseCaseRules

QUARANTINED = "quarantined"
"""Code of what is said of a version from a run that goes on, and the status that its tag shows."""
QUARANTINE = "quarantine"
"""Mode of an entry about what is kept though no use case has judged it."""
_VERSION_URI = re.compile(r"models:/+([^/@]+)/(\d+)\Z")
_DOTS = re.compile(r"(^|[/\\])\.\.?([/\\]|$)|%(2e|2f|5c|25)", re.IGNORECASE)
"""Parts of a path that climb, written out or escaped."""
_BYTES = ("source", "storage_location", "run_id")
"""Columns of a version that say which bytes it is and where they come from."""


def judge(flush: Flush, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to new registered models and versions, and to whatever would make one by another way."""
    for change in flush.rows("registered_models", operation="insert"):
        yield from _new_model(flush, model_name(change), asker, facts)
    for old, new in flush.models_renamed.items():
        yield from _new_name(flush, old, new, facts)
    for change in flush.rows("model_versions"):
        if change.operation == "insert":
            yield from _new_version(flush, change, asker, facts)
        elif not deletes_version(change):
            yield from _changed_version(flush, change, facts)


def _new_model(flush: Flush, name: str, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    rules = rules_of_model(facts.standard, name)
    subject = f"registered model {name}"
    if rules is not None and name in flush.prompts_created:
        yield _objection(
            rules.name,
            subject,
            Reason(
                code="name-taken",
                message=f"{name} is the registered model of use case {rules.name}, so no prompt can have the name",
                fix="give the prompt another name",
            ),
        )
        return
    prompt = is_prompt(flush, facts, name)
    if rules is None and not prompt:
        yield _unknown(subject, unknown_model(facts, name), facts)
    yield Deed(
        rule="registration",
        use_case="" if rules is None else rules.name,
        operation="create prompt" if prompt else "create registered model",
        subject=subject,
        detail=owner_detail(asker),
    )


def _unknown(subject: str, reason: Reason, facts: GuardFacts) -> Said:
    """A registered model of no use case. It is empty, and a job that makes it with its first version may still run."""
    said = _objection("", subject, reason)
    return said if facts.rules.from_running == "refuse" else Caution(objection=said, mode=QUARANTINE)


def _new_name(flush: Flush, old: str, new: str, facts: GuardFacts) -> Iterator[Said]:
    """A new name may not bring versions to a use case that were never registered there."""
    rules = rules_of_model(facts.standard, new)
    subject = f"registered model {new}"
    if rules is None:
        if not is_prompt(flush, facts, old):
            yield _objection(use_case_name(facts.standard, old), subject, unknown_model(facts, new))
    elif facts.versions(old) or facts.is_prompt(old):
        yield _objection(
            rules.name,
            subject,
            Reason(
                code="rename-into",
                message=f"versions of {old} would become versions of {rules.name} without having been registered there",
                fix=f"register what is needed from its runs: signoff propose RUN, with runs of {rules.name}",
            ),
        )


def _new_version(flush: Flush, change: Change, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    name, number = model_name(change), version_number(change)
    if is_prompt(flush, facts, name):
        yield from _new_prompt_version(change, name, number, asker)
        return
    rules, subject = rules_of_model(facts.standard, name), f"{name}/{number}"
    use_case = "" if rules is None else rules.name
    run_id, source = change.after.get("run_id"), change.after.get("source") or ""
    run = None if not run_id else facts.run(run_id)
    waits = run is not None and run.status in NOT_ENDED and facts.rules.from_running == "quarantine"
    if rules is None and not waits:
        yield _objection("", subject, unknown_model(facts, name))
        return
    if run is None:
        yield _objection(use_case, subject, _no_run(run_id))
        return
    model = _model_of(source, change.after.get("storage_location") or "", run, facts)
    if model is None:
        yield _objection(use_case, subject, _foreign_source(source, run))
        return
    if rules is None:
        yield Caution(objection=_objection("", subject, _quarantined(run)), mode=QUARANTINE)
        yield Caution(objection=_objection("", subject, unknown_model(facts, name)), mode=QUARANTINE)
    elif waits:
        yield Caution(objection=_objection(use_case, subject, _quarantined(run)), mode=QUARANTINE)
    elif run.status in NOT_ENDED:
        yield _objection(use_case, subject, _running(run))
        return
    elif reasons := _outside(rules, run, facts) or facts.registration(name, run.run_id, model):
        yield from (_objection(use_case, subject, reason) for reason in reasons)
        yield _objection(use_case, subject, _proposal(run))
    yield Deed(
        rule="registration",
        use_case=use_case,
        operation="create version",
        subject=subject,
        detail={**owner_detail(asker), "run_id": run.run_id, "source": source[:1000]},
    )


def _new_prompt_version(change: Change, name: str, number: int | None, asker: Asker) -> Iterator[Said]:
    """A prompt's version is its text: one with a run or an address of files would be a model in disguise."""
    source = change.after.get("source") or ""
    if change.after.get("run_id") or ":" in source or "/" in source:
        yield _objection(
            "",
            f"{name}/{number}",
            Reason(
                code="prompt-source",
                message="a version of a prompt holds a text, no run and no files",
                fix="register the prompt with mlflow.genai.register_prompt; register a model under its use case",
            ),
        )
        return
    yield Deed(
        rule="registration",
        use_case="",
        operation="create prompt version",
        subject=f"{name}/{number}",
        detail=owner_detail(asker),
    )


def _quarantined(run: RunFacts) -> Reason:
    """Refusing here would end a training of hours: MLflow does not catch it in `log_model`."""
    return Reason(
        code="quarantined",
        message=f"it was registered while run {run.run_id} was still running; it is kept in quarantine, and "
        "no alias may point at it until it is proposed",
        fix=f"when the run has ended: signoff propose {run.run_id}",
    )


def _running(run: RunFacts) -> Reason:
    return Reason(
        code="run-running",
        message=f"run {run.run_id} has not ended, so nothing can say whether it conforms",
        fix=f"end the run without registering, then: signoff propose {run.run_id}",
    )


def _outside(rules: UseCaseRules, run: RunFacts, facts: GuardFacts) -> tuple[Reason, ...]:
    if use_case_of(facts.standard, run.experiment) == rules.name:
        return ()
    return (
        Reason(
            code="run-elsewhere",
            message=f"run {run.run_id} is in experiment {run.experiment}, which does not belong to {rules.name}",
            fix=f"train it in an experiment of {rules.name}: {', '.join(rules.experiments)}",
        ),
    )


def _no_run(run_id: str | None) -> Reason:
    if not run_id:
        return Reason(
            code="run-missing",
            message="the version names no run, so nothing says where its files come from",
            fix="register from a run: signoff propose RUN",
        )
    return Reason(
        code="run-unknown", message=f"there is no run {run_id} on this server", fix="signoff propose RUN"
    )


def _proposal(run: RunFacts) -> Reason:
    return Reason(
        code="not-proposed",
        message="a proposal checks, registers and freezes the run in one step",
        fix=f"signoff propose {run.run_id}",
    )


def _foreign_source(source: str, run: RunFacts) -> Reason:
    return Reason(
        code="source-elsewhere",
        message=f"its source {source[:200] or '(none)'} is no model that run {run.run_id} logged",
        fix=f"signoff propose {run.run_id} registers the model that the run logged",
    )


def _model_of(source: str, location: str, run: RunFacts, facts: GuardFacts) -> str | None:
    """The run's model that a version is made of: its id, or where its files lie; None when it is not the run's.

    A version's source is the client's word: evidence of one run must not carry the files of another, nor files of the
    run that were never judged.

    Args:
        source: as the client wrote it.
        location: where MLflow found that its files are, when the source names another version.
        run: the run that the version names.
        facts: what else is known.
    """
    if (model_id := model_id_of(source)) is not None:
        return model_id if _logged_by(model_id, run, facts) else None
    if (named := _VERSION_URI.match(source)) is None:
        return _model_at(source, run, facts)
    version = facts.version(named[1], int(named[2]))
    if version is None or version.run_id != run.run_id:
        return None
    return _model_at(location, run, facts)


def _model_at(place: str, run: RunFacts, facts: GuardFacts) -> str | None:
    home = facts.artifacts(run.run_id)
    if not home or not place or _DOTS.search(place):
        return None
    home, place = home.rstrip("/"), place.rstrip("/")
    if _below(place, home):
        return None if place == home or _below(place, f"{home}/{OPEN_FOLDER}") else place
    models = posixpath.join(posixpath.dirname(posixpath.dirname(home)), "models")
    model_id, _, folder = place.removeprefix(f"{models}/").partition("/")
    if not _below(place, models) or folder != "artifacts" or not _logged_by(model_id, run, facts):
        return None
    return model_id


def _logged_by(model_id: str, run: RunFacts, facts: GuardFacts) -> bool:
    owner = facts.run_of_model(model_id)
    return owner is not None and owner.run_id == run.run_id


def _below(source: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return source == folder or source.startswith(f"{folder}/")


def _changed_version(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Said]:
    """No request of MLflow's changes which bytes a version is, or gives a version to another model."""
    moved = "name" in change.after and not flush.goes_with_model(change)
    columns = [column for column in _BYTES if column in change.after]
    if "version" in change.after or moved or columns:
        name = model_name(change)
        yield _objection(
            use_case_name(facts.standard, name),
            f"{name}/{version_number(change)}",
            Reason(
                code="version-fixed",
                message=f"what a version is cannot change ({', '.join(columns) or 'its name or number'})",
                fix="register a new version",
            ),
        )


def _objection(use_case: str, subject: str, reason: Reason) -> Objection:
    return Objection(rule="registration", use_case=use_case, subject=subject, reason=reason)
