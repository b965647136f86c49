"""What a gap does to an app that serves already."""

import logging
from collections.abc import Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Route
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import PUBLIC, ScopeMap
from tests.apps import MakeHeaders, bearer, make_guard
from tests.perimeter.small import answer, forged, make_app, opaque, plain

LATE_GAP = (
    b'{"type":"urn:fastapi-scopes:problem:verifier_unavailable",'
    b'"title":"Verification unavailable","status":503,'
    b'"detail":"tokens cannot be verified now","code":"verifier_unavailable"}'
)


CALLERS = pytest.mark.parametrize(
    "make_headers", [dict, lambda: bearer("a"), forged], ids=["anonymous", "valid", "invalid"]
)


@CALLERS
def test_late_gap_is_503_for_everyone_from_the_first_request_on(
    make_headers: MakeHeaders,
) -> None:
    headers = make_headers()
    app = make_app("/a", "/open", "/forgotten")
    app.add_api_websocket_route("/ws", opaque)
    rules = {"GET /a": "a", "GET /open": PUBLIC, "WEBSOCKET /ws": PUBLIC}
    client = TestClient(make_guard(rules).protect(app))
    for path in ("/open", "/a", "/forgotten", "/unknown", "/open"):
        response = client.get(path, headers=headers)
        assert (response.status_code, response.content) == (503, LATE_GAP)
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) >= 1
        assert "www-authenticate" not in response.headers
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/ws", headers=headers),
    ):
        pass
    assert (refused.value.status_code, refused.value.content) == (503, LATE_GAP)
    # Mended while it serves, it stays shut: who runs it has to see the gap.
    app.router.routes[:] = [app.router.routes[0]]
    assert client.get("/a", headers=headers).status_code == 503


def test_late_gap_is_logged_whole_and_once(caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(make_guard({}).protect(make_app("/a", "/b")))
    with caplog.at_level(logging.WARNING, "fastapi_scopes"):
        client.get("/a")
        client.get("/b")
    assert caplog.messages == [
        "no rule for 'GET /a'; add one, or map it to PUBLIC",
        "no rule for 'GET /b'; add one, or map it to PUBLIC",
    ]


def test_app_without_a_gap_is_served_where_no_lifespan_runs() -> None:
    client = TestClient(make_guard({"GET /a": "a"}).protect(make_app("/a")))
    assert client.get("/a").status_code == 401
    assert client.get("/a", headers=bearer("a")).status_code == 200


def test_app_that_protects_itself_in_its_lifespan_is_looked_at_by_the_first_request() -> None:
    guard = make_guard({"GET /a": PUBLIC})

    @asynccontextmanager
    async def protecting(app: FastAPI) -> Any:
        guard.protect(app)
        yield

    with TestClient(make_app("/a", lifespan=protecting)) as client:
        assert client.get("/a").status_code == 200
    with TestClient(make_app("/a", "/b", lifespan=protecting)) as client:
        assert client.get("/a").status_code == 503


@pytest.mark.parametrize("starts", [True, False], ids=["lifespan", "no lifespan"])
def test_gap_is_logged_and_denied_where_it_is_tolerated(
    caplog: pytest.LogCaptureFixture, starts: bool
) -> None:
    app = make_app("/a", "/open", "/forgotten")
    guard = make_guard({"GET /a": "a", "GET /open": PUBLIC, "GET /dead": "a"})
    client = TestClient(guard.protect(app, strict=False))
    with (
        caplog.at_level(logging.WARNING, "fastapi_scopes"),
        client if starts else nullcontext(),
    ):
        assert client.get("/open").status_code == 200
        assert client.get("/forgotten").status_code == 401
        refused = client.get("/forgotten", headers=bearer("a"))
        assert client.get("/a", headers=bearer("a")).status_code == 200
    assert refused.status_code == 403
    assert refused.json()["code"] == "forbidden"
    assert [each for each in caplog.messages if not each.startswith("refused ")] == [
        "no rule for 'GET /forgotten'; add one, or map it to PUBLIC",
        "'GET /dead' matches no endpoint; correct it, or take it out",
    ]


def _add_route(app: FastAPI) -> None:
    app.add_api_route("/late", answer)


def _include(app: FastAPI) -> None:
    router = APIRouter()
    router.add_api_route("/late", answer)
    app.include_router(router)


def _append(app: FastAPI) -> None:
    app.router.routes.append(Route("/late", plain))


def _mount(app: FastAPI) -> None:
    app.mount("", make_app("/late"))


@pytest.mark.parametrize("add", [_add_route, _include, _append, _mount])
@pytest.mark.parametrize("prepared", [False, True], ids=["no rule", "rule"])
def test_route_that_comes_after_the_start_is_denied_unless_a_rule_waits_for_it(
    add: Callable[[FastAPI], None], prepared: bool
) -> None:
    rules = ScopeMap({"GET /late": "late"} if prepared else {}, optional=True)
    app = make_guard(rules | {"GET /a": PUBLIC}).protect(make_app("/a"))
    with TestClient(app) as client:
        assert client.get("/late").status_code == 404
        add(app)
        assert client.get("/late").status_code == 401
        assert client.get("/late", headers=bearer()).status_code == 403
        status = client.get("/late", headers=bearer("late")).status_code
        assert status == (200 if prepared else 403)
        assert client.get("/a").status_code == 200
