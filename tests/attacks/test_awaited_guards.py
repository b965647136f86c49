"""Attacks by what is around a guard: the scopes of ``Security`` are asked for all the same."""

import functools
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import Mount
from starlette.websockets import WebSocket

from fastapi_scopes import AUTHENTICATED, OPTIONAL, PUBLIC, Claims, ScopeGuard, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard
from tests.perimeter.calling import SOCKET, SPEAKS, call, talking
from tests.perimeter.places import make_app

Guard = ScopeGuard[Any]
Around = Callable[[Guard], Any]
"""Makes of a guard what a route depends on instead."""


def _wrapped(guard: Any) -> Any:
    @functools.wraps(guard)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        return await guard(*arguments, **named)

    return wrapped


def _class(guard: Guard) -> Any:
    class Current:
        def __init__(self, claims: Annotated[Any, Depends(guard)]) -> None:
            self.claims = claims

    return Current


def _instance(guard: Guard) -> Any:
    class Current:
        async def __call__(self, claims: Annotated[Any, Depends(guard)]) -> Any:
            return claims

    return Current()


def _generator(guard: Guard) -> Any:
    async def current(claims: Annotated[Any, Depends(guard)]) -> AsyncIterator[Any]:
        yield claims

    return current


def _function(guard: Guard) -> Any:
    def current(claims: Annotated[Any, Depends(guard)]) -> Any:
        return claims

    return current


def _nested(guard: Guard) -> Any:
    between = functools.partial(guard.__call__)

    async def inner(claims: Annotated[Any, Depends(_wrapped(between))]) -> Any:
        return claims

    async def outer(claims: Annotated[Any, Depends(inner)]) -> Any:
        return claims

    return functools.partial(outer)


def _recipe(guard: Guard) -> Any:
    """FastAPI's own: its documentation reads the token in such a function."""

    async def current(scopes: SecurityScopes, connection: HTTPConnection) -> Any:
        return await guard(connection)

    return current


def _recipe_in_a_class(guard: Guard) -> Any:
    class Current:
        async def __call__(self, connection: HTTPConnection) -> Any:
            return await guard(connection)

    return Current()


def _recipe_below_another(guard: Guard) -> Any:
    async def outer(claims: Annotated[Any, Depends(_recipe(guard))]) -> Any:
        return claims

    return outer


IN_THE_TREE: dict[str, Around] = {
    "the guard": lambda guard: guard,
    "partial": functools.partial,
    "bound call": lambda guard: guard.__call__,
    "partial of bound call": lambda guard: functools.partial(guard.__call__),
    "partial of a partial": lambda guard: functools.partial(functools.partial(guard)),
    "wrapped": _wrapped,
    "wrapped bound call": lambda guard: _wrapped(guard.__call__),
    "wrapped partial": lambda guard: _wrapped(functools.partial(guard)),
    "class": _class,
    "instance": _instance,
    "generator": _generator,
    "function": _function,
    "nested": _nested,
}
AWAITED: dict[str, Around] = {
    "recipe": _recipe,
    "recipe in a class": _recipe_in_a_class,
    "recipe below another": _recipe_below_another,
}
AROUND = IN_THE_TREE | AWAITED


def put(router: APIRouter, dependency: Any) -> None:
    async def endpoint() -> Response:
        return PlainTextResponse(SPEAKS + "x")

    async def socket(websocket: WebSocket) -> None:
        await talking("x")(websocket)

    router.add_api_route("/x", endpoint, dependencies=[dependency])
    router.add_api_websocket_route("/x", socket, dependencies=[dependency])


def _in_the_app(dependency: Any) -> tuple[FastAPI, str]:
    app = make_app()
    put(app.router, dependency)
    return app, "/x"


def _included(dependency: Any) -> tuple[FastAPI, str]:
    app, between, router = make_app(), APIRouter(), APIRouter()
    put(router, dependency)
    between.include_router(router)
    app.include_router(between, prefix="/i")
    return app, "/i/x"


def _asked_by_the_inclusion(dependency: Any) -> tuple[FastAPI, str]:
    app, router = make_app(), APIRouter()
    put(router, Depends(lambda: None))
    app.include_router(router, prefix="/i", dependencies=[dependency])
    return app, "/i/x"


def _mounted_router(dependency: Any) -> tuple[FastAPI, str]:
    app, router = make_app(), APIRouter()
    put(router, dependency)
    app.router.routes.append(Mount("/m", router))
    return app, "/m/x"


def _mounted_app(dependency: Any) -> tuple[FastAPI, str]:
    app, inner = make_app(), make_app()
    put(inner.router, dependency)
    app.mount("/m", inner)
    return app, "/m/x"


PLACES = [_in_the_app, _included, _asked_by_the_inclusion, _mounted_router, _mounted_app]


def rules_of(requirement: Any) -> dict[str, Any]:
    # In an app that is mounted, a dependency is ruled by keys of that app.
    return {
        f"{method} {path}": requirement
        for method in ("GET", SOCKET)
        for path in ("/x", "/i/x", "/m/x")
    }


def guard_of(requirement: Any) -> Guard:
    return make_guard(ScopeMap(rules_of(requirement), optional=True))


@pytest.mark.parametrize("requirement", [AUTHENTICATED, "read"], ids=["authenticated", "scope"])
@pytest.mark.parametrize("is_protected", [True, False], ids=["protected", "alone"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_scopes_are_asked_for_whatever_is_around_the_guard(
    around: Around, place: Any, is_protected: bool, requirement: Any
) -> None:
    guard = guard_of(requirement)
    app, path = place(Security(around(guard), scopes=["items"]))
    if is_protected:
        guard.protect(app)
    enough = {"items"} | ({"read"} if requirement == "read" else set())
    for method in ("GET", SOCKET):
        assert call(app, method, path).status == 401
        for scopes in ({"other"}, {"read"}, enough - {"items"}):
            assert call(app, method, path, scopes).status == 403
        assert call(app, method, path, enough).ran == "x"


@pytest.mark.parametrize("is_protected", [True, False], ids=["protected", "alone"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_public_rule_does_not_open_what_asks_for_scopes(
    around: Around, place: Any, is_protected: bool
) -> None:
    guard = guard_of(PUBLIC)
    app, path = place(Security(around(guard), scopes=["items"]))
    if is_protected:
        guard.protect(app, strict=False)
    for method in ("GET", SOCKET):
        for scopes in (None, {"other"}):
            assert call(app, method, path, scopes).ran is None


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("around", IN_THE_TREE.values(), ids=IN_THE_TREE)
def test_scopes_of_a_public_route_are_an_error_at_the_start(around: Around, place: Any) -> None:
    guard = guard_of(PUBLIC)
    app, _ = place(Security(around(guard), scopes=["items"]))
    guard.protect(app)
    with pytest.raises(ConfigurationError, match="items"), TestClient(app):
        pass


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("around", AWAITED.values(), ids=AWAITED)
def test_scopes_that_no_guard_takes_are_said_and_stop_nothing(around: Around, place: Any) -> None:
    guard = guard_of(AUTHENTICATED)
    app, path = place(Security(around(guard), scopes=["items"]))
    guard.protect(app)
    coverage = guard.check(app, raise_on_gap=True)
    said = [each for each in coverage.notices if "which no guard takes" in each]
    assert said
    assert all(each.startswith(f"{path!r} asks for 'items' of ") for each in said)
    with TestClient(app):
        assert call(app, "GET", path, {"items"}).ran == "x"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("around", IN_THE_TREE.values(), ids=IN_THE_TREE)
def test_scopes_that_the_guard_takes_are_no_notice(around: Around, place: Any) -> None:
    guard = guard_of(AUTHENTICATED)
    app, _ = place(Security(around(guard), scopes=["items"]))
    guard.protect(app)
    assert [each for each in guard.check(app).notices if "no guard takes" in each] == []


def test_scopes_of_a_dependency_that_awaits_no_guard_open_and_close_nothing() -> None:
    """They are for code of the developer's; the notice says so."""
    guard = guard_of(AUTHENTICATED)

    async def unrelated(scopes: SecurityScopes) -> list[str]:
        return scopes.scopes

    app, path = _in_the_app(Security(unrelated, scopes=["items"]))
    guard.protect(app)
    assert call(app, "GET", path).status == 401
    assert call(app, "GET", path, {"other"}).ran == "x"
    assert any("which no guard takes" in each for each in guard.check(app).notices)


@pytest.mark.parametrize("is_protected", [True, False], ids=["protected", "alone"])
def test_recipe_has_the_claims_of_its_caller(is_protected: bool) -> None:
    guard, app = guard_of(AUTHENTICATED), make_app()

    @app.get("/x")
    async def endpoint(
        claims: Annotated[Claims, Security(_recipe(guard), scopes=["items"])],
    ) -> list[str]:
        return [claims.sub or "", *sorted(claims.scopes)]

    if is_protected:
        guard.protect(app, strict=False)
    assert call(app, "GET", "/x", {"items", "more"}).text == '["alice","items","more"]'
    assert call(app, "GET", "/x", {"more"}).status == 403


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_optional_rule_with_scopes_lets_nobody_in_without_them(around: Around) -> None:
    guard = guard_of(OPTIONAL)
    app, path = _in_the_app(Security(around(guard), scopes=["items"]))
    guard.protect(app, strict=False)
    for scopes in (None, {"other"}):
        assert call(app, "GET", path, scopes).ran is None
