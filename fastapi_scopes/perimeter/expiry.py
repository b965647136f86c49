"""Ends HTTP streams and closes WebSockets when the token with which they were opened expires."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from fastapi_scopes.core.problems import Problem
from fastapi_scopes.responses import POLICY_VIOLATION, refusal_response

__all__ = ["end_at_expiry"]

_CHUNKS: Final = frozenset({"http.response.body", "http.response.zerocopysend"})
_ANSWERS: Final = frozenset({"websocket.close", "websocket.http.response.start"})
# Seconds: an event loop limits its timers, and `exp` has no limit.
_LONGEST_TIMER: Final = 86_400.0


class _EndedError(OSError):
    """Raised where the application sends after the end, as after a disconnect (ASGI 2.4)."""

    def __init__(self) -> None:
        super().__init__("the stream ended with its token")


# The errors of an application that was told of the end and did not catch that.
_DISCONNECTS: Final = (_EndedError, ClientDisconnect, WebSocketDisconnect)


def end_at_expiry(
    app: ASGIApp, exp: float, *, refusal: Problem, now: Callable[[], float] = time.time
) -> ASGIApp:
    """Return *app*, whose streams end and whose sockets are closed at *exp*.

    *exp* is in seconds since the epoch, as *now* is. A socket that is not accepted by then
    is refused with *refusal*.
    """

    async def expiring(asgi_scope: Scope, receive: Receive, send: Send) -> None:
        if asgi_scope["type"] == "websocket":
            response = refusal_response(refusal, HTTPConnection(asgi_scope))

            async def refuse() -> None:
                await response(asgi_scope, receive, send)

            await _Socket(exp, now, receive, send, refuse, refusal.title).run(app, asgi_scope)
        else:
            await _Response(exp, now, receive, send).run(app, asgi_scope)

    return expiring


def _is_disconnect(error: BaseException) -> bool:
    """Tell whether *error* only says that the application was told of the end."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_disconnect, error.exceptions))
    return isinstance(error, _DISCONNECTS)


def _break_reference_cycle(error: BaseException) -> None:
    """Separate *error* from the frames that it was raised in.

    Nobody closes the generator of a response that failed to send. Without references it is
    closed at once; in a cycle of references, only when the garbage collector comes.
    """
    found: list[BaseException | None] = [error]
    for each in found:
        if each is not None:
            inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
            found.extend(more for more in (each.__context__, *inner) if more not in found)
            each.__traceback__ = None


async def _run(app: ASGIApp, asgi_scope: Scope, connection: "_Response | _Socket") -> None:
    """Run *app* on *connection*; that the application was told of the end is no error."""
    try:
        await app(asgi_scope, connection.receive, connection.send)
    except (*_DISCONNECTS, BaseExceptionGroup) as error:
        if not (connection.is_over and _is_disconnect(error)):
            raise
        _break_reference_cycle(error)


@dataclass(slots=True, eq=False)
class _Response:
    """An HTTP response, cut off at the first chunk that is sent after the token has expired."""

    exp: float
    now: Callable[[], float]
    inner_receive: Receive
    inner_send: Send
    has_length: bool = False
    has_trailers: bool = False
    is_over: bool = False

    async def run(self, app: ASGIApp, asgi_scope: Scope) -> None:
        await _run(app, asgi_scope, self)

    async def receive(self) -> Message:
        message = await self.inner_receive() if not self.is_over else None
        if message is None or self.is_over:
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self.is_over:
            raise _EndedError
        if message["type"] == "http.response.start":
            message = self._started(message)
        elif self._is_too_late(message):
            self.is_over = True
            await self._finish()
            raise _EndedError
        await self.inner_send(message)

    def _started(self, message: Message) -> Message:
        # ASGI allows any iterable of headers, also one that can be read only once.
        headers = list(message.get("headers", ()))
        self.has_length = any(name.lower() == b"content-length" for name, _ in headers)
        self.has_trailers = bool(message.get("trailers"))
        return {**message, "headers": headers}

    def _is_too_late(self, message: Message) -> bool:
        # INVARIANT: a response with a length is never cut off: its client could not tell the
        # rest from the next response (attacks/test_streams.py).
        is_cut = message["type"] in _CHUNKS and message.get("more_body") and not self.has_length
        return bool(is_cut) and not self.now() < self.exp

    async def _finish(self) -> None:
        await self.inner_send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.has_trailers:
            trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
            await self.inner_send(trailers)


@dataclass(slots=True, eq=False)
class _Socket:
    """A WebSocket with one timer, which closes it when the token expires."""

    exp: float
    now: Callable[[], float]
    inner_receive: Receive
    inner_send: Send
    refuse: Callable[[], Awaitable[None]]
    reason: str
    is_connected: bool = False
    is_accepted: bool = False
    is_answered: bool = False
    """Whether the application closed or refused it, or the client has gone."""
    is_over: bool = False
    timer: asyncio.TimerHandle | None = None
    closing: asyncio.Task[None] | None = None
    waiting: set[asyncio.Timeout] = field(default_factory=set[asyncio.Timeout])

    async def run(self, app: ASGIApp, asgi_scope: Scope) -> None:
        if not self.now() < self.exp:
            await self.refuse()
            return
        self._schedule_close()
        try:
            await _run(app, asgi_scope, self)
        except asyncio.CancelledError:
            if self.closing is not None:
                self.closing.cancel()
            raise
        finally:
            # INVARIANT: nothing is left of a connection that is gone
            # (attacks/test_streams.py: test_no_timer_outlives_its_connection).
            self._stop()
            if self.closing is not None:
                await self.closing

    async def receive(self) -> Message:
        if not self.is_connected:
            # The connect message: frameworks wait for it before anything else, refusals included.
            self.is_connected = True
            return await self.inner_receive()
        self._end_if_expired()
        message = await self._received() if not self.is_over else None
        if message is not None and message["type"] == "websocket.disconnect":
            self._stop()
            return message
        self._end_if_expired()
        if message is None or self.is_over:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": self.reason}
        return message

    async def _received(self) -> Message | None:
        """Return the next message, or None where the end comes first."""
        try:
            async with asyncio.timeout(None) as waiting:
                self.waiting.add(waiting)
                try:
                    return await self.inner_receive()
                finally:
                    self.waiting.discard(waiting)
        except TimeoutError:
            if not self.is_over:
                raise
            return None

    async def send(self, message: Message) -> None:
        self._end_if_expired()
        if self.is_over:
            raise _EndedError
        if message["type"] == "websocket.accept":
            self.is_accepted = True
        elif message["type"] in _ANSWERS:
            self._stop()
        await self.inner_send(message)

    def _schedule_close(self) -> None:
        """Close the socket if the token has expired, else set the timer for that."""
        self._end_if_expired()
        if not self.is_over:
            left = min(self.exp - self.now(), _LONGEST_TIMER)
            self.timer = asyncio.get_running_loop().call_later(left, self._schedule_close)

    def _end_if_expired(self) -> None:
        if self.is_over or self.is_answered or self.now() < self.exp:
            return
        self._stop()
        self.is_over = True
        self.closing = asyncio.get_running_loop().create_task(self._close())
        for each in self.waiting:
            each.reschedule(0)

    async def _close(self) -> None:
        # By either, servers say that the connection has gone meanwhile.
        with suppress(OSError, RuntimeError):
            if self.is_accepted:
                close = {"code": POLICY_VIOLATION, "reason": self.reason}
                await self.inner_send({"type": "websocket.close", **close})
            else:
                await self.refuse()

    def _stop(self) -> None:
        self.is_answered = True
        if self.timer is not None:
            self.timer.cancel()
