import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_behaviour import entry, envelope

from signoff.adapters.key_files import generate_key, load_key
from signoff.adapters.ledger_sql import SqlLedger
from signoff.apps.cli.main import main
from signoff.evidence.dsse import sign_statement
from signoff.evidence.statement import Statement, Subject
from signoff.record.digest import Digest

STANDARD = """\
signoff: 1
profile: small
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
"""


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's folder with a standard, a roster of one, and a database in which MLflow has tables."""
    key = generate_key(tmp_path / "ana", "ana")
    (tmp_path / "signoff.yaml").write_text(STANDARD)
    (tmp_path / "signoff.roster.yaml").write_text(
        f"people:\n  ana@shop.example: {{name: Ana, roles: [author], keys: ['{key.public_line}']}}\n"
    )
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.delenv("SIGNOFF_STANDARD", raising=False)
    return tmp_path / "mlflow.db"


@pytest.fixture
def admin(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["admin", *arguments])
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out + shown.err

    return run


Admin = Callable[..., tuple[int, str]]


def test_the_log_is_listed_and_verified(database: Path, admin: Admin) -> None:
    assert admin("audit") == (0, "the audit log is empty\n")
    assert admin("audit", "--verify")[0] == 2
    assert admin("migrate") == (0, f"sqlite:///{database}: the ledger's tables are up to date\n")
    with SqlLedger(f"sqlite:///{database}").transaction() as writer:
        name = writer.put(envelope("x"), use_case="churn", version=None, run_id=None)
        for number in range(3):
            writer.append(entry(number, statement=str(name)))

    code, text = admin("audit", "--last", "2")
    assert code == 0
    assert "churn/1" in text
    assert "churn/0" not in text
    code, text = admin("audit", "--format", "json")
    assert [row["index"] for row in json.loads(text)] == [0, 1, 2]
    code, text = admin("audit", "--verify")
    assert code == 0, text
    assert "the log is as it was written" in text


def test_a_changed_log_is_refused(database: Path, admin: Admin) -> None:
    admin("migrate")
    with SqlLedger(f"sqlite:///{database}").transaction() as writer:
        writer.append(entry(0))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE signoff_log SET entry = cast('{}' as blob)")
        connection.commit()
    code, text = admin("audit", "--verify", "--format", "json")
    assert code == 1, text
    assert [finding["problem"] for finding in json.loads(text)["findings"]] == ["rewritten", "malformed"]
    assert admin("audit")[0] == 2


def test_a_log_made_anew_is_refused_by_what_ana_signed(database: Path, tmp_path: Path, admin: Admin) -> None:
    admin("migrate")
    ledger = SqlLedger(f"sqlite:///{database}")
    with ledger.transaction() as writer:
        writer.append(entry(0))
        writer.append(entry(1))
    head = ledger.head()
    approval = Statement(
        kind="approval",
        subjects=(Subject(name="model", digest=Digest.of(b"model")),),
        predicate={"log": {"size": head.size, "root": str(head.root)}},
    )
    signed = sign_statement(approval, load_key(tmp_path / "ana"))
    with closing(sqlite3.connect(database)) as connection:
        for table in (
            "signoff_log",
            "signoff_head",
            "signoff_statement",
            "signoff_guard",
            "signoff_alembic_version",
        ):
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    admin("migrate")
    with ledger.transaction() as writer:
        writer.put(signed, use_case="churn", version="1", run_id=None)
        writer.append(entry(0))
    code, text = admin("audit", "--verify")
    assert code == 1, text
    assert f"ana@shop.example signed a log of 2 entries in {signed.id.short}; only 1 are left" in text


def test_a_new_key_is_one_that_signs(tmp_path: Path, admin: Admin) -> None:
    code, text = admin("keys", "new", str(tmp_path / "ben"), "--comment", "ben (demo)")
    assert code == 0
    made = load_key(tmp_path / "ben")
    assert text == f"{tmp_path / 'ben'}: {made.fingerprint}\n{made.public_line} ben (demo)\n"
    code, text = admin("keys", "new", str(tmp_path / "ben"))
    assert code == 2
    assert "exists already" in text
