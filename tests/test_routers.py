"""`RouterFactory.wrap`: any router, with the guard on all of it."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import RouterFactory
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard


async def answer() -> str:
    return "ran"


async def plain(request: Request) -> Response:
    return PlainTextResponse("ran")


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def test_wrapped_router_is_guarded_under_its_prefix() -> None:
    guard = make_guard({"GET /v1/r/x": "a", "GET /v1": "b", "WEBSOCKET /v1/r/ws": "w"})
    inner, router = APIRouter(prefix="/r"), APIRouter()
    inner.add_api_route("/x", answer)
    inner.add_api_websocket_route("/ws", greet)
    router.include_router(inner)
    router.add_api_route("", answer)
    app = FastAPI(openapi_url=None)
    app.include_router(RouterFactory(guard).wrap(router, prefix="/v1"))
    guard.check(app, raise_on_gap=True)
    client = TestClient(app)
    assert client.get("/v1/r/x").status_code == 401
    assert client.get("/v1/r/x", headers=bearer("a")).status_code == 200
    assert client.get("/v1", headers=bearer("a")).status_code == 403
    with (
        pytest.raises(WebSocketDenialResponse),
        client.websocket_connect("/v1/r/ws", headers=bearer("a")),
    ):
        pass


def test_prefix_of_the_inclusion_comes_first() -> None:
    guard = make_guard({"GET /api/v1/x": "a"})
    router, app = APIRouter(), FastAPI()
    router.add_api_route("/x", answer)
    app.include_router(RouterFactory(guard).wrap(router, prefix="/v1"), prefix="/api")
    assert TestClient(app).get("/api/v1/x", headers=bearer("a")).status_code == 200
    assert TestClient(app).get("/api/v1/x", headers=bearer("b")).status_code == 403


def test_router_itself_stays_as_it_is() -> None:
    router = APIRouter()
    router.add_api_route("/x", answer)
    RouterFactory(make_guard({})).wrap(router)
    app = FastAPI()
    app.include_router(router)
    assert TestClient(app).get("/x").status_code == 200


def test_contents_out_of_reach_are_refused_by_name(tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("ran")
    inner, router = APIRouter(), APIRouter(prefix="/r")
    inner.add_route("/plain", plain)
    inner.add_websocket_route("/ws", greet)
    router.mount("/static", StaticFiles(directory=tmp_path))
    router.mount("/app", FastAPI())
    router.frontend("/ui", directory=tmp_path)
    router.add_api_route("/x", answer)
    router.include_router(inner, prefix="/inner")
    with pytest.raises(ConfigurationError) as raised:
        RouterFactory(make_guard({})).wrap(router, prefix="/v1")
    assert sorted(map(str, raised.value.problems)) == [
        f"no dependency reaches {named}; take it out of the router"
        for named in (
            "'/v1/app/**' (mounted ASGI app)",
            "'/v1/r/inner/plain' (plain route)",
            "'/v1/r/inner/ws' (plain WebSocket route)",
            "'/v1/r/ui/**' (frontend)",
            "'/v1/static/**' (mounted ASGI app)",
        )
    ]


def test_content_added_later_out_of_reach_is_named_by_the_check() -> None:
    guard = make_guard({"GET /plain": "a"})
    router, app = APIRouter(), FastAPI(openapi_url=None)
    app.include_router(RouterFactory(guard).wrap(router))
    router.add_route("/plain", plain, methods=["GET"])
    assert any("'GET /plain'" in problem for problem in guard.check(app).problems)
