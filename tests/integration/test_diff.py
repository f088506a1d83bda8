"""`signoff diff`, `standard diff` and `standard history` on a real store and a real repository."""

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
