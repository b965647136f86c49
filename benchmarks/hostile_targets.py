"""What anonymous callers can cost a protected app, beside the same app without the guard.

    python -m benchmarks.hostile_targets [--routes 10 1000] [--rounds 15] [--seconds 2] [--json]

An app of N routes, each with a rule: literal and with a parameter, most on the app, some included
and some mounted. Requests and sockets that no honest client sends are asked of it, without a token,
protected and bare in turns, in one process. B is what the bare app takes for an ordinary route
whose rule is PUBLIC, in the same turns. Of each target are printed what both took, the ratio, and

    (protected - 1.5 x bare) / B,

which must be at most 1: refusing costs at most half as much again as the framework takes to answer,
and one ordinary request.

Two more tables. With `hide_unknown=True`, callers without a valid token learn by the clock which
paths there are, if those that are there take longer or shorter than others: the difference of the
medians must be at most 0.1 B, however many routes there are. Beside it stands the difference of a
path to itself, by which one sees what the machine can tell. And `/openapi.json`, PUBLIC, must not
be made anew because of what an anonymous caller asked before.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI

from benchmarks.hostile_requests import HOST, KINDS, last_of, make_pair, targets
from benchmarks.measures import (
    Times,
    ask,
    connection,
    cpu_of,
    pin,
    take_turns,
    told,
    undisturbed,
    verdict,
)

SHARE, EXCESS, ORACLE = 1.5, 1.0, 0.1


@dataclass(frozen=True, slots=True)
class Costs:
    """What one target took of both apps."""

    protected: Times
    bare: Times
    ordinary: Times
    """B, in the same turns."""
    answers: tuple[str, str]

    @property
    def ratio(self) -> float:
        return self.protected.median / self.bare.median

    @property
    def excess(self) -> float:
        return (self.protected.median - SHARE * self.bare.median) / self.ordinary.median

    def json(self) -> dict[str, Any]:
        return {
            "protected": self.protected.json(),
            "bare": self.bare.json(),
            "B": self.ordinary.json(),
            "answers": self.answers,
            "ratio": self.ratio,
            "excess_in_B": self.excess,
            "holds": self.excess <= EXCESS,
        }


def asking(app: FastAPI, asgi_scope: dict[str, Any]) -> Callable[[], Awaitable[object]]:
    return partial(ask, app, asgi_scope)


async def measure_targets(routes: int, options: argparse.Namespace) -> dict[str, Any]:
    apps = await make_pair(routes)
    ordinary = asking(apps["bare"], connection("/health"))
    costs: dict[str, Costs] = {}
    for name, asgi_scope in targets(routes).items():
        answers = (await ask(apps["protected"], asgi_scope), await ask(apps["bare"], asgi_scope))
        works = {each: asking(app, asgi_scope) for each, app in apps.items()}
        with undisturbed():
            taken = await take_turns(
                {"B": ordinary, **works}, rounds=options.rounds, seconds=options.seconds
            )
        costs[name] = Costs(taken["protected"], taken["bare"], taken["B"], answers)
    b = Times(tuple(each for cost in costs.values() for each in cost.ordinary.rounds))
    return {"B": b, "costs": costs}


def print_targets(routes: int, found: dict[str, Any]) -> None:
    b: Times = found["B"]
    print(f"\n{routes} routes, B = {told(b.median)} (spread {b.spread:.0%})")
    print(f"{'':38} {'protected':>10} {'bare':>10} {'ratio':>8} {'excess':>10}  answers")
    costs: dict[str, Costs] = found["costs"]
    for name, each in costs.items():
        protected, bare = each.answers
        line = f"{name:38} {told(each.protected.median):>10} {told(each.bare.median):>10}"
        line += f" {each.ratio:>8.2f} {each.excess:>8.2f} B  {protected} / {bare}"
        line += f", spread {each.protected.spread:.0%} / {each.bare.spread:.0%}"
        print(line + ("" if each.excess <= EXCESS else "  BROKEN"))
    name, worst = max(costs.items(), key=lambda each: each[1].excess)
    broken = sum(each.excess > EXCESS for each in costs.values())
    print(
        f"worst: {name}, {worst.excess:.2f} B (bound {EXCESS} B); {broken} of {len(costs)} broken"
    )


CALLERS = {
    "no token": [HOST],
    "a token that is none": [HOST, (b"authorization", b"Bearer x.y.z")],
    "malformed credentials": [HOST, (b"authorization", b"Bearer")],
}


def pairs(routes: int) -> dict[str, tuple[str, str, str]]:
    """Return methods, paths that are there, and ones like them that are not, by name."""
    known, unknown = last_of(routes), last_of(routes, "q")
    found = {
        kind: ("GET", path, other) for kind, path, other in zip(KINDS, known, unknown, strict=True)
    }
    found["another method"] = ("POST", known[0], unknown[0])
    found["slash at the end"] = ("GET", f"{known[0]}/", f"{unknown[0]}/")
    return found


async def measure_clock(routes: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    apps = await make_pair(routes, hide_unknown=True)
    ordinary = asking(apps["bare"], connection("/health"))
    found = []
    for caller, headers in CALLERS.items():
        for kind, (method, known, unknown) in pairs(routes).items():
            scopes = {
                "known": connection(known, method=method, headers=headers),
                "unknown": connection(unknown, method=method, headers=headers),
                "again": connection(known, method=method, headers=headers),
            }
            answers = [await ask(apps["protected"], scopes[name]) for name in ("known", "unknown")]
            works = {name: asking(apps["protected"], each) for name, each in scopes.items()}
            with undisturbed():
                taken = await take_turns(
                    {"B": ordinary, **works}, rounds=3 * options.rounds, seconds=options.seconds
                )
            medians = {name: times.median for name, times in taken.items()}
            difference = (medians["unknown"] - medians["known"]) / medians["B"]
            noise = (medians["again"] - medians["known"]) / medians["B"]
            found.append(
                {
                    "caller": caller,
                    "kind": kind,
                    "answers": answers,
                    **{name: times.json() for name, times in taken.items()},
                    "difference_in_B": difference,
                    "noise_in_B": noise,
                    "holds": abs(difference) <= ORACLE and len({*answers}) == 1,
                }
            )
    return found


def print_clock(routes: int, found: list[dict[str, Any]]) -> None:
    print(f"\nhide_unknown=True, {routes} routes: known and unknown paths, without a valid token")
    for each in found:
        print(
            f"{each['kind'] + ', ' + each['caller']:38} {told(each['known']['median']):>10}"
            f" {told(each['unknown']['median']):>10} {each['difference_in_B']:>+8.2f} B"
            f" (to itself {each['noise_in_B']:+.2f})  {' / '.join(each['answers'])}"
            f"  {verdict(holds=each['holds'])}"
        )


def odd_requests(routes: int) -> dict[str, dict[str, Any]]:
    chosen = (
        "open literal, %0A",
        "closed literal, %0A",
        "mounted, %0A",
        "unknown path",
        "method get",
        "socket to a request",
    )
    known = targets(routes)
    return {name: known[name] for name in chosen}


async def measure_document(routes: int, options: argparse.Namespace) -> dict[str, Any]:
    apps = await make_pair(routes)
    works = {name: asking(app, connection("/openapi.json")) for name, app in apps.items()}
    first = {name: await cpu_of(work) for name, work in works.items()}
    with undisturbed():
        repeated = await take_turns(works, rounds=options.rounds, seconds=options.seconds)
    after = {}
    for name, asgi_scope in odd_requests(routes).items():
        before = apps["protected"].openapi()
        await ask(apps["protected"], asgi_scope)
        took = await cpu_of(works["protected"])
        is_same = apps["protected"].openapi() is before
        after[name] = {"seconds": took, "is_same_document": is_same, "holds": is_same}
    return {
        "first": first,
        "repeated": {name: times.json() for name, times in repeated.items()},
        "after": after,
    }


def print_document(routes: int, found: dict[str, Any]) -> None:
    print(f"\n/openapi.json, PUBLIC, {routes} routes: protected, bare")
    first, repeated = found["first"], found["repeated"]
    print(f"{'first':38} {told(first['protected']):>10} {told(first['bare']):>10}")
    medians = [told(repeated[name]["median"]) for name in ("protected", "bare")]
    print(f"{'repeated':38} {medians[0]:>10} {medians[1]:>10}")
    for name, each in found["after"].items():
        print(
            f"{'after ' + name:38} {told(each['seconds']):>10} {'':10}"
            f" {'the same' if each['is_same_document'] else 'another'} document"
            f"  {verdict(holds=each['holds'])}"
        )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--routes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="of CPU, at most, for a target")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if min(options.routes) < 10:
        parser.error("--routes: at least 10, some of each kind")
    # A bare app logs nothing either.
    logging.disable(logging.CRITICAL)
    core = pin()
    told_as_json: dict[str, Any] = {"core": core, "bounds": [SHARE, EXCESS, ORACLE], "routes": {}}
    for routes in options.routes:
        asked = await measure_targets(routes, options)
        clock = await measure_clock(routes, options)
        document = await measure_document(routes, options)
        if not options.json:
            print_targets(routes, asked)
            print_clock(routes, clock)
            print_document(routes, document)
        told_as_json["routes"][routes] = {
            "B": asked["B"].json(),
            "targets": {name: each.json() for name, each in asked["costs"].items()},
            "clock": clock,
            "document": document,
        }
    if options.json:
        print(json.dumps(told_as_json, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
