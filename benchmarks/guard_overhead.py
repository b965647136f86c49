"""What the guard adds to a request, as ratios to the same app without it.

    python benchmarks/guard_overhead.py

All variants take turns in one process, so that whatever else the machine does hits them
alike; printed are medians, and their ratio to the bare app in the same run.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from jose import jwt
from starlette.requests import HTTPConnection

from fastapi_scopes import PUBLIC, JWTVerifier, ScopeGuard, ScopeMap

SECRET = "a-secret-of-the-benchmark-0123456789-0123456789"
ROUNDS, REQUESTS = 40, 250


async def nothing(connection: HTTPConnection) -> None: ...


def make_guard(rules: int, requirement: Any) -> ScopeGuard[Any]:
    others = ScopeMap(
        {f"GET /other/{number}/*": "a:read" for number in range(rules - 1)}, optional=True
    )
    verifier = JWTVerifier(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None)
    return ScopeGuard(others | {"GET /v1/x/{i}": requirement}, verifier=verifier)


def make_app(
    dependency: Callable[..., Any] | None, perimeter: ScopeGuard[Any] | None = None
) -> FastAPI:
    router = APIRouter()

    @router.get("/x/{i}")
    async def endpoint(i: str) -> dict[str, str]:
        return {"i": i}

    app = FastAPI(
        openapi_url=None, dependencies=[] if dependency is None else [Depends(dependency)]
    )
    app.include_router(router, prefix="/v1")
    return app if perimeter is None else perimeter.protect(app)


async def ask(app: FastAPI, headers: list[tuple[bytes, bytes]]) -> int:
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        status.append(message.get("status", 0))

    asgi_scope = {"type": "http", "method": "GET", "path": "/v1/x/1", "query_string": b""}
    await app({**asgi_scope, "headers": headers}, receive, send)
    return status[0]


BOTH = make_guard(1, "a:read")
VARIANTS = {
    "bare": make_app(None),
    "a dependency that does nothing": make_app(nothing),
    "guard, PUBLIC": make_app(make_guard(1, PUBLIC)),
    "guard, HS256, 1 rule": make_app(make_guard(1, "a:read")),
    "guard, HS256, 1000 rules": make_app(make_guard(1000, "a:read")),
    "perimeter, PUBLIC": make_app(None, make_guard(1, PUBLIC)),
    "perimeter, HS256, 1 rule": make_app(None, make_guard(1, "a:read")),
    "perimeter, HS256, 1000 rules": make_app(None, make_guard(1000, "a:read")),
    "perimeter and dependency, HS256": make_app(BOTH, BOTH),
}


async def main() -> None:
    token = jwt.encode({"exp": time.time() + 3600, "scope": "a:read"}, SECRET, "HS256")
    headers = [(b"authorization", b"Bearer " + token.encode())]
    apps = VARIANTS
    for app in apps.values():
        assert await ask(app, headers) == 200
    taken: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(ROUNDS):
        for name, app in apps.items():
            began = time.perf_counter()
            for _ in range(REQUESTS):
                await ask(app, headers)
            taken[name].append((time.perf_counter() - began) / REQUESTS)
    bare = statistics.median(taken["bare"])
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"{name:34} {median * 1e6:7.1f} us   x {median / bare:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
