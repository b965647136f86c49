"""Attacks by classes of routes that match and run as they like.

An endpoint never runs under another rule than its own; a class that cannot be foreseen has the
rule of its own place, or no one passes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
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

Where = Callable[[Sequence[BaseRoute]], FastAPI]


def in_the_app(routes: Sequence[BaseRoute]) -> FastAPI:
    app = make_app()
    app.router.routes += routes
    return app


def included(routes: Sequence[BaseRoute]) -> FastAPI:
    app, outer = make_app(), APIRouter()
    outer.include_router(APIRouter(routes=list(routes)))
    app.include_router(outer)
    return app


def mounted(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Mount("", Router(routes))])


def mounted_app(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Mount("", in_the_app(routes))])


def behind_a_host(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Host("{any}", Router(routes))])


PLACES: list[Where] = [in_the_app, included, mounted, mounted_app, behind_a_host]


def wants(version: str, kind: type[Any]) -> type[Any]:
    """Return *kind* for callers who ask for *version* in a header."""

    class Versioned(kind):  # type: ignore[misc]
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            if Headers(scope=scope).get("x-version") != version:
                return Match.NONE, {}
            result: tuple[Match, Scope] = super().matches(scope)
            return result

    return Versioned


def versioned() -> list[BaseRoute]:
    return [
        wants("1", APIRoute)("/x", running("one")),
        wants("2", APIRoute)("/{name}", running("two")),
        wants("3", Route)("/x", running("one")),
        wants("4", Route)("/{name}/y", running("four")),
        wants("5", Mount)("/x", Router([Route("/y", running("five"))])),
        wants("6", APIWebSocketRoute)("/x", talking("six")),
        wants("7", WebSocketRoute)("/{name}", talking("seven")),
        Route("/{any}", running("public")),
    ]


VERSIONS = {
    **{"GET /x": "one", "GET /{name}": "two", "GET /{name}/y": "four", "GET /x/**": "five"},
    **{f"{SOCKET} /x": "six", f"{SOCKET} /{{name}}": "seven", "GET /{any}": PUBLIC},
}


@pytest.mark.parametrize("where", PLACES)
def test_route_by_header_has_its_own_rule(where: Where) -> None:
    guarded, bare, seen = Guarded(where(versioned()), VERSIONS), where(versioned()), set()
    for version in "01234567":
        for method, path in (("GET", "/x"), ("GET", "/x/y"), (SOCKET, "/x"), ("POST", "/x")):
            options = {"fields": {"x-version": version}}
            outcome = guarded.outcome(method, path, **options)
            assert outcome == expected(bare, VERSIONS, method, path, **options)
            seen.add(outcome)
    # FastAPI makes a plain Route of its own in place of one that is included.
    assert seen >= {ruled_by("one"), ruled_by("two"), ruled_by("six")}


class Alternating(Route):
    """Matches every other time that it is asked, as a route for a share of all calls does."""

    asked = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        self.asked += 1
        return super().matches(scope) if self.asked % 2 else (Match.NONE, {})


class Stripping(BaseRoute):
    """Takes a prefix off the path while it is asked; matches nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        scope["path"] = scope["path"].removeprefix("/v1")
        return Match.NONE, {}


class Overriding(BaseRoute):
    """Takes a method from a header while it is asked; matches nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        scope["method"] = "DELETE"
        return Match.NONE, {}


class Answering(BaseRoute):
    """Changes the call by what it gives back."""

    def __init__(self, app: Any, path: str) -> None:
        self.app, self.to = app, path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {"path": self.to}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Remounting(Mount):
    """Leads to another path of its app than its own pattern says."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "path": "/m/secret"}


def secret() -> Route:
    return Route("/secret", running("secret"))


LYING: dict[str, tuple[Callable[[], list[BaseRoute]], str]] = {
    "changes the path": (
        lambda: [Stripping(), secret(), Route("/v1/{name}", running("public"))],
        "/v1/secret",
    ),
    "changes the method": (
        lambda: [
            Overriding(),
            Route("/open", running("secret"), methods=["DELETE"]),
            Route("/open", running("public")),
        ],
        "/open",
    ),
    "gives another path": (lambda: [Answering(Router([secret()]), "/secret")], "/open"),
    "mounts at another path": (lambda: [Remounting("/m", Router([secret()]))], "/m/open"),
}
LIES = {
    **{"GET /v1/{name}": PUBLIC, "GET /open": PUBLIC, "GET /m/{name}": PUBLIC},
    **{"GET /secret": "secret", "DELETE /open": "secret", "GET /m/secret": "secret"},
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(("make", "path"), LYING.values(), ids=LYING)
def test_route_that_changes_the_call_lets_no_one_in(
    make: Callable[[], list[BaseRoute]], path: str, where: Where
) -> None:
    answer = call(Guarded(where(make()), LIES).app, "GET", path)
    assert answer.ran in {None, "public"}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("names", [("public", "secret"), ("secret", "public")], ids="-".join)
def test_route_that_matches_now_and_then_lets_no_one_in(
    names: tuple[str, str], where: Where
) -> None:
    routes = [Alternating("/x", running(names[0])), Route("/{name}", running(names[1]))]
    rules = {"GET /x": names[0], "GET /{name}": names[1]}
    guarded = Guarded(
        where(routes),
        {key: PUBLIC if name == "public" else name for key, name in rules.items()},
    )
    for _ in range(4):
        assert call(guarded.app, "GET", "/x").ran in {None, "public"}


class Anyway(Route):
    """Runs for methods, too, that it does not list."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class AnywayApi(APIRoute):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def anyway_by_itself(path: str, endpoint: Any) -> Route:
    route = Route(path, endpoint)
    vars(route)["handle"] = route.app
    return route


def anyway_by_its_pattern(path: str, endpoint: Any) -> Route:
    """Says PARTIAL for what is no other method at all."""

    class Partly(Anyway):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            match, child = super().matches(scope)
            return (Match.PARTIAL if match is Match.FULL else match), child

    return Partly(path, endpoint)


@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app, behind_a_host])
@pytest.mark.parametrize("make", [Anyway, AnywayApi, anyway_by_itself, anyway_by_its_pattern])
def test_code_that_runs_for_any_method_has_a_rule_for_each(make: Any, where: Where) -> None:
    def routes() -> list[BaseRoute]:
        return [make("/x", running("x")), Route("/{name}/y", running("public"))]

    guarded = Guarded(where(routes()), {"GET /x": "x", "GET /{name}/y": PUBLIC})
    assert guarded.outcome("GET", "/x") == ruled_by("x")
    for method in ("DELETE", "OPTIONS", "PURGE"):
        assert guarded.outcome(method, "/x") == NO_RULE
    guarded = Guarded(where(routes()), {"GET /x": "get", "DELETE /x": "x"})
    assert guarded.outcome("DELETE", "/x") == ruled_by("x")


def test_code_that_runs_for_any_method_is_found_where_it_is_included() -> None:
    app, router = make_app(), APIRouter(route_class=AnywayApi)
    router.add_api_route("/x", running("x"))
    app.include_router(router, prefix="/a")
    guarded = Guarded(app, {"GET /a/x": "x"})
    assert guarded.outcome("GET", "/a/x") == ruled_by("x")
    assert guarded.outcome("DELETE", "/a/x") == NO_RULE


def test_later_route_of_the_method_comes_before_code_that_runs_for_any() -> None:
    routes = [Anyway("/x", running("any")), Route("/x", running("x"), methods=["DELETE"])]
    guarded = Guarded(in_the_app(routes), {"GET /x": "any", "DELETE /x": "x"})
    assert guarded.outcome("DELETE", "/x") == ruled_by("x")


class Metrics:
    """Answers by itself what is no route of its router."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("metrics"):
            await Opaque("metrics")(scope, receive, send)
        else:
            await super().handle(scope, receive, send)  # type: ignore[misc]


class MetricsMount(Metrics, Mount): ...


class MetricsHost(Metrics, Host): ...


class MetricsRoute(Metrics, Route): ...


HANDLING: dict[str, tuple[Callable[[Router], BaseRoute], str]] = {
    "mount": (lambda router: MetricsMount("/m", router), "/m"),
    "mount of nothing": (lambda router: MetricsMount("", router), ""),
    "host": (lambda router: MetricsHost("{any}", router), ""),
    "route": (lambda router: MetricsRoute("/{rest:path}", router), ""),
}


@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app, behind_a_host])
@pytest.mark.parametrize(("make", "prefix"), HANDLING.values(), ids=HANDLING)
def test_route_that_answers_before_its_router_has_its_own_rule(
    make: Callable[[Router], BaseRoute], prefix: str, where: Where
) -> None:
    inner = Router([Route("/open", running("public"))])
    rules = {f"GET {prefix}/open": PUBLIC}
    guarded = Guarded(where([make(inner)]), rules)
    for path in ("/metrics", "/open/metrics"):
        assert call(guarded.app, "GET", prefix + path).ran is None
