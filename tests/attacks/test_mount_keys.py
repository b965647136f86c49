"""Attacks on ``MOUNT /prefix``: it opens the files and the opaque app there, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC, ScopeMap
from tests.apps import make_guard
from tests.perimeter.calling import (
    HOST,
    OPEN,
    SOCKET,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.other_ways import KINDS, Kind
from tests.perimeter.places import ANYWHERE, Where, in_the_app, make_app

# What it does not open.


class OwnMatches(APIRouter):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope)


class OwnHandle(APIRouter):
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(scope, receive, send)


class Both(Route, WebSocketRoute):
    """A route of two kinds."""


class Plain(BaseRoute):
    """Of no kind that the framework has, and named like a mount."""

    def __init__(self, path: str) -> None:
        self.path = path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_here = scope["path"].startswith(self.path)
        return (Match.FULL, {}) if is_here else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("secret")(scope, receive, send)


def including(router: APIRouter) -> Any:
    router.add_api_route("/secret", running("secret"))
    router.add_api_websocket_route("/ws", talking("secret"))
    app = make_app()
    app.include_router(router, prefix="/x")
    return app


def secret_app() -> Starlette:
    return Starlette(
        routes=[Route("/secret", running("secret")), WebSocketRoute("/ws", talking("secret"))]
    )


def with_default(default: Any) -> Any:
    app = make_app()
    app.router.default = default
    return app


@dataclass(frozen=True, slots=True)
class NoMount:
    """What looks as if it were mounted at a prefix, and is not."""

    make: Callable[[], Any]
    prefix: str = "/x"
    host: str = HOST


INNER_HOST = "inner.example.org"
NO_MOUNTS: dict[str, NoMount] = {
    "included router with its own matches": NoMount(lambda: including(OwnMatches())),
    "included router with its own handle": NoMount(lambda: including(OwnHandle())),
    "included router": NoMount(lambda: including(APIRouter())),
    "route of two kinds": NoMount(lambda: in_the_app([Both("/x", running("secret"))])),
    "route of no kind": NoMount(lambda: in_the_app([Plain("/x")])),
    "route of no kind at the root": NoMount(lambda: in_the_app([Plain("/")]), ""),
    "route": NoMount(lambda: in_the_app([Route("/x", running("secret"))])),
    "API route": NoMount(lambda: in_the_app([APIRoute("/x/{p:path}", running("secret"))])),
    "socket": NoMount(lambda: in_the_app([WebSocketRoute("/x", talking("secret"))])),
    "router for an endpoint": NoMount(
        lambda: in_the_app([Route("/x/{p:path}", Router([Route("/x/secret", running("secret"))]))])
    ),
    "opaque default": NoMount(lambda: with_default(Opaque("secret")), ""),
    "default that is a router": NoMount(lambda: with_default(secret_app().router), ""),
    "default of a mounted router": NoMount(
        lambda: in_the_app([Mount("/x", Router(default=Opaque("secret")))])
    ),
    "opaque host": NoMount(
        lambda: in_the_app([Host(INNER_HOST, Opaque("secret"))]), "", INNER_HOST
    ),
    "host of a router": NoMount(
        lambda: in_the_app([Host(INNER_HOST, secret_app().router)]), "", INNER_HOST
    ),
    "mounted app": NoMount(lambda: in_the_app([Mount("/x", secret_app())])),
    "mounted router": NoMount(lambda: in_the_app([Mount("/x", secret_app().router)])),
    "mounted FastAPI app": NoMount(
        lambda: in_the_app([Mount("/x", in_the_app([APIRoute("/secret", running("secret"))]))])
    ),
    "opaque mount below": NoMount(lambda: in_the_app([Mount("/x/y", Opaque("secret"))])),
    "opaque mount above": NoMount(lambda: in_the_app([Mount("", Opaque("secret"))])),
}


@pytest.mark.parametrize("no_mount", NO_MOUNTS.values(), ids=NO_MOUNTS)
def test_key_opens_nothing_that_is_no_mount_and_says_that_it_decides_nothing(
    no_mount: NoMount,
) -> None:
    key = f"MOUNT {no_mount.prefix or '/'}"
    guard = make_guard({key: PUBLIC})
    app = guard.protect(no_mount.make(), strict=False)
    (dead,) = guard.check(app).dead
    assert str(dead).startswith(f"{key!r} decides nothing: ")
    answered = set()
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PURGE", "MOUNT", SOCKET):
        for path in ("", "/", "/secret", "/ws", "/y", "/y/z"):
            where = (no_mount.prefix + path) or "/"
            for scopes in (None, {"secret"}):
                answer = call(app, method, where, scopes, host=no_mount.host)
                assert answer.ran is None
                answered.add(answer.status)
    # It is ruled by nothing, and not just never found.
    assert {401, 403} <= answered


def mounted_late(app: Any) -> None:
    app.mount("/x", secret_app())


def put_in_its_place(app: Any) -> None:
    app.router.routes[:] = [Mount("/x", secret_app())]


def swapped(app: Any) -> None:
    app.router.routes[0].app = secret_app()


LATE: dict[str, tuple[list[BaseRoute], Callable[[Any], None]]] = {
    "mounted late": ([], mounted_late),
    "another mount": ([Mount("/x", Opaque("public"))], put_in_its_place),
    "another app of the mount": ([Mount("/x", Opaque("public"))], swapped),
}


@pytest.mark.parametrize("is_served_before", [True, False])
@pytest.mark.parametrize(("routes", "late"), LATE.values(), ids=LATE)
def test_key_of_an_opaque_mount_opens_no_app_that_comes_there_later(
    routes: list[BaseRoute], late: Callable[[Any], None], is_served_before: bool
) -> None:
    app = in_the_app([Mount(each.path, each.app) for each in routes if isinstance(each, Mount)])
    guarded = Guarded(app, {"MOUNT /x": PUBLIC, "GET /x/secret": "secret"})
    if is_served_before and routes:
        assert call(app, "GET", "/x/secret").ran == "public"
    late(app)
    assert guarded.outcome("GET", "/x/secret") == ruled_by("secret")
    assert call(app, SOCKET, "/x/ws").ran is None
    assert guarded.guard.check(app).dead == ()


# What it opens.

MOUNTED: dict[str, Kind] = {
    name: kind
    for name, kind in KINDS.items()
    if name.removeprefix("included ")
    in {"opaque mount", "socket of an opaque mount", "static files", "frontend"}
}
PATTERNS = ("* /**", "GET /**", "GET /*/**", "WEBSOCKET /**", "POST /**", "OPTIONS /**")


@pytest.mark.parametrize("kind", MOUNTED.values(), ids=MOUNTED)
def test_key_opens_what_is_mounted_there_to_all(kind: Kind, tmp_path: Path) -> None:
    app = make_app()
    kind.put(app.router, "public", tmp_path)
    guarded = Guarded(app, {f"MOUNT {kind.template.removesuffix('/**')}": PUBLIC})
    assert guarded.guard.check(app).problems == ()
    assert guarded.outcome(kind.method, kind.path) == OPEN


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("kind", MOUNTED.values(), ids=MOUNTED)
def test_key_wins_over_every_pattern(kind: Kind, is_first: bool, tmp_path: Path) -> None:
    app = make_app()
    kind.put(app.router, "files", tmp_path)
    keys = {f"MOUNT {kind.template.removesuffix('/**')}": "files"}
    patterns = dict.fromkeys(PATTERNS, PUBLIC) | {f"* {kind.template}": PUBLIC}
    guarded = Guarded(app, keys | patterns if is_first else patterns | keys)
    assert guarded.outcome(kind.method, kind.path) == ruled_by("files")


@pytest.mark.parametrize("where", ANYWHERE)
def test_key_is_for_all_methods_and_sockets_but_for_preflights_with_a_rule(where: Where) -> None:
    rules = {"MOUNT /x": "files", **dict.fromkeys(PATTERNS, PUBLIC)}
    guarded = Guarded(where([Mount("/x", Opaque("files"))]), rules)
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PURGE", "MOUNT", SOCKET):
        if method != "HEAD":
            assert guarded.outcome(method, "/x/y") == ruled_by("files")
        assert call(guarded.app, method, "/x/y").status == 401
    exempt = Guarded(where([Mount("/x", Opaque("public"))]), rules | {"OPTIONS /x/**": PUBLIC})
    assert exempt.outcome("OPTIONS", "/x/y") == OPEN
    for method in ("GET", "HEAD", "POST", "PURGE", SOCKET):
        assert call(exempt.app, method, "/x/y").status == 401


@pytest.mark.parametrize("where", ANYWHERE)
def test_key_opens_no_route_that_is_asked_before_the_mount(where: Where, tmp_path: Path) -> None:
    routes = [
        Route("/x/secret", running("secret")),
        Route("/x/other", running("other")),
        Mount("/x/deep", Opaque("deep")),
        Mount("/x", StaticFiles(directory=tmp_path)),
    ]
    (tmp_path / "y").write_text("ran public")
    rules = {"MOUNT /x": PUBLIC, "GET /x/secret": "secret", "MOUNT /x/deep": "deep"}
    guarded = Guarded(where(routes), rules)
    assert guarded.outcome("GET", "/x/y") == OPEN
    assert guarded.outcome("GET", "/x/secret") == ruled_by("secret")
    assert guarded.outcome("GET", "/x/deep/y") == ruled_by("deep")
    assert call(guarded.app, "GET", "/x/other").status == 401
    assert call(guarded.app, "GET", "/x/other", guarded.scopes).status == 403


def test_key_of_a_preset_that_finds_no_mount_opens_nothing_either() -> None:
    guard = make_guard(ScopeMap({"MOUNT /x": PUBLIC}, optional=True))
    app = guard.protect(including(OwnMatches()), strict=False)
    assert guard.check(app).dead == ()
    assert call(app, "GET", "/x/secret").status == 401
