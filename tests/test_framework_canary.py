"""What of FastAPI and Starlette the guard leans on and no documentation promises.

A failure here means that a new version stores or says something otherwise: `_routes` and
`guard` want a look before that version is supported.
"""

import inspect
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Security, WebSocket
from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
    iter_route_contexts,
)
from fastapi.security.base import SecurityBase
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Router


class Probe:
    """A dependency that keeps the ASGI scope as dependencies see it."""

    def __init__(self) -> None:
        self.asgi_scope: dict[str, Any] = {}

    async def __call__(self, connection: HTTPConnection) -> None:
        self.asgi_scope = dict(connection.scope)


async def answer() -> str:
    return "ran"


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def seen_by_probe(app: FastAPI, probe: Probe, path: str) -> dict[str, Any]:
    TestClient(app).get(path)
    return probe.asgi_scope


def test_direct_route_is_named_by_the_connection() -> None:
    probe = Probe()
    app = FastAPI(dependencies=[Depends(probe)])
    app.add_api_route("/x/{i}", answer)
    seen = seen_by_probe(app, probe, "/x/1")
    assert seen["route"] is app.router.routes[-1]
    assert seen["app"] is app
    assert seen.get("fastapi", {}).get("effective_route_context") is None


def test_included_route_is_named_by_its_context() -> None:
    probe = Probe()
    router = APIRouter()
    router.add_api_route("/x/{i}", answer)
    app = FastAPI(dependencies=[Depends(probe)])
    app.include_router(router, prefix="/v1")
    seen = seen_by_probe(app, probe, "/v1/x/1")
    context = seen["fastapi"]["effective_route_context"]
    assert context.original_route is seen["route"] is router.routes[-1]
    assert context.path == "/v1/x/{i}"
    assert context.methods == {"GET"}
    assert isinstance(context.dependant, Dependant)
    walked = [found._route_context for found in iter_route_contexts(app.routes)]
    assert any(each is context for each in walked)


def test_included_socket_is_named_by_a_copy_of_its_route() -> None:
    probe = Probe()
    router = APIRouter()
    router.add_api_websocket_route("/ws/{i}", greet)
    app = FastAPI(dependencies=[Depends(probe)])
    app.include_router(router, prefix="/v1")
    with TestClient(app).websocket_connect("/v1/ws/1"):
        pass
    copy = probe.asgi_scope["route"]
    assert isinstance(copy, APIWebSocketRoute)
    assert copy is not router.routes[-1]
    assert copy.path == "/v1/ws/{i}"
    walked = [found._route_context for found in iter_route_contexts(app.routes)]
    assert any(each is not None and each.starlette_route is copy for each in walked)


def test_what_is_made_of_an_inclusion_is_kept_with_a_version() -> None:
    router, app = APIRouter(), FastAPI(openapi_url=None)
    router.add_api_route("/x", answer)
    app.include_router(router)
    (included,) = app.routes
    assert isinstance(included, _IncludedRouter)
    assert included._effective_candidates_version is None
    assert included._effective_candidates == []
    first = included.effective_candidates()
    assert included.effective_candidates() is included._effective_candidates is first
    assert included._effective_candidates_version is not None
    included._effective_candidates_version = None
    assert included.effective_candidates() is not first
    last = included.effective_low_priority_routes()
    assert included.effective_low_priority_routes() is last
    included._effective_low_priority_routes_version = None
    assert included.effective_low_priority_routes() is not last


def test_mount_keeps_the_app_that_middleware_wraps() -> None:
    app = Router()
    assert Mount("/m", app=app)._base_app is app


def test_low_priority_routes_are_listed_apart(tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("ran")
    app = FastAPI()
    app.frontend("/ui", directory=tmp_path)
    assert not any("ui" in str(getattr(route, "path", "")) for route in app.routes)
    (group,) = app.router._iter_low_priority_routes()
    assert [route.path for route in group.routes] == ["/ui"]
    assert isinstance(group.dependant, Dependant)


def test_scopes_of_security_lie_on_the_dependant() -> None:
    probe = Probe()

    async def outer(_: None = Security(probe, scopes=["b"])) -> None: ...

    route = APIRoute("/x", answer, dependencies=[Security(outer, scopes=["a"])])
    (first,) = route.dependant.dependencies
    (second,) = first.dependencies
    assert first.own_oauth_scopes == ["a"]
    assert second.call is probe
    assert (second.parent_oauth_scopes, second.own_oauth_scopes) == (["a"], ["b"])


def test_exception_handlers_are_found_in_the_connection() -> None:
    app = FastAPI()
    found: list[Any] = []

    @app.get("/x")
    async def endpoint(request: Request) -> None:
        found.append(request.scope["starlette.exception_handlers"])

    TestClient(app).get("/x")
    by_class, by_status = found[0]
    assert isinstance(by_class, dict)
    assert isinstance(by_status, dict)
    assert all(inspect.isclass(each) for each in by_class)


def test_security_schemes_are_documented_by_two_attributes() -> None:
    assert set(SecurityBase.__annotations__) == {"model", "scheme_name"}
