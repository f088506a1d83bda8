"""Bad input ends in a clear message and exit code 2; the store, the ledger and the files stay as they were."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from team import STANDARD, Outcome, Team, copy_team, signoff
from untouched import CONTEXT, every_verb, undecided, untouched

NOBODY = "0" * 32
Change = Callable[[Any], Any]


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
        for path in ("nowhere.yaml", "eval"):
            undecided(signoff(fresh, "status", "--standard", path), "does not exist", path)


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


def test_a_role_that_the_standard_does_not_know_is_a_fault_of_the_roster(fresh: Team) -> None:
    assert "roles: [wizard]" in (fresh.folder / "signoff.roster.yaml").read_text()
    with untouched(fresh):
        undecided(
            signoff(fresh, "standard", "check"),
            "signoff.roster.yaml:19: people.dan@lab.example.roles[0]: the standard knows no role `wizard`",
            "author, reviewer, platform-owner",
        )
    roster = fresh.folder / "signoff.roster.yaml"
    roster.write_text(roster.read_text().replace("wizard", "reviewr"))
    undecided(signoff(fresh, "standard", "check"), "1 fault", "did you mean `reviewer`?")
    roster.write_text(roster.read_text().replace("reviewr", "reviewer"))
    assert signoff(fresh, "standard", "check").code == 0
    roster.write_text("people: {")
    undecided(signoff(fresh, "standard", "check"), "signoff.roster.yaml")
    roster.unlink()
    assert signoff(fresh, "standard", "check").code == 0, "it need not be there yet"


# The store


def _no_database(file: Path) -> str:
    file.write_bytes(b"not a database" * 100)
    return f"sqlite:///{file}"


def _another_database(file: Path) -> str:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE x (y)")
    return f"sqlite:///{file}"


STORES = [
    # address, what it is called in every message, what `check` says about it
    ("http://ana:s3cret@127.0.0.1:{port}", "http://127.0.0.1:{port}", "the server cannot be reached"),
    ("sqlite:///{folder}/nowhere.db", "nowhere.db", "cannot be opened"),
    ("sqlite:///{folder}/text.db", "text.db", "not an MLflow database"),
    ("sqlite:///{folder}/other.db", "other.db", "not an MLflow database"),
    ("postgresql://ana:s3cret@nowhere.invalid/mlflow", "nowhere.invalid", "cannot be reached"),
    ("postgresql://nowhere.invalid/mlflow?user=ana&password=s3cret", "nowhere.invalid", "cannot be reached"),
    ("postgresql://ana:s3cr@t@nowhere.invalid/mlflow", "postgresql://", "%40"),
    ("mysql://ana:s3cret@nowhere.invalid/mlflow", "mysql://nowhere.invalid", "sqlite:///"),
    ("mlruns", "mlruns", "sqlite:///"),
    ("http://ana:s3cret@[::1", "http", "no http(s) address"),
]


LEDGER_ALONE = [("rollback", "tumours"), ("lineage", "tumours/1")]
"""What the ledger alone answers as long as nothing is released."""


@pytest.mark.parametrize(("store", "name", "reason"), STORES)
def test_a_store_that_cannot_be_used(made: Team, tmp_path: Path, store: str, name: str, reason: str) -> None:
    team = copy_team(made, tmp_path / "team")
    (tmp_path / "text.db").write_text("not a database" * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE x (y)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # closed again when the commands run
    places = {"port": port, "folder": tmp_path}
    standard = f"{STANDARD}store: '{store.format(**places)}'\n"
    own_ledger = not store.startswith(("sqlite", "postgresql"))
    if own_ledger:  # it is at hand, and still nothing may be written to it
        standard += f"ledger: sqlite:///{team.folder / 'mlflow.db'}\n"
    (team.folder / "signoff.yaml").write_text(standard)
    files = {path: path.read_bytes() for path in tmp_path.glob("*.db")}
    with untouched(team):
        undecided(signoff(team, "check"), name.format(**places), reason)
        for command in every_verb(team):
            if command[0] == "admin" or (own_ledger and command[:2] in LEDGER_ALONE):
                continue
            outcome = signoff(team, *command)
            undecided(outcome, name.format(**places))
            assert "s3cr" not in outcome.err
    assert {path: path.read_bytes() for path in tmp_path.glob("*.db")} == files


# Names


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("gate", NOBODY), [f"no active run '{NOBODY}'", "typing error"]),
        (("check", NOBODY), [f"no active run '{NOBODY}'"]),
        (("propose", NOBODY, *CONTEXT, "--key", "{cleo}"), [f"no active run '{NOBODY}'"]),
        (("propose", "tumours", *CONTEXT, "--key", "{ana}"), ["'tumours' is not a run id", "32 hex digits"]),
        (("propose", "{run}", "--context", "why", "--key", "{ana}"), ["'why' is not FIELD=TEXT"]),
        (("propose", "{run}", "--context", "why=x", "--key", "{ana}"), ["no context field 'why'"]),
        (("gate", "tumors"), ["no use case 'tumors'", "did you mean 'tumours'?"]),
        (("gate", "123"), ["no use case '123'", "no run id either", "tumours", "32 hex digits"]),
        (("check", "tumors"), ["tumors", "tumours"]),
        (("predict", "tumors"), ["no use case 'tumors'", "did you mean 'tumours'?"]),
        (("status", "zebra"), ["no use case 'zebra'", "it has: tumours, cells"]),
        (("rollback", "zebra", "--reason", "x", "--key", "{cleo}"), ["no use case 'zebra'"]),
        (("promote", "zebra/1", "--key", "{cleo}"), ["no use case 'zebra'"]),
        (("promote", "tumours", "--key", "{cleo}"), ["'tumours' is not a version", "churn/3"]),
        (("promote", "tumours/9", "--key", "{cleo}"), ["no tumours/9", "it has: tumours/1"]),
        (("approve", "tumours/9", "--key", "{ben}"), ["no tumours/9", "it has: tumours/1"]),
        (
            ("reject", "tumours/0", "--reason", "documentation", "--key", "{ben}"),
            ["'tumours/0' is not a version"],
        ),
        (("note", "tumours/9", "x", "--key", "{ben}"), ["no tumours/9"]),
        (("note", "tumours/1", " ", "--key", "{ben}"), ["the note is empty"]),
        (("promote", "tumours/1", "--env", "moon", "--key", "{cleo}"), ["no environment 'moon'", "prod"]),
        (("approve", "tumours/1", "--env", "moon", "--key", "{ben}"), ["no environment 'moon'"]),
        (("predict", "tumours", "--env", "moon"), ["no environment 'moon'"]),
        (
            ("rollback", "tumours", "--env", "moon", "--reason", "x", "--key", "{cleo}"),
            ["no environment 'moon'"],
        ),
        (("lineage", "tumours@moon"), ["no environment 'moon'"]),
        (("lineage", "tumours@test"), ["nothing is released in test", "signoff status tumours"]),
        (("lineage", "tumours/9"), ["tumours/9"]),
        (("lineage", "nowhere"), ["'nowhere' is no release, version or table"]),
        (("lineage", "eval"), ["no Delta table", "eval"]),
        (("predict", "cells"), ["names no input table for cells", "--input and --output"]),
        (("predict", "tumours", "--input", "nowhere.parquet"), ["the table is not there", "nowhere.parquet"]),
        (("predict", "tumours", "--input", "signoff.yaml"), ["only .parquet and .csv"]),
    ],
)
def test_a_name_that_nothing_has(released: Team, command: Sequence[str], words: Sequence[str]) -> None:
    places = {person: released.key(person) for person in ("ana", "ben", "cleo")} | {"run": released.good}
    with untouched(released):
        undecided(signoff(released, *(word.format(**places) for word in command)), *words)


# Keys


def _rsa(key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(key)], check=True)


def _encrypted(key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "s3cret", "-f", str(key)], check=True)


def _open_to_all(key: Path) -> None:
    _ed25519(key)
    key.chmod(0o644)


def _ed25519(key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)


def _public(key: Path) -> None:
    _ed25519(key)
    key.with_name(key.name + ".pub").replace(key)


def _private_public(key: Path) -> None:
    _public(key)
    key.chmod(0o600)


def _text(key: Path) -> None:
    key.touch(0o600)
    key.write_text("no key")


def _text_that_all_may_read(key: Path) -> None:
    key.write_text("signoff: 1")
    key.chmod(0o644)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, ["no such key file", "signoff admin keys new"]),
        (Path.mkdir, ["cannot be read"]),
        (_text, ["not an OpenSSH private key", "ssh-keygen"]),
        (_text_that_all_may_read, ["not an OpenSSH private key", "ssh-keygen"]),
        (_open_to_all, ["other users can read this private key (mode 0644)", "chmod 600"]),
        (_rsa, ["only Ed25519 keys count", "ssh-keygen -t ed25519"]),
        (_public, ["this is a public key", "without .pub"]),
        (_private_public, ["this is a public key", "without .pub"]),
    ],
)
def test_a_key_that_cannot_sign(
    released: Team, make: Callable[[Path], None] | None, words: Sequence[str]
) -> None:
    key = released.folder.parent / "keys" / "odd"
    if make is not None:
        make(key)
    with untouched(released):
        for command in (("note", "tumours/1", "x"), ("promote", "tumours/1"), ("gate", released.good)):
            undecided(signoff(released, *command, "--key", str(key)), str(key), *words)


def test_without_a_key_nothing_is_signed(released: Team) -> None:
    with untouched(released):
        for command in (("note", "tumours/1", "x"), ("promote", "tumours/1"), ("approve", "tumours/1")):
            undecided(signoff(released, *command), "this needs your signature", "--key", "SIGNOFF_KEY")


def test_an_encrypted_key_without_a_terminal(released: Team) -> None:
    key = released.folder.parent / "keys" / "odd"
    _encrypted(key)
    program = "from signoff.apps.cli.main import main; main()"
    with untouched(released):
        done = subprocess.run(
            [sys.executable, "-c", program, "note", "tumours/1", "x", "--key", str(key)],
            cwd=released.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
    outcome = Outcome(code=done.returncode, out=done.stdout, err=done.stderr)
    undecided(outcome, str(key), "encrypted", "terminal")


# Scoring


def _foreign_files(team: Team) -> None:
    (team.folder / "predictions/tumours").mkdir(parents=True)
    (team.folder / "predictions/tumours/notes.txt").write_text("somebody else's")


def _a_file(team: Team) -> None:
    (team.folder / "predictions").mkdir()
    (team.folder / "predictions/tumours").write_text("somebody else's")


def _another_schema(team: Team) -> None:
    import pandas as pd
    from deltalake import write_deltalake

    write_deltalake(str(team.folder / "predictions/tumours"), pd.DataFrame({"other": ["x"]}))


def _nan_input(team: Team) -> None:
    _scoring(team, lambda frame: frame.assign(mean_texture=frame["mean_texture"].where(frame["sample"] > 3)))


def _no_rows(team: Team) -> None:
    _scoring(team, lambda frame: frame.head(0))


def _scoring(team: Team, change: Change) -> None:
    import pandas as pd

    table = team.folder / "scoring/table.parquet"
    change(pd.read_parquet(table)).to_parquet(table, index=False)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_foreign_files, ["the folder holds other files and no Delta table"]),
        (_a_file, ["predictions/tumours", "this is a file", "the file was not touched"]),
        (_another_schema, ["a changed schema needs a new output table"]),
        (_nan_input, ["NaN"]),
        (_no_rows, ["the table has no rows"]),
    ],
)
def test_scoring_that_cannot_be_done(
    released: Team, spoil: Callable[[Team], None], words: Sequence[str]
) -> None:
    spoil(released)
    with untouched(released):
        undecided(signoff(released, "predict", "tumours"), *words)


# A database that cannot be written


def test_a_read_only_database_changes_nothing(released: Team) -> None:
    _make_read_only(released.folder / "mlflow.db")
    writing = [
        ("gate", released.good),
        ("note", "tumours/1", "x", "--key", released.key("ben")),
        ("approve", "tumours/1", "--key", released.key("ben")),
        ("promote", "tumours/1", "--env", "test", "--key", released.key("cleo")),
        ("rollback", "tumours", "--reason", "x", "--key", released.key("cleo")),
        ("propose", released.good, *CONTEXT[:2], "--notes", "other notes", "--key", released.key("ana")),
    ]
    with untouched(released):
        for command in writing:
            undecided(signoff(released, *command), "mlflow.db", "readonly database")
    for command in (("status",), ("lineage", "tumours@prod"), ("admin", "audit", "--verify")):
        assert signoff(released, *command).code == 0


def test_a_store_that_is_read_only_from_the_start_changes_nothing(fresh: Team) -> None:
    _make_read_only(fresh.folder / "mlflow.db")
    with untouched(fresh):
        undecided(signoff(fresh, "gate", fresh.good), "mlflow.db", "readonly database")
        undecided(signoff(fresh, "admin", "migrate"), "mlflow.db", "readonly database")


def _make_read_only(database: Path) -> None:
    """A file format version above 2 in the header makes SQLite open the file for reading only, also as root."""
    with database.open("r+b") as file:
        file.seek(18)
        file.write(b"\x03")


# Secrets


def test_an_exception_that_nobody_expected_is_masked_and_is_no_refusal(
    released: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from signoff.apps.verbs import status

    said = (
        "cannot parse postgresql://ana:s3cret@db/mlflow, http://s3cret@host/x,"
        " password=s3cret&sslmode=x, Bearer t0ken-of-ana, pass%20word, pass word"
    )

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(status, "overview", fail)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken-of-ana")
    monkeypatch.setenv("PGPASSWORD", "pass%20word")
    outcome = signoff(released, "status")
    undecided(outcome, "RuntimeError: cannot parse postgresql://***@db/mlflow", "SIGNOFF_TRACEBACK")
    monkeypatch.setenv("SIGNOFF_TRACEBACK", "1")
    traced = signoff(released, "status")
    assert traced.code == 2
    assert "Traceback" in traced.err
    for text in (outcome.err, traced.err):
        for secret in ("s3cret", "t0ken", "pass word", "pass%20word"):
            assert secret not in text, text
