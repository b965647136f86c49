"""A scope is copied for another call: nobody else's credentials and claims come along."""

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Host, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, OPTIONAL, Claims
from fastapi_scopes.authorization import state_of
from fastapi_scopes.errors import TokenError, TokenFault
from tests.apps import bearer, make_guard, make_verifier, mint
from tests.doors import DOORS, Door


def connection(
    *offers: str, client: tuple[str, int] = ("192.0.2.1", 1), **fields: str
) -> dict[str, Any]:
    """The scope of a handshake at /ws."""
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    if offers:
        headers.append((b"sec-websocket-protocol", ", ".join(offers).encode()))
    return {
        **{"type": "websocket", "path": "/ws", "raw_path": b"/ws", "root_path": "", "scheme": "ws"},
        **{"query_string": b"", "client": client, "server": ("api.example", 80)},
        **{"headers": headers, "subprotocols": [*offers], "asgi": {"version": "3.0"}},
        "extensions": {"websocket.http.response": {}},
    }


async def called(app: Any, asgi_scope: MutableMapping[str, Any]) -> str:
    """What the app says: whom it takes the caller for, or the status of its refusal."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(asgi_scope, receive, send)
    texts = [each["text"] for each in sent if "text" in each]
    return str(texts[0] if texts else sent[0]["status"])


def make_app(door: Door, **options: Any) -> Any:
    guard = make_guard({"WEBSOCKET /ws": "x", "WEBSOCKET /maybe": OPTIONAL}, **options)
    app = door(guard)

    async def greet(socket: WebSocket) -> None:
        claims = guard.claims_of(socket)
        await socket.accept()
        await socket.send_text(claims.sub if claims is not None and claims.sub else "nobody")

    app.add_api_websocket_route("/ws", greet)
    app.add_api_websocket_route("/maybe", greet)
    return app


ELSEWHERE = ("192.0.2.2", 2)
OTHERS: Mapping[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "nothing": (lambda _: connection(client=ELSEWHERE), "401"),
    "another-subprotocol": (lambda _: connection("chat", client=ELSEWHERE), "401"),
    "its-own-offer": (lambda bob: connection(f"bearer.{bob}", client=ELSEWHERE), "bob"),
    "its-own-field": (
        lambda bob: connection(client=ELSEWHERE, authorization=f"Bearer {bob}"),
        "bob",
    ),
    "its-own-offer-from-the-same-place": (lambda bob: connection(f"bearer.{bob}"), "bob"),
    "its-own-field-from-the-same-place": (
        lambda bob: connection(authorization=f"Bearer {bob}"),
        "bob",
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(("make_other", "answer"), OTHERS.values(), ids=OTHERS)
async def test_token_that_was_withheld_is_nobody_elses(
    door: Door, make_other: Callable[[str], dict[str, Any]], answer: str
) -> None:
    app = make_app(door)
    first = connection(f"bearer.{mint('x', sub='alice')}", "chat")
    assert await called(app, first) == "alice"
    assert await called(app, {**first, **make_other(mint("x", sub="bob"))}) == answer


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
async def test_token_that_is_over_by_now_is_verified_anew_for_another_call(door: Door) -> None:
    now = 1000.0
    app = make_app(door, verifier=make_verifier(now=lambda: now))
    (field,) = bearer("x", exp=1060).values()
    first = connection(authorization=field)
    assert await called(app, first) == "alice"
    now = 2000.0
    copied = {**first, **connection(client=ELSEWHERE, authorization=field)}
    assert await called(app, copied) == "401"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/ws", "/maybe"])
@pytest.mark.parametrize(
    "quoted", ['"bearer.{}"', "'bearer.{}'", ' "bearer.{}'], ids=["offer0", "offer1", "offer2"]
)
async def test_offer_in_quotes_is_malformed_and_no_other_subprotocol(
    path: str, quoted: str
) -> None:
    app, handshake = make_app(DOORS["perimeter"]), connection(quoted.format(mint("x")))
    assert await called(app, {**handshake, "path": path, "raw_path": path.encode()}) == "400"


@pytest.mark.anyio
async def test_headers_that_were_read_twice_hold_no_token() -> None:
    guard, token = make_guard({"WEBSOCKET /ws": "x"}), mint("x")
    socket = HTTPConnection(connection(f"bearer.{token}", "chat"))
    assert token in str(socket.headers.raw)
    # Starlette puts another list into the scope.
    assert token in str(HTTPConnection(socket.scope).headers.raw)
    socket.scope["app"] = None
    with pytest.raises(Exception, match="Forbidden"):
        await guard(socket)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_scope_is_copied_in_depth_as_it_is_otherwise(copied: Callable[[Any], Any]) -> None:
    inner = FastAPI()

    async def whom(request: Request) -> str | None:
        claims = guard.claims_of(request)
        return claims.sub if claims is not None else None

    inner.add_api_route("/me", whom)

    class Copying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            own = {"fastapi_scopes": copied(scope["fastapi_scopes"])}
            await self.app({**scope, **own}, receive, send)

    inner.add_middleware(Copying)
    app = FastAPI()
    app.mount("/in", inner)
    guard = make_guard({"GET /in/me": "x"})
    client = TestClient(guard.protect(app, strict=False))
    assert client.get("/in/me").status_code == 401
    assert client.get("/in/me", headers=bearer("x", sub="bob")).json() == "bob"


def test_repr_of_what_was_decided_shows_no_token() -> None:
    told: list[str] = []

    async def endpoint(request: Request) -> Response:
        told.extend(map(repr, state_of(request.scope).passages.values()))
        return Response()

    inner = Starlette(routes=[Host("{host}", Router([Route("/x", endpoint)]))])
    app = make_guard({"GET /m/x": AUTHENTICATED}).protect(Starlette(routes=[Mount("/m", inner)]))
    token = mint()
    assert TestClient(app).get("/m/x", headers={"Authorization": f"Bearer {token}"}).is_success
    (text,) = told
    assert "Passage" in text
    assert token not in text


class Revoking:
    is_revoked = False

    async def verify(self, token: str) -> Claims:
        if self.is_revoked:
            raise TokenError(TokenFault.REVOKED)
        claims: Claims = await make_verifier().verify(token)
        return claims


@pytest.mark.anyio
@pytest.mark.parametrize("is_asked_before", [False, True], ids=["not before", "before"])
async def test_call_that_outlives_its_connection_is_decided_anew(is_asked_before: bool) -> None:
    """What a middleware kept of a connection is no verdict when the token is revoked."""
    kept: list[Scope] = []
    ran: list[str] = []

    class Keeping:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if is_asked_before:
                await answered(self.app, scope)
            kept.append(dict(scope))
            await Response("old")(scope, receive, send)

    class Once(Route):
        """Is there for the decision, and not when its router looks for it then."""

        looks = 0

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            self.looks += 1
            return super().matches(scope) if self.looks == 1 else (Match.NONE, {})

    async def endpoint(request: Request) -> Response:
        ran.append("x")
        return Response()

    verifier, route = Revoking(), Once("/x", endpoint)
    inner = Starlette(routes=[route], middleware=[Middleware(Keeping)])
    app = Starlette(routes=[Mount("/m", inner)])
    make_guard({"* /m/x": AUTHENTICATED}, verifier=verifier).protect(app)
    headers = [(b"authorization", f"Bearer {mint()}".encode())]
    asked = {"type": "http", "method": "GET", "path": "/m/x", "headers": headers}
    assert await answered(app, asked) == "200"
    verifier.is_revoked = True
    for call_again in (route.handle, inner.router):
        route.looks = 0
        assert await answered(call_again, dict(kept[0])) == "401"
    assert ran == []


async def answered(app: ASGIApp, asgi_scope: Scope) -> str:
    """Return the status of what *app* answers."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(asgi_scope, receive, send)
    return str(sent[0]["status"])
