"""Attacks by the name of a method: words of keys, and methods that are not registered."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.routing import Route

from fastapi_scopes import PUBLIC
from fastapi_scopes.authorization import Rulebook
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate
from tests.apps import bearer, make_guard
from tests.perimeter.calling import call
from tests.perimeter.small import answer, opaque

WORDS = ["WEBSOCKET", "MOUNT", "TOOL", "PROMPT", "RESOURCE"]


class AnyMethod:
    async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
        await opaque(asgi_scope, receive, send)


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def behind_a_perimeter(rules: dict[str, Any], *methods: str) -> TestClient:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/declared", answer, methods=list(methods) or ["GET"])
    app.router.routes.append(Route("/any", AnyMethod()))
    app.add_api_websocket_route("/ws", greet)
    app.mount("/opaque", opaque)
    return TestClient(make_guard(rules).protect(app, strict=False))


def by_dependency(rules: dict[str, Any], *methods: str) -> TestClient:
    app = FastAPI(openapi_url=None, dependencies=[Depends(make_guard(rules))])
    app.add_api_route("/declared", answer, methods=list(methods) or ["GET"])
    return TestClient(app)


@pytest.fixture(params=[behind_a_perimeter, by_dependency], ids=["perimeter", "dependency"])
def build(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("word", WORDS)
def test_http_method_by_the_name_of_a_word_is_ruled_by_star_alone(build: Any, word: str) -> None:
    named: dict[str, Any] = {"WEBSOCKET /**": PUBLIC, "MOUNT /declared": PUBLIC, "MOUNT /": PUBLIC}
    client = build({**named, "* /declared": "star"}, word)
    assert client.request(word, "/declared").status_code == 401
    assert client.request(word, "/declared", headers=bearer("other")).status_code == 403
    assert client.request(word, "/declared", headers=bearer("star")).status_code == 200
    client = build(named, word)
    assert client.request(word, "/declared", headers=bearer("star")).status_code == 403


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("path", ["/any", "/opaque/x"])
def test_rule_of_sockets_opens_no_http_request(word: str, path: str) -> None:
    client = behind_a_perimeter({"WEBSOCKET /**": PUBLIC, "* /**": "star"})
    # Once bound, the rule of the socket is not taken for that of the method.
    with client.websocket_connect("/ws"):
        pass
    assert client.request(word, path).status_code == 401
    assert client.request(word, path, headers=bearer("star")).status_code == 200
    assert client.request(word, "/ws").status_code == 404


@pytest.mark.parametrize("path", ["/any", "/opaque/x"])
def test_method_that_the_map_names_is_not_open_in_another_spelling(path: str) -> None:
    # The client writes what it sends in upper case, so the app is called without one.
    app = behind_a_perimeter({"* /**": PUBLIC, "PURGE /**": "purge"}).app
    expected = {"PURGE": 200, "purge": 403, "Purge": 403, "BAN": 200, "ban": 200}
    assert {each: call(app, each, path, ["purge"]).status for each in expected} == expected
    for method in ("PURGE", "purge"):
        assert call(app, method, path).status == 401


def test_method_that_is_not_registered_is_ruled_where_it_is_declared(build: Any) -> None:
    client = build({"PURGE /declared": "purge", "* /declared": "star"}, "PURGE", "GET", "BAN")
    assert client.request("PURGE", "/declared", headers=bearer("star")).status_code == 403
    assert client.request("PURGE", "/declared", headers=bearer("purge")).status_code == 200
    assert client.request("BAN", "/declared", headers=bearer("purge")).status_code == 403
    assert client.request("BAN", "/declared", headers=bearer("star")).status_code == 200


class AnyRoute:
    """A route that answers any method."""

    template = RouteTemplate.parse("/a")
    kind = Kind.ROUTE
    scopes = ()

    def __init__(self) -> None:
        self.rules_by_method: dict[str, Any] = {}


def test_invented_methods_are_bound_once_together() -> None:
    rules, route = Rulebook(ScopeMap({"* /**": "a", "PURGE /a": "p"})), AnyRoute()
    found = [rules.rule_for(f"M{number}", route) for number in range(1000)]
    assert {rule and rule.key for rule in found} == {"* /**"}
    assert len(route.rules_by_method) == 1
    purge = rules.rule_for("PURGE", route)
    assert purge is not None
    assert purge.key == "PURGE /a"
    assert rules.rule_for("purge", route) is None
    assert len(route.rules_by_method) == 2
