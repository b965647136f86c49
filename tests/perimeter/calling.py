"""What becomes of a call that is made in this process, whoever makes it.

Every endpoint here is named by the one scope that opens it, and says that name when it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from fastapi_scopes import ScopeMap
from tests.apps import make_guard, mint

SOCKET = "WEBSOCKET"
HOST = "testserver"
SPEAKS = "ran "
"""What an endpoint says before its name."""

NOT_FOUND, WRONG_METHOD, REDIRECT = "404", "405", "307"
NO_RULE = "no rule"
OPEN = "open to all"


def ruled_by(scope: str) -> str:
    return f"ruled by {scope}"


def running(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(SPEAKS + name)

    return endpoint


def talking(name: str) -> Callable[[WebSocket], Awaitable[None]]:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(SPEAKS + name)
        await websocket.close()

    return endpoint


class Opaque:
    """An app without a route table; it answers whatever it is asked."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await talking(self.name)(WebSocket(scope, receive, send))
        else:
            await PlainTextResponse(SPEAKS + self.name)(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; a socket that is closed before it is open counts as 404."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def ran(self) -> str | None:
        """The name of the endpoint that ran."""
        return self.text.removeprefix(SPEAKS) if self.text.startswith(SPEAKS) else None


def call(app: ASGIApp, method: str, path: str, *scopes: Any, **options: Any) -> Answer:
    """Return what *app* answers to a call in an event loop of its own; see `ask`."""
    return asyncio.run(ask(app, method, path, *scopes, **options))


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    scopes: Iterable[str] | None = None,
    *,
    host: str = HOST,
    fields: Mapping[str, str] | None = None,
    root_path: str = "",
) -> Answer:
    """Return what *app* answers to a caller with *scopes*; without these, to an anonymous one."""
    headers = {"host": host, **(fields or {})}
    if scopes is not None:
        headers["authorization"] = f"Bearer {mint(*scopes)}"
    is_socket = method == SOCKET
    asgi_scope: dict[str, Any] = {
        "type": "websocket" if is_socket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws" if is_socket else "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": (host, 80),
        "client": ("192.0.2.1", 4711),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    return await _exchange(app, asgi_scope | ({} if is_socket else {"method": method}))


async def _exchange(app: ASGIApp, asgi_scope: Scope) -> Answer:
    sent: list[Message] = []
    is_over = asyncio.Event()
    is_socket = asgi_scope["type"] == "websocket"
    first = {"type": "websocket.connect"} if is_socket else {"type": "http.request", "body": b""}
    coming = [first]

    async def receive() -> Message:
        if coming:
            return coming.pop()
        await is_over.wait()
        return {"type": "websocket.disconnect" if is_socket else "http.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"].endswith(("body", "close")) and not message.get("more_body"):
            is_over.set()

    await app(asgi_scope, receive, send)
    return _answer_in(sent)


def _answer_in(sent: list[Message]) -> Answer:
    first, *rest = sent
    headers = {name.decode(): value.decode() for name, value in first.get("headers", [])}
    if first["type"] == "websocket.close":
        return Answer(404 if first.get("code", 1000) == 1000 else 403, headers, "")
    text = "".join(each.get("text") or each.get("body", b"").decode() for each in rest)
    return Answer(first.get("status", 101), headers, text)


class Guarded:
    """An app whose perimeter knows *rules*.

    They need not match anything yet; what is without one is denied, and does not stop the app.
    """

    def __init__(
        self, app: Any, rules: Mapping[str, Any], *, hide_unknown: bool = False, **options: Any
    ) -> None:
        self.guard = make_guard(ScopeMap(rules, optional=True), **options)
        self.app = self.guard.protect(app, strict=False, hide_unknown=hide_unknown)
        self.scopes = frozenset(rule for rule in rules.values() if isinstance(rule, str))

    def outcome(self, method: str, path: str, **options: Any) -> str:
        """Return what becomes of a call, having seen that every caller gets what that says.

        An endpoint that runs for a caller without its scope is an AssertionError.
        """
        anonymous = call(self.app, method, path, **options)
        powerful = call(self.app, method, path, self.scopes, **options)
        if anonymous.status in {307, 404, 405}:
            assert (anonymous.ran, powerful.ran) == (None, None)
            assert powerful.status == anonymous.status
            return str(anonymous.status)
        if anonymous.ran is not None:
            assert anonymous.ran == "public"
            return OPEN
        assert anonymous.status == 401
        assert anonymous.headers["www-authenticate"] == 'Bearer realm="api"'
        if powerful.ran is None:
            assert powerful.status == 403
            return NO_RULE
        return self._ruled(powerful.ran, method, path, **options)

    def _ruled(self, ran: str, method: str, path: str, **options: Any) -> str:
        other = call(self.app, method, path, self.scopes - {ran}, **options)
        assert (other.status, other.ran) == (403, None)
        assert f'scope="{ran}"' in other.headers["www-authenticate"]
        assert call(self.app, method, path, {ran}, **options).ran == ran
        return ruled_by(ran)


def expected(app: ASGIApp, rules: Mapping[str, Any], method: str, path: str, **options: Any) -> str:
    """Return the outcome of a call under *rules*, by what *app* runs that no one protects."""
    answer = call(app, method, path, **options)
    if answer.ran is None:
        return str(answer.status)
    if answer.ran == "public":
        return OPEN
    return ruled_by(answer.ran) if answer.ran in rules.values() else NO_RULE
