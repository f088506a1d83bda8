import pytest

from signoff.conformance.boundary import check_experiments, use_case_of
from signoff.record.experiment import ExperimentRecord
from signoff.standard.model import Standard


def experiment(
    name: str, *, runs: int = 2, users: tuple[str, ...] = ("ben.ho@shop.example", "root")
) -> ExperimentRecord:
    return ExperimentRecord(experiment_id="7", name=name, runs=runs, users=users)


@pytest.mark.parametrize(
    ("name", "use_case"),
    [("churn", "churn"), ("churn/linear", "churn"), ("churn2", None), ("fraud", "fraud"), ("fraud/x", None)],
)
def test_an_experiment_belongs_to_the_use_case_whose_boundary_holds_it(
    standard: Standard, name: str, use_case: str | None
) -> None:
    assert use_case_of(standard, name) == use_case


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("churn", []),
        ("churn/linear", []),
        ("churn/root-causes", []),
        ("scratch", ["experiment:unknown"]),
        ("churn/ben-ho", ["experiment:person"]),
        ("churn/benhold", []),
        ("/Users/eva@shop.example/try", ["experiment:unknown", "experiment:person"]),
        ("churn/2011-06", ["experiment:dated"]),
        ("churn/20110605", ["experiment:dated"]),
        ("churn/week 23", ["experiment:dated"]),
        ("churn/top100", []),
        ("churn/Untitled.ipynb", ["experiment:notebook"]),
        ("churn/notebook-2011", ["experiment:notebook", "experiment:dated"]),
    ],
)
def test_experiments_are_named_after_work_not_after_people_notebooks_or_dates(
    standard: Standard, name: str, codes: list[str]
) -> None:
    assert [finding.code for finding in check_experiments(standard, (experiment(name),))] == codes


def test_an_experiment_without_runs_is_nobodys_fault(standard: Standard) -> None:
    assert check_experiments(standard, (experiment("Default", runs=0),)) == ()


def test_an_unknown_experiment_blocks_and_comes_first(standard: Standard) -> None:
    found = check_experiments(standard, (experiment("churn/2011"), experiment("scratch", runs=1)))
    assert [(f.code, f.severity) for f in found] == [
        ("experiment:unknown", "block"),
        ("experiment:dated", "warn"),
    ]
    assert "its 1 run cannot be proposed" in found[0].message
    assert found[0].fix == 'mlflow.set_experiment("churn")'
