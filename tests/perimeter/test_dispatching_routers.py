"""Routers that lead to ordinary ones by a header, as libraries for versions of an API have them."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from fastapi_scopes import ScopeGuard
from tests.apps import make_guard
from tests.perimeter.calling import SOCKET, SPEAKS, call, talking
from tests.perimeter.other_ways import with_stack
from tests.perimeter.places import make_app

VERSIONS = ("1", "2")


class ByCall(APIRouter):
    """Has a router for each version, and the framework's router for none."""

    versions: dict[str, APIRouter]

    def chosen(self, scope: Scope) -> APIRouter:
        return self.versions[dict(scope["headers"]).get(b"version", b"1").decode()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await self.chosen(scope)(scope, receive, send)


class ByMatching(APIRouter):
    versions: dict[str, APIRouter]
    chosen = ByCall.chosen

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().app(scope, receive, send)
        else:
            await self.chosen(scope)(scope, receive, send)


KINDS = [ByCall, ByMatching]


def add_versions(app: FastAPI, guard: ScopeGuard[Any] | None = None) -> None:
    """Put a route and a socket into a router of each version."""
    dependencies = [] if guard is None else [Depends(guard)]
    for version in VERSIONS:
        inner = APIRouter(dependencies=dependencies)
        inner.add_api_route("/x", saying(version))
        inner.add_api_websocket_route("/ws", talking(version))
        app.router.versions[version] = inner  # type: ignore[attr-defined]


def saying(name: str) -> Callable[[], Response]:
    return lambda: PlainTextResponse(SPEAKS + name)


def dispatching(kind: Any) -> FastAPI:
    app = make_app()
    app.router = kind(dependency_overrides_provider=app)
    app.router.versions = {}  # type: ignore[attr-defined]
    return app


def assert_ruled(app: Any) -> None:
    for method, path in (("GET", "/x"), (SOCKET, "/ws"), ("GET", "/unknown")):
        for version in VERSIONS:
            fields = {"version": version}
            assert call(app, method, path, fields=fields).status == 401
            assert call(app, method, path, {"other"}, fields=fields).status == 403
            answer = call(app, method, path, {"secret"}, fields=fields)
            assert answer.ran == (None if path == "/unknown" else version)


@pytest.mark.parametrize("key", ["* /**", "MOUNT /"])
@pytest.mark.parametrize("where", ["", "/"])
@pytest.mark.parametrize("kind", KINDS)
def test_dispatching_app_that_is_mounted_is_ruled_as_an_opaque_one(
    kind: Any, where: str, key: str
) -> None:
    inner, app = dispatching(kind), make_app()
    app.mount(where, inner)
    guard = make_guard({key: "secret"})
    guard.protect(app)
    add_versions(inner)
    with TestClient(app):
        assert_ruled(app)
    (covered,) = guard.check(app).endpoints
    assert str(covered.endpoint.template) == "/**"


@pytest.mark.parametrize("kind", KINDS)
def test_dispatching_app_is_ruled_as_an_opaque_one_by_whatever_way(kind: Any) -> None:
    app = dispatching(kind)
    guard = make_guard({"* /**": "secret"})
    guard.protect(app)
    add_versions(app)
    with TestClient(app):
        assert_ruled(app)
    assert_ruled(with_stack(app.router))
    outer = make_app()
    outer.router.routes.append(Mount("", app.router))
    assert_ruled(outer)
    (covered,) = guard.check(app).endpoints
    assert str(covered.endpoint.template) == "/**"


@pytest.mark.parametrize("kind", KINDS)
def test_check_of_a_dispatching_app_calls_no_rule_dead(kind: Any) -> None:
    app = dispatching(kind)
    guard = make_guard({"GET /x": "secret", "WEBSOCKET /ws": "secret"})
    add_versions(app, guard)
    coverage = guard.check(app)
    assert coverage.problems == ()
    assert [each for each in coverage.notices if "'GET /x'" in each]


@pytest.mark.parametrize("kind", KINDS)
def test_dependency_in_a_dispatching_app_denies_until_its_routes_are_listed(kind: Any) -> None:
    app = dispatching(kind)
    guard = make_guard({"GET /x": "secret"})
    add_versions(app, guard)
    assert call(app, "GET", "/x", {"secret"}).status == 403
    for inner in app.router.versions.values():  # type: ignore[attr-defined]
        app.router.routes.extend(inner.routes)
    for version in VERSIONS:
        fields = {"version": version}
        assert call(app, "GET", "/x", fields=fields).status == 401
        assert call(app, "GET", "/x", {"other"}, fields=fields).status == 403
        assert call(app, "GET", "/x", {"secret"}, fields=fields).ran == version
