"""Callers of an endpoint, in a process of their own: each asks again as soon as it is answered.

Started by the load test with ``python -m signoff.apps.serving.load``; it reads what to do from standard input and
writes what it saw to standard output, both as JSON.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from signoff.errors import StoreError, UsageError

WARM_UP_SHARE, WARM_UP_MOST_S = 0.2, 2.0
"""Answers of the first seconds are not counted: connections open and pages are touched for the first time."""
_SLOWEST_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What to do.

    Attributes:
        url: of the endpoint, without path; http only.
        connections: callers at the same time.
        seconds: for how long after the warm-up.
        bodies: requests, sent in turn; JSON.
    """

    url: str
    connections: int
    seconds: float
    bodies: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSeen:
    """What came of it, after the warm-up.

    Attributes:
        times_ms: of each good answer, in the order of arrival: status 200 and predictions in JSON.
        failed: other answers, and connections that broke.
        seconds: for how long it was counted.
        digests: digests of the models that the answers name, those of the warm-up too; "" for one that names none.
    """

    times_ms: tuple[float, ...]
    failed: int
    seconds: float
    digests: tuple[str, ...]


async def measure(load: Load) -> LoadSeen:
    """Call an endpoint from another process.

    Raises:
        StoreError: the calling process did not report, or nothing answers at the address.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "signoff.apps.serving.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    asked = {
        "url": load.url,
        "connections": load.connections,
        "seconds": load.seconds,
        "bodies": list(load.bodies),
    }
    output, _ = await process.communicate(json.dumps(asked).encode())
    if process.returncode != 0:
        raise StoreError("the calling process ended without a report", where=load.url)
    seen = json.loads(output)
    if not seen["digests"]:
        raise StoreError("nothing answered", where=load.url, hint="is `signoff serve` running there?")
    return LoadSeen(
        times_ms=tuple(seen["times_ms"]),
        failed=seen["failed"],
        seconds=seen["seconds"],
        digests=tuple(seen["digests"]),
    )


def host_of(url: str) -> str:
    """Host and port as text, without what else an address may hold.

    Raises:
        UsageError: it is no plain http address.
    """
    host, port = address_of(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(url: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        UsageError: it is no plain http address.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "http" or not parts.hostname or port == -1 or parts.path not in ("", "/"):
        raise UsageError(f"{url!r} is no address of an endpoint", hint="such as http://127.0.0.1:5001")
    return parts.hostname, 80 if port is None else port


async def _call(load: Load) -> LoadSeen:
    host, port = address_of(load.url)
    begin = time.monotonic() + min(WARM_UP_MOST_S, WARM_UP_SHARE * load.seconds)
    end = begin + load.seconds
    times: list[float] = []
    failed = 0
    digests: set[str] = set()

    async def caller(first: int) -> None:
        nonlocal failed
        at = first
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_connection(host, port)
            except OSError:
                failed += time.monotonic() >= begin
                await asyncio.sleep(0.1)
                continue
            try:
                while (started := time.monotonic()) < end:
                    body = load.bodies[at % len(load.bodies)].encode()
                    at += load.connections
                    async with asyncio.timeout(_SLOWEST_S):
                        good, digest = await _ask(reader, writer, host, body)
                    digests.add(digest)
                    answered = time.monotonic()
                    if started < begin or answered > end:
                        continue
                    if good:
                        times.append((answered - started) * 1000)
                    else:
                        failed += 1
            except (OSError, EOFError, ValueError, TimeoutError):
                failed += time.monotonic() >= begin
            finally:
                writer.close()

    await asyncio.gather(*(caller(first) for first in range(load.connections)))
    return LoadSeen(
        times_ms=tuple(times), failed=failed, seconds=load.seconds, digests=tuple(sorted(digests))
    )


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, body: bytes
) -> tuple[bool, str]:
    """Send one request and read its answer: whether it has predictions, and the digest of the model."""
    head = f"POST /invocations HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    answer = await reader.readexactly(int(headers.get("content-length", "0")))
    return lines[0].split()[1:2] == ["200"] and _predicts(answer), headers.get("x-signoff-digest", "")


def _predicts(answer: bytes) -> bool:
    """Whether an answer to a single row holds something predicted."""
    try:
        found = json.loads(answer)
    except ValueError:
        return False
    return isinstance(found, dict) and bool(found.get("predictions"))


def main() -> None:
    """Read a load from standard input, call, and write what was seen."""
    asked = json.load(sys.stdin)
    load = Load(
        url=asked["url"],
        connections=asked["connections"],
        seconds=asked["seconds"],
        bodies=tuple(asked["bodies"]),
    )
    seen = asyncio.run(_call(load))
    json.dump(
        {
            "times_ms": [round(time_ms, 4) for time_ms in seen.times_ms],
            "failed": seen.failed,
            "seconds": seen.seconds,
            "digests": list(seen.digests),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
