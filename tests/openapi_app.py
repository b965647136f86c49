"""An app with operations of every kind, for its document.

The snapshot is written anew by ``python -m tests.openapi_app``.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

from fastapi_scopes import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    Claims,
    ScopeGuard,
    ScopeMap,
    all_of,
    any_of,
)
from tests.apps import make_guard

SNAPSHOT = Path(__file__).parent / "openapi_snapshot.json"
ROOT_KEYS = {
    "GET /openapi.json": PUBLIC,
    "GET /health": PUBLIC,
    "GET /feed": OPTIONAL,
    "GET /me": AUTHENTICATED,
    "GET /items": "items:read",
    "POST /items": ["items:write", "items:read"],
    "GET /items/{item_id}": any_of("items:read", all_of("app:admin", "items:list")),
    "DELETE /items/{item_id}": DENY,
    "* /items/{item_id}": "items:any",
    "OPTIONS /items/{item_id}": PUBLIC,
    "GET /v1/files/{path}": "files:read",
    "GET /v1/jobs": "jobs:read",
    "GET /keyed": "keyed:read",
    "GET /keyed/public": PUBLIC,
    "GET /keyed/feed": OPTIONAL,
}
SUB_KEYS = {"GET /things/{thing_id}": "things:read", "GET /open": PUBLIC}
DESCRIPTIONS = {
    "items:read": "Read items",
    "items:write": 'Write items: "all" of them',
    "never:used": "What no rule names",
}


class Item(BaseModel):
    name: str


class AccessRefused(BaseModel):
    """A model of the application's that is named as the schema would be."""

    reason: str


async def answer() -> str:
    return "ran"


async def file(path: str) -> str:
    return path


async def thing(thing_id: str) -> str:
    return thing_id


async def item(item_id: int) -> Item:
    return Item(name=str(item_id))


async def create(name: Annotated[str, Query()] = "") -> Item:
    return Item(name=name)


def make_map(sub_prefix: str) -> ScopeMap:
    sub = {key.replace(" ", f" {sub_prefix}", 1): rule for key, rule in SUB_KEYS.items()}
    return ScopeMap({**ROOT_KEYS, **sub}, descriptions=DESCRIPTIONS)


def make_app(guard: ScopeGuard[Any], *dependencies: Any) -> tuple[FastAPI, FastAPI]:
    """Return an app and the one that is mounted in it at ``/sub``."""
    app = FastAPI(title="Rich", docs_url=None, redoc_url=None, dependencies=dependencies)
    for path in ("/health", "/feed", "/items", "/unruled"):
        app.add_api_route(path, answer)

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(guard)]) -> str | None:
        return claims.sub

    refused = {401: {"model": AccessRefused, "description": "As we say it"}, "4XX": {"model": Item}}
    app.add_api_route("/items", create, methods=["POST"], responses=refused)
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
        app.add_api_route("/items/{item_id:int}", item, methods=[method], name=f"{method} item")
    _include(app, guard)
    sub = FastAPI(title="Sub", docs_url=None, redoc_url=None, dependencies=dependencies)
    sub.add_api_route("/things/{thing_id}", thing)
    sub.add_api_route("/open", answer)
    app.mount("/sub", sub)
    return app, sub


def _include(app: FastAPI, guard: ScopeGuard[Any]) -> None:
    router = APIRouter(prefix="/files")
    router.add_api_route("/{path:path}", file)
    jobs = APIRouter(dependencies=[Security(guard, scopes=["jobs:debug"])])
    jobs.add_api_route("/jobs", answer)
    router_v1 = APIRouter(prefix="/v1")
    router_v1.include_router(router)
    router_v1.include_router(jobs)
    app.include_router(router_v1)
    key = [Security(APIKeyHeader(name="X-Key"))]
    for path in ("/keyed", "/keyed/public", "/keyed/feed"):
        app.add_api_route(path, answer, dependencies=key)


def by_dependency() -> tuple[FastAPI, FastAPI]:
    guard = make_guard(make_map(""))
    app, sub = make_app(guard, Depends(guard))
    return guard.document(app), sub


def by_perimeter() -> tuple[FastAPI, FastAPI]:
    guard = make_guard(make_map("/sub"))
    app, sub = make_app(guard)
    return guard.protect(app, strict=False), sub


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(by_perimeter()[0].openapi(), indent=1) + "\n")
