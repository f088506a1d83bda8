"""From a release back to run, data, commit, environment, gate decision and approvals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from signoff.errors import EvidenceError
from signoff.gate.model import GateDecision
from signoff.gate.verdict import contradictions
from signoff.record import capture
from signoff.record.digest import Digest, Json
from signoff.record.model_version import ModelVersionRecord
from signoff.record.run import RunRecord
from signoff.release.arrival import Held
from signoff.release.chain import approval_fault, approvals_of, verify_release
from signoff.release.components import components_named
from signoff.release.history import History, decision_of
from signoff.release.inherited import UNVERIFIED, inherited
from signoff.release.model import Reason, Signed
from signoff.release.override import made_under
from signoff.release.people import People
from signoff.review.model import Link, LinkState, Trace
from signoff.review.trials import trial_links


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFacts:
    """An output table's version as it was found.

    Attributes:
        name: the table and its version, for people.
        release: what its commit says about the release; None when it says nothing.
        data: digest of its data files now; None when one of them is gone.
        logged: digest of the data files as the audit log's entry of that version has it; None without an entry.
    """

    name: str
    release: Mapping[str, Json] | None
    data: Digest | None
    logged: Digest | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was looked up and hashed for one trace.

    Attributes:
        target: what was asked for.
        environment: the environment of the release.
        release: the release statement; None when the output or alias names none that exists.
        alias: (name, version it points at, version released there now); None when not asked through one.
        output: the output table; None when not asked through one.
        record: the registry's version; None when it is gone.
        model: digest of the version's files now; None when they are gone.
        run: the run; None when it is gone.
        data: digest of the evaluation table now; None when it is gone.
        commit: whether git has the run's commit; None when there is no repository here.
        environment_file: digest of the run's frozen-environment artifact; None when it is not there.
        log: problems of the audit log; None when it was not checked.
        log_size: entries in it.
        place: where the environment's own server has the version, or why nobody can say; None without one.
            Then record, files and run are those of that server.
        facts: digest of the facts of the run there now; None when they cannot be read.
        components: of a bundle role → digest now; empty for another model, or when its files are gone.
    """

    target: str
    environment: str
    release: Signed | None
    alias: tuple[str, int | None, int | None] | None
    output: OutputFacts | None
    record: ModelVersionRecord | None
    model: Digest | None
    run: RunRecord | None
    data: Digest | None
    commit: bool | None
    environment_file: Digest | None
    log: tuple[str, ...] | None
    log_size: int
    place: Held | tuple[Reason, ...] | None = None
    facts: Digest | None = None
    components: Mapping[str, Digest] = field(default_factory=dict)


def trace(found: Found, *, history: History, people: People) -> Trace:
    """Judge each link of what was found."""
    links: list[Link] = []
    if found.output is not None:
        links.append(_output(found, found.output))
    if found.alias is not None:
        links.append(_alias(found.alias))
    release = found.release
    if release is None:
        links.append(_no_release(found, history, people))
        return Trace(target=found.target, links=tuple(links))
    links += [
        _release(release, history, people),
        *_arrival(found.place),
        _version(found, release),
        _model(found, release),
        *_components(found, release),
        *_approvals(release, history),
        *_proposal(release, history),
        *_gate(found, release, history),
        *trial_links(release, history),
        *_triggers(release, history),
        *_run(found, release),
        _log(found),
    ]
    return Trace(target=found.target, links=tuple(links))


def _output(found: Found, output: OutputFacts) -> Link:
    said = output.release
    if said is None:
        return Link(
            kind="output",
            name=output.name,
            state="broken",
            why="its commit names no release: Signoff did not write it",
        )
    release = found.release
    agrees = (
        release is not None
        and said.get("release") == str(release.id)
        and said.get("model_digest") == str(release.statement.subject("model"))
        and said.get("model_version") == release.number("version")
        and said.get("run_id") == release.text("run_id")
    )
    source = said.get("input")
    detail = (
        (f"input {source.get('path')} {_short(source.get('digest'))}",) if isinstance(source, Mapping) else ()
    )
    if agrees and output.logged is None:
        why = "the audit log has no entry of this version, so nobody vouches for its rows"
        return Link(kind="output", name=output.name, state="recorded", detail=detail, why=why)
    if agrees and output.data == output.logged:
        return Link(kind="output", name=output.name, state="verified", detail=detail)
    if agrees:
        why = "its data files are not those that were written"
        return Link(kind="output", name=output.name, state="broken", detail=detail, why=why)
    return Link(
        kind="output",
        name=output.name,
        state="broken",
        detail=detail,
        why="its commit and the ledger disagree about the release",
    )


def _short(value: Json) -> str:
    return str(value)[:19]


def _alias(alias: tuple[str, int | None, int | None]) -> Link:
    name, pointed, released = alias
    if pointed == released and pointed is not None:
        return Link(kind="alias", name=f"{name} -> version {pointed}", state="verified")
    return Link(
        kind="alias",
        name=f"{name} -> {'nothing' if pointed is None else f'version {pointed}'}",
        state="broken",
        why=f"released is {'nothing' if released is None else f'version {released}'}: the alias was moved by hand",
    )


def _no_release(found: Found, history: History, people: People) -> Link:
    taken = inherited(history, found.environment, people)
    if taken is None:
        return Link(kind="release", name="none", state="broken", why="no release statement in the ledger")
    return Link(
        kind="release",
        name=f"version {taken.version} in {found.environment}, {UNVERIFIED}, statement {taken.statement.id.short}",
        state="broken",
        detail=(f"{taken.statement.text('at')} by {', '.join(taken.statement.signers)}",),
        why="it was there before Signoff: nobody judged, proposed or approved it",
    )


def _release(release: Signed, history: History, people: People) -> Link:
    problems = verify_release(history, release, people=people)
    name = (
        f"version {release.number('version')} to {release.text('environment')}, statement {release.id.short}"
    )
    detail = [f"{release.text('at')} by {release.signed_by or 'nobody'}"]
    detail += [f"self-approved by {person}" for person in release.texts("self_approved")]
    waived = release.statement.predicate.get("waived")
    if isinstance(waived, Mapping) and waived:
        detail.append(f"waived: {', '.join(sorted(waived))}")
    detail += [
        f"made under break-glass: {glass.words(release.text('registered_model'))}"
        for glass in made_under(history, people, release.text("at"))
    ]
    revoked = any(p.code == "release-revoked" for p in problems)
    if revoked:
        detail.append("revoked later by a rollback")
    real = [p.message for p in problems if p.code != "release-revoked"]
    return Link(
        kind="release",
        name=name,
        state="broken" if real else "verified",
        detail=tuple(detail),
        why="; ".join(real),
    )


def _arrival(place: Held | tuple[Reason, ...] | None) -> list[Link]:
    if place is None:
        return []
    if isinstance(place, tuple):
        why = "; ".join(reason.message for reason in place)
        return [Link(kind="arrival", name="?", state="broken", why=why)]
    arrival = place.arrival
    if arrival is None:
        return []
    return [
        Link(
            kind="arrival",
            name=f"version {place.version} of run {place.run_id} on {arrival.text('server')},"
            f" statement {arrival.id.short}",
            state="verified",
            detail=(f"{arrival.text('at')} by {', '.join(arrival.signers)}",),
        )
    ]


def _version(found: Found, release: Signed) -> Link:
    record = found.record
    name = f"{release.text('registered_model')}/{release.number('version')}"
    run_id = release.text("run_id")
    if isinstance(found.place, Held) and found.place.arrival is not None:
        name, run_id = f"{name}, there version {found.place.version}", found.place.run_id
    if record is None:
        return Link(kind="version", name=name, state="broken", why="it is no longer in the registry")
    if record.run_id != run_id:
        return Link(
            kind="version",
            name=name,
            state="broken",
            why=f"it now comes from run {record.run_id}: deleted and registered again",
        )
    return Link(kind="version", name=name, state="verified")


def _model(found: Found, release: Signed) -> Link:
    wanted = release.statement.subject("model")
    name = f"files {'?' if wanted is None else wanted}"
    if found.model is None:
        return Link(kind="model", name=name, state="broken", why="its files are gone")
    if found.model != wanted:
        return Link(
            kind="model",
            name=name,
            state="broken",
            why=f"the files changed: they are {found.model.short} now",
        )
    return Link(kind="model", name=name, state="verified")


def _components(found: Found, release: Signed) -> list[Link]:
    links: list[Link] = []
    for role, digest in components_named(release.statement).items():
        now = found.components.get(role)
        why = "" if now == digest else f"it changed: it is {'gone' if now is None else now.short} now"
        state: LinkState = "broken" if why else "verified"
        links.append(Link(kind="component", name=f"{role} {digest}", state=state, why=why))
    return links


def _approvals(release: Signed, history: History) -> list[Link]:
    links: list[Link] = []
    for person, digest in sorted(approvals_of(release).items()):
        approval = history.by_id(digest)
        fault = approval_fault(history, release, person, digest)
        detail: tuple[str, ...] = ()
        if approval is not None:
            comment = approval.text("comment")
            detail = (
                f"{approval.text('at')} as {', '.join(approval.texts('roles'))}",
                *((comment,) if comment else ()),
                *(f"confirmed: {item}" for item in approval.texts("checklist")),
            )
        links.append(
            Link(
                kind="approval",
                name=person,
                state="verified" if fault is None else "broken",
                detail=detail,
                why="" if fault is None else fault.message,
            )
        )
    if links:
        return links
    if release.statement.predicate.get("required") == []:
        return [Link(kind="approval", name="none was asked for", state="recorded")]
    return [
        Link(kind="approval", name="none", state="broken", why="the release names none, though it had to")
    ]


def _proposal(release: Signed, history: History) -> list[Link]:
    named = release.statement.subject("proposal")
    proposal = None if named is None else history.by_id(named)
    if proposal is None or proposal.statement.kind != "proposal":
        return [Link(kind="proposal", name="?", state="broken", why="it is not in the ledger")]
    context = proposal.statement.predicate.get("context")
    detail = (
        tuple(f"{key}: {value}" for key, value in context.items()) if isinstance(context, Mapping) else ()
    )
    return [
        Link(
            kind="proposal",
            name=", ".join(proposal.signers) or "unsigned",
            state="verified" if proposal.signers else "broken",
            detail=(proposal.text("at"), *detail),
            why="" if proposal.signers else "its signature does not verify",
        )
    ]


def _gate(found: Found, release: Signed, history: History) -> list[Link]:
    named = release.statement.subject("decision")
    signed = None if named is None else history.by_id(named)
    if signed is None:
        return [Link(kind="gate", name="?", state="broken", why="the decision is not in the ledger")]
    try:
        decision = decision_of(signed)
    except EvidenceError as error:
        return [Link(kind="gate", name=f"statement {signed.id.short}", state="broken", why=str(error))]
    wrong = contradictions(decision)
    gate = Link(
        kind="gate",
        name=f"{decision.verdict}, {decision.case}, statement {signed.id.short}",
        state="broken" if wrong else "verified",
        detail=tuple(f"{c.status}: {c.title}: {c.message}" for c in decision.checks if c.severity == "block"),
        why="; ".join(wrong),
    )
    return [gate, _evaluation_data(found, decision)]


def _evaluation_data(found: Found, decision: GateDecision) -> Link:
    name = f"evaluation table {decision.data}, {decision.rows:,} rows"
    if found.data == decision.data:
        return Link(kind="data", name=name, state="verified")
    why = "the table is not there any more" if found.data is None else "the recipe finds a newer table now"
    return Link(kind="data", name=name, state="recorded", why=why)


def _triggers(release: Signed, history: History) -> list[Link]:
    """What fired while it was released."""
    return [
        Link(
            kind="trigger",
            name=f"{fired.text('monitor')}: {fired.text('then')}, statement {fired.id.short}",
            state="verified" if fired.signers else "recorded",
            detail=(f"{fired.text('at')} by {fired.text('actor')}", fired.text("message")),
            why="" if fired.signers else "whoever watched gave no key",
        )
        for fired in history.of("trigger")
        if fired.statement.subject("release") == release.id
    ]


def _run(found: Found, release: Signed) -> list[Link]:
    run = found.run
    if run is None:
        return [
            Link(
                kind="run",
                name=release.text("run_id"),
                state="broken",
                why="the run is no longer in the store",
            )
        ]
    data = [
        Link(
            kind="data",
            name=f"{dataset.context or 'input'} {dataset.name} {_short(dataset.digest)}",
            state="recorded",
            detail=(f"source {dataset.source}",) if dataset.source else (),
            why="logged by the run's client",
        )
        for dataset in run.datasets
    ]
    return [
        Link(
            kind="run",
            name=f"{run.run_id} {run.run_name}",
            state="recorded",
            detail=(
                f"experiment {run.experiment}, user {run.user or '?'}",
                *_copied(found.place, found.facts, release),
                *_trained_for(run),
            ),
            why="what a run logged is its client's word; the model's bytes above are what was judged",
        ),
        *data,
        _code(found, run),
        _environment_link(found, run),
    ]


def _trained_for(run: RunRecord) -> tuple[str, ...]:
    told = run.tags.get(capture.TRIGGER)
    return () if told is None else (f"trained because a monitor fired, statement {_short(told)}",)


def _copied(
    place: Held | tuple[Reason, ...] | None, facts: Digest | None, release: Signed
) -> tuple[str, ...]:
    """Whether the run on the environment's own server still says what was copied to it."""
    if not isinstance(place, Held) or place.arrival is None:
        return ()
    state = "unchanged since" if facts == place.facts else "CHANGED since"
    return (f"copy of run {release.text('run_id')}, {state}",)


def _code(found: Found, run: RunRecord) -> Link:
    commit = capture.fact(run, capture.GIT_COMMIT)
    if commit is None:
        return Link(kind="code", name="?", state="unknown", why="the run names no commit")
    dirty = run.tags.get(capture.GIT_DIRTY) == "true"
    name = f"commit {commit[:12]}{' with uncommitted changes' if dirty else ''}"
    detail = tuple(x for x in (run.tags.get(capture.ENTRY_POINT),) if x)
    if found.commit is None:
        return Link(kind="code", name=name, state="unknown", detail=detail, why="there is no repository here")
    if not found.commit:
        return Link(
            kind="code",
            name=name,
            state="broken",
            detail=detail,
            why="the repository does not have this commit",
        )
    return Link(
        kind="code",
        name=name,
        state="recorded",
        detail=detail,
        why="the commit exists; that it was the one that ran is the client's word",
    )


def _environment_link(found: Found, run: RunRecord) -> Link:
    told = run.tags.get(capture.ENVIRONMENT_DIGEST)
    python = run.tags.get(capture.PYTHON, "?")
    if told is None:
        return Link(
            kind="environment", name=f"Python {python}", state="unknown", why="the run names no digest"
        )
    name = f"Python {python}, packages {_short(told)}"
    if found.environment_file is None:
        return Link(
            kind="environment", name=name, state="unknown", why="the frozen package list was not attached"
        )
    if str(found.environment_file) != told:
        return Link(
            kind="environment", name=name, state="broken", why="the attached package list has another digest"
        )
    return Link(
        kind="environment",
        name=name,
        state="recorded",
        detail=(capture.ENVIRONMENT_ARTIFACT,),
        why="list and digest agree; both were logged by the run's client",
    )


def _log(found: Found) -> Link:
    name = f"audit log, {found.log_size} entries"
    if found.log is None:
        return Link(kind="log", name=name, state="unknown", why="it was not checked")
    if found.log:
        return Link(kind="log", name=name, state="broken", why="; ".join(found.log))
    return Link(kind="log", name=name, state="verified")
