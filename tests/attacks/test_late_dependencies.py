"""Dependencies that libraries put on routes after a guard looked at them, before the first request.

FastAPI makes a copy of each included route when the first connection comes, and keeps that. Who
looked earlier and let it stay would hide what came meanwhile.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Security
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, request_response
from fastapi.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from fastapi_scopes import PUBLIC
from tests.apps import bearer, make_guard


def as_own(app: FastAPI, router: APIRouter) -> str:
    app.router.routes.extend(router.routes)
    return ""


def as_included(app: FastAPI, router: APIRouter) -> str:
    app.include_router(router, prefix="/v1")
    return "/v1"


def as_nested(app: FastAPI, router: APIRouter) -> str:
    outer = APIRouter()
    outer.include_router(router, prefix="/v1")
    app.include_router(outer, prefix="/api")
    return "/api/v1"


def as_mounted(app: FastAPI, router: APIRouter) -> str:
    inner = FastAPI(openapi_url=None)
    inner.include_router(router, prefix="/v1")
    app.mount("/m", inner)
    return "/m/v1"


PLACES: list[Callable[[FastAPI, APIRouter], str]] = [as_own, as_included, as_nested, as_mounted]


def make_router() -> APIRouter:
    router = APIRouter()
    router.add_api_route("/x", lambda: "ran")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("ran")
        await websocket.close()

    router.add_api_websocket_route("/ws", socket)
    return router


def put(router: APIRouter, dependency: Any) -> None:
    """Put *dependency* on all routes, as libraries do it that change routes in place."""
    for route in router.routes:
        assert isinstance(route, APIRoute | APIWebSocketRoute)
        route.dependencies.append(dependency)
        added = get_parameterless_sub_dependant(depends=dependency, path=route.path_format)
        route.dependant.dependencies.append(added)
        if isinstance(route, APIRoute):
            route.app = request_response(route.get_route_handler())


def nobody() -> None:
    raise HTTPException(403)


def protecting(guard: Any, app: FastAPI) -> None:
    guard.protect(app)


def protecting_and_checking(guard: Any, app: FastAPI) -> None:
    guard.check(guard.protect(app))


def checking(guard: Any, app: FastAPI) -> None:
    guard.check(app)


def documenting(guard: Any, app: FastAPI) -> None:
    guard.document(app)


def checking_twice(guard: Any, app: FastAPI) -> None:
    guard.check(guard.document(app))
    guard.check(app)


def explaining(guard: Any, app: FastAPI) -> None:
    for path in ("/x", "/v1/x", "/api/v1/x", "/m/v1/x"):
        guard.explain(app, "GET", path)
        guard.explain(app, "WEBSOCKET", path.replace("x", "ws"))


def protecting_and_explaining(guard: Any, app: FastAPI) -> None:
    explaining(guard, guard.protect(app))


LOOKS = [
    *(protecting, protecting_and_checking, protecting_and_explaining),
    *(checking, documenting, checking_twice, explaining),
]
GUARDING = [protecting, protecting_and_checking, protecting_and_explaining]


@pytest.fixture(params=["lifespan", "none"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[[FastAPI], TestClient]]:
    clients: list[TestClient] = []

    def client_of(app: FastAPI) -> TestClient:
        client = TestClient(app)
        if request.param == "lifespan":
            client.__enter__()
            clients.append(client)
        return client

    yield client_of
    for client in clients:
        client.__exit__()


def answer_of(client: TestClient, path: str, headers: dict[str, str]) -> list[Any]:
    socket: Any = None
    try:
        with client.websocket_connect(f"{path}/ws", headers=headers) as session:
            socket = session.receive_text()
    except WebSocketDisconnect:
        socket = "refused"
    return [client.get(f"{path}/x", headers=headers).status_code, socket]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("place", PLACES)
def test_check_that_is_put_on_a_route_after_a_look_runs(
    place: Callable[[FastAPI, APIRouter], str],
    look: Callable[[Any, FastAPI], None],
    serve: Callable[[FastAPI], TestClient],
) -> None:
    app, router = FastAPI(openapi_url=None), make_router()
    path = place(app, router)
    look(make_guard({"* /**": PUBLIC, "WEBSOCKET /**": PUBLIC}), app)
    put(router, Depends(nobody))
    status, socket = answer_of(serve(app), path, {})
    assert [status, socket] == [403, "refused"]


@pytest.mark.parametrize("look", GUARDING)
@pytest.mark.parametrize("place", PLACES)
def test_scopes_that_are_put_on_a_route_after_a_look_are_asked_for(
    place: Callable[[FastAPI, APIRouter], str],
    look: Callable[[Any, FastAPI], None],
    serve: Callable[[FastAPI], TestClient],
) -> None:
    app, router = FastAPI(openapi_url=None), make_router()
    path = place(app, router)
    guard = make_guard({"* /**": "low", "WEBSOCKET /**": "low"})
    look(guard, app)
    put(router, Security(guard, scopes=["admin"]))
    client = serve(app)
    assert answer_of(client, path, bearer("low")) == [403, "refused"]
    assert answer_of(client, path, bearer("low", "admin")) == [200, "ran"]


@pytest.mark.parametrize("place", PLACES)
def test_scopes_that_are_put_on_a_route_in_the_lifespan_are_asked_for(
    place: Callable[[FastAPI, APIRouter], str],
) -> None:
    router, guard = make_router(), make_guard({"* /**": "low", "WEBSOCKET /**": "low"})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        put(router, Security(guard, scopes=["admin"]))
        yield

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    path = place(app, router)
    guard.protect(app)
    with TestClient(app) as client:
        assert answer_of(client, path, bearer("low")) == [403, "refused"]
        assert answer_of(client, path, bearer("low", "admin")) == [200, "ran"]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("place", PLACES)
def test_what_else_is_changed_of_a_route_after_a_look_holds(
    place: Callable[[FastAPI, APIRouter], str],
    look: Callable[[Any, FastAPI], None],
    serve: Callable[[FastAPI], TestClient],
) -> None:
    app, router = FastAPI(openapi_url=None), make_router()
    path = place(app, router)
    look(make_guard({"* /**": PUBLIC}), app)
    (route, _) = router.routes
    assert isinstance(route, APIRoute)
    route.status_code = 201
    route.app = request_response(route.get_route_handler())
    assert serve(app).get(f"{path}/x").status_code == 201


@pytest.mark.parametrize("place", [as_own, as_included, as_nested])
def test_guard_of_another_map_finds_routes_that_a_perimeter_looked_at(
    place: Callable[[FastAPI, APIRouter], str], serve: Callable[[FastAPI], TestClient]
) -> None:
    router = APIRouter()
    app = FastAPI(openapi_url=None)
    inner = make_guard({"* /**": "inner"})
    router.add_api_route("/x", lambda: "ran", dependencies=[Depends(inner)])
    path = place(app, router)
    inner.check(app)
    outer = make_guard({"* /**": "outer"})
    outer.check(outer.protect(app))
    inner.check(app)
    client = serve(app)
    for _ in range(2):
        assert client.get(f"{path}/x", headers=bearer("outer")).status_code == 403
        assert client.get(f"{path}/x", headers=bearer("inner")).status_code == 403
        assert client.get(f"{path}/x", headers=bearer("outer", "inner")).status_code == 200
        inner.check(app)
        outer.check(app)
