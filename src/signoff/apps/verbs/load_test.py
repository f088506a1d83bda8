"""`signoff admin bench`: what an endpoint of a version bears at the load that the standard names, as evidence."""

import asyncio
import json
import os
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from signoff.apps.serving.gateway import Gateway
from signoff.apps.serving.load import Load, LoadSeen, host_of, measure
from signoff.apps.serving.program import running
from signoff.apps.serving.routes import Routes
from signoff.apps.serving.versions import Verified, start_version
from signoff.apps.verbs.recording import allowed_entry, history_of, signed, write
from signoff.apps.verbs.reference import VersionReference, parse_reference
from signoff.apps.workspace import Actor, Workspace, now, private_copy
from signoff.errors import EvidenceError, StoreError, UsageError
from signoff.gate.latency import QuantileEstimate
from signoff.record.digest import Digest, Json
from signoff.record.schema import SchemaRecord
from signoff.release.history import History
from signoff.release.load_test import load_test_statement
from signoff.standard.deployment import LoadRules
from signoff.standard.model import UseCaseRules

ROWS = 500
"""Rows of the evaluation table that are asked for, one by one and again from the first."""
_SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadTest:
    """What a load test found.

    Attributes:
        ref: the version, such as ``churn/3``.
        lines: the arithmetic, one line for each bound.
        passed: whether every bound was kept.
        figures: what was measured.
        statement: id of the statement.
        signed: whether somebody signed it: only then a promotion may rest on it.
        host: host and port of the endpoint that ran already, on which no promotion rests; None for one of its own.
    """

    ref: str
    lines: tuple[str, ...]
    passed: bool
    figures: Mapping[str, Json]
    statement: Digest
    signed: bool
    host: str | None


def load_test(
    workspace: Workspace, name: str, *, environment: str, url: str | None, actor: Actor
) -> LoadTest:
    """Measure a version under load, judge it, and record that.

    Args:
        workspace: the team's workspace.
        name: ``churn/3``, or ``churn`` for what is released in the environment.
        environment: the environment.
        url: an endpoint that runs already; None: one of its own, on a private port.
        actor: who measures; their key signs the statement.

    Raises:
        SignoffError: the version's files are not those that were proposed, the standard names no load, or
            nothing could be measured.
    """
    reference = parse_reference(name)
    rules = workspace.use_case(reference.name if isinstance(reference, VersionReference) else name)
    into = workspace.environment(rules, environment)
    load = _load_of(workspace, rules)
    history = history_of(workspace, rules.name, audited=True)
    version, model = _subject(rules, into.name, history, reference)
    record = workspace.reader().version(rules.registered_model, version)
    if record is None:
        raise StoreError(f"the registry has no {rules.registered_model}/{version}", where=workspace.shown_uri)
    with ExitStack() as files:
        folder = files.enter_context(private_copy(workspace, record.uri))
        if folder.digest != model:
            raise EvidenceError(
                f"the files of {record.ref} are not those that were proposed (proposed {model.short}, now"
                f" {folder.digest.short})",
                hint="find out who changed them; log the model again and propose the new run",
            )
        bodies = _bodies(workspace, rules, folder.inputs)
        host: str | None = None
        if url is None:
            verified = Verified(
                version=version, statement=model, folder=folder, discard=files.pop_all().close
            )
            seen = asyncio.run(_on_own_endpoint(verified, rules, load, bodies))
        else:
            host = host_of(url)
            seen = asyncio.run(measure(_load(url, load, bodies)))
    if set(seen.digests) != {str(model)}:
        named = ", ".join(digest or "no digest" for digest in seen.digests)
        raise EvidenceError(
            f"the endpoint answered with other bytes than {record.ref} has: {named or 'nothing'}",
            hint="name the version that is served there, or leave out --url",
        )
    lines, passed = judge(load, seen, alpha=rules.gate.alpha)
    figures = _figures(seen, load)
    statement = load_test_statement(
        rules,
        load,
        version=version,
        model=model,
        passed=passed,
        figures=figures,
        messages=lines,
        host=host,
        actor=actor.name,
        at=now(),
    )
    entry = allowed_entry(
        action="bench",
        actor=actor,
        use_case=rules.name,
        subject=record.ref,
        statement=statement.id,
        at=str(statement.predicate["at"]),
        detail={"version": version, "passed": passed},
    )
    with workspace.ledger(create=True).transaction() as writer:
        write(writer, signed(statement, actor), entry, version=record.ref, run_id=record.run_id)
    return LoadTest(
        ref=record.ref,
        lines=lines,
        passed=passed,
        figures=figures,
        statement=statement.id,
        signed=actor.key is not None,
        host=host,
    )


def _load_of(workspace: Workspace, rules: UseCaseRules) -> LoadRules:
    load = None if rules.serving is None else rules.serving.load
    if load is None:
        raise UsageError(
            f"the standard names no load for {rules.name}",
            where=workspace.standard.path,
            hint="add `serving: {load: {connections: 8, latency_p95_ms: 50}}` to the use case",
        )
    return load


def _subject(
    rules: UseCaseRules, environment: str, history: History, reference: object
) -> tuple[int, Digest]:
    """Number of the version that is measured, and the digest that its files must have."""
    if isinstance(reference, VersionReference):
        proposal = history.proposal(reference.version)
        model = None if proposal is None else proposal.statement.subject("model")
        if model is None:
            raise UsageError(
                f"{rules.registered_model}/{reference.version} was never proposed", hint="signoff propose RUN"
            )
        return reference.version, model
    release = history.release(environment)
    if release is None:
        raise UsageError(
            f"nothing is released in {environment}",
            hint=f"name the version: signoff admin bench {rules.name}/VERSION",
        )
    return release.version, release.model


def _bodies(workspace: Workspace, rules: UseCaseRules, inputs: SchemaRecord) -> tuple[str, ...]:
    """Single-row requests from the evaluation table."""
    from signoff.adapters.tables import read_table

    table = read_table(workspace.path(rules.gate.recipe.data))
    names = [name for name in inputs.names if name in table.frame.columns]
    rows = json.loads(table.frame[names].head(ROWS).to_json(orient="records", date_format="iso"))
    return tuple(json.dumps({"dataframe_records": [row]}) for row in rows)


def _load(url: str, load: LoadRules, bodies: tuple[str, ...]) -> Load:
    return Load(url=url, connections=load.connections, seconds=float(load.seconds), bodies=bodies)


async def _on_own_endpoint(
    verified: Verified, rules: UseCaseRules, load: LoadRules, bodies: tuple[str, ...]
) -> LoadSeen:
    import mlflow.version

    served = await start_version(verified, rules=rules, environ=os.environ)
    try:
        routes = Routes(stable=served, canary=None, weight=0.0, timeout_s=60.0, fallback="none")
        gateway = Gateway(mlflow_version=mlflow.version.VERSION, routes=routes)
        async with running(gateway) as url:
            return await measure(_load(url, load, bodies))
    finally:
        await served.scorer.stop()


def judge(load: LoadRules, seen: LoadSeen, *, alpha: float) -> tuple[tuple[str, ...], bool]:
    """Hold what was measured against the bounds: one line for each, and whether all were kept.

    The 95th percentile's upper limit is taken by order statistics, as the gate's; answers under load depend on
    each other more than its limit knows. A failed request fails the test.

    Args:
        load: the load and its bounds.
        seen: what was measured.
        alpha: one-sided error of the limit.
    """
    lines: list[str] = []
    kept: list[bool] = [seen.failed == 0 and bool(seen.times_ms)]
    answers = len(seen.times_ms)
    lines.append(
        f"{_word(kept[0])}  failures       {seen.failed} of {answers + seen.failed:,} requests; wanted 0"
    )
    if load.latency_p95_ms is not None:
        told = "no answers"
        upper = float("inf")
        if answers:
            estimate = QuantileEstimate(
                times=np.sort(np.asarray(seen.times_ms, dtype=np.float64)), share=0.95
            )
            upper = estimate.upper(alpha)
            told = f"{estimate.value:.2f} ms, surely at most {upper:.2f} ms at {100 * (1 - alpha):.4g} %"
        kept.append(upper <= load.latency_p95_ms)
        lines.append(f"{_word(kept[-1])}  latency p95    {told}; wanted ≤ {load.latency_p95_ms:g} ms")
    if load.requests_per_s is not None:
        rate = answers / seen.seconds
        kept.append(rate >= load.requests_per_s)
        lines.append(
            f"{_word(kept[-1])}  throughput     {rate:.1f} answers/s ({answers:,} in {seen.seconds:g} s);"
            f" wanted ≥ {load.requests_per_s:g}"
        )
    return tuple(lines), all(kept)


def _word(kept: bool) -> str:  # noqa: FBT001 - a word for a truth value
    return "PASS" if kept else "FAIL"


def _figures(seen: LoadSeen, load: LoadRules) -> Mapping[str, Json]:
    times = np.asarray(seen.times_ms, dtype=np.float64)
    quantiles = {
        f"latency_p{share * 100:.0f}_ms": round(float(np.quantile(times, share)), 3) if times.size else None
        for share in _SHARES
    }
    return {
        **quantiles,
        "requests_per_s": round(times.size / seen.seconds, 2),
        "answers": int(times.size),
        "failed": seen.failed,
        "connections": load.connections,
        "seconds": seen.seconds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
