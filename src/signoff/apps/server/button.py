"""A plain alias as the promote button, and a plain registration: decided as `signoff promote` and `propose` decide.

The server authenticated who asks. Where the roster vouches for the server's key, that key signs the release or the
rollback on behalf of the person; without it, what is new is refused with the command that the person can give.

Files are read where the server keeps them, and hashed. No model is loaded here, so none is tried on the deployment's
rows: a model's code may not run in a process that holds a key which others trust.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from signoff.adapters.key_files import SigningKey
from signoff.apps.server.actor import off_roster
from signoff.apps.server.ledger_view import Seen
from signoff.apps.server.memory import Kept, file_state, model_digest
from signoff.apps.verbs.authors import authors_of
from signoff.apps.verbs.gate import baseline_environment, data_digest
from signoff.apps.verbs.propose import newest_judgement
from signoff.apps.verbs.recording import allowed_entry
from signoff.apps.verbs.reference import VersionReference
from signoff.apps.verbs.release import decide_release, statement_of_release
from signoff.apps.verbs.rollback import aim_rollback
from signoff.apps.verbs.subject import VersionSubject, version_subject
from signoff.apps.workspace import Actor, Workspace
from signoff.conformance.decide import check_run
from signoff.errors import StoreError, UsageError
from signoff.evidence.dsse import sign_statement
from signoff.evidence.statement import Statement
from signoff.evidence.verify import ON_BEHALF_OF
from signoff.record.digest import Digest, Json
from signoff.record.run import RunRecord
from signoff.record.schema import SchemaRecord
from signoff.release.chain import verify_release
from signoff.release.components import components_named
from signoff.release.guard.ahead import found_ahead
from signoff.release.guard.model import AliasAnswer, Asker, Record, governed_entry
from signoff.release.history import History
from signoff.release.inherited import (
    decide_return,
    inherited,
    next_number,
    return_statement,
    taken_over,
)
from signoff.release.model import Reason, Release
from signoff.release.promotion import Candidate, rollback_statement
from signoff.release.proposal import gate_refusals
from signoff.release.waivers import Waivers, waivers_for
from signoff.standard.model import EnvironmentRules, UseCaseRules

NO_WAIVERS = Waivers(by_code={}, refused=())
_PUT_BACK = "the alias was pointed back at the release before"
"""Reason of a rollback that somebody asked for by moving the alias: MLflow's API carries no other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What the decisions of one worker share.

    Attributes:
        digests: of the models of frozen runs, which nobody can change through the server.
        tables: digests of evaluation tables that are one file.
        registrations: what frozen runs lack.
        releases: what is wrong with what stands in an environment.
    """

    digests: Kept[Digest] = field(default_factory=Kept)
    tables: Kept[Digest] = field(default_factory=Kept)
    registrations: Kept[tuple[Reason, ...]] = field(default_factory=Kept)
    releases: Kept[tuple[Reason, ...]] = field(default_factory=Kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """Decides for one reading of standard and roster.

    Attributes:
        workspace: the server's own view: its database is store and ledger, its artifacts are read directly.
        key: the server's; None when it has none.
        memory: what earlier decisions worked out.
    """

    workspace: Workspace
    key: SigningKey | None
    memory: Memory

    def registration(
        self,
        rules: UseCaseRules,
        run_id: str,
        model: str,
        *,
        history: History,
        frozen: bool,
        now: str,
    ) -> tuple[Reason, ...]:
        """What a run lacks for a version of its model: what it logged, the gate on these very files, or waivers.

        Args:
            rules: the use case's.
            run_id: the run.
            model: id of the model that it logged, or where the files to be registered lie.
            history: the use case's.
            frozen: whether nothing of the run changes any more.
            now: ISO 8601 UTC, to the second.

        Raises:
            SignoffError: it could not be decided.
        """
        table = self.workspace.path(rules.gate.recipe.data)
        work_out = partial(
            self._lacking, rules, run_id, model, history=history, frozen=frozen, table=table, now=now
        )
        if not frozen:
            return work_out()
        # Nothing of a frozen run changes but its descriptive tags, which may mend what it lacks; what it is held
        # against does change.
        rests_on = (history, self.workspace.standard, self.workspace.people(), now[:10], file_state(table))
        return self.memory.registrations.get((rules.name, run_id, model), rests_on, work_out, only=())

    def _lacking(
        self,
        rules: UseCaseRules,
        run_id: str,
        model: str,
        *,
        history: History,
        frozen: bool,
        table: Path,
        now: str,
    ) -> tuple[Reason, ...]:
        workspace = self.workspace
        run = self._run(run_id)
        uri = next((m.uri for m in run.models if model in (m.model_id, m.uri)), None)
        if uri is None:
            message = f"{model} is no model that run {run_id} logged"
            return (Reason(code="source-elsewhere", message=message, fix=f"signoff propose {run_id}"),)
        # Without a gate decision on the run nothing that its files hold could help.
        judged = any(decision.text("run_id") == run_id for decision in history.of("gate-decision"))
        digest = self._digest(run_id, uri, frozen=frozen) if judged else None
        waivers = NO_WAIVERS
        if digest is not None and history.of("waiver"):
            waivers = waivers_for(
                history,
                model=digest,
                rules=rules.digest,
                people=workspace.people(),
                authors=authors_of(workspace, run),
                today=now[:10],
            )
        released = history.release(baseline_environment(rules))
        lacking = [
            Reason(code=finding.code, message=finding.message, fix=finding.fix)
            for finding in check_run(rules, run)
            if finding.severity == "block" and not waivers.covers(finding.code)
        ]
        lacking += gate_refusals(
            rules,
            run_id=run_id,
            judged=None if digest is None else newest_judgement(history, digest, run_id),
            # The table may live where only the team's machines reach it; `propose` compares it there.
            data=self._table_digest(rules, table) if judged and table.exists() else None,
            baseline=None if released is None else released.model,
            waived=waivers.by_code,
        )
        return tuple(r if r.fix else replace(r, fix=f"signoff propose {run_id}") for r in lacking)

    def _run(self, run_id: str) -> RunRecord:
        """A run with its artifacts listed and its models' MLmodel files read."""
        return found_ahead(("run", run_id), partial(self.workspace.reader().run, run_id))

    def _digest(self, run_id: str, uri: str, *, frozen: bool) -> Digest:
        def hashed() -> Digest:
            return found_ahead(("model", uri), partial(model_digest, self.workspace, uri))

        return self.memory.digests.get((run_id, uri), (), hashed) if frozen else hashed()

    def _table_digest(self, rules: UseCaseRules, table: Path) -> Digest:
        def read() -> Digest:
            return found_ahead(("table", str(table)), partial(data_digest, self.workspace, rules))

        state = file_state(table)
        return read() if state is None else self.memory.tables.get(str(table), state, read)

    def answer(
        self,
        rules: UseCaseRules,
        environment: EnvironmentRules,
        number: int,
        *,
        run_id: str | None,
        asker: Asker,
        seen: Seen,
        now: str,
    ) -> AliasAnswer:
        """May the asker point the environment's alias at this version of the registry?

        Args:
            rules: the use case's.
            environment: whose alias it is.
            number: the version.
            run_id: its run, as the registry says in the transaction that is decided.
            asker: who asks.
            seen: the log and the use case's history.
            now: ISO 8601 UTC, to the second.

        Raises:
            SignoffError: it could not be decided.
        """
        asked = _Asked(
            rules=rules,
            environment=environment,
            number=number,
            run_id=run_id,
            asker=asker,
            seen=seen,
            now=now,
        )
        if environment.server is not None:
            message = (
                f"{environment.name} stands on a server of its own; what is released is copied there first"
            )
            return _refused(Reason(code="other-server", message=message, fix=asked.command))
        standing = self._stands_already(asked)
        if standing is not None:
            return standing
        current = seen.history.release(environment.name)
        back = None if current is None else self._back(asked, current)
        return self._new(asked) if back is None else back

    def _stands_already(self, asked: "_Asked") -> AliasAnswer | None:
        """The answer for the version that signed statements say stands there; None for another one."""
        history, name, people = asked.seen.history, asked.environment.name, self.workspace.people()
        current = history.release(name)
        if current is None:
            taken = inherited(history, name, people)
            if taken is None or (taken.version, taken.run_id) != (asked.number, asked.run_id or ""):
                return None
            return asked.allowed({"stands": "inherited"})
        if current.version != asked.number:
            return None
        statement = current.statement
        reasons = self.memory.releases.get(
            (asked.rules.name, name, str(statement.id)),
            (history, people),
            lambda: verify_release(history, statement, people=people),
        )
        if statement.text("run_id") != (asked.run_id or ""):
            message = (
                f"{asked.ref} comes from run {asked.run_id}, the release is about run"
                f" {statement.text('run_id')}: the version was deleted and registered again"
            )
            reasons = (*reasons, Reason(code="version-replaced", message=message))
        # A release that does not stand any more may be given anew, as by the command.
        return None if reasons else asked.allowed({"stands": "released"})

    def _back(self, asked: "_Asked", current: Release) -> AliasAnswer | None:
        """The answer when this is the version that a rollback returns to; None when it is not, or they may not."""
        person = asked.asker.person
        people = self.workspace.people()
        if person is None or not people.may(person, "rollback") or current.version == asked.number:
            return None
        aimed = aim_rollback(
            self.workspace,
            asked.rules,
            asked.environment,
            actor=Actor(name=person, key=None),
            history=asked.seen.history,
            reason=_PUT_BACK,
            looked={},
        ).decided
        name, history = asked.environment.name, asked.seen.history
        taken = None if aimed.target is not None else taken_over(history, name, people)
        if aimed.target is not None and aimed.target.number("version") == asked.number:
            run_id, decision = aimed.target.text("run_id"), aimed.decision
        elif taken is not None and taken.version == asked.number:
            run_id = taken.run_id
            decision = decide_return(
                name, use_case=asked.rules.name, actor=person, taken=taken, reason=_PUT_BACK, people=people
            )
        else:
            return None
        if run_id != (asked.run_id or ""):
            message = (
                f"{asked.ref} is of another run than what stood there: it was deleted and registered again"
            )
            return _refused(Reason(code="version-replaced", message=message))
        fix = f"signoff rollback {asked.rules.name} --env {name} --reason '…'"
        unsigned = self._cannot_sign(asked.asker, fix)
        if not decision.allowed or unsigned:
            return _refused(*decision.reasons, *unsigned)
        if taken is None:
            statement = rollback_statement(
                name,
                use_case=asked.rules.name,
                rollback=aimed,
                actor=person,
                reason=_PUT_BACK,
                log=asked.seen.head,
                at=asked.now,
            )
        else:
            statement = return_statement(
                name,
                use_case=asked.rules.name,
                current=current,
                taken=taken,
                number=next_number(history, name, current),
                actor=person,
                reason=_PUT_BACK,
                log=asked.seen.head,
                at=asked.now,
            )
        subject = f"{asked.ref} back to {name}"
        return self._signed(asked, statement, person, action="rollback", subject=subject, before=current)

    def _new(self, asked: "_Asked") -> AliasAnswer:
        """The same decision as `signoff promote`. What statements alone can refuse is refused before files are read."""
        person = asked.asker.person
        unsigned = self._cannot_sign(asked.asker, asked.command)
        actor = Actor(name=asked.asker.name if person is None else person, key=self.key)
        stated = decide_release(self.workspace, self._as_stated(asked), asked.environment, actor).decision
        reasons = (*unsigned, *(r for r in stated.reasons if not (unsigned and r.code == "not-on-roster")))
        if reasons or person is None:
            return _refused(*reasons)
        subject = self._as_it_is(asked)
        promotion = decide_release(self.workspace, subject, asked.environment, actor)
        if not promotion.decision.allowed:
            return _refused(*promotion.decision.reasons)
        current = subject.history.release(asked.environment.name)
        statement = statement_of_release(
            self.workspace,
            subject,
            asked.environment,
            promotion,
            actor=actor,
            current=current,
            at=asked.now,
        )
        about = f"{asked.ref} to {asked.environment.name}"
        return self._signed(asked, statement, person, action="promote", subject=about, before=current)

    def _as_it_is(self, asked: "_Asked") -> VersionSubject:
        """The version with its files, which may have been read before the ledger was: what that says is said by now."""
        stated = self._as_stated(asked)
        reference = VersionReference(name=asked.rules.registered_model, version=asked.number)
        read = found_ahead(
            ("version", stated.record.uri, asked.ref),
            partial(version_subject, self.workspace, reference, tried=True),
        )
        authors = stated.candidate.authors | read.candidate.authors
        candidate = replace(read.candidate, version=stated.record, authors=authors)
        return replace(stated, inputs=read.inputs, candidate=candidate)

    def _as_stated(self, asked: "_Asked") -> VersionSubject:
        """The version as registry and proposal describe it; its files are not read."""
        workspace, rules, history = self.workspace, asked.rules, asked.seen.history
        record = workspace.reader().version(rules.registered_model, asked.number)
        if record is None:
            raise StoreError(f"the registry has no {asked.ref}", where=workspace.shown_uri)
        proposal = history.proposal(asked.number)
        authors: frozenset[str] = frozenset()
        if record.run_id is not None:
            authors = authors_of(workspace, self._run(record.run_id), proposal=proposal)
        model = None if proposal is None else proposal.statement.subject("model")
        return VersionSubject(
            rules=rules,
            record=record,
            candidate=Candidate(
                version=record,
                model=model or Digest.of(b""),
                authors=authors,
                input_gaps=(),
                components={} if proposal is None else components_named(proposal.statement),
            ),
            inputs=SchemaRecord(columns=()),
            history=history,
            head=asked.seen.head,
            proposal=proposal,
        )

    def _cannot_sign(self, asker: Asker, command: str) -> tuple[Reason, ...]:
        """Why the server cannot sign for whoever asks; empty when it can."""
        if asker.single_user:
            message = "this server has no login, so it cannot vouch for anybody"
            return (Reason(code="no-login", message=message, fix=command),)
        if asker.person is None:
            return (off_roster(asker),)
        fingerprint = None if self.key is None else self.key.fingerprint
        roster = self.workspace.people().roster
        holder = None if fingerprint is None else roster.by_fingerprint(fingerprint)
        if holder is None or not holder.vouches:
            message = (
                "a release is signed, and this server has no key"
                if fingerprint is None
                else f"a release is signed, and the roster does not vouch for this server's key {fingerprint}"
            )
            return (Reason(code="server-key", message=message, fix=f"{command}   (with your own key)"),)
        return ()

    def _signed(
        self,
        asked: "_Asked",
        statement: Statement,
        person: str,
        *,
        action: str,
        subject: str,
        before: Release | None,
    ) -> AliasAnswer:
        """Allowed, with the statement signed by the server on behalf of the person."""
        if self.key is None:  # answered before
            raise UsageError("this server has no key")
        statement = replace(statement, predicate={**statement.predicate, ON_BEHALF_OF: person})
        entry = allowed_entry(
            action=action,
            actor=Actor(name=person, key=self.key),
            use_case=asked.rules.name,
            subject=subject,
            statement=statement.id,
            at=asked.now,
            detail={
                "login": asked.asker.login,
                "from_version": None if before is None else before.version,
                "version": asked.number,
            },
        )
        record = Record(
            entry=entry,
            envelope=sign_statement(statement, self.key),
            version=asked.ref,
            run_id=asked.run_id,
            size=asked.seen.head.size,
        )
        return AliasAnswer(reasons=(), records=(record,))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One question; the fields are the arguments of `Button.answer`."""

    rules: UseCaseRules
    environment: EnvironmentRules
    number: int
    run_id: str | None
    asker: Asker
    seen: Seen
    now: str

    @property
    def ref(self) -> str:
        return f"{self.rules.registered_model}/{self.number}"

    @property
    def command(self) -> str:
        return f"signoff promote {self.ref} --env {self.environment.name}"

    def allowed(self, detail: dict[str, Json]) -> AliasAnswer:
        """What stands there may be pointed at again: written down, with no statement of its own."""
        entry = governed_entry(
            at=self.now,
            asker=self.asker,
            action="guard:alias",
            use_case=self.rules.name,
            subject=f"{self.rules.registered_model}@{self.environment.alias}",
            detail={"rule": "alias", "operation": "set alias", "version": self.number, **detail},
        )
        return AliasAnswer(reasons=(), records=(Record(entry=entry, size=self.seen.head.size),))


def _refused(*reasons: Reason) -> AliasAnswer:
    return AliasAnswer(reasons=tuple(dict.fromkeys(reasons)))
