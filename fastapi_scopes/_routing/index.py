"""The index of the routes of one router, at one place in an app."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute

from fastapi_scopes._routing.changes import ChangeCounter, count_changes_of
from fastapi_scopes._routing.context import TreeContext
from fastapi_scopes._routing.dependants import asked_scopes, has_guard, untaken_scopes
from fastapi_scopes._routing.enforcement import EnforcedEndpoint
from fastapi_scopes._routing.framework import is_framework_function
from fastapi_scopes._routing.mounts import InnerRouter, is_same
from fastapi_scopes._routing.nodes import RouteNode
from fastapi_scopes._routing.reading import (
    default_node,
    docs_of,
    frontend_nodes,
    included_routers_in,
    own_default_of,
    route_nodes,
    unread_in,
)
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes._routing.router_steps import Pin, RouteChangedError, RouterStep
from fastapi_scopes._routing.segments import segments_of
from fastapi_scopes._routing.trie import SegmentTrie
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import ANY_METHOD
from fastapi_scopes.core.steps import drained
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["Place", "RouteIndex", "Snapshot"]


@dataclass(slots=True, eq=False)
class Place:
    """One route of a router, at one place in an app."""

    node: RouteNode
    route: ResolvedRoute
    unknown_paths: ResolvedRoute | None = None
    """Where the route leads to a router: stands for all paths that this router does not know."""
    inner: InnerRouter | None = None
    """The router to which the route leads."""
    index: "RouteIndex | None" = None
    """The index of that router."""
    endpoint: EnforcedEndpoint | None = None
    pinned: Pin | None = None
    """The pin by which the router can run the route."""
    answering: Pin | None = None
    """The pin by which the router answers 405 or redirects, and runs nothing."""

    @property
    def is_resolved(self) -> bool:
        """Whether it was found out where the route leads."""
        return self.index is not None or self.endpoint is not None


@dataclass(slots=True, eq=False)
class Snapshot:
    """The routes of a router, as they were when the router was last read."""

    count: int
    """The number of changes before the reading."""
    routes: list[BaseRoute]
    length: int
    """The router's own list, and its length at the reading."""
    http: SegmentTrie[Place] = field(default_factory=SegmentTrie[Place])
    sockets: SegmentTrie[Place] = field(default_factory=SegmentTrie[Place])
    places: list[Place] = field(default_factory=list[Place])
    frontends: list[Place] = field(default_factory=list[Place])
    default: Place | None = None
    no_route: Pin | None = None
    """The pin by which the router answers 404."""

    def choose(self, step: RouterStep, route_path: str) -> tuple[Match, Place | None, Any]:
        """Return the first route that matches, or else the first that matches partially.

        Raises:
            UnroutableError: the code of a route fails on the path.
            RouteChangedError: the path of a route is not what it was at the reading.
        """
        partial: tuple[Match, Place | None, Any] = (Match.NONE, None, {})
        for place in (self.sockets if step.is_socket else self.http).candidates(route_path):
            node = place.node
            if node.needs_matches_call:
                match, parameters = step.call_matches(node)
            elif node.effective.path != node.path:
                raise RouteChangedError
            else:
                match, parameters = node.match(route_path, step.method)
            if match is Match.FULL:
                return match, place, parameters
            if match is Match.PARTIAL and partial[1] is None:
                partial = match, place, parameters
        return partial


class RouteIndex:
    """The routes of one router at one place in an app, read again when they change.

    A router that is mounted twice has two indexes. Threads may share one: a snapshot is replaced as
    a whole, and the worst that a race does is to read it twice.
    """

    def __init__(
        self,
        inner: InnerRouter,
        context: TreeContext,
        *,
        prefix: str = "",
        outer: "tuple[RouteIndex, ...]" = (),
        place: Place | None = None,
    ) -> None:
        self.place = place
        self.router: Router = inner.router
        self.app: Router | Starlette = inner.app
        self.prefix = prefix
        self.outer = outer
        self._docs = docs_of(inner.app)
        self._context = context
        self._changes = ChangeCounter()
        self._snapshot: Snapshot | None = None

    def places(self) -> list[Place]:
        """Return the places of the router, in the order in which it matches them."""
        snapshot = self.current()
        default = [snapshot.default] if snapshot.default is not None else []
        return [*snapshot.places, *snapshot.frontends, *default]

    def current(self) -> Snapshot:
        """Return the routes as they are now, read again if they have changed.

        INVARIANT: to see a change costs the same however many routes there are, because every way
        to change them is counted (attacks/test_late_routes.py); the list itself is compared for
        code that changes it uncounted.
        """
        return self.current_or_none() or self.read()

    def current_or_none(self) -> Snapshot | None:
        """Return the routes as they were read; None where they have changed since."""
        snapshot, routes = self._snapshot, self.router.routes
        if snapshot is None or routes is not snapshot.routes or len(routes) != snapshot.length:
            return None
        return snapshot if snapshot.count == self._changes.count else None

    def read(self) -> Snapshot:
        """Read the routes again."""
        return drained(self.reading())

    def reading(self, *, anew: bool = False) -> Generator[None, None, Snapshot]:
        """Read the routes, with a yield after each; *anew* also those that are known."""
        self._context.view.on_reading(self.router)
        self._context.unread.extend(unread_in(self.router))
        for counter in (self._changes, self._context.changes):
            count_changes_of(self.router, counter)
            for included in included_routers_in(self.router):
                count_changes_of(included, counter)
        # INVARIANT: the count is taken before the routes: what changes while they are read
        # is noticed at the next look.
        routes = self.router.routes
        snapshot = Snapshot(self._changes.count, routes, len(routes))
        before = self._snapshot
        known = {} if before is None or anew else _by_object(before.places)
        nodes = {key: place.node for key, place in known.items()}
        for node in route_nodes(self.router, self._context.view.looks_into, nodes):
            place = known.get(node.identity)
            place = place if place is not None and place.node is node else self._place(node)
            self.update_inner(place)
            self._add(place, snapshot)
            yield from self._reading_inner(place)
        yield from self._adding_last(snapshot)
        self._snapshot = snapshot
        return snapshot

    def _reading_inner(self, place: Place) -> Iterator[None]:
        """Read the router behind *place*, where that has changed."""
        if place.index is not None and place.index.current_or_none() is None:
            yield from place.index.reading()
        yield

    def _adding_last(self, snapshot: Snapshot) -> Iterator[None]:
        """Add the frontends and the default, which the router tries where no route matches."""
        for node in frontend_nodes(self.router):
            place = self._place(node)
            place.endpoint = self._context.view.on_endpoint(node)
            snapshot.frontends.append(place)
        default = own_default_of(self.router)
        if default is not None:
            snapshot.default = self._place(default_node(default))
            self.update_inner(snapshot.default)
            yield from self._reading_inner(snapshot.default)

    def _add(self, place: Place, snapshot: Snapshot) -> None:
        node = place.node
        snapshot.places.append(place)
        place.pinned = place.answering = None
        segments, is_open = segments_of(node)
        if node.takes_requests:
            snapshot.http.add(segments, place, is_open=is_open)
        if node.takes_sockets:
            snapshot.sockets.add(segments, place, is_open=is_open)

    def _place(self, node: RouteNode) -> Place:
        guard, tree, kind = self._context.guard, node.dependant, node.kind
        template = self._template_of(node)
        is_page = node.path in self._docs and is_framework_function(node.target)
        if kind is Kind.ROUTE and is_page:
            kind = Kind.DOCS
        methods, scopes = self._context.view.methods_of(node), asked_scopes(tree, guard)
        awaited = None
        untaken = untaken_scopes(tree, self._context.is_guard)
        if untaken and not has_guard(tree, guard):
            awaited = ResolvedRoute(template, kind, methods, tuple(untaken))
        route = ResolvedRoute(template, kind, methods, scopes, awaited)
        unknown_paths = None
        if node.may_lead_to_router or node.family in {Mount, Host}:
            below = RouteTemplate.below(self._inner_prefix(node))
            # A route whose endpoint is a router takes nothing of the path for itself.
            whole = template if node.family in {Route, WebSocketRoute} else below
            unknown_paths = ResolvedRoute(whole, Kind.UNKNOWN_PATHS, frozenset({ANY_METHOD}))
        return Place(node, route, unknown_paths)

    def _inner_prefix(self, node: RouteNode) -> str:
        """Return the prefix of the router to which *node* leads."""
        return self.prefix + node.path if isinstance(node.effective, Mount) else self.prefix

    def _template_of(self, node: RouteNode) -> RouteTemplate:
        text = self.prefix + node.path
        if node.frontend is not None:
            return RouteTemplate.below(text.rstrip("/"))
        is_whole = node.kind in {Kind.MOUNT, Kind.OPAQUE}
        return RouteTemplate.below(text) if is_whole else RouteTemplate.parse(text)

    def update_inner(self, place: Place, *, again: bool = True) -> None:
        """Find the router to which *place* leads now, and its index; or mark it as an endpoint.

        Without *again*, a router to which it led before, and that is as it was prepared then, is
        not prepared once more (attacks/test_gates.py).
        """
        view, node = self._context.view, place.node
        inner = view.inner_of(node)
        is_kept = not again and place.is_resolved and is_same(place.inner, inner)
        if is_kept and (inner is None or view.is_ready(inner)):
            place.inner = inner
            return
        # Not by ==: routers are equal where their routes are.
        is_circular = inner is not None and any(
            inner.router is each.router for each in (*self.outer, self)
        )
        if inner is None or is_circular or not view.prepare(inner):
            self._count_move(place, None)
            place.inner = place.index = None
            place.endpoint = view.on_endpoint(node)
            return
        self._count_move(place, inner)
        if place.index is None or place.index.router is not inner.router:
            prefix, outer = self._inner_prefix(node), (*self.outer, self)
            place.index = RouteIndex(inner, self._context, prefix=prefix, outer=outer, place=place)
        place.inner, place.index.app, place.index.place = inner, inner.app, place
        place.endpoint = None

    def _count_move(self, place: Place, inner: InnerRouter | None) -> None:
        """Count a change where *place* led elsewhere before.

        INVARIANT: lists of places are made anew after that (attacks/test_moved_mounts.py).
        """
        if place.is_resolved and not is_same(place.inner, inner):
            self._context.changes.count += 1

    def mount_places(self) -> Iterator[Place]:
        """Yield the places that may lead to another router."""
        return (place for place in self.places() if place.node.may_lead_to_router)

    def refreshing(self, *, anew: bool = False) -> Generator[None, None, None]:
        """Read the changed routers from here on again, with a yield after each route."""
        if anew or self.current_or_none() is None:
            yield from self.reading(anew=anew)
        snapshot = self.current()
        for place in (*snapshot.places, snapshot.default):
            if place is None or place.unknown_paths is None:
                continue
            self.update_inner(place)
            if place.index is not None:
                # With *anew*, `reading` has read the inner router already.
                yield from place.index.refreshing()

    def walk(self) -> "Iterator[RouteIndex]":
        """Yield this index and the indexes of all routers behind it."""
        yield self
        for place in self.places():
            if place.index is not None:
                yield from place.index.walk()


def _by_object(places: list[Place]) -> dict[tuple[object, ...], Place]:
    return {place.node.identity: place for place in places if place.node.effective is not None}
