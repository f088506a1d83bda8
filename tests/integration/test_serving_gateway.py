"""The gateway in front of real scoring processes: canaries, fallback, pins, changes of routes, ends of processes."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from serving_fixtures import COLUMNS, JSON, ask, rows_body, save_model, served

from signoff.adapters.model_folder import read_folder
from signoff.apps.serving.gateway import Gateway
from signoff.apps.serving.program import running
from signoff.apps.serving.routes import Answer, Request, Routes, ScorerGone, Served
from signoff.apps.serving.scorer_process import ScorerProcess, scorer_environment, start_scorer
from signoff.errors import ModelError

BODY = rows_body()
HEADERS = {"content-type": JSON}


def routes(stable: Served, canary: Served | None = None, **changed: Any) -> Routes:
    given = Routes(
        stable=stable,
        canary=canary,
        weight=0.0 if canary is None else 0.5,
        timeout_s=10.0,
        fallback="stable",
    )
    return replace(given, **changed)


def gateway(given: Routes | None) -> Gateway:
    return Gateway(mlflow_version="0", routes=given)


async def load(address: str, *, until: Callable[[], bool], workers: int = 8) -> list[tuple[int, str, str]]:
    """Ask from several connections until told to stop; (status, route, version) of every answer."""
    seen: list[tuple[int, str, str]] = []

    async def work(session: aiohttp.ClientSession) -> None:
        while not until():
            async with session.post(f"{address}/invocations", data=BODY, headers=HEADERS) as answer:
                await answer.read()
                names = answer.headers
                seen.append(
                    (answer.status, names.get("x-signoff-route", ""), names.get("x-signoff-version", ""))
                )

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(work(session) for _ in range(workers)))
    return seen


async def one(address: str, **headers: str) -> tuple[int, Any, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{address}/invocations", data=BODY, headers=HEADERS | headers) as answer,
    ):
        return answer.status, answer.headers, await answer.json()


async def reaches(done: Callable[[], bool]) -> None:
    """Wait for a count that only requests can bring about."""
    async with asyncio.timeout(120):
        while not done():  # noqa: ASYNC110 - counts are no event
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for the module: scorers belong to theirs."""
    with asyncio.Runner() as found:
        yield found


@pytest.fixture(scope="module")
def pair(runner: asyncio.Runner, saved_models: tuple[Path, Path]) -> Iterator[tuple[Served, Served]]:
    """Two versions in real processes, for tests that leave them as they were."""
    stack = AsyncExitStack()

    async def start() -> tuple[Served, Served]:
        return (
            await stack.enter_async_context(served(saved_models[0])),
            await stack.enter_async_context(served(saved_models[1], 2)),
        )

    yield runner.run(start())
    runner.run(stack.aclose())


def process_of(version: Served) -> ScorerProcess:
    assert isinstance(version.scorer, ScorerProcess)
    return version.scorer


def test_a_canary_killed_under_load_costs_no_caller_anything(
    runner: asyncio.Runner, pair: tuple[Served, Served], saved_models: tuple[Path, Path]
) -> None:
    stable = pair[0]

    async def test() -> None:
        async with served(saved_models[1], 2) as canary:
            front = gateway(routes(stable, canary))

            async def kill() -> None:
                await reaches(lambda: front.tally.of(canary.statement).requests >= 20)
                os.kill(process_of(canary).pid, signal.SIGKILL)

            async with running(front) as address:
                killing = asyncio.create_task(kill())
                seen = await load(address, until=lambda: front.tally.of(canary.statement).errors >= 50)
                await killing
                status, names, _ = await one(address, **{"X-Signoff-Pin": "2"})
                assert (status, names["x-signoff-version"]) == (503, "2")
            assert {status for status, _, _ in seen} == {200}
            answered = {
                route: [version for _, by, version in seen if by == route]
                for route in ("stable", "canary", "fallback")
            }
            assert set(answered["canary"]) == {"2"}
            assert set(answered["fallback"]) == set(answered["stable"]) == {"1"}
            counts = front.tally.of(canary.statement)
            assert counts.requests == len(answered["canary"]) + len(answered["fallback"])
            assert counts.errors == front.tally.fallbacks(canary.statement) == len(answered["fallback"])
            assert front.tally.of(stable.statement).requests == len(answered["stable"])

    runner.run(test())


def test_a_canary_that_does_not_answer_in_time_is_replaced_by_stable(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    stable, canary = pair
    front = gateway(routes(stable, canary, weight=1.0, timeout_s=0.2))

    async def test() -> None:
        async with running(front) as address:
            status, names, _ = await one(address)
            assert (status, names["x-signoff-route"], names["x-signoff-version"]) == (200, "fallback", "1")
            front.routes = routes(stable, canary, weight=1.0, timeout_s=0.2, fallback="none")
            status, names, told = await one(address)
            assert (status, names["x-signoff-route"], names["x-signoff-version"]) == (504, "canary", "2")
            assert "0.2 s" in told["message"]

            await reaches(lambda: front.tally.of(canary.statement).errors == 2)

    os.kill(process_of(canary).pid, signal.SIGSTOP)
    try:
        runner.run(test())
    finally:
        os.kill(process_of(canary).pid, signal.SIGCONT)


def test_a_canary_that_wants_other_columns_fails_and_a_bad_request_does_not_count(
    runner: asyncio.Runner, pair: tuple[Served, Served], tmp_path: Path
) -> None:
    wants_more = save_model(tmp_path / "more", columns=[*COLUMNS, "mean_area"])

    async def test() -> None:
        async with served(wants_more, 2) as canary:
            front = gateway(routes(pair[0], canary, weight=1.0))
            async with running(front) as address:
                status, names, _ = await one(address)
                assert (status, names["x-signoff-route"]) == (200, "fallback")
                assert front.tally.of(canary.statement).errors == 1
                reply = await asyncio.to_thread(ask, address, b"{")
                assert (reply.status, reply.headers["x-signoff-route"]) == (400, "fallback")
            counts = front.tally.of(canary.statement)
            assert (counts.requests, counts.errors) == (1, 1)

    runner.run(test())


def test_without_a_fallback_a_canary_that_refuses_good_requests_fails_and_callers_see_it(
    runner: asyncio.Runner, pair: tuple[Served, Served], tmp_path: Path
) -> None:
    wants_more = save_model(tmp_path / "more", columns=[*COLUMNS, "mean_area"])

    async def test() -> None:
        async with served(wants_more, 2) as canary:
            front = gateway(routes(pair[0], canary, weight=1.0, fallback="none"))
            async with running(front) as address:
                for _ in range(3):
                    status, names, _ = await one(address)
                    assert (status, names["x-signoff-route"], names["x-signoff-version"]) == (
                        400,
                        "canary",
                        "2",
                    )
                await reaches(lambda: front.tally.of(canary.statement).errors == 3)
            assert front.tally.of(canary.statement).requests == 3
            assert front.tally.of(pair[0].statement).requests == 0

    runner.run(test())


@pytest.mark.parametrize("fallback", ["stable", "none"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("body", [b"{", BODY.replace(b"small", b"purple").replace(b"large", b"purple")])
def test_what_both_versions_refuse_or_fail_counts_for_neither(
    runner: asyncio.Runner, pair: tuple[Served, Served], *, fallback: str, weight: float, body: bytes
) -> None:
    stable, canary = pair

    async def test() -> None:
        front = gateway(routes(stable, canary, weight=weight, fallback=fallback))
        async with running(front) as address:
            for _ in range(5):
                reply = await asyncio.to_thread(ask, address, body)
                assert reply.status == 400
            await reaches(lambda: not front._judging)
        assert front.tally.of(stable.statement).requests == front.tally.of(canary.statement).requests == 0

    runner.run(test())


def test_what_stable_refuses_and_the_canary_answers_is_an_error_of_stable(
    runner: asyncio.Runner, pair: tuple[Served, Served], tmp_path: Path
) -> None:
    wants_more = save_model(tmp_path / "more", columns=[*COLUMNS, "mean_area"])

    async def test() -> None:
        async with served(wants_more, 3) as stable:
            front = gateway(routes(stable, pair[1], weight=0.0))
            async with running(front) as address:
                status, _, _ = await one(address)
                assert status == 400
                await reaches(lambda: front.tally.of(stable.statement).errors == 1)
            assert front.tally.of(pair[1].statement).requests == 0

    runner.run(test())


def test_a_pin_is_answered_by_its_version_or_not_at_all(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    stable, canary = pair
    front = gateway(routes(stable, canary, weight=0.0))

    async def test() -> None:
        async with running(front) as address:
            for version, route, by in (("1", "stable", stable), ("2", "canary", canary)):
                status, names, _ = await one(address, **{"X-Signoff-Pin": version})
                assert (status, names["x-signoff-route"]) == (200, route)
                assert names["x-signoff-digest"] == str(by.model)
            for wrong in ("3", "", "1.0", "one"):
                status, names, told = await one(address, **{"X-Signoff-Pin": wrong})
                assert (status, told["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
                assert "1 (stable) and 2 (canary)" in told["message"]
                assert "x-signoff-version" not in names

    runner.run(test())
    assert front.tally.of(stable.statement).requests == front.tally.of(canary.statement).requests == 0


def test_changing_routes_under_load_drops_nothing(
    runner: asyncio.Runner, pair: tuple[Served, Served], saved_models: tuple[Path, Path]
) -> None:
    new = pair[1]

    async def test() -> None:
        async with served(saved_models[0]) as old:
            front = gateway(routes(old))
            done = asyncio.Event()

            async def change() -> None:
                await reaches(lambda: front.tally.of(old.statement).requests >= 30)
                front.routes = routes(new)
                await old.scorer.stop()
                await reaches(lambda: front.tally.of(new.statement).requests >= 30)
                done.set()

            async with running(front) as address:
                changing = asyncio.create_task(change())
                seen = await load(address, until=done.is_set)
                await changing
            assert {status for status, _, _ in seen} == {200}
            assert {version for _, _, version in seen} == {"1", "2"}
            # A request that chose its route before the change, and reaches the old version after it:
            outcome = await front._by_stable(routes(old), Request(body=BODY, content_type=JSON))
            assert (outcome.served, outcome.answer.status) == (new, 200)

    runner.run(test())


def test_a_stable_that_is_gone_is_said_to_be(runner: asyncio.Runner, saved_models: tuple[Path, Path]) -> None:
    async def test() -> None:
        async with served(saved_models[0]) as stable:
            front = gateway(routes(stable))
            async with running(front) as address:
                os.kill(process_of(stable).pid, signal.SIGKILL)
                await process_of(stable).ended()
                status, names, told = await one(address)
                assert (status, names["retry-after"]) == (503, "1")
                assert told["error_code"] == "TEMPORARILY_UNAVAILABLE"
                assert (await asyncio.to_thread(ask, address, path="/ping", method="GET")).status == 503
            assert front.tally.of(stable.statement).errors == 1

    runner.run(test())


def test_without_routes_nothing_is_served(runner: asyncio.Runner) -> None:
    async def test() -> None:
        async with running(gateway(None)) as address:
            assert (await one(address))[0] == 503
            assert (await asyncio.to_thread(ask, address, path="/ping", method="GET")).status == 503
            assert (await asyncio.to_thread(ask, address, path="/version", method="GET")).body == b"0"

    runner.run(test())


def test_stopping_answers_what_has_begun_and_refuses_the_rest(
    runner: asyncio.Runner, saved_models: tuple[Path, Path]
) -> None:
    request = Request(body=BODY, content_type=JSON)

    async def test() -> None:
        async with served(saved_models[0]) as stable:
            begun = [asyncio.create_task(stable.scorer.answer(request, timeout_s=60)) for _ in range(20)]
            await asyncio.sleep(0)
            await stable.scorer.stop()
            answers: list[Answer] = await asyncio.gather(*begun)
            assert {answer.status for answer in answers} == {200}
            with pytest.raises(ScorerGone):
                await stable.scorer.answer(request, timeout_s=60)

    runner.run(test())


def test_a_version_that_was_stopped_for_a_while_answers_again(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    scorer = process_of(pair[0])

    async def test() -> None:
        for _ in range(5):
            with pytest.raises(ScorerGone, match="no answer within"):
                await scorer.answer(Request(body=rows_body(500), content_type=JSON), timeout_s=0.01)
        os.kill(scorer.pid, signal.SIGCONT)
        answer = await scorer.answer(Request(body=BODY, content_type=JSON), timeout_s=60)
        assert answer.body == b'{"predictions": [0]}'  # and not that of a request nobody waits for

    os.kill(scorer.pid, signal.SIGSTOP)
    try:
        runner.run(test())
    finally:
        os.kill(scorer.pid, signal.SIGCONT)


def test_a_folder_that_was_changed_is_not_loaded(saved_models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = save_model(tmp_path / "changed")
    digest = read_folder(folder).digest
    (folder / "requirements.txt").write_text("scikit-learn\n# changed\n")
    with pytest.raises(ModelError, match="the files have changed"):
        asyncio.run(start_scorer(folder, digest, pickle="refused", environ=os.environ))


def test_a_pickled_model_is_not_loaded_unless_allowed(tmp_path: Path) -> None:
    import mlflow
    from sklearn.dummy import DummyClassifier

    folder = tmp_path / "pickled"
    model = DummyClassifier().fit([[0], [1]], [0, 1])
    mlflow.sklearn.save_model(
        model, str(folder), serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    digest = read_folder(folder).digest
    with pytest.raises(ModelError, match="may run code"):
        asyncio.run(start_scorer(folder, digest, pickle="refused", environ=os.environ))

    async def test() -> None:
        scorer = await start_scorer(folder, digest, pickle="allowed", environ=os.environ)
        answer = await scorer.answer(Request(body=b'{"inputs": [[0], [1]]}', content_type=JSON), timeout_s=30)
        await scorer.stop()
        assert answer.body == b'{"predictions": [0, 0]}'

    asyncio.run(test())


def test_a_model_sees_no_secrets_and_one_thread() -> None:
    given = {
        "SIGNOFF_KEY": "k",
        "MLFLOW_TRACKING_PASSWORD": "p",
        "PGPASSWORD": "p",
        "PATH": "/bin",
        "OMP_NUM_THREADS": "8",
    }
    seen = scorer_environment(given)
    assert seen["PATH"] == "/bin"
    assert seen["OMP_NUM_THREADS"] == "1"
    assert not {"SIGNOFF_KEY", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD"} & set(seen)


async def raw(address: str, sent: bytes) -> bytes:
    """What comes back until the server ends the connection."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


def head(*lines: str) -> bytes:
    first = ("POST /invocations HTTP/1.1", "host: x", f"content-type: {JSON}")
    return "\r\n".join((*first, *lines, "", "")).encode()


def test_a_body_that_does_not_come_ends_its_connection(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    front = Gateway(mlflow_version="0", routes=routes(pair[0]), body_timeout_s=0.2)

    async def test() -> None:
        async with running(front) as address:
            told = await raw(address, head("content-length: 100") + b"{")
            assert told.startswith(b"HTTP/1.1 408 ")
            assert (await one(address))[0] == 200

    runner.run(test())


def test_a_body_that_does_not_come_does_not_hold_the_end(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    front = gateway(routes(pair[0]))

    async def test() -> None:
        async with running(front) as address:
            waiting = asyncio.create_task(raw(address, head("content-length: 100") + b"{"))
            await reaches(lambda: len(front._reading) == 1)
        assert (await waiting).startswith(b"HTTP/1.1 408 ")

    async def bounded() -> None:
        async with asyncio.timeout(20):  # less than a body may take while the server goes on
            await test()

    runner.run(bounded())


def test_a_request_of_two_lengths_is_refused(runner: asyncio.Runner, pair: tuple[Served, Served]) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

    async def test() -> None:
        async with running(gateway(routes(pair[0]))) as address:
            told = await raw(address, head("transfer-encoding: chunked", "content-length: 5") + chunked)
            assert told.startswith(b"HTTP/1.1 400 ")
            assert told.count(b"HTTP/1.1") == 1
            told = await raw(address, head("transfer-encoding: chunked", "connection: close") + chunked)
            assert told.startswith(b"HTTP/1.1 200 ")

    runner.run(test())


def test_broken_requests_are_not_told_one_by_one(
    runner: asyncio.Runner, pair: tuple[Served, Served], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Gateway):
        async def __call__(self, *_: Any) -> None:
            raise ValueError("a row")

    async def test() -> None:
        async with running(gateway(routes(pair[0]))) as address:
            for _ in range(3):
                assert b" 400 " in await raw(address, b"no request\r\n\r\n")
        assert not caplog.records
        async with running(Broken(mlflow_version="0")) as address:
            for _ in range(3):
                assert b" 500 " in await raw(address, head("content-length: 0", "connection: close"))

    runner.run(test())
    assert len(caplog.records) == 1
    assert "a row" not in caplog.text


def test_a_small_body_that_is_a_very_large_table_is_refused_and_is_no_failure(
    runner: asyncio.Runner, pair: tuple[Served, Served]
) -> None:
    import io

    import pyarrow as pa
    from pyarrow.parquet import write_table

    sink = io.BytesIO()
    write_table(pa.table({name: pa.repeat(1.0, 3_000_000) for name in COLUMNS}), sink, compression="zstd")
    request = Request(body=sink.getvalue(), content_type="application/vnd.apache.parquet")
    answer = runner.run(pair[0].scorer.answer(request, timeout_s=60))
    assert (answer.status, answer.failed) == (413, False)
    assert b"3,000,000 rows; at most 100,000" in answer.body
