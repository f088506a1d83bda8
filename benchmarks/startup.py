"""How long `signoff --help` and `signoff status` take, beside a bare interpreter and `import mlflow`.

Each figure is the median of whole processes, run in turn so that noise falls on all alike. Status reads a store
with one released version, made here through the real verbs.

    make bench NAME=startup
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
WANTED_S = 0.3
ROOT = Path(__file__).resolve().parent.parent

# In a program of its own without a file: the runs belong to the team's repository, not to this checkout.
SET_UP = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from team import make_team, release_run
team = make_team(Path(sys.argv[2]))
release_run(team, team.good, 1)
"""


def main() -> None:
    """Measure and print a table, then one line of JSON."""
    program = str(Path(sys.executable).with_name("signoff"))
    with tempfile.TemporaryDirectory() as folder:
        team = Path(folder) / "repo"
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SET_UP, str(ROOT / "tests" / "integration"), str(team)],
            cwd=folder,
            check=True,
        )
        commands = {
            "python_s": [sys.executable, "-c", "pass"],
            "help_s": [program, "--help"],
            "status_s": [program, "status"],
            "import_mlflow_s": [sys.executable, "-c", "import mlflow"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for round_ in range(ROUNDS + 1):
            for name, command in commands.items():
                start = time.perf_counter()
                subprocess.run(command, cwd=team, check=True, capture_output=True)
                if round_ > 0:  # the first warms the file cache
                    times[name].append(time.perf_counter() - start)
    medians = {name: round(statistics.median(found), 3) for name, found in times.items()}
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, median of {ROUNDS}")
    for name, found in times.items():
        print(f"  {name:<16} {medians[name]:.3f}  (min {min(found):.3f}, max {max(found):.3f})")
    print(json.dumps({**medians, "wanted_s": WANTED_S, "rounds": ROUNDS, "load": round(load, 2)}))


if __name__ == "__main__":
    main()
