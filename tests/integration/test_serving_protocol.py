"""The endpoint answers as `mlflow models serve` does, over the forms of its input. Both run, on the same model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import COLUMNS, JSON, Reply, ask, endpoint, mlflow_endpoint, rows_body
from team import cancer

ROW = {"sample": 3, "mean_radius": 11.42, "mean_texture": 20.38, "worst_area": 567.7, "size": "small"}


@pytest.fixture(scope="module")
def addresses(saved_models: tuple[Path, Path]) -> Iterator[tuple[str, str]]:
    """Ours and MLflow's."""
    with endpoint(saved_models[0]) as ours, mlflow_endpoint(saved_models[0]) as theirs:
        yield ours, theirs


def body(**form: Any) -> bytes:
    return json.dumps(form).encode()


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name not in names}


FRAME = cancer()[COLUMNS].head(3)
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
LISTS = {name: FRAME[name].tolist() for name in COLUMNS}

ANSWERED = {
    "split, typed": (rows_body(3), JSON),
    "split, one row": (rows_body(), JSON),
    "split, columns in another order": (body(dataframe_split=FRAME[COLUMNS[::-1]].to_dict("split")), JSON),
    "split without an index": (
        body(dataframe_split={"columns": COLUMNS, "data": [list(ROW.values())]}),
        JSON,
    ),
    "records": (body(dataframe_records=FRAME.to_dict("records")), JSON),
    "instances": (body(instances=FRAME.to_dict("records")), JSON),
    "inputs": (body(inputs=LISTS), JSON),
    "CSV": (FRAME.to_csv(index=False).encode(), CSV),
    "a charset": (rows_body(), "application/json; charset=utf-8"),
    "a charset in capitals": (rows_body(), "application/json; charset=UTF-8"),
    "params that the model does not take": (body(dataframe_records=[ROW], params={"a": 1}), JSON),
    "params of null": (body(dataframe_records=[ROW], params=None), JSON),
    "an extra column": (body(dataframe_records=[ROW | {"more": 1}]), JSON),
    "an extra key": (body(dataframe_records=[ROW], more=1), JSON),
    "a whole number in a double column": (body(dataframe_records=[ROW | {"worst_area": 567}]), JSON),
    "a fraction in a long column": (body(dataframe_records=[ROW | {"sample": 41.7}]), JSON),
    "a text of digits in a double column": (body(dataframe_records=[ROW | {"worst_area": "567.7"}]), JSON),
    "a boolean in a double column": (body(dataframe_records=[ROW | {"worst_area": True}]), JSON),
    "the largest long": (body(dataframe_records=[ROW | {"sample": 2**63 - 1}]), JSON),
    "a number that wraps around in a long column": (body(dataframe_records=[ROW | {"sample": 2**63}]), JSON),
    "the same key twice": (
        b'{"dataframe_records": [], "dataframe_records": [%s]}' % json.dumps(ROW).encode(),
        JSON,
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + rows_body(), JSON),
    "UTF-16": (rows_body().decode().encode("utf-16"), JSON),
}
REFUSED = {
    "null beside another form": (body(dataframe_split=None, dataframe_records=[ROW]), JSON),
    "null beside another form, the other way": (
        body(dataframe_split=FRAME.to_dict("split"), dataframe_records=None),
        JSON,
    ),
    "no body": (b"", JSON),
    "an empty CSV": (b"", CSV),
    "a CSV with a header only": (b"sample,mean_radius,mean_texture,worst_area,size\n", CSV),
    "an empty object": (b"{}", JSON),
    "an empty list": (b"[]", JSON),
    "a number": (b"7", JSON),
    "broken JSON": (rows_body()[:-1], JSON),
    "not UTF-8": (b'{"dataframe_records": [{"size": "\xff"}]}', JSON),
    "a CSV that is not UTF-8": (b"size\n\xff\n", CSV),
    "two forms": (body(dataframe_records=[ROW], instances=[ROW]), JSON),
    "no form": (body(rows=[ROW]), JSON),
    "no rows": (body(dataframe_split={"columns": COLUMNS, "data": []}), JSON),
    "no records": (body(dataframe_records=[]), JSON),
    "records that are no list": (body(dataframe_records=ROW), JSON),
    "a split that is a list": (body(dataframe_split=[ROW]), JSON),
    "a split with another key": (body(dataframe_split={"data": [], "rows": []}), JSON),
    "a row too short": (body(dataframe_split={"columns": COLUMNS, "data": [[1]]}), JSON),
    "a missing column": (body(dataframe_records=[without("size")]), JSON),
    "two missing columns": (body(dataframe_records=[without("size", "worst_area")]), JSON),
    "a missing column in a CSV": (FRAME.drop(columns=["size"]).to_csv(index=False).encode(), CSV),
    "a word in a double column": (body(dataframe_records=[ROW | {"worst_area": "large"}]), JSON),
    "a word in a double column of a CSV": (
        b"sample,mean_radius,mean_texture,worst_area,size\n1,a,b,c,d\n",
        CSV,
    ),
    "null in a long column": (body(dataframe_records=[ROW | {"sample": None}]), JSON),
    "null in a double column": (body(dataframe_records=[ROW | {"worst_area": None}]), JSON),
    "NaN": (body(dataframe_records=[ROW | {"worst_area": float("nan")}]), JSON),
    "infinity": (body(dataframe_records=[ROW | {"worst_area": float("inf")}]), JSON),
    "a number beyond all": (body(dataframe_records=[ROW | {"sample": 10**400}]), JSON),
    "a list in a cell": (body(dataframe_records=[ROW | {"worst_area": [1]}]), JSON),
    "an object in a cell": (body(dataframe_records=[ROW | {"size": {"a": 1}}]), JSON),
    "a text that the model does not know": (body(dataframe_records=[ROW | {"size": "huge"}]), JSON),
    "a text that the model does not know, in a form read by MLflow": (
        body(instances=[ROW | {"size": "huge"}]),
        JSON,
    ),
    "deep nesting": (b"[" * 20_000, JSON),
    "another content type": (rows_body(), "text/plain"),
    "no content type's text": (rows_body(), "*/*"),
    "another charset": (rows_body(), "application/json; charset=latin-1"),
    "another parameter": (rows_body(), "application/json; boundary=a"),
    "a broken parquet": (b"PAR1", PARQUET),
}


def both(addresses: tuple[str, str], case: tuple[bytes, str]) -> tuple[Reply, Reply]:
    ours, theirs = (ask(address, *case) for address in addresses)
    return ours, theirs


@pytest.mark.parametrize("case", ANSWERED)
def test_the_same_answer(addresses: tuple[str, str], case: str) -> None:
    ours, theirs = both(addresses, ANSWERED[case])
    assert theirs.status == 200, theirs
    assert (ours.status, ours.headers["content-type"], ours.body) == (
        200,
        theirs.headers["content-type"],
        theirs.body,
    )


@pytest.mark.parametrize("case", REFUSED)
def test_the_same_refusal_without_the_rows(addresses: tuple[str, str], case: str) -> None:
    ours, theirs = both(addresses, REFUSED[case])
    assert theirs.status >= 400, theirs
    assert (ours.status, ours.headers["content-type"]) == (theirs.status, theirs.headers["content-type"])
    if theirs.headers["content-type"] == JSON:
        assert ours.json["error_code"] == theirs.json["error_code"]
        assert set(ours.json) == {"error_code", "message"}
    for sent in (b"567.7", b"20.38", b"huge", b"large", b"Traceback"):
        assert sent not in ours.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ping"),
        ("GET", "/health"),
        ("GET", "/version"),
        ("GET", "/invocations"),
        ("PUT", "/invocations"),
        ("POST", "/ping"),
        ("GET", "/nothing"),
    ],
)
def test_the_other_paths(addresses: tuple[str, str], method: str, path: str) -> None:
    ours, theirs = (ask(address, path=path, method=method, kind=None) for address in addresses)
    assert (ours.status, ours.headers["content-type"], ours.body) == (
        theirs.status,
        theirs.headers["content-type"],
        theirs.body,
    )
    assert ours.headers.get("allow") == theirs.headers.get("allow")


def test_parquet_is_read_as_mlflow_reads_it(addresses: tuple[str, str], tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "rows.parquet", index=False)
    ours, theirs = both(addresses, ((tmp_path / "rows.parquet").read_bytes(), PARQUET))
    assert (ours.status, ours.body) == (theirs.status, theirs.body)


def test_without_a_content_type_the_answer_says_so_where_mlflow_fails(addresses: tuple[str, str]) -> None:
    ours, theirs = (ask(address, rows_body(), None) for address in addresses)
    assert (ours.status, theirs.status) == (415, 500)


def test_the_predictions_are_those_of_the_model(
    addresses: tuple[str, str], saved_models: tuple[Path, Path]
) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(saved_models[0]))
    frame = cancer()[COLUMNS]
    reply = ask(addresses[0], body(dataframe_split=frame.to_dict("split")))
    assert reply.json["predictions"] == model.predict(frame).tolist()


@pytest.mark.parametrize("kind", [JSON, CSV])
def test_a_body_over_the_limit_is_refused(addresses: tuple[str, str], kind: str) -> None:
    reply = ask(addresses[0], b" " * 100_001, kind)
    assert (reply.status, reply.json["error_code"]) == (413, "REQUEST_LIMIT_EXCEEDED")


def test_a_body_over_the_limit_is_refused_without_a_stated_length(addresses: tuple[str, str]) -> None:
    reply = ask(addresses[0], iter([b" " * 50_000] * 3))
    assert reply.status == 413
