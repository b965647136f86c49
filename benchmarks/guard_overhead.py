"""What the guard adds to a request, as shares of B, the same route in an app without it.

    python -m benchmarks.guard_overhead [--rounds 60] [--json FILE]

CPU of one pinned core; all apps take turns in one process, in another order each round; printed
are medians, their spread, and what is added in units of B. The token was verified before, so it is
found in the cache, but for the row without one.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from jose import jwt
from starlette.requests import HTTPConnection

from benchmarks.measures import SECRET, Times, ask, connection, pin, take_turns, undisturbed
from fastapi_scopes import PUBLIC, JWTVerifier, ScopeGuard, ScopeMap

BARE = "bare"
Work = Callable[[], Awaitable[object]]


async def nothing(connection: HTTPConnection) -> None: ...


def make_guard(requirement: Any, *, rules: int = 1, cache_size: int = 1024) -> ScopeGuard[Any]:
    others = ScopeMap(
        {f"GET /other/{number}/*": "a:read" for number in range(rules - 1)}, optional=True
    )
    verifier = JWTVerifier(
        keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None, cache_size=cache_size
    )
    return ScopeGuard(others | {"GET /v1/x/{i}": requirement}, verifier=verifier)


def make_app(
    dependency: Callable[..., Any] | None = None,
    perimeter: ScopeGuard[Any] | None = None,
    *,
    routes: int = 1,
    is_mounted: bool = False,
) -> FastAPI:
    router = APIRouter()

    async def endpoint(i: str) -> dict[str, str]:
        return {"i": i}

    for number in range(routes // 2):
        router.add_api_route(f"/before/{number}/{{i}}", endpoint)
    router.add_api_route("/x/{i}", endpoint)
    for number in range(routes - routes // 2 - 1):
        router.add_api_route(f"/after/{number}/{{i}}", endpoint)
    depends = [] if dependency is None else [Depends(dependency)]
    app = FastAPI(openapi_url=None, dependencies=depends)
    if is_mounted:
        app.mount("/v1", router)
    else:
        app.include_router(router, prefix="/v1")
    return app if perimeter is None else perimeter.protect(app, strict=False)


def apps() -> dict[str, tuple[FastAPI, str]]:
    """The apps, and the name of the one that each is compared with."""
    both = make_guard("a:read")
    made: dict[str, tuple[FastAPI, str]] = {BARE: (make_app(), BARE)}
    made["a dependency that does nothing"] = (make_app(nothing), BARE)
    made["dependency, PUBLIC"] = (make_app(make_guard(PUBLIC)), BARE)
    made["dependency, cache hit"] = (make_app(make_guard("a:read")), BARE)
    made["perimeter, PUBLIC"] = (make_app(None, make_guard(PUBLIC)), BARE)
    made["perimeter, cache hit"] = (make_app(None, make_guard("a:read")), BARE)
    made["perimeter, cache hit, 10,000 rules"] = (
        make_app(None, make_guard("a:read", rules=10_000)),
        BARE,
    )
    made["perimeter and dependency, cache hit"] = (make_app(both, both), BARE)
    made["perimeter, no cache"] = (make_app(None, make_guard("a:read", cache_size=0)), BARE)
    for name, options in {"100 routes": {"routes": 100}, "mounted": {"is_mounted": True}}.items():
        made[f"{BARE}, {name}"] = (make_app(**options), f"{BARE}, {name}")
        made[f"perimeter, PUBLIC, {name}"] = (
            make_app(None, make_guard(PUBLIC), **options),
            f"{BARE}, {name}",
        )
    return made


def work_of(app: FastAPI, asgi_scope: dict[str, Any]) -> Work:
    return lambda: ask(app, asgi_scope)


async def measure(rounds: int) -> dict[str, tuple[Times, str]]:
    token = jwt.encode({"exp": time.time() + 3600, "scope": "a:read"}, SECRET, "HS256")
    fields = ((b"host", b"test"), (b"authorization", b"Bearer " + token.encode()))
    asked = connection("/v1/x/1", headers=fields)
    made = apps()
    for app, _ in made.values():
        assert await ask(app, asked) == "200"
    works = {name: work_of(app, asked) for name, (app, _) in made.items()}
    with undisturbed():
        taken = await take_turns(works, rounds=rounds, seconds=600)
    return {name: (times, made[name][1]) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    # Among 100 routes only the one that is asked has a rule.
    logging.getLogger("fastapi_scopes").setLevel(logging.CRITICAL)
    core = pin()
    found = asyncio.run(measure(options.rounds))
    one = found[BARE][0].median
    sys.stdout.write(f"core {core}, B = {one * 1e6:.1f} us\n")
    rows: dict[str, dict[str, float]] = {}
    for name, (times, base) in found.items():
        added = (times.median - found[base][0].median) / one
        rows[name] = {**times.json(), "added_in_B": added}
        sys.stdout.write(
            f"{name:38} {times.median * 1e6:7.1f} us (spread {times.spread:.0%})  {added:+.2f} B\n"
        )
    if options.json is not None:
        options.json.write_text(json.dumps({"core": core, "B": one, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
