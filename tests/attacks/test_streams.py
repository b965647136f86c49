"""Attacks on time: streams and sockets that outlive the token that opened them."""

import asyncio
import contextlib
import gzip
import importlib.util
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import anyio
import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fastapi_scopes import OPTIONAL, PUBLIC, Claims, ScopeGuard
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.problems import ProtectionSpace, problem_of
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.perimeter.expiry import end_at_expiry
from tests.apps import bearer, make_guard, make_verifier, mint
from tests.perimeter.serving import SERVERS, RawConnection, Served, request_of, serve

EXPIRED = problem_of(TokenError(TokenFault.EXPIRED), ProtectionSpace("api"))
EXP = 1000.0
PATIENCE = 60.0
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}
CLOSED: Message = {"type": "websocket.close", "code": 1008, "reason": "Invalid token"}
ENDED = r"^the stream ended with its token$"
SPECS = ["2.0", "2.3", "2.4"]


def chunk(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Clock:
    def __init__(self, now: float = EXP - 10) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Line:
    """The server's end of a connection: what it is sent, and what it has for the application."""

    def __init__(self, *coming: Message, is_broken: bool = False) -> None:
        self.sent: list[Message] = []
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self.is_broken = is_broken
        for each in coming:
            self.coming.put_nowait(each)

    async def receive(self) -> Message:
        return await self.coming.get()

    async def send(self, message: Message) -> None:
        if self.is_broken:
            raise OSError("the client has gone")
        self.sent.append(message)


def scope_of(kind: str, *, spec: str = "2.4", can_respond: bool = True) -> Scope:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": spec},
        "method": "GET",
        "path": "/",
        "headers": [],
        "extensions": {"websocket.http.response": {}} if can_respond else {},
    }


def run(app: ASGIApp, line: Line, clock: Clock, *, exp: float = EXP, **options: Any) -> None:
    asyncio.run(arun(app, line, clock, exp=exp, **options))


async def arun(
    app: ASGIApp, line: Line, clock: Clock, *, exp: float = EXP, kind: str = "http", **options: Any
) -> None:
    ended = end_at_expiry(app, exp, refusal=EXPIRED, now=clock)
    task = asyncio.current_task()
    assert task is not None
    patience = asyncio.get_running_loop().call_later(PATIENCE, task.cancel, PATIENCE)
    await ended(scope_of(kind, **options), line.receive, line.send)
    patience.cancel()
    assert asyncio.all_tasks() == {task}
    assert timers() == []


def timers() -> list[asyncio.TimerHandle]:
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [each for each in scheduled if not each.cancelled() and each._args != (PATIENCE,)]


@pytest.mark.parametrize("late", [0.0, 0.001, 5.0], ids=["exp itself", "after it", "later"])
def test_stream_ends_with_a_last_chunk_at_the_first_send_after_exp(late: float) -> None:
    clock, line = Clock(), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk(b"in time"))
        clock.now = EXP + late
        with pytest.raises(OSError, match=ENDED):
            await send(chunk(b"too late"))
        assert await receive() == {"type": "http.disconnect"}
        with pytest.raises(OSError, match="ended"):
            await send(chunk(b"", more=False))
        await send(chunk(b"again"))

    run(app, line, clock)
    assert line.sent == [START, chunk(b"in time"), LAST]


def test_stream_goes_on_until_exp() -> None:
    clock, line = Clock(EXP - 0.001), Line({"type": "http.request", "body": b"x"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"x"}
        await send(START)
        await send(chunk(b"1"))
        await send(LAST)

    run(app, line, clock)
    assert line.sent == [START, chunk(b"1"), LAST]


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_response_with_a_length_is_left_whole(name: bytes) -> None:
    clock, line = Clock(EXP + 1), Line()
    start = {**START, "headers": [(name, b"2")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**start, "headers": iter(start["headers"])})
        await send(chunk(b"1"))
        await send(chunk(b"2", more=False))

    run(app, line, clock)
    assert line.sent == [start, chunk(b"1"), chunk(b"2", more=False)]


def test_last_chunk_is_left_whole() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"all of it"})

    run(app, line, clock)
    assert line.sent == [START, {"type": "http.response.body", "body": b"all of it"}]


def test_stream_that_promised_trailers_has_them() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "trailers": True})
        await send(chunk(b"too late"))

    run(app, line, clock)
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    assert line.sent == [{**START, "trailers": True}, LAST, trailers]


def test_trailers_after_the_last_chunk_are_sent() -> None:
    clock, line = Clock(EXP + 1), Line()
    trailers = {"type": "http.response.trailers", "headers": [(b"x", b"y")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in [{**START, "trailers": True}, LAST, trailers]:
            await send(message)

    run(app, line, clock)
    assert line.sent[1:] == [LAST, trailers]


def test_chunk_of_a_file_is_a_chunk() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.zerocopysend", "file": 3, "more_body": True})

    run(app, line, clock)
    assert line.sent == [START, LAST]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/etc/hosts"},
        {"type": "http.response.zerocopysend", "file": 3},
        {"type": "http.response.push", "path": "/x", "headers": []},
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.debug", "info": {}},
    ],
    ids=lambda message: message["type"],
)
def test_message_of_an_extension_is_passed_on_as_it_is(message: Message) -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(message)

    run(app, line, clock)
    assert line.sent[1] is message


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_generator_stops_and_nothing_is_raised(spec: str, is_async: bool) -> None:
    clock, line, ends = Clock(), Line(), list[str]()

    async def numbers() -> AsyncIterator[str]:
        try:
            for number in range(100):
                clock.now += 4
                yield str(number)
                await asyncio.sleep(0)
        finally:
            ends.append("stopped")

    def in_threads() -> Iterator[str]:
        for number in range(100):
            clock.now += 4
            ends[:] = ["stopped"] * min(number, 1)
            yield str(number)

    response = StreamingResponse(numbers() if is_async else in_threads())
    run(response, line, clock, spec=spec)
    assert [each["body"] for each in line.sent[1:]] == [b"0", b"1", b""]
    assert line.sent[-1] == LAST
    assert ends == ["stopped"]


def test_group_of_tasks_that_is_told_raises_nothing() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        async with anyio.create_task_group() as group, anyio.create_task_group() as inner:
            group.start_soon(send, chunk(b"a"))
            inner.start_soon(send, chunk(b"b"))

    run(app, line, clock)
    assert line.sent == [START, LAST]


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), OSError("mine"), ExceptionGroup("", [OSError("mine")])],
    ids=["ValueError", "OSError", "group"],
)
@pytest.mark.parametrize("now", [EXP - 1, EXP + 1], ids=["before", "after"])
def test_errors_of_the_application_itself_are_raised(error: Exception, now: float) -> None:
    clock, line = Clock(now), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(OSError):
            await send(START)
            await send(chunk(b"x"))
        raise error

    with pytest.raises(type(error)) as caught:
        run(app, line, clock)
    assert caught.value is error


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_disconnect_before_the_end_is_raised_as_ever(kind: str) -> None:
    clock, line = Clock(), Line({"type": "websocket.connect"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise WebSocketDisconnect(1001)

    with pytest.raises(WebSocketDisconnect):
        run(app, line, clock, kind=kind)


def test_client_that_has_gone_by_then_breaks_nothing() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        line.is_broken = True
        await send(chunk(b"x"))

    with pytest.raises(OSError, match="the client has gone"):
        run(app, line, clock)


def test_receive_that_waits_is_told_of_the_end() -> None:
    clock, line = Clock(EXP + 1), Line()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.create_task(receive())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await send(START)
        with pytest.raises(OSError, match="ended"):
            await send(chunk(b"x"))
        line.coming.put_nowait({"type": "http.request", "body": b"more"})
        assert await waiting == {"type": "http.disconnect"}

    run(app, line, clock)


CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}


class Running(Clock):
    """A clock that stands at zero until it is started: nothing is too late on a busy machine."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self._begin: float | None = None

    def start(self) -> None:
        self._begin = time.monotonic()

    def __call__(self) -> float:
        return self.now if self._begin is None else time.monotonic() - self._begin


SOON = 0.03


def test_socket_is_closed_at_exp_while_it_waits() -> None:
    clock, line = Running(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == CONNECT
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "hello"})
        clock.start()
        assert await receive() == {
            "type": "websocket.disconnect",
            "code": 1008,
            "reason": "Invalid token",
        }
        assert clock() >= SOON
        assert (await receive())["type"] == "websocket.disconnect"
        for message in [{"type": "websocket.send", "text": "x"}, CLOSED]:
            with pytest.raises(OSError, match=ENDED):
                await send(message)

    run(app, line, clock, exp=SOON, kind="websocket")
    assert line.sent == [ACCEPT, {"type": "websocket.send", "text": "hello"}, CLOSED]


def test_socket_is_closed_at_exp_while_the_application_is_busy_elsewhere() -> None:
    clock, line = Running(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        clock.start()
        async with asyncio.timeout(PATIENCE):
            while line.sent != [ACCEPT, CLOSED]:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(SOON)

    run(app, line, clock, exp=SOON, kind="websocket")
    assert line.sent == [ACCEPT, CLOSED]


def test_message_of_the_client_after_exp_is_not_delivered() -> None:
    clock, line = Clock(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        waiting = asyncio.create_task(receive())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        clock.now = EXP
        line.coming.put_nowait({"type": "websocket.receive", "text": "too late"})
        assert (await waiting)["type"] == "websocket.disconnect"
        line.coming.put_nowait({"type": "websocket.receive", "text": "too late"})
        assert (await receive())["type"] == "websocket.disconnect"

    run(app, line, clock, kind="websocket")
    assert line.sent == [ACCEPT, CLOSED]


def test_send_after_exp_closes_where_the_timer_is_late() -> None:
    clock, line = Clock(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        clock.now = EXP
        await send({"type": "websocket.send", "text": "too late"})

    run(app, line, clock, kind="websocket")
    assert line.sent == [ACCEPT, CLOSED]


@pytest.mark.parametrize("can_respond", [True, False])
@pytest.mark.parametrize("is_connected", [True, False])
def test_socket_that_is_not_accepted_by_exp_is_refused(
    can_respond: bool, is_connected: bool
) -> None:
    clock, line = Clock(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if is_connected:
            await receive()
        clock.now = EXP
        await WebSocket(scope, receive, send).accept() if not is_connected else await send(ACCEPT)

    run(app, line, clock, kind="websocket", can_respond=can_respond)
    assert line.sent == refusal_messages() if can_respond else [CLOSED]


def refusal_messages() -> list[Message]:
    headers = [(name.lower().encode(), value.encode()) for name, value in EXPIRED.headers()]
    body = EXPIRED.to_json()
    more = [
        (b"content-length", str(len(body)).encode()),
        (b"content-type", b"application/problem+json"),
    ]
    return [
        {"type": "websocket.http.response.start", "status": 401, "headers": [*headers, *more]},
        {"type": "websocket.http.response.body", "body": body},
    ]


def test_socket_that_is_too_late_from_the_start_reaches_nobody() -> None:
    line = Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    run(app, line, Clock(EXP), kind="websocket")
    assert line.sent == refusal_messages()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([ACCEPT, {"type": "websocket.close", "code": 1000}], id="closed"),
        pytest.param([{"type": "websocket.close", "code": 4000}], id="refused"),
    ],
)
def test_socket_that_the_application_closed_is_not_closed_again(answer: list[Message]) -> None:
    clock, line = Clock(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in answer:
            await send(message)
        assert timers() == []
        clock.now = EXP
        line.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        assert (await receive())["code"] == 1000

    run(app, line, clock, kind="websocket")
    assert line.sent == answer


def test_answer_of_the_application_in_place_of_a_socket_is_left_whole() -> None:
    clock, line = Clock(), Line(CONNECT)
    start = {"type": "websocket.http.response.start", "status": 404, "headers": []}
    body = {"type": "websocket.http.response.body", "body": b"x", "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        clock.now = EXP
        await send(body)
        await send({**body, "more_body": False})

    run(app, line, clock, kind="websocket")
    assert line.sent == [start, body, {**body, "more_body": False}]


def test_socket_whose_client_has_gone_is_not_closed() -> None:
    clock, line = Clock(), Line(CONNECT, {"type": "websocket.disconnect", "code": 1001})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        clock.now = EXP - 0.001
        assert (await receive())["code"] == 1001
        assert timers() == []
        clock.now = EXP

    run(app, line, clock, kind="websocket")
    assert line.sent == [ACCEPT]


def test_disconnect_that_comes_at_exp_is_the_clients() -> None:
    clock, line = Clock(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        waiting = asyncio.create_task(receive())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        clock.now = EXP
        line.coming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        assert (await waiting)["code"] == 1001

    run(app, line, clock, kind="websocket")
    assert line.sent == [ACCEPT]


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("after websocket.close")])
def test_close_to_a_connection_that_has_gone_breaks_nothing(error: Exception) -> None:
    clock, line = Running(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        clock.start()
        await receive()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            raise error
        await Line.send(line, message)

    line.send = send  # type: ignore[method-assign]
    run(app, line, clock, exp=SOON, kind="websocket")
    assert line.sent == [ACCEPT]


def test_timeout_of_the_application_is_its_own() -> None:
    line = Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.001)
        line.coming.put_nowait({"type": "websocket.receive", "text": "x"})
        assert (await receive())["text"] == "x"

    run(app, line, Clock(), kind="websocket")


def test_timeout_of_the_server_is_raised() -> None:
    line = Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def fail() -> Message:
            raise TimeoutError("mine")

        line.coming.get = fail  # type: ignore[method-assign]
        await receive()

    with pytest.raises(TimeoutError, match="mine"):
        run(app, line, Clock(), kind="websocket")


@pytest.mark.parametrize("exp", [253_402_300_800, 1e300, float("inf")], ids=str)
def test_exp_that_is_far_away_overflows_nothing(exp: float) -> None:
    line = Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        [timer] = timers()
        assert timer.when() - asyncio.get_running_loop().time() <= 86_400

    run(app, line, Clock(), exp=exp, kind="websocket")
    assert line.sent == [ACCEPT]


def test_timer_that_rings_too_early_is_set_again() -> None:
    # The clock was set back, or the time is longer than what is waited for in one go.
    clock, line = Clock(EXP - 0.01), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        [first] = timers()
        await asyncio.sleep(0.03)
        [second] = timers()
        assert second is not first
        assert line.sent == [ACCEPT]
        clock.now = EXP
        await receive()

    run(app, line, clock, kind="websocket")
    assert line.sent == [ACCEPT, CLOSED]


def test_token_without_a_time_that_is_a_number_ends_at_once() -> None:
    line = Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    run(app, line, Clock(), exp=float("nan"), kind="websocket")
    assert line.sent == refusal_messages()


def test_no_timer_outlives_its_connection() -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError

    async def returns(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)

    async def main() -> None:
        for app in [waits, fails, returns]:
            line = Line(CONNECT)
            ended = end_at_expiry(app, EXP, refusal=EXPIRED, now=Clock())
            given = (scope_of("websocket"), line.receive, line.send)
            task = asyncio.create_task(ended(*given))  # type: ignore[arg-type]
            await asyncio.sleep(0.005)
            if app is waits:
                [_] = timers()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ValueError):
                await task
            assert timers() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_connection_that_is_cancelled_while_it_is_closed_leaves_nothing() -> None:
    async def main() -> None:
        clock, line, is_closing = Running(), Line(CONNECT), asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "websocket.close":
                is_closing.set()
                await asyncio.sleep(60)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            clock.start()
            await asyncio.sleep(60)

        line.send = send  # type: ignore[method-assign]
        ended = end_at_expiry(app, SOON, refusal=EXPIRED, now=clock)
        task = asyncio.create_task(ended(scope_of("websocket"), line.receive, line.send))  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE):
            await is_closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)
        assert timers() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_close_is_sent_before_the_server_is_told_that_the_application_is_done() -> None:
    clock, line = Running(), Line(CONNECT)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        clock.start()
        await receive()

    async def send(message: Message) -> None:
        await asyncio.sleep(0.01)
        await Line.send(line, message)

    line.send = send  # type: ignore[method-assign]
    run(app, line, clock, exp=SOON, kind="websocket")
    assert line.sent == [ACCEPT, CLOSED]


RULES = {
    "GET /s": "x",
    "GET /plain": "x",
    "GET /open": PUBLIC,
    "GET /maybe": OPTIONAL,
    "WEBSOCKET /ws": "x",
    "WEBSOCKET /open": PUBLIC,
    "WEBSOCKET /maybe": OPTIONAL,
}


class Recording:
    """An endpoint that keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Receive, Send]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.given.append((receive, send))
        if scope["type"] == "http":
            await PlainTextResponse("ok")(scope, receive, send)


def given_to(rule: Any, headers: Iterable[tuple[bytes, bytes]], kind: str, **options: Any) -> bool:
    """Tell whether an app under *rule* is given the very objects that the server gave."""
    recording, line = Recording(), Line()
    app = FastAPI(openapi_url=None)
    app.router.routes.append(Route("/", recording))
    app.mount("/", recording)
    make_guard({"* /**": rule, "GET /": rule}, **options).protect(app, strict=False)
    scope = scope_of(kind) | {"headers": list(headers), "query_string": b"", "app": app}
    scope |= {"path": "/m", "root_path": "", "raw_path": b"/m", "client": ("192.0.2.1", 1)}
    asyncio.run(app.router(scope, line.receive, line.send))
    [(receive, send)] = recording.given
    return receive == line.receive and send == line.send


def authorized() -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {mint('x')}".encode())]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("rule", "make_headers", "options", "is_same"),
    [
        pytest.param("x", authorized, {}, True, id="without the option"),
        pytest.param("x", authorized, {"end_at_exp": False}, True, id="switched off"),
        pytest.param("x", authorized, {"end_at_exp": True}, False, id="with the option"),
        pytest.param(PUBLIC, authorized, {"end_at_exp": True}, True, id="PUBLIC"),
        pytest.param(OPTIONAL, list, {"end_at_exp": True}, True, id="anonymous OPTIONAL"),
        pytest.param(OPTIONAL, authorized, {"end_at_exp": True}, False, id="OPTIONAL"),
    ],
)
def test_nothing_is_wrapped_that_does_not_end(
    kind: str,
    rule: Any,
    make_headers: Callable[[], list[tuple[bytes, bytes]]],
    options: dict[str, Any],
    is_same: bool,
) -> None:
    assert given_to(rule, make_headers(), kind, **options) is is_same


@pytest.mark.parametrize("value", [1, 0, "yes", None, 60.0], ids=repr)
def test_end_at_exp_is_a_bool(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"end_at_exp is a '(int|str|NoneType|float)'"):
        make_guard({"GET /x": "x"}, end_at_exp=value)


def dependent(guard: ScopeGuard[Any]) -> FastAPI:
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    app.add_api_route("/x", lambda: "x")
    return app


def test_app_without_a_perimeter_in_which_nothing_ends_fails_the_check() -> None:
    guard = make_guard({"GET /x": "x"}, end_at_exp=True)
    app = dependent(guard)
    [problem] = guard.check(app).problems
    assert problem.startswith("end_at_exp=True ends no stream")
    assert problem in str(guard.check(app))
    with pytest.raises(ConfigurationError, match="call protect"):
        guard.check(app, raise_on_gap=True)
    guard.protect(app)
    assert guard.check(app, raise_on_gap=True).problems == ()
    errors = make_guard({"GET /x": "x"}).check(dependent(guard)).errors
    assert FindingCode.OPTION_WITHOUT_EFFECT not in {each.code for each in errors}


def test_dependency_that_ends_nothing_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(dependent(make_guard({"GET /x": "x"}, end_at_exp=True)))
    for _ in range(3):
        assert client.get("/x", headers=bearer("x")).status_code == 200
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [each.getMessage()[:15] for each in warned] == ["end_at_exp=True"]


def test_protected_app_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    guard = make_guard({"GET /x": "x"}, end_at_exp=True)
    with TestClient(guard.protect(dependent(guard))) as client:
        assert client.get("/x", headers=bearer("x")).status_code == 200
    assert "end_at_exp" not in caplog.text


PERIOD = 0.05
LIFE = 1.0


class Renewing:
    """Verifies tokens that live for LIFE from then on, however late a busy server comes to it."""

    def __init__(self) -> None:
        self._inner = make_verifier()

    async def verify(self, token: str) -> Claims:
        claims: Claims = await self._inner.verify(token)
        return claims.model_copy(update={"exp": time.time() + LIFE})


def make_app(ran: list[str]) -> FastAPI:  # noqa: C901 - one endpoint after the other
    app = FastAPI(openapi_url=None)
    app.add_middleware(GZipMiddleware)

    @app.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
                await asyncio.sleep(PERIOD)
        finally:
            ran.append("events stopped")

    async def numbers() -> AsyncIterator[bytes]:
        try:
            for number in range(1000):
                yield b"%d\n" % number
                await asyncio.sleep(PERIOD)
        finally:
            ran.append("numbers stopped")

    async def plain(request: Request) -> Response:
        return StreamingResponse(numbers(), background=BackgroundTask(ran.append, "background"))

    async def whole(request: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(LIFE * 1.5)
            ran.append("worked")

        return PlainTextResponse("whole", background=BackgroundTask(work))

    async def long(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b"x" * 10
                await asyncio.sleep(LIFE / 5)

        return StreamingResponse(chunks(), headers={"content-length": "100"})

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("echo " + await websocket.receive_text())
        except WebSocketDisconnect as left:
            ran.append(f"left {left.code}")

    async def push(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(PERIOD)

    async def late(websocket: WebSocket) -> None:
        await asyncio.sleep(LIFE * 1.2)
        await websocket.accept()

    app.router.routes.append(Route("/plain", plain))
    app.router.routes.append(Route("/whole", whole))
    app.router.routes.append(Route("/long", long))
    for path, endpoint in {"/talk": talk, "/push": push, "/late": late}.items():
        app.add_api_websocket_route(path, endpoint)
    inner = FastAPI(openapi_url=None)
    inner.router.routes.append(Route("/plain", plain))
    inner.add_api_websocket_route("/push", push)
    app.mount("/sub", inner)
    guard = make_guard({"* /**": "x"}, verifier=Renewing(), end_at_exp=True)
    return guard.protect(app, strict=False)


IMPLEMENTATIONS = {"h11": "websockets-sansio", "httptools": "wsproto"}


@pytest.fixture(scope="module")
def ran() -> list[str]:
    return []


@pytest.fixture(scope="module", params=[*SERVERS, "deprecated"])
def served(request: pytest.FixtureRequest, ran: list[str]) -> Iterator[Served]:
    http = "h11" if request.param == "deprecated" else request.param
    ws = IMPLEMENTATIONS.get(request.param, "websockets")
    if importlib.util.find_spec(ws.partition("-")[0]) is None:
        ws = "auto"
    with serve(make_app(ran), http=http, ws=ws) as served:
        yield served


@pytest.fixture(autouse=True)
def nothing_ran(ran: list[str]) -> None:
    ran.clear()


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def field(**claims: Any) -> str:
    return f"Authorization: Bearer {mint('x', **claims)}"


def read_to_the_end(connection: RawConnection) -> list[bytes]:
    return list(iter(connection.receive_chunk, b""))


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("target", ["/events", "/plain", "/sub/plain"])
def test_stream_of_a_server_ends_cleanly_and_the_connection_goes_on(
    served: Served, ran: list[str], target: str, caplog: pytest.LogCaptureFixture
) -> None:
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING), served.connect() as connection:
        connection.send(request_of("GET", target, field()))
        assert connection.receive_head().status == 200
        chunks = read_to_the_end(connection)
        assert LIFE * 0.7 < time.monotonic() - begin < PATIENCE
        assert 0 < len(chunks) < 1000
        connection.send(request_of("GET", target, field(exp=time.time() - 1)))
        assert connection.receive().status == 401
    name = "events" if target == "/events" else "numbers"
    assert eventually(lambda: f"{name} stopped" in ran)
    assert "background" not in ran
    assert [each for each in caplog.messages if not each.startswith("refused ")] == []


def test_compressed_stream_is_whole_as_far_as_it_goes(served: Served) -> None:
    with served.connect() as connection:
        connection.send(request_of("GET", "/plain", field(), "Accept-Encoding: gzip"))
        assert connection.receive_head().field("content-encoding") == "gzip"
        text = gzip.decompress(b"".join(read_to_the_end(connection)))
    assert text.startswith(b"0\n")


def test_what_is_not_a_stream_is_left_whole(served: Served, ran: list[str]) -> None:
    assert served.request("GET", "/whole", field()).body == b"whole"
    assert eventually(lambda: "worked" in ran)
    assert served.request("GET", "/long", field()).body == b"x" * 100
    assert served.request("HEAD", "/whole", field()).status == 200


def test_head_of_a_stream_ends(served: Served, ran: list[str]) -> None:
    with served.connect() as connection:
        connection.send(request_of("HEAD", "/plain", field()))
        assert connection.receive(has_body=False).status == 200
        assert eventually(lambda: "numbers stopped" in ran)


def dial(served: Served, path: str) -> ClientConnection:
    # On a socket of our own, as the environment may name a proxy.
    return connect(
        f"ws://testserver{path}",
        sock=socket.create_connection(("127.0.0.1", served.port)),
        additional_headers=bearer("x"),
    )


def test_socket_of_a_server_is_closed_with_1008(
    served: Served, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING), dial(served, "/talk") as client:
        client.send("hello")
        assert client.recv(PATIENCE) == "echo hello"
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(PATIENCE)
        assert LIFE * 0.7 < time.monotonic() - begin < PATIENCE
    received = caught.value.rcvd
    assert received is not None
    assert (received.code, received.reason) == (1008, "Invalid token")
    assert eventually(lambda: "left 1008" in ran)
    assert caplog.text == ""


def exhaust(client: ClientConnection) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        client.recv(PATIENCE)


@pytest.mark.parametrize("path", ["/push", "/sub/push"])
def test_socket_that_only_sends_is_closed_with_1008(
    served: Served, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), dial(served, path) as client:
        assert client.recv(PATIENCE) == "tick"
        with pytest.raises(ConnectionClosed) as caught:
            exhaust(client)
    received = caught.value.rcvd
    assert received is not None
    assert received.code == 1008
    assert caplog.text == ""


def test_socket_of_a_server_that_is_late_is_refused(served: Served) -> None:
    with pytest.raises(InvalidStatus) as caught:
        dial(served, "/late")
    response = caught.value.response
    assert response.status_code == 401
    assert response.body == EXPIRED.to_json()
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_t')


def test_leeway_of_the_verifier_lengthens_no_stream() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    async def stream(request: Request) -> Response:
        return StreamingResponse(numbers())

    async def text(request: Request) -> Response:
        return PlainTextResponse("text")

    guard = make_guard({"* /**": "x"}, verifier=make_verifier(leeway=60), end_at_exp=True)
    app = FastAPI(openapi_url=None)
    app.router.routes += [Route("/stream", stream), Route("/text", text)]
    client = TestClient(guard.protect(app, strict=False))
    headers = bearer("x", exp=time.time() - 10)
    assert client.get("/text", headers=headers).text == "text"
    stopped = client.get("/stream", headers=headers)
    assert (stopped.status_code, stopped.text) == (200, "")
