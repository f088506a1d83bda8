"""What an existing store suggests: use cases by their experiments, owners by their runs, rules by habits."""

from dataclasses import replace

import pytest
from review_samples import run, version

from signoff.record.experiment import ExperimentRecord
from signoff.record.run import RunRecord
from signoff.review.takeover import FoundModel, findings_text, suggest
from signoff.standard.load import load_standard
from signoff.standard.scaffold import scaffold_store


def runs(count: int, *, experiment: str = "churn", user: str = "ana@shop.example") -> tuple[RunRecord, ...]:
    return tuple(
        replace(
            run(number, experiment=experiment, user=user, status="FINISHED"),
            params={"C": "1", **({"rare": "1"} if number == 1 else {})},
            metrics={"roc_auc": 0.8},
        )
        for number in range(1, count + 1)
    )


def model(name: str = "churn", **changed: object) -> FoundModel:
    whole = {"name": name, "versions": (version(),), "runs": runs(6), "homes": {"churn": 1}, **changed}
    return FoundModel(**whole)  # type: ignore[arg-type]  # the fields that a test changes


def experiment(name: str, count: int = 3) -> ExperimentRecord:
    return ExperimentRecord(experiment_id="1", name=name, runs=count, users=())


def test_a_model_becomes_a_use_case_named_like_its_experiment_with_what_nearly_all_runs_log() -> None:
    odd = model("Churn Model", homes={"churn": 3, "churn/weekly": 1, "Default": 1})
    (found,) = suggest([odd], [], owner="cleo@shop.example").use_cases
    assert (found.name, found.registered_model, found.owner) == ("churn", "Churn Model", "ana@shop.example")
    assert found.experiments == ("churn", "churn/weekly")
    assert (found.params, found.metrics) == (("C",), ("roc_auc",))
    assert any("Default" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("aliases", "said", "alias"),
    [
        (("prod",), "", ""),
        (("champion", "prod"), "", ""),
        (("champion",), "", "champion"),
        (("champion", "live"), "live", "live"),
        ((), "", ""),
    ],
)
def test_the_alias_of_production_is_recognised_or_said(
    aliases: tuple[str, ...], said: str, alias: str
) -> None:
    given = model(versions=(replace(version(), aliases=aliases),))
    (found,) = suggest([given], [], owner="a@b.c", production=said).use_cases
    assert found.alias == alias


def test_what_cannot_become_a_use_case_is_told() -> None:
    told = suggest(
        [model("churn"), model("churn two"), model("über ", homes={})],
        [experiment("churn"), experiment("notebooks"), experiment("empty", 0)],
        owner="a@b.c",
    )
    assert [one.registered_model for one in told.use_cases] == ["churn"]
    assert [line.split(":")[0] for line in told.left_out] == [
        "model churn two",
        "model über ",
        "experiment notebooks (3 runs)",
    ]


def test_what_is_required_anyway_is_not_said_again() -> None:
    text = scaffold_store(
        "small", "classification", suggest([model()], [], owner="a@b.c").use_cases, store=""
    )
    asked = load_standard(text, "signoff.yaml").use_cases["churn"].requirements
    (found,) = suggest([model()], [], owner="a@b.c", asked=asked).use_cases
    assert (found.params, found.metrics) == ((), ())


def test_few_runs_and_nameless_users_make_no_habit_and_no_owner() -> None:
    (found,) = suggest([model(runs=runs(3, user="root"))], [], owner="a@b.c").use_cases
    assert (found.owner, found.params) == ("a@b.c", ())


def test_the_suggested_standard_loads_and_says_what_it_would_find() -> None:
    told = suggest([model("Churn Model"), model("other", homes={"fraud": 1})], [], owner="a@b.c")
    text = scaffold_store("small", "classification", told.use_cases, store="sqlite:///mlflow.db")
    standard = load_standard(text, "signoff.yaml")
    assert list(standard.use_cases) == ["churn", "fraud"]
    rules = standard.use_cases["churn"]
    assert rules.registered_model == "Churn Model"
    assert {"param:C", "metric:roc_auc"} <= {required.code for required in rules.requirements}
    lines = findings_text(rules, runs(6))
    assert lines[0] == "churn: 6 finished runs looked at"
    assert any(": 6 of 6 lack it" in line for line in lines)
