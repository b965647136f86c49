"""What a guard adds to the start of an app, and to the requests that follow a change of its routes.

    python -m benchmarks.start_up [--routes 1000 2000] [--rounds 3] [--json]

Apps of N routes with a rule each: on the app, in an included router, in a mounted app. Printed are
the CPU of `ScopeGuard()`, `protect`, `check` and the first document, beside that of `openapi()` of
the same app without a guard. New apps are made for every round, protected and bare in turns. What
the guard adds is `protect`, `check` and the first document without what the bare app took for its
own: at most 1.0 s at 1,000 routes, and at 2,000 at most 2.4 times as much as at 1,000.

Two more lines for each: the CPU of the request that follows one added route, at most 30 ms at 1,000
routes; and the longest time for which the event loop is held by the first request of an app of
which no lifespan ran, which is what all other requests wait: at most 50 ms more than without a
guard. It is the CPU of the thread of the loop between two steps of another task, so neither the
load of the machine nor work in other threads counts. The longest wait by the clock, in which they
do, stands beside it.
"""

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, FastAPI

from benchmarks.gates import make_verifier
from benchmarks.measures import (
    Times,
    ask,
    connection,
    cpu,
    cpu_of,
    pin,
    start,
    told,
    undisturbed,
    verdict,
)
from fastapi_scopes import PUBLIC, ScopeGuard

FEW, MANY = 1000, 2000
ADDED_SECONDS, GROWTH = 1.0, 2.4
ROUTE_SECONDS, HELD_SECONDS = 0.030, 0.050
LATE = 5


async def health() -> str:
    return "ok"


async def item(item_id: int) -> int:
    return item_id


def on_the_app(routes: int) -> tuple[FastAPI, FastAPI, str]:
    app = FastAPI()
    fill(app, routes)
    return app, app, ""


def included(routes: int) -> tuple[FastAPI, FastAPI, str]:
    app, router = FastAPI(), APIRouter()
    fill(router, routes)
    app.include_router(router, prefix="/v1")
    return app, app, "/v1"


def mounted(routes: int) -> tuple[FastAPI, FastAPI, str]:
    app, sub = FastAPI(), FastAPI()
    fill(sub, routes)
    app.mount("/sub", sub)
    return app, sub, "/sub"


def fill(holder: FastAPI | APIRouter, routes: int) -> None:
    for number in range(routes):
        holder.add_api_route(f"/r{number}/{{item_id}}", item)


SHAPES: dict[str, Callable[[int], tuple[FastAPI, FastAPI, str]]] = {
    "on the app": on_the_app,
    "included": included,
    "mounted": mounted,
}


def make(shape: str, routes: int) -> tuple[FastAPI, FastAPI, dict[str, Any]]:
    """Return an app, the one in it that holds the routes, and rules for all of them."""
    app, holder, prefix = SHAPES[shape](routes)
    app.add_api_route("/health", health)
    # One rule for the routes that are added later.
    app.add_api_route("/late/{number}/first", item)
    rules: dict[str, Any] = {"GET /health": PUBLIC, "GET /late/**": "late"}
    if holder is not app:
        rules["GET /sub/openapi.json"] = rules["GET /sub/docs/**"] = PUBLIC
        rules["GET /sub/docs"] = rules["GET /sub/redoc"] = PUBLIC
    for number in range(routes):
        rules[f"GET {prefix}/r{number}/{{item_id}}"] = f"scope{number}"
    return app, holder, rules


def start_once(shape: str, routes: int) -> dict[str, float]:
    """Return the CPU of each step of one start, and of the document of the bare app."""
    app, holder, rules = make(shape, routes)
    _, bare, _ = make(shape, routes)
    guards: list[ScopeGuard[Any]] = []
    with undisturbed():
        return {
            "ScopeGuard()": cpu(lambda: guards.append(ScopeGuard(rules, verifier=make_verifier()))),
            "protect": cpu(lambda: guards[0].protect(app, docs=PUBLIC)),
            "check": cpu(lambda: guards[0].check(app, raise_on_gap=True)),
            "first document": cpu(holder.openapi),
            "bare openapi()": cpu(bare.openapi),
        }


def added(steps: dict[str, float]) -> float:
    ours = steps["protect"] + steps["check"] + steps["first document"]
    return ours - steps["bare openapi()"]


async def after_one_added_route(shape: str, routes: int) -> dict[str, Times]:
    """Return the CPU of the request after a route was added, and of the one after that."""
    app, _, rules = make(shape, routes)
    guard = ScopeGuard(rules, verifier=make_verifier())
    await start(guard.protect(app, docs=PUBLIC))
    request = connection("/health")
    assert await ask(app, request) == "200"
    taken: dict[str, list[float]] = {"next": [], "then": []}
    with undisturbed():
        for number in range(LATE):
            app.add_api_route(f"/late/{number}", health)
            taken["next"].append(await cpu_of(lambda: ask(app, request)))
            taken["then"].append(await cpu_of(lambda: ask(app, request), 20))
    assert await ask(app, connection("/late/0")) == "401"
    return {name: Times(tuple(times)) for name, times in taken.items()}


async def held_by(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the longest time between two steps of another task during *work*: CPU, clock."""
    steps: list[tuple[float, float]] = []
    is_over = asyncio.Event()

    async def tick() -> None:
        while not is_over.is_set():
            steps.append((time.thread_time(), time.perf_counter()))
            await asyncio.sleep(0.001)
        steps.append((time.thread_time(), time.perf_counter()))

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.005)
    del steps[:-1]
    await work()
    is_over.set()
    await ticking
    waits = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(steps)]
    return max(cpu for cpu, _ in waits), max(clock for _, clock in waits)


async def first_requests(shape: str, routes: int) -> dict[str, float]:
    """Return for how long the first request holds the loop, where no lifespan ran."""
    app, _, rules = make(shape, routes)
    bare, _, _ = make(shape, routes)
    ScopeGuard(rules, verifier=make_verifier()).protect(app, docs=PUBLIC)
    request, answers = connection("/health"), []

    async def first() -> None:
        answers.append(await ask(app, request))

    with undisturbed():
        held, wait = await held_by(first)
        held_by_the_bare, _ = await held_by(lambda: ask(bare, request))
    assert answers == ["200"], answers
    more = held - held_by_the_bare
    return {"held": held, "bare": held_by_the_bare, "more": more, "wait": wait}


async def measure(shape: str, routes: int, rounds: int) -> dict[str, Any]:
    starts = [start_once(shape, routes) for _ in range(rounds)]
    firsts = [await first_requests(shape, routes) for _ in range(rounds)]
    steps = {name: Times(tuple(each[name] for each in starts)) for name in starts[0]}
    return {
        "steps": steps,
        "added": Times(tuple(added(each) for each in starts)),
        "route": await after_one_added_route(shape, routes),
        "first": {name: Times(tuple(each[name] for each in firsts)) for name in firsts[0]},
    }


def shown(times: Times) -> str:
    return f"{told(times.median)} (spread {times.spread:.0%})"


def print_measured(shape: str, routes: int, found: dict[str, Any]) -> None:
    print(f"\n{routes} routes, {shape}")
    for name, times in found["steps"].items():
        print(f"  {name:34} {shown(times)}")
    is_few = routes == FEW
    bound = f", bound {told(ADDED_SECONDS)}" if is_few else ""
    holds = verdict(holds=found["added"].median <= ADDED_SECONDS) if is_few else ""
    print(f"  {'added to the bare openapi()':34} {shown(found['added'])}{bound}  {holds}")
    route = found["route"]
    holds = verdict(holds=route["next"].median <= ROUTE_SECONDS) if is_few else ""
    then = f", then {told(route['then'].median)}"
    bound = f", bound {told(ROUTE_SECONDS)}" if is_few else ""
    print(f"  {'request after one added route':34} {shown(route['next'])}{then}{bound}  {holds}")
    first = found["first"]
    holds = verdict(holds=first["more"].median <= HELD_SECONDS)
    bare, wait = (told(first[name].median) for name in ("bare", "wait"))
    print(
        f"  {'first request, no lifespan':34} holds the loop {shown(first['held'])}, bare {bare},"
        f" by the clock {wait}, bound {told(HELD_SECONDS)} more than bare  {holds}"
    )


def growth_of(found: dict[int, dict[str, Any]]) -> float | None:
    """Return how many times as much is added at many routes as at few, where both were taken."""
    if not {FEW, MANY} <= found.keys():
        return None
    few, many = (found[each]["added"].median for each in (FEW, MANY))
    return float(many / few)


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    return value.json() if isinstance(value, Times) else value


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--routes", type=int, nargs="+", default=[FEW, MANY])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    core = pin()
    shapes: dict[str, Any] = {}
    for shape in SHAPES:
        found: dict[int, dict[str, Any]] = {}
        for routes in options.routes:
            found[routes] = await measure(shape, routes, options.rounds)
            if not options.json:
                print_measured(shape, routes, found[routes])
        growth = growth_of(found)
        if growth is not None and not options.json:
            holds = verdict(holds=growth <= GROWTH)
            print(f"  {f'{MANY} to {FEW} routes':34} x {growth:.2f}, bound {GROWTH}  {holds}")
        shapes[shape] = {"routes": found, "growth": growth}
    if options.json:
        bounds = [ADDED_SECONDS, GROWTH, ROUTE_SECONDS, HELD_SECONDS]
        print(json.dumps({"core": core, "bounds": bounds, "shapes": as_json(shapes)}, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
