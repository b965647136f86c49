"""An app with routes of every kind, and requests to it that no honest client sends."""

from typing import Any

from fastapi import APIRouter, FastAPI, WebSocket

from benchmarks.gates import make_verifier
from benchmarks.measures import connection, start
from fastapi_scopes import PUBLIC, ScopeGuard

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
