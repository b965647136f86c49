"""Attacks by what takes the place of a router, a mounted app or a route while the app serves."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import Host, Match, Mount, Route, Router, compile_path
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    WRONG_METHOD,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
)
from tests.perimeter.places import PLACES, make_app, plain_router

RULES = {
    "GET /{name}": PUBLIC,
    "GET /secret": "secret",
    "GET /m/{name}": PUBLIC,
    "GET /m/secret": "secret",
}


def secret(path: str = "/secret") -> Route:
    return Route(path, running("secret"))


def assert_secret_is_kept(guarded: Guarded, path: str, **options: Any) -> None:
    """Nothing of the secret endpoint comes back to who has not its scope."""
    for scopes in (None, guarded.scopes - {"secret"}):
        assert call(guarded.app, "GET", path, scopes, **options).ran != "secret"


class Wrapper:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Hidden:
    def __init__(self, app: Any) -> None:
        self._hidden = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._hidden(scope, receive, send)


def sub_app() -> FastAPI:
    app = make_app()
    app.router.routes.append(secret())
    return app


# What a mount leads to instead; what it is ruled by then: its template, or all below the mount.
INSTEAD: dict[str, tuple[Callable[[], Any], bool]] = {
    "a router": (lambda: Router([secret()]), True),
    "an app": (sub_app, True),
    "a wrapped router": (lambda: Wrapper(Router([secret()])), False),
    "a hidden router": (lambda: Hidden(Router([secret()])), False),
    "an opaque app": (lambda: Opaque("secret"), False),
}


@pytest.mark.parametrize(("make", "is_seen"), INSTEAD.values(), ids=INSTEAD)
@pytest.mark.parametrize("outer", ["app", "included", "mounted", "host"])
def test_app_of_a_mount_that_is_replaced_is_decided_by_what_is_there_now(
    outer: str, make: Callable[[], Any], is_seen: bool
) -> None:
    app = make_app()
    mount = Mount("/m", plain_router()) if outer != "host" else Host("testserver", plain_router())
    if outer == "included":
        included = APIRouter(routes=[mount])
        app.include_router(included)
    else:
        app.router.routes.append(Mount("", Router([mount])) if outer == "mounted" else mount)
    path = "/secret" if outer == "host" else "/m/secret"
    guarded = Guarded(app, RULES)
    assert guarded.outcome("GET", path) == OPEN
    mount.app = make()
    if outer == "included":
        included.add_api_route("/again", running("again"))
    assert guarded.outcome("GET", path) == (ruled_by("secret") if is_seen else NO_RULE)


def moved(route: Any) -> None:
    """Let *route* answer at another path, as if it had been made so."""
    route.path = "/secret"
    route.path_regex, route.path_format, route.param_convertors = compile_path("/secret")


def rerouted(route: Any) -> None:
    route.path_regex = compile_path("/secret")[0]


def matching_all(route: Any) -> None:
    def matches(scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {"endpoint": route.endpoint}

    route.matches = matches


@pytest.mark.parametrize("place", ["of the app", "mounted Router", "of a mounted app"])
@pytest.mark.parametrize("change", [moved, rerouted, matching_all])
@pytest.mark.parametrize("kind", [Route, APIRoute])
def test_known_route_that_moves_is_not_open_where_it_was_not(
    kind: type[Route], change: Callable[[Any], None], place: str
) -> None:
    """What was there before is unknown: the framework's own 404, for which no one is asked."""
    at = PLACES[place]()
    route = kind("/elsewhere", running("secret"))
    at.router.routes[:] = [route]
    rules = {f"GET {at.prefix}/elsewhere": "secret", f"GET {at.prefix}/secret": "secret"}
    guarded = Guarded(at.app, rules)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path) == NOT_FOUND
    change(route)
    assert_secret_is_kept(guarded, path)


@pytest.mark.parametrize("place", ["of the app", "mounted Router", "of a mounted app"])
def test_mount_that_moves_is_not_open_where_it_was_not(place: str) -> None:
    at = PLACES[place]()
    mount = Mount("/elsewhere", Router([secret()]))
    at.router.routes[:] = [mount]
    guarded = Guarded(at.app, {f"GET {at.prefix}/elsewhere/secret": "secret"})
    path = f"{at.prefix}/m/secret"
    assert guarded.outcome("GET", path) == NOT_FOUND
    mount.path = "/m"
    mount.path_regex, mount.path_format, mount.param_convertors = compile_path("/m/{path:path}")
    assert_secret_is_kept(guarded, path)


def test_method_that_is_added_to_a_route_has_its_own_rule() -> None:
    at = PLACES["of the app"]()
    route = Route("/x", running("public"))
    at.router.routes[:] = [route]
    guarded = Guarded(at.app, {"GET /x": PUBLIC})
    assert route.methods is not None
    assert guarded.outcome("DELETE", "/x") == WRONG_METHOD
    route.methods.add("DELETE")
    assert call(guarded.app, "DELETE", "/x").status == 401


def new_stack(app: Starlette) -> None:
    app.middleware_stack = app.build_middleware_stack()


@pytest.mark.parametrize("is_rebuilt", [True, False], ids=["rebuilt", "not rebuilt"])
@pytest.mark.parametrize("is_mounted", [True, False], ids=["of a mounted app", "of the app"])
def test_another_router_of_an_app_opens_nothing(is_mounted: bool, is_rebuilt: bool) -> None:
    at = PLACES["of a mounted app" if is_mounted else "of the app"]()
    guarded = Guarded(at.app, RULES)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path) == OPEN
    app: Any = at.app.router.routes[0].app if is_mounted else at.app  # type: ignore[attr-defined]
    app.router = APIRouter(routes=[secret()])
    if is_rebuilt:
        new_stack(app)
    assert_secret_is_kept(guarded, path)


def test_default_that_comes_late_is_ruled_as_all_that_is_below() -> None:
    at = PLACES["mounted Router"]()
    guarded = Guarded(at.app, RULES | {"GET /m/**": "late", "GET /m/x/y": "secret"})
    assert guarded.outcome("GET", "/m/x/y") == NOT_FOUND
    at.router.default = Opaque("late")
    assert guarded.outcome("GET", "/m/x/y") == ruled_by("late")
    at.router.default = Router([secret("/x/y")])
    assert guarded.outcome("GET", "/m/x/y") == ruled_by("secret")
