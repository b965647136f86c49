"""One guard as a perimeter and as a dependency: together they pass whoever passes each alone."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from fastapi_scopes import AUTHENTICATED, OPTIONAL, PUBLIC, Claims, ScopeMap
from tests.apps import make_guard
from tests.perimeter.calling import SOCKET, SPEAKS, call, talking
from tests.perimeter.places import in_the_app, make_app


class OwnHandle(APIRouter):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(scope, receive, send)


class OwnMatches(APIRouter):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope)


class OwnBoth(OwnHandle, OwnMatches):
    """Does both in its own way, which is the framework's."""


class OwnApp(APIRouter):
    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().app(scope, receive, send)


class Wrapper:
    """Hides what it wraps."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inner(scope, receive, send)


class Passing:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(dict(scope), receive, send)


class MountAndRoute(Mount, Route):
    """A mount that says it is a route as well."""


def _including(router: Any) -> Any:
    app = make_app()
    app.include_router(router, prefix="/p")
    return app


def _in_a_mounted_app(wrap: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def make(router: Any) -> Any:
        inner = make_app()
        inner.include_router(router)
        return in_the_app([Mount("/p", wrap(inner))])

    return make


def _within_middleware(router: Any) -> Any:
    inner = make_app()
    inner.include_router(router)
    inner.add_middleware(Passing)
    return in_the_app([Mount("/p", inner)])


TOGETHER: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "included": (APIRouter, _including),
    "included, its own handle": (OwnHandle, _including),
    "included, its own matches": (OwnMatches, _including),
    "included, both its own": (OwnBoth, _including),
    "mounted router": (APIRouter, lambda router: in_the_app([Mount("/p", router)])),
    "mounted router, its own handle": (OwnHandle, lambda router: in_the_app([Mount("/p", router)])),
    "mounted router, its own app": (OwnApp, lambda router: in_the_app([Mount("/p", router)])),
    "mounted app": (APIRouter, _in_a_mounted_app(lambda app: app)),
    "wrapped app": (APIRouter, _in_a_mounted_app(Wrapper)),
    "app behind middleware": (APIRouter, _in_a_mounted_app(Passing)),
    "app with middleware": (APIRouter, _within_middleware),
    "wrapped router": (APIRouter, lambda router: in_the_app([Mount("/p", Wrapper(router))])),
    "mount with middleware": (
        APIRouter,
        lambda router: in_the_app([Mount("/p", router, middleware=[Middleware(Passing)])]),
    ),
    "mount that is a route": (APIRouter, lambda router: in_the_app([MountAndRoute("/p", router)])),
    "router of a router": (
        APIRouter,
        lambda router: in_the_app([Mount("/p", Router([Mount("", router)]))]),
    ),
}


def put(router: APIRouter, guard: Any, *, takes_claims: bool, depends: bool) -> None:
    if not depends:
        router.add_api_route("/x", lambda: PlainTextResponse(SPEAKS + "x"))
        router.add_api_websocket_route("/x", talking("x"))
        return
    if not takes_claims:
        router.add_api_route(
            "/x", lambda: PlainTextResponse(SPEAKS + "x"), dependencies=[Depends(guard)]
        )
        router.add_api_websocket_route("/x", talking("x"), dependencies=[Depends(guard)])
        return

    async def endpoint(claims: Annotated[Claims | None, Depends(guard)]) -> Response:
        return PlainTextResponse(SPEAKS + ("x" if claims is None else str(claims.sub)))

    async def socket(
        websocket: WebSocket, claims: Annotated[Claims | None, Depends(guard)]
    ) -> None:
        await talking("x" if claims is None else str(claims.sub))(websocket)

    router.add_api_route("/x", endpoint)
    router.add_api_websocket_route("/x", socket)


def made(
    place: tuple[Any, Callable[[Any], Any]], requirement: Any, *, protects: bool, **options: Any
) -> Any:
    rules = dict.fromkeys(
        ["GET /p/x", "GET /x", f"{SOCKET} /p/x", f"{SOCKET} /x", "* /p/**"], requirement
    )
    guard = make_guard(ScopeMap(rules, optional=True))
    kind, make = place
    router = kind()
    put(router, guard, **options)
    app = make(router)
    return guard.protect(app, strict=False) if protects else app


CALLERS: dict[str, set[str] | None] = {"anonymous": None, "other": {"other"}, "x": {"x"}}


@pytest.mark.parametrize("method", ["GET", SOCKET])
@pytest.mark.parametrize("takes_claims", [False, True], ids=["", "with claims"])
@pytest.mark.parametrize("requirement", [PUBLIC, "x", OPTIONAL, AUTHENTICATED], ids=str)
@pytest.mark.parametrize("place", TOGETHER.values(), ids=TOGETHER)
def test_who_passes_each_alone_passes_both(
    place: Any, requirement: Any, takes_claims: bool, method: str
) -> None:
    options = {"takes_claims": takes_claims}
    protected = made(place, requirement, protects=True, depends=False, **options)
    alone = made(place, requirement, protects=False, depends=True, **options)
    both = made(place, requirement, protects=True, depends=True, **options)
    for scopes in CALLERS.values():
        answers = [call(app, method, "/p/x", scopes) for app in (protected, alone, both)]
        by_protect, by_dependency, by_both = (each.ran for each in answers)
        assert (by_both is not None) == (by_protect is not None and by_dependency is not None)
        if by_both is not None:
            assert by_both == by_dependency
