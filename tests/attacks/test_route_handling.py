"""Attacks by routes whose own code answers, rather than the endpoint or the router behind them."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    OPEN,
    WRONG_METHOD,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
)
from tests.perimeter.places import (
    Where,
    behind_a_host,
    in_the_app,
    make_app,
    mounted,
    mounted_app,
)


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


@pytest.mark.parametrize("make", [Anyway, AnywayApi, anyway_by_itself])
def test_code_that_runs_for_any_method_asks_for_a_verdict_in_another_app_too(make: Any) -> None:
    app = in_the_app([make("/x", running("x"))])
    Guarded(app, {"GET /x": "x"})
    other = Starlette(routes=list(app.routes))
    for method in ("GET", "DELETE", "PURGE"):
        answer = call(other, method, "/x")
        assert (answer.ran, answer.status) == (None, 401)


class Unsteady(Route):
    """Lists another method at one of the looks at it."""

    looks, other = 0, -1

    @property
    def methods(self) -> Any:
        self.looks += 1
        return {"POST"} if self.looks == self.other else {"GET"}

    @methods.setter
    def methods(self, value: Any) -> None: ...


@pytest.mark.parametrize("look", range(8))
def test_route_that_lists_other_methods_now_and_then_asks_for_a_verdict(look: int) -> None:
    route = Unsteady("/x", running("x"))
    app = in_the_app([route])
    Guarded(app, {"* /x": "x"})
    other = Starlette(routes=[route])
    route.looks, route.other = 0, look
    assert call(other, "GET", "/x").ran is None


class PartlyRoute(Route):
    """Says that it is not the best match, to let others come first; the framework runs it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.PARTIAL if match is Match.FULL else match), child


class PartlyMount(Mount):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.PARTIAL if match is Match.FULL else match), child


@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app, behind_a_host])
def test_route_that_lets_others_come_first_is_decided_by_its_own_rule(where: Where) -> None:
    routes = [
        PartlyRoute("/x", running("x")),
        PartlyMount("/m", Router([Route("/y", running("y"))])),
        Route("/{name}/z", running("public")),
    ]
    rules = {"GET /x": "x", "GET /m/**": "y", "GET /m/y": PUBLIC, "GET /{name}/z": PUBLIC}
    guarded = Guarded(where(routes), rules)
    assert guarded.outcome("GET", "/x") == ruled_by("x")
    assert guarded.outcome("DELETE", "/x") == WRONG_METHOD
    assert guarded.outcome("GET", "/m/z") == OPEN
    assert call(guarded.app, "GET", "/m/y").ran is None


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
