"""What the gateway serves, kept at what the ledger says: releases, rollbacks and canaries, without a restart.

Three loops in the gateway's process. One watches the audit log's head and reads what should be served when it moved;
one judges the canary, and one writes down what was decided. All that blocks happens in threads. Whatever cannot be
verified or reached changes nothing: the last good version goes on answering, and `health` says why.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from signoff.apps.scoring.released import alias_moved
from signoff.apps.serving.gateway import Gateway
from signoff.apps.serving.pool import Pool
from signoff.apps.serving.routes import Routes, Scorer, Served
from signoff.apps.serving.trial import Moment, Trial, begin_trial, record_step
from signoff.apps.serving.wanted import BytesKey, Version, Wanted, read_wanted, rolled_back
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import EvidenceError, ModelError, SignoffError, StoreError
from signoff.evidence.ledger import LogHead
from signoff.record.digest import Digest, Json
from signoff.release.canary import Canary, step_signer_fault
from signoff.release.history import History
from signoff.release.model import Reason
from signoff.rollout.model import StepCounts, StepDecision
from signoff.standard.deployment import ServingRules
from signoff.standard.model import EnvironmentRules, UseCaseRules

POLL_S = 0.1
"""Between two looks at the log's head, and between two judgements of a canary."""
AGAIN_S = 2.0
"""Between two looks at the registry's alias, and before what could not be read is read again."""

DEFAULT_RULES = ServingRules(timeout_ms=1000, fallback="stable", canary=None, load=None, log=None)
"""For a use case whose standard has no ``serving`` section."""

_log = logging.getLogger("signoff.serving")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """A decision about the canary that must still be written down.

    An abort is kept until it is written or the ledger says that the canary ended otherwise; any other one until the
    ledger tells where the canary is now.
    """

    trial: Trial
    decision: StepDecision
    steps: tuple[StepCounts, ...]
    moment: Moment

    @property
    def aborts(self) -> bool:
        """Whether it ends the canary."""
        return self.decision.verdict == "abort"

    @property
    def words(self) -> str:
        """What was decided, for people."""
        canary, decided = (
            self.trial.canary,
            "its abort" if self.aborts else f"the end of step {self.decision.step + 1}",
        )
        return f"canary {canary.version}: {decided} is decided but not written down yet"


@dataclass(kw_only=True, slots=True)
class _Reading:
    """How reading goes.

    Attributes:
        reachable: whether the last look at the ledger succeeded.
        since: since when that is so, ISO 8601 UTC.
        head: of the log, when it was last read whole.
        refused: why what the ledger names now may not be served.
        trouble: what went wrong with the last look; "" when nothing did.
        due: when to look at the alias, or again at what went wrong; on the monotonic clock, in seconds.
    """

    reachable: bool = True
    since: str = field(default_factory=now)
    head: LogHead | None = None
    refused: tuple[Reason, ...] = ()
    trouble: str = ""
    due: float = 0.0

    def looked(self, *, reachable: bool, trouble: str = "") -> None:
        """Remember how a look went."""
        if reachable != self.reachable:
            self.reachable, self.since = reachable, now()
        self.trouble = trouble


class Control:
    """Keeps one endpoint at what is released; belongs to one event loop."""

    def __init__(
        self,
        workspace: Workspace,
        rules: UseCaseRules,
        environment: EnvironmentRules,
        *,
        gateway: Gateway,
        actor: Actor,
        environ: Mapping[str, str],
    ) -> None:
        """A control that has read nothing yet.

        Args:
            workspace: the team's workspace.
            rules: the use case's rules.
            environment: the environment whose release is served.
            gateway: whose routes are replaced.
            actor: whose key signs a canary's steps.
            environ: environment variables that scorers start from.
        """
        self._workspace, self._rules, self._environment = workspace, rules, environment
        self._gateway, self._actor = gateway, actor
        self._settings = rules.serving or DEFAULT_RULES
        self._pool = Pool(workspace, rules, environment, environ)
        self._reading = _Reading()
        self._wanted: Wanted | None = None
        self._trial: Trial | None = None
        self._aborted: set[Digest] = set()
        self._verdict: _Verdict | None = None
        self._unwritten = ""
        self._told: frozenset[str] = frozenset()

    async def begin(self) -> tuple[Reason, ...]:
        """Load what is released and set the routes.

        Returns:
            Why nothing that is released may be served; empty when it is served.

        Raises:
            SignoffError: it could not be decided or loaded.
        """
        found = await asyncio.to_thread(self._read)
        if isinstance(found, tuple):
            return found
        reasons = await self._pool.load(found.stable, found.history)
        if not reasons:
            self._take(found)
            self._reading.head = found.head
            self._reconcile()
        return reasons

    async def run(self) -> None:
        """Follow the ledger and judge the canary until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._judge())
            group.create_task(self._write_down())

    async def close(self) -> None:
        """Write down an abort that waits for it, and end all scorers; what they have begun is finished."""
        verdict = self._verdict
        if verdict is not None and verdict.aborts and not await self._write(verdict):
            await self._write(verdict)  # the first may have met the one that was under way
            self._tell()
        await self._pool.close()

    # Reading

    def _read(self) -> Wanted | tuple[Reason, ...]:
        return read_wanted(self._workspace, self._rules, self._environment, audited=True)

    def _read_rollback(self, since: LogHead, head: LogHead) -> Wanted | tuple[Reason, ...]:
        """What should be served when somebody has rolled back since; nothing when nobody has."""
        if not rolled_back(self._workspace, self._rules, since=since, head=head):
            return ()
        return read_wanted(self._workspace, self._rules, self._environment, audited=False)

    async def _watch(self) -> None:
        while True:
            await self._look()
            self._reconcile()
            self._tell()
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        """Read what should be served when the log has moved; what went wrong is tried again after a while."""
        reading = self._reading
        try:
            head = await asyncio.to_thread(self._workspace.ledger().head)
            due = time.monotonic() >= reading.due
            moved = head != reading.head and (not reading.trouble or not reading.reachable)
            if moved or (due and (reading.trouble or reading.refused)):
                reading.due = time.monotonic() + AGAIN_S
                _refuse_shorter(reading.head, head)
                if reading.head is not None:
                    await self._flip_back(reading.head, head)
                self._take(await asyncio.to_thread(self._read))
                reading.head = head
            elif due and self._wanted is not None:
                reading.due = time.monotonic() + AGAIN_S
                await asyncio.to_thread(self._check_alias, self._wanted)
            elif reading.trouble:
                return
            reading.looked(reachable=True)
        except StoreError as error:
            reading.looked(reachable=False, trouble=str(error))
        except SignoffError as error:
            reading.looked(reachable=True, trouble=str(error))
        except Exception as error:  # noqa: BLE001 - a reader's surprise must not end serving
            reading.looked(reachable=True, trouble=f"{type(error).__name__} while reading the ledger")

    async def _flip_back(self, since: LogHead, head: LogHead) -> None:
        """Follow a rollback at once when what it returns to is loaded: the audit of the whole log comes after."""
        found = await asyncio.to_thread(self._read_rollback, since, head)
        if not isinstance(found, Wanted) or found.canary is not None or self._wanted is None:
            return
        back = found.release.rollback is not None or found.stable == self._wanted.stable
        if back and self._pool.ready(found.stable):
            self._take(found)
            self._reconcile()

    def _check_alias(self, wanted: Wanted) -> None:
        moved = alias_moved(
            self._workspace,
            self._rules,
            self._environment,
            history=wanted.history,
            release=wanted.release,
        )
        self._reading.refused = () if moved is None else (moved,)

    def _take(self, found: Wanted | tuple[Reason, ...]) -> None:
        if isinstance(found, tuple):
            self._reading.refused = found
            return
        self._reading.refused = ()
        why = "" if found.canary is None else self._cannot_sign(found.history, found.canary)
        if found.canary is not None and why:
            told = (
                f"canary {found.canary.version} is not served: its steps must be signed by a person who may promote"
                f" and is no author of it, and {why}; start it with --key of such a person"
            )
            found = replace(found, canary=None, trial=None, problem=told)
        if self._wanted is None or found.stable != self._wanted.stable:
            self._pool.hurry(found.stable)
        self._wanted = found

    def _cannot_sign(self, history: History, canary: Canary) -> str:
        """Why the steps of a canary would not count with this server's signature; "" when they would."""
        key, people = self._actor.key, self._workspace.people()
        person = None if key is None else people.roster.by_fingerprint(key.fingerprint)
        if person is None:
            return "this server has no key of somebody on the roster"
        return step_signer_fault(history, canary.statement, people, person.email)

    # Routes

    def _reconcile(self) -> None:
        """Bring routes and processes as near to what is wanted as what is loaded allows."""
        wanted = self._wanted
        if wanted is None:
            return
        self._follow(wanted)
        on_trial = wanted.trial if self._trial is not None else None
        self._route(wanted, on_trial)
        versions = [version for version in (wanted.stable, on_trial, wanted.previous) if version]
        for version in versions:
            self._pool.load_soon(version, wanted.history, self._loaded)
        self._pool.keep({version.bytes_of for version in versions} | _routed(self._gateway.routes))

    def _route(self, wanted: Wanted, on_trial: Version | None) -> None:
        routes = self._gateway.routes
        stable = self._pool.get(wanted.stable)
        if stable is None or (not stable.alive and _better_stays(routes, stable)):
            if routes is not None and routes.canary is not None:  # it was tried beside another release
                self._gateway.routes = replace(routes, canary=None, weight=0.0)
            return
        canary = None if on_trial is None else self._pool.get(on_trial)
        new = Routes(
            stable=_served(wanted.stable, stable),
            canary=None if on_trial is None or canary is None else _served(on_trial, canary),
            weight=0.0 if canary is None or self._trial is None else self._trial.weight,
            timeout_s=self._settings.timeout_ms / 1000,
            fallback=self._settings.fallback,
        )
        if new == routes:
            return
        if new.canary is not None and self._trial is not None and (routes is None or routes.canary is None):
            # Only what both answered at the same time can be compared.
            self._trial = replace(self._trial, origin=self._moment(wanted))
        self._gateway.routes = new

    def _loaded(self, version: Version, unloadable: ModelError | None) -> None:
        if unloadable is not None:
            self._abort_unloadable(version, unloadable)
        self._reconcile()

    # The canary

    def _moment(self, wanted: Wanted) -> Moment:
        tally = self._gateway.tally
        return Moment(
            canary=tally.of((wanted.trial or wanted.stable).statement.id),
            stable=tally.of(wanted.stable.statement.id),
            seconds=time.monotonic(),
        )

    def _follow(self, wanted: Wanted) -> None:
        """Take over the canary and the step that the ledger names."""
        canary, decided = wanted.canary, self._verdict
        if canary is None:
            self._trial = None
            self._verdict = decided if decided is not None and decided.aborts else None
            return
        if canary.statement.id in self._aborted:
            self._trial = None
            return
        place = (canary.statement.id, canary.step, canary.complete)
        if self._trial is not None and self._trial.place == place:
            return
        # What was counted while the decision was written belongs to the next step.
        same = decided is not None and decided.trial.place[0] == canary.statement.id
        origin = decided.moment if decided is not None and same else self._moment(wanted)
        self._verdict = None
        try:
            self._trial = begin_trial(canary, origin)
        except EvidenceError as error:
            self._trial = None
            self._wanted = replace(
                wanted, canary=None, trial=None, problem=f"canary {canary.version} is not served: {error}"
            )

    async def _judge(self) -> None:
        while True:
            wanted, trial = self._wanted, self._trial
            if wanted is not None and trial is not None:
                moment = self._moment(wanted)
                decision, steps = trial.decide(moment)
                # While a step waits to be written down, the canary can still fail.
                news = decision.verdict == "abort" or self._verdict is None
                settled = decision.verdict == "complete" and trial.canary.complete
                if news and decision.verdict != "hold" and not settled:
                    self._decided(_Verdict(trial=trial, decision=decision, steps=steps, moment=moment))
            await asyncio.sleep(POLL_S)

    async def _write_down(self) -> None:
        while True:
            written = self._verdict is None or await self._write(self._verdict)
            await asyncio.sleep(POLL_S if written else AGAIN_S)

    def _decided(self, verdict: _Verdict) -> None:
        self._verdict, self._unwritten = verdict, ""
        ref = f"{self._rules.registered_model}/{verdict.trial.canary.version}"
        if verdict.aborts:
            self._aborted.add(verdict.trial.canary.statement.id)
            self._reconcile()  # callers do not wait for the ledger
            _log.error("canary %s: %s", ref, verdict.decision.message)
        else:
            _log.info("canary %s: %s", ref, verdict.decision.message)

    def _abort_unloadable(self, version: Version, error: ModelError) -> None:
        """A canary whose verified files do not load has failed."""
        trial, wanted = self._trial, self._wanted
        if trial is None or wanted is None or trial.canary.statement.id != version.statement.id:
            return
        moment = self._moment(wanted)
        decision = StepDecision(
            step=trial.canary.step,
            verdict="abort",
            message=f"aborted before its first request: {error.what}",
            against_budget=0.0,
            against_stable=0.0,
        )
        self._decided(_Verdict(trial=trial, decision=decision, steps=trial.steps(moment), moment=moment))

    async def _write(self, verdict: _Verdict) -> bool:
        """Write a decision down; whether there was no trouble."""
        try:
            await asyncio.to_thread(
                record_step,
                self._workspace,
                self._rules,
                self._environment.name,
                trial=verdict.trial,
                decision=verdict.decision,
                steps=verdict.steps,
                actor=self._actor,
            )
        except SignoffError as error:
            self._unwritten = f"{verdict.words}: {error.what}"
        except Exception as error:  # noqa: BLE001 - the decision holds in this process, and is tried again
            self._unwritten = f"{verdict.words}: {type(error).__name__} while writing it"
        else:
            self._unwritten = ""
            if verdict.aborts and self._verdict is verdict:
                self._verdict = None
        return not self._unwritten

    # What people see

    def _problems(self) -> tuple[str, ...]:
        found = [f"{reason.code}: {reason.message}" for reason in self._reading.refused]
        if self._reading.trouble:
            found.append(self._reading.trouble)
        if self._unwritten and self._verdict is not None:
            found.append(self._unwritten)
        wanted = self._wanted
        if wanted is not None:
            found += [wanted.problem] if wanted.problem else []
            for version in (wanted.stable, wanted.trial, wanted.previous):
                why = "" if version is None else self._pool.failure(version)
                if version is not None and why:
                    found.append(f"version {version.number} is not loaded: {why}")
        return tuple(found)

    def _ended(self) -> tuple[str, ...]:
        """What is wrong with processes that were loaded, have ended and are started again."""
        wanted = self._wanted
        versions = () if wanted is None else (wanted.stable, wanted.trial, wanted.previous)
        troubles = [(v.number, self._pool.trouble(v)) for v in versions if v is not None]
        return tuple(f"version {number}: {trouble}" for number, trouble in troubles if trouble)

    def _tell(self) -> None:
        """Log each trouble once, and when it is over; processes that end speak for themselves."""
        problems = frozenset(self._problems())
        for problem in sorted(problems - self._told):
            _log.error("%s; what was served last goes on", problem)
        if self._told and not problems:
            _log.warning("all is well again")
        self._told = problems

    def health(self) -> dict[str, Json]:
        """What is served and what is wrong, for `/signoff/health`."""
        routes, wanted = self._gateway.routes, self._wanted
        stable = None if routes is None else routes.stable
        previous = None if wanted is None else wanted.previous
        warm = previous is not None and self._pool.ready(previous)
        return {
            "use_case": self._rules.name,
            "environment": self._environment.name,
            "version": None if stable is None else stable.version,
            "digest": None if stable is None else str(stable.model),
            "release": None if stable is None else str(stable.statement),
            "counts": None if stable is None else self._gateway.tally.of(stable.statement).to_json(),
            "canary": self._canary_json(),
            "previous": None if previous is None else {"version": previous.number, "loaded": warm},
            "ledger": {"reachable": self._reading.reachable, "since": self._reading.since},
            "problems": [*self._problems(), *self._ended()],
        }

    def _canary_json(self) -> Json:
        wanted, trial, routes = self._wanted, self._trial, self._gateway.routes
        if wanted is None or trial is None:
            return None
        decision, steps = trial.decide(self._moment(wanted))
        return {
            "version": trial.canary.version,
            "statement": str(trial.canary.statement.id),
            "loaded": routes is not None and routes.canary is not None and routes.canary.scorer.alive,
            "step": trial.canary.step + 1,
            "of": len(trial.canary.plan.steps),
            "complete": trial.canary.complete,
            "weight": trial.weight,
            "counts": steps[-1].to_json(),
            "against_budget": decision.against_budget,
            "against_stable": decision.against_stable,
            "message": decision.message,
        }


def _routed(routes: Routes | None) -> set[BytesKey]:
    """The versions whose scorers answer now."""
    if routes is None:
        return set()
    return {(s.version, s.model) for s in (routes.stable, routes.canary) if s is not None}


def _better_stays(routes: Routes | None, wanted: Scorer) -> bool:
    """Whether another version answers now, while the process of the one that should has ended: callers need answers."""
    return routes is not None and routes.stable.scorer is not wanted and routes.stable.scorer.alive


def _refuse_shorter(before: LogHead | None, head: LogHead) -> None:
    """A log never shrinks: another database stands where the ledger was.

    Raises:
        EvidenceError: it has fewer entries than before.
    """
    if before is not None and head.size < before.size:
        raise EvidenceError(
            f"the audit log had {before.size} entries and has {head.size} now",
            hint="signoff admin audit --verify",
        )


def _served(version: Version, scorer: Scorer) -> Served:
    return Served(version=version.number, model=version.model, statement=version.statement.id, scorer=scorer)
