"""Attacks by code that stands where only the framework's is expected, or answers in its place."""

import copy
from abc import ABC
from functools import wraps
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import DENY, PUBLIC, Claims, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.calling import Opaque, running


async def own_page(request: Request, error: Exception) -> Response:
    return PlainTextResponse("own page")


@wraps(http_exception_handler)
async def wrapping_page(request: Request, error: Exception) -> Response:
    """Has the name and the module of the framework's."""
    return PlainTextResponse("own page")


PAGES = pytest.mark.parametrize("page", [own_page, wrapping_page], ids=["own", "wrapping"])


def make_app(*routes: Any, **options: Any) -> FastAPI:
    app = FastAPI(openapi_url=None, **options)
    app.router.routes += routes
    return app


class OnlyPartly(APIRoute):
    """Matches where nothing better does."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return Match.PARTIAL if match is Match.FULL else match, child_scope


class OnlyPartlyMount(Mount):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return Match.PARTIAL if match is Match.FULL else match, child_scope


@pytest.mark.parametrize("is_included", [False, True], ids=["on the app", "included"])
def test_route_that_matches_only_partly_is_ruled_where_it_runs(is_included: bool) -> None:
    router, app = APIRouter(route_class=OnlyPartly), make_app()
    router.add_api_route("/admin", lambda: "ran")
    if is_included:
        app.include_router(router)
    else:
        app.router.routes += router.routes
    client = TestClient(make_guard({"GET /admin": "admin"}).protect(app))
    assert client.get("/admin").status_code == 401
    assert client.get("/admin", headers=bearer("other")).status_code == 403
    assert client.get("/admin", headers=bearer("admin")).json() == "ran"


def test_mount_that_matches_only_partly_is_ruled_where_it_runs() -> None:
    app = make_app(OnlyPartlyMount("/m", Opaque("ran")))
    client = TestClient(make_guard({"* /m/**": DENY}).protect(app))
    assert client.get("/m/x").status_code == 401


class PassingBy:
    """Keeps what it wraps twice, and calls the one that no one else sees."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._kept(scope, receive, send)


def test_middleware_of_the_apps_router_that_may_pass_a_gate_by_is_refused() -> None:
    app = make_app()
    routes = [Route("/secret", running("secret"))]
    app.router = Router(routes, middleware=[Middleware(PassingBy)])  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="middleware"):
        make_guard({"GET /secret": DENY}).protect(app)


@PAGES
@pytest.mark.parametrize("key", [404, HTTPException], ids=["404", "HTTPException"])
def test_handler_of_a_mounted_app_answers_no_unknown_path(key: Any, page: Any) -> None:
    inner = FastAPI(openapi_url=None, exception_handlers={key: page})
    client = TestClient(make_guard({}).protect(make_app(Mount("/m", inner))))
    assert client.get("/m/unknown").status_code == 401
    assert client.get("/m/unknown", headers=bearer()).status_code == 403


@PAGES
def test_handler_of_the_app_itself_is_named_and_hidden_where_wanted(page: Any) -> None:
    app, hidden = (make_app(exception_handlers={404: page}) for _ in range(2))
    guard = make_guard({})
    (notice,) = guard.check(guard.protect(app)).notices
    assert "hide_unknown=True" in notice
    client = TestClient(guard.protect(hidden, hide_unknown=True))
    assert client.get("/unknown").status_code == 401
    assert client.get("/unknown", headers=bearer()).text == "own page"
    assert guard.check(hidden).notices == ()


def test_mount_that_leads_elsewhere_by_the_time_the_token_is_verified_is_refused() -> None:
    inner = Starlette(routes=[Route("/secret", running("secret"))])
    mount = Mount("/m", Opaque("low"))

    class Meddling:
        async def verify(self, token: str) -> Claims:
            mount.app = inner
            return Claims(exp=2**31, scopes=frozenset({"low"}))

    rules = ScopeMap({"GET /m/secret": DENY}, optional=True) | {"* /m/**": "low"}
    guard = make_guard(rules, verifier=Meddling())
    response = TestClient(guard.protect(make_app(mount))).get("/m/secret", headers=bearer())
    assert response.status_code in {403, 404}


def test_app_that_is_wrapped_by_hand_is_looked_into() -> None:
    inner = make_app(Route("/me", running("me")))
    wrapped = CORSMiddleware(inner, allow_origins=["https://example.org"])
    guard = make_guard({"GET /api/me": "me"})
    client = TestClient(guard.protect(make_app(Mount("/api", wrapped))))
    assert client.get("/api/me", headers=bearer("other")).status_code == 403
    assert client.get("/api/me", headers=bearer("me")).status_code == 200


def test_wrapper_that_leads_to_itself_is_one_endpoint() -> None:
    app, circle = FastAPI(openapi_url=None), GZipMiddleware(running("secret"))
    circle.app = circle
    app.mount("/m", circle)
    make_guard({"GET /m/**": "secret"}).protect(app)
    assert TestClient(app).get("/m/x").status_code == 401


def test_call_from_within_the_process_to_a_mounted_app_is_decided_on_what_it_carries() -> None:
    inner = make_app(Route("/price", running("price")))

    async def total(request: Request) -> Response:
        transport = httpx.ASGITransport(inner)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            names = [name for name in ("authorization",) if name in request.headers]
            handed_on = {name: request.headers[name] for name in names}
            answer = await client.get("/price", headers=handed_on)
            return PlainTextResponse(answer.text, answer.status_code)

    app = make_app(Route("/total", total), Mount("/prices", inner))
    guard = make_guard({"GET /total": PUBLIC, "GET /prices/price": "price"})
    client = TestClient(guard.protect(app))
    assert client.get("/total").status_code == 401
    assert client.get("/total", headers=bearer("other")).status_code == 403
    assert client.get("/total", headers=bearer("price")).text == "ran price"
    assert client.get("/prices/price").status_code == 401
    assert TestClient(inner).get("/price").status_code == 401


def test_copy_of_a_mounted_router_has_the_rules_of_the_original_and_no_gate() -> None:
    inner = Router([Route("/a", running("a"))])
    guard = make_guard({"GET /m/a": "a"})
    # Rules are there as long as the app that has them.
    protected = guard.protect(make_app(Mount("/m", inner)))
    guard.check(protected)
    copied = copy.deepcopy(inner)
    assert TestClient(copied).get("/a").status_code == 401
    assert TestClient(copied).get("/a", headers=bearer("a")).text == "ran a"
    other = TestClient(make_guard({"GET /n/a": "b"}).protect(make_app(Mount("/n", copied))))
    assert other.get("/n/a").status_code == 401
    # Its own perimeter decides there.
    assert other.get("/n/a", headers=bearer("b")).text == "ran a"


def test_copy_of_the_own_router_is_another_one() -> None:
    app = Starlette(routes=[Route("/a", running("a"))])
    guard = make_guard({"GET /a": "a"})
    guard.check(guard.protect(app))
    copied = copy.deepcopy(app.router)
    # Its routes are copies of those that are ruled.
    assert TestClient(copied).get("/a").status_code == 401
    assert TestClient(copied).get("/a", headers=bearer("a")).text == "ran a"
    assert TestClient(app).get("/a", headers=bearer("a")).text == "ran a"


class AuditedRoute(Route):
    def __init__(self, *arguments: Any, audit: str) -> None:
        super().__init__(*arguments)
        self.audit = audit


def test_handler_of_the_app_finds_the_route_that_has_not_the_method() -> None:
    def not_allowed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse(request.scope["route"].audit, 405, headers=error.headers)

    router = Router([AuditedRoute("/y", running("y"), audit="mounted")])
    routes = [AuditedRoute("/x", running("x"), audit="own"), Mount("/m", router)]
    app = Starlette(routes=routes, exception_handlers={405: not_allowed})
    client = TestClient(make_guard({"GET /x": PUBLIC, "GET /m/y": PUBLIC}).protect(app))
    for path, audit in (("/x", "own"), ("/m/y", "mounted")):
        answer = client.post(path)
        assert (answer.status_code, answer.text) == (405, audit)
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


class WithOtherBases(ABC, APIRouter): ...


def test_included_router_with_other_bases_is_looked_into() -> None:
    router, app = WithOtherBases(), make_app()
    router.add_api_route("/graphql", lambda: "ran", methods=["POST"])
    app.include_router(router, prefix="/v1")
    guard = make_guard({"POST /v1/graphql": "graphql"})
    client = TestClient(guard.protect(app))
    assert guard.check(app).problems == ()
    assert client.post("/v1/graphql").status_code == 401
    assert client.post("/v1/graphql", headers=bearer("graphql")).json() == "ran"
