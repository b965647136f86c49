"""Attacks by classes of routers, mounts and routes without a pattern of their own."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from fastapi_scopes.errors import ConfigurationError
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    SOCKET,
    Guarded,
    Opaque,
    call,
    expected,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import make_app


def in_the_app(*routes: BaseRoute) -> FastAPI:
    app = make_app()
    app.router.routes += routes
    return app


class Everything(BaseRoute):
    """Has no path, no pattern and no methods."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("everything")(scope, receive, send)


class Named(Everything):
    path = "/named"


@pytest.mark.parametrize("prefix", ["", "/m"], ids=["in the app", "mounted"])
@pytest.mark.parametrize(("kind", "path"), [(Everything, ""), (Named, "/named")])
def test_route_of_its_own_kind_has_the_rule_of_all_below(
    kind: type[BaseRoute], path: str, prefix: str
) -> None:
    def make() -> FastAPI:
        return in_the_app(Mount(prefix, Router([kind()])) if prefix else kind())

    asked = f"{prefix}{path}/x"
    rules = {f"GET {asked}": PUBLIC, "GET /{name}": PUBLIC}
    for method in ("GET", "DELETE", "OPTIONS", SOCKET):
        assert Guarded(make(), rules).outcome(method, asked) == NO_RULE
    guarded = Guarded(make(), rules | {f"* {prefix}{path}/**": "everything"})
    for method in ("GET", "DELETE", SOCKET):
        assert guarded.outcome(method, asked) == ruled_by("everything")
    assert guarded.outcome("OPTIONS", asked) == NO_RULE


def inner_routes() -> list[BaseRoute]:
    return [
        Route("/secret", running("secret")),
        Route("/{name}", running("public")),
        WebSocketRoute("/{name}", talking("talking")),
    ]


RULES = {
    **{"GET /m/secret": "secret", "GET /m/{name}": PUBLIC, f"{SOCKET} /m/{{name}}": PUBLIC},
    "GET /m/known": PUBLIC,
}


class OwnMatching(Router):
    """Looks for the route in its own way."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.routes[0].handle(scope, receive, send)


class OwnApiMatching(APIRouter):
    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.routes[0].handle(scope, receive, send)


class OwnLast(APIRouter):
    """Finds a route of its own where no other matches."""

    def _match_low_priority(self, scope: Scope) -> Any:
        return Match.FULL, {}, Route("/x", running("secret")), None


class OwnLastRoutes(APIRouter):
    def _iter_low_priority_routes(self) -> Any:
        yield Mount("/x", Opaque("secret"))


def matching_by_itself() -> Router:
    router = Router(inner_routes())
    vars(router)["app"] = OwnMatching(inner_routes()).app
    router.middleware_stack = vars(router)["app"]
    return router


def stacked() -> Router:
    """Something else than its own matching is at the end of its stack."""
    router = Router(inner_routes())
    router.middleware_stack = OwnMatching(inner_routes())
    return router


UNKNOWN: dict[str, Callable[[], Router]] = {
    "Router": lambda: OwnMatching(inner_routes()),
    "APIRouter": lambda: OwnApiMatching(routes=inner_routes()),
    "by itself": matching_by_itself,
    "another stack": stacked,
}


@pytest.mark.parametrize("make", UNKNOWN.values(), ids=UNKNOWN)
def test_mounted_router_that_matches_in_its_own_way_is_one_endpoint(
    make: Callable[[], Router],
) -> None:
    for path in ("/m/open", "/m/secret", "/m/x/y"):
        assert Guarded(in_the_app(Mount("/m", make())), RULES).outcome("GET", path) == NO_RULE
    rules = RULES | {"GET /m/**": "secret"}
    guarded = Guarded(in_the_app(Mount("/m", make())), rules)
    assert guarded.outcome("GET", "/m/open") == ruled_by("secret")


@pytest.mark.parametrize("kind", [OwnLast, OwnLastRoutes])
@pytest.mark.parametrize("prefix", ["", "/m"], ids=["of the app", "mounted"])
def test_router_with_its_own_way_where_no_route_matches_is_one_endpoint(
    kind: Any, prefix: str
) -> None:
    def app() -> FastAPI:
        made, router = make_app(), kind(routes=inner_routes())
        if prefix:
            made.mount(prefix, router)
        else:
            made.router = router
        return made

    path = f"{prefix}/x/y"
    assert Guarded(app(), RULES).outcome("GET", path) == NO_RULE
    guarded = Guarded(app(), RULES | {f"GET {prefix}/**": "secret"})
    assert guarded.outcome("GET", path) == ruled_by("secret")


@pytest.mark.parametrize("make", ["Router", "APIRouter", "by itself"])
def test_router_of_the_app_that_matches_in_its_own_way_is_one_endpoint(make: str) -> None:
    def app() -> Any:
        made = make_app()
        made.router = UNKNOWN[make]()  # type: ignore[assignment]
        return made

    for path in ("/open", "/secret", "/x/y"):
        assert Guarded(app(), RULES).outcome("GET", path) == NO_RULE
    assert Guarded(app(), {"GET /**": "secret"}).outcome("GET", "/secret") == ruled_by("secret")


def test_router_of_the_app_that_hides_its_matching_is_refused() -> None:
    app = make_app()
    app.router = UNKNOWN["another stack"]()  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="in its own way"):
        Guarded(app, RULES)


class Choosy(APIRouter):
    """Included, it leads to a route of its own choice."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.routes[0].handle(scope, receive, send)


class Greedy(APIRouter):
    """Included, it matches whatever is asked for."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("secret")(scope, receive, send)


@pytest.mark.parametrize("is_nested", [False, True], ids=["", "nested"])
@pytest.mark.parametrize("kind", [Choosy, Greedy])
def test_included_router_that_matches_in_its_own_way_is_one_endpoint(
    kind: type[APIRouter], is_nested: bool
) -> None:
    def make() -> FastAPI:
        app, outer, inner = make_app(), APIRouter(), kind(routes=inner_routes())
        if is_nested:
            outer.include_router(inner)
        app.include_router(outer if is_nested else inner, prefix="/m")
        return app

    for path in ("/m/open", "/m/secret"):
        assert call(Guarded(make(), RULES).app, "GET", path).ran is None
        assert Guarded(make(), RULES | {"GET /m/**": "secret"}).outcome("GET", path) in {
            NO_RULE,
            ruled_by("secret"),
        }


class Watchful(APIRouter):
    """Matches as the framework does, for all that anybody can see."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope)


@pytest.mark.parametrize("is_late", [False, True], ids=["early", "late"])
def test_what_is_mounted_in_an_included_router_that_is_one_endpoint_has_its_rule(
    is_late: bool,
) -> None:
    app, included = make_app(), Watchful()

    def mount() -> None:
        included.mount("/in", Router(inner_routes()))
        included.mount("", Router(inner_routes()))

    if not is_late:
        mount()
    app.include_router(included, prefix="/m")
    guarded = Guarded(app, RULES | {"GET /m/**": "secret"})
    if is_late:
        mount()
    for path in ("/m/in/secret", "/m/secret"):
        assert guarded.outcome("GET", path) == ruled_by("secret")


class Tenants(Mount):
    """Is where it is for one host only, and takes nothing of the path for itself."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        headers = dict(scope["headers"])
        return (Match.FULL, {}) if headers[b"host"] == b"tenant" else (Match.NONE, {})


class Hosts(Host):
    """Matches by the path, too."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if scope["path"].startswith("/m/") else (Match.NONE, {})


def test_mount_with_its_own_matching_is_one_endpoint() -> None:
    def make() -> FastAPI:
        inner = Router([Mount("/m", Router(inner_routes()))])
        return in_the_app(Tenants("/m", inner), Mount("/m", Router(inner_routes())))

    guarded = Guarded(make(), RULES)
    assert guarded.outcome("GET", "/m/open") == OPEN
    assert guarded.outcome("GET", "/m/open", host="tenant") == NO_RULE
    guarded = Guarded(make(), RULES | {"GET /m/**": "secret"})
    assert call(guarded.app, "GET", "/m/open", host="tenant").status == 401
    assert guarded.outcome("GET", "/m/secret", host="tenant") == ruled_by("secret")


def test_mount_with_its_own_matching_that_comes_late_is_one_endpoint() -> None:
    app = in_the_app()
    guarded = Guarded(app, RULES | {"GET /m/**": "secret"})
    inner = Router([Mount("/m", Router(inner_routes()))])
    app.router.routes.append(Tenants("/m", inner))
    assert call(guarded.app, "GET", "/m/open", host="tenant").status == 401
    assert guarded.outcome("GET", "/m/secret", host="tenant") == ruled_by("secret")


@pytest.mark.parametrize("path", ["/m/open", "/m/secret", "/n/open"])
def test_host_with_its_own_matching_is_one_endpoint(path: str) -> None:
    def make() -> FastAPI:
        return in_the_app(Hosts("{any}", Router([Mount("/m", Router(inner_routes()))])))

    ruled = Guarded(make(), RULES | {"GET /**": "secret"})
    bare = make()
    if expected(bare, RULES, "GET", path) == NOT_FOUND:
        assert ruled.outcome("GET", path) == NOT_FOUND
    else:
        assert Guarded(make(), RULES).outcome("GET", path) == NO_RULE
        assert call(ruled.app, "GET", path).ran is None


class Chatty(WebSocketRoute):
    """Answers sockets of other paths, too."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_socket = scope["type"] == "websocket"
        return (Match.FULL, {"endpoint": self.endpoint}) if is_socket else (Match.NONE, {})


def test_socket_of_any_path_has_the_rule_of_its_own_template() -> None:
    routes = [Chatty("/x", talking("x")), WebSocketRoute("/y", talking("public"))]
    guarded = Guarded(in_the_app(*routes), {f"{SOCKET} /x": "x", f"{SOCKET} /y": PUBLIC})
    for path in ("/x", "/y", "/z/z"):
        assert guarded.outcome(SOCKET, path) == ruled_by("x")


class Handler(APIRouter):
    """Is a route itself, put among the others."""


@pytest.mark.parametrize("path", ["/m/open", "/m/secret"])
def test_router_among_the_routes_opens_nothing(path: str) -> None:
    routes: Any = [Handler(routes=[Mount("/m", Router(inner_routes()))])]
    guarded, bare = Guarded(in_the_app(*routes), RULES), in_the_app(*routes)
    assert guarded.outcome("GET", path) == expected(bare, RULES, "GET", path)


class Metered(Starlette):
    """Answers one path before anything else does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/m/known/metrics":
            await Opaque("secret")(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def test_app_that_answers_first_is_ruled_where_its_router_would_know_nothing() -> None:
    guarded = Guarded(in_the_app(Mount("/m", Metered(routes=inner_routes()))), RULES)
    assert guarded.outcome("GET", "/m/open") == OPEN
    assert guarded.outcome("GET", "/m/known/metrics") == NO_RULE
