"""The files that a team starts with."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from signoff.errors import UsageError
from signoff.standard.names import NAME, OWNER, PROFILES, SHIPPED_TYPES
from signoff.standard.shape import closest, did_you_mean

SCHEMA_FILE = ".signoff/schema.json"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_@./-]*\Z")
_NOT_TEXT = frozenset({"true", "false", "null"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Example:
    """What a model type's scaffold names.

    Attributes:
        label: the label column.
        recipe: further lines of `evaluate`, each a key with its remark.
        primary: the primary metric with its margin.
        slices: comparisons per slice.
        thresholds: absolute bounds.
        key: column that identifies a row to be scored.
    """

    label: str
    recipe: tuple[str, ...]
    primary: str
    slices: tuple[str, ...]
    thresholds: tuple[str, ...]
    key: str = "customer_id"


_CLUSTER = "# cluster: customer_id           # rows of one customer are not independent"
_P95 = "{metric: latency_p95_ms, at_most: 50}"
_REGRESSION = _Example(
    label="target",
    recipe=(_CLUSTER,),
    primary="{metric: mae, no_worse_than: 0.5}",
    slices=("{by: segment, metric: mae, no_worse_than: 1.0}",),
    thresholds=("{metric: r2, at_least: 0.6}", _P95),
)
_EXAMPLES = {
    "classification": _Example(
        label="label",
        recipe=(_CLUSTER,),
        primary="{metric: roc_auc, no_worse_than: 0.01}",
        slices=("{by: segment, metric: recall, no_worse_than: 0.05}",),
        thresholds=("{metric: precision, at_least: 0.6}", _P95),
    ),
    "regression": _REGRESSION,
    "forecasting": _Example(
        label="sold",
        recipe=(
            "# naive: sold_a_week_ago          # a first release must beat this forecast",
            "# cluster: series                 # errors of one series are not independent",
        ),
        primary="{metric: mae, no_worse_than: 0.5}",
        slices=("{by: horizon, metric: mae, no_worse_than: 1.0}",),
        thresholds=("{metric: rmse, at_most: 12}", _P95),
        key="series",
    ),
    "ranking": _Example(
        label="relevance",
        recipe=(
            "group: customer_id               # rows of one customer are one list to be ranked",
            "# k: 10                           # lists are cut off after so many rows",
        ),
        primary="{metric: ndcg, no_worse_than: 0.01}",
        slices=("{by: segment, metric: recall_at_k, no_worse_than: 0.05}",),
        thresholds=("{metric: mrr, at_least: 0.3}", _P95),
        key="item_id",
    ),
    "text-classification": _Example(
        label="topic",
        recipe=("# cluster: thread                 # messages of one thread are not independent",),
        primary="{metric: macro_f1, no_worse_than: 0.02}",
        slices=("{by: topic, metric: accuracy, no_worse_than: 0.05}   # each topic's recall",),
        thresholds=("{metric: accuracy, at_least: 0.7}", _P95),
        key="message_id",
    ),
    "llm-app": _Example(
        label="relevant",
        recipe=("# k: 10                           # passages are cut off after so many",),
        primary="{metric: answer_quality, no_worse_than: 0.03}",
        slices=("{by: subject, metric: groundedness, no_worse_than: 0.05}",),
        thresholds=(
            "{metric: groundedness, at_least: 0.9}",
            "{metric: abstention, at_least: 0.8}",
            "{metric: latency_p95_ms, at_most: 2000}",
        ),
        key="question_id",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundUseCase:
    """A use case as an existing store suggests it.

    Attributes:
        name: of the use case.
        owner: who answers for it.
        registered_model: its name in the registry.
        experiments: where its runs are; the first is where new ones go.
        params: what nearly all of its runs log.
        metrics: the same.
        alias: the alias that stands for production; "" for prod itself.
        remarks: what somebody must know or decide, one line each.
    """

    name: str
    owner: str
    registered_model: str
    experiments: tuple[str, ...]
    params: tuple[str, ...]
    metrics: tuple[str, ...]
    alias: str = ""
    remarks: tuple[str, ...] = ()


def scaffold(profile: str, model_type: str, use_case: str, owner: str) -> str:
    """A commented standard for one use case, ready to load.

    Args:
        profile: small, mid or enterprise.
        model_type: a shipped model type, such as classification.
        use_case: its name.
        owner: the person who answers for it.

    Raises:
        UsageError: one of them cannot stand in a standard.
    """
    example = _example(profile, model_type)
    if not re.fullmatch(NAME.pattern, use_case):
        raise UsageError(f"`{use_case}` cannot name a use case", hint=NAME.words)
    if not owner.strip() or not re.fullmatch(OWNER.pattern, owner):
        raise UsageError(f"`{owner}` cannot be an owner", hint=OWNER.words)
    name = _quoted(use_case)
    return f"""\
{_head(profile, store="# store: sqlite:///mlflow.db    # MLflow tracking URI; MLFLOW_TRACKING_URI wins")}
use_cases:
  {name}:
    owner: {_quoted(owner)}
    type: {model_type}
    # experiment: [{name}, {_quoted(use_case + "/retraining")}]   # by default the use case's name
{_rest(example)}"""


def scaffold_store(profile: str, model_type: str, found: Sequence[FoundUseCase], *, store: str) -> str:
    """A commented standard for the use cases that a store suggests.

    Args:
        profile: small, mid or enterprise.
        model_type: a shipped model type, for all of them at first.
        found: the use cases; at least one.
        store: the store's address, without a password; "" to leave it to MLFLOW_TRACKING_URI.

    Raises:
        UsageError: profile or type are not known, or nothing was found.
    """
    example = _example(profile, model_type)
    if not found:
        raise UsageError("a standard needs a use case")
    address = (
        f"store: {_quoted(store)}"
        if store
        else "# store: the address holds a password, so it is left to MLFLOW_TRACKING_URI"
    )
    blocks = "\n".join(_block(one, model_type, example) for one in found)
    return f"{_head(profile, store=address)}\nuse_cases:\n{blocks}"


def _block(found: FoundUseCase, model_type: str, example: _Example) -> str:
    """One use case, with what its runs log as what they must log."""
    lines = [f"  # {remark}" for remark in found.remarks]
    lines += [
        f"  {_quoted(found.name)}:",
        f"    owner: {_quoted(found.owner)}",
        f"    type: {model_type}    # look again: all use cases begin with the same type",
        f"    experiment: [{', '.join(_quoted(name) for name in found.experiments)}]",
    ]
    if found.registered_model != found.name:
        lines.append(f"    registered_model: {_quoted(found.registered_model)}")
    if found.alias:
        lines.append(f"    environments: {{prod: {{alias: {_quoted(found.alias)}}}}}")
    if found.params or found.metrics:
        lines.append("    require:    # nearly all of its runs log these already")
    for kind, names in (("params", found.params), ("metrics", found.metrics)):
        if names:
            lines.append(f"      {kind}: [{', '.join(_quoted(name) for name in names)}]")
    return "\n".join(lines) + "\n" + _rest(example, require=not (found.params or found.metrics))


def _example(profile: str, model_type: str) -> _Example:
    if profile not in PROFILES:
        raise UsageError(f"unknown profile `{profile}`", hint=did_you_mean(profile, PROFILES))
    if model_type not in SHIPPED_TYPES:
        close = closest(model_type, SHIPPED_TYPES)
        known = f"shipped types are {', '.join(SHIPPED_TYPES)}; your own can be `like` one of them"
        hint = f"did you mean `{close}`?" if close else known
        raise UsageError(f"no standard can be begun for model type `{model_type}`", hint=hint)
    return _EXAMPLES[model_type]


def _head(profile: str, *, store: str) -> str:
    return f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
#
# The team's way of working, once. Check it:      signoff standard check
# All rules with the defaults filled in:          signoff standard show --resolved
# Commented lines show what else can be said; what is left out comes from the profile and the model type.

signoff: 1
version: "1"            # raise it when you change a rule; every decision names it
profile: {profile:<14} # small, mid or enterprise

{store}
# capture: full                 # full or minimal: how much of the environment runs record
# evidence: warn                # report-only while the team starts: missing evidence warns, and blocks nothing
"""


_REQUIRE = """\
    # What runs must log beside what profile and model type ask for.
    # require:
    #   params: [campaign]
    #   artifacts:
    #     - {name: fairness_report, why: "The works council reads it.", severity: warn}

"""


def _rest(example: _Example, *, require: bool = True) -> str:
    """What a use case says after its experiments."""
    recipe = "".join(f"\n      {line}" for line in example.recipe)
    slices = "".join(f"\n    #   - {rule}" for rule in example.slices)
    thresholds = "".join(f"\n    #   - {rule}" for rule in example.thresholds)
    return f"""\
    # run_name: 'w\\d{{4}}-\\d{{2}}.*'     # a regular expression that run names must match
    # window: true                     # runs train on a window of time and name its dates

    # The rows that candidate and production version are both judged on.
    evaluate:
      data: data/evaluation.parquet    # Parquet, CSV or a Delta table, relative to this file
      label: {example.label}{recipe}

    # better_by asks for a gain, no_worse_than rules out a loss; both in units of the metric.
    primary: {example.primary}

    # The same inside each group that must not pay for the average.
    # slices:{slices}

    # thresholds:{thresholds}

{_REQUIRE if require else ""}    # batch:
    #   input: data/to_score.parquet
    #   output: data/predictions
    #   keys: [{example.key}]
"""


def scaffold_roster(owner: str, key: str = "") -> str:
    """A roster that names the owner as an author, without a key: nobody can approve before keys stand there.

    Args:
        owner: an e-mail address, or a name, which then needs its address.
        key: line of the owner's public key, when there is one; the owner may then promote too.
    """
    name, _, host = owner.partition("@")
    address = (
        owner if host else f"{re.sub('[^a-z0-9]+', '.', name.casefold()).strip('.') or 'owner'}@example.org"
    )
    remark = "" if host else "    # put the real address here"
    return f"""\
# Who is who, in which roles, with which keys. Roles are those of signoff.yaml; this profile brings author,
# reviewer and platform-owner. A key is the content of an OpenSSH Ed25519 public key file, made with:
#   ssh-keygen -t ed25519

people:
  {_quoted(address)}:{remark}
    name: {_quoted(name)}
{_hands(key)}
    # also: [ana@laptop.local, atorres]      # further git and system names and logins that mean this person

  # ben@shop.example:
  #   name: Ben Okafor
  #   roles: [reviewer]
  #   keys: ["ssh-ed25519 AAAA... ben@laptop"]
"""


def _hands(key: str) -> str:
    if not key:
        return '    roles: [author]\n    # keys: ["ssh-ed25519 AAAA... ana@laptop"]'
    return f"    roles: [author, platform-owner]\n    keys: [{json.dumps(key)}]"


def _quoted(text: str) -> str:
    """The text as a YAML scalar that is read back as the same text."""
    return text if _PLAIN.match(text) and text.casefold() not in _NOT_TEXT else json.dumps(text)
