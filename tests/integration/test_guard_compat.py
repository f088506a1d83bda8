"""With every rule off, a guarded server answers all that clients ask as a bare one does."""

import json
import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
from guard_server import ADMIN, PASSWORD, Kind, prepare, running
from mlflow_server import QUIET, own_database
from team import edit_standard

CLIENT = Path(__file__).with_name("compat_client.py")


def exchanged(folder: Path, database: str, *, kind: Kind) -> list[str]:
    """All that a client of everything asked and was told."""
    accounts = None if database.startswith("sqlite") else database
    place = prepare(folder / kind, database, kind=kind, accounts=accounts)
    if kind == "guarded":
        edit_standard(place.team, "guard: enforce", "guard: off")
    output = folder / f"{kind}.jsonl"
    with running(place):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(CLIENT), place.address.url, str(output)],
            cwd=folder,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
                **QUIET,
                "MLFLOW_TRACKING_USERNAME": ADMIN,
                "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return output.read_text().splitlines()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_with_every_rule_off_nothing_in_mlflows_behaviour_changes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        told = [
            exchanged(tmp_path, f"sqlite:///{tmp_path / name}.db", kind=name) for name in ("bare", "guarded")
        ]
    else:
        uri = request.getfixturevalue("postgres_uri")
        with own_database(uri) as first, own_database(uri) as second:
            told = [
                exchanged(tmp_path, first, kind="bare"),
                exchanged(tmp_path, second, kind="guarded"),
            ]
    bare, guarded = told
    assert len(bare) > 200
    assert {json.loads(line).get("status") for line in bare} >= {200, 400, 404}
    different = [pair for pair in zip_longest(bare, guarded) if pair[0] != pair[1]]
    assert different == []
