"""What the benchmarks share: callers of ASGI apps, and how CPU is told.

Numbers are process time on one pinned core where the system allows that. Whoever compares two apps
lets them take turns in one process and compares medians of rounds. Nothing here needs the package
that is measured: the processes of peers import this module in environments of their own.
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

Fields = Sequence[tuple[bytes, bytes]]
Work = Callable[[], Awaitable[object]]


def pin() -> int | None:
    """Keep this process on one core, and return which; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


@contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """Keep this process, and those that it starts, on *core*; None changes nothing."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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


class Turns:
    """Lets pieces of work take turns, so that whatever else the machine does hits them alike.

    Each is called as often in a round as makes *least* seconds.
    """

    def __init__(self, works: Mapping[str, Work], *, least: float = 0.002) -> None:
        self._works = works
        self._least = least
        self._often: dict[str, int] = {}
        self._dice = random.Random(0)  # noqa: S311 - no secret

    async def warm(self) -> None:
        """Call each piece of work, and tell from its quickest call how often a round calls it."""
        for name, work in self._works.items():
            # One call alone may have been disturbed: that row would be called less often than
            # others, begin with cold caches more often, and seem slower.
            once = min([await cpu_of(work) for _ in range(6)])
            self._often[name] = max(1, min(200, round(self._least / once))) if once else 200

    async def round(self) -> dict[str, float]:
        """Return the CPU of one call of each piece of work."""
        # What comes after another kind of work is slower, so none always comes after the same.
        order = [*self._works]
        self._dice.shuffle(order)
        taken = {name: await cpu_of(self._works[name], self._often[name]) for name in order}
        # Tasks that were ended in a round go.
        await asyncio.sleep(0)
        return taken


async def take_turns(
    works: Mapping[str, Work], *, rounds: int, seconds: float, least: float = 0.002
) -> dict[str, Times]:
    """Let *works* take turns for so many *rounds*, or until *seconds* of CPU are over."""
    turns = Turns(works, least=least)
    await turns.warm()
    taken: dict[str, list[float]] = {name: [] for name in works}
    end = time.process_time() + seconds
    for _ in range(rounds):
        for name, took in (await turns.round()).items():
            taken[name].append(took)
        if time.process_time() > end:
            break
    return {name: Times(tuple(times)) for name, times in taken.items()}


def told(seconds: float) -> str:
    """Return a duration in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.0f} us"


def verdict(*, holds: bool) -> str:
    return "holds" if holds else "BROKEN"
