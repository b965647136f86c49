"""Attacks by what a route makes of a connection while it matches, or right before it runs.

A verdict is on one method, one set of path parameters and one set of credentials. Code between the
verdict and the endpoint that puts others into the connection takes no verdict along.
"""

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, _IncludedRouter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import PUBLIC, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard, mint
from tests.perimeter.calling import SOCKET, SPEAKS, Opaque, call, running, talking
from tests.perimeter.places import in_the_app, included, make_app, mounted, mounted_app

try:
    import wrapt
except ImportError:
    wrapt = None

OVERRIDE = {"x-http-method-override": "DELETE"}
METHODS = ["POST", "DELETE"]
Change = Callable[[Any], Callable[..., Any]]
"""Makes of a method of the framework another."""


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("is_asked_before", [False, True])
@pytest.mark.parametrize("change", ["of the class", "of the route", "another class"])
def test_matches_that_is_replaced_while_the_app_serves_is_asked(
    change: str, *, is_asked_before: bool, depth: int
) -> None:
    class Tenants(APIRoute):
        pass

    def matches(route: Any, scope: Scope) -> tuple[Match, Scope]:
        return Match.NONE, {}

    router = APIRouter(route_class=Tenants)
    router.add_api_route("/x", lambda: "ran")
    for _ in range(depth):
        outer = APIRouter()
        outer.include_router(router, prefix="/in")
        router = outer
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    path = "/in" * depth + "/x"
    make_guard({f"GET {path}": PUBLIC}).protect(app)
    asked = path if is_asked_before else "/other"
    assert call(app, "GET", asked).status == (200 if is_asked_before else 404)

    (route,) = [each for each in gc.get_objects() if isinstance(each, Tenants)]
    if change == "of the class":
        Tenants.matches = matches  # type: ignore[method-assign]
    elif change == "of the route":
        route.matches = functools.partial(matches, route)  # type: ignore[method-assign]
    else:
        route.__class__ = type("Other", (type(route),), {"matches": matches})
    assert call(app, "GET", path).status == 404


def wanted(scope: Scope) -> str | None:
    """Return the method that the client names in a header."""
    found = dict(scope["headers"]).get(b"x-http-method-override")
    return found.decode() if found is not None else None


async def by_method(request: Request) -> Response:
    return PlainTextResponse(SPEAKS + request.method)


class OpaqueByMethod:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque(scope["method"])(scope, receive, send)


# Route classes.


def into_the_scope(original: Any) -> Callable[..., Any]:
    def method(self: Any, scope: Scope, *channels: Any) -> Any:
        scope["method"] = wanted(scope) or scope["method"]
        return original(self, scope, *channels)

    return method


def into_what_is_added(original: Any) -> Callable[..., Any]:
    def matches(self: Any, scope: Scope) -> tuple[Match, Scope]:
        match, added = original(self, scope)
        name = wanted(scope)
        if match is not Match.NONE and name is not None:
            return Match.FULL, {**added, "method": name}
        return match, added

    return matches


CHANGES: dict[str, Change] = {
    "into the scope": into_the_scope,
    "into what is added": into_what_is_added,
}


def overriding(kind: Any, change: Change, method: str = "matches") -> Any:
    return type(kind.__name__, (kind,), {method: change(getattr(kind, method))})


Make = Callable[[Callable[[Any], Any]], tuple[Any, str, str]]
"""Makes an app, of classes that are put through a function; its template, and a path of it."""


def plain_route(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    return Starlette(routes=[of(Route)("/x", by_method, methods=METHODS)]), "/x", "/x"


def two_plain_routes(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    routes = [of(Route)("/x", by_method, methods=[each]) for each in METHODS]
    return Starlette(routes=routes), "/x", "/x"


def api_route(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    return in_the_app([of(APIRoute)("/x", by_method, methods=METHODS)]), "/x", "/x"


def two_api_routes(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    routes = [of(APIRoute)("/x", by_method, methods=[each]) for each in METHODS]
    return in_the_app(routes), "/x", "/x"


def included_api_route(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    app, router = make_app(), APIRouter(route_class=of(APIRoute))
    router.add_api_route("/x", by_method, methods=METHODS)
    app.include_router(router, prefix="/p")
    return app, "/p/x", "/p/x"


def included_plain_route(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    app, router = make_app(), APIRouter(routes=[of(Route)("/x", by_method, methods=METHODS)])
    app.include_router(router, prefix="/p")
    return app, "/p/x", "/p/x"


def route_of_a_mount(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    inner = Router([of(Route)("/x", by_method, methods=METHODS)])
    return Starlette(routes=[Mount("/m", inner)]), "/m/x", "/m/x"


def opaque_mount(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    return Starlette(routes=[of(Mount)("/m", OpaqueByMethod())]), "/m/**", "/m/x"


def mount_of_a_router(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    inner = Router([Route("/x", by_method, methods=METHODS)])
    return Starlette(routes=[of(Mount)("/m", inner)]), "/m/x", "/m/x"


def host_of_a_router(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    inner = Router([Route("/x", by_method, methods=METHODS)])
    return Starlette(routes=[of(Host)("{any}", inner)]), "/x", "/x"


def opaque_host(of: Callable[[Any], Any]) -> tuple[Any, str, str]:
    return Starlette(routes=[of(Host)("{any}", OpaqueByMethod())]), "/**", "/x"


MAKES: list[Make] = [
    plain_route,
    two_plain_routes,
    api_route,
    two_api_routes,
    included_api_route,
    route_of_a_mount,
    opaque_mount,
    mount_of_a_router,
    host_of_a_router,
    opaque_host,
]


def protect(app: Any, template: str) -> None:
    rules = {f"POST {template}": PUBLIC, f"DELETE {template}": "admin"}
    make_guard(ScopeMap(rules, optional=True)).protect(app, strict=False)


def assert_kept(app: Any, path: str) -> None:
    """Only who has "admin" gets what DELETE asks for, whatever the header names."""
    for scopes in (None, {"other"}):
        for method in ("POST", "DELETE", "GET"):
            assert call(app, method, path, scopes, fields=OVERRIDE).ran != "DELETE"
        assert call(app, "DELETE", path, scopes).status in {401, 403}


ROWS = [
    pytest.param(make, change, id=f"{make.__name__}, {name}")
    for make in MAKES
    for name, change in CHANGES.items()
    # The framework asks a route for its methods again.
    if change is into_the_scope or make not in {two_plain_routes, two_api_routes}
]


@pytest.mark.parametrize(("make", "change"), ROWS)
def test_route_that_names_another_method_takes_no_verdict_along(make: Make, change: Change) -> None:
    app, template, path = make(lambda kind: overriding(kind, change))
    assert call(app, "POST", path, fields=OVERRIDE).ran == "DELETE"
    protect(app, template)
    assert_kept(app, path)


@pytest.mark.parametrize("make", MAKES)
def test_route_that_leaves_the_method_alone_is_open_to_who_has_its_scope(make: Make) -> None:
    app, template, path = make(lambda kind: overriding(kind, into_the_scope))
    protect(app, template)
    if make in {mount_of_a_router, host_of_a_router}:
        # It matches in its own way, so that it is ruled as a whole.
        assert call(app, "POST", path).status == 401
        assert call(app, "DELETE", path, {"admin"}).status == 403
    else:
        assert call(app, "POST", path).ran == "POST"
        assert call(app, "DELETE", path, {"admin"}).ran == "DELETE"


# Before it runs.


class Overriding:
    """Middleware of a route that names another method."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["method"] = wanted(scope) or scope["method"]
        await self.app(scope, receive, send)


def by_its_handle(kind: Any) -> Any:
    return overriding(kind, into_the_scope, "handle")


def by_its_middleware(kind: Any) -> Any:
    def make(*arguments: Any, **options: Any) -> Any:
        return kind(*arguments, **options, middleware=[Middleware(Overriding)])

    return make


@pytest.mark.parametrize(
    ("of", "make"),
    [
        (by_its_handle, mount_of_a_router),
        (by_its_handle, host_of_a_router),
        (by_its_middleware, mount_of_a_router),
    ],
)
def test_mount_that_names_another_method_before_it_runs_takes_no_verdict_along(
    of: Callable[[Any], Any], make: Make
) -> None:
    app, template, path = make(of)
    assert call(app, "POST", path, fields=OVERRIDE).ran == "DELETE"
    protect(app, template)
    assert_kept(app, path)


RUN_AS_THE_ROUTE = [
    *(
        (by_its_handle, make)
        for make in (
            plain_route,
            api_route,
            included_api_route,
            route_of_a_mount,
            opaque_mount,
            opaque_host,
        )
    ),
    (by_its_middleware, plain_route),
    (by_its_middleware, route_of_a_mount),
    (by_its_middleware, opaque_mount),
]


@pytest.mark.parametrize(("of", "make"), RUN_AS_THE_ROUTE)
def test_code_of_a_route_itself_is_part_of_the_endpoint(
    of: Callable[[Any], Any], make: Make
) -> None:
    """It runs by the verdict, and what it makes of the connection is its own affair."""
    app, template, path = make(of)
    protect(app, template)
    assert call(app, "POST", path, fields=OVERRIDE).ran == "DELETE"
    for scopes in (None, {"other"}):
        assert call(app, "DELETE", path, scopes).status in {401, 403}
        assert call(app, "GET", path, scopes, fields=OVERRIDE).ran is None


@pytest.mark.parametrize("method", ["matches", "handle"])
@pytest.mark.parametrize("is_protected", [True, False], ids=["protected", "alone"])
def test_dependency_decides_by_the_method_with_which_its_route_runs(
    is_protected: bool, method: str
) -> None:
    guard, app = make_guard({"POST /x": PUBLIC, "DELETE /x": "admin"}), make_app()
    kind = overriding(APIRoute, into_the_scope, method)
    router = APIRouter(route_class=kind, dependencies=[Depends(guard)])
    router.add_api_route("/x", by_method, methods=METHODS)
    app.include_router(router)
    if is_protected:
        guard.protect(app, strict=False)
    assert call(app, "POST", "/x").ran == "POST"
    assert_kept(app, "/x")


# What else a verdict rests on.


def adding(**added: Any) -> Change:
    def change(original: Any) -> Callable[..., Any]:
        def matches(self: Any, scope: Scope) -> tuple[Match, Scope]:
            match, found = original(self, scope)
            return match, {**found, **added}

        return matches

    return change


def writing(**written: Any) -> Change:
    def change(original: Any) -> Callable[..., Any]:
        def matches(self: Any, scope: Scope) -> tuple[Match, Scope]:
            scope.update(written)
            return original(self, scope)

        return matches

    return change


def alternating(*values: Any) -> Change:
    """Say the first of *values* when it is asked first, and the last from then on."""

    def change(original: Any) -> Callable[..., Any]:
        left = list(values)

        def matches(self: Any, scope: Scope) -> tuple[Match, Scope]:
            match, found = original(self, scope)
            named = left.pop(0) if len(left) > 1 else left[0]
            return match, {**found, "path_params": named}

        return matches

    return change


def field_of(*scopes: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {mint(*scopes)}".encode())]


ROUTES: dict[str, Callable[[Any], Any]] = {
    "plain": lambda kind: Starlette(routes=[kind(Route)("/x/{id}", running("x"))]),
    "API": lambda kind: in_the_app([kind(APIRoute)("/x/{id}", running("x"))]),
    "included": lambda kind: included([kind(APIRoute)("/x/{id}", running("x"))]),
    "mounted": lambda kind: mounted([kind(Route)("/x/{id}", running("x"))]),
    "mounted app": lambda kind: mounted_app([kind(APIRoute)("/x/{id}", running("x"))]),
}


@pytest.mark.parametrize("how", [adding, writing])
@pytest.mark.parametrize("make", ROUTES.values(), ids=ROUTES)
def test_route_that_lends_credentials_opens_nothing(make: Any, how: Any) -> None:
    """The verdict was on those that the caller sent."""
    lent = how(headers=field_of("x"))
    app = make(lambda kind: overriding(kind, lent))
    make_guard({"GET /x/{id}": "x", "* /x/{id}": "x"}).protect(app, strict=False)
    assert call(app, "GET", "/x/1").ran is None
    assert call(app, "GET", "/x/1", {"other"}).ran is None


@pytest.mark.parametrize("how", [adding, writing])
@pytest.mark.parametrize("make", ROUTES.values(), ids=ROUTES)
def test_route_that_takes_credentials_away_is_decided_on_without(make: Any, how: Any) -> None:
    nothing: list[tuple[bytes, bytes]] = []
    app = make(lambda kind: overriding(kind, how(headers=nothing)))
    make_guard({"GET /x/{id}": "x", "* /x/{id}": "x"}).protect(app, strict=False)
    assert call(app, "GET", "/x/1", {"x"}).status == 401


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({"id": 1}, id="another type"),
        pytest.param({"other": "1"}, id="another name"),
        pytest.param({}, id="none"),
        pytest.param({"id": "2"}, id="another value"),
    ],
)
@pytest.mark.parametrize("kind", [Route, APIRoute])
@pytest.mark.parametrize("of", [Router, in_the_app])
def test_route_that_names_other_path_parameters_when_it_is_asked_again_is_decided_on_anew(
    of: Any, kind: Any, later: dict[str, Any]
) -> None:
    """By what all of its keys ask for, as nobody knows which of them it is called for."""
    route = overriding(kind, alternating({"id": "1"}, later))("/x/{id}", running("x"))
    app = in_the_app([Mount("/a", of([route])), Mount("/b", of([route]))])
    rules = {"GET /a/x/{id}": PUBLIC, "GET /b/x/{id}": "x"}
    make_guard(ScopeMap(rules, optional=True)).protect(app, strict=False)
    assert call(app, "GET", "/a/x/1").status == 401


@pytest.mark.parametrize("how", [adding, writing])
def test_route_that_makes_a_socket_of_a_request_is_decided_on_as_that(how: Any) -> None:
    class Both(Route):
        matches = how(type="websocket")(Route.matches)

    async def said(scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("x")({**scope, "type": "http"}, receive, send)

    route = Both("/x", running("x"))
    route.app = said
    app = Starlette(routes=[route])
    make_guard({"GET /x": PUBLIC, "* /x": "x", "WEBSOCKET /x": "x"}).protect(app, strict=False)
    assert call(app, "GET", "/x").ran is None


# Methods of the framework that were replaced.

# Not what is between the check of a route and its endpoint: that is part of the endpoint.
PATCHED: dict[str, tuple[Any, list[Make]]] = {
    "Route.matches": (
        Route,
        [
            plain_route,
            two_plain_routes,
            api_route,
            two_api_routes,
            included_plain_route,
            route_of_a_mount,
            mount_of_a_router,
            host_of_a_router,
        ],
    ),
    "APIRoute.matches": (APIRoute, [api_route, two_api_routes, included_api_route]),
    "Mount.matches": (Mount, [route_of_a_mount, opaque_mount, mount_of_a_router]),
    "Host.matches": (Host, [host_of_a_router, opaque_host]),
    "Router.app": (
        Router,
        [plain_route, two_plain_routes, route_of_a_mount, opaque_mount, opaque_host],
    ),
    "APIRouter.app": (
        APIRouter,
        [api_route, two_api_routes, included_api_route, included_plain_route],
    ),
    "APIRouter.handle": (APIRouter, [included_api_route, included_plain_route]),
    "_IncludedRouter.matches": (_IncludedRouter, [included_api_route, included_plain_route]),
    "_IncludedRouter.handle": (_IncludedRouter, [included_api_route, included_plain_route]),
    "Mount.handle": (Mount, [route_of_a_mount, mount_of_a_router]),
    "Host.handle": (Host, [host_of_a_router]),
}


def plainly(original: Any, change: Change) -> Any:
    return change(original)


def as_a_wrapper(original: Any, change: Change) -> Any:
    return functools.wraps(original)(change(original))


def by_wrapt(original: Any, change: Change) -> Any:
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return change(lambda _, *rest: wrapped(*rest))(instance, *args, **kwargs)

    return wrapt.FunctionWrapper(original, wrapper)


HOWS: dict[str, Callable[[Any, Change], Any]] = {"plainly": plainly, "as a wrapper": as_a_wrapper}
if wrapt is not None:
    HOWS["by wrapt"] = by_wrapt


def unchanged(kind: Any) -> Any:
    return kind


def patch(monkeypatch: pytest.MonkeyPatch, name: str, how: Any, change: Change) -> None:
    owner, attribute = PATCHED[name][0], name.partition(".")[2]
    monkeypatch.setattr(owner, attribute, how(getattr(owner, attribute), change))


def patched() -> Iterator[Any]:
    for name, (_, makes) in PATCHED.items():
        for make in makes:
            for how_named, how in HOWS.items():
                named = f"{name} {how_named}, {make.__name__}"
                yield pytest.param(name, how, make, id=named)


@pytest.mark.parametrize(("name", "how", "make"), list(patched()))
def test_framework_that_names_another_method_takes_no_verdict_along(
    name: str, how: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch, name, how, into_the_scope)
    app, template, path = make(unchanged)
    assert call(app, "POST", path, fields=OVERRIDE).ran == "DELETE"
    try:
        protect(app, template)
    except ConfigurationError:
        # A router that matches in another way may have no front: then nothing is served.
        return
    assert_kept(app, path)


@pytest.mark.parametrize(("name", "how", "make"), list(patched()))
def test_framework_that_names_another_method_from_now_on_takes_no_verdict_along(
    name: str, how: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, template, path = make(unchanged)
    protect(app, template)
    assert call(app, "POST", path).ran == "POST"
    patch(monkeypatch, name, how, into_the_scope)
    # Where nothing can stand before the router any more, nothing is served.
    with suppress(ConfigurationError):
        assert_kept(app, path)


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize("make", PATCHED["Route.matches"][1])
def test_framework_that_adds_another_method_takes_no_verdict_along(
    make: Make, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch, "Route.matches", how, into_what_is_added)
    app, template, path = make(unchanged)
    protect(app, template)
    assert_kept(app, path)


# Methods of the framework that choose in another way.

VERSION = {"x-version": "2"}


def by_version(original: Any) -> Callable[..., Any]:
    def matches(self: Any, scope: Scope) -> tuple[Match, Scope]:
        asked = dict(scope["headers"]).get(b"x-version", b"1").decode()
        if getattr(self.endpoint, "version", "1") != asked:
            return Match.NONE, {}
        return original(self, scope)  # type: ignore[no-any-return]

    return matches


def versioned(endpoint: Any, version: str) -> Any:
    endpoint.version = version
    return endpoint


def of_two_versions(kind: Any, speaking: Any) -> list[BaseRoute]:
    return [
        kind("/x/{id}", versioned(speaking("public"), "1")),
        kind("/x/secret", versioned(speaking("secret"), "2")),
    ]


VERSIONED: dict[str, tuple[list[Any], str, Callable[[], Any]]] = {
    "plain": ([Route], "GET", lambda: Starlette(routes=of_two_versions(Route, running))),
    "API": ([Route], "GET", lambda: in_the_app(of_two_versions(APIRoute, running))),
    "API, both": (
        [Route, APIRoute],
        "GET",
        lambda: in_the_app(of_two_versions(APIRoute, running)),
    ),
    "mounted": ([Route], "GET", lambda: mounted(of_two_versions(Route, running))),
    "included API": ([APIRoute], "GET", lambda: included(of_two_versions(APIRoute, running))),
    "included plain": ([Route], "GET", lambda: included(of_two_versions(Route, running))),
    "socket": (
        [WebSocketRoute],
        SOCKET,
        lambda: Starlette(routes=of_two_versions(WebSocketRoute, talking)),
    ),
    "API socket": (
        [WebSocketRoute],
        SOCKET,
        lambda: in_the_app(of_two_versions(APIWebSocketRoute, talking)),
    ),
    "included socket": (
        [WebSocketRoute],
        SOCKET,
        lambda: included(of_two_versions(WebSocketRoute, talking)),
    ),
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize(("owners", "method", "make"), VERSIONED.values(), ids=VERSIONED)
def test_framework_that_chooses_by_a_header_is_ruled_by_what_it_chooses(
    owners: list[Any], method: str, make: Any, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in owners:
        monkeypatch.setattr(owner, "matches", how(owner.matches, by_version))
    app = make()
    assert call(app, method, "/x/secret").ran == "public"
    assert call(app, method, "/x/secret", fields=VERSION).ran == "secret"
    make_guard({f"{method} /x/{{id}}": PUBLIC, f"{method} /x/secret": "secret"}).protect(
        app, strict=False
    )
    assert call(app, method, "/x/secret").ran == "public"
    for scopes in (None, {"other"}):
        assert call(app, method, "/x/secret", scopes, fields=VERSION).ran is None
    assert call(app, method, "/x/secret", {"secret"}, fields=VERSION).ran == "secret"


def test_app_class_that_answers_by_itself_opens_no_unknown_path_of_a_mounted_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Starlette.__call__

    async def answering(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if getattr(self, "title", "") == "inner" and scope["path"].endswith("/stats"):
            await Opaque("stats")(scope, receive, send)
        else:
            await original(self, scope, receive, send)

    monkeypatch.setattr(Starlette, "__call__", answering)
    inner, app = FastAPI(openapi_url=None, title="inner"), make_app()
    inner.add_api_route("/x", running("x"))
    app.mount("/m", inner)
    assert call(app, "GET", "/m/stats").ran == "stats"
    guard = make_guard({"GET /m/x": "x"})
    guard.protect(app)
    assert call(app, "GET", "/m/x", {"x"}).ran == "x"
    for path in ("/m/stats", "/m/x/stats"):
        assert call(app, "GET", path).status == 401
        assert call(app, "GET", path, {"x"}).status == 403
    (notice,) = guard.check(app).notices
    assert notice.startswith("paths of '/m/**' that no route matches are denied")
