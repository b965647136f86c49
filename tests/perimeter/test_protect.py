"""`protect` itself: what it takes and returns, twice on one app, and beside what an app has."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, PUBLIC, ScopeGuard, any_of
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.guard import AccessRefused
from tests.apps import MakeHeaders, bearer, make_guard, mint
from tests.perimeter.small import MALFORMED, CountingVerifier, answer, forged, make_app

CALLERS: Mapping[str, MakeHeaders] = {
    "anonymous": dict,
    "malformed": lambda: MALFORMED,
    "forged": forged,
    "other scope": lambda: bearer("b"),
    "scope": lambda: bearer("a"),
}
each_caller = pytest.mark.parametrize("make_headers", list(CALLERS.values()), ids=list(CALLERS))


class Own(FastAPI):
    pass


@pytest.mark.parametrize("kind", [FastAPI, Own, Starlette])
def test_protect_returns_the_very_app(kind: type[Starlette]) -> None:
    app = kind()
    assert make_guard({}).protect(app, strict=False) is app
    assert type(app) is kind


@pytest.mark.parametrize(
    "thing",
    [APIRouter(), Router(), StaticFiles(directory="."), answer, FastAPI, None, make_guard({})],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_app_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_guard({}).protect(thing)
    assert str(raised.value) == (
        f"protect() takes a FastAPI or Starlette app, not {type(thing).__name__!r}; protect the "
        "app inside, or mount this one in an app and protect that"
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strict": True, "docs": None, "hide_unknown": False},
        {"strict": False},
        {"docs": PUBLIC},
        {"docs": ["a", "b"]},
        {"docs": any_of("a", "b")},
        {"hide_unknown": True},
    ],
    ids=str,
)
@each_caller
def test_protected_twice_is_decided_once_with_the_same_bytes(
    options: dict[str, Any], make_headers: MakeHeaders
) -> None:
    headers = make_headers()
    once, twice = (decided(times, options, headers) for times in (1, 2))
    assert once == twice


def decided(times: int, options: dict[str, Any], headers: dict[str, str]) -> tuple[Any, ...]:
    """Return all that comes of a request to an app that is protected so many *times*."""
    verifier = CountingVerifier()
    bound: list[str | None] = []
    guard = make_guard(
        {"GET /a": "a"}, verifier=verifier, bind=lambda _, claims: bound.append(claims.sub)
    )
    app = make_app("/a")
    for _ in range(times):
        assert guard.protect(app, **options) is app
    with TestClient(app) as client:
        response = client.get("/a", headers=headers)
    wire = (response.status_code, dict(response.headers), response.content)
    return (*wire, verifier.verified, bound)


@pytest.mark.parametrize(
    "other",
    [{}, {"strict": False}, {"docs": PUBLIC}, {"hide_unknown": True}],
    ids=str,
)
def test_other_options_the_second_time_are_an_error_and_change_nothing(
    other: dict[str, Any],
) -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"), docs=AUTHENTICATED)
    with pytest.raises(ConfigurationError, match="protected with other options"):
        guard.protect(app, **other)
    client = TestClient(app)
    assert client.get("/nope").status_code == 404
    assert client.get("/a", headers=bearer("a")).status_code == 200


def test_second_guard_is_an_error_and_changes_nothing() -> None:
    app = make_guard({"GET /a": "a"}).protect(make_app("/a"))
    with pytest.raises(ConfigurationError, match="protected by another guard"):
        make_guard({"GET /a": PUBLIC}).protect(app)
    with TestClient(app) as client:
        assert client.get("/a").status_code == 401
        assert client.get("/a", headers=bearer("a")).status_code == 200


def test_one_guard_protects_two_apps_each_with_what_it_has() -> None:
    guard = make_guard({"GET /a": "a"})
    first, second = guard.protect(make_app("/a")), guard.protect(make_app("/b"), strict=False)
    assert TestClient(first).get("/a", headers=bearer("a")).status_code == 200
    assert TestClient(second).get("/a", headers=bearer("a")).status_code == 404
    assert TestClient(second).get("/b", headers=bearer("a")).status_code == 403


def test_app_that_served_before_is_shut_from_the_next_request_on() -> None:
    app = make_app("/a")
    client = TestClient(app)
    assert client.get("/a").status_code == 200
    make_guard({"GET /a": "a"}).protect(app)
    assert client.get("/a").status_code == 401


def test_handlers_for_http_errors_leave_the_refusal_alone() -> None:
    app = make_guard({"GET /a": "a"}).protect(make_app("/a"))
    for each in (HTTPException, 401, 403, Exception):
        app.exception_handler(each)(lambda *_: PlainTextResponse("theirs", 418))
    response = TestClient(app).get("/a")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="api"'


def test_own_handler_for_the_refusal_wins() -> None:
    app = make_guard({"GET /a": "a"}).protect(make_app("/a"))

    @app.exception_handler(AccessRefused)
    async def render(request: Request, refused: AccessRefused) -> PlainTextResponse:
        return PlainTextResponse(refused.problem.code, refused.problem.status)

    assert TestClient(app).get("/a").text == "missing_credentials"


def test_preflight_is_answered_outside_and_refusals_carry_what_is_added_there() -> None:
    app = make_guard({"GET /a": "a"}, realm="agents").protect(make_app("/a"))
    app.add_middleware(CORSMiddleware, allow_origins=["https://x.example"], allow_methods=["GET"])
    client = TestClient(app)
    origin = {"Origin": "https://x.example"}
    preflight = client.options("/a", headers=origin | {"Access-Control-Request-Method": "GET"})
    assert preflight.status_code == 200
    response = client.get("/a", headers=origin)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="agents"'
    assert response.headers["access-control-allow-origin"] == "https://x.example"


class Middleware:
    """Calls the app twice on one ASGI scope; the second time as someone else."""

    def __init__(self, app: ASGIApp, authorization: bytes | None) -> None:
        self.app, self.authorization = app, authorization

    async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        async def nowhere(message: Message) -> None: ...

        if asgi_scope["type"] == "http":
            await self.app(asgi_scope, receive, nowhere)
            fields = [field for field in asgi_scope["headers"] if field[0] != b"authorization"]
            if self.authorization is not None:
                fields.append((b"authorization", self.authorization))
            asgi_scope["headers"] = fields
        await self.app(asgi_scope, receive, send)


@pytest.mark.parametrize(
    ("make_token", "status"),
    [
        pytest.param(None, 401, id="anonymous"),
        pytest.param(lambda: "a.b.c", 401, id="invalid"),
        pytest.param(lambda: mint("b"), 403, id="other scope"),
        pytest.param(lambda: mint("a", sub="bob"), 200, id="scope"),
    ],
)
def test_connection_that_comes_twice_is_decided_anew(
    make_token: Callable[[], str] | None, status: int
) -> None:
    authorization = f"Bearer {make_token()}".encode() if make_token else None
    guard: ScopeGuard[Any] = make_guard({"GET /who": "a"})
    app = make_app()

    @app.get("/who")
    async def who(request: Request) -> str | None:
        claims = guard.claims_of(request)
        return claims.sub if claims else None

    guard.protect(app).add_middleware(Middleware, authorization=authorization)
    response = TestClient(app).get("/who", headers=bearer("a"))
    assert response.status_code == status
    if status == 200:
        assert response.json() == "bob"


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        pytest.param({"WEBSOCKET /ws": "w"}, "Authentication required", id="refused"),
        pytest.param({}, "Verification unavailable", id="gap"),
    ],
)
def test_socket_is_closed_with_1008_where_the_server_cannot_respond(
    rules: dict[str, Any], reason: str
) -> None:
    app = make_app()
    app.add_api_websocket_route("/ws", answer)
    make_guard(rules).protect(app)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asgi_scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
    asyncio.run(app(asgi_scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": reason}]
