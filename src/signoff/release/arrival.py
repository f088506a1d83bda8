"""Environments on servers of their own: what was copied there, and where a released version stands now.

An arrival statement says that one version's files were taken to another server, read back from there and found
to be the bytes that were approved. It maps the version that statements name to the one that the server has. It
releases nothing: that is the release statement's word.

Steps, for an environment on a server of its own:

(1) there is an arrival of this version with these model files in this environment;
(2) it is signed by a person who may promote; the newest such one counts, for a copy may be made again;
(3) it names the version and the run on that server.

Whether the files there are still these bytes is for whoever uses them to compare, before each use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from signoff.evidence.ledger import LogHead
from signoff.evidence.statement import Statement, Subject
from signoff.record import capture
from signoff.record.digest import Digest, Json
from signoff.record.run import RunRecord
from signoff.release.approval import head_json
from signoff.release.history import History
from signoff.release.model import Reason, Release, Signed
from signoff.release.people import People
from signoff.standard.model import EnvironmentRules, UseCaseRules

MARK = "signoff.copy."
"""Prefix of the tags that name a copied run's origin, for people's eyes and for finding it again."""
_NOT_COPIED = (
    "mlflow.runName",
    "mlflow.parentRunId",
    "mlflow.rootRunId",
    "mlflow.log-model.history",
    "mlflow.note.content",
)
"""Tags that MLflow sets itself, that name things of the other server, or that people edit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Where an environment holds a released version.

    Attributes:
        version: its number on the environment's server; the released number where there is no other server.
        run_id: its run there.
        facts: digest of the run's facts as they were copied; None where there is no other server.
        arrival: the statement that says so; None where there is no other server.
    """

    version: int
    run_id: str
    facts: Digest | None
    arrival: Signed | None


def held(
    environment: EnvironmentRules,
    *,
    history: History,
    version: int,
    run_id: str,
    model: Digest,
    people: People,
) -> Held | tuple[Reason, ...]:
    """Where the environment holds a version, or why nobody can say.

    Args:
        environment: the environment.
        history: the use case's statements.
        version: the version's number in the standard's store, as statements name it.
        run_id: its run there.
        model: digest of its files.
        people: the roster and roles.
    """
    if environment.server is None:
        return Held(version=version, run_id=run_id, facts=None, arrival=None)
    named = [
        arrival
        for arrival in history.of("arrival")
        if arrival.text("environment") == environment.name and arrival.number("version") == version
    ]
    same = [a for a in named if a.statement.subject("model") == model and a.text("run_id") == run_id]
    fix = f"signoff promote {_ref(named, version)} --env {environment.name}"
    if not named:  # (1)
        message = f"version {version} was never copied to the server of {environment.name}"
        return (Reason(code="not-arrived", message=message, fix=fix),)
    if not same:
        told = named[-1].statement.subject("model")
        message = (
            f"what arrived in {environment.name} as version {version} is not what is released"
            f" (released {model.short} of run {run_id}, arrived {'nothing' if told is None else told.short}"
            f" of run {named[-1].text('run_id')})"
        )
        return (Reason(code="arrival-digest", message=message, fix=fix),)
    signed = [a for a in same if any(people.may(signer, "promote") for signer in a.signers)]
    if not signed:  # (2)
        by = ", ".join(same[-1].signers) or "; ".join(same[-1].problems) or "nobody"
        message = (
            f"the arrival in {environment.name} is not signed by a person who may promote (signed: {by})"
        )
        return (Reason(code="arrival-signature", message=message, fix=fix),)
    newest = signed[-1]
    there, run_there = newest.number("target_version"), newest.text("target_run_id")
    if there is None or not run_there:  # (3)
        message = f"the arrival {newest.id.short} names no version or run on the server of {environment.name}"
        return (Reason(code="not-arrived", message=message, fix=fix),)
    return Held(version=there, run_id=run_there, facts=newest.statement.subject("facts"), arrival=newest)


def held_release(
    environment: EnvironmentRules, release: Release | Signed, *, history: History, people: People
) -> Held | tuple[Reason, ...]:
    """Where the environment holds what a release statement released; see `held`."""
    signed = release.statement if isinstance(release, Release) else release
    version, model = signed.number("version"), signed.statement.subject("model")
    if version is None or model is None:
        message = f"the release {signed.id.short} names no version or no model"
        return (Reason(code="not-arrived", message=message),)
    return held(
        environment,
        history=history,
        version=version,
        run_id=signed.text("run_id"),
        model=model,
        people=people,
    )


def released_number(environment: EnvironmentRules, there: int | None, *, history: History) -> int | None:
    """The number that statements give to a version of the environment's server, for people's eyes.

    Args:
        environment: the environment.
        there: the version's number on its server.
        history: the use case's statements.

    Returns:
        The number as it is where no arrival names it.
    """
    if environment.server is None or there is None:
        return there
    named = [
        arrival.number("version")
        for arrival in history.of("arrival")
        if arrival.signers
        and arrival.text("environment") == environment.name
        and arrival.number("target_version") == there
    ]
    return named[-1] if named else there


def _ref(named: list[Signed], version: int) -> str:
    name = next((a.text("registered_model") for a in reversed(named)), "")
    return f"{name or 'USE_CASE'}/{version}"


def arrival_statement(
    rules: UseCaseRules,
    environment: EnvironmentRules,
    *,
    version: int,
    run_id: str,
    model: Digest,
    facts: Digest,
    there: int,
    run_there: str,
    server: str,
    actor: str,
    log: LogHead,
    at: str,
) -> Statement:
    """The statement of a promoter whose copy was read back and compared.

    Args:
        rules: the use case.
        environment: where it arrived.
        version: its number in the standard's store.
        run_id: its run there.
        model: digest of its files, equal on both sides.
        facts: digest of its run's facts, equal on both sides; see `facts_digest`.
        there: its number on the environment's server.
        run_there: its run on that server.
        server: that server's address without user, password and options.
        actor: e-mail of the person whose key signs.
        log: the audit log's head as they saw it.
        at: ISO time, UTC.
    """
    return Statement(
        kind="arrival",
        subjects=(Subject(name="model", digest=model), Subject(name="facts", digest=facts)),
        predicate={
            "use_case": rules.name,
            "environment": environment.name,
            "registered_model": rules.registered_model,
            "version": version,
            "run_id": run_id,
            "target_version": there,
            "target_run_id": run_there,
            "server": server,
            "actor": actor,
            "log": head_json(log),
            "at": at,
        },
    )


def copied_tags(run: RunRecord) -> dict[str, str]:
    """The tags that go along with a run."""
    return {
        name: value
        for name, value in run.tags.items()
        if name not in _NOT_COPIED and not name.startswith(MARK)
    }


def copied_artifacts(rules: UseCaseRules, run: RunRecord) -> tuple[str, ...]:
    """The artifacts that go along: attached evidence, the package list, and what the standard asks for.

    The model's files go as the model. Reports of the gate stay: the decision itself is in the ledger.
    """
    asked = [p for r in rules.requirements if r.kind == "artifact" for p in r.accepts]
    wanted = (f"{capture.EVIDENCE_FOLDER}/*", capture.ENVIRONMENT_ARTIFACT, *asked)
    models = tuple(f"{model.name}/" for model in run.models if model.model_id is None)
    return tuple(
        path
        for path in run.artifacts
        if any(fnmatchcase(path, pattern) for pattern in wanted)
        and not (models and path.startswith(models))
        and ".." not in path.split("/")
        and not path.startswith("/")
    )


def facts_digest(run: RunRecord, artifacts: Mapping[str, Digest]) -> Digest:
    """Digest of what goes along with a model to another server: the same on both sides, or it was changed.

    Args:
        run: the run on either side.
        artifacts: path and digest of each artifact that goes along.
    """
    datasets: list[Json] = [
        [d.context, d.name, d.digest, d.source, d.source_type, d.rows, d.version] for d in run.datasets
    ]
    facts: Json = {
        "run_name": run.run_name,
        "params": dict(run.params),
        "metrics": {name: repr(float(value)) for name, value in run.metrics.items()},  # NaN has no JSON
        "tags": dict(copied_tags(run)),
        "datasets": datasets,
        "artifacts": {path: str(digest) for path, digest in artifacts.items()},
    }
    return Digest.of_json(facts)
