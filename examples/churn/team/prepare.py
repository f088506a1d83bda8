"""Write the tables of one Monday: the labelled week that judges models, and the customers to score.

    python prepare.py --week 2011-12-05

writes ``eval/week.parquet`` (the last week whose labels are known on that Monday, with label and value band; a copy
under its date stays), ``watch/week.parquet`` (the same rows, for the monitors) and ``scoring/customers.parquet`` (the
customers of that Monday itself). With ``--watch`` the evaluation table stays as it is: nothing is trained that day.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from features import feature_table
from model import TimeLine

LINES = Path("data/lines.parquet")
EVALUATION = Path("eval/week.parquet")
SCORING = Path("scoring/customers.parquet")
WATCHED = Path("watch/week.parquet")


def main() -> int:
    """Write both tables; 2 when the transactions do not reach far enough."""
    parser = argparse.ArgumentParser(description="Write the evaluation and scoring tables of one Monday.")
    parser.add_argument("--week", required=True, type=monday, help="the Monday, such as 2011-12-05")
    parser.add_argument("--watch", action="store_true", help="leave the evaluation table as it is")
    given = parser.parse_args()
    line = TimeLine(today=given.week)
    if not LINES.is_file():
        return fail(f"{LINES} is missing: the invoice lines belong there")
    table = feature_table(LINES)
    evaluation = table[table["week"] == line.evaluation]
    scoring = table[table["week"] == line.today].drop(columns="churned")
    if evaluation.empty or evaluation["churned"].isna().any():
        return fail(f"the transactions hold no complete labels for {line.evaluation:%Y-%m-%d}")
    if scoring.empty:
        return fail(f"the transactions do not reach {line.today:%Y-%m-%d}")

    labelled = evaluation.astype({"churned": "int64"})
    kept = EVALUATION.with_stem(f"{line.evaluation:%Y-%m-%d}")
    for path in (WATCHED,) if given.watch else (EVALUATION, kept, WATCHED):
        write(labelled, path)
    write(scoring, SCORING)
    rate = evaluation["churned"].mean()
    shown = WATCHED if given.watch else EVALUATION
    print(f"{shown}: week of {line.evaluation:%Y-%m-%d}, {len(evaluation)} customers, {rate:.1%} churned")
    print(f"{SCORING}: week of {line.today:%Y-%m-%d}, {len(scoring)} customers")
    return 0


def monday(text: str) -> pd.Timestamp:
    """Read a date that must be a Monday."""
    day = pd.Timestamp(text)
    if day.weekday() != 0 or day != day.normalize():
        raise argparse.ArgumentTypeError(f"{text} is not a Monday")
    return day


def write(rows: pd.DataFrame, path: Path) -> None:
    """Write the rows as Parquet, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    rows.to_parquet(partial, index=False)
    partial.replace(path)


def fail(message: str) -> int:
    """Say why nothing was written; the exit code for that."""
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
