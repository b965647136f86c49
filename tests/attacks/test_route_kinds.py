"""Attacks by routes that are of two kinds at once, or of a kind that their class does not tell.

Behind each stands a route for everyone: what is missed would run under the rule of that one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.routing import BaseRoute, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    OPEN,
    SOCKET,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import ANYWHERE, Where, in_the_app, included, mounted


class SocketsToo(Route):
    """Takes queries and subscriptions at one path, as GraphQL has it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "websocket":
            return super().matches({**scope, "type": "http", "method": "GET"})
        return super().matches(scope)


class RequestsToo(WebSocketRoute):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches({**scope, "type": "websocket"})


class RouteAndSocket(Route, WebSocketRoute):
    """Is matched as a route."""


class SocketAndRoute(WebSocketRoute, Route):
    """Is matched as a socket."""


class MountAndRoute(Mount, Route):  # type: ignore[misc]
    def __init__(self, path: str, app: Any) -> None:
        Mount.__init__(self, path, app=app)


class MountAndSocket(Mount, WebSocketRoute):  # type: ignore[misc]
    def __init__(self, path: str, app: Any) -> None:
        Mount.__init__(self, path, app=app)


class PartlyMounted(MountAndRoute):
    """Says that it matches only partly, and runs all the same."""

    methods = frozenset({"PUT"})  # type: ignore[assignment]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return Match.PARTIAL if match is Match.FULL else match, child_scope


ODD: dict[str, Callable[[], BaseRoute]] = {
    "route that takes sockets": lambda: SocketsToo("/m/{x}", Opaque("secret")),
    "socket route that takes requests": lambda: RequestsToo("/m/{x}", Opaque("secret")),
    "route and socket route": lambda: RouteAndSocket("/m/{x}", Opaque("secret")),
    "socket route and route": lambda: SocketAndRoute("/m/{x}", Opaque("secret")),
    "mount and route": lambda: MountAndRoute("/m", Opaque("secret")),
    "mount and socket route": lambda: MountAndSocket("/m", Opaque("secret")),
    "mount that matches only partly": lambda: PartlyMounted("/m", Opaque("secret")),
}
FOR_ALL = {"GET /{a}/{b}": PUBLIC, f"{SOCKET} /{{a}}/{{b}}": PUBLIC}


def behind_it(odd: BaseRoute) -> list[BaseRoute]:
    http = Route("/{a}/{b}", running("public"))
    return [odd, http, WebSocketRoute("/{a}/{b}", talking("public"))]


def without_included(odd: str) -> list[Where]:
    """Return where the framework itself takes what is *odd*."""
    is_taken = odd in list(ODD)[:3]
    return [where for where in ANYWHERE if is_taken or where is not included]


@pytest.mark.parametrize(
    ("make", "where"),
    [(make, where) for odd, make in ODD.items() for where in without_included(odd)],
    ids=[f"{odd}, {where.__name__}" for odd in ODD for where in without_included(odd)],
)
def test_route_of_two_kinds_is_not_run_by_the_rule_of_the_next(
    make: Callable[[], BaseRoute], where: Where
) -> None:
    bare = where(behind_it(make()))
    guarded = Guarded(where(behind_it(make())), FOR_ALL)
    for method in ("GET", "PUT", SOCKET):
        answer = call(guarded.app, method, "/m/x")
        assert answer.ran in {None, "public"}
        if call(bare, method, "/m/x").ran == "secret":
            assert answer.status == 401


@pytest.mark.parametrize("make", list(ODD.values())[:2], ids=list(ODD)[:2])
def test_route_that_matches_both_has_rules_for_both(make: Callable[[], BaseRoute]) -> None:
    guarded = Guarded(in_the_app(behind_it(make())), FOR_ALL | {"* /m/{x}": "secret"})
    for method in ("GET", SOCKET):
        assert guarded.outcome(method, "/m/x") == ruled_by("secret")
    coverage = guarded.guard.check(guarded.app)
    assert (coverage.gaps, coverage.dead) == ((), ())


@dataclass(frozen=True)
class Frozen(BaseRoute):
    """Takes no attribute that it has not."""

    path: str

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_mine = scope["path"].startswith(self.path)
        return (Match.FULL, {}) if is_mine else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("secret")(scope, receive, send)


@pytest.mark.parametrize("where", [in_the_app, mounted])
def test_route_that_takes_no_attributes_has_the_rule_of_all_below(where: Where) -> None:
    routes = [Frozen("/m"), Route("/{a}/{b}", running("public"))]
    guarded = Guarded(where(routes), FOR_ALL | {"GET /m/**": "secret"})
    assert guarded.outcome("GET", "/m/x") == ruled_by("secret")
    assert guarded.outcome("GET", "/n/x") == OPEN


class Slotted:
    """Has no place for what a route is told."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.NONE, {}


def test_route_that_takes_no_attributes_at_all_breaks_nothing() -> None:
    odd: Any = Slotted("/m")
    guarded = Guarded(in_the_app([odd, Route("/{a}/{b}", running("public"))]), FOR_ALL)
    assert guarded.outcome("GET", "/m/x") == OPEN


class Listed(Mount):
    """Has methods for a listing; the framework reads none of a mount."""

    methods = frozenset({"GET"})


def with_methods(route: Any) -> Any:
    route.methods = {"GET"}
    return route


LISTED: dict[str, tuple[Callable[[], BaseRoute], str]] = {
    "class of a mount": (lambda: Listed("/m", Opaque("secret")), "POST"),
    "mount": (lambda: with_methods(Mount("/m", Opaque("secret"))), "POST"),
    "mount with a router": (
        lambda: with_methods(Mount("/m", Router([Route("/x", Opaque("secret"))]))),
        "POST",
    ),
    "socket route": (lambda: with_methods(WebSocketRoute("/m/x", talking("secret"))), SOCKET),
}


@pytest.mark.parametrize("where", [in_the_app, included, mounted])
@pytest.mark.parametrize(("make", "method"), LISTED.values(), ids=LISTED)
def test_methods_are_read_of_routes_alone(
    make: Callable[[], BaseRoute], method: str, where: Where
) -> None:
    routes = [make(), Route("/{a}/{b}", running("public"), methods=["GET", "POST"])]
    rules = FOR_ALL | {"POST /{a}/{b}": PUBLIC}
    guarded = Guarded(where([*routes, WebSocketRoute("/{a}/{b}", talking("public"))]), rules)
    assert guarded.outcome(method, "/m/x") == NO_RULE
