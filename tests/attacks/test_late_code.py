"""Attacks by what changes between a decision and a route that runs at once, or before the next.

The connection is looked at last, because code that waits for nothing may run in between, too; and
what has come into the place of the framework's code, or of what that reads, is called and read.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi import routing as fastapi_routing
from fastapi.routing import APIRoute
from pydantic import model_validator
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route, Router, compile_path
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC, Claims, ScopeMap
from tests.apps import make_guard, make_verifier, mint
from tests.attacks.test_direct_runs import called, known_to_include_router, post, read
from tests.attacks.test_late_verdicts import Meddling
from tests.perimeter.calling import Opaque, call, running
from tests.perimeter.places import make_app

BOTH = ["GET", "DELETE"]


def app_with(where: str, path: str, endpoint: Any, **options: Any) -> FastAPI:
    app, router = make_app(), APIRouter()
    if where == "own":
        app.add_api_route(path, endpoint, **options)
    elif where == "plain":
        app.router.routes.append(Route(path, endpoint, **options))
    elif where == "included":
        router.add_api_route(path, endpoint, **options)
        app.include_router(router)
    else:
        router.routes.append(Route(path, endpoint, **options))
        app.include_router(router)
    return app


PLACES = ["own", "plain", "included", "plain included"]

# Code that runs between the decision and the route, and awaits nothing.

CONNECTION: contextvars.ContextVar[Scope] = contextvars.ContextVar("connection")
CHANGED: dict[str, Any] = {
    "method": "DELETE",
    "path": "/x/2",
    "headers": [(b"authorization", b"Bearer other")],
}


class Keeping:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        CONNECTION.set(scope)
        await self.app(scope, receive, send)


async def telling(request: Request) -> Response:
    token = request.headers.get("authorization") == "Bearer other"
    return PlainTextResponse(f"ran {request.method} {request.url.path} {token}")


def by_model(change: Callable[[], None]) -> dict[str, Any]:
    class Own(Claims):
        @model_validator(mode="after")
        def checked(self) -> Any:
            change()
            return self

    return {"claims_model": Own, "cache_ttl": 0}


def by_clock(change: Callable[[], None]) -> dict[str, Any]:
    def now() -> float:
        change()
        return time.time()

    return {"now": now}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("field", CHANGED)
@pytest.mark.parametrize("how", [by_model, by_clock])
def test_what_code_of_the_verifier_changes_at_once_takes_no_verdict_along(
    how: Any, field: str, where: str
) -> None:
    is_on: list[bool] = []

    def change() -> None:
        if is_on:
            CONNECTION.get()[field] = CHANGED[field]

    app = app_with(where, "/x/{i}", telling, methods=BOTH)
    app.add_middleware(Keeping)
    rules = {"GET /x/{i}": "a:read", "DELETE /x/{i}": "a:admin"}
    make_guard(rules, verifier=make_verifier(**how(change))).protect(app)
    assert call(app, "GET", "/x/1", ["a:read"]).ran == "GET /x/1 False"
    is_on.append(True)
    assert call(app, "GET", "/x/1", ["a:read"]).ran in {None, "GET /x/1 False"}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("field", ["method", "path"])
@pytest.mark.parametrize("how", ["convertor", "matches of another route", "overrides"])
@pytest.mark.parametrize("rule", ["a:read", PUBLIC], ids=["scope", "public"])
def test_what_code_of_the_app_changes_at_once_takes_no_verdict_along(
    monkeypatch: pytest.MonkeyPatch, rule: Any, how: str, field: str, where: str
) -> None:
    is_on: list[bool] = []

    def change() -> None:
        if is_on:
            CONNECTION.get()[field] = CHANGED[field]

    class Changing(Convertor[str]):
        regex = "[^/]+"

        def convert(self, value: str) -> str:
            change()
            return value

        def to_string(self, value: str) -> str:
            return value

    class Other(Route):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            change()
            return Match.NONE, {}

    class Overrides(dict[Any, Any]):
        def get(self, *key: Any) -> Any:
            change()
            return super().get(*key)

    monkeypatch.setitem(CONVERTOR_TYPES, "changing", Changing())
    path = "/x/{i:changing}" if how == "convertor" else "/x/{i}"
    app = app_with(where, path, telling, methods=BOTH)
    if how == "matches of another route":
        app.router.routes.insert(0, Other("/x/{other}", running("other")))
    elif how == "overrides":
        app.dependency_overrides = Overrides()
    app.add_middleware(Keeping)
    rules = ScopeMap({f"GET {path}": rule, f"DELETE {path}": "a:admin"}, optional=True)
    make_guard(rules).protect(app, strict=False)
    assert call(app, "GET", "/x/1", ["a:read"]).ran == "GET /x/1 False"
    is_on.append(True)
    assert call(app, "GET", "/x/1", ["a:read"]).ran in {None, "GET /x/1 False"}


# A route that leads to another router.


class Odd(Router):
    """Matches in its own way, so the route that leads to it is one endpoint."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ran odd")(scope, receive, send)


@pytest.mark.parametrize("is_asked_before", [False, True])
@pytest.mark.parametrize(
    "later", [Router([Route("/x", running("secret"))]), Opaque("secret")], ids=["router", "opaque"]
)
def test_route_that_leads_elsewhere_while_a_token_is_verified_was_not_decided_on(
    later: Any, *, is_asked_before: bool
) -> None:
    verifier, route = Meddling(), Route("/x", Odd())
    app = make_app()
    app.router.routes.append(route)
    make_guard(ScopeMap({"* /x": "a", "GET /x": "a"}), verifier=verifier).protect(app, strict=False)
    if is_asked_before:
        assert call(app, "GET", "/x", ["a"]).ran == "odd"
    verifier.changes.append(lambda: setattr(route, "app", later))
    assert call(app, "GET", "/x", ["a"]).ran != "secret"


# An error where the app alone has none.


class Array(list[int]):
    """Is not compared as a whole, as an array of numpy is not."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Arrays(Convertor[Array]):
    regex = "[0-9,]+"

    def convert(self, value: str) -> Array:
        return Array(map(int, value.split(",")))

    def to_string(self, value: Array) -> str:
        return ",".join(map(str, value))


@pytest.mark.parametrize("where", PLACES)
def test_path_parameter_that_cannot_be_compared_is_no_error(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "arrays", Arrays())
    app = app_with(where, "/x/{i:arrays}", running("x"))
    make_guard({"GET /x/{i:arrays}": "a"}).protect(app)
    for _ in range(2):
        assert call(app, "GET", "/x/1,2", ["a"]).ran == "x"


# Code that is put in the place of the framework's after the way was recorded.


def no_match(*_: Any) -> tuple[Match, Scope]:
    return Match.NONE, {}


async def closed(*args: Any) -> None:
    await PlainTextResponse("closed", 503)(*args[-3:])


REPLACED: list[tuple[str, Any, str, Any]] = [
    ("own", Route, "matches", no_match),
    ("included", fastapi_routing._EffectiveRouteContext, "matches", no_match),
    ("included", APIRouter, "handle", closed),
    ("included", fastapi_routing._IncludedRouter, "handle", closed),
    ("included", fastapi_routing._IncludedRouter, "_handle_selected", closed),
    ("plain included", fastapi_routing._EffectiveRouteContext, "matches", no_match),
    ("plain included", APIRouter, "handle", closed),
    ("plain included", fastapi_routing._IncludedRouter, "handle", closed),
]


@pytest.mark.parametrize("is_asked_before", [False, True])
@pytest.mark.parametrize(("where", "kind", "name", "code"), REPLACED)
def test_code_in_the_place_of_the_frameworks_is_called_whenever_it_came(
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    kind: Any,
    name: str,
    code: Any,
    *,
    is_asked_before: bool,
) -> None:
    app = app_with(where, "/x", running("x"))
    make_guard({"GET /x": "a"}).protect(app)
    if is_asked_before:
        assert call(app, "GET", "/x", ["a"]).ran == "x"
    monkeypatch.setattr(kind, name, code)
    assert call(app, "GET", "/x", ["a"]).status in {404, 503}


class ByStaticMethod(APIRoute):
    @staticmethod
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        await PlainTextResponse("ran x")(scope, receive, send)


class ByCallable(APIRoute):
    handle = Opaque("x")  # type: ignore[assignment]


class ByProperty(APIRoute):
    @property
    def handle(self) -> Any:  # type: ignore[override]
        return Opaque("x")


@pytest.mark.parametrize("kind", [ByStaticMethod, ByCallable, ByProperty])
def test_handle_of_any_kind_is_called(kind: type[APIRoute]) -> None:
    router = APIRouter(route_class=kind)
    router.add_api_route("/x", running("other"))
    app = make_app()
    app.include_router(router)
    make_guard({"GET /x": "a"}).protect(app)
    for _ in range(3):
        assert call(app, "GET", "/x", ["a"]).ran == "x"
    assert call(app, "GET", "/x", ["b"]).status == 403


# What an application reads of its scope.


@pytest.mark.parametrize("where", ["own", "plain"])
def test_scope_names_the_endpoint_that_the_route_has_now(where: str) -> None:
    seen: list[object] = []

    async def endpoint(request: Request) -> Response:
        seen.append(request.scope["endpoint"])
        return PlainTextResponse("ran x")

    async def later(request: Request) -> Response:
        raise NotImplementedError

    app = app_with(where, "/x", endpoint)
    make_guard({"GET /x": PUBLIC}).protect(app)
    (route,) = [each for each in app.router.routes if isinstance(each, APIRoute | Route)]
    for each in (endpoint, later):
        route.endpoint = each
        assert call(app, "GET", "/x").ran == "x"
    assert seen == [endpoint, later]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_field_in_another_kind_of_bytes_is_read(kind: Any) -> None:
    app = make_app()
    app.add_api_route("/x", running("x"))
    make_guard({"GET /x": "a"}).protect(app)
    value = kind(b"Bearer " + mint("a").encode())
    sent = asyncio.run(called(app, "/x", headers=[(b"authorization", value)]))
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("is_asked_before", [False, True])
@pytest.mark.parametrize("path", ["/other/{i}", "/x/{i:int}"])
@pytest.mark.parametrize("where", ["own", "plain", "included"])
def test_route_that_moves_while_a_token_is_verified_runs_for_no_one(
    where: str, path: str, *, is_asked_before: bool
) -> None:
    """It has another path by then, with another rule: the framework answers 404."""
    verifier, app = Meddling(), app_with(where, "/x/{i}", running("x"))

    def move() -> None:
        at: Any = app.router.routes[0]
        route: Any = at.effective_candidates()[0] if where == "included" else at
        route.path = path
        route.path_regex, route.path_format, route.param_convertors = compile_path(path)

    rules = ScopeMap({"GET /x/{i}": "a", "GET /other/{i}": "b"}, optional=True)
    make_guard(rules, verifier=verifier).protect(app, strict=False)
    if is_asked_before:
        assert call(app, "GET", "/x/a", ["a"]).ran == "x"
    verifier.changes.append(move)
    assert call(app, "GET", "/x/a", ["a"]).ran is None


@pytest.mark.skipif(not known_to_include_router(max_body_size=8), reason="no limit of bodies")
@pytest.mark.parametrize("is_asked_before", [False, True])
def test_limit_of_bodies_that_comes_later_is_kept(*, is_asked_before: bool) -> None:
    router = APIRouter(routes=[Route("/x", read, methods=["POST"])])
    app = make_app()
    app.include_router(router)
    make_guard({"POST /x": PUBLIC}).protect(app)
    if is_asked_before:
        assert post(app, 9) == 200
    included: Any = app.router.routes[0]
    included.include_context.max_body_size = 8
    assert post(app, 9) == 413


@pytest.mark.skipif(not known_to_include_router(form_limits={}), reason="no limits of forms")
@pytest.mark.parametrize("is_asked_before", [False, True])
@pytest.mark.parametrize("of", ["inclusion", "app"])
def test_limit_of_forms_that_comes_later_is_kept(of: str, *, is_asked_before: bool) -> None:
    seen: list[Any] = []

    async def keep(request: Request) -> Response:
        seen.append(dict(request.scope["fastapi"].get("form_limits", {})))
        return PlainTextResponse("ran x")

    router = APIRouter()
    router.add_api_route("/x", keep, methods=["POST"])
    app = make_app()
    app.include_router(router)
    make_guard({"POST /x": PUBLIC}).protect(app)
    if is_asked_before:
        assert post(app, 1) == 200
    included: Any = app.router.routes[0]
    limits: Any = included.include_context if of == "inclusion" else app.router
    limits.form_limits["max_fields"] = 2
    assert post(app, 1) == 200
    assert seen[-1] == {"max_fields": 2}
