"""`signoff diff`, `standard diff` and `standard history` on a real store and a real repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from team import Outcome, Team, git, inside, log_run, make_team, signoff

CONTEXT = ("--context", "business_context=triage of biopsies", "--notes", "first model")


def done(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome
    return outcome.out


def commit(team: Team, message: str) -> None:
    git(team.folder, "commit", "-qam", message)


def edit(team: Team, old: str, new: str, file: str = "signoff.yaml") -> None:
    path = team.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """tumours/1 is released, tumours/2 from a later commit is proposed, and the weak run was judged."""
    team = make_team(tmp_path_factory.mktemp("diff") / "repo")
    done(signoff(team, "gate", team.good))
    done(signoff(team, "propose", team.good, *CONTEXT, key="ana"))
    done(signoff(team, "approve", "tumours/1", key="ben"))
    done(signoff(team, "promote", "tumours/1", key="cleo"))
    assert signoff(team, "gate", team.weak).code == 1
    (team.folder / "train.py").write_text("print('a training that is twice as long')\nprint('so')\n")
    git(team.folder, "add", "train.py")
    edit(team, "no_worse_than: 0.05", "no_worse_than: 0.06")
    commit(team, "Forgive more on the whole table")
    with inside(team.folder):
        second = log_run("good")
    done(signoff(team, "gate", second))
    done(signoff(team, "propose", second, *CONTEXT, key="ana"))
    return team


def part(team: Team, a: str, b: str, name: str) -> dict[str, tuple[object, object]]:
    """What differs in one part, from the JSON."""
    parts = json.loads(done(signoff(team, "diff", a, b, "--format", "json")))["parts"]
    rows = next(p["rows"] for p in parts if p["name"] == name)
    return {row["name"]: (row["a"], row["b"]) for row in rows}


# runs and versions


def test_two_versions_of_one_model_differ_in_code_and_files_only(team: Team) -> None:
    found = json.loads(done(signoff(team, "diff", "tumours/1", "tumours/2", "--format", "json")))
    differ = {p["name"]: [row["name"] for row in p["rows"]] for p in found["parts"] if p["rows"]}
    assert differ.pop("gate")
    assert differ == {"code": ["commit"], "model": ["files"]}
    assert {f["path"]: (f["added"], f["deleted"]) for f in found["files"]} == {
        "signoff.yaml": (1, 1),
        "train.py": (2, 0),
    }


def test_a_run_against_what_is_released(team: Team) -> None:
    released = "tumours@prod"
    assert part(team, released, team.weak, "parameters") == {"feature_set": ("good", "weak")}
    columns = part(team, released, team.weak, "model")
    assert columns["input column texture_error"] == (None, "double")
    assert columns["input column worst_area"] == ("double", None)
    gate = part(team, released, team.weak, "gate")
    assert gate["verdict"] == ("pass", "fail")
    a, b = gate["quality(roc_auc)"]
    assert isinstance(a, dict)
    assert isinstance(b, dict)
    assert a["candidate"] > 0.9 > b["candidate"]
    text = done(signoff(team, "diff", released, team.weak))
    assert "tumours@prod (tumours/1), run " in text
    assert "environment: 0 differ, " in text
    assert "| feature_set | good | weak |" in done(
        signoff(team, "diff", released, team.weak, "--format", "markdown")
    )


def test_a_run_does_not_differ_from_itself(team: Team) -> None:
    found = json.loads(done(signoff(team, "diff", team.good, "tumours/1", "--format", "json")))
    assert [p["rows"] for p in found["parts"]] == [[]] * 7
    assert all(p["equal"] for p in found["parts"])


@pytest.mark.parametrize(
    ("a", "message"),
    [
        ("tumours/9", "the registry has no tumours/9"),
        ("cells@prod", "nothing is released in prod"),
        ("tumours", "'tumours' names neither run nor version"),
        ("moles/1", "the standard knows no use case 'moles'"),
        ("0" * 32, "there is no active run"),
    ],
)
def test_what_names_nothing_cannot_be_compared(team: Team, a: str, message: str) -> None:
    outcome = signoff(team, "diff", a, "tumours/1")
    assert outcome.code == 2
    assert message in outcome.err


def test_without_the_ledger_everything_else_is_compared(team: Team) -> None:
    roster = team.folder / "signoff.roster.yaml"
    kept = roster.read_text()
    try:
        roster.unlink()
        text = done(signoff(team, "diff", team.good, team.weak))
    finally:
        roster.write_text(kept)
    assert "feature_set  good  →  weak" in text
    assert f"note: {team.good}: there is no roster" in text


def test_nothing_is_written_and_mlflow_is_not_imported(team: Team) -> None:
    entries = done(signoff(team, "admin", "audit", "--format", "json"))
    code = (
        "import sys\n"
        "from signoff.apps.cli.main import signoff\n"
        "for words in (['diff', 'tumours@prod', 'tumours/2'], ['standard', 'diff', 'HEAD~1'], ['standard', 'history']):\n"
        "    signoff.main(words, standalone_mode=False)\n"
        "print(sorted(name for name in ('mlflow', 'pandas', 'sklearn') if name in sys.modules), file=sys.stderr)\n"
    )
    environ = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "SIGNOFF_STANDARD")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=team.folder, env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stderr.splitlines()[-1] == "[]"
    assert "train.py  +2 -0" in ran.stdout
    assert done(signoff(team, "admin", "audit", "--format", "json")) == entries


# the standard


def test_what_an_uncommitted_change_would_void(team: Team) -> None:
    kept = (team.folder / "signoff.yaml").read_text()
    try:
        edit(team, "at_least: 0.8", "at_least: 0.9")
        text = done(signoff(team, "standard", "diff"))
        found = json.loads(done(signoff(team, "standard", "diff", "--format", "json")))
    finally:
        (team.folder / "signoff.yaml").write_text(kept)
    assert "tighter: thresholds: roc_auc at least 0.9 instead of roc_auc at least 0.8\n" in text
    assert "1 use case without a change" in text
    void = "gate decisions and approvals made under the old rules are void"
    stays = "the release tumours/1 in prod stays"
    assert found["touched"] == {"tumours": [f"{void}: open candidate tumours/2; {stays}"]}
    assert "no difference; 2 use cases without a change" in done(signoff(team, "standard", "diff"))


def test_revisions_and_files_are_compared_with_each_other(team: Team, tmp_path: Path) -> None:
    words = "looser:  gate: primary: roc_auc no worse than 0.06 instead of roc_auc no worse than 0.05"
    text = done(signoff(team, "standard", "diff", "HEAD~1", "main"))
    assert words in text
    assert "judged under the new rules already: open candidate tumours/2" in text
    other = tmp_path / "other.yaml"
    other.write_text((team.folder / "signoff.yaml").read_text() + "# a comment\n")
    assert "only comments or layout" in done(signoff(team, "standard", "diff", "HEAD", str(other)))
    assert words in done(signoff(team, "standard", "diff", "HEAD~1", str(other)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("diff", "HEAD~9"), "neither a file nor a git revision"),
        (("diff", "nothing.yaml"), "neither a file nor a git revision"),
        (("history", "--use-case", "moles"), "no version of the standard has use case 'moles'"),
    ],
)
def test_what_is_no_version_cannot_be_compared(team: Team, words: tuple[str, ...], message: str) -> None:
    outcome = signoff(team, "standard", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_without_a_ledger_the_words_stand_and_what_they_touch_is_not_known(tmp_path: Path) -> None:
    standard = "signoff: 1\nprofile: small\nuse_cases:\n  churn:\n    owner: ana\n    type: classification\n"
    standard += "    evaluate: {data: e.csv, label: y}\n    primary: {metric: roc_auc, no_worse_than: 0.01}\n"
    (tmp_path / "old.yaml").write_text(standard)
    (tmp_path / "signoff.yaml").write_text(standard.replace("0.01", "0.02"))
    alone = Team(folder=tmp_path, good="", weak="")
    text = done(signoff(alone, "standard", "diff", "old.yaml"))
    assert "looser:  gate: primary" in text
    assert "What it touches is not known: there is no roster" in text
    outcome = signoff(alone, "standard", "diff")
    assert outcome.code == 2
    assert "is in no git repository" in outcome.err
    assert not (tmp_path / "mlflow.db").exists()


def test_the_history_tells_each_commit_and_one_use_case_alone(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    path = folder / "signoff.yaml"
    team = Team(folder=folder, good="", weak="")
    use_case = "  {0}:\n    owner: ana\n    type: classification\n    evaluate: {{data: e.csv, label: y}}\n"
    use_case += "    primary: {{metric: roc_auc, no_worse_than: 0.01}}\n"
    first = "signoff: 1\nprofile: small\nuse_cases:\n" + use_case.format("churn") + use_case.format("winback")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "ana@lab.example")
    git(folder, "config", "user.name", "Ana")
    head, _, tail = first.partition("  winback:")
    for message, text in (
        ("Begin", first),
        ("Forgive winback more", head + "  winback:" + tail.replace("0.01", "0.02")),
        ("Break it", "signoff: 1\nprofile: tiny\n"),
        ("Mend it", first.replace("profile: small", "profile: mid")),
    ):
        path.write_text(text)
        git(folder, "add", ".")
        commit(team, message)
    text = done(signoff(team, "standard", "history"))
    order = [text.index(message) for message in ("Mend it", "Break it", "Forgive winback more", "Begin")]
    assert order == sorted(order)
    assert "Ana <ana@lab.example>" in text
    assert "looser:  gate: primary: roc_auc no worse than 0.02" in text
    assert "cannot be compared: 2 faults" in text
    assert "the first version that this repository has: profile small, use cases churn, winback" in text
    churn = done(signoff(team, "standard", "history", "--use-case", "churn"))
    assert "Forgive winback more" not in churn
    assert "3 commits; 1 more changed nothing of this" in churn
    steps = json.loads(done(signoff(team, "standard", "history", "--last", "3", "--format", "json")))
    assert [step["subject"] for step in steps] == ["Mend it", "Break it", "Forgive winback more"]
    assert steps[2]["diff"]["use_cases"][1]["rules_changed"] is True
