"""Ask the endpoint as the order desk does: once for every invoice, in the order in which they were written.

    python traffic.py --week 2011-11-28 --url http://127.0.0.1:5001 [--answers answers.jsonl]

A request holds the customer's features of that Monday. A customer who bought nothing in the 26 weeks before has none,
and the request says so with nulls. Prints who answered, and ends with exit code 1 when a caller saw an error.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import pandas as pd
from features import FEATURE_SETS, feature_table
from prepare import LINES, fail, monday

CALLERS = 4
PER_SECOND = 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One answer.

    Attributes:
        at: when it came, in seconds since 1970.
        ms: how long it took.
        status: HTTP status; 0 for a connection that broke.
        version: that answered; "" when none did.
        route: stable, canary, or fallback: stable, after the canary failed.
        known: whether anything was known of the customer.
    """

    at: float
    ms: float
    status: int
    version: str
    route: str
    known: bool


def main() -> int:
    """Ask for every invoice; 0 when all were answered, 1 when one was not, 2 without a week of invoices."""
    parser = argparse.ArgumentParser(description="Ask the endpoint for every invoice of a week.")
    parser.add_argument("--week", required=True, type=monday, help="the Monday it begins on")
    parser.add_argument("--url", required=True, help="the endpoint, such as http://127.0.0.1:5001")
    parser.add_argument("--per-second", type=float, default=PER_SECOND, help="how many are asked a second")
    parser.add_argument("--answers", type=Path, help="write each answer there, one JSON line each")
    given = parser.parse_args()
    asked = requests(given.week)
    if not asked:
        return fail(f"no invoices were written in the week of {given.week:%Y-%m-%d}")
    seen = replay(asked, given.url, given.per_second)
    if given.answers is not None:
        given.answers.write_text("".join(json.dumps(asdict(one)) + "\n" for one in seen), "utf-8")
    failed = sum(one.status != 200 for one in seen)
    unknown = sum(not one.known for one in seen)
    print(
        f"{len(seen)} invoices of the week of {given.week:%Y-%m-%d}, {unknown} of customers without a history:"
    )
    for (version, route), count in sorted(Counter((one.version, one.route) for one in seen).items()):
        times = sorted(one.ms for one in seen if (one.version, one.route) == (version, route))
        half, most = times[len(times) // 2], times[int(0.95 * (len(times) - 1))]
        print(
            f"  {count:>5} by version {version or '?'} ({route or 'none'}), p50 {half:.1f} ms, p95 {most:.1f} ms"
        )
    print(f"  {failed:>5} failed")
    return 1 if failed else 0


def requests(week: pd.Timestamp) -> list[tuple[str, bool]]:
    """A week's requests in order: the body, and whether anything is known of the customer."""
    lines = pd.read_parquet(LINES, columns=["invoice", "customer", "time", "quantity"])
    end = week + pd.Timedelta(weeks=1)
    bought = lines[(lines["time"] >= week) & (lines["time"] < end) & (lines["quantity"] > 0)]
    invoices = bought.groupby("invoice", as_index=False).agg(
        time=("time", "min"), customer=("customer", "first")
    )
    table = feature_table(LINES)
    columns = FEATURE_SETS["rich"]
    known = table[table["week"] == week].set_index("customer")[columns]
    asked = []
    for customer in invoices.sort_values(["time", "invoice"])["customer"]:
        has_history = customer in known.index
        row = known.loc[customer].to_dict() if has_history else dict.fromkeys(columns)
        asked.append((json.dumps({"dataframe_records": [row]}), has_history))
    return asked


def replay(asked: list[tuple[str, bool]], url: str, per_second: float) -> list[Seen]:
    """Ask for all, so many a second, with a few callers at the same time."""
    waiting: SimpleQueue[tuple[float, str, bool]] = SimpleQueue()
    start = time.monotonic()
    for number, (body, known) in enumerate(asked):
        waiting.put((start + number / per_second, body, known))
    seen: list[Seen] = []
    threads = [threading.Thread(target=call, args=(url, waiting, seen)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(seen, key=lambda one: one.at)


def call(url: str, waiting: "SimpleQueue[tuple[float, str, bool]]", seen: list[Seen]) -> None:
    """One caller: take the next request, wait for its moment, ask on a connection that stays open."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    while True:
        try:
            due, body, known = waiting.get_nowait()
        except Empty:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        status, version, route = 0, "", ""
        try:
            connection.request("POST", "/invocations", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            version = answer.headers.get("x-signoff-version", "")
            route = answer.headers.get("x-signoff-route", "")
        except (OSError, HTTPException):
            connection.close()
        ms = round((time.monotonic() - began) * 1000, 2)
        seen.append(Seen(at=time.time(), ms=ms, status=status, version=version, route=route, known=known))
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
