"""Apps and connections that are odd, as frameworks, servers and tests make them."""

import asyncio
from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC, ScopeMap
from fastapi_scopes.guard import AccessRefused
from tests.apps import make_guard, mint
from tests.perimeter.calling import (
    NOT_FOUND,
    OPEN,
    SOCKET,
    Guarded,
    _exchange,
    call,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import (
    ANYWHERE,
    Where,
    in_the_app,
    included,
    make_app,
    mounted,
    mounted_app,
)

# Attributes of an app that are not what they are at first.


def setting(name: str, value: Any) -> Callable[[FastAPI], None]:
    return lambda app: setattr(app, name, value)


def with_nothing_listed(app: FastAPI) -> None:
    # The framework builds its stack of a list.
    app.middleware_stack = app.build_middleware_stack()
    app.user_middleware = ()  # type: ignore[assignment]


ODD: dict[str, Callable[[FastAPI], None]] = {
    "no overrides": setting("dependency_overrides", None),
    "overrides in a read-only mapping": setting("dependency_overrides", MappingProxyType({})),
    "overrides in a mapping of its own": setting("dependency_overrides", UserDict()),
    "overrides in a list": setting("dependency_overrides", []),
    "handlers in a read-only mapping": setting("exception_handlers", MappingProxyType({})),
    "handlers in a mapping of its own": setting("exception_handlers", UserDict()),
    "no middleware": with_nothing_listed,
    "no document": setting("openapi_url", None),
    "no document and no pages": setting("docs_url", None),
}


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("is_mounted", [False, True], ids=["of the app", "of a mounted one"])
@pytest.mark.parametrize("make_odd", ODD.values(), ids=ODD)
def test_app_with_odd_attributes_is_ruled_like_any_other(
    make_odd: Callable[[FastAPI], None], is_mounted: bool, is_late: bool
) -> None:
    odd = in_the_app([Route("/x", running("x")), Route("/open", running("public"))])
    app = in_the_app([Mount("/m", odd)]) if is_mounted else odd
    prefix = "/m" if is_mounted else ""
    if not is_late:
        make_odd(odd)
    guarded = Guarded(app, {f"GET {prefix}/x": "x", f"GET {prefix}/open": PUBLIC})
    if is_late:
        make_odd(odd)
    assert guarded.outcome("GET", f"{prefix}/x") == ruled_by("x")
    assert guarded.outcome("GET", f"{prefix}/open") == OPEN
    assert guarded.outcome("GET", f"{prefix}/unknown") == NOT_FOUND
    with TestClient(app):
        pass


# Connections whose headers are odd.


def odd_scope(kind: str, path: str, **more: Any) -> Scope:
    known = {"type": kind, "path": path, "raw_path": path.encode(), "root_path": ""}
    rest = {"query_string": b"", "client": ("192.0.2.1", 1), "server": ("testserver", 80)}
    of_kind: dict[str, Any] = {"method": "GET"}
    if kind == "websocket":
        of_kind = {"extensions": {"websocket.http.response": {}}, "subprotocols": []}
    return {**known, **rest, **of_kind, "scheme": "http", **more}


def asked(app: Any, kind: str, path: str, **more: Any) -> Any:
    return asyncio.run(_exchange(app, odd_scope(kind, path, **more)))


def with_kinds(where: Where) -> FastAPI:
    return where(
        [
            Route("/open", running("public")),
            Route("/x", running("x")),
            WebSocketRoute("/open", talking("public")),
            WebSocketRoute("/x", talking("x")),
        ]
    )


RULES = {"GET /open": PUBLIC, "GET /x": "x", f"{SOCKET} /open": PUBLIC, f"{SOCKET} /x": "x"}
KINDS = ["http", "websocket"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app])
def test_connection_without_header_fields_has_no_credentials(where: Where, kind: str) -> None:
    app = Guarded(with_kinds(where), RULES).app
    assert asked(app, kind, "/open").ran == "public"
    assert asked(app, kind, "/x").status == 401


@pytest.mark.parametrize("kind", KINDS)
def test_connection_without_header_fields_has_none_for_a_guard_that_is_awaited(kind: str) -> None:
    """FastAPI itself reads them of every connection for which a dependency runs."""
    guard = make_guard(RULES)
    connection = HTTPConnection(odd_scope(kind, "/x"))
    with pytest.raises(AccessRefused, match="Authentication required"):
        asyncio.run(guard(connection))


def as_tuple(fields: list[Any]) -> Any:
    return tuple(fields)


def as_generator(fields: list[Any]) -> Iterator[Any]:
    yield from fields


@pytest.mark.parametrize("made", [list, as_tuple, as_generator])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app])
def test_header_fields_are_read_of_whatever_holds_them(where: Where, kind: str, made: Any) -> None:
    app = Guarded(with_kinds(where), RULES).app

    def with_token(*scopes: str) -> list[Any]:
        return [(b"host", b"testserver"), (b"authorization", f"Bearer {mint(*scopes)}".encode())]

    assert asked(app, kind, "/x", headers=made(with_token("x"))).ran == "x"
    assert asked(app, kind, "/x", headers=made(with_token("other"))).status == 403
    assert asked(app, kind, "/x", headers=made([])).status == 401
    assert asked(app, kind, "/open", headers=made([])).ran == "public"


@pytest.mark.parametrize(("count", "status"), [(900, 200), (1_001, 400), (50_000, 400)])
def test_more_header_fields_than_any_client_sends_are_refused_where_they_are_read(
    count: int, status: int
) -> None:
    app = Guarded(with_kinds(in_the_app), RULES).app
    fields = [(b"x-more", b"1")] * count
    token = (b"authorization", f"Bearer {mint('x')}".encode())
    for headers in ([*fields, token], [token, *fields]):
        assert asked(app, "http", "/x", headers=headers).status == status
        assert asked(app, "http", "/open", headers=headers).ran == "public"


# Routers and routes that are odd.


@pytest.mark.parametrize("kind", [Route, APIRoute])
@pytest.mark.parametrize("is_included", [False, True], ids=["of the app", "included"])
def test_route_that_is_asked_last_is_ruled_as_whatever_may_be_there(
    kind: Any, is_included: bool
) -> None:
    app, router = make_app(), APIRouter()
    owner = router if is_included else app.router
    owner._low_priority_routes.append(kind("/x", running("x")))
    owner._mark_routes_changed()
    if is_included:
        app.include_router(router)
    guarded = Guarded(app, {"GET /x": "other", "GET /**": "x"})
    assert guarded.outcome("GET", "/x") == ruled_by("x")
    assert guarded.outcome("GET", "/unknown") == NOT_FOUND
    other = Starlette(routes=list(owner._low_priority_routes))
    assert call(other, "GET", "/x").status == 401


class Slotted(APIRouter):
    """Keeps what it goes by in slots."""

    __slots__ = ("seen", "tenant")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.tenant = "t"
        super().__init__(*arguments, **options)

    @property
    def redirect_slashes(self) -> bool:
        assert self.tenant == "t"
        return self.seen

    @redirect_slashes.setter
    def redirect_slashes(self, value: bool) -> None:
        self.seen = value


@pytest.mark.parametrize("is_mounted", [False, True], ids=["of the app", "mounted"])
def test_router_with_slots_is_ruled_and_has_what_is_in_them(
    is_mounted: bool, tmp_path: Path
) -> None:
    (tmp_path / "y").write_text("ran files")
    app, router = make_app(), Slotted()
    router.add_api_route("/x", running("x"))
    router.frontend("/ui", directory=tmp_path, fallback=None)
    prefix = "/m" if is_mounted else ""
    if is_mounted:
        app.mount("/m", router)
    else:
        app.router = router
    rules = {f"GET {prefix}/x": "x", f"MOUNT {prefix}/ui": "files"}
    guarded = Guarded(app, rules)
    assert guarded.outcome("GET", f"{prefix}/x") == ruled_by("x")
    assert guarded.outcome("GET", f"{prefix}/ui/y") == ruled_by("files")
    assert guarded.outcome("GET", f"{prefix}/unknown") == NOT_FOUND


class Hex(Convertor[int]):
    regex = "[0-9a-f]+"

    def convert(self, value: str) -> int:
        return int(value, 16)

    def to_string(self, value: int) -> str:
        return f"{value:x}"


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "while it serves"])
@pytest.mark.parametrize("where", ANYWHERE)
def test_convertor_that_is_no_longer_registered_shuts_and_opens_nothing(
    where: Where, is_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "hex", Hex())
    app = where([Route("/a/{x:hex}", running("a")), Route("/b", running("public"))])
    guarded = Guarded(app, {"GET /a/{x}": "a", "GET /b": PUBLIC})
    if is_late:
        assert guarded.outcome("GET", "/a/ff") == ruled_by("a")
    monkeypatch.delitem(CONVERTOR_TYPES, "hex")
    if where is included and not is_late:
        # FastAPI makes such routes when the first connection comes, and cannot.
        with pytest.raises(AssertionError, match="hex"):
            guarded.outcome("GET", "/b")
        return
    for _ in range(2):
        assert guarded.outcome("GET", "/b") == OPEN
    if where is in_the_app:
        assert guarded.outcome("GET", "/a/ff") == ruled_by("a")
        assert guarded.outcome("GET", "/a/zz") == NOT_FOUND


def test_replaced_answer_of_the_framework_to_unknown_paths_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def not_found(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("nothing here", 404)(scope, receive, send)

    def notices(**options: Any) -> list[str]:
        guard = make_guard({"GET /x": "x"})
        app = guard.protect(in_the_app([Route("/x", running("x"))]), **options)
        found = guard.check(app).notices
        answer = call(app, "GET", "/unknown")
        assert (answer.status, answer.text) == expected
        return [each for each in found if "not_found" in each]

    expected = (404, '{"detail":"Not Found"}')
    assert notices() == []
    monkeypatch.setattr(Router, "not_found", not_found)
    expected = (404, "nothing here")
    assert len(notices()) == 1
    guard = make_guard(ScopeMap({"GET /x": "x"}))
    app = guard.protect(in_the_app([Route("/x", running("x"))]), hide_unknown=True)
    assert call(app, "GET", "/unknown").status == 401
    assert [each for each in guard.check(app).notices if "not_found" in each] == []
