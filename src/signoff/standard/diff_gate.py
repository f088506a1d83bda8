"""What changed in the rules of the gate: margins, slices, thresholds and the evaluation itself."""

from collections.abc import Iterator

from signoff.standard.diff_words import (
    Change,
    Effect,
    by_size,
    changed,
    field_changes,
    looser,
    order_changed,
    tighter,
)
from signoff.standard.model import EvaluationRecipe, GateRules, MarginRule, ThresholdRule
from signoff.standard.render import bound_words, margin_words

_SAID = frozenset(
    {
        "recipe",
        "primary",
        "slices",
        "thresholds",
        "alpha",
        "looks",
        "documented_data",
        "reproducible",
        "pickle",
        "labels",
    }
)
_MARGIN_FIELDS = frozenset({"metric", "mode", "margin", "by", "only", "inconclusive"})
_BOUND_FIELDS = frozenset({"metric", "at_least", "at_most"})
_RECIPE = {
    "data": "evaluation data",
    "label": "label column",
    "positive": "positive label",
    "row_key": "row key",
    "cluster": "cluster column",
    "score": "score column",
    "threshold": "decision threshold",
    "group": "group column",
    "k": "cut-off k",
    "naive": "column of the naive forecast",
}


def gate_changes(old: GateRules, new: GateRules) -> Iterator[Change]:
    """What changed in what a candidate must show."""
    yield from _recipe_changes(old.recipe, new.recipe)
    yield from _margin_changes("gate", "primary", old.primary, new.primary)
    yield from _slice_changes(old.slices, new.slices)
    yield from _threshold_changes(old.thresholds, new.thresholds)
    if old.alpha != new.alpha:
        words = f"error rate {new.alpha:g} per table instead of {old.alpha:g}"
        yield by_size("gate", words, old=old.alpha, new=new.alpha, more_is="looser")
    if old.looks != new.looks:
        yield changed(
            "gate",
            f"{new.looks} candidates per table instead of {old.looks};"
            f" each is held to an error of {new.alpha / new.looks:.3g} instead of {old.alpha / old.looks:.3g}",
        )
    yield from _switch(old.documented_data, new.documented_data, "training data must be documented")
    yield from _switch(old.reproducible, new.reproducible, "runs must be reproducible")
    if old.pickle != new.pickle:
        effect = looser if new.pickle == "allowed" else tighter
        yield effect("gate", f"pickle formats are {new.pickle}; before, they were {old.pickle}")
    if old.labels != new.labels:
        effect = tighter if new.labels == "stable" else looser
        yield effect("gate", f"the label map must be {new.labels}; before, {old.labels}")
    yield from field_changes("gate", old.to_json(), new.to_json(), said=_SAID)


def _switch(old: bool, new: bool, what: str) -> Iterator[Change]:  # noqa: FBT001 - a value, not a mode
    if old != new:
        yield tighter("gate", f"{what} now") if new else looser("gate", f"not any more: {what}")


def _recipe_changes(old: EvaluationRecipe, new: EvaluationRecipe) -> Iterator[Change]:
    yield from field_changes("gate", old.to_json(), new.to_json(), names=_RECIPE)


def _margin_changes(where: str, name: str, old: MarginRule, new: MarginRule) -> Iterator[Change]:
    words = f"{name}: {margin_words(new)} instead of {margin_words(old)}"
    if old.metric != new.metric:
        yield changed(where, words)
    elif old.mode != new.mode:
        # A gain that must be reached asks for more than a loss that is forgiven, whatever the margins.
        yield (tighter if new.mode == "better_by" else looser)(where, words)
    elif old.margin != new.margin:
        more_is: Effect = "tighter" if new.mode == "better_by" else "looser"
        yield by_size(where, words, old=old.margin, new=new.margin, more_is=more_is)
    yield from field_changes(where, old.to_json(), new.to_json(), said=_MARGIN_FIELDS)


def _slice_changes(old: tuple[MarginRule, ...], new: tuple[MarginRule, ...]) -> Iterator[Change]:
    before = {_slice_name(rule): rule for rule in old}
    after = {_slice_name(rule): rule for rule in new}
    for name, rule in after.items():
        if name not in before:
            yield tighter("slices", f"new, {name}: {margin_words(rule)}{_limits(rule)}")
        else:
            yield from _margin_changes("slices", name, before[name], rule)
            yield from _only_changes(name, before[name].only, rule.only)
            if before[name].inconclusive != rule.inconclusive:
                if rule.inconclusive == "warn":
                    yield looser("slices", f"{name}: an undecided slice only warns; before, it blocked")
                else:
                    yield tighter("slices", f"{name}: an undecided slice blocks; before, it warned")
    for name, rule in before.items():
        if name not in after:
            yield looser("slices", f"gone, {name}: {margin_words(rule)}{_limits(rule)}")
    if set(before) == set(after) and list(before) != list(after):
        yield order_changed("slices", "slices", list(before), list(after))


def _slice_name(rule: MarginRule) -> str:
    return f"{rule.metric} per {rule.by}"


def _limits(rule: MarginRule) -> str:
    only = f", only {', '.join(rule.only)}" if rule.only else ""
    return f"{only}{'' if rule.inconclusive == 'block' else ', an undecided slice only warns'}"


def _only_changes(name: str, old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Change]:
    """Which slice values are assessed; none given means all."""
    if old == new:
        return
    if not new:
        yield tighter("slices", f"{name}: all values instead of only {', '.join(old)}")
    elif not old:
        yield looser("slices", f"{name}: only {', '.join(new)} instead of all values")
    else:
        words = f"{name}: only {', '.join(new)} instead of {', '.join(old)}"
        if set(old) < set(new):
            yield tighter("slices", words)
        elif set(new) < set(old):
            yield looser("slices", words)
        else:
            yield changed("slices", words)


def _threshold_changes(old: tuple[ThresholdRule, ...], new: tuple[ThresholdRule, ...]) -> Iterator[Change]:
    before, after = {rule.metric: rule for rule in old}, {rule.metric: rule for rule in new}
    for metric, rule in after.items():
        if metric not in before:
            yield tighter("thresholds", f"new: {bound_words(rule)}")
        else:
            yield from _bound_changes(before[metric], rule)
    for metric, rule in before.items():
        if metric not in after:
            yield looser("thresholds", f"gone: {bound_words(rule)}")
    if set(before) == set(after) and list(before) != list(after):
        yield order_changed("thresholds", "thresholds", list(before), list(after))


def _bound_changes(old: ThresholdRule, new: ThresholdRule) -> Iterator[Change]:
    words = f"{bound_words(new)} instead of {bound_words(old)}"
    if old.at_least is not None and new.at_least is not None:
        if old.at_least != new.at_least:
            yield by_size("thresholds", words, old=old.at_least, new=new.at_least, more_is="tighter")
    elif old.at_most is not None and new.at_most is not None:
        if old.at_most != new.at_most:
            yield by_size("thresholds", words, old=old.at_most, new=new.at_most, more_is="looser")
    else:
        yield changed("thresholds", words)
    yield from field_changes("thresholds", old.to_json(), new.to_json(), said=_BOUND_FIELDS)
