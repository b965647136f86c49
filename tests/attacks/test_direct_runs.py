"""Attacks on routes that run without the router's matching, once the way to them is recorded.

They get the very scope that the router would have left them, and nothing of another request.
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from fastapi_scopes import PUBLIC, Claims
from tests.apps import make_guard, make_verifier, mint
from tests.perimeter.calling import ask, call, running
from tests.perimeter.places import make_app

# The router has more to do where telemetry is in a scope, so it is asked then.
TELEMETRY = "fastapi.telemetry"
OWN = "fastapi_scopes"
Make = Callable[[Any], FastAPI]


class Seen:
    """An endpoint that keeps the scope with which it was called."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, request: Request) -> Response:
        by_fastapi = request.scope.get("fastapi")
        seen = dict(request.scope)
        if by_fastapi is not None:
            seen["fastapi"] = dict(by_fastapi)
        self.scopes.append(seen)
        return PlainTextResponse("ran seen")


def own(seen: Seen) -> FastAPI:
    app = make_app()
    app.add_api_route("/x/{i}", seen)
    return app


def plain(seen: Seen) -> FastAPI:
    app = make_app()
    app.router.routes.append(Route("/x/{i}", seen.__call__))
    return app


def included(seen: Seen) -> FastAPI:
    app, router = make_app(), APIRouter()
    router.add_api_route("/{i}", seen)
    app.include_router(router, prefix="/x")
    return app


def nested(seen: Seen) -> FastAPI:
    app, outer, router = make_app(), APIRouter(), APIRouter()
    router.add_api_route("/{i:int}", seen)
    outer.include_router(router, prefix="/x")
    app.include_router(outer)
    return app


def plain_included(seen: Seen) -> FastAPI:
    app, router = make_app(), APIRouter()
    router.routes.append(Route("/{i}", seen.__call__))
    app.include_router(router, prefix="/x")
    return app


MAKERS: dict[str, Make] = {
    each.__name__: each for each in (own, plain, included, nested, plain_included)
}


async def called(app: FastAPI, path: str, *, body: bytes = b"", **more: Any) -> list[Message]:
    """Return what *app* sends to a caller with the scope ``a:read``."""
    asgi_scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + mint("a:read").encode())],
        **more,
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(asgi_scope, receive, send)
    return sent


async def read(request: Request) -> Response:
    return PlainTextResponse(f"ran {len(await request.body())}")


def post(app: FastAPI, size: int) -> int:
    """Return the status of the answer to so many bytes at ``/x``."""
    fields = [(b"content-length", str(size).encode())]
    sent = called(app, "/x", body=b"x" * size, method="POST", headers=fields)
    status: int = asyncio.run(sent)[0]["status"]
    return status


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_direct_run_gets_the_scope_that_the_router_leaves(make: Make) -> None:
    seen = Seen()
    app = make_guard({"GET /x/{i}": "a:read"}).protect(make(seen))

    async def ask_twice() -> None:
        for path in ("/x/1", "/x/2", "/x/2"):
            await called(app, path)
        await called(app, "/x/2", **{TELEMETRY: None})

    asyncio.run(ask_twice())
    *_, direct, routed = seen.scopes
    del routed[TELEMETRY]
    assert direct.keys() == routed.keys()
    differing = {"headers", OWN, "starlette.exception_handlers", "path_params", "fastapi"}
    for name in direct.keys() - differing:
        is_of_the_call = name.endswith("astack") or name.endswith("_stack")
        assert direct[name] is routed[name] or is_of_the_call or direct[name] == routed[name], name
    assert direct["path_params"] == routed["path_params"]
    assert [type(each) for each in direct["path_params"].values()] == [
        type(each) for each in routed["path_params"].values()
    ]
    by_fastapi, by_router = direct.get("fastapi", {}), routed.get("fastapi", {})
    assert by_fastapi.keys() == by_router.keys()
    context = by_fastapi.get("effective_route_context")
    assert context is by_router.get("effective_route_context")


class Counting(Convertor[str]):
    """Counts how often a path parameter is converted."""

    regex = "[^/]+"
    calls = 0

    def convert(self, value: str) -> str:
        type(self).calls += 1
        return value

    def to_string(self, value: str) -> str:
        return value


@pytest.mark.parametrize("is_included", [False, True], ids=["own", "included"])
def test_router_is_not_asked_once_the_way_is_known(
    monkeypatch: pytest.MonkeyPatch, *, is_included: bool
) -> None:
    """Otherwise the other tests here compare the router with itself."""
    monkeypatch.setitem(CONVERTOR_TYPES, "counting", Counting())
    app, router = make_app(), APIRouter()
    router.add_api_route("/x/{i:counting}", running("x"))
    if is_included:
        app.include_router(router)
    else:
        app.router.routes.extend(router.routes)
    make_guard({"GET /x/{i:counting}": PUBLIC}).protect(app)

    def conversions(**more: Any) -> int:
        Counting.calls = 0
        assert asyncio.run(called(app, "/x/1", **more))[0]["status"] == 200
        return Counting.calls

    conversions()
    assert [conversions(), conversions()] == [1, 1]
    assert conversions(**{TELEMETRY: None}) > 1


def test_request_gets_nothing_that_another_changed() -> None:
    seen: list[tuple[dict[str, Any], dict[str, Any]]] = []

    async def endpoint(request: Request) -> str:
        path_params, by_fastapi = request.scope["path_params"], request.scope["fastapi"]
        nested = [value for value in by_fastapi.values() if isinstance(value, dict)]
        seen.append((dict(path_params), {**by_fastapi, "nested": [*map(dict, nested)]}))
        for each in (path_params, by_fastapi, *nested):
            each.clear()
        return "ran x"

    router = APIRouter()
    router.add_api_route("/{i}", endpoint)
    app = make_app()
    limits = known_to_include_router(form_limits={"max_fields": 7})
    app.include_router(router, prefix="/x", **limits)
    make_guard({"GET /x/{i}": PUBLIC}).protect(app)
    for _ in range(3):
        assert call(app, "GET", "/x/1").status == 200
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == {"i": "1"}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_a_router_outside_wrote_is_kept(make: Make) -> None:
    """As limits of forms, which an app that is mounted inherits."""
    seen = Seen()
    app = make_guard({"GET /x/{i}": "a:read"}).protect(make(seen))
    for _ in range(2):
        asyncio.run(called(app, "/x/1", fastapi={"outer": 1}))
        asyncio.run(called(app, "/x/1"))
    outer = [each.get("fastapi", {}).get("outer") for each in seen.scopes]
    assert outer == [1, None, 1, None]


def known_to_include_router(**options: Any) -> dict[str, Any]:
    """Return those of *options* that `include_router` takes in this version of FastAPI."""
    known = inspect.signature(APIRouter.include_router).parameters
    return {name: value for name, value in options.items() if name in known}


@pytest.mark.parametrize("field", ["method", "path", "headers", "path_params"])
def test_what_changes_while_a_token_is_verified_takes_no_verdict_along(field: str) -> None:
    changed = {
        "method": "DELETE",
        "path": "/x/2",
        "headers": [(b"authorization", b"Bearer other")],
        "path_params": {"i": "2"},
    }
    connections: list[Scope] = []

    class Meddling:
        async def verify(self, token: str) -> Claims:
            claims: Claims = await make_verifier().verify(token)
            connections[-1][field] = changed[field]
            return claims

    class Keeping:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            connections.append(scope)
            await self.app(scope, receive, send)

    app = make_app()
    app.add_middleware(Keeping)
    app.add_api_route("/x/{i}", running("x"), methods=["GET", "DELETE"])
    guard = make_guard({"GET /x/{i}": "a:read", "DELETE /x/{i}": "a:admin"}, verifier=Meddling())
    guard.protect(app)
    for _ in range(2):
        assert call(app, "GET", "/x/1", ["a:read"]).ran is None


@pytest.mark.parametrize("field", ["method", "path"])
def test_what_bind_changes_takes_no_verdict_along(field: str) -> None:
    def bind(asgi_scope: Any, claims: Claims) -> None:
        asgi_scope[field] = {"method": "DELETE", "path": "/x/2"}[field]

    app = make_app()
    app.add_api_route("/x/{i}", running("x"), methods=["GET", "DELETE"])
    make_guard({"GET /x/{i}": "a:read", "DELETE /x/{i}": "a:admin"}, bind=bind).protect(app)
    for _ in range(2):
        assert call(app, "GET", "/x/1", ["a:read"]).ran is None


def test_limit_of_a_body_around_a_plain_route_is_kept() -> None:
    router = APIRouter(routes=[Route("/x", read, methods=["POST"])])
    app = make_app()
    limit = known_to_include_router(max_body_size=8)
    app.include_router(router, **limit)
    make_guard({"POST /x": PUBLIC}).protect(app)

    assert [post(app, size) for size in (4, 9, 4, 9)] == (
        [200, 413, 200, 413] if limit else [200] * 4
    )


def test_recording_runs_nothing() -> None:
    ran: list[str] = []

    class Counted(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def counting(request: Request) -> Response:
                ran.append(request.url.path)
                return await handler(request)

            return counting

    async def endpoint() -> str:
        return "ran x"

    router = APIRouter(route_class=Counted)
    router.add_api_route("/x", endpoint)
    app = make_app()
    app.include_router(router)
    make_guard({"GET /x": PUBLIC}).protect(app)
    for count in (1, 2, 3):
        assert call(app, "GET", "/x").status == 200
        assert ran == ["/x"] * count


def test_scope_with_a_recorder_runs_nothing() -> None:
    """A call from within may bring any scope: what is recorded does not run."""
    app = make_app()
    app.add_api_route("/x", running("x"))
    make_guard({"GET /x": "a:admin"}).protect(app)

    async def attempt() -> list[Message]:
        return await called(app, "/x", **{"fastapi_scopes.recorder": []})

    messages = asyncio.run(attempt())
    assert messages[0]["status"] == 403
    assert not any(b"ran" in message.get("body", b"") for message in messages)


@pytest.mark.parametrize("place", ["route", "class", "framework", "router"])
def test_code_that_is_put_in_between_later_is_called(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    asked: list[str] = []

    class Tenants(APIRoute):
        pass

    def around(function: Any) -> Any:
        async def watched(*arguments: Any) -> None:
            *_, asgi_scope, _, _ = arguments
            asked.append(asgi_scope["path"])
            await function(*arguments)

        return watched

    router = APIRouter(route_class=Tenants)
    router.add_api_route("/{i}", running("x"))
    app = make_app()
    app.include_router(router, prefix="/x")
    make_guard({"GET /x/{i}": "a:read"}).protect(app)
    assert call(app, "GET", "/x/1", ["a:read"]).status == 200
    (route,) = router.routes
    if place == "route":
        route.handle = around(route.handle)  # type: ignore[method-assign]
    elif place == "class":
        Tenants.handle = around(Tenants.handle)  # type: ignore[method-assign]
    elif place == "framework":
        monkeypatch.setattr(APIRoute, "handle", around(APIRoute.handle))
    else:
        monkeypatch.setattr(APIRouter, "app", around(APIRouter.app))
    assert call(app, "GET", "/x/2", ["a:read"]).ran == "x"
    assert set(asked) == {"/x/2"}
    assert call(app, "GET", "/x/3", ["other"]).status == 403


def test_matches_that_is_replaced_before_the_way_is_known_is_asked_each_time() -> None:
    asked: list[str] = []

    class Tenants(APIRoute):
        pass

    def matches(self: Any, scope: Scope) -> Any:
        asked.append(scope["path"])
        return APIRoute.matches(self, scope)

    router = APIRouter(route_class=Tenants)
    router.add_api_route("/{i}", running("x"))
    app = make_app()
    app.include_router(router, prefix="/x")
    make_guard({"GET /x/{i}": PUBLIC}).protect(app)
    assert call(app, "GET", "/other").status == 404
    Tenants.matches = matches  # type: ignore[method-assign]
    for path in ("/x/1", "/x/2", "/x/3"):
        assert call(app, "GET", path).ran == "x"
        assert path in asked


@pytest.mark.parametrize("name", ["app", "handle"])
def test_routers_that_are_instrumented_are_asked_each_time(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[str] = []
    instrumented = getattr(APIRouter, name)

    @wraps(instrumented)
    async def watched(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await instrumented(self, scope, receive, send)

    monkeypatch.setattr(APIRouter, name, watched)
    router = APIRouter()
    router.add_api_route("/{i}", running("x"))
    app = make_app()
    app.include_router(router, prefix="/x")
    make_guard({"GET /x/{i}": PUBLIC}).protect(app)
    for path in ("/x/1", "/x/2", "/x/3"):
        assert call(app, "GET", path).ran == "x"
        assert path in asked


def test_route_that_would_run_while_it_is_recorded_is_not() -> None:
    """A class that asks for no verdict would run the route on the scope of the recording."""
    ran: list[str] = []

    async def endpoint(request: Request) -> Response:
        ran.append("/x")
        return PlainTextResponse("ran x")

    app, route = make_app(), Route("/x", endpoint)
    app.router.routes.append(route)
    make_guard({"GET /x": PUBLIC}).protect(app)
    assert call(app, "GET", "/other").status == 404
    route.__class__ = Route
    for count in (1, 2):
        assert call(app, "GET", "/x").status == 200
        assert ran == ["/x"] * count


def test_instrumented_route_is_asked() -> None:
    """Code around the framework's own is called for each request, on the first and later ones."""
    asked: list[str] = []

    class Watched(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(scope["path"])
            await super().handle(scope, receive, send)

    router = APIRouter(route_class=Watched)
    router.add_api_route("/{i}", running("x"))
    app = make_app()
    app.include_router(router, prefix="/x")
    make_guard({"GET /x/{i}": PUBLIC}).protect(app)

    async def ask_thrice() -> None:
        for path in ("/x/1", "/x/2", "/x/3"):
            assert (await ask(app, "GET", path)).status == 200

    asyncio.run(ask_thrice())
    assert asked == ["/x/1", "/x/2", "/x/3"]
