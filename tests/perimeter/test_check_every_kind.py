"""`guard.check` of a protected app with an endpoint of every kind."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route, Router, WebSocketRoute

from fastapi_scopes import AUTHENTICATED, Coverage
from fastapi_scopes.core.coverage import Kind, Reach
from fastapi_scopes.core.findings import FindingCode
from tests.apps import make_guard
from tests.perimeter.small import answer, opaque, plain


class Classy(HTTPEndpoint):
    get = put = answer


class Files(StaticFiles):
    """May answer other methods than the framework's own."""


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()


def make_everything(directory: Path) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/api/{item_id}", answer, methods=["GET", "PUT"])
    app.add_api_websocket_route("/ws", greet)
    app.router.routes += [
        Route("/plain", plain, methods=["GET"]),
        Route("/class/{name:path}", Classy),
        WebSocketRoute("/plain/ws", greet),
    ]
    leaf, inner = APIRouter(prefix="/leaf"), APIRouter()
    leaf.add_api_route("/{x:int}", answer)
    leaf.add_api_websocket_route("/ws", greet)
    # FastAPI gives the router's own prefix to its own routes alone.
    leaf.add_route("/plain", plain, methods=["POST"])
    inner.include_router(leaf, prefix="/deep")
    app.include_router(inner, prefix="/v1/{org}")
    sub = FastAPI(redoc_url=None, docs_url=None)
    sub.include_router(leaf)
    app.mount("/sub/{tenant}", sub)
    app.mount("/star", Starlette(routes=[Mount("/in", routes=[Route("/x", plain)])]))
    app.mount("/static", StaticFiles(directory=directory))
    app.mount("/files", Files(directory=directory))
    app.mount("/opaque/{kind}", opaque)
    app.router.routes.append(
        Mount("/with", routes=[Route("/x", plain)], middleware=[Middleware(GZipMiddleware)])
    )
    app.host("{name}.example.org", Router([Route("/hosted", plain)]))
    app.frontend("/ui", directory=directory)
    return app


SETUP = "fastapi.applications.FastAPI.setup.<locals>"
EVERYTHING = {
    "GET /openapi.json": (Kind.DOCS, f"{SETUP}.openapi"),
    "HEAD /openapi.json": (Kind.DOCS, f"{SETUP}.openapi"),
    "GET /docs": (Kind.DOCS, f"{SETUP}.swagger_ui_html"),
    "HEAD /docs": (Kind.DOCS, f"{SETUP}.swagger_ui_html"),
    "GET /docs/oauth2-redirect": (Kind.DOCS, f"{SETUP}.swagger_ui_redirect"),
    "HEAD /docs/oauth2-redirect": (Kind.DOCS, f"{SETUP}.swagger_ui_redirect"),
    "GET /redoc": (Kind.DOCS, f"{SETUP}.redoc_html"),
    "HEAD /redoc": (Kind.DOCS, f"{SETUP}.redoc_html"),
    "GET /api/{item_id}": (Kind.API_ROUTE, "tests.perimeter.small.answer"),
    "PUT /api/{item_id}": (Kind.API_ROUTE, "tests.perimeter.small.answer"),
    "WEBSOCKET /ws": (Kind.API_WEBSOCKET, f"{__name__}.greet"),
    "GET /plain": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "HEAD /plain": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "* /class/{name:path}": (Kind.ROUTE, f"{__name__}.Classy"),
    "WEBSOCKET /plain/ws": (Kind.WEBSOCKET, f"{__name__}.greet"),
    "GET /v1/{org}/deep/leaf/{x:int}": (Kind.API_ROUTE, "tests.perimeter.small.answer"),
    "WEBSOCKET /v1/{org}/deep/leaf/ws": (Kind.API_WEBSOCKET, f"{__name__}.greet"),
    "POST /v1/{org}/deep/plain": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "GET /sub/{tenant}/openapi.json": (Kind.DOCS, f"{SETUP}.openapi"),
    "HEAD /sub/{tenant}/openapi.json": (Kind.DOCS, f"{SETUP}.openapi"),
    "GET /sub/{tenant}/leaf/{x:int}": (Kind.API_ROUTE, "tests.perimeter.small.answer"),
    "WEBSOCKET /sub/{tenant}/leaf/ws": (Kind.API_WEBSOCKET, f"{__name__}.greet"),
    "POST /sub/{tenant}/plain": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "GET /star/in/x": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "HEAD /star/in/x": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "GET /static/**": (Kind.MOUNT, "starlette.staticfiles.StaticFiles"),
    "HEAD /static/**": (Kind.MOUNT, "starlette.staticfiles.StaticFiles"),
    "* /files/**": (Kind.MOUNT, f"{__name__}.Files"),
    "* /opaque/{kind}/**": (Kind.MOUNT, "tests.perimeter.small.opaque"),
    "GET /with/x": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "HEAD /with/x": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "* /with/**": (Kind.UNKNOWN_PATHS, "starlette.routing.Router"),
    "GET /hosted": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "HEAD /hosted": (Kind.ROUTE, "tests.perimeter.small.plain"),
    "GET /ui/**": (Kind.FRONTEND, "fastapi.routing._FrontendStaticFiles"),
    "HEAD /ui/**": (Kind.FRONTEND, "fastapi.routing._FrontendStaticFiles"),
}
BY_DEPENDENCY = {Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND}


def covered(app: FastAPI, rules: dict[str, Any]) -> Coverage:
    guard = make_guard(rules)
    return guard.check(guard.protect(app))


def test_every_endpoint_of_every_kind_is_listed_with_its_full_template(tmp_path: Path) -> None:
    coverage = covered(make_everything(tmp_path), {"* /**": AUTHENTICATED})
    found = {str(each.endpoint): each.endpoint for each in coverage.endpoints}
    assert len(found) == len(coverage.endpoints)
    assert {key: (each.kind, each.source) for key, each in found.items()} == EVERYTHING
    assert {each.reach for each in found.values()} == {Reach.PERIMETER}
    assert {each.mount for each in found.values()} == {""}
    assert coverage.problems == ()
    assert str(coverage) == f"{len(EVERYTHING)} endpoints, 0 gaps"


def test_endpoints_that_no_dependency_reaches_are_listed(tmp_path: Path) -> None:
    coverage = covered(make_everything(tmp_path), {"* /**": AUTHENTICATED})
    expected = [key for key, (kind, _) in EVERYTHING.items() if kind not in BY_DEPENDENCY]
    assert sorted(str(each.endpoint) for each in coverage.perimeter_only) == sorted(expected)


def way_out(key: str) -> str:
    if EVERYTHING[key][0].is_mount:
        prefix = key.split(" ")[1].removesuffix("/**") or "/"
        return f"add one for 'MOUNT {prefix}', which holds for that mount alone"
    return "add one, or map it to PUBLIC"


def test_every_endpoint_without_a_rule_is_a_gap(tmp_path: Path) -> None:
    coverage = covered(make_everything(tmp_path), {})
    # What nobody knows to be there is denied, and nobody's oversight.
    expected = [key for key, (kind, _) in EVERYTHING.items() if kind is not Kind.UNKNOWN_PATHS]
    assert sorted(str(each.endpoint) for each in coverage.gaps) == sorted(expected)
    assert {each.gap for each in coverage.gaps} == {FindingCode.NO_RULE}
    *sentences, docs = coverage.problems
    assert sorted(sentences) == sorted(
        f"no rule for {key!r}; {way_out(key)}"
        for key in expected
        # GET is there wherever HEAD is, and is named alone.
        if EVERYTHING[key][0] is not Kind.DOCS and not key.startswith("HEAD ")
    )
    assert docs.startswith("no rule for the docs pages 'GET /openapi.json', 'GET /docs'")
    assert "'GET /sub/{tenant}/openapi.json'" in docs
