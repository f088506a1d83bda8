"""Question 8: is there a sign that the standard itself should change?"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from signoff.record import capture
from signoff.record.run import RunRecord
from signoff.release.model import Signed
from signoff.review.checklist import Item, Section, counted, some
from signoff.review.logged import habits, other_names
from signoff.review.survey import Survey, UseCaseSurvey

AGAIN = 2
"""Two rejections for the same thing are no accident."""
_NAMES = re.compile(r"`([\w./-]{2,80})`|\b(\w+(?:[_./]\w+)+)\b")
"""A name in a comment: in backquotes, or words joined by _, . or /."""
_LANGUAGE_FLAVORS = frozenset(
    {"autogen", "crewai", "dspy", "haystack", "langchain", "llama_index", "openai", "anthropic", "ag2",
     "sentence_transformers", "transformers"}
)  # fmt: skip
"""MLflow flavors of models that read or write language."""
_LANGUAGE_TASKS = frozenset({"assistant", "multiclass"})


def signs(survey: Survey) -> Section:
    """What the period says about the standard."""
    items = [item for use_case in survey.use_cases for item in _of_a_use_case(survey, use_case)]
    return Section(
        number=8,
        title="The standard itself",
        question="Is there a sign that the standard should change?",
        items=tuple(items),
    )


def _of_a_use_case(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    found = [
        *_rejections(survey, use_case),
        *_flavors(use_case),
        *_habits(use_case),
        *_other_names(survey, use_case),
        *_deployment(survey, use_case),
        *_runtimes(use_case),
    ]
    yield from found
    if not found:
        looked = bool(use_case.runs or use_case.history.statements)
        yield Item(
            code="signs:none",
            use_case=use_case.name,
            answer="good" if looked else "nothing to judge",
            sentence="No sign that its rules should change."
            if looked
            else "Neither runs nor statements to learn from.",
        )


def named_again(rejections: Iterable[Signed]) -> dict[str, list[Signed]]:
    """Names that the comments of two or more rejections for a missing artifact give, most often named first."""
    named: dict[str, list[Signed]] = defaultdict(list)
    for rejection in rejections:
        if rejection.text("code") != "missing-artifact" or not rejection.signers:
            continue
        for name in dict.fromkeys(a or b for a, b in _NAMES.findall(rejection.text("comment"))):
            named[name].append(rejection)
    again = {name: given for name, given in named.items() if len(given) >= AGAIN}
    return dict(sorted(again.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def _rejections(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    rejections = survey.recent(use_case.history.of("rejection"))
    by_code: dict[str, list[Signed]] = defaultdict(list)
    for rejection in rejections:
        by_code[rejection.text("code")].append(rejection)
    again = {code: given for code, given in by_code.items() if len(given) >= AGAIN}
    for code, given in again.items():
        named = named_again(given)
        yield Item(
            code=f"signs:rejected:{code}",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{len(given)} of {counted(len(rejections), 'rejection')} in the period for {code}"
            + (f"; asked for again: {', '.join(named)}" if named else "")
            + ".",
            facts=tuple(
                f"version {rejection.number('version')} by {some(rejection.signers) or 'nobody known'}: "
                f"{rejection.text('comment') or 'no comment'}"
                for rejection in given
            ),
            evidence=tuple(str(rejection.id) for rejection in given),
            advice="What reviewers ask for again and again belongs into the standard, so that authors know it "
            "beforehand.",
        )


def _flavors(use_case: UseCaseSurvey) -> Iterator[Item]:
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    for run in use_case.runs:
        for flavor in {flavor for model in run.models for flavor in model.flavors}:
            runs[flavor].append(run)
    if use_case.rules.gate.task in _LANGUAGE_TASKS:
        return
    for flavor in sorted(_LANGUAGE_FLAVORS & set(runs)):
        yield Item(
            code=f"signs:flavor:{flavor}",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{counted(len(runs[flavor]), 'run')} logged a model of flavor {flavor}, which the model type "
            f"{use_case.rules.model_type} says nothing about.",
            evidence=tuple(run.run_id for run in runs[flavor]),
            advice="Give language models a use case of their own with type llm-app or text-classification: "
            "prompts, generator and index are evidence too.",
        )


def _habits(use_case: UseCaseSurvey) -> Iterator[Item]:
    found = habits(use_case)
    metrics = [habit for habit in found if habit.kind == "metric"]
    others = [habit for habit in found if habit.kind != "metric"]
    if metrics:
        yield Item(
            code="signs:metrics",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{counted(len(metrics), 'metric')} that nobody requires in nearly every run: "
            f"{some([habit.name for habit in metrics], 8)}.",
            facts=tuple(f"{habit.name}: {habit.runs:,} of {habit.of:,} runs" for habit in metrics),
            advice="If decisions rest on them, require them; `signoff review --propose` writes the change.",
        )
    if others:
        yield Item(
            code="signs:logged",
            use_case=use_case.name,
            answer="good",
            sentence=f"Runs log {counted(len(others), 'parameter or tag', 'parameters and tags')} beyond what is "
            "asked, each in nearly every run.",
            facts=tuple(
                f"{habit.kind} {habit.name}: {habit.runs:,} of {habit.of:,} runs" for habit in others
            ),
        )


def _other_names(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    for other in other_names(survey, use_case):
        required = other.requirement
        yield Item(
            code=f"signs:name:{required.code}",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{other.runs:,} of {counted(other.lacking, 'run')} without {required.kind} {required.name} "
            f"log {other.name} instead.",
            evidence=(f"{required.kind}:{other.name}",),
            advice=f"If it means the same, recognise it: accepts: [{other.name}]; `signoff review --propose` "
            "writes the change.",
        )


def _deployment(survey: Survey, use_case: UseCaseSurvey) -> Iterator[Item]:
    rules, history = use_case.rules, use_case.history
    predicted = [at for at in use_case.predictions if at[:10] >= survey.since]
    served = [*survey.recent(history.of("canary")), *survey.recent(history.of("load-test"))]
    if predicted and rules.batch is None:
        yield _pattern(
            use_case,
            f"{counted(len(predicted), 'batch output')} since {survey.since}, and the standard knows no batch "
            "deployment.",
            "Add a `batch` section: input, output and keys.",
        )
    if use_case.inference_log and use_case.predictions and not predicted:
        yield _pattern(
            use_case,
            f"No batch output since {use_case.predictions[-1][:10]}, and an endpoint keeps an inference log: the "
            "model moved from batch to real time.",
            "Ask whether monitors, load and re-evaluation are those of an endpoint, and drop `batch`.",
        )
    logs = rules.serving is not None and rules.serving.log is not None
    if logs and predicted and not use_case.inference_log:
        yield _pattern(
            use_case,
            f"{counted(len(predicted), 'batch output')} since {survey.since}, and no inference log where the "
            "standard expects an endpoint's.",
            "Ask whether it is still deployed as an endpoint.",
        )
    if served and rules.serving is None:
        yield _pattern(
            use_case,
            f"{counted(len(served), 'canary or load test', 'canaries and load tests')} in the period, and the "
            "standard knows no endpoint.",
            "Add a `serving` section: time-out, fallback, canary and load.",
        )


def _pattern(use_case: UseCaseSurvey, sentence: str, advice: str) -> Item:
    return Item(
        code="signs:deployment",
        use_case=use_case.name,
        answer="attention",
        sentence=sentence,
        advice=advice,
    )


def _runtimes(use_case: UseCaseSurvey) -> Iterator[Item]:
    for tag, thing in (
        (capture.PYTHON, "Python version"),
        (capture.RUNTIME, "runtime"),
        (capture.ENVIRONMENT_DIGEST, "set of packages"),
    ):
        told = [(run, value) for run in use_case.runs if (value := run.tags.get(tag))]
        counts = Counter(_minor(value) if tag == capture.PYTHON else value for _, value in told)
        if len(counts) < 2:
            continue
        newest = told[0][1]
        plural = {"set of packages": "sets of packages"}.get(thing, thing + "s")
        yield Item(
            code=f"signs:runtime:{tag.removeprefix('signoff.')}",
            use_case=use_case.name,
            answer="attention",
            sentence=f"{counted(len(counts), thing, plural)} over {counted(len(told), 'run')}; the newest run has "
            f"{_shown(newest)}.",
            facts=tuple(
                f"{_shown(value)}: {counted(count, 'run')}" for value, count in counts.most_common(8)
            ),
            evidence=(told[0][0].run_id,),
            advice="Ask whether what is released still runs where new candidates are trained; evaluate it again "
            "before the next comparison.",
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _shown(value: str) -> str:
    return value[:19] + "…" if value.startswith("sha256:") else value
