"""How random applications lead from one router to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from tests.fuzz.building import Builder
from tests.fuzz.model import Edge, Leads, Node
from tests.fuzz.parts import Answering, Hiding, Opaque, Passing, Rewriting, filled

_VALUES = {"int": "7", "float": "1.5", "uuid": "0" * 32}


class OwnMatching(Router):
    """A router that matches in its own way."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().app(scope, receive, send)


class OwnIncluded(APIRouter):
    """A router that matches in its own way where it is included."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope)


class OwnCall(FastAPI):
    """An app with code of its own before all else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)


def inclusion(builder: Builder, node: Node) -> None:
    """Include a new router, filled before or after."""
    if not isinstance(node.router, APIRouter):
        return
    kind = OwnIncluded if builder.texts.chance(0.03) else APIRouter
    own = builder.texts.own_prefix()
    router = kind(prefix=own, dependencies=builder.dependencies())
    inner = builder.new_node("router", router, node, own=own)
    inner.is_closed_where_included = kind is OwnIncluded
    times = 2 if builder.texts.chance(0.25) else 1
    is_late = builder.texts.chance(0.4)
    if not is_late:
        builder.fill(inner)
    for _ in range(times):
        _include(builder, node, inner, is_marked=times > 1)
    if is_late:
        builder.fill(inner)


def _include(builder: Builder, node: Node, inner: Node, *, is_marked: bool) -> None:
    router: Any = node.router
    prefix = builder.texts.prefix()
    if _has_empty_path(inner):
        # The framework does not take what is empty on both sides.
        prefix = prefix or f"/i{builder.texts.number()}"
    mark = builder.texts.number() if is_marked else None
    router.include_router(inner.router, prefix=prefix, dependencies=builder.dependencies(mark))
    builder.add(node, Edge(Leads.INCLUSION, prefix, node=inner, mark=mark))


def _has_empty_path(node: Node) -> bool:
    return any(
        (edge.leads in {Leads.MOUNT, Leads.OPAQUE} and not edge.path)
        or (edge.leads is Leads.INCLUSION and not node.own + edge.path and _has_empty_path(inner))
        for edge in node.edges
        for inner in [edge.node or node]
    )


def inclusion_again(builder: Builder, node: Node) -> None:
    """Include a router that hangs elsewhere already; it may be a mounted one."""
    others = [
        each
        for each in builder.nodes
        if isinstance(each.app, APIRouter) and not _is_above(each, node)
    ]
    if others and isinstance(node.router, APIRouter):
        _include(builder, node, builder.rng.choice(others), is_marked=True)


def mount(builder: Builder, node: Node) -> None:
    """Mount a new app or router."""
    own = builder.texts.own_prefix()
    kinds: dict[str, Callable[[], Any]] = {
        "sub-app": builder.new_app,
        "starlette": Starlette,
        "plain router": Router,
        "api router": lambda: APIRouter(prefix=own),
    }
    kind, make = builder.rng.choice(list(kinds.items()))
    inner = builder.new_node(kind, make(), node, own=own if kind == "api router" else "")
    path = builder.texts.mount()
    if isinstance(inner.app, FastAPI) and builder.texts.chance(0.15):
        inner.app.root_path = builder.rng.choice(["/x", "/a", "/proxy", path.rstrip("/"), "/"])
    if builder.texts.chance(0.15):
        # What is not stripped of the prefix of its mount finds something there all the same.
        inner.base = builder.texts.renamed(path.rstrip("/"))
    is_late = builder.texts.chance(0.3)
    if not is_late:
        builder.fill(inner)
    _mount(builder, node, inner, path)
    if is_late:
        builder.fill(inner)


def _mount(builder: Builder, node: Node, inner: Node, path: str) -> None:
    root_path = getattr(inner.app, "root_path", "")
    details = [f"(root path {root_path!r})"] if root_path else []
    node.router.mount(path, inner.app)
    builder.add(node, Edge(Leads.MOUNT, path, node=inner), *details)


def mount_of_routes(builder: Builder, node: Node) -> None:
    path = builder.texts.mount()
    outer = Mount(path, routes=[])
    inner = builder.new_node("routes of a mount", outer.app, node)
    builder.fill(inner)
    node.router.routes.append(outer)
    builder.add(node, Edge(Leads.MOUNT, path, node=inner))


def mount_again(builder: Builder, node: Node) -> None:
    """Mount what hangs elsewhere already; it may be a router that is included there."""
    others = [each for each in builder.nodes if not _is_above(each, node)]
    if others:
        _mount(builder, node, builder.rng.choice(others), builder.texts.mount())


def mount_of_itself(builder: Builder, node: Node) -> None:
    inner = builder.rng.choice([each for each in builder.nodes if _is_above(each, node)])
    path = f"/loop/{builder.texts.parameter('str')}"
    node.router.mount(path, inner.app)
    builder.add(node, Edge(Leads.MOUNT, path, node=inner), "(in itself)")


def _is_above(node: Node, other: Node) -> bool:
    """Tell whether *node* leads to *other*, or will when all that holds *other* is in place."""
    pending, seen = [node], set[int]()
    outer = [other]
    while outer[-1].parent is not None:
        outer.append(outer[-1].parent)
    while pending:
        each = pending.pop()
        if each in outer:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            pending += [edge.node for edge in each.edges if edge.node is not None]
    return False


def closed_mount(builder: Builder, node: Node) -> None:
    inner = builder.new_node("router of its own kind", OwnMatching(), node, is_closed=True)
    builder.fill(inner)
    _mount(builder, node, inner, builder.texts.mount())


def hidden_mount(builder: Builder, node: Node) -> None:
    """Mount an app in another one that is no router; it may hang elsewhere, too."""
    others = [each for each in builder.nodes if not _is_above(each, node)]
    if others and builder.texts.chance(0.3):
        inner = builder.rng.choice(others)
    else:
        inner = builder.new_node("hidden", builder.new_app(), node)
        builder.fill(inner)
    path = builder.texts.mount()
    # Who names what it wraps may run another all the same.
    kind = builder.rng.choice([Hiding, Passing])
    node.router.mount(path, kind(inner.app))
    edge = Edge(Leads.MOUNT, path, node=inner, is_hidden=True)
    builder.add(node, edge, f"({kind.__name__})")


def transparent_mount(builder: Builder, node: Node) -> None:
    """Mount something behind what is known to pass all on."""
    inner = builder.new_node("behind the framework's", builder.new_app(), node)
    builder.fill(inner)
    path = builder.texts.mount()
    hosts = TrustedHostMiddleware(inner.app, allowed_hosts=["*"])
    node.router.mount(path, builder.rng.choice([hosts, GZipMiddleware(inner.app)]))
    builder.add(node, Edge(Leads.MOUNT, path, node=inner, is_between=True))


def host(builder: Builder, node: Node) -> None:
    name = builder.texts.host()
    kinds: list[Callable[[], Any]] = [builder.new_app, Router, APIRouter]
    kind = builder.rng.choice(kinds)
    inner = builder.new_node("host", kind(), node)
    builder.fill(inner)
    node.router.routes.append(Host(name, inner.app))
    builder.add(node, Edge(Leads.HOST, name, node=inner))


def route_to_router(builder: Builder, node: Node) -> None:
    base = builder.rng.choice(["", f"/r{builder.texts.number()}"])
    kinds: list[Callable[[], Any]] = [builder.new_app, Router, APIRouter]
    kind = builder.rng.choice(kinds)
    inner = builder.new_node("endpoint", kind(), node, base=base)
    builder.fill(inner)
    path = f"{base}/{builder.texts.parameter('path')}"
    route = WebSocketRoute if builder.texts.chance(0.2) else Route
    node.router.routes.append(route(path, inner.app))
    builder.add(node, Edge(Leads.ROUTE, path, node=inner), route.__name__)


def default(builder: Builder, node: Node) -> None:
    if not any(edge.leads is Leads.DEFAULT for edge in node.edges):
        kind = builder.rng.choice([Starlette, Router, APIRouter])
        inner = builder.new_node("default", kind(), node)
        builder.fill(inner)
        node.router.default = inner.app
        builder.add(node, Edge(Leads.DEFAULT, "", node=inner))


@dataclass(frozen=True, slots=True)
class _Code:
    """Other code, to be put between a router and what leads there."""

    name: str
    middleware: Middleware
    is_rewriting: bool = False


def _other_code(builder: Builder, inner: Node) -> _Code:
    drawn, how = builder.rng.random(), builder.rng.choice(["path", "method", "root path"])
    name = builder.name("answer")
    if drawn < 0.3:
        return _Code("Passing", Middleware(Passing))
    if drawn < 0.6:
        return _Code(f"Answering {name}", Middleware(Answering, builder.recorder, name))
    middleware = Middleware(Rewriting, how, lambda: _targets(inner))
    return _Code(f"Rewriting {how}", middleware, is_rewriting=True)


def _targets(node: Node) -> list[str]:
    paths = [edge.path for edge in node.edges if edge.leads in {Leads.API, Leads.PLAIN}]
    return [filled(path, lambda kind: _VALUES.get(kind, "a")) for path in paths] or ["/a"]


def wrapped_mount(builder: Builder, node: Node) -> None:
    """Mount something, with other code in between."""
    where = builder.rng.choice(["mount", "app", "router", "call"])
    kind = OwnCall if where == "call" else FastAPI
    app: Any = Router() if where == "router" else builder.new_app(kind)
    # A router's own middleware might know a way around whatever stands behind it.
    inner = builder.new_node("wrapped", app, node, is_closed=where == "router")
    code = _other_code(builder, inner)
    made, arguments, options = code.middleware
    if where == "app":
        app.add_middleware(made, *arguments, **options)
    elif where == "router":
        app.middleware_stack = made(app.middleware_stack, *arguments, **options)
    is_at_mount = where == "mount"
    inner.is_between = not is_at_mount
    inner.is_rewriting = where in {"app", "router"} and code.is_rewriting
    builder.fill(inner)
    path = builder.texts.mount()
    outer = Mount(path, app, middleware=[code.middleware] if is_at_mount else None)
    node.router.routes.append(outer)
    is_rewriting = is_at_mount and code.is_rewriting
    edge = Edge(Leads.MOUNT, path, node=inner, is_hidden=is_at_mount, is_rewriting=is_rewriting)
    builder.add(node, edge, "(OwnCall)" if where == "call" else f"({where}: {code.name})")


def docs(builder: Builder, node: Node) -> None:
    """Mount an app with docs pages."""
    app = FastAPI()
    inner = builder.new_node("documented", app, node)
    path = builder.texts.mount()
    for route in app.router.routes:
        assert isinstance(route, Route)
        name = builder.name("docs")
        route.app = Opaque(builder.recorder, name)
        builder.add(inner, Edge(Leads.PLAIN, route.path, name, ("GET", "HEAD")))
    builder.fill(inner)
    _mount(builder, node, inner, path)


JOINTS: dict[Callable[[Builder, Node], None], int] = {
    inclusion: 22,
    inclusion_again: 3,
    mount: 14,
    mount_of_routes: 2,
    mount_again: 3,
    mount_of_itself: 1,
    closed_mount: 1,
    hidden_mount: 2,
    transparent_mount: 1,
    host: 3,
    route_to_router: 2,
    default: 2,
    wrapped_mount: 6,
    docs: 1,
}
