"""What a random application holds, as whoever built it knows it: nothing here looks at routes.

A router is one `Node`, wherever it hangs; from the nodes follow all places at which an
endpoint is, each with the full template that a rule for it names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from starlette.routing import Router
from starlette.types import ASGIApp

from tests.fuzz.parts import SOCKET, parameters_of

ANY = ("GET", "POST", "OPTIONS", SOCKET)
"""Some methods of what answers any."""


class Leads(Enum):
    """How a router leads to what is in it."""

    API = auto()
    """An API route: the router's own prefix is in its path."""
    PLAIN = auto()
    OPAQUE = auto()
    """An app without a route table, under a path."""
    FRONTEND = auto()
    INCLUSION = auto()
    MOUNT = auto()
    HOST = auto()
    ROUTE = auto()
    """A route that has a router for its endpoint."""
    DEFAULT = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """What a router leads to: an endpoint by name, or another router."""

    leads: Leads
    path: str
    """Its path, or host, as it is given to the framework."""
    name: str = ""
    methods: tuple[str, ...] = ()
    node: "Node | None" = None
    mark: int | None = None
    """The number of the inclusion that its dependencies tell."""
    is_between: bool = False
    """Whether other code stands before the router."""
    is_rewriting: bool = False
    """Whether that code may make other requests of those that come."""
    is_hidden: bool = False
    """Whether it leads there through an app that no one looks into."""


@dataclass(slots=True, eq=False)
class Node:
    """A router, or an app with one."""

    router: Router
    app: ASGIApp
    name: str
    own: str = ""
    """The prefix that the router gives to API routes, inclusions and frontends in it."""
    base: str = ""
    """What the paths of its routes begin with, for no reason that the framework knows."""
    is_closed: bool = False
    """Whether it matches in its own way, so that it is one endpoint with all that is in it."""
    is_closed_where_included: bool = False
    is_between: bool = False
    """Whether other code stands before its matching, whatever leads to it."""
    is_rewriting: bool = False
    parent: "Node | None" = None
    edges: list[Edge] = field(default_factory=list[Edge])


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is."""

    name: str
    template: str
    methods: tuple[str, ...]
    parameters: frozenset[str]
    marks: frozenset[int] | None
    """The inclusions on the way, where their dependencies run."""
    host: str | None
    is_closed: bool
    """Whether it is behind what is one endpoint with all that is in it."""
    looked_into: str
    """Its template for who looks into routers that match in their own way."""
    literal: str
    """The end of the template that stands for itself, braces included."""
    is_rewritten: bool


@dataclass(frozen=True, slots=True)
class _At:
    """Where a router is: behind which mounts, and below which inclusions since then."""

    mounted: str = ""
    included: str = ""
    parameters: frozenset[str] = frozenset()
    marks: frozenset[int] = frozenset()
    host: str | None = None
    closed: str | None = None
    """The template of a router further out that is one endpoint with all that is in it."""
    hidden: str | None = None
    """That of one further out behind which nobody sees anything."""
    is_rewritten: bool = False
    is_included: bool = False
    is_closed_by_inclusion: bool = False
    outer: tuple[Node, ...] = ()
    """The routers to which something other than an inclusion led."""

    def to(self, path: str) -> str:
        return self.mounted + self.included + path


def places_in(root: Node) -> list[Place]:
    """Return all places of all endpoints that can be reached from *root*."""
    return list(_places(root, _At(outer=(root,))))


def is_shared(root: Node) -> bool:
    """Tell whether some router hangs at two places."""
    pending, seen = [root], list[Node]()
    while pending:
        node = pending.pop()
        if node in seen:
            return True
        seen.append(node)
        pending += [edge.node for edge in node.edges if edge.node is not None]
    return False


def templates_of(root: Node) -> set[str]:
    """Return the templates that need a rule for all in *root* to be open."""
    return {place.template for place in places_in(root)}


def _places(node: Node, at: _At) -> Iterator[Place]:
    for edge in node.edges:
        if edge.leads in {Leads.API, Leads.PLAIN}:
            path = edge.path
            yield _place(edge, at, at.to(path), parameters_of(at.included + path))
        elif edge.leads is Leads.FRONTEND:
            # The parameters of a prefix are text there.
            literal = (at.included + node.own + edge.path).rstrip("/")
            # An app serves them itself, whichever of its routers they came with.
            served = replace(at, closed=None) if at.is_closed_by_inclusion else at
            yield _place(edge, served, f"{at.mounted}{literal}/**", frozenset(), literal=literal)
        elif edge.node is None:
            is_unreachable = edge.leads is Leads.DEFAULT and at.is_included
            if not is_unreachable:
                path = edge.path.rstrip("/") if edge.leads is Leads.OPAQUE else ""
                names = parameters_of(at.included + edge.path)
                yield _place(edge, at, f"{at.to(path)}/**", names)
        else:
            yield from _behind(node, edge, edge.node, at)


def _place(
    edge: Edge, at: _At, template: str, parameters: frozenset[str], *, literal: str = ""
) -> Place:
    return Place(
        edge.name,
        at.closed or template,
        edge.methods,
        at.parameters | parameters,
        at.marks if edge.leads is Leads.API else None,
        edge.path if edge.leads is Leads.HOST else at.host,
        at.closed is not None,
        at.hidden or template,
        literal,
        at.is_rewritten,
    )


def _behind(node: Node, edge: Edge, inner: Node, at: _At) -> Iterator[Place]:
    there = _step(node, edge, at)
    if there is None:
        return
    names = parameters_of(at.included + edge.path)
    rest = replace(edge, node=None, name=f"behind {edge.path}", methods=ANY)
    is_inclusion = edge.leads is Leads.INCLUSION
    is_loop = not is_inclusion and inner in at.outer
    is_between = not is_inclusion and inner.is_between
    if there.closed is not None and at.closed is None:
        yield _place(rest, there, there.closed, names)
    elif is_between or edge.is_between or is_loop:
        # A router in itself is one endpoint, and so are unknown paths where others may answer.
        before = replace(at, is_rewritten=there.is_rewritten)
        yield _place(rest, before, _whole(edge, at, there.mounted), names)
    if not is_loop:
        yield from _places(inner, there)


def _step(node: Node, edge: Edge, at: _At) -> _At | None:
    """Return where the router is to which *edge* leads, or None where it cannot be reached."""
    inner: Any = edge.node
    names = parameters_of(at.included + edge.path)
    rewritten = at.is_rewritten or edge.is_rewriting or inner.is_rewriting
    if edge.leads is Leads.INCLUSION:
        marks = at.marks if edge.mark is None else at.marks | {edge.mark}
        included = at.included + node.own + edge.path
        there = replace(at, included=included, marks=marks, is_included=True)
        if at.closed is None and inner.is_closed_where_included:
            there = replace(there, closed=f"{there.to('')}/**", is_closed_by_inclusion=True)
        return there
    if edge.leads is Leads.DEFAULT and at.is_included:
        return None
    mounted, host = at.mounted, at.host
    if edge.leads is Leads.MOUNT:
        mounted = at.to(edge.path.rstrip("/"))
    elif edge.leads is Leads.HOST:
        # An inclusion puts its prefix between a host and what is there.
        mounted, host = at.mounted + at.included, edge.path
    return _At(
        mounted,
        "",
        at.parameters | names,
        # Dependencies of inclusions do not run for what is mounted in them.
        frozenset(),
        host,
        at.closed or (_whole(edge, at, mounted) if inner.is_closed or edge.is_hidden else None),
        at.hidden or (_whole(edge, at, mounted) if edge.is_hidden else None),
        rewritten,
        outer=(*at.outer, inner),
    )


def _whole(edge: Edge, at: _At, mounted: str) -> str:
    """Return the template of a router that is one endpoint."""
    return at.to(edge.path) if edge.leads is Leads.ROUTE else f"{mounted}/**"
