"""The periodic review of a team's store with a history: what it sees, what it proposes, what it leaves alone."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from team import CONTEXT, STANDARD, Outcome, Team, copy_team, inside, log_run, make_team, registry, signoff

HOSTILE = "<script>alert(1)</script>"
STANDARD_WITH_COMMENTS = STANDARD.replace("use_cases:\n", "use_cases:\n  # what we release\n")


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Two rejections for one artifact, a release, runs outside, a hand-set alias, a model of nobody."""
    team = make_team(tmp_path_factory.mktemp("review") / "repo", STANDARD_WITH_COMMENTS)

    def done(*arguments: str, key: str | None = None) -> None:
        outcome = signoff(team, *arguments, key=key)
        assert outcome.code == 0, outcome

    done("gate", team.good)
    done("propose", team.good, *CONTEXT, key="ana")
    for comment in ("where is the `calibration_curve`?", f"still no calibration_curve {HOSTILE}"):
        done("reject", "tumours/1", "--reason", "missing-artifact", "--comment", comment, key="ben")
    with inside(team.folder):
        other, incomplete = log_run("other"), log_run("weak", complete=False)
        log_run("weak", experiment=f"Untitled {HOSTILE}")
    done("gate", other)
    until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    waived = ("--waive", "param:feature_set", "--until", until, "--comment", "two columns")
    done("approve", incomplete, *waived, key="cleo")
    done("propose", other, *CONTEXT, key="ana")
    done("approve", "tumours/2", key="ben")
    done("promote", "tumours/2", key="cleo")
    client = registry(team)
    client.set_registered_model_alias("tumours", "champion", "1")
    client.create_registered_model("mystery")
    return team


def answers(outcome: Outcome) -> dict[tuple[str, str], Any]:
    """The items of a JSON report by code and use case."""
    assert outcome.code == 0, outcome
    return {
        (item["code"], item["use_case"]): item
        for section in json.loads(outcome.out)["sections"]
        for item in section["items"]
    }


def test_the_review_finds_what_happened(lived_in: Team) -> None:
    found = answers(signoff(lived_in, "review", "--format", "json"))
    told = {code: item["answer"] for (code, use_case), item in found.items() if use_case in ("", "tumours")}
    assert told == {
        "names:outside": "problem",
        "names:experiments": "attention",
        "names:models": "problem",
        "evidence:param:feature_set": "problem",
        "evidence:kept": "good",
        "criteria:decisions": "nothing to judge",
        "criteria:checks": "nothing to judge",
        "criteria:waivers": "good",
        "registry:context": "attention",
        "registry:idle": "good",
        "registry:runs": "good",
        "registry:aliases": "problem",
        "trace:production": "good",
        "rollback:prod": "attention",
        "rollback:none": "nothing to judge",
        "watch:monitors": "attention",
        "signs:rejected:missing-artifact": "attention",
    }
    assert found["registry:aliases", "tumours"]["evidence"] == ["tumours@champion"]
    assert "verified" in found["trace:production", "tumours"]["sentence"]


def test_a_problem_is_an_answer_unless_the_review_is_strict(lived_in: Team) -> None:
    assert signoff(lived_in, "review").code == 0
    assert signoff(lived_in, "review", "--strict").code == 1


def test_files_that_were_exchanged_after_the_release_break_the_trace(lived_in: Team, tmp_path: Path) -> None:
    team = copy_team(lived_in, tmp_path / "team")
    released = registry(team).get_model_version("tumours", "2")
    model = next((team.folder / "mlruns").rglob(f"{released.source.removeprefix('models:/')}/artifacts"))
    (model / "added.txt").write_text("not what was judged")
    found = answers(signoff(team, "review", "--format", "json"))["trace:production", "tumours"]
    assert found["answer"] == "problem"
    assert any(fact.startswith("broken: model") for fact in found["facts"])


def test_a_later_period_leaves_earlier_runs_and_decisions_out(lived_in: Team, tmp_path: Path) -> None:
    team = copy_team(lived_in, tmp_path / "team")
    import sqlite3

    with sqlite3.connect(team.folder / "mlflow.db") as store:
        store.execute("UPDATE runs SET start_time = 1000")
    store.close()
    found = answers(signoff(team, "review", "--format", "json"))
    assert found["names:outside", ""]["answer"] == "nothing to judge"
    since = answers(signoff(team, "review", "--format", "json", "--since", "1970-01-01"))
    assert since["names:outside", ""]["answer"] == "problem"


@pytest.mark.parametrize("day", ["2999-01-01", "yesterday", "2026-02-30"])
def test_a_day_that_is_none_is_refused(lived_in: Team, day: str) -> None:
    assert signoff(lived_in, "review", "--since", day).code == 2


def test_the_page_shows_what_people_wrote_as_text(lived_in: Team, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    assert signoff(lived_in, "review", "--format", "html", "--output", str(page)).code == 0
    text = page.read_text("utf-8")
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    markdown = signoff(lived_in, "review", "--format", "markdown").out
    assert HOSTILE not in markdown


def test_what_reviewers_ask_for_again_becomes_a_patch_that_closes_the_gap(
    lived_in: Team, tmp_path: Path
) -> None:
    team = copy_team(lived_in, tmp_path / "team")
    patch = team.folder / "gaps.patch"
    before = (team.folder / "signoff.yaml").read_text()
    assert signoff(team, "review", "--propose", "--output", str(patch)).code == 0
    assert (team.folder / "signoff.yaml").read_text() == before
    subprocess.run(["git", "-C", str(team.folder), "apply", "gaps.patch"], check=True)
    after = (team.folder / "signoff.yaml").read_text()
    assert "# what we release" in after
    assert "        - calibration_curve\n" in after
    assert signoff(team, "review", "--propose").out.startswith("# Nothing to propose")
    again = team.folder / "again.patch"
    nothing = signoff(team, "review", "--propose", "--output", str(again))
    assert (nothing.code, again.exists()) == (0, False)
    assert nothing.err.startswith("# Nothing to propose")
    assert "No file was written" in nothing.err
    refused = signoff(team, "check", team.good)
    assert refused.code == 1
    assert "calibration_curve" in refused.out


def test_a_file_that_is_there_stays_as_it_is(lived_in: Team, tmp_path: Path) -> None:
    team = copy_team(lived_in, tmp_path / "team")
    for name in ("signoff.yaml", "signoff.roster.yaml"):
        before = (team.folder / name).read_bytes()
        for extra in ((), ("--propose",)):
            outcome = signoff(team, "review", *extra, "--output", str(team.folder / name))
            assert outcome.code == 2, outcome
            assert "there is a file of that name" in outcome.err
        assert (team.folder / name).read_bytes() == before


def test_the_review_writes_nothing_and_never_imports_mlflow(lived_in: Team) -> None:
    def store() -> bytes:
        return (lived_in.folder / "mlflow.db").read_bytes()

    before = store()
    program = (
        "import sys\nfrom signoff.apps.cli.main import main\n"
        "try:\n    main(['review', '--format', 'html'])\nexcept SystemExit as stop:\n    code = stop.code\n"
        "assert code == 0, code\nassert 'mlflow' not in sys.modules\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=lived_in.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert store() == before
