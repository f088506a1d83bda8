"""Question 4: does the registry say why its versions are there, and are they worth keeping?"""

from collections.abc import Iterator, Mapping
from functools import partial

from signoff.errors import EvidenceError
from signoff.record.digest import Json
from signoff.release.arrival import Held, held_release
from signoff.release.inherited import inherited
from signoff.release.model import Signed
from signoff.review.checklist import Item, Section, counted, some
from signoff.review.survey import Survey, UseCaseSurvey
from signoff.standard.model import EnvironmentRules

THIN = 3
"""Context of fewer words tells a later reader nothing."""
IDLE_DAYS = 30
"""A version that nobody approved, rejected or released for so long is of low value."""


def registry(survey: Survey) -> Section:
    """Per use case what its versions lack."""
    items = tuple(item for use_case in survey.use_cases for item in _of_a_use_case(survey, use_case))
    return Section(
        number=4,
        title="Registry",
        question="Does each version say why it is there, and is it worth keeping?",
        items=items,
    )


def _of_a_use_case(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    if use_case.versions:
        yield _context(use_case)
        yield _idle(survey, use_case)
        yield _runs(use_case)
    else:
        yield Item(
            code="registry:versions",
            use_case=use_case.name,
            answer="nothing to judge",
            sentence=f"{use_case.rules.registered_model} has no version.",
        )
    yield from _aliases(survey, use_case)


def _context(use_case: UseCaseSurvey) -> Item:
    bare = [v for v in use_case.versions if use_case.history.proposal(v.version) is None]
    thin = {
        v.ref: fields
        for v in use_case.versions
        if (proposal := use_case.history.proposal(v.version)) is not None
        and (fields := thin_fields(proposal, use_case.rules.notes))
    }
    total = counted(len(use_case.versions), "version")
    item = partial(Item, code="registry:context", use_case=use_case.name)
    if not bare and not thin:
        return item(
            answer="good", sentence=f"{total}, each with a signed proposal whose context says something."
        )
    return item(
        answer="problem" if bare else "attention",
        sentence=f"Of {total}, {len(bare)} have no signed proposal and {len(thin)} a context of fewer than "
        f"{THIN} words.",
        facts=(
            *(f"{v.ref}: registered without a proposal" for v in bare),
            *(f"{ref}: {some(fields)}" for ref, fields in thin.items()),
        ),
        evidence=(*(v.ref for v in bare), *thin),
        advice="Register through `signoff propose`, and write what a reader needs in a year.",
    )


def thin_fields(proposal: Signed, required: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a proposal's context that are missing, empty or a word or two, with what they say."""
    context = proposal.statement.predicate.get("context")
    said: Mapping[str, Json] = context if isinstance(context, Mapping) else {}
    return tuple(
        f"{field} says {str(value)!r}" if value else f"{field} is empty"
        for field in dict.fromkeys((*required, *said))
        if len(str(value := said.get(field) or "").split()) < THIN
    )


def _idle(survey: Survey, use_case: UseCaseSurvey) -> Item:
    decided = {
        signed.number("version")
        for kind in ("approval", "rejection", "release")
        for signed in use_case.history.of(kind)
        if signed.signers
    }
    idle = [
        (version, days)
        for version in use_case.versions
        if version.version not in decided and (days := survey.age_of_ms(version.created_at)) >= IDLE_DAYS
    ]
    total = counted(len(use_case.versions), "version")
    item = partial(Item, code="registry:idle", use_case=use_case.name)
    if not idle:
        return item(
            answer="good",
            sentence=f"{total}, none of which waits for a decision for {IDLE_DAYS} days or more.",
        )
    return item(
        answer="attention",
        sentence=f"{len(idle)} of {total} were never approved, rejected or released in {IDLE_DAYS} days or more.",
        facts=tuple(f"{version.ref}: registered {days} days ago" for version, days in idle),
        evidence=tuple(version.ref for version, _ in idle),
        advice="Decide on them: approve, `signoff reject` with a reason, or delete them from the registry.",
    )


def _runs(use_case: UseCaseSurvey) -> Item:
    gone = [v for v in use_case.versions if v.run_id is None or v.run_id not in use_case.live_runs]
    item = partial(Item, code="registry:runs", use_case=use_case.name)
    if not gone:
        return item(
            answer="good",
            sentence=f"{counted(len(use_case.versions), 'version')}, each with its run in the store.",
        )
    return item(
        answer="problem",
        sentence=f"{len(gone)} of {counted(len(use_case.versions), 'version')} have no run behind them any more.",
        facts=tuple(
            f"{v.ref}: " + ("registered without a run" if v.run_id is None else f"run {v.run_id} is gone")
            for v in gone
        ),
        evidence=tuple(v.ref for v in gone),
        advice="Restore a deleted run (mlflow runs restore --run-id …); what cannot be traced is not released.",
    )


def _aliases(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    wrong = tuple(_wrong_aliases(survey, use_case))
    unknown = [(name, why) for name, why in use_case.pointed.items() if isinstance(why, str)]
    pointed = sum(isinstance(version, int) for version in use_case.pointed.values())
    if unknown:
        yield Item(
            code="registry:reach",
            use_case=use_case.name,
            answer="attention",
            sentence=f"The registry of {some([name for name, _ in unknown])} could not be looked at.",
            facts=tuple(f"{name}: {why}" for name, why in unknown),
            advice="Review again when the server can be reached.",
        )
    item = partial(Item, code="registry:aliases", use_case=use_case.name)
    if wrong:
        yield item(
            answer="problem",
            sentence=f"{counted(len(wrong), 'alias', 'aliases')} not where a signed release put it.",
            facts=tuple(fact for _, fact in wrong),
            evidence=tuple(ref for ref, _ in wrong),
            advice="`signoff promote` puts an alias back to what is released; nobody sets one by hand.",
        )
    else:
        yield item(
            answer="good" if pointed else "nothing to judge",
            sentence=f"{counted(pointed, 'alias', 'aliases')} where a signed release put it."
            if pointed
            else "No alias is set.",
        )


def _wrong_aliases(survey: Survey, use_case: UseCaseSurvey) -> Iterator[tuple[str, str]]:
    """Aliases of no environment, and those that point at something else than what is released."""
    model, environments = use_case.rules.registered_model, use_case.rules.environments.values()
    here = {environment.alias for environment in environments if environment.server is None}
    for version in use_case.versions:
        for alias in version.aliases:
            if alias not in here:
                yield (
                    f"{model}@{alias}",
                    f"@{alias} points at {version.ref}; no environment of this store has this alias",
                )
    for environment in environments:
        pointed = use_case.pointed.get(environment.name)
        if isinstance(pointed, str):
            continue
        try:
            wanted = _released(survey, use_case, environment)
        except EvidenceError as error:
            yield f"{model}@{environment.alias}", f"@{environment.alias}: {error.what}"
            continue
        if pointed != wanted:
            there, released = _version(model, pointed), _version(model, wanted)
            yield (
                f"{model}@{environment.alias}",
                f"@{environment.alias} points at {there}, released in {environment.name} is {released}",
            )


def _released(survey: Survey, use_case: UseCaseSurvey, environment: EnvironmentRules) -> int | None:
    """The number of what is released, in the registry that the environment's releases stand in.

    Raises:
        EvidenceError: the release cannot be read, or nobody says that it arrived on the environment's server.
    """
    release = use_case.history.release(environment.name)
    if release is None:
        taken = inherited(use_case.history, environment.name, survey.people)
        return None if taken is None else taken.version
    place = held_release(environment, release, history=use_case.history, people=survey.people)
    if isinstance(place, Held):
        return place.version
    raise EvidenceError("; ".join(reason.message for reason in place))


def _version(model: str, version: int | None) -> str:
    return "nothing" if version is None else f"{model}/{version}"
