"""Classes that are made of those of routes and routers go with them."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import ScopeMap
from tests.apps import make_guard
from tests.perimeter.calling import Opaque, call, running, talking
from tests.perimeter.places import in_the_app, make_app


def bare(kind: Any) -> Any:
    class Own(kind):  # type: ignore[misc]
        """A class that leads to nothing."""

    return Own


def with_super(kind: Any) -> Any:
    class Own(kind):  # type: ignore[misc]
        """A class whose own function leads back to it."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            found: tuple[Match, Scope] = super().matches(scope)
            return found

    return Own


def with_another_call(kind: Any) -> Any:
    class Own(kind):  # type: ignore[misc]
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await kind.__call__(self, scope, receive, send)

    return Own


def with_an_app(kind: Any) -> Any:
    own = bare(kind)
    own.owner = make_app()
    own.owner.state.kind = own
    return own


def dispatching(kind: Any) -> FastAPI:
    app = make_app()
    app.router = kind()
    app.router.add_api_route("/x", running("x"))
    return app


def included(kind: Any) -> FastAPI:
    app, router = make_app(), APIRouter(route_class=kind)
    router.add_api_route("/x", running("x"))
    app.include_router(router)
    return app


Put = Callable[[Any], FastAPI]
PUT: dict[str, tuple[Any, Put]] = {
    "route": (Route, lambda kind: in_the_app([kind("/x", running("x"))])),
    "API route": (APIRoute, lambda kind: in_the_app([kind("/x", running("x"))])),
    "included API route": (APIRoute, included),
    "socket": (WebSocketRoute, lambda kind: in_the_app([kind("/x", talking("x"))])),
    "mount": (Mount, lambda kind: in_the_app([kind("/x", Opaque("x"))])),
    "host": (Host, lambda kind: in_the_app([kind("{any}", Opaque("x"))])),
    "mounted router": (
        Router,
        lambda kind: in_the_app([Mount("", kind([Route("/x", running("x"))]))]),
    ),
    "mounted API router": (
        APIRouter,
        lambda kind: in_the_app([Mount("", kind(routes=[Route("/x", running("x"))]))]),
    ),
    "router of the app": (APIRouter, dispatching),
}


def rows() -> list[Any]:
    kinds = {"bare": bare, "super": with_super, "call": with_another_call, "app": with_an_app}
    found = []
    for name, (base, put) in PUT.items():
        for named, of in kinds.items():
            if named == "super" and not hasattr(base, "matches"):
                continue
            if named == "call" and base not in {Router, APIRouter}:
                continue
            found.append(pytest.param(base, put, of, id=f"{name}, {named}"))
    return found


@pytest.mark.parametrize(("base", "put", "of"), rows())
def test_class_goes_with_the_app_that_has_it(base: Any, put: Put, of: Any) -> None:
    def protected() -> tuple[weakref.ref[Any], weakref.ref[Any]]:
        kind = of(base)
        app = put(kind)
        make_guard(ScopeMap({"GET /x": "x", "* /**": "x"}, optional=True)).protect(
            app, strict=False
        )
        assert call(app, "GET", "/x/y" if base is Mount else "/x").status in {401, 404}
        return weakref.ref(kind), weakref.ref(app)

    gone = protected()
    gc.collect()
    assert [each() is None for each in gone] == [True, True]


def test_class_is_made_once_for_all_routes_of_it() -> None:
    routes = [Route(path, running("x")) for path in ("/x", "/y")]
    app = in_the_app(routes)
    make_guard(ScopeMap({"GET /x": "x", "GET /y": "x"})).protect(app)
    assert type(routes[0]) is type(routes[1])
    assert type(routes[0]) is not Route
