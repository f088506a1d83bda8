"""Run test tiers one after the other, and close with one clear line for each.

unit: pure, fast. integration: a real MLflow server, real SQLite and PostgreSQL. heavy: whole journeys.
A tier that cannot run here is named, with the reason; it is never counted as passed.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NO_TESTS_COLLECTED = 5


def main(tiers: list[str]) -> int:
    """Run the tiers; 0 when all that could run passed."""
    lines: list[str] = []
    failed = False
    for tier in tiers:
        print(f"== {tier}", flush=True)
        reason = missing(tier)
        start = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", str(HERE / tier), "--durations=5"]
        if tier == "unit":
            command += ["-n", "2"]  # nothing is shared
        elif tier == "integration":
            command += ["-n", "2", "--dist", "loadfile"]  # a file's servers are started once
        if reason is not None and tier == "integration":
            command += ["-m", "not postgres"]
        code = subprocess.call(command, env=environment(tier))
        took = f"{time.monotonic() - start:.0f} s"
        if code == NO_TESTS_COLLECTED:
            failed = True
            lines.append(f"{tier}: FAILED, no test was found")
        elif code != 0:
            failed = True
            lines.append(f"{tier}: FAILED ({took})")
        else:
            lines.append(f"{tier}: passed ({took})" + (f"; LEFT OUT: {reason}" if reason else ""))
    print("\n" + "\n".join(lines))
    return 1 if failed else 0


def environment(tier: str) -> dict[str, str]:
    """The variables of a tier: the unit tests keep their bytecode, as half of their time would go into making it."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited if tier == "unit" else inherited | {"PYTHONDONTWRITEBYTECODE": "1"}


def missing(tier: str) -> str | None:
    """What part of a tier cannot run on this machine, and why."""
    if tier == "integration" and not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return "PostgreSQL tests (no PostgreSQL here; apt-get install postgresql)"
    if tier == "heavy" and not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return "pages in a browser (no Chromium here; apt-get install chromium)"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
