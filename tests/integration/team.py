"""A small team that works with Signoff: its repository, its keys, its runs; on the Wisconsin cancer data.

The data is the Wisconsin diagnostic set that scikit-learn carries: 569 real rows, two classes.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = ("--context", "business_context=triage of biopsies", "--notes", "first model")
PEOPLE = {"ana": "author", "ben": "reviewer", "cleo": "platform-owner", "dan": "wizard"}
ROBOT = "rob"
"""A service that may roll back, in the teams that have one; its key is beside the people's."""
STANDARD = """\
signoff: 1
profile: small
use_cases:
  tumours:
    owner: ana@lab.example
    type: classification
    evaluate: {data: eval/table.parquet, label: benign, row_key: sample}
    primary: {metric: roc_auc, no_worse_than: 0.05}
    slices:
      - {by: size, metric: recall, no_worse_than: 0.2, inconclusive: warn}
    thresholds:
      - {metric: roc_auc, at_least: 0.8}
    gate: {looks: 3}
    batch: {input: scoring/table.parquet, output: predictions/tumours, keys: [sample]}
  cells:
    owner: ana@lab.example
    type: classification
    evaluate: {data: eval/table.parquet, label: benign, row_key: sample}
    primary: {metric: roc_auc, no_worse_than: 0.02}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """A team's folder with what happened in it.

    Attributes:
        folder: the repository.
        good: run of a model on all features.
        weak: run of a model on two noisy features.
    """

    folder: Path
    good: str
    weak: str

    def key(self, person: str) -> str:
        return str(self.folder.parent / "keys" / person)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder with no address of another store in the environment."""
    before = Path.cwd()
    kept = {
        name: os.environ.pop(name) for name in ("MLFLOW_TRACKING_URI", "SIGNOFF_KEY") if name in os.environ
    }
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.update(kept)


def signoff(team: Team, *arguments: str, key: str | None = None) -> Outcome:
    """Run the command line in this process, in the team's folder, as the person with that key."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from signoff.apps.cli.main import main

    given = [*arguments] if key is None else [*arguments, "--key", team.key(key)]
    out, err = StringIO(), StringIO()
    code: object = 0
    with inside(team.folder), redirect_stdout(out), redirect_stderr(err):
        try:
            main(given)
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    return Outcome(code=code, out=out.getvalue(), err=err.getvalue())


def refused(outcome: Outcome, *codes: str) -> None:
    """The command was refused with exit code 1, for exactly these reasons."""
    assert outcome.code == 1, outcome
    given = [reason["code"] for reason in json.loads(outcome.out)["reasons"]]
    assert given == list(codes), outcome


def alias(team: Team, name: str = "prod") -> int | None:
    with sqlite3.connect(team.folder / "mlflow.db") as store:
        row = store.execute(
            "SELECT version FROM registered_model_aliases WHERE alias = ?", (name,)
        ).fetchone()
    store.close()
    return None if row is None else int(row[0])


def logged(team: Team) -> list[tuple[str, str]]:
    """(action, outcome) of every audit entry, after the log itself was verified."""
    assert signoff(team, "admin", "audit", "--verify").code == 0
    entries = json.loads(signoff(team, "admin", "audit", "--format", "json").out)
    return [(row["entry"]["action"], row["entry"]["outcome"]) for row in entries]


def edit_standard(team: Team, old: str, new: str) -> None:
    path = team.folder / "signoff.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def forget_artifact_stores() -> None:
    """Copies share run ids, and MLflow remembers by run id where a run's artifacts are."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()


def registry(team: Team) -> Any:
    """A plain MLflow client, as somebody without Signoff has it."""
    import mlflow

    uri = f"sqlite:///{team.folder / 'mlflow.db'}"
    return mlflow.MlflowClient(uri, registry_uri=uri)


def make_team(folder: Path, standard: str = STANDARD, store: str | None = None) -> Team:
    """A repository with standard, roster, keys, data and two runs."""
    make_repository(folder, standard)
    with inside(folder):
        good, weak = log_run("good", store=store), log_run("weak", store=store)
    return Team(folder=folder, good=good, weak=weak)


def make_repository(folder: Path, standard: str) -> None:
    """A committed repository with standard, roster, keys and data."""
    from signoff.adapters.key_files import generate_key

    folder.mkdir(parents=True)
    lines = ["people:"]
    for person, role in PEOPLE.items():
        key = generate_key(folder.parent / "keys" / person, comment=f"{person}, test key")
        lines += [
            f"  {person}@lab.example:",
            f"    name: {person.title()}",
            f"    roles: [{role}]",
            f"    also: [{person}]",
            f'    keys: ["{key.public_line}"]',
        ]
    (folder / "signoff.yaml").write_text(standard)
    (folder / "signoff.roster.yaml").write_text("\n".join(lines) + "\n")
    (folder / ".gitignore").write_text("mlflow.db*\nmlruns/\nmlartifacts/\npredictions/\neval/\nscoring/\n")
    write_tables(folder)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "ana@lab.example")
    git(folder, "config", "user.name", "Ana")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "The team's standard")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def cancer() -> Any:
    """The data set with a sample number, the label and a size band."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "benign"})
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    frame.insert(0, "sample", range(len(frame)))
    frame["size"] = ["large" if area > 600 else "small" for area in frame.mean_area]
    return frame


def write_tables(folder: Path) -> None:
    frame = cancer()
    (folder / "eval").mkdir()
    (folder / "scoring").mkdir()
    frame[frame["sample"] % 2 == 0].to_parquet(folder / "eval/table.parquet", index=False)
    frame.drop(columns=["benign"]).to_parquet(folder / "scoring/table.parquet", index=False)


FEATURES = {
    "good": ["mean_radius", "mean_texture", "mean_smoothness", "mean_concavity", "worst_area"],
    "other": ["mean_texture", "worst_area"],
    "weak": ["symmetry_error", "texture_error"],
}


def log_run(
    quality: str,
    *,
    complete: bool = True,
    experiment: str = "tumours",
    signature: bool = True,
    store: str | None = None,
) -> str:
    """Train and log one run as the standard asks; not complete: without its feature set.

    The store is the SQLite file of the folder when no address is given.
    """
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix, roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import signoff

    frame = cancer()
    train = frame[frame["sample"] % 2 == 1]
    columns = FEATURES[quality]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(train[columns], train["benign"])
    mlflow.set_tracking_uri(
        store or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    )  # MLflow keeps one engine per address
    mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=f"tumours-{quality}") as run:
        mlflow.log_params({"model_type": "logistic", "C": 1.0, "seed": 0, "threshold": 0.5})
        if complete:
            mlflow.log_param("feature_set", quality)
        score = model.predict_proba(train[columns])[:, 1]
        mlflow.log_metrics(
            {"roc_auc": roc_auc_score(train["benign"], score), "precision": 0.9, "recall": 0.9}
        )
        signoff.log_dataset(train, name="wisconsin", source="scikit-learn", context="training", version="1")
        signoff.log_evidence("threshold_rationale", "The middle: both errors cost the same here.")
        matrix = confusion_matrix(train["benign"], model.predict(train[columns]))
        signoff.log_evidence("confusion_matrix", {"rows": matrix.tolist()})
        for name in ("false_positives", "false_negatives"):
            signoff.log_evidence(name, train.head(3))
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(train[columns], model.predict(train[columns])) if signature else None,
            input_example=train[columns].head(3) if signature else None,
            pip_requirements=["scikit-learn", "skops"],  # found by MLflow they cost a process
        )
        run_id: str = run.info.run_id
    return run_id


def copy_team(team: Team, to: Path) -> Team:
    """A team of its own for one test: folder, store and artifacts, at another place."""
    shutil.copytree(team.folder.parent, to)
    folder = to / team.folder.name
    old, new = str(team.folder), str(folder)
    with sqlite3.connect(folder / "mlflow.db") as store:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))  # noqa: S608 - fixed names
    store.close()
    forget_artifact_stores()
    return Team(folder=folder, good=team.good, weak=team.weak)


def release_next(team: Team, version: int) -> None:
    """Train the good model again and bring it to production as this version."""
    with inside(team.folder):
        run = log_run("good")
    release_run(team, run, version)


def release_run(team: Team, run: str, version: int) -> None:
    """Bring a run to production as this version."""
    for arguments, key in (
        (("gate", run), None),
        (("propose", run, *CONTEXT), "ana"),
        (("approve", f"tumours/{version}"), "ben"),
        (("promote", f"tumours/{version}"), "cleo"),
    ):
        outcome = signoff(team, *arguments, key=key)
        assert outcome.code == 0, outcome
