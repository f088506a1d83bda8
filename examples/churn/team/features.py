"""Weekly windows: what is known about a customer on a Monday, and whether the customer then stayed away.

A *snapshot* belongs to one Monday, 00:00. Its customers are those who bought something in the 26 weeks before;
its features use these 26 weeks and nothing later. A customer *churned* who buys nothing in the eight weeks that
begin on that Monday, so the label is known eight weeks later. ``value_band`` marks the fifth of the customers
who spent the most in the 26 weeks; it is for judging models, not an input.
"""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

HISTORY_WEEKS = 26
HORIZON_WEEKS = 8
RECENT_WEEKS = 8
TOP_SHARE = 0.2
TOP, REST = "top 20 %", "rest"
TABLE_VERSION = "customer-weeks/1"  # grows when any function of this file changes what it returns

FEATURE_SETS = {
    "recency-frequency": ["recency_days", "purchase_days"],
    "rich": [
        "recency_days",
        "purchase_days",
        "recent_purchase_days",
        "spend",
        "recent_spend",
        "spend_per_day",
        "lines_per_day",
        "span_days",
        "gap_days",
        "overdue",
        "returned_share",
        "abroad",
    ],
}

Frame: TypeAlias = pd.DataFrame


def feature_table(lines: Path) -> Frame:
    """All snapshots of the transactions, computed once per table version and kept beside them.

    Args:
        lines: Parquet file of invoice lines: customer, time, quantity, price, country.

    Returns:
        Rows of `snapshot` for every Monday with a full history, ordered by week and customer.
    """
    table = lines.with_name(f"{TABLE_VERSION.replace('/', '-')}.parquet")
    if table.is_file() and table.stat().st_mtime >= lines.stat().st_mtime:
        return pd.read_parquet(table)
    days = customer_days(pd.read_parquet(lines))
    snapshots = pd.concat([snapshot(days, week) for week in mondays(days)], ignore_index=True)
    partial = table.with_suffix(".partial")
    snapshots.to_parquet(partial, index=False)
    partial.replace(table)
    return snapshots


def mondays(days: Frame) -> list[pd.Timestamp]:
    """Mondays that have a full history before them, to the last one that the transactions reach."""
    first = days["day"].min() + pd.Timedelta(weeks=HISTORY_WEEKS)
    return list(pd.date_range(first, days["day"].max(), freq="W-MON"))


def customer_days(lines: Frame) -> Frame:
    """Invoice lines summed to one row per customer and day.

    Args:
        lines: one row per invoice line; a cancellation has a negative quantity.

    Returns:
        Columns ``customer``, ``day``, ``bought`` (pounds), ``returned`` (pounds, positive), ``lines`` (invoice
        lines bought) and ``abroad`` (1.0 outside the United Kingdom), ordered by day and customer.
    """
    value = lines["quantity"] * lines["price"]
    sold = (lines["quantity"] > 0) & (lines["price"] > 0)
    rows = pd.DataFrame(
        {
            "customer": lines["customer"],
            "day": lines["time"].dt.normalize(),
            "bought": value.where(sold, 0.0),
            "returned": -value.where(lines["quantity"] < 0, 0.0),
            "lines": sold.astype("int64"),
            "abroad": (lines["country"] != "United Kingdom").astype("float64"),
        }
    )
    sums = {"bought": "sum", "returned": "sum", "lines": "sum", "abroad": "max"}
    return rows.groupby(["day", "customer"], as_index=False).agg(sums)


def snapshot(days: Frame, week: pd.Timestamp) -> Frame:
    """One row per customer on one Monday.

    Args:
        days: from `customer_days`.
        week: the Monday; features look back from it, the label looks ahead.

    Returns:
        ``week``, ``customer``, the columns of the rich feature set, ``value_band``, and ``churned`` (1.0 or 0.0;
        NaN while the eight weeks are not over).
    """
    history = days[(days["day"] >= week - pd.Timedelta(weeks=HISTORY_WEEKS)) & (days["day"] < week)]
    bought = history[history["lines"] > 0]
    by_customer = bought.groupby("customer")
    last, first = by_customer["day"].max(), by_customer["day"].min()
    recent = bought[bought["day"] >= week - pd.Timedelta(weeks=RECENT_WEEKS)].groupby("customer")
    # A customer who only returned things in these weeks bought nothing, and is not in the snapshot.
    returned = history.groupby("customer")["returned"].sum().reindex(last.index, fill_value=0.0)

    rows = pd.DataFrame({"recency_days": (week - last).dt.days.astype("float64")})
    rows["purchase_days"] = by_customer.size().astype("float64")
    rows["recent_purchase_days"] = recent.size().reindex(last.index, fill_value=0).astype("float64")
    rows["spend"] = by_customer["bought"].sum()
    rows["recent_spend"] = recent["bought"].sum().reindex(last.index, fill_value=0.0)
    rows["spend_per_day"] = rows["spend"] / rows["purchase_days"]
    rows["lines_per_day"] = by_customer["lines"].sum() / rows["purchase_days"]
    rows["span_days"] = (last - first).dt.days.astype("float64")
    # Someone who bought on one day only has no gap yet: the whole history stands in for it.
    rows["gap_days"] = (rows["span_days"] / (rows["purchase_days"] - 1)).where(
        rows["purchase_days"] > 1, 7.0 * HISTORY_WEEKS
    )
    rows["overdue"] = rows["recency_days"] / rows["gap_days"]
    rows["returned_share"] = (returned / rows["spend"]).clip(upper=1.0)
    rows["abroad"] = by_customer["abroad"].max()
    rows["value_band"] = value_band(rows["spend"])
    rows["churned"] = churned(days, week, rows.index)
    rows.insert(0, "week", week)
    return rows.reset_index()[["week", "customer", *FEATURE_SETS["rich"], "value_band", "churned"]]


def value_band(spend: "pd.Series[float]") -> "pd.Series[str]":
    """``top 20 %`` for the fifth that spent the most, else ``rest``; equal spend goes by position."""
    rank = spend.rank(method="first", ascending=False)
    band: list[str] = np.where(rank <= TOP_SHARE * len(spend), TOP, REST).tolist()
    return pd.Series(band, index=spend.index)


def churned(days: Frame, week: pd.Timestamp, customers: "pd.Index[int]") -> "pd.Series[float]":
    """1.0 for customers without a purchase in the eight weeks from this Monday; NaN before they are over."""
    end = week + pd.Timedelta(weeks=HORIZON_WEEKS)
    if days["day"].max() < end - pd.Timedelta(days=1):
        return pd.Series(np.nan, index=customers)
    ahead = days[(days["day"] >= week) & (days["day"] < end) & (days["lines"] > 0)]
    return pd.Series(np.where(customers.isin(ahead["customer"]), 0.0, 1.0), index=customers)
