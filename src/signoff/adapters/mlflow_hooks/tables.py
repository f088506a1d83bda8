"""What is known of each table that MLflow writes: what its rows mean to the guard, and which writes are foreseen.

The sets are those of MLflow 3.16.1, 3.17.2 and 3.18.0. A table that is not here is not written on a guarded
database, and neither is one that is here by a way that is not foreseen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from signoff.release.guard.model import Operation

Meaning = Literal[
    "logging",
    "run",
    "run-tag",
    "dataset",
    "edge",
    "input-tag",
    "logged-model",
    "model-part",
    "registry",
    "alias",
    "experiment",
    "assessment",
    "trace",
    "tag",
    "control",
]
"""What a row is to the guard.

logging: a value of a run; only a frozen run matters.
run, run-tag: the run itself and its tags.
dataset, edge, input-tag: what a run read and made.
logged-model, model-part: a model that a run logged, with its params and tags.
registry, alias, experiment: governed: each change is decided.
assessment: feedback, which may belong to a run. trace: traces. tag: tags of things that are not governed.
control: everything else that people manage in MLflow; whoever is known may.
"""

_ALL: frozenset[Operation] = frozenset({"insert", "update", "delete"})
_NONE: frozenset[Operation] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRule:
    """One table.

    Attributes:
        meaning: what its rows are.
        flush: operations that MLflow makes through its ORM's unit of work.
        bulk: operations that it makes with one statement through the ORM's session.
        cursor: operations that reach the database past the session.
        run: column with the id of the run; "" where the meaning says how to find it.
        tag: column with the key of a tag, which must not be one of ours; "" for none.
    """

    meaning: Meaning
    flush: frozenset[Operation] = _ALL
    bulk: frozenset[Operation] = _NONE
    cursor: frozenset[Operation] = _NONE
    run: str = ""
    tag: str = ""


def _operations(*names: Operation) -> frozenset[Operation]:
    return frozenset(names)


_INSERT = _operations("insert")
_GUARDED: Mapping[str, TableRule] = {
    "metrics": TableRule(meaning="logging", flush=_INSERT, run="run_uuid"),
    "latest_metrics": TableRule(meaning="logging", flush=_operations("insert", "update"), run="run_uuid"),
    "params": TableRule(meaning="logging", flush=_INSERT, run="run_uuid"),
    "logged_model_metrics": TableRule(meaning="logging", flush=_operations("insert", "update"), run="run_id"),
    "runs": TableRule(meaning="run", flush=_operations("insert", "update")),
    "tags": TableRule(meaning="run-tag", run="run_uuid", tag="key"),
    "datasets": TableRule(meaning="dataset", flush=_INSERT),
    "inputs": TableRule(meaning="edge", flush=_INSERT),
    "input_tags": TableRule(meaning="input-tag", flush=_INSERT, tag="name"),
    "entity_associations": TableRule(
        meaning="edge", bulk=_operations("insert", "delete"), cursor=_INSERT, flush=_ALL
    ),
    "logged_models": TableRule(meaning="logged-model", flush=_operations("insert", "update")),
    "logged_model_params": TableRule(
        meaning="model-part", flush=_operations("insert", "update"), bulk=_INSERT
    ),
    "logged_model_tags": TableRule(meaning="model-part", bulk=_operations("insert", "delete"), tag="tag_key"),
    "registered_models": TableRule(meaning="registry"),
    "registered_model_tags": TableRule(meaning="registry", tag="key"),
    "registered_model_aliases": TableRule(meaning="alias"),
    "model_versions": TableRule(meaning="registry"),
    "model_version_tags": TableRule(meaning="registry", tag="key"),
    "experiments": TableRule(meaning="experiment", flush=_operations("insert", "update")),
    "experiment_tags": TableRule(meaning="experiment", tag="key"),
    "assessments": TableRule(meaning="assessment", bulk=_ALL),
}


def _rules(meaning: Meaning, names: Iterable[str], *, tag: str = "") -> dict[str, TableRule]:
    return {name: TableRule(meaning=meaning, bulk=_ALL, tag=tag) for name in names}


TABLES: Mapping[str, TableRule] = {
    **_GUARDED,
    **_rules(
        "trace",
        (
            "span_metrics",
            "spans",
            "sql_assessment_daily_rollups",
            "sql_span_cost_daily_rollups",
            "sql_trace_metric_daily_rollups",
            "sql_trace_rollup_rebuild_queue",
            "trace_info",
            "trace_metrics",
            "trace_request_metadata",
        ),
    ),
    **_rules("tag", ("trace_tags", "evaluation_dataset_tags"), tag="key"),
    **_rules(
        "control",
        (
            "budget_policies",
            "endpoint_bindings",
            "endpoint_model_mappings",
            "endpoint_tags",
            "endpoints",
            "evaluation_dataset_records",
            "evaluation_datasets",
            "guardrail_configs",
            "guardrails",
            "issue_categories",
            "issues",
            "job_locks",
            "jobs",
            "label_schemas",
            "mcp_access_endpoints",
            "mcp_server_aliases",
            "mcp_server_tags",
            "mcp_server_version_tags",
            "mcp_server_versions",
            "mcp_servers",
            "model_definitions",
            "online_scoring_configs",
            "review_queue_items",
            "review_queue_label_schemas",
            "review_queue_users",
            "review_queues",
            "scheduler_leases",
            "scorer_versions",
            "scorers",
            "secrets",
            "skill_aliases",
            "skill_tags",
            "skill_version_tags",
            "skill_versions",
            "skills",
            "webhook_events",
            "webhooks",
            "workspaces",
        ),
    ),
    # basic-auth's own, in a database of their own or in MLflow's.
    **_rules("control", ("role_permissions", "roles", "user_role_assignments", "users")),
}

STAMPS = frozenset({"last_updated_time", "last_update_time", "last_updated_timestamp_ms"})
"""Columns that say when a row was touched. A change of nothing else is no change."""
RESERVED = "signoff."
"""How the keys of our own tags begin."""


def unclassified(names: Iterable[str]) -> tuple[str, ...]:
    """Names of tables that are not known here, sorted."""
    return tuple(sorted(name for name in set(names) if name not in TABLES))
