"""Endpoints of random applications, of every kind."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from tests.fuzz.building import Builder, is_included
from tests.fuzz.model import ANY, Edge, Leads, Node
from tests.fuzz.parts import (
    SOCKET,
    Catching,
    Dual,
    Opaque,
    Passing,
    Shouting,
    recorded_files,
    running,
    talking,
)

FILES = ("index.html", "a", "app.js", "b/index.html")


@cache
def _directory() -> "tempfile.TemporaryDirectory[str]":
    """Return a directory with FILES, which lives as long as the process."""
    directory = tempfile.TemporaryDirectory(prefix="fuzz-")
    for name in FILES:
        path = Path(directory.name, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return directory


def api(builder: Builder, node: Node) -> None:
    _add_api(builder, node, node.base + builder.texts.path(), builder.texts.methods())


def _add_api(builder: Builder, node: Node, local: str, methods: list[str]) -> None:
    name = builder.name("api")
    endpoint = running(builder.recorder, name)
    depends = builder.dependencies()
    full = node.own + local
    if isinstance(node.router, APIRouter) and builder.texts.chance(0.7):
        node.router.add_api_route(
            local, endpoint, methods=methods, dependencies=depends, response_model=None
        )
    else:
        route = APIRoute(full, endpoint, methods=methods, dependencies=depends, response_model=None)
        node.router.routes.append(route)
    builder.add(node, Edge(Leads.API, full, name, tuple(methods)))


def api_without_path(builder: Builder, node: Node) -> None:
    """The prefix of its router is all there is."""
    if node.own:
        _add_api(builder, node, "", builder.texts.methods())


def same_path(builder: Builder, node: Node) -> None:
    """Another endpoint at the path of one that is there, for other methods or the same."""
    known = [edge.path for edge in node.edges if edge.leads in {Leads.API, Leads.PLAIN}]
    if known:
        path = builder.rng.choice(known)
        if builder.texts.chance(0.3) and path.startswith("/"):
            _add_plain(builder, node, path, builder.texts.methods())
        elif path.startswith(node.own):
            _add_api(builder, node, path.removeprefix(node.own), builder.texts.methods())


def overlapping(builder: Builder, node: Node) -> None:
    """An endpoint at a path that is nearly one that is there."""
    known = [edge.path for edge in node.edges if edge.leads in {Leads.API, Leads.PLAIN}]
    path = builder.texts.overlapping(builder.rng.choice(known)) if known else ""
    if path.startswith("/") and path.startswith(node.own):
        _add_api(builder, node, path.removeprefix(node.own) or "/", builder.texts.methods())


def plain(builder: Builder, node: Node) -> None:
    _add_plain(builder, node, node.base + builder.texts.path(), builder.texts.methods())


def _add_plain(builder: Builder, node: Node, path: str, methods: list[str]) -> None:
    name = builder.name("plain")
    kind = Shouting if builder.texts.chance(0.1) else Route
    middleware = [Middleware(Passing)] if builder.texts.chance(0.1) else None
    route = kind(path, running(builder.recorder, name), methods=methods, middleware=middleware)
    node.router.routes.append(route)
    builder.add(node, Edge(Leads.PLAIN, path, name, tuple(methods)), kind.__name__)


def plain_of_any_method(builder: Builder, node: Node) -> None:
    name, path = builder.name("any"), node.base + builder.texts.path()
    node.router.routes.append(Route(path, Opaque(builder.recorder, name)))
    builder.add(node, Edge(Leads.PLAIN, path, name, ("GET", "PUT", "OPTIONS")))


def api_socket(builder: Builder, node: Node) -> None:
    if isinstance(node.router, APIRouter):
        name, path = builder.name("api socket"), node.base + builder.texts.path()
        endpoint = talking(builder.recorder, name)
        node.router.add_api_websocket_route(path, endpoint, dependencies=builder.dependencies())
        builder.add(node, Edge(Leads.API, node.own + path, name, (SOCKET,)))


def plain_socket(builder: Builder, node: Node) -> None:
    name, path = builder.name("socket"), node.base + builder.texts.path()
    is_opaque = builder.texts.chance(0.3)
    endpoint = talking(builder.recorder, name)
    answer = Opaque(builder.recorder, name) if is_opaque else endpoint
    node.router.routes.append(WebSocketRoute(path, answer))
    builder.add(node, Edge(Leads.PLAIN, path, name, (SOCKET,)))


def opaque(builder: Builder, node: Node) -> None:
    name, path = builder.name("opaque"), builder.texts.mount()
    route: Any = Mount(path, Opaque(builder.recorder, name))
    if builder.texts.chance(0.1):
        # For a listing; the framework reads none of a mount.
        route.methods = {"PUT"}
    node.router.routes.append(route)
    builder.add(node, Edge(Leads.OPAQUE, path, name, ANY))


def files(builder: Builder, node: Node) -> None:
    name, path = builder.name("files"), builder.texts.mount()
    static = StaticFiles(directory=_directory().name, html=builder.texts.chance(0.5))
    node.router.routes.append(Mount(path, recorded_files(static, builder.recorder, name)))
    builder.add(node, Edge(Leads.OPAQUE, path, name, ("GET", "HEAD")))


def opaque_host(builder: Builder, node: Node) -> None:
    name, host = builder.name("host"), builder.texts.host()
    node.router.routes.append(Host(host, Opaque(builder.recorder, name)))
    builder.add(node, Edge(Leads.HOST, host, name, ANY))


def opaque_default(builder: Builder, node: Node) -> None:
    if not any(edge.leads is Leads.DEFAULT for edge in node.edges):
        name = builder.name("default")
        node.router.default = Opaque(builder.recorder, name)
        builder.add(node, Edge(Leads.DEFAULT, "", name, ANY))


def of_own_class(builder: Builder, node: Node) -> None:
    # An inclusion leaves it out.
    if not is_included(node):
        name, path = builder.name("catching"), f"/{builder.rng.choice('abc')}"
        node.router.routes.append(Catching(path, Opaque(builder.recorder, name)))
        builder.add(node, Edge(Leads.OPAQUE, path, name, ANY), "of a class of its own")


def dual(builder: Builder, node: Node) -> None:
    # An inclusion makes a plain route of it.
    if not is_included(node):
        name, path = builder.name("dual"), node.base + builder.texts.path()
        node.router.routes.append(Dual(path, Opaque(builder.recorder, name), methods=["GET"]))
        builder.add(node, Edge(Leads.PLAIN, path, name, ("GET", SOCKET)), "for sockets too")


def frontend(builder: Builder, node: Node) -> None:
    if isinstance(node.router, APIRouter):
        name = builder.name("frontend")
        path = node.base + builder.rng.choice(["/", "/a", "/ui", "/a/b", "/ui/"])
        node.router.frontend(path, directory=_directory().name, fallback="index.html")
        group = node.router._frontend_routes
        assert group is not None
        static = group.routes[-1].app
        answer = static.get_response_for_scope

        async def noted(scope):  # type: ignore[no-untyped-def]
            builder.recorder.note(name, scope)
            return await answer(scope)

        static.get_response_for_scope = noted  # type: ignore[method-assign]
        builder.add(node, Edge(Leads.FRONTEND, path.rstrip("/"), name, ("GET", "HEAD")))


ENDPOINTS: dict[Callable[[Builder, Node], None], int] = {
    api: 30,
    api_without_path: 2,
    same_path: 6,
    overlapping: 10,
    plain: 8,
    plain_of_any_method: 3,
    api_socket: 5,
    plain_socket: 4,
    opaque: 5,
    files: 2,
    opaque_host: 1,
    opaque_default: 1,
    of_own_class: 1,
    dual: 2,
    frontend: 3,
}
