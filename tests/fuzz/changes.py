"""What may happen to the routes of a random application between two requests."""

from collections.abc import Callable
from dataclasses import replace

from fastapi.routing import APIRoute
from starlette.routing import Mount, Route, Router, compile_path

from tests.fuzz.building import Builder
from tests.fuzz.endpoints import api
from tests.fuzz.model import Edge, Leads, Node
from tests.fuzz.parts import Dual, Opaque, Passing, Shouting

Change = Callable[[Builder, Node], str]
"""Makes it, and says what it was."""


def more(builder: Builder, node: Node) -> str:
    builder.fill(node)
    return "more"


def one_in_front(builder: Builder, node: Node) -> str:
    builder.fill(node)
    routes = node.router.routes
    if routes:
        routes.insert(builder.rng.choice([0, 0, len(routes) // 2]), routes.pop())
    return "more, the last of it in front"


def one_less(builder: Builder, node: Node) -> str:
    routes = node.router.routes
    if not routes:
        return "nothing"
    position = builder.rng.randrange(len(routes))
    how = builder.rng.choice(["del", "pop", "remove", "slice"])
    if how == "del":
        del routes[position]
    elif how == "pop":
        routes.pop(position)
    elif how == "remove":
        # By ==, as the list does it: what is taken out may be another one that is equal.
        routes.remove(routes[position])
    else:
        routes[position : position + 1] = []
    return f"{how} {position}"


def another_order(builder: Builder, node: Node) -> str:
    how = builder.rng.choice(["reverse", "shuffle", "rebind", "slice", "sort"])
    routes = node.router.routes
    if how == "reverse":
        routes.reverse()
    elif how == "shuffle":
        builder.rng.shuffle(routes)
    elif how == "rebind":
        node.router.routes = list(reversed(routes))
    elif how == "slice":
        routes[:] = routes[::-1]
    else:
        routes.sort(key=lambda route: getattr(route, "path", ""))
    return how


def slashes(builder: Builder, node: Node) -> str:
    node.router.redirect_slashes = not node.router.redirect_slashes
    return f"redirect_slashes = {node.router.redirect_slashes}"


def other_methods(builder: Builder, node: Node) -> str:
    routes = [route for route in node.router.routes if isinstance(route, APIRoute)]
    if not routes:
        return "nothing"
    route = builder.rng.choice(routes)
    assert route.methods is not None
    route.methods.add("POST")
    route.methods.discard("PUT")
    return f"methods of {route.path!r}: {sorted(route.methods)}"


def another_app(builder: Builder, node: Node) -> str:
    """Put another router, or an opaque app, into the place of what is mounted."""
    mounts = [route for route in node.router.routes if isinstance(route, Mount)]
    if not mounts:
        return "nothing"
    mount = builder.rng.choice(mounts)
    if builder.texts.chance(0.4):
        name = builder.name("opaque")
        mount.app = Opaque(builder.recorder, name)
        builder.add(node, Edge(Leads.OPAQUE, mount.path, name, ("GET",)))
    else:
        inner = builder.new_node("plain router", Router(), node)
        api(builder, inner)
        mount.app = inner.app
        builder.add(node, Edge(Leads.MOUNT, mount.path, node=inner))
    return f"another app at {mount.path!r}"


def another_path(builder: Builder, node: Node) -> str:
    """Move an endpoint, without a word to its router."""
    if not builder.may_move:
        return more(builder, node)
    own = (Shouting, Dual)
    routes = [
        route
        for route in node.router.routes
        if isinstance(route, Route) and not isinstance(route, own)
    ]
    known = [edge for edge in node.edges if edge.leads in {Leads.API, Leads.PLAIN}]
    if not routes or not known:
        return "nothing"
    route = builder.rng.choice(routes)
    path = builder.texts.path()
    for edge in known:
        if edge.path == route.path:
            builder.add(node, replace(edge, path=path))
            builder.moved.add(edge.name)
    was, route.path = route.path, path
    route.path_regex, route.path_format, route.param_convertors = compile_path(path)
    return f"{was!r} is now {path!r}"


def wrapped(builder: Builder, node: Node) -> str:
    if node.parent is None:
        return "nothing"
    node.router.middleware_stack = Passing(node.router.middleware_stack)
    node.is_between = True
    return "a middleware around it"


CHANGES: dict[Change, int] = {
    more: 20,
    one_in_front: 10,
    one_less: 8,
    another_order: 8,
    slashes: 2,
    other_methods: 2,
    another_app: 4,
    another_path: 4,
    wrapped: 2,
}
