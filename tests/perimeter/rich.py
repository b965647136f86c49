"""An app with an endpoint of every kind that a server can be asked for."""

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from fastapi_scopes import PUBLIC, Claims, ScopeGuard
from tests.apps import make_guard
from tests.perimeter.serving import PATIENCE

HOST = "Host: api.example.org"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: the rule's key, a request that leads there, and its own scope."""

    scope: str
    key: str
    target: str
    method: str = "GET"
    fields: tuple[str, ...] = ()
    answer: str = ""
    """Text of the body that no other endpoint has; the scope where it is not said."""

    @property
    def expected(self) -> str:
        return self.answer or self.scope

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


ENDPOINTS = [
    Endpoint("api:get", "GET /items/{item_id}", "/items/1"),
    Endpoint("api:put", "PUT /items/{item_id}", "/items/1", "PUT"),
    Endpoint("once:get", "GET /v1/inner/{n}", "/v1/inner/1"),
    Endpoint("twice:get", "GET /v1/deep/leaf/{x}", "/v1/deep/leaf/1", answer="at /v1/deep/leaf/1"),
    Endpoint("again:get", "GET /v2/{org}/leaf/{x}", "/v2/acme/leaf/1", answer="at /v2/acme/leaf/1"),
    Endpoint("included-plain:get", "GET /v1/plain", "/v1/plain"),
    Endpoint("plain:get", "GET /plain", "/plain", answer="plain:get for alice"),
    Endpoint("class:get", "GET /class/{name}", "/class/x"),
    Endpoint("class:post", "POST /class/{name}", "/class/x", "POST"),
    Endpoint("sub:get", "GET /sub/own/{x}", "/sub/own/1"),
    Endpoint("sub-included:get", "GET /sub/inc/leaf/{leaf}", "/sub/inc/leaf/x"),
    Endpoint("sub-schema:get", "GET /sub/openapi.json", "/sub/openapi.json", answer='"A sub-app"'),
    Endpoint("starlette:get", "GET /star/x/{y}", "/star/x/1"),
    Endpoint("tenant:get", "GET /t/{tenant}/x/{y}", "/t/acme/x/1"),
    Endpoint("static:get", "GET /static/**", "/static/a/static.txt"),
    Endpoint("opaque:get", "GET /opaque/**", "/opaque/any/path"),
    Endpoint("opaque:any", "* /opaque/**", "/opaque/any/path", "PATCH"),
    Endpoint("hosted:get", "GET /hosted/{x}", "/hosted/1", fields=(HOST,)),
    Endpoint("frontend:get", "GET /ui/**", "/ui/app/frontend.txt"),
    Endpoint("docs:get", "GET /docs", "/docs", answer="<title>The app - Swagger UI"),
    Endpoint("redoc:get", "GET /redoc", "/redoc", answer="<title>The app - ReDoc"),
    Endpoint("schema:get", "GET /openapi.json", "/openapi.json", answer='"The app"'),
    Endpoint("oauth2:get", "GET /docs/oauth2-redirect", "/docs/oauth2-redirect", answer="OAuth2"),
    Endpoint("events:get", "GET /events", "/events"),
]
SOCKETS = [
    Endpoint("api:socket", "WEBSOCKET /ws/api/{room}", "/ws/api/1"),
    Endpoint("plain:socket", "WEBSOCKET /ws/plain", "/ws/plain"),
    Endpoint("included:socket", "WEBSOCKET /v1/ws", "/v1/ws"),
    Endpoint("sub:socket", "WEBSOCKET /sub/ws/{room}", "/sub/ws/1"),
    Endpoint("starlette:socket", "WEBSOCKET /star/ws", "/star/ws"),
    Endpoint("opaque:socket", "WEBSOCKET /opaque/**", "/opaque/ws"),
]
SCOPES = frozenset(each.scope for each in (*ENDPOINTS, *SOCKETS))
RULES = {each.key: each.scope for each in (*ENDPOINTS, *SOCKETS)} | {"GET /health": PUBLIC}


def answering(text: str) -> Any:
    async def endpoint() -> PlainTextResponse:
        return PlainTextResponse(text)

    return endpoint


def plain(text: str) -> Any:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(text)

    return endpoint


async def where(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"at {request.url.path}")


def talking(text: str) -> Any:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(text)
        await websocket.close()

    return endpoint


class Classy(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("class:get")

    async def post(self, request: Request) -> Response:
        return PlainTextResponse("class:post")


async def opaque(asgi_scope: Any, receive: Any, send: Any) -> None:
    if asgi_scope["type"] == "websocket":
        await talking("opaque:socket")(WebSocket(asgi_scope, receive, send))
        return
    text = "opaque:get" if asgi_scope["method"] == "GET" else "opaque:any"
    await PlainTextResponse(text)(asgi_scope, receive, send)


class RichApp:
    """The app, protected by *guard*, and what a test needs to know of it from within."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.guard: ScopeGuard[Claims] = make_guard(RULES)
        self.events_may_go_on = threading.Event()
        self.events_may_go_on.set()
        self.app = FastAPI(title="The app")
        self._add_routes(self.app)
        self._add_mounts(self.app, directory)
        self.guard.protect(self.app, **options)

    def _add_routes(self, app: FastAPI) -> None:
        guard = self.guard

        async def put(claims: Annotated[Claims, Depends(guard)]) -> dict[str, Any]:
            return {"api:put": claims.sub}

        async def named(request: Request) -> Response:
            claims = guard.claims_of(request)
            return PlainTextResponse(f"plain:get for {claims.sub if claims else 'no one'}")

        app.add_api_route("/items/{item_id}", answering("api:get"))
        app.add_api_route("/items/{item_id}", put, methods=["PUT"])
        app.add_api_route("/health", answering("health"))
        app.add_api_route("/events", self._events)
        app.router.routes += [
            Route("/plain", named),
            Route("/class/{name}", Classy),
            WebSocketRoute("/ws/plain", talking("plain:socket")),
        ]
        app.add_api_websocket_route("/ws/api/{room}", talking("api:socket"))
        leaf, inner = APIRouter(prefix="/leaf"), APIRouter()
        leaf.add_api_route("/{x}", where)
        inner.add_api_route("/inner/{n}", answering("once:get"))
        inner.add_route("/plain", plain("included-plain:get"))
        inner.add_api_websocket_route("/ws", talking("included:socket"))
        inner.include_router(leaf, prefix="/deep")
        app.include_router(inner, prefix="/v1")
        app.include_router(leaf, prefix="/v2/{org}")

    async def _events(self) -> Response:
        async def events() -> AsyncIterator[str]:
            yield "data: events:get\n\n"
            await anyio.to_thread.run_sync(self.events_may_go_on.wait, PATIENCE)
            yield "data: and more\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    def _add_mounts(self, app: FastAPI, directory: Path) -> None:
        (directory / "a").mkdir()
        (directory / "a" / "static.txt").write_text("static:get")
        (directory / "app").mkdir()
        (directory / "app" / "frontend.txt").write_text("frontend:get")
        sub = FastAPI(title="A sub-app", docs_url=None, redoc_url=None)
        sub.add_api_route("/own/{x}", answering("sub:get"))
        sub.add_api_websocket_route("/ws/{room}", talking("sub:socket"))
        leaf = APIRouter(prefix="/leaf")
        leaf.add_api_route("/{leaf}", answering("sub-included:get"))
        sub.include_router(leaf, prefix="/inc")
        routes = [
            Route("/x/{y}", plain("starlette:get")),
            WebSocketRoute("/ws", talking("starlette:socket")),
        ]
        app.mount("/sub", sub)
        app.mount("/star", Starlette(routes=routes))
        app.mount("/t/{tenant}", Router([Route("/x/{y}", plain("tenant:get"))]))
        app.mount("/static", StaticFiles(directory=directory))
        app.mount("/opaque", opaque)
        app.host("api.example.org", Router([Route("/hosted/{x}", plain("hosted:get"))]))
        app.frontend("/ui", directory=directory)
