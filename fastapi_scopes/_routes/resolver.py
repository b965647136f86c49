"""Which endpoint a connection leads to, found before the framework looks for it."""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.applications import Starlette
from starlette.routing import Router

from fastapi_scopes._routes.asking import UnroutableError, keep_apart
from fastapi_scopes._routes.framework import attribute_of
from fastapi_scopes._routes.inner import Inner
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes._routes.tables import RouterTable, Tree
from fastapi_scopes._routes.ways import Candidate, Way, place_of
from fastapi_scopes.core.coverage import Kind

__all__ = ["Placed", "Resolver", "endpoints_in", "is_rest_of", "is_run_by"]

Placed = tuple[LocatedRoute, object, Dependant | None]
"""An endpoint, the function or app that answers there, and the tree of its dependencies."""


class Resolver:
    """Finds endpoints in an app and in all routers that it leads to."""

    def __init__(
        self,
        app: Starlette,
        guard: object = None,
        *,
        admits: Callable[[Router], bool] | None = None,
        meets: Callable[[Inner], None] | None = None,
    ) -> None:
        """Find them in *app*; where *admits* says no to a router, that stays one endpoint.

        *meets* is told of every inner router when it is first looked into.
        """
        self._tree = Tree(guard, admits or _admits_all, meets or _passes_by)
        self._root = RouterTable(Inner(app.router, app), self._tree)
        self._visited = -1

    def resolve(self, asgi_scope: MutableMapping[str, Any]) -> Way:
        """Return the way of a connection that is about to be matched by the app's router."""
        if self._visited != self._tree.changes.count:
            self._visit()
        keep_apart(asgi_scope)
        return _follow(self._root, asgi_scope)

    def endpoints(self) -> Iterator[Placed]:
        """Yield every endpoint that there is now."""
        yield from endpoints_in(self._root)

    def tables(self) -> Iterator[RouterTable]:
        """Yield the routes of every router that there is now, the app's own first."""
        yield from (table for table, _ in self.placed_tables())

    def placed_tables(self) -> Iterator[tuple[RouterTable, list[Candidate]]]:
        """Yield them, each with what routers around it would match before they lead there."""
        yield from _tables_in(self._root, [])

    def _visit(self) -> None:
        """Look at every router that there is now.

        INVARIANT: each has its gate before a connection can come to it, by whatever way
        (attacks/test_gates.py).
        """
        # What changes meanwhile, or is left out where this fails, is looked at the next time.
        count = self._tree.changes.count
        for _ in endpoints_in(self._root):
            pass
        self._visited = count


def is_rest_of(way: Way, router: Router, asgi_scope: MutableMapping[str, Any]) -> bool:
    """Tell whether a connection that is about to be matched by *router* keeps to *way*."""
    for visited, (table, _) in enumerate(way.visits):
        if table.router is router:
            return way.goes_on_like(_follow(table, asgi_scope), visited)
    return False


def _follow(table: RouterTable, asgi_scope: MutableMapping[str, Any]) -> Way:
    # As the router does it before it looks for the route.
    asgi_scope.setdefault("router", table.router)
    place = place_of(asgi_scope)
    way = Way((place.is_socket, place.method))
    try:
        table.follow(place, way)
    except UnroutableError:
        # So would the framework's own matching, which makes it an error of the server.
        way.fail()
    return way


def _admits_all(router: Router) -> bool:  # noqa: ARG001 - one of a kind
    return True


def _passes_by(inner: Inner) -> None:
    pass


def _tables_in(
    table: RouterTable, before: list[Candidate]
) -> Iterator[tuple[RouterTable, list[Candidate]]]:
    yield table, before
    known = list(before)
    for candidate in table.in_order():
        if not candidate.leads:
            known.append(candidate)
            continue
        child = table.child_of(candidate, candidate.inner())
        if child is not None:
            yield from _tables_in(child, list(known))


def endpoints_in(table: RouterTable) -> Iterator[Placed]:
    """Yield every endpoint to which *table* leads now."""
    for candidate in table.candidates():
        if candidate.leads:
            yield from _endpoints_behind(table, candidate)
        else:
            yield _placed(candidate)
    for owner, frontend, route in table.frontends():
        yield route, frontend.app, owner.dependant
    default = table.own_default()
    if default is not None:
        yield from _endpoints_behind(table, default)


def _endpoints_behind(table: RouterTable, candidate: Candidate) -> Iterator[Placed]:
    inner = candidate.inner()
    child = table.child_of(candidate, inner)
    if inner is None or child is None:
        yield _placed(candidate)
        return
    yield from endpoints_in(child)
    if not inner.is_plain:
        yield candidate.behind(), inner.app, None


def _placed(candidate: Candidate) -> Placed:
    effective = candidate.entry.effective
    # Of a route its function, of a mount its app, of an inclusion its router.
    names = ("endpoint", "app", "original_router")
    targets = (attribute_of(effective, name) for name in names)
    target = next((each for each in targets if each is not None), effective)
    return candidate.route, target, candidate.entry.dependant


def is_run_by(way: Way, asgi_scope: MutableMapping[str, Any]) -> bool:
    """Tell whether the route that runs on a connection is the one that *way* leads to.

    Included WebSocket routes are copies, known by their path; a frontend is no route.
    """
    running = asgi_scope.get("route")
    kind = way.route.kind if way.route is not None else None
    if kind is Kind.FRONTEND:
        return not isinstance(running, APIRoute | APIWebSocketRoute)
    if way.entry is None or kind not in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
        return False
    if kind is Kind.API_WEBSOCKET:
        return isinstance(running, APIWebSocketRoute) and running.path == way.entry.path
    return running is way.entry.route and _local_path(running, asgi_scope) == way.entry.path


def _local_path(route: Any, asgi_scope: MutableMapping[str, Any]) -> object:
    context = asgi_scope.get("fastapi", {}).get("effective_route_context")
    if context is not None and context.original_route is route:
        return context.path
    return route.path
