"""A canary while it runs: what was counted in each step, what follows, and how that is written down once."""

from dataclasses import dataclass

from signoff.apps.verbs.recording import allowed_entry, history_of, signed, write
from signoff.apps.workspace import Actor, Workspace, now
from signoff.errors import EvidenceError
from signoff.record.digest import Digest
from signoff.release.canary import Canary, canary_of, rollout_statement
from signoff.rollout.canary import decide_step
from signoff.rollout.model import Counts, StepCounts, StepDecision
from signoff.rollout.recorded import decide_recorded, recorded_steps
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Requests and failures of both versions since the endpoint started, at one moment.

    Attributes:
        canary: the canary's.
        stable: those of the version that is released.
        seconds: on a clock that only goes forward.
    """

    canary: Counts
    stable: Counts
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A canary in one of its steps.

    Attributes:
        canary: as the ledger tells it.
        done: counts of the steps before this one, as recorded.
        carried: counts of this step that were recorded already: those of a last step that is complete.
        origin: where the endpoint's counts stood when this step began here. What an endpoint that was stopped had
            counted since the last recorded step is not taken over: the step asks for its requests anew.
    """

    canary: Canary
    done: tuple[StepCounts, ...]
    carried: StepCounts | None
    origin: Moment

    @property
    def place(self) -> tuple[Digest, int, bool]:
        """Which canary, in which step, and whether that is complete."""
        return self.canary.statement.id, self.canary.step, self.canary.complete

    @property
    def weight(self) -> float:
        """Share of the requests that the canary is given in this step."""
        return self.canary.plan.steps[self.canary.step].weight

    def steps(self, now: Moment) -> tuple[StepCounts, ...]:
        """All steps so far with their counts."""
        empty = Counts(requests=0, errors=0)
        before = self.carried or StepCounts(weight=self.weight, canary=empty, stable=empty, seconds=0.0)
        running = StepCounts(
            weight=self.weight,
            canary=_grown(before.canary, self.origin.canary, now.canary),
            stable=_grown(before.stable, self.origin.stable, now.stable),
            seconds=before.seconds + now.seconds - self.origin.seconds,
        )
        return (*self.done, running)

    def decide(self, now: Moment) -> tuple[StepDecision, tuple[StepCounts, ...]]:
        """What follows, and the counts that it rests on."""
        steps = self.steps(now)
        return decide_step(self.canary.plan, steps), steps


def begin_trial(canary: Canary, origin: Moment) -> Trial:
    """A canary from where the ledger says that it stands.

    Raises:
        EvidenceError: the counts that were recorded cannot be read.
    """
    last = canary.last
    counts = () if last is None else last.statement.predicate.get("counts")
    steps = () if last is None else recorded_steps(counts, named=last.id.short)
    if len(steps) != canary.step + canary.complete:
        statement = canary.statement if canary.last is None else canary.last
        raise EvidenceError(
            f"rollout statement {statement.id.short} has counts of {len(steps)} steps, not of {canary.step}"
        )
    return Trial(
        canary=canary,
        done=steps[: canary.step],
        carried=steps[canary.step] if canary.complete else None,
        origin=origin,
    )


def _grown(before: Counts, origin: Counts, now: Counts) -> Counts:
    return Counts(
        requests=before.requests + now.requests - origin.requests,
        errors=before.errors + now.errors - origin.errors,
    )


def record_step(
    workspace: Workspace,
    rules: UseCaseRules,
    environment: str,
    *,
    trial: Trial,
    decision: StepDecision,
    steps: tuple[StepCounts, ...],
    actor: Actor,
) -> bool:
    """Write a step's decision down, once: statement and audit entry in one transaction.

    Returns:
        Whether it was written now; not when the ledger says that the canary is elsewhere already, as when
        another server of the same endpoint decided first, or somebody ended it.

    Raises:
        StoreError: the ledger cannot be written, or somebody decided something else in between: try again.
        EvidenceError: the audit log was changed.
    """
    if decision.verdict == "hold":
        raise ValueError("nothing was decided")
    ledger = workspace.ledger()
    head = ledger.head()
    history = history_of(workspace, rules.name, audited=True)
    found = canary_of(history, environment, people=workspace.people(), decide_again=decide_recorded)
    if found is None or found.statement.id != trial.canary.statement.id:
        return False
    if decision.verdict != "abort" and (found.statement.id, found.step, found.complete) != trial.place:
        return False
    at = now()
    statement = rollout_statement(
        found,
        use_case=rules.name,
        environment=environment,
        verdict=decision.verdict,
        message=decision.message,
        steps=[step.to_json() for step in steps],
        evalues={"against_budget": decision.against_budget, "against_stable": decision.against_stable},
        actor=actor.name,
        log=head,
        at=at,
    )
    ref = f"{rules.registered_model}/{found.version}"
    entry = allowed_entry(
        action="rollout",
        actor=actor,
        use_case=rules.name,
        subject=f"{ref} in {environment}: {decision.verdict}",
        statement=statement.id,
        at=at,
        detail={"version": found.version, "step": found.step, "message": decision.message},
    )
    with ledger.transaction() as writer:
        write(writer, signed(statement, actor), entry, version=ref, run_id=None, expected=head.size)
    return True
