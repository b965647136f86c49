"""Bounds on what an HTTP exchange reads, how long it keeps the event loop, and what it logs.

The HTTP client parses all that it has read before it lets the event loop go on, and it goes on
reading 1xx answers without counting them. So the bounds are set where bytes come in: each read is
short, is counted, and is followed by a turn of the event loop. What TLS keeps to itself is
bounded in `trust`.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from fastapi_scopes.verifiers._http.documents import MAX_BODY_BYTES, FetchError

__all__ = ["MAX_OVERHEAD_BYTES", "Meter", "metered", "watch"]

MAX_OVERHEAD_BYTES: Final = 32 * 1024
"""The most that is read around a document: status lines, headers, 1xx answers, chunk sizes."""

# The client's parser takes the square of a run of blanks that ends a header: for 2,000 of them, 15
# milliseconds.
_BLANKS: Final = re.compile(rb"[ \t]{256}")
_HEAD_END: Final = b"\r\n\r\n"

# Parsing so much takes a few milliseconds at worst: chunks of one byte, headers of three.
_READ_BYTES: Final = 2 * 1024

# Logger filters are not inherited, so every logger of the client has to be named.
_CLIENT_LOGGERS: Final = (
    *("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2"),
    *("httpcore.proxy", "httpcore.socks"),
)

_meter: ContextVar["Meter"] = ContextVar("_meter")

_turns: dict[asyncio.AbstractEventLoop, "_Turns"] = {}
"""Of the event loops in which exchanges run."""

_Read = Callable[[int, float | None], Awaitable[bytes]]


class _Turns:
    """The turns of one event loop, which exchanges take one after the other."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Meter:
    """Counts the bytes that one exchange reads, and those among them that are its document."""

    __slots__ = ("_body", "_head", "_read", "_since_body")

    def __init__(self) -> None:
        self._read = 0
        self._body = 0
        self._head: bytes | None = b""
        self._since_body = 0

    def count(self, data: bytes) -> None:
        """Count *data*, which came from the network, and is not parsed yet.

        Raises:
            FetchError: to parse it would take too long.
        """
        self._read += len(data)
        self._since_body += len(data)
        if self._head is not None:
            # A document may begin in it, behind the last empty line.
            head = self._head + (data.rpartition(_HEAD_END)[0] or data)
            if _BLANKS.search(head):
                raise FetchError("fills its headers with blanks")
            self._head = head[-256:]
        elif self._since_body > _READ_BYTES:
            raise FetchError(f"sends more than {_READ_BYTES} bytes around a part of a document")

    def end_head(self) -> None:
        """Take what is read from now on for the document, and for what is around its parts."""
        self._head = None
        self._since_body = 0

    def count_body(self, data: bytes) -> None:
        """Count *data*, which is part of the document.

        Raises:
            FetchError: the document is too long.
        """
        self._body += len(data)
        self._since_body = 0
        if self._body > MAX_BODY_BYTES:
            raise FetchError(f"is longer than {MAX_BODY_BYTES} bytes")

    def require_more_allowed(self) -> None:
        """Return where more may be read; everything that was read so far has been parsed.

        Raises:
            FetchError: too much of it is no document.
        """
        if self._read - self._body > MAX_OVERHEAD_BYTES:
            raise FetchError(f"sends more than {MAX_OVERHEAD_BYTES} bytes around a document")


@contextmanager
def metered() -> Generator[Meter]:
    """Count, within this block, what is read over connections that `watch` was told of."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


async def watch(event: str, info: Mapping[str, Any]) -> None:
    """Have all that a new connection reads counted; for the ``trace`` extension of a request."""
    if event.endswith(("connect_tcp.complete", "start_tls.complete")):
        stream = info["return_value"]
        stream.read = _metered_read(stream.read)


def _metered_read(read: _Read) -> _Read:
    async def metered_read(max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        meter = _meter.get()
        meter.require_more_allowed()
        data = await read(min(max_bytes, _READ_BYTES), timeout)
        meter.count(data)
        await _take_turn()
        return data

    return metered_read


async def _take_turn() -> None:
    """Return in a turn of the event loop that no other exchange has.

    INVARIANT: one exchange at a time in a turn. What many of them parse would add up
    (attacks/test_hostile_issuers.py).
    """
    loop = asyncio.get_running_loop()
    turns = _turns.setdefault(loop, _Turns())
    turns.users += 1
    try:
        async with turns.lock:
            await asyncio.sleep(0)
    finally:
        turns.users -= 1
        if not turns.users:
            # A lock that somebody waited for keeps its loop alive.
            _turns.pop(loop, None)


def _is_of_the_application(_: logging.LogRecord) -> bool:
    # The client logs the URLs that it asks, and what they redirect to. Both may hold a secret.
    return _meter.get(None) is None


for _name in _CLIENT_LOGGERS:
    logging.getLogger(_name).addFilter(_is_of_the_application)
