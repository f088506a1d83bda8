"""Train again on the newest Monday: `signoff watch` runs this when a monitor says so.

    python retrain.py

Features and threshold stay those in production, as in every weekly retraining. Whether the new model is any better
is for the gate to say, and whether it is released for people.
"""

import subprocess
import sys

import pandas as pd
from prepare import SCORING, fail


def main() -> int:
    """Prepare and train; the exit code of the first that fails."""
    if not SCORING.is_file():
        return fail(f"{SCORING} is missing: prepare.py writes it")
    week = f"{pd.read_parquet(SCORING, columns=['week'])['week'].max():%Y-%m-%d}"
    for command in (
        ["prepare.py", "--week", week],
        ["train.py", "--week", week, "--features", "rich", "--threshold", "released"],
    ):
        ended = subprocess.run([sys.executable, *command], check=False).returncode  # noqa: S603 - fixed words and a date
        if ended:
            return ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
