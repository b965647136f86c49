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

from fastapi import APIRouter, FastAPI, WebSocket

from benchmarks.measures import (
    Times,
    ask,
    connection,
    cpu_of,
    make_verifier,
    pin,
    start,
    take_turns,
    told,
    undisturbed,
    verdict,
)
from fastapi_scopes import PUBLIC, ScopeGuard

SHARE, EXCESS, ORACLE = 1.5, 1.0, 0.1
HOST = (b"host", b"test")


# Before the number of a route, and after it.
KINDS = {
    "literal": ("", ""),
    "parameter": ("", "/{item_id}"),
    "included": ("/v1", "/{item_id}"),
    "mounted": ("/sub", ""),
}


def kind_of(number: int) -> str:
    """Return where the route is: 8 of 10 are on the app itself, literal and not in turns."""
    return {8: "included", 9: "mounted"}.get(number % 10, "parameter" if number % 2 else "literal")


def last_of(routes: int, letter: str = "r") -> tuple[str, ...]:
    """Return the last path of each kind, which the framework finds last."""
    paths = {}
    for number in range(routes):
        prefix, tail = KINDS[kind_of(number)]
        paths[kind_of(number)] = f"{prefix}/{letter}{number}{'/1' if tail else ''}"
    return tuple(paths[kind] for kind in KINDS)


async def health() -> str:
    return "ok"


async def item(item_id: str) -> str:
    return item_id


async def file(first: str, second: str) -> str:
    return first + second


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def make_app(routes: int, **options: Any) -> tuple[FastAPI, dict[str, Any]]:
    """Return an app of so many *routes*, and rules for all of them."""
    app, sub, router = FastAPI(**options), FastAPI(openapi_url=None), APIRouter()
    rules: dict[str, Any] = {"GET /health": PUBLIC, "GET /files/{first}/to/{second}/end": "files"}
    app.add_api_route("/health", health)
    homes: dict[str, Any] = {"included": router, "mounted": sub}
    for number in range(routes):
        kind = kind_of(number)
        prefix, tail = KINDS[kind]
        endpoint = item if tail else health
        homes.get(kind, app).add_api_route(f"/r{number}{tail}", endpoint)
        rules[f"GET {prefix}/r{number}{tail}"] = f"scope{number}"
    app.include_router(router, prefix="/v1")
    app.add_api_websocket_route("/ws", socket)
    rules["WEBSOCKET /ws"] = "socket"
    app.mount("/sub", sub)
    app.add_api_route("/files/{first:path}/to/{second:path}/end", file)
    return app, rules


async def make_pair(routes: int, **options: Any) -> dict[str, FastAPI]:
    bare, _ = make_app(routes, docs_url=None, redoc_url=None)
    app, rules = make_app(routes, docs_url=None, redoc_url=None)
    guard = ScopeGuard({**rules, "GET /openapi.json": PUBLIC}, verifier=make_verifier())
    apps = {"protected": guard.protect(app, **options), "bare": bare}
    for each in apps.values():
        await start(each)
    return apps


def targets(routes: int) -> dict[str, dict[str, Any]]:
    """Return what is asked for, by name."""
    literal, parameter, included, mounted = last_of(routes)
    parameter, included = parameter.removesuffix("/1"), included.removesuffix("/1")
    many = [HOST, *[(b"a", b"b")] * 50_000]
    big = [HOST, (b"x-big", b"v" * 2**20)]

    def socket_to(path: str, **more: Any) -> dict[str, Any]:
        return connection(path, type="websocket", **more)

    return {
        # Ordinary ones, to compare by.
        "an open route": connection("/health"),
        "a closed literal": connection(literal),
        "a closed parameter": connection(f"{parameter}/1"),
        "a closed included route": connection(f"{included}/1"),
        "a closed mounted route": connection(mounted),
        # Control characters.
        "open literal, %0A": connection("/health\n"),
        "closed literal, %0A": connection(f"{literal}\n"),
        "parameter, %0A at the end": connection(f"{parameter}/1\n"),
        "parameter, %0A inside": connection(f"{parameter}/1\n2"),
        "included, %0A": connection(f"{included}/1\n"),
        "mounted, %0A": connection(f"{mounted}\n"),
        "%0A at the beginning": connection(f"\n{literal}"),
        "literal, %0D": connection(f"{literal}\r"),
        "literal, %00": connection(f"{literal}\0"),
        "parameter, %00": connection(f"{parameter}/\0"),
        "parameter, %1B": connection(f"{parameter}/\x1b[0m"),
        "parameter, U+2028": connection(f"{parameter}/\u2028"),
        "unknown path, %0A": connection("/nope\n"),
        # Paths that are not there.
        "unknown path": connection("/nope"),
        "unknown below a literal": connection(f"{literal}/nope"),
        "unknown below a parameter": connection(f"{parameter}/1/nope"),
        "unknown below an inclusion": connection("/v1/nope"),
        "unknown below a mount": connection("/sub/nope"),
        "empty path": connection(""),
        "other letters": connection(literal.upper()),
        "slash at the end of a literal": connection(f"{literal}/"),
        "slash at the end of a parameter": connection(f"{parameter}/1/"),
        "slash at the end of a mounted route": connection(f"{mounted}/"),
        # Methods.
        "method get": connection(literal, method="get"),
        "method 'GET '": connection(literal, method="GET "),
        "method GET%0A": connection(literal, method="GET\n"),
        "no method": connection(literal, method=""),
        "method PURGE": connection(literal, method="PURGE"),
        "method of 5,000 letters": connection(literal, method="A" * 5_000),
        "405 of a literal": connection(literal, method="POST"),
        "405 of a parameter": connection(f"{parameter}/1", method="DELETE"),
        "405 of an open route": connection("/health", method="POST"),
        "OPTIONS": connection(literal, method="OPTIONS"),
        "HEAD": connection(literal, method="HEAD"),
        "PURGE of an unknown path": connection("/nope", method="PURGE"),
        # Size.
        "64 KiB of slashes": connection("/" * 2**16),
        "64 KiB of slashes below a literal": connection(literal + "/" * 2**16),
        "64 KiB in one parameter": connection(f"{parameter}/{'a' * 2**16}"),
        "64 KiB of query": connection(literal, query_string=b"a=b&" * 2**14),
        "10,000 segments": connection("/a" * 10_000),
        "10,000 segments below a mount": connection("/sub" + "/a" * 10_000),
        "4.5 KB, two :path that match": connection("/files/" + "a/to/" * 900 + "end"),
        "4.5 KB, two :path that do not": connection("/files/" + "to/" * 1_500),
        "50,000 fields, open": connection("/health", headers=many),
        "50,000 fields, closed": connection(f"{parameter}/1", headers=many),
        "50,000 fields, unknown": connection("/nope", headers=many),
        "50,000 fields, 405": connection(literal, method="POST", headers=many),
        "50,000 fields, %0A": connection(f"{literal}\n", headers=many),
        "1 MiB in a field, closed": connection(literal, headers=big),
        "1 MiB in a field, unknown": connection("/nope", headers=big),
        "1 MiB of Authorization": connection(
            literal, headers=[HOST, (b"authorization", b"Bearer " + b"a" * 2**20)]
        ),
        "10,000 Authorization fields": connection(
            literal, headers=[HOST, *[(b"authorization", b"Bearer a")] * 10_000]
        ),
        # Spellings.
        "dot segments": connection(f"/health/..{literal}"),
        "15 KB of dot segments": connection("/.." * 5_000),
        "64 KiB of dots": connection("/" + "." * 2**16),
        "%250A": connection(f"{literal}%0A"),
        "percent without digits": connection(f"{literal}%"),
        "16 KB of percents": connection(f"{parameter}/{'%' * 2**14}"),
        "a byte that is no UTF-8": connection(f"{parameter}/\udcff"),
        "full-width letters": connection("/\uff52\uff11"),
        "backslashes and semicolons": connection(f"{literal};a=b\\..\\"),
        # Hosts.
        "no host": connection(f"{literal}/", headers=[]),
        "two hosts": connection(f"{literal}/", headers=[HOST, (b"host", b"other")]),
        "a host of 8,000 letters": connection(f"{literal}/", headers=[(b"host", b"h" * 8_000)]),
        "a host that is none": connection(f"{literal}/", headers=[(b"host", b"[::a@/..\x01")]),
        # Sockets.
        "closed socket": socket_to("/ws"),
        "request to a socket": connection("/ws"),
        "socket to a request": socket_to(literal),
        "socket to a parameter": socket_to(f"{parameter}/1"),
        "socket to nothing": socket_to("/nope"),
        "socket, %0A": socket_to("/ws\n"),
        "socket below a mount": socket_to("/sub/nope"),
        "socket, 5,000 subprotocols": socket_to("/ws", subprotocols=["a"] * 5_000),
    }


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
