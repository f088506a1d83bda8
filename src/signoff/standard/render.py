"""A resolved standard for people and programs: text, Markdown or JSON, each requirement with its origin."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from signoff.addresses import shown
from signoff.errors import UsageError
from signoff.record.digest import Json
from signoff.standard.deployment_words import deployment_rows
from signoff.standard.guard_words import guard_rows
from signoff.standard.metrics import METRICS
from signoff.standard.model import (
    EnvironmentRules,
    MarginRule,
    Requirement,
    Standard,
    ThresholdRule,
    UseCaseRules,
)
from signoff.standard.shape import did_you_mean

Format = Literal["text", "json", "markdown"]

_BY = {"auto": "captured", "eval": "measured by the gate", "you": "logged by you"}


def render_resolved(standard: Standard, use_case: str | None, form: Format) -> str:
    """The standard with every default filled in, ended by a newline.

    Args:
        standard: the standard.
        use_case: only this use case; None for all.
        form: text, json or markdown.

    Raises:
        UsageError: the standard has no such use case.
    """
    if use_case is not None and use_case not in standard.use_cases:
        hint = did_you_mean(use_case, standard.use_cases)
        raise UsageError(f"no use case `{use_case}` in {standard.path}", hint=hint)
    chosen = [rules for name, rules in standard.use_cases.items() if use_case in (None, name)]
    if form == "json":
        return json.dumps(_to_json(standard, chosen), indent=2, ensure_ascii=False) + "\n"
    lines = _markdown(standard, chosen) if form == "markdown" else _text(standard, chosen)
    return "\n".join(lines) + "\n"


def _to_json(standard: Standard, chosen: Sequence[UseCaseRules]) -> Mapping[str, Json]:
    return {
        "path": standard.path,
        "version": standard.version,
        "profile": standard.profile,
        "digest": str(standard.digest),
        "store": standard.store,
        "ledger": standard.ledger,
        "roster": standard.roster,
        "capture": standard.capture,
        "roles": {name: sorted(may) for name, may in standard.roles.items()},
        "guard": standard.guard.to_json(),
        "use_cases": {rules.name: _use_case_to_json(rules) for rules in chosen},
    }


def _use_case_to_json(rules: UseCaseRules) -> Mapping[str, Json]:
    return {
        "owner": rules.owner,
        "model_type": rules.model_type,
        "experiments": list(rules.experiments),
        "registered_model": rules.registered_model,
        "run_name": rules.run_name,
        "rules": str(rules.digest),
        "requirements": [_requirement_to_json(requirement) for requirement in rules.requirements],
        "gate": rules.gate.to_json(),
        "notes": list(rules.notes),
        "environments": {
            name: {**environment.to_json(), "origins": dict(environment.origins)}
            for name, environment in rules.environments.items()
        },
        "batch": None if rules.batch is None else rules.batch.to_json(),
        "serving": None if rules.serving is None else {**rules.serving.to_json(), "log": rules.serving.log},
        "monitors": [monitor.to_json() for monitor in rules.monitors],
        "retrain": rules.retrain,
    }


def _requirement_to_json(requirement: Requirement) -> Mapping[str, Json]:
    return {
        "code": requirement.code,
        "kind": requirement.kind,
        "name": requirement.name,
        "accepts": list(requirement.accepts),
        "severity": requirement.severity,
        "by": requirement.by,
        "origin": requirement.origin,
        "why": requirement.why,
        "how": requirement.how,
    }


def _text(standard: Standard, chosen: Sequence[UseCaseRules]) -> Iterator[str]:
    yield f"{standard.path}  version {standard.version}, profile {standard.profile}, {standard.digest}"
    yield ""
    yield "roles"
    width = max(len(name) for name in standard.roles)
    for name, may in standard.roles.items():
        yield f"  {name:<{width}}  may {', '.join(sorted(may)) or 'nothing'}"
    yield ""
    yield "guard of an MLflow server"
    yield from (f"  {level:<7}  {words}" for level, words in guard_rows(standard.guard))
    for rules in chosen:
        yield ""
        yield from _use_case_text(rules)


def _use_case_text(rules: UseCaseRules) -> Iterator[str]:
    yield f"use case {rules.name}  ({rules.model_type}, owner {rules.owner})"
    yield f"  experiments       {', '.join(rules.experiments)}"
    yield f"  registered model  {rules.registered_model}"
    yield f"  run name          {rules.run_name or 'any'}"
    yield f"  notes             {', '.join(rules.notes)}"
    for title, words in deployment_rows(rules):
        yield f"  {title:<16}  {words}"
    yield ""
    yield "  gate"
    for line in gate_lines(rules):
        yield f"    {line}"
    yield ""
    yield "  environments"
    for environment in rules.environments.values():
        yield f"    {environment.name:<6}  {'; '.join(environment_phrases(environment, origins=True))}"
    yield ""
    yield "  every run carries"
    yield from _requirement_rows(rules.requirements)


def _requirement_rows(requirements: Sequence[Requirement]) -> Iterator[str]:
    code_width = max((len(requirement.code) for requirement in requirements), default=0)
    origin_width = max((len(requirement.origin) for requirement in requirements), default=0)
    for requirement in requirements:
        mark = "" if requirement.severity == "block" else "  (warns only)"
        yield (
            f"    {requirement.code:<{code_width}}  {requirement.origin:<{origin_width}}  "
            f"{_BY[requirement.by]}{mark}"
        )


def gate_lines(rules: UseCaseRules) -> Iterator[str]:
    """What the gate asks, one rule per line."""
    gate = rules.gate
    recipe = gate.recipe
    yield f"data {recipe.data}, label {recipe.label}" + (
        "" if recipe.positive is None else f", positive {recipe.positive}"
    )
    if gate.task in {"ranking", "assistant"}:
        lists = "" if recipe.group is None else f"lists by {recipe.group}, "
        yield f"{lists}cut off after {recipe.k}"
    if recipe.naive is not None:
        yield f"a first release must beat the naive forecast in {recipe.naive}"
    yield f"primary: {margin_words(gate.primary)}"
    for rule in gate.slices:
        only = f" ({', '.join(rule.only)})" if rule.only else ""
        undecided = "" if rule.inconclusive == "block" else "; an undecided slice only warns"
        yield f"per {rule.by}{only}: {margin_words(rule)}{undecided}"
    for bound in gate.thresholds:
        yield bound_words(bound)
    yield f"error rate {gate.alpha:g} per table, shared by {gate.looks} candidates"
    yield "training data documented" if gate.documented_data else "training data may be undocumented"
    yield (
        "reproducible: clean commit, parameters, environment"
        if gate.reproducible
        else "runs need not be reproducible"
    )
    yield f"pickle formats {gate.pickle}"
    if gate.labels == "stable":
        yield "label map as in production"


def environment_phrases(rules: EnvironmentRules, *, origins: bool = False) -> Iterator[str]:
    """What a release into the environment needs, in phrases; with ``origins`` each says who asks for it."""
    approvals = ", ".join(f"{approval.count} x {approval.role}" for approval in rules.approvals)
    said = {
        "alias": f"alias @{rules.alias}",
        "approvals": approvals or "no approval",
        "self_approval": "an author's own approval counts and is shown"
        if rules.self_approval == "recorded"
        else "",
        "after": f"after {rules.after}" if rules.after else "",
        "server": f"on {shown(rules.server)}" if rules.server else "",
        "direct": "straight from another server" if rules.direct == "allowed" else "",
        "rollback_plan": "rollback plan" if rules.rollback_plan else "",
        "monitoring": "a monitor" if rules.monitoring else "",
        "load_test": "a load test of an endpoint" if rules.load_test else "",
        "reevaluate_days": f"re-evaluation every {rules.reevaluate_days} days"
        if rules.reevaluate_days
        else "",
        "checklist": f"checklist of {len(rules.checklist)}" if rules.checklist else "",
    }
    for key, words in said.items():
        origin = rules.origins.get(key)
        if not words:
            continue
        yield f"{words} ({origin})" if origins and origin else words


def margin_words(rule: MarginRule) -> str:
    """A margin as a phrase, such as ``roc_auc no worse than 0.01``."""
    direction = "better" if rule.mode == "better_by" else "no worse"
    preposition = "by" if rule.mode == "better_by" else "than"
    aim = "" if METRICS[rule.metric].higher_is_better else " (less is better)"
    return f"{rule.metric}{aim} {direction} {preposition} {rule.margin:g}"


def bound_words(rule: ThresholdRule) -> str:
    """A bound as a phrase, such as ``precision at least 0.5``."""
    if rule.at_least is not None:
        return f"{rule.metric} at least {rule.at_least:g}"
    return f"{rule.metric} at most {rule.at_most:g}"


def _markdown(standard: Standard, chosen: Sequence[UseCaseRules]) -> Iterator[str]:
    yield f"# Standard {standard.version} (profile {standard.profile})"
    yield ""
    yield f"`{standard.path}`, `{standard.digest}`"
    yield ""
    yield from _table(
        ("role", "may"), [(name, ", ".join(sorted(may))) for name, may in standard.roles.items()]
    )
    yield ""
    yield from _table(("guard", "rules"), tuple(guard_rows(standard.guard)))
    for rules in chosen:
        yield from _use_case_markdown(rules)


def _use_case_markdown(rules: UseCaseRules) -> Iterator[str]:
    yield ""
    yield f"## {rules.name}"
    yield ""
    experiments = ", ".join(f"`{name}`" for name in rules.experiments)
    yield (
        f"Model type {rules.model_type}, owner {rules.owner}, registered model `{rules.registered_model}`, "
        f"experiments {experiments}."
    )
    yield ""
    yield "### Gate"
    yield ""
    yield from (f"- {line}" for line in gate_lines(rules))
    yield ""
    yield "### Environments"
    yield ""
    yield from _table(
        ("environment", "needs"),
        [(e.name, "; ".join(environment_phrases(e, origins=True))) for e in rules.environments.values()],
    )
    yield ""
    if rows := tuple(deployment_rows(rules)):
        yield "### Deployment"
        yield ""
        yield from _table(("what", "how"), rows)
        yield ""
    yield "### Every run carries"
    yield ""
    yield from _table(
        ("what", "asked for by", "provided", "blocks", "why", "how"),
        [
            (
                f"`{r.code}`",
                r.origin,
                _BY[r.by],
                "yes" if r.severity == "block" else "warns",
                r.why,
                f"`{r.how}`",
            )
            for r in rules.requirements
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
