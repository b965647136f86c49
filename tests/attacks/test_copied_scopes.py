"""A scope is copied for another call: nobody else's credentials and claims come along."""

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection

from fastapi_scopes import OPTIONAL
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
