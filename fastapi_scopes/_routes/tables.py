"""The route table of one router at one place, and how a connection finds its way in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi.routing import APIRoute, APIRouter
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from fastapi_scopes._routes.asking import UnroutableError, answer_of
from fastapi_scopes._routes.dependants import asked_scopes
from fastapi_scopes._routes.entries import Entry, entries_of, segments_of, watch_all
from fastapi_scopes._routes.framework import attribute_of
from fastapi_scopes._routes.inner import Inner
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes._routes.trie import SegmentTrie
from fastapi_scopes._routes.walk import docs_of
from fastapi_scopes._routes.watched import Signal
from fastapi_scopes._routes.ways import Candidate, Place, RouteChangedError, Way
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ANY_METHOD
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["RouterTable", "Snapshot", "Tree"]


@dataclass(slots=True, eq=False)
class Snapshot:
    """The routes of a router as they were read once."""

    count: int
    """Of how many changes the reader knew."""
    routes: list[BaseRoute]
    length: int
    """The router's own list, and its length then."""
    http: SegmentTrie[Candidate] = field(default_factory=SegmentTrie[Candidate])
    sockets: SegmentTrie[Candidate] = field(default_factory=SegmentTrie[Candidate])
    candidates: list[Candidate] = field(default_factory=list[Candidate])

    def choose(self, route_path: str, place: Place) -> tuple[Candidate | None, Candidate | None]:
        """Return the first route that matches, or else None and the first that does partly.

        Raises:
            UnroutableError: the code of a route fails on the path.
            RouteChangedError: a route is not what it was when it was read.
        """
        partial: Candidate | None = None
        for candidate in (self.sockets if place.is_socket else self.http).candidates(route_path):
            match = candidate.match(route_path, place)
            if match is Match.FULL:
                return candidate, None
            if match is Match.PARTIAL and partial is None:
                partial = candidate
        return None, partial


@dataclass(frozen=True, slots=True)
class Tree:
    """What all tables of one guarded app share."""

    guard: object
    admits: Callable[[Router], bool]
    """Puts a gate before a router, and tells whether one stands there."""
    meets: Callable[[Inner], None]
    """Is told of a router when it is first looked into."""
    changes: Signal = field(default_factory=Signal)
    """Counts those of all routers."""


class RouterTable:
    """The routes of one router at one place in an app.

    A router that is mounted twice has two. Threads may share it: what is read is swapped as
    a whole, and the worst that a race does is to read it twice.
    """

    def __init__(
        self, inner: Inner, tree: Tree, *, prefix: str = "", outer: tuple[Router, ...] = ()
    ) -> None:
        self.router = inner.router
        self.app = inner.app
        self.prefix = prefix
        self._docs = docs_of(inner.app) if isinstance(inner.app, Starlette) else frozenset[str]()
        self._tree = tree
        self._outer = (*outer, inner.router)
        self._signal = Signal()
        self._snapshot: Snapshot | None = None
        self._frontends: dict[str, tuple[object, LocatedRoute]] = {}
        self._default: Candidate | None = None

    def is_current(self, snapshot: Snapshot) -> bool:
        """Tell whether *snapshot* is what the router has now.

        INVARIANT: that costs the same however many routes there are, because every way to
        change them is counted (attacks/test_late_routes.py); the list itself is looked at for
        who goes behind its back.
        """
        routes = self.router.routes
        is_same_list = routes is snapshot.routes and len(routes) == snapshot.length
        return is_same_list and snapshot.count == self._signal.count

    def follow(self, place: Place, way: Way) -> None:
        """Add to *way* where the framework would lead the connection at *place* from here.

        Raises:
            UnroutableError: the code of a route fails on the path.
        """
        route_path = place.route_path
        snapshot, full, partial = self._choose(route_path, place)
        way.visits.append((self, snapshot))
        if full is not None:
            self._take(full, place, way)
        elif partial is not None:
            self._take_partly(partial, place, way)
        else:
            self._take_nothing(snapshot, place, way)

    def _choose(
        self, route_path: str, place: Place
    ) -> tuple[Snapshot, Candidate | None, Candidate | None]:
        """Return the routes, and which of them the framework would choose, or choose partly."""
        snapshot = self._current()
        for _ in range(2):
            try:
                full, partial = snapshot.choose(route_path, place)
            except RouteChangedError:
                pass
            else:
                if full is not None or not _takes_something(self.router, place):
                    return snapshot, full, partial
            # A route changed in itself.
            snapshot = self._read()
        raise UnroutableError

    def candidates(self) -> list[Candidate]:
        """Return all routes, as they are now."""
        return self._current().candidates

    def child_of(self, candidate: Candidate, inner: Inner | None) -> "RouterTable | None":
        """Return the table of the router *inner*, to which *candidate* leads, or None.

        None stands for what cannot be looked into: another app, a router that does not match
        as the framework does, and one that leads to itself.
        """
        # Not by `in`: routers are equal where their routes are.
        if inner is None or any(inner.router is each for each in self._outer):
            return None
        child = candidate.child
        if child is None or child.router is not inner.router:
            is_mount = candidate.entry.family is Mount
            prefix = self.prefix + (candidate.entry.path if is_mount else "")
            child = RouterTable(inner, self._tree, prefix=prefix, outer=self._outer)
            if not watch_all(child.router, child._signal):
                return None
        if not self._tree.admits(inner.router):
            return None
        if candidate.child is not child:
            candidate.child = child
            self._tree.meets(inner)
        return child

    def _current(self) -> Snapshot:
        snapshot = self._snapshot
        return snapshot if snapshot is not None and self.is_current(snapshot) else self._read()

    def _read(self) -> Snapshot:
        for signal in (self._signal, self._tree.changes):
            watch_all(self.router, signal)
        # INVARIANT: the count is taken before the routes: what changes while they are read
        # is noticed at the next look.
        routes = self.router.routes
        snapshot = Snapshot(self._signal.count, routes, len(routes))
        for entry in entries_of(self.router):
            self._add(entry, snapshot)
        self._snapshot = snapshot
        return snapshot

    def _add(self, entry: Entry, snapshot: Snapshot) -> None:
        candidate = Candidate(entry, self._located(entry), leads=_leads(entry))
        snapshot.candidates.append(candidate)
        segments, is_open = segments_of(entry)
        if entry.takes_requests:
            snapshot.http.add(segments, candidate, is_open=is_open)
        if entry.takes_sockets:
            snapshot.sockets.add(segments, candidate, is_open=is_open)

    def _located(self, entry: Entry) -> LocatedRoute:
        text = self.prefix + entry.path
        if entry.family not in {Route, WebSocketRoute}:
            app = attribute_of(entry.effective, "app")
            # Not a subclass: that may answer other methods.
            methods = ("GET", "HEAD") if type(app) is StaticFiles else (ANY_METHOD,)
            return LocatedRoute(RouteTemplate.below(text), Kind.MOUNT, frozenset(methods))
        is_docs = entry.kind is Kind.ROUTE and entry.path in self._docs
        scopes = asked_scopes(entry.dependant, self._tree.guard) if entry.dependant else ()
        kind = Kind.DOCS if is_docs else entry.kind
        return LocatedRoute(RouteTemplate.parse(text), kind, frozenset(entry.methods), scopes)

    def _take(self, candidate: Candidate, place: Place, way: Way) -> None:
        if not candidate.leads:
            way.end(candidate.step, candidate.route, candidate.entry)
            return
        self._enter(candidate, place, way)

    def _enter(self, candidate: Candidate, place: Place, way: Way) -> None:
        inner = candidate.inner()
        child = self.child_of(candidate, inner)
        way.entered.append((candidate, inner))
        if inner is None or child is None:
            way.end(candidate.step, candidate.route, candidate.entry)
            return
        way.steps.append(candidate.step)
        entry, root_path = candidate.entry, place.root_path
        if entry.family is Mount:
            root_path += _mounted(entry.effective, place.route_path)
        child.follow(place.below(inner.root_path or root_path, entry, inner.app), way)

    def _take_partly(self, candidate: Candidate, place: Place, way: Way) -> None:
        """Add to *way* that the framework says which methods there are, or else what runs."""
        entry = candidate.entry
        methods = entry.listed_methods
        # INVARIANT: only where this holds does the framework not run what it matched partly
        # (attacks/test_route_classes.py).
        is_refused = bool(methods) and place.method not in methods
        if is_refused and not entry.answers_partial:
            way.end_nowhere()
        else:
            way.end(candidate.step, candidate.route, entry)

    def _take_nothing(self, snapshot: Snapshot, place: Place, way: Way) -> None:
        """Add to *way* that the router redirects, or else what answers where no route matches."""
        full, partial = None, None
        if not place.is_socket and self.router.redirect_slashes and place.route_path != "/":
            other = place.with_slash_changed()
            try:
                full, partial = snapshot.choose(other.route_path, other)
            except RouteChangedError as error:
                self._snapshot = None
                raise UnroutableError from error
        redirected = full or partial
        if redirected is not None:
            way.end_nowhere(redirected.route)
        else:
            self._fall_through(place, way)

    def _fall_through(self, place: Place, way: Way) -> None:
        """Add to *way* what answers where no route matches."""
        frontend = self._frontend_at(place)
        default = self.router.default
        if frontend is not None:
            way.end((id(frontend[0]), frontend[1].template.text), frontend[1])
        elif getattr(default, "__func__", None) is Router.not_found:
            way.end_nowhere()
        else:
            self._enter(self.default_of(default), place, way)

    def in_order(self) -> Iterator[Candidate]:
        """Yield what the router matches one after the other, as it is now."""
        yield from self.candidates()
        default = self.own_default()
        if default is not None:
            yield default

    def own_default(self) -> Candidate | None:
        """Return what of the developer's answers where no route matches, or None."""
        default = self.router.default
        is_frameworks = getattr(default, "__func__", None) is Router.not_found
        return None if is_frameworks else self.default_of(default)

    def default_of(self, default: Any) -> Candidate:
        """Return *default*, which answers what no route matches, as if it were a mount."""
        known = self._default
        if known is None or known.entry.route is not default:
            route = LocatedRoute(
                RouteTemplate.below(self.prefix), Kind.MOUNT, frozenset({ANY_METHOD})
            )
            known = self._default = Candidate(Entry(default, default), route, leads=True)
        return known

    def _frontend_at(self, place: Place) -> tuple[object, LocatedRoute] | None:
        if place.is_socket or not isinstance(self.router, APIRouter):
            return None
        asgi_scope = place.to_scope()
        match, _, route, context = self.router._match_low_priority(asgi_scope)
        if match is Match.NONE or route is None:
            return None
        owner: Any = context or route
        group: Any = getattr(owner, "original_route", route)
        prefix = getattr(owner, "frontend_prefix", "")
        if not hasattr(group, "add_frontend_route"):
            return owner, LocatedRoute(
                RouteTemplate.below(self.prefix), Kind.MOUNT, frozenset({ANY_METHOD})
            )
        _, _, frontend = group._match(asgi_scope, prefix=prefix)
        return owner, self._frontend(owner, prefix, frontend)

    def _frontend(self, owner: Any, prefix: str, frontend: Any) -> LocatedRoute:
        text = (self.prefix + prefix + frontend.path).rstrip("/")
        known = self._frontends.get(text)
        if known is None or known[0] is not owner:
            route = LocatedRoute(
                RouteTemplate.below(text),
                Kind.FRONTEND,
                frozenset(frontend.methods),
                asked_scopes(owner.dependant, self._tree.guard),
            )
            known = self._frontends[text] = (owner, route)
        return known[1]

    def frontends(self) -> Iterator[tuple[Any, Any, LocatedRoute]]:
        """Yield the frontends that answer where no route matches, each with who owns it."""
        if not isinstance(self.router, APIRouter):
            return
        for owner in self.router._iter_low_priority_routes():
            group: Any = getattr(owner, "original_route", owner)
            prefix = getattr(owner, "frontend_prefix", "")
            for frontend in group.routes:
                yield owner, frontend, self._frontend(owner, prefix, frontend)


def _takes_something(router: Router, place: Place) -> bool:
    """Tell whether the framework's own matching finds a route.

    INVARIANT: nothing passes without a rule that the framework would run, whatever we know of
    the routes (attacks/test_late_moves.py). That costs what its 404 costs.
    """
    return any(
        answer_of(route.matches, place.to_scope())[0] is Match.FULL for route in router.routes
    )


def _leads(entry: Entry) -> bool:
    if not entry.is_predictable or entry.answers_partial or isinstance(entry.route, APIRoute):
        return False
    if entry.family in {Mount, Host}:
        return True
    # A route may have another router for an endpoint.
    endpoint = attribute_of(entry.effective, "endpoint")
    return isinstance(endpoint, Router | Starlette)


def _mounted(mount: Any, route_path: str) -> str:
    """Return what *mount* takes of *route_path* for itself."""
    found = mount.path_regex.match(route_path)
    return route_path[: -len("/" + found["path"])]
