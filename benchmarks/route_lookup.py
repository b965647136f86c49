"""What it costs to find the route of a request, as ratios of many routes to few.

    python benchmarks/route_lookup.py

Every layout has all of its routes under one ``/v1``, and the last one is asked for. The apps with
few and with many routes take turns in one process; printed are medians and their ratio. The last
columns are the framework's own routing of the same request.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import Message

from fastapi_scopes._routing import PerimeterView, RouteTree

FEW, MANY = 10, 1000
ROUNDS, LOOKUPS, REQUESTS = 30, 200, 3


async def endpoint() -> None: ...


def on_the_app(number: int, tail: str) -> FastAPI:
    app = FastAPI(openapi_url=None)
    for each in range(number):
        app.router.add_route(f"/v1/r{each}{tail}", nothing)
    return app


def in_one_included_router(number: int, tail: str) -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter()
    for each in range(number):
        router.add_api_route(f"/r{each}{tail}", endpoint)
    app.include_router(router, prefix="/v1")
    return app


def in_as_many_included_routers(number: int, tail: str) -> FastAPI:
    app = FastAPI(openapi_url=None)
    for each in range(number):
        router = APIRouter()
        router.add_api_route(tail or "/", endpoint)
        app.include_router(router, prefix=f"/v1/r{each}")
    return app


def in_a_mounted_app(number: int, tail: str) -> FastAPI:
    app, inner = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    for each in range(number):
        inner.router.add_route(f"/r{each}{tail}", nothing)
    app.mount("/v1", inner)
    return app


async def nothing(request: Any) -> Callable[..., Any]:  # noqa: ARG001 - as routes are called
    async def answer(scope: Any, receive: Any, send: Any) -> None: ...

    return answer


LAYOUTS = {
    "on the app": on_the_app,
    "in one included router": in_one_included_router,
    "in as many included routers": in_as_many_included_routers,
    "in a mounted app": in_a_mounted_app,
}


def asgi_scope_of(number: int, tail: str, *, is_closed: bool) -> dict[str, Any]:
    end = tail.replace("{i}", "x") or ("/" if is_closed else "")
    path = f"/v1/r{number - 1}{end}"
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}


class Nobody:
    """Stands where a perimeter would, and decides nothing."""

    async def check_passage(self, *_: Any) -> tuple[()]:
        return ()

    async def decide_at_router(self, *_: Any) -> tuple[()]:
        return ()

    def use_passage(self, *_: Any) -> tuple[()]:
        return ()

    async def decide_at_endpoint(self, *_: Any) -> tuple[()]:
        return ()


NOBODY = Nobody()


def tree_of(app: FastAPI) -> RouteTree:
    view = PerimeterView(NOBODY, lambda _: None)
    return RouteTree(app, None, is_guard=lambda _: False, view=view)


def lookups(resolver: RouteTree, asgi_scope: dict[str, Any]) -> float:
    began = time.perf_counter()
    for _ in range(LOOKUPS):
        resolver.resolve(asgi_scope)
    return (time.perf_counter() - began) / LOOKUPS


async def routings(app: FastAPI, asgi_scope: dict[str, Any]) -> float:
    """Return the time of whole requests, of which routing is what differs."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None: ...

    began = time.perf_counter()
    for _ in range(REQUESTS):
        await app({**asgi_scope}, receive, send)
    return (time.perf_counter() - began) / REQUESTS


async def measure(make: Callable[[int, str], FastAPI], tail: str) -> dict[str, float]:
    apps = {number: make(number, tail) for number in (FEW, MANY)}
    is_closed = make is in_as_many_included_routers
    scopes = {number: asgi_scope_of(number, tail, is_closed=is_closed) for number in apps}
    resolvers = {number: tree_of(app) for number, app in apps.items()}
    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for number, app in apps.items():
            resolver, asgi_scope = resolvers[number], scopes[number]
            assert resolver.resolve(asgi_scope).route is not None
            taken.setdefault(f"ours {number}", []).append(lookups(resolver, asgi_scope))
            took = await routings(app, asgi_scope)
            taken.setdefault(f"framework {number}", []).append(took)
    return {name: statistics.median(times) * 1e6 for name, times in taken.items()}


async def main() -> None:
    print(f"{'':44} look-up, us    ratio   request without guard, us")
    for name, make in LAYOUTS.items():
        for tail in ("", "/{i}"):
            took = await measure(make, tail)
            few, many = took[f"ours {FEW}"], took[f"ours {MANY}"]
            kind = "a parameter" if tail else "literal"
            print(
                f"{name + ', ' + kind:44} {few:5.1f} {many:7.1f} {many / few:7.2f}"
                f" {took[f'framework {FEW}']:10.0f} {took[f'framework {MANY}']:8.0f}"
            )


if __name__ == "__main__":
    asyncio.run(main())
