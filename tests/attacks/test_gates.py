"""Attacks on the gates: what takes one away, gets around it, or makes it decide by other routes."""

import copy
import gc
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, PUBLIC, Claims, ScopeMap
from fastapi_scopes.core.coverage import Reach
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard, make_verifier
from tests.perimeter.calling import SPEAKS, Guarded, call, ruled_by, running
from tests.perimeter.places import make_app

RULES = {"GET /{name}": "secret", "GET /x": PUBLIC}


def leaf(name: str = "secret") -> Route:
    return Route("/{name}", running(name))


def with_router(*routes: BaseRoute, **options: Any) -> Starlette:
    app = Starlette()
    app.router = Router(routes, **options)
    return app


# One router in many apps, as an app factory of tests makes them.


def mounting(shared: Any) -> Starlette:
    return Starlette(routes=[Mount("/m", shared)])


def including(shared: Any) -> Starlette:
    app = make_app()
    app.include_router(shared, prefix="/m")
    return app


SHARED: dict[str, tuple[Callable[[], Any], Callable[[Any], Starlette]]] = {
    "mounted app": (lambda: Starlette(routes=[leaf()]), mounting),
    "mounted router": (lambda: Router([leaf()]), mounting),
    "mounted behind middleware": (
        lambda: Router([leaf()], middleware=[Middleware(GZipMiddleware)]),
        mounting,
    ),
    "included router": (lambda: APIRouter(routes=[leaf()]), including),
}


class Wrapping:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize(("make", "put"), SHARED.values(), ids=SHARED)
def test_one_router_in_many_apps_is_guarded_in_each_and_keeps_none(
    make: Callable[[], Any], put: Callable[[Any], Starlette]
) -> None:
    shared = make()

    def again() -> Guarded:
        guarded = Guarded(put(shared), {"GET /m/{name}": "secret"})
        assert guarded.outcome("GET", "/m/x") == ruled_by("secret")
        return guarded

    kept = [again() for _ in range(3)]
    gone = [weakref.ref(again().app) for _ in range(40)]
    gc.collect()
    assert sum(app() is not None for app in gone) <= 1
    for guarded in kept:
        assert guarded.outcome("GET", "/m/x") == ruled_by("secret")


# The app's own router is another one, or has lost its gate.


def test_gate_of_a_router_decides_by_the_routes_of_that_router() -> None:
    """A stack that is built for nothing leads the router that serves to no other routes."""
    app = with_router(leaf())
    guarded = Guarded(app, RULES)
    assert call(guarded.app, "GET", "/x").status == 401
    app.router = Router([Route("/x", running("public")), leaf()])
    app.build_middleware_stack()
    assert call(guarded.app, "GET", "/x").ran is None


def test_router_that_was_mounted_in_the_app_decides_as_its_own() -> None:
    inner = Router([leaf()])
    app = with_router(Mount("/m", inner))
    guarded = Guarded(app, RULES | {"GET /m/{name}": "other"})
    assert call(guarded.app, "GET", "/m/x").status == 401
    app.router = inner
    app.middleware_stack = None
    assert call(guarded.app, "GET", "/y").status == 401
    assert call(guarded.app, "GET", "/y", {"secret"}).ran == "secret"


def test_copy_of_the_router_that_runs_the_routes_of_the_original_is_refused() -> None:
    app = with_router(leaf())
    guarded = Guarded(app, RULES)
    router = copy.copy(app.router)
    router.routes = [Route("/x", running("public")), leaf()]
    app.router = router
    with pytest.raises(ConfigurationError, match="router of the app"):
        call(guarded.app, "GET", "/x")


def test_copy_of_a_mounted_router_runs_no_route_of_the_original() -> None:
    original = Router([leaf()])
    app = with_router(Mount("/a", original), Mount("/b", copy.copy(original)))
    guarded = Guarded(app, {"GET /a/{name}": "secret", "GET /b/{name}": PUBLIC})
    assert guarded.outcome("GET", "/a/x") == ruled_by("secret")
    assert call(guarded.app, "GET", "/b/x").ran is None


def test_router_that_the_app_has_again_is_looked_at_again() -> None:
    app = with_router(leaf())
    first, guard = app.router, make_guard(ScopeMap({"GET /{name}": "secret"}, optional=True))
    guard.protect(app)
    app.router = Router([Route("/b", running("b"))])
    app.middleware_stack = None
    found = [(str(each.endpoint), each.gap) for each in guard.check(app).gaps]
    assert found == [(f"{method} /b", FindingCode.NO_RULE) for method in ("GET", "HEAD")]
    app.router = first
    app.middleware_stack = None
    assert guard.check(app).gaps == ()
    _start(app)
    first.routes.append(Route("/late", running("late")))
    assert {str(each.endpoint.template) for each in guard.check(app).gaps} == {"/late"}
    with pytest.raises(ConfigurationError, match="/late"):
        _start(app)


def test_gap_of_a_router_shuts_no_other() -> None:
    app = with_router(Route("/gap", running("gap")), leaf())
    first, guard = app.router, make_guard(ScopeMap({"GET /{name}": PUBLIC}, optional=True))
    guard.protect(app)
    assert call(app, "GET", "/x").status == 503
    app.router, app.middleware_stack = Router([leaf()]), None
    assert call(app, "GET", "/x").ran == "secret"
    app.router, app.middleware_stack = first, None
    assert call(app, "GET", "/x").status == 503


@pytest.mark.parametrize("again", [0, 3])
def test_start_is_checked_once_however_often_a_gate_is_put_back(
    again: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = with_router(Route("/gap", running("gap")))
    guard = make_guard({})
    guard.protect(app, strict=False)
    for _ in range(again):
        app.router.middleware_stack = app.router.app
        guard.check(app)
    _start(app)
    assert sum("'GET /gap'" in record.message for record in caplog.records) == 1


def test_perimeter_is_known_where_the_building_of_the_stack_is_wrapped() -> None:
    app = with_router(leaf())
    guard = make_guard({"GET /{name}": "secret"})
    guard.protect(app)
    app.build_middleware_stack = partial(app.build_middleware_stack)  # type: ignore[method-assign]
    assert guard.check(app).endpoints[0].endpoint.reach is Reach.PERIMETER
    with pytest.raises(ConfigurationError, match="another guard"):
        make_guard({}).protect(app)


@pytest.mark.parametrize("is_built", [False, True], ids=["before the stack", "after the stack"])
@pytest.mark.parametrize("again", ["lifespan", "check", "protect"])
def test_gate_that_was_taken_away_is_put_back(again: str, is_built: bool) -> None:
    app = with_router(leaf())
    guard = make_guard({"GET /{name}": "secret"})
    guard.protect(app)
    if is_built:
        assert call(app, "GET", "/x").status == 401
    app.router.middleware_stack = GZipMiddleware(app.router.app)
    if again == "check":
        assert guard.check(app).gaps == ()
    elif again == "protect":
        guard.protect(app)
    else:
        _start(app)
    assert call(app, "GET", "/x").status == 401
    assert call(app, "GET", "/x", {"secret"}).ran == "secret"


def test_gate_that_cannot_be_put_back_keeps_the_app_from_starting() -> None:
    app = with_router(leaf())
    guarded = Guarded(app, RULES)
    app.middleware_stack = app.build_middleware_stack()
    app.router.middleware_stack = Wrapping(app.router.app)
    with pytest.raises(ConfigurationError, match="router of the app"):
        _start(guarded.app)


def _start(app: Starlette) -> None:
    with TestClient(app):
        pass


# Middleware of a router may keep what it wraps, and pass the gate by.


class Short(BaseHTTPMiddleware):
    """Has its `__call__` from the framework, and a way of its own."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.wrapped = app

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        scope = {**request.scope, "path": request.scope["path"].replace("open", "secret")}
        await self.wrapped(scope, request.receive, send)
        return PlainTextResponse(said[1]["body"], said[0]["status"])


class Zipping(GZipMiddleware):
    """Is the framework's middleware and more."""


def secret_and_open() -> list[BaseRoute]:
    return [Route("/secret", running("secret")), Route("/open", running("public"))]


@pytest.mark.parametrize("middleware", [Short, Zipping])
def test_middleware_of_the_apps_router_that_is_made_of_the_frameworks_is_refused(
    middleware: Any,
) -> None:
    app = with_router(*secret_and_open(), middleware=[Middleware(middleware)])
    with pytest.raises(ConfigurationError, match="middleware"):
        Guarded(app, {"GET /secret": "secret", "GET /open": PUBLIC})


def test_middleware_of_the_apps_router_that_is_the_frameworks_is_taken() -> None:
    app = with_router(*secret_and_open(), middleware=[Middleware(GZipMiddleware)])
    guarded = Guarded(app, {"GET /secret": "secret", "GET /open": PUBLIC})
    assert guarded.outcome("GET", "/secret") == ruled_by("secret")


class Keeping(Wrapping):
    """Leads to another route, by the way that it keeps for itself."""

    kept: Any

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.keep(app)

    def keep(self, app: ASGIApp) -> None:
        self.kept = app

    def inner(self) -> ASGIApp:
        app: ASGIApp = self.kept
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].replace("open", "secret")
        await self.inner()({**scope, "path": path}, receive, send)


class InTuple(Keeping):
    def keep(self, app: ASGIApp) -> None:
        self.kept = (app,)

    def inner(self) -> ASGIApp:
        app: ASGIApp = self.kept[0]
        return app


class InPartial(Keeping):
    def keep(self, app: ASGIApp) -> None:
        self.kept = partial(app)


class InClosure(Keeping):
    def keep(self, app: ASGIApp) -> None:
        async def kept(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

        self.kept = kept


class InSlot(Keeping):
    __slots__ = ("kept",)


class Equal(Keeping):
    """Says that it is whatever it is compared with."""

    def __init__(self, app: ASGIApp) -> None:
        self.keep(app)

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@pytest.mark.parametrize("kind", [Short, Keeping, InTuple, InPartial, InClosure, InSlot, Equal])
def test_router_with_middleware_of_its_own_is_one_endpoint(kind: Any) -> None:
    """However that keeps what it wraps, it passes no gate by."""

    def make() -> Starlette:
        inner = Router(secret_and_open(), middleware=[Middleware(kind)])
        return with_router(Mount("/m", inner))

    guarded = Guarded(make(), {"GET /m/secret": "secret", "GET /m/open": PUBLIC})
    assert call(guarded.app, "GET", "/m/open").status == 401
    (problem,) = guarded.guard.check(guarded.app).problems
    assert problem == (
        "no rule for '* /m/**'; add one for 'MOUNT /m', which holds for that mount alone"
    )
    assert Guarded(make(), {"* /m/**": "secret"}).outcome("GET", "/m/open") == ruled_by("secret")


class Elsewhere:
    """Sends whoever comes to `/m/secret`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "path": "/m/secret"}, receive, send)


async def another_app(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(SPEAKS + "secret")(scope, receive, send)


SWAPS: dict[str, Callable[[Router, Any], None]] = {
    "a rewriter in the stack": lambda router, layer: setattr(layer, "app", Elsewhere(router.app)),
    "another app in the stack": lambda _, layer: setattr(layer, "app", another_app),
    "another stack": lambda router, _: setattr(router, "middleware_stack", another_app),
    "another stack, unsaid": lambda router, _: vars(router).update(middleware_stack=another_app),
    "the bare matching, unsaid": lambda router, _: vars(router).update(
        middleware_stack=Elsewhere(router.app)
    ),
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
@pytest.mark.parametrize("is_app", [False, True], ids=["router", "app"])
def test_stack_of_a_mounted_router_that_is_swapped_runs_nothing_undecided(
    is_app: bool, swap: Callable[[Router, Any], None]
) -> None:
    routes = [Route("/public", running("public")), Route("/secret", running("secret"))]
    inner = Starlette(routes=routes) if is_app else Router(routes)
    router = inner.router if isinstance(inner, Starlette) else inner
    layer = router.middleware_stack = GZipMiddleware(router.app)
    app = Starlette(routes=[Mount("/m", inner)])
    guard = make_guard({"GET /m/public": PUBLIC, "GET /m/secret": "secret"})
    guard.protect(app, strict=False)
    assert call(app, "GET", "/m/public").ran == "public"
    swap(router, layer)
    for _ in range(3):
        assert call(app, "GET", "/m/public").ran in {None, "public"}


# A perimeter within another.


def test_routes_that_change_while_an_inner_perimeter_verifies_open_nothing_of_the_outer() -> None:
    inner = Starlette(routes=[leaf("public")])

    class Slow:
        async def verify(self, token: str) -> Claims:
            inner.router.routes.insert(0, Route("/late", running("secret")))
            claims: Claims = await make_verifier().verify(token)
            return claims

    rules = ScopeMap({"GET /b/{name}": PUBLIC, "GET /b/late": "secret"}, optional=True)
    around = make_guard(rules)
    app = around.protect(Starlette(routes=[Mount("/b", inner)]))
    around.check(app)
    make_guard({"GET /*": AUTHENTICATED}, verifier=Slow()).protect(inner)
    assert call(app, "GET", "/b/late", {"none"}).ran in {None, "public"}
    assert call(app, "GET", "/b/late", {"none"}).status == 403


def test_two_that_decided_on_two_routes_run_neither() -> None:
    class Shy(Route):
        """Matches from the time on that the outer perimeter verified a token."""

        is_there = False

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            return super().matches(scope) if self.is_there else (Match.NONE, {})

    class Waking:
        async def verify(self, token: str) -> Claims:
            claims: Claims = await make_verifier().verify(token)
            shy.is_there = True
            return claims

    shy = Shy("/x", running("shy"))
    inner = Starlette(routes=[shy, leaf("other")])
    make_guard({"* /x": "shy", "GET /{name}": "other"}).protect(inner)
    app = Starlette(routes=[Mount("/m", inner)])
    make_guard({"* /m/x": "b", "GET /m/{name}": "b"}, verifier=Waking()).protect(app)
    answer = call(app, "GET", "/m/x", {"shy", "b"})
    assert (answer.ran, answer.status) == (None, 404)


# What came late, and was never visited.


@pytest.mark.parametrize("where", ["in the app", "in a mounted router"])
def test_router_that_was_mounted_late_has_its_gate_before_its_first_visit(where: str) -> None:
    admin, beside = Router([Route("/x", running("secret"))]), Router()

    class Sending(Wrapping):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await admin({**scope, "path": "/x", "root_path": ""}, receive, send)

    inner = Starlette(routes=[Route("/open", running("public"))])
    app = Starlette(routes=[Mount("/m", Sending(inner)), Mount("/n", beside)])
    guarded = Guarded(app, {"GET /m/open": PUBLIC, "GET /n/admin/x": "secret"})
    call(guarded.app, "GET", "/unknown")
    router = app.router if where == "in the app" else beside
    router.routes.append(Mount("/admin", admin))
    assert call(guarded.app, "GET", "/m/open").ran is None
