"""Notices of mounted apps that lead back to the app that they are mounted in."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router

from tests.apps import make_guard


def make_api() -> FastAPI:
    api = FastAPI()
    api.add_api_route("/users", lambda: "users")
    api.add_api_route("/orders", lambda: "orders")
    return api


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")


def in_a_closure(app: Any) -> Starlette:
    client = client_of(app)

    async def ask(request: Request) -> Response:
        answer = await client.get("/users", headers={"x": request.url.path})
        return PlainTextResponse(answer.text, answer.status_code)

    return Starlette(routes=[Route("/ask", ask)])


def in_its_state(app: Any) -> Starlette:
    calling = Starlette()
    calling.state.server = SimpleNamespace(providers=[{"api": (client_of(app),)}])
    return calling


def in_an_object(app: Any) -> Any:
    class Calling:
        def __init__(self) -> None:
            self.client = client_of(app)

        async def __call__(self, *connection: Any) -> None: ...

    return Calling()


CALLING: list[Callable[[Any], Any]] = [in_a_closure, in_its_state, in_an_object]
HOW = ["protect", "dependency"]


def notices(app: Starlette, how: str) -> list[str]:
    guard = make_guard({"* /**": "any"})
    found = guard.check(guard.protect(app) if how == "protect" else app).notices
    return [each for each in found if "within the process" in each or "made of" in each]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("wrap", [None, CORSMiddleware], ids=["bare", "wrapped"])
@pytest.mark.parametrize("make", CALLING)
def test_mounted_app_that_calls_the_app_is_named(
    make: Callable[[Any], Any], wrap: Any, how: str
) -> None:
    app = make_api()
    calling = make(app)
    app.mount("/mcp", calling if wrap is None else wrap(calling))
    (notice,) = notices(app, how)
    assert "'/mcp/**' calls the app at '/'" in notice
    assert "Authorization" in notice


@pytest.mark.parametrize("how", HOW)
def test_mounted_app_that_calls_another_is_named_with_that(how: str) -> None:
    api, app = make_api(), FastAPI()
    app.mount("/api", api)
    app.mount("/mcp", in_its_state(api))
    (notice,) = notices(app, how)
    assert "'/mcp/**' calls the app at '/api'" in notice


@pytest.mark.parametrize("how", HOW)
def test_client_of_another_app_is_not_named(how: str) -> None:
    app = make_api()
    app.mount("/mcp", in_its_state(make_api()))
    assert notices(app, how) == []


@pytest.mark.parametrize("how", HOW)
def test_client_that_an_app_has_of_itself_is_not_named(how: str) -> None:
    api, app = make_api(), FastAPI()
    api.state.client = client_of(api)
    app.mount("/api", api)
    assert notices(app, how) == []


def including(app: FastAPI) -> Starlette:
    made = FastAPI()
    made.include_router(app.router)
    return made


def copying(app: FastAPI) -> Starlette:
    return Starlette(routes=app.routes[-2:])


def copying_into_a_mount(app: FastAPI) -> Starlette:
    return Starlette(routes=[Mount("/deep", Router(app.routes[-2:]))])


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("make", [including, copying, copying_into_a_mount])
def test_mounted_app_that_is_made_of_the_routes_is_named(
    make: Callable[[FastAPI], Starlette], how: str
) -> None:
    app = make_api()
    app.mount("/v0", make(app))
    (notice,) = notices(app, how)
    assert "the app at '/v0' is made of routes of the app at '/'" in notice
    assert "/users'" in notice
    assert "/orders'" in notice
    assert "docs" not in notice


@pytest.mark.parametrize("how", HOW)
def test_app_that_is_made_of_all_routes_is_named_when_more_came(how: str) -> None:
    app = make_api()
    app.mount("/v0", FastAPI(routes=app.routes))
    app.add_api_route("/later", lambda: "later")
    assert len(notices(app, how)) == 1


@pytest.mark.parametrize("how", HOW)
def test_apps_that_share_a_router_are_not_named(how: str) -> None:
    router, app = APIRouter(), make_api()
    router.add_api_route("/users", lambda: "users")
    app.include_router(router)
    for version in ("/v1", "/v2"):
        inner = FastAPI()
        inner.include_router(router)
        app.mount(version, inner)
    assert notices(app, how) == []


@pytest.mark.parametrize("how", HOW)
def test_app_that_holds_very_much_is_looked_at_in_part(how: str) -> None:
    app, mounted = make_api(), Starlette()
    mounted.state.much = [[SimpleNamespace(at=index)] for index in range(50_000)]
    app.mount("/much", mounted)
    assert notices(app, how) == []
