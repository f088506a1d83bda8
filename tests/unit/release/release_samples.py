"""A team, its rules, and desks on which real signed statements are laid down one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from release_changes import Change, digest, renaming

from signoff.evidence import sshsig
from signoff.evidence.dsse import Envelope, Signature, sign_statement
from signoff.evidence.ledger import Entry, LogHead
from signoff.evidence.roster import parse_roster
from signoff.evidence.sshsig import PublicKey
from signoff.evidence.statement import Statement, Subject
from signoff.gate.model import CheckResult, GateContext, GateDecision, ModelRef
from signoff.gate.verdict import verdict_of
from signoff.record.digest import Digest, Json
from signoff.record.model_version import ModelVersionRecord
from signoff.release.approval import Binding, approval_statement
from signoff.release.history import History, read_history
from signoff.release.model import Reason, Signed
from signoff.release.people import People
from signoff.release.promotion import (
    Candidate,
    Promotion,
    Rollback,
    decide_promotion,
    decide_rollback,
    release_statement,
    rollback_statement,
)
from signoff.release.proposal import proposal_statement
from signoff.release.waivers import Waivers, waivers_for
from signoff.rollout.recorded import decide_recorded
from signoff.standard.load import load_standard
from signoff.standard.model import ApprovalRule, EnvironmentRules, Transition, UseCaseRules


@dataclass(frozen=True)
class Key:
    """A person's key."""

    email: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey.of(self.private, self.email)

    def sign(self, message: bytes) -> Signature:
        return Signature(keyid=self.public.fingerprint, sig=sshsig.sign(self.private, message))


def _key(name: str, number: int) -> Key:
    return Key(f"{name}@shop.example", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


NAMES = ("ana", "abe", "ben", "bea", "cleo", "dora", "fay", "stranger")
ANA, ABE, BEN, BEA, CLEO, DORA, FAY, STRANGER = (_key(name, n) for n, name in enumerate(NAMES, start=1))
_ROLE = {
    ANA: "[author]",
    ABE: "[author]",
    BEN: "[reviewer]",
    BEA: "[reviewer]",
    CLEO: "[platform-owner]",
    DORA: "[reviewer, platform-owner]",
    FAY: "[wizard]",
}
ROSTER_TEXT = "people:\n" + "".join(
    f"  {key.email}:\n    name: {key.email[0].upper()}. {key.email.split('@')[0]}\n    roles: {roles}\n"
    f'    keys: ["{key.public.line}"]\n    also: [{key.email.split("@")[0]}-laptop]\n'
    for key, roles in _ROLE.items()
)
ROLES: dict[str, frozenset[Transition]] = {
    "author": frozenset({"propose", "note"}),
    "reviewer": frozenset({"approve", "reject", "note"}),
    "platform-owner": frozenset({"approve", "reject", "note", "promote", "rollback", "waive"}),
}
PEOPLE = People(roster=parse_roster(ROSTER_TEXT, "roster.yaml"), roles=ROLES)

STANDARD = """\
signoff: 1
profile: small
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
    thresholds:
      - {metric: roc_auc, at_least: 0.7}
"""
RULES: UseCaseRules = load_standard(STANDARD, "signoff.yaml").use_cases["churn"]
PROD: EnvironmentRules = RULES.environments["prod"]


def with_environment(environment: EnvironmentRules) -> UseCaseRules:
    return replace(RULES, environments={**RULES.environments, environment.name: environment})


def needs(*approvals: tuple[str, int]) -> EnvironmentRules:
    return replace(PROD, approvals=tuple(ApprovalRule(role=role, count=count) for role, count in approvals))


PASSED = CheckResult(
    id="threshold:roc_auc",
    title="threshold(roc_auc)",
    status="pass",
    severity="block",
    message="0.8100 [0.7900, 0.8300]; wanted at least 0.7000",
    candidate=0.81,
    lower=0.79,
    upper=0.83,
    wanted=0.7,
    rows=900,
)
FAILED = CheckResult(
    id="slice:value_band=top:recall",
    title="slice(value_band=top, recall)",
    status="fail",
    severity="block",
    message="recall fell",
    difference=-0.2,
    lower=-0.25,
    upper=-0.15,
    wanted=-0.05,
)


def gate_decision(
    model: str,
    *,
    baseline: str | None = None,
    checks: tuple[CheckResult, ...] = (PASSED,),
    rules: Digest = RULES.digest,
) -> GateDecision:
    released = None if baseline is None else ModelRef(digest=digest(baseline), name="churn/1", run_id=None)
    return GateDecision(
        context=GateContext(
            use_case="churn",
            candidate=ModelRef(digest=digest(model), name="m-1", run_id=f"run of {model}"),
            baseline=released,
            rules=rules,
            standard_version="1",
            standard=digest("standard"),
            look=1,
        ),
        data=digest("table"),
        rows=900,
        case="first-release" if baseline is None else "against-baseline",
        verdict=verdict_of(checks),
        checks=checks,
        alpha=0.05,
        error_note="each verdict errs with probability at most 5 %",
    )


@dataclass(frozen=True)
class Told:
    """A statement as it lies on a desk, with the keys that signed it."""

    name: str
    statement: Statement
    keys: tuple[Key, ...]

    @cached_property
    def envelope(self) -> Envelope:
        """The statement, signed."""
        return sign_statement(self.statement, *self.keys)


@dataclass
class Desk:
    """Statements in order; each method lays down one more, named for the tests that change it."""

    rules: UseCaseRules = RULES
    told: list[Told] = field(default_factory=list)
    _read: tuple[list[Told], History] | None = None

    def say(self, name: str, statement: Statement, *keys: Key) -> Digest:
        self.told.append(Told(name, statement, keys))
        return statement.id

    @property
    def history(self) -> History:
        """What is told, read and verified anew when more was told since."""
        if self._read is None or self._read[0] != self.told:
            self._read = (list(self.told), read_history("churn", self.envelopes, PEOPLE.roster))
        return self._read[1]

    @property
    def envelopes(self) -> list[Envelope]:
        return [told.envelope for told in self.told]

    def signed(self, name: str) -> Signed:
        """The last statement laid down under that name."""
        place = max(n for n, told in enumerate(self.told) if told.name == name)
        return self.history.statements[place]

    @property
    def head(self) -> LogHead:
        return LogHead(size=len(self.told), root=digest("log"))

    @property
    def at(self) -> str:
        return f"2026-11-23T10:00:{len(self.told):02}Z"

    # what people do

    def gate(
        self,
        model: str = "model 1",
        *,
        name: str = "decision",
        decision: GateDecision | None = None,
        rows: str | None = None,
    ) -> Digest:
        judged = decision or gate_decision(model)
        of_rows = () if rows is None else (Subject(name="evaluation-rows", digest=digest(rows)),)
        statement = Statement(
            kind="gate-decision",
            subjects=(
                Subject(name="model", digest=judged.context.candidate.digest),
                Subject(name="evaluation-data", digest=judged.data),
                *of_rows,
                Subject(name="rules", digest=judged.context.rules),
            ),
            predicate={"use_case": "churn", "at": self.at, "decision": judged.to_json()},
        )
        return self.say(name, statement)

    def propose(
        self,
        version: int = 1,
        model: str = "model 1",
        *,
        name: str = "proposal",
        keys: Sequence[Key] = (ANA,),
    ) -> Digest:
        statement = proposal_statement(
            self.rules,
            version=version,
            run_id=f"run of {model}",
            model=digest(model),
            components={},
            decision=self.signed("decision").id,
            proposer=ANA.email,
            authors=[ANA.email],
            notes={"business_context": "weekly", "notes": "newer weeks"},
            waivers=NO_WAIVERS,
            at=self.at,
        )
        return self.say(name, statement, *keys)

    def binding(self, environment: str = "prod", model: str = "model 1") -> Binding:
        return Binding(
            model=digest(model),
            decision=self.signed("decision").id,
            rules=self.rules.environment_digest(environment),
            proposal=self.signed("proposal").id,
        )

    def approve(
        self,
        key: Key = BEN,
        *,
        version: int = 1,
        model: str = "model 1",
        environment: str = "prod",
        name: str = "approval",
        comment: str = "read the errors",
        ticked: Sequence[str] = (),
        keys: Sequence[Key] | None = None,
    ) -> Digest:
        statement = approval_statement(
            self.rules,
            environment=environment,
            version=version,
            binding=self.binding(environment, model),
            approver=key.email,
            roles=PEOPLE.roles_of(key.email),
            self_approved=key == ANA,
            ticked=ticked,
            comment=comment,
            log=self.head,
            at=self.at,
        )
        return self.say(name, statement, *((key,) if keys is None else keys))

    def reject(
        self, key: Key = BEN, *, version: int = 1, model: str = "model 1", environment: str = "prod"
    ) -> Digest:
        statement = Statement(
            kind="rejection",
            subjects=(Subject(name="model", digest=digest(model)),),
            predicate={
                "use_case": "churn",
                "environment": environment,
                "version": version,
                "reviewer": key.email,
                "code": "fairness",
                "comment": "recall of the top band",
                "at": self.at,
            },
        )
        return self.say("rejection", statement, key)

    def waive(
        self,
        *codes: str,
        model: str = "model 1",
        rules: Digest = RULES.digest,
        until: str = "2026-12-31",
        keys: Sequence[Key] = (CLEO,),
    ) -> Digest:
        statement = Statement(
            kind="waiver",
            subjects=(Subject(name="model", digest=digest(model)), Subject(name="rules", digest=rules)),
            predicate={
                "use_case": "churn",
                "codes": list(codes),
                "reason": "ten customers",
                "until": until,
                "by": keys[0].email if keys else "",
                "at": self.at,
            },
        )
        return self.say("waiver", statement, *keys)

    def waivers(self, model: str = "model 1", *, today: str = "2026-11-23") -> Waivers:
        return waivers_for(
            self.history,
            model=digest(model),
            rules=self.rules.digest,
            people=PEOPLE,
            authors=frozenset({ANA.email}),
            today=today,
        )

    def decide(
        self,
        version: int = 1,
        model: str = "model 1",
        *,
        environment: str = "prod",
        actor: Key = CLEO,
        candidate: Candidate | None = None,
        today: str = "2026-11-23",
    ) -> Promotion:
        return decide_promotion(
            self.rules,
            self.rules.environments[environment],
            actor=actor.email,
            candidate=candidate or candidate_of(version, model),
            history=self.history,
            people=PEOPLE,
            waivers=self.waivers(model),
            baseline_environment="prod",
            today=today,
            decide_again=decide_recorded,
        )

    def release(
        self, version: int = 1, model: str = "model 1", *, environment: str = "prod", name: str = "release"
    ) -> Digest:
        """Promote as the command does; the decision must allow it."""
        promotion = self.decide(version, model, environment=environment)
        assert promotion.decision.allowed, promotion.decision
        assert promotion.binding is not None
        assert promotion.approvals is not None
        statement = release_statement(
            self.rules,
            self.rules.environments[environment],
            candidate=candidate_of(version, model),
            binding=promotion.binding,
            approvals=promotion.approvals,
            waivers=self.waivers(model),
            actor=CLEO.email,
            previous=self.history.release(environment),
            log=self.head,
            at=self.at,
        )
        return self.say(name, statement, CLEO)

    def decide_rollback(
        self,
        *,
        environment: str = "prod",
        actor: Key = CLEO,
        reason: str = "complaints",
        changed: Mapping[Digest, Sequence[Reason]] | None = None,
    ) -> Rollback:
        return decide_rollback(
            environment,
            use_case="churn",
            actor=actor.email,
            history=self.history,
            people=PEOPLE,
            reason=reason,
            changed=changed,
        )

    def roll_back(self, *, environment: str = "prod", key: Key = CLEO, name: str = "rollback") -> Digest:
        """Roll back as the command does, whoever signs it."""
        statement = rollback_statement(
            environment,
            use_case="churn",
            rollback=self.decide_rollback(environment=environment),
            actor=key.email,
            reason="complaints",
            log=self.head,
            at=self.at,
        )
        return self.say(name, statement, key)

    # what somebody with the database does

    def retold(self, name: str, change: Change | None = None, *, keys: Sequence[Key] | None = None) -> "Desk":
        """The same history with one statement told otherwise; what comes after names the new one and is signed anew."""
        assert any(told.name == name for told in self.told), name
        renamed: dict[str, str] = {}
        desk = Desk(rules=self.rules)
        for told in self.told:
            statement, signed_with = renaming(told.statement, renamed), told.keys
            if told.name == name:
                statement = statement if change is None else change(statement)
                signed_with = signed_with if keys is None else tuple(keys)
            renamed[told.statement.id.hex] = statement.id.hex
            desk.say(told.name, statement, *signed_with)
        return desk

    def without(self, name: str) -> "Desk":
        """The same history with a statement deleted."""
        assert any(told.name == name for told in self.told), name
        return Desk(rules=self.rules, told=[told for told in self.told if told.name != name])

    def moved_to_the_end(self, name: str) -> "Desk":
        """The same history with a statement deleted and put back."""
        (moved,) = (told for told in self.told if told.name == name)
        return Desk(rules=self.rules, told=[*(told for told in self.told if told is not moved), moved])


def entry_of(action: str, subject: str, *, actor: Key = ANA, **detail: Json) -> Entry:
    """An entry of the audit log, written long after everything on a desk."""
    return Entry(
        at="2099-01-01T00:00:00Z",
        actor=actor.email,
        action=action,
        outcome="allowed",
        use_case="churn",
        subject=subject,
        statement=None,
        reasons=(),
        detail=detail,
    )


NO_WAIVERS = Waivers(by_code={}, refused=())


def candidate_of(
    version: int = 1,
    model: str = "model 1",
    *,
    run_id: str | None = None,
    authors: Sequence[str] = (ANA.email,),
    gaps: tuple[str, ...] = (),
) -> Candidate:
    record = ModelVersionRecord(
        name="churn",
        version=version,
        run_id=run_id or f"run of {model}",
        model_id=None,
        uri=f"models:/churn/{version}",
        aliases=(),
        created_at=1_760_000_000_000,
    )
    return Candidate(version=record, model=digest(model), authors=frozenset(authors), input_gaps=gaps)


def approved_desk(environment: EnvironmentRules = PROD, *approvers: Key) -> Desk:
    """Version 1, gated, proposed by Ana and approved, by Ben if nobody else is named."""
    desk = Desk(rules=with_environment(environment))
    desk.gate()
    desk.propose()
    for key in approvers or (BEN,):
        desk.approve(key, ticked=environment.checklist)
    return desk


def released_desk(environment: EnvironmentRules = PROD, *approvers: Key) -> Desk:
    """The same, released to prod by Cleo."""
    desk = approved_desk(environment, *approvers)
    desk.release()
    return desk


def next_version(desk: Desk, version: int, *, baseline: str) -> Desk:
    """A further version ("model N") gated against the baseline, proposed, approved by Ben and released."""
    model = f"model {version}"
    desk.gate(decision=gate_decision(model, baseline=baseline))
    desk.propose(version, model)
    desk.approve(version=version, model=model)
    desk.release(version, model, name=f"release {version}")
    return desk


def two_versions() -> Desk:
    """Version 1 and then version 2 released to prod."""
    return next_version(released_desk(), 2, baseline="model 1")
