"""What the benchmarks share: callers of ASGI apps, and how CPU is told.

Numbers are process time on one pinned core where the system allows that. Whoever compares two apps
lets them take turns in one process and compares medians of rounds.
"""

import asyncio
import gc
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi_scopes import JWTVerifier

SECRET = "a-secret-of-the-benchmark-0123456789-0123456789"

Fields = Sequence[tuple[bytes, bytes]]


def make_verifier() -> JWTVerifier[Any]:
    return JWTVerifier(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None)


def pin() -> int | None:
    """Keep this process on one core, and return which; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the collector of garbage out of what is measured, as `timeit` does."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def connection(
    path: str, *, method: str = "GET", headers: Fields = ((b"host", b"test"),), **more: Any
) -> dict[str, Any]:
    """Return the ASGI scope of a request, or of a socket with ``type="websocket"``."""
    asgi_scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "root_path": "",
        "headers": [*headers],
        "client": ("192.0.2.1", 50000),
        "server": ("test", 80),
        **more,
    }
    if asgi_scope["type"] == "websocket":
        asgi_scope = {"subprotocols": [], **asgi_scope, "scheme": "ws"}
        del asgi_scope["method"]
    return asgi_scope


async def ask(app: Any, asgi_scope: Mapping[str, Any]) -> str:
    """Return the status of the answer, or what came in its place."""
    found: list[str] = []
    first = "websocket.connect" if asgi_scope["type"] == "websocket" else "http.request"
    waiting = [{"type": first, "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        if not found:
            found.append(str(message.get("status", message["type"].rpartition(".")[2])))

    try:
        await app({**asgi_scope}, receive, send)
    except Exception as error:  # noqa: BLE001 - a server would answer 500, and time is measured
        return type(error).__name__
    return found[0] if found else "nothing"


async def start(app: Any) -> None:
    """Run the lifespan of *app* up to its start, and let it end."""
    messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    failed: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop()

    async def send(message: Any) -> None:
        if message["type"].endswith(".failed"):
            failed.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert not failed, failed


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of CPU, one number a round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The distance of the quartiles, as a share of the median."""
        if len(self.rounds) < 4 or not self.median:
            return (max(self.rounds) - min(self.rounds)) / (self.median or 1)
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return (high - low) / self.median

    def json(self) -> dict[str, float | int]:
        return {"median": self.median, "spread": self.spread, "rounds": len(self.rounds)}


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


async def cpu_of(work: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Return the CPU of one call of *work*, out of so many."""
    began = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - began) / times


async def take_turns(
    works: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    rounds: int,
    seconds: float,
    least: float = 0.002,
) -> dict[str, Times]:
    """Let *works* take turns, so that whatever else the machine does hits them alike.

    They end after so many *rounds*, or with the round in which *seconds* are over. Each is called
    as often in a round as makes *least* seconds.
    """
    often = {}
    for name, work in works.items():
        await work()
        once = await cpu_of(work)
        often[name] = max(1, min(200, round(least / once))) if once else 200
    taken: dict[str, list[float]] = {name: [] for name in works}
    end = time.process_time() + seconds
    # What comes after another kind of work is slower, so none always comes after the same.
    order, dice = [*works], random.Random(0)  # noqa: S311 - no secret
    for _ in range(rounds):
        dice.shuffle(order)
        for name in order:
            taken[name].append(await cpu_of(works[name], often[name]))
        if time.process_time() > end:
            break
        # Tasks that were ended in a round go.
        await asyncio.sleep(0)
    return {name: Times(tuple(times)) for name, times in taken.items()}


def told(seconds: float) -> str:
    """Return a duration in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.0f} us"


def verdict(*, holds: bool) -> str:
    return "holds" if holds else "BROKEN"
