"""Rule `alias`: an environment's alias is its release, so it moves only by the release decision."""

import unicodedata
from collections.abc import Iterator

from signoff.release.guard.flush import (
    DELETED_STAGE,
    Deed,
    Flush,
    Said,
    deletes_version,
    first_few,
    is_prompt,
    kept,
    model_name,
    rules_of_model,
    unknown_model,
    use_case_name,
    version_number,
)
from signoff.release.guard.model import Asker, Change, Objection
from signoff.release.guard.ports import GuardFacts
from signoff.release.model import Reason
from signoff.standard.model import EnvironmentRules, UseCaseRules

_STAGES = {"Production": ("prod", "production"), "Staging": ("test", "staging")}
"""Names or aliases of the environment that each of MLflow's old stages stands for."""


def judge(flush: Flush, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    """What is said to aliases, to stages, and to new names of registered models, which take aliases along."""
    for change in flush.rows("registered_model_aliases"):
        if change.operation == "delete":
            yield from _deleted(flush, change, facts)
        elif not flush.goes_with_model(change):
            yield from _set(flush, change, asker, facts)
    for change in flush.rows("model_versions"):
        if not deletes_version(change):
            yield from _stage(flush, change, facts)
    for old, new in flush.models_renamed.items():
        yield from _renamed(old, new, facts)


def _set(flush: Flush, change: Change, asker: Asker, facts: GuardFacts) -> Iterator[Said]:
    name, alias = model_name(change), change.value("alias") or ""
    subject = f"{name}@{alias}"
    rules = rules_of_model(facts.standard, name)
    number = facts.alias(name, alias) if "version" not in change.after else version_number(change)
    if number is None or {"name", "alias"} & change.before.keys():
        yield _objection(
            rules,
            subject,
            Reason(
                code="alias-unreadable",
                message="the row does not say which alias would point at which version",
                fix="set the alias by its name and a version's number",
            ),
        )
    elif is_prompt(flush, facts, name):
        yield from _prompt(change, name, alias, facts)
    elif rules is None:
        yield _objection(None, subject, unknown_model(facts, name))
    elif (environment := _environment(rules, alias)) is not None:
        answer = facts.alias_answer(name, environment.name, number, asker)
        if answer.reasons:
            yield from (_objection(rules, subject, reason) for reason in answer.reasons)
        elif answer.records:
            yield from answer.records
        else:
            yield _deed(rules.name, "set alias", subject, change, number)
    elif (reason := _not_for_others(rules, alias, number, facts)) is not None:
        yield _objection(rules, subject, reason)
    else:
        yield _deed(rules.name, "set alias", subject, change, number)


def _prompt(change: Change, name: str, alias: str, facts: GuardFacts) -> Iterator[Said]:
    """A prompt is released with the bundle that carries it, never by an alias of its own."""
    subject = f"{name}@{alias}"
    for rules in facts.standard.use_cases.values():
        if (environment := _environment(rules, alias)) is not None:
            yield _objection(
                None,
                subject,
                Reason(
                    code="prompt-environment",
                    message=f"@{alias} says what is released in {environment.name}, and a prompt is released "
                    "with the bundle that carries it",
                    fix=f"propose and promote the bundle: signoff promote {rules.registered_model}/VERSION "
                    f"--env {environment.name}; or give the prompt's alias another name",
                ),
            )
            return
    yield _deed("", "set alias", subject, change, version_number(change))


def _not_for_others(rules: UseCaseRules, alias: str, number: int, facts: GuardFacts) -> Reason | None:
    """Why an alias that is no environment's may not point at a version; None when it may."""
    read = unicodedata.normalize("NFKC", alias).casefold()
    for environment in rules.environments.values():
        if environment.alias.casefold() == read:
            return Reason(
                code="alias-lookalike",
                message=f"@{alias} could be taken for @{environment.alias}, the alias of {environment.name}",
                fix="choose another name",
            )
    if not alias.isascii():
        return Reason(
            code="alias-lookalike",
            message=f"@{alias} has letters beyond ASCII, some of which look like those of an environment's alias",
            fix="choose a name of the letters a-z, digits, - and _",
        )
    version = facts.version(rules.registered_model, number)
    if version is not None and (version.proposed or version.released_in):
        return None
    run = "RUN" if version is None or version.run_id is None else version.run_id
    return Reason(
        code="not-proposed",
        message=f"{rules.registered_model}/{number} was not proposed, so nobody knows whether it conforms and passed its gate",
        fix=f"signoff propose {run}",
    )


def _deleted(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Said]:
    name, alias = model_name(change), change.value("alias") or ""
    subject = f"{name}@{alias}"
    rules = rules_of_model(facts.standard, name)
    environment = None if rules is None else _environment(rules, alias)
    if rules is not None and environment is not None:
        released = facts.released(name, environment.name)
        if released is not None:
            yield _objection(
                rules,
                subject,
                Reason(
                    code="alias-released",
                    message=f"{rules.registered_model}/{released} is released in {environment.name}; without its alias "
                    "whoever loads it would find nothing",
                    fix=f'signoff rollback {rules.name} --env {environment.name} --reason "…"',
                ),
            )
            return
    if not (flush.goes_with_version(change) and facts.rules.level("deletion") != "off"):
        yield _deed(
            use_case_name(facts.standard, name), "delete alias", subject, change, version_number(change)
        )


def _stage(flush: Flush, change: Change, facts: GuardFacts) -> Iterator[Said]:
    """A stage is an old label: it follows the releases and makes none."""
    stage = change.after.get("current_stage")
    if stage is None or stage == DELETED_STAGE or (change.operation == "insert" and stage == "None"):
        return
    name, number = model_name(change), version_number(change)
    rules = rules_of_model(facts.standard, name)
    subject = f"{name}/{number}"
    if rules is None:
        if stage in _STAGES and not is_prompt(flush, facts, name):
            yield _objection(None, subject, unknown_model(facts, name))
            return
    elif (reason := _stage_reason(rules, stage, number, facts)) is not None:
        yield _objection(rules, subject, reason)
        return
    yield _deed(use_case_name(facts.standard, name), f"set stage {stage}", subject, change, number)


def _stage_reason(rules: UseCaseRules, stage: str, number: int | None, facts: GuardFacts) -> Reason | None:
    name = rules.registered_model
    if stage not in _STAGES:
        for each in rules.environments.values():
            if number is not None and facts.released(name, each.name) == number:
                return Reason(
                    code="stage-released",
                    message=f"it is released in {each.name}, so its stage cannot be {stage}",
                    fix="release another version there first; the stage may follow",
                )
        return None
    words = _STAGES[stage]
    environment = next((e for e in rules.environments.values() if e.name in words or e.alias in words), None)
    if environment is None:
        environments = ", ".join(f"@{e.alias}" for e in rules.environments.values())
        return Reason(
            code="stage-unknown",
            message=f"stage {stage} stands for no environment of {rules.name}; aliases say what is released",
            fix=f"release by alias: {environments}",
        )
    released = facts.released(name, environment.name)
    if number is not None and released == number:
        return None
    now = "nothing is" if released is None else f"{rules.registered_model}/{released} is"
    return Reason(
        code="stage-not-released",
        message=f"stage {stage} stands for {environment.name}, where {now} released; a stage follows a release "
        "and makes none",
        fix=f"signoff promote {rules.registered_model}/{number} --env {environment.name}, or point @{environment.alias} "
        "at it; then set the stage",
    )


def _renamed(old: str, new: str, facts: GuardFacts) -> Iterator[Said]:
    rules = rules_of_model(facts.standard, old)
    subject = f"registered model {old}"
    if (reason := rename_reason(old, facts)) is not None:
        yield _objection(rules, subject, reason)
        return
    yield Deed(
        rule="alias",
        use_case="" if rules is None else rules.name,
        operation="rename registered model",
        subject=subject,
        detail={"from": old, "to": new},
    )


def rename_reason(name: str, facts: GuardFacts) -> Reason | None:
    """Why a registered model keeps its name: statements name its versions, and aliases would move with it."""
    bound = [
        f"{name}/{version.number}"
        for version in facts.versions(name)
        if version.proposed or version.released_in
    ]
    if not bound:
        return None
    return Reason(
        code="model-bound",
        message=f"signed statements name its versions ({first_few(bound)}); under another name "
        "none of them would be covered",
        fix="register new candidates under the new name, and release from there",
    )


def _environment(rules: UseCaseRules, alias: str) -> EnvironmentRules | None:
    return next((e for e in rules.environments.values() if e.alias == alias), None)


def _objection(rules: UseCaseRules | None, subject: str, reason: Reason) -> Objection:
    return Objection(
        rule="alias", use_case="" if rules is None else rules.name, subject=subject, reason=reason
    )


def _deed(use_case: str, operation: str, subject: str, change: Change, number: int | None) -> Deed:
    return Deed(
        rule="alias",
        use_case=use_case,
        operation=operation,
        subject=subject,
        detail={"version": number, "before": kept(change.before)},
    )
