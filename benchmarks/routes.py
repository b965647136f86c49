"""The app that all benchmarks of requests guard: one route that is asked, among others."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI

PATH = "/v1/x/1"


def templates(routes: int) -> list[str]:
    """Return the templates of so many routes; the one that is asked is in their middle."""
    before = [f"/v1/before/{number}/{{i}}" for number in range(routes // 2)]
    after = [f"/v1/after/{number}/{{i}}" for number in range(routes - routes // 2 - 1)]
    return [*before, "/v1/x/{i}", *after]


async def endpoint(i: str) -> dict[str, str]:
    return {"i": i}


def make_app(
    routes: int = 1, *, dependencies: Sequence[Any] = (), is_mounted: bool = False
) -> FastAPI:
    """Return an app with the routes in one router, included or mounted at /v1."""
    router = APIRouter()
    for template in templates(routes):
        path = template.removeprefix("/v1")
        router.add_api_route(path, endpoint, dependencies=[*dependencies])
    app = FastAPI(openapi_url=None)
    if is_mounted:
        app.mount("/v1", router)
    else:
        app.include_router(router, prefix="/v1")
    return app
