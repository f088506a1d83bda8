"""Bad input ends in a clear message and exit code 2; the store, the ledger and the files stay as they were."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from team import STANDARD, Outcome, Team, cancer, copy_team, make_team, signoff

CONTEXT = ("--context", "business_context=triage of biopsies", "--notes", "first model")
NOBODY = "0" * 32
Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Two runs, logged and committed; nothing judged yet."""
    return make_team(tmp_path_factory.mktemp("made") / "repo")


@pytest.fixture(scope="module")
def released_once(made: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """tumours/1 is approved and released in prod."""
    team = copy_team(made, tmp_path_factory.mktemp("released") / "team")
    assert signoff(team, "gate", team.good).code == 0
    assert signoff(team, "propose", team.good, *CONTEXT, key="ana").code == 0
    assert signoff(team, "approve", "tumours/1", key="ben").code == 0
    assert signoff(team, "promote", "tumours/1", key="cleo").code == 0
    return team


@pytest.fixture
def fresh(made: Team, tmp_path: Path) -> Team:
    return copy_team(made, tmp_path / "team")


@pytest.fixture
def released(released_once: Team, tmp_path: Path) -> Team:
    return copy_team(released_once, tmp_path / "team")


def undecided(outcome: Outcome, *words: str) -> None:
    """Exit code 2 with a message on stderr that holds these words, and nothing else."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: "), outcome
    assert outcome.out == "", outcome
    assert "Traceback" not in outcome.err, outcome
    for word in words:
        assert word in outcome.err, outcome


@contextmanager
def untouched(team: Team) -> Iterator[None]:
    """Nothing changes but for entries of the audit log that say that a decision failed."""
    before = _files(team), _rows(team)
    log = _log(team)
    yield
    assert (_files(team), _rows(team)) == before
    added = _log(team)[len(log) :]
    assert all(b'"outcome":"failed"' in entry for entry in added), added


def _files(team: Team) -> dict[str, str]:
    return {
        str(path.relative_to(team.folder.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in team.folder.parent.rglob("*")
        if path.is_file() and not path.name.startswith("mlflow.db")
    }


def _rows(team: Team) -> dict[str, list[Any]]:
    """All of MLflow's rows, and the statements."""
    return {
        name: _query(team, f"SELECT * FROM {name} ORDER BY 1")  # noqa: S608 - the database's own names
        for name in _tables(team)
        if not name.startswith("signoff_")
        or (name == "signoff_statement" and _query(team, f"SELECT 1 FROM {name}"))  # noqa: S608
    }


def _log(team: Team) -> list[bytes]:
    if "signoff_log" not in _tables(team):
        return []
    return [entry for (entry,) in _query(team, "SELECT entry FROM signoff_log ORDER BY idx")]


def _tables(team: Team) -> list[str]:
    return [name for (name,) in _query(team, "SELECT name FROM sqlite_master WHERE type = 'table'")]


def _query(team: Team, statement: str) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"file:{team.folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
            return store.execute(statement).fetchall()
    except sqlite3.Error:
        return []


def every_verb(team: Team) -> list[tuple[str, ...]]:
    """One call of each command that works on a team's store."""
    key = ("--key", team.key("cleo"))
    return [
        ("check",),
        ("check", "tumours", "--fix"),
        ("gate", team.good),
        ("gate", "tumours"),
        ("propose", team.good, *CONTEXT, *key),
        ("note", "tumours/1", "good", *key),
        ("approve", "tumours/1", *key),
        ("approve", team.good, "--waive", "x", "--until", "2099-01-01", "--comment", "y", *key),
        ("reject", "tumours/1", "--reason", "documentation", *key),
        ("promote", "tumours/1", *key),
        ("rollback", "tumours", "--reason", "x", *key),
        ("predict", "tumours"),
        ("status",),
        ("lineage", "tumours@prod"),
        ("lineage", "tumours/1"),
        ("admin", "audit"),
        ("admin", "audit", "--verify"),
    ]


# The standard and the roster


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"signoff: 1\nuse_cases: [\n", ["signoff.yaml:3", "1 fault"]),
        (b"signoff: 1\n\tprofile: small\n", ["signoff.yaml:2"]),
        (b"", ["the file is empty", "signoff init"]),
        (b"just words\n", ["signoff.yaml"]),
        (
            STANDARD.replace("use_cases:", "use_case:").encode(),
            ["signoff.yaml:3", "use_case", "did you mean", "use_cases"],
        ),
        (
            STANDARD.replace("no_worse_than: 0.05", "no_worse: 0.05").encode(),
            ["use_cases.tumours.primary", "no_worse", "no_worse_than"],
        ),
        (STANDARD.replace("roc_auc", "rocauc").encode(), ["rocauc", "roc_auc"]),
        ("# Größe\n".encode("latin-1") + STANDARD.encode(), ["not UTF-8", "signoff.yaml"]),
        (b"\x00" * 10, ["signoff.yaml"]),
    ],
)
def test_a_standard_with_faults_is_named_with_its_line(
    fresh: Team, content: bytes, words: Sequence[str]
) -> None:
    (fresh.folder / "signoff.yaml").write_bytes(content)
    with untouched(fresh):
        for command in (("status",), ("standard", "check"), ("gate", fresh.good)):
            undecided(signoff(fresh, *command), *words)


def test_without_a_standard_every_verb_says_how_to_write_one(fresh: Team) -> None:
    (fresh.folder / "signoff.yaml").unlink()
    with untouched(fresh):
        for command in every_verb(fresh):
            undecided(signoff(fresh, *command), "no signoff.yaml", "signoff init")
        undecided(signoff(fresh, "status", "--standard", "nowhere.yaml"), "no such file", "nowhere.yaml")
        undecided(signoff(fresh, "status", "--standard", "eval"), "eval")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no roster", "signoff.roster.yaml", "signoff init"]),
        (b"people: {", ["signoff.roster.yaml"]),
        (b"people:\n  ana@lab.example:\n    rolls: [author]\n", ["signoff.roster.yaml:3", "rolls", "roles"]),
        (
            b"people:\n  ana@lab.example:\n    name: Ana\n    roles: [author]\n    keys: [ssh-ed25519 AAAA]\n",
            ["signoff.roster.yaml:5"],
        ),
        (b"people:\n  \xff: {}\n", ["not UTF-8", "signoff.roster.yaml"]),
    ],
)
def test_a_roster_with_faults_is_named(released: Team, content: bytes | None, words: Sequence[str]) -> None:
    roster = released.folder / "signoff.roster.yaml"
    roster.unlink() if content is None else roster.write_bytes(content)
    with untouched(released):
        for command in every_verb(released)[2:15]:
            undecided(signoff(released, *command), *words)


# The evaluation table


def _nan_labels(frame: Any) -> Any:
    return frame.assign(benign=frame["benign"].astype(float).where(frame["sample"] > 10))


def _twice(frame: Any) -> Any:
    import pandas as pd

    return pd.concat([frame, frame.head(3)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="benign"), ["column benign", "it has: sample"]),
        (lambda f: f.drop(columns="size"), ["column size", "it has: sample"]),
        (lambda f: f.drop(columns=["size", "sample"]), ["columns size, sample"]),
        (lambda f: f.drop(columns="mean_texture"), ["mean_texture", "does not fit the model"]),
        (lambda f: f.assign(mean_texture="rough"), ["mean_texture", "does not fit the model"]),
        (_nan_labels, ["6 of 285 labels", "benign"]),
        (lambda f: f.assign(benign=1), ["one class", "1"]),
        (lambda f: f.assign(benign=f["sample"] % 3), ["3 different labels"]),
        (lambda f: f.assign(benign=[[1]] * len(f)), ["benign"]),
        (lambda f: f.assign(benign=["yes", 1] + ["no"] * (len(f) - 2)), ["table"]),
        (lambda f: f.head(0), ["no rows"]),
        (_twice, ["3 rows repeat", "sample", "cluster"]),
        (lambda f: f.assign(sample=f["sample"].where(f["sample"] > 10)), ["no 'sample'"]),
        (lambda f: f.assign(sample=[[1]] * len(f)), ["sample"]),
    ],
)
def test_an_evaluation_table_that_cannot_be_judged_on(
    fresh: Team, change: Change, words: Sequence[str]
) -> None:
    import pandas as pd

    table = fresh.folder / "eval/table.parquet"
    frame = change(pd.read_parquet(table))
    try:
        frame.to_parquet(table, index=False)
    except Exception:  # pyarrow writes no column of mixed types
        frame.astype({"benign": str}).iloc[:, :0].to_parquet(table)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), str(table), *words)
    assert len(_log(fresh)) == 1, "the log remembers that it could not be decided"


def _removed(table: Path) -> None:
    table.unlink()


def _truncated(table: Path) -> None:
    table.write_bytes(table.read_bytes()[:1000])


def _some_folder(table: Path) -> None:
    table.unlink()
    table.mkdir()
    (table / "x.txt").write_text("no table")


def _repeated_column(table: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = pq.read_table(table)
    pq.write_table(read.append_column("benign", pa.array([0] * len(read))), table)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_removed, ["the table is not there", "in the standard"]),
        (_truncated, ["cannot be read"]),
        (_some_folder, ["cannot be read"]),
        (_repeated_column, ["benign"]),
    ],
)
def test_an_evaluation_table_that_cannot_be_read(
    fresh: Team, spoil: Callable[[Path], None], words: Sequence[str]
) -> None:
    table = fresh.folder / "eval/table.parquet"
    spoil(table)
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), str(table), *words)


@pytest.mark.parametrize("name", ["table.csv", "table.txt", "delta table"])
def test_kinds_of_evaluation_tables(fresh: Team, name: str) -> None:
    from deltalake import write_deltalake

    frame = cancer()
    frame = frame[frame["sample"] % 2 == 0]
    target = fresh.folder / "eval" / name
    if name == "delta table":
        for size in ("large", "small"):  # two files
            rows = frame[frame["size"] == size]
            write_deltalake(str(target), rows.reset_index(drop=True), mode="append", partition_by=["size"])
    else:
        frame.to_csv(target, index=False)
    standard = fresh.folder / "signoff.yaml"
    standard.write_text(standard.read_text().replace("eval/table.parquet", f'"eval/{name}"'))
    outcome = signoff(fresh, "gate", fresh.good)
    if name == "table.txt":
        undecided(outcome, "only .parquet and .csv files and Delta tables are read")
    else:
        assert outcome.code == 0, outcome
