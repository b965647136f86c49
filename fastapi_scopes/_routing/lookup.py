"""Finds the route for which a dependency runs, by the route object that the framework names.

Since FastAPI includes routers lazily, ``asgi_scope["route"]`` is the route as its own router
has it: without the prefixes of the inclusions, and the same object for all of them. What the
framework matched is a route *context* (for WebSockets, a copy of the route). Both are found
here by identity among the app's own routes, so a context left over from an outer router, or a
route that the app does not have, selects nothing.
"""

import re
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    _FrontendRouteGroup,  # pyright: ignore[reportPrivateUsage]
)
from starlette._utils import get_route_path
from starlette.applications import Starlette

from fastapi_scopes._routing.changes import is_counted
from fastapi_scopes._routing.index import RouteIndex
from fastapi_scopes._routing.inventory import apps_in
from fastapi_scopes._routing.paths import pattern_of
from fastapi_scopes._routing.reading import included_routers_in
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes._routing.tree import RouteTree
from fastapi_scopes._routing.views import DependencyView
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.findings import Finding, FindingCode

__all__ = ["DependencyRoutes", "is_running", "unobservable_routers_in"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route object of the framework, and its route for rules; None where that is ambiguous."""

    source: Any
    route: ResolvedRoute | None
    mounts: re.Pattern[str]
    """Matches the paths of the mounts between the app and the route."""
    is_in_the_app: bool
    """Whether there are no mounts in between."""
    index: RouteIndex
    """The index of the router that has the route."""


@dataclass(slots=True)
class _Table:
    """All route objects of the app, as they were at one version of its tree."""

    version: int
    entries: dict[int, _Entry] = field(default_factory=dict[int, _Entry])
    unknown: "weakref.WeakValueDictionary[int, Any]" = field(
        default_factory=weakref.WeakValueDictionary[int, Any]
    )
    """Route objects that were looked for and are not in the app."""
    is_counted: bool = False
    """Whether every router of the app reports changes of its routes."""


class DependencyRoutes:
    """The routes of one app on which dependencies run, by the route objects of the framework.

    Threads may share it: it changes by whole tables, and the worst that a race does is to read
    one twice.
    """

    def __init__(
        self, app: Starlette, guard: object, *, is_guard: Callable[[object], bool]
    ) -> None:
        self.tree = RouteTree(app, guard, is_guard=is_guard, view=DependencyView())
        self._app = app
        self._table = _Table(-1)

    def find(self, asgi_scope: MutableMapping[str, Any]) -> ResolvedRoute | None:
        """Return the route of a connection, or None where the framework does not say which."""
        source = _source_of(asgi_scope)
        if source is None:
            return None
        table, entry = self._entry_of(source)
        if entry is None or entry.route is None:
            return None
        # What is in no router that is mounted in the app is where the app is.
        is_outermost = asgi_scope.get("router") is self._app.router
        # INVARIANT: where changes of one router are not counted, any other may be in it by now,
        # and the end of a path be the same (attacks/test_late_sharing.py).
        is_certain = is_outermost or table.is_counted or entry.is_in_the_app
        is_there = is_certain and _is_at(entry, asgi_scope, is_outermost=is_outermost)
        return entry.route if is_there else None

    def _entry_of(self, source: Any) -> tuple[_Table, _Entry | None]:
        table = self._current()
        entry = table.entries.get(id(source))
        if entry is not None and entry.source is source:
            # Nothing leads to the router of the app itself.
            if entry.index is self.tree.root or not self.tree.has_moved(entry.index):
                return table, entry
            table = self._read(anew=True)
            entry = table.entries.get(id(source))
            return table, entry if entry is not None and entry.source is source else None
        if table.unknown.get(id(source)) is not source:
            # A router whose changes cannot be counted may have other routes by now.
            table = self._read(anew=True)
            entry = table.entries.get(id(source))
            if entry is None:
                # INVARIANT: what the app does not have is looked for once, not at every request
                # (attacks/test_routes.py: test_denied_requests_do_not_read_the_routes_again).
                table.unknown[id(source)] = source
        return table, entry if entry is not None and entry.source is source else None

    def _current(self) -> _Table:
        tree = self.tree
        if not tree.is_serving:
            tree.start_serving()
            return self._read()
        # The app's own list is compared too, for code that changes it uncounted.
        tree.root.current()
        return self._table if self._table.version == tree.version else self._read()

    def _read(self, *, anew: bool = False) -> _Table:
        unknown = self._table.unknown if anew else weakref.WeakValueDictionary[int, Any]()
        table = _Table(self.tree.version, unknown=unknown)
        self.tree.refresh(anew=anew)
        for index in self.tree.indexes():
            mounts = pattern_of(index.prefix)
            for place in index.places():
                source = place.node.effective
                if place.route.kind not in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
                    continue
                # INVARIANT: one object at two places is no answer (attacks/test_routes.py:
                # test_router_mounted_twice_is_denied).
                route = None if id(source) in table.entries else place.route
                is_in_the_app = not index.prefix
                table.entries[id(source)] = _Entry(source, route, mounts, is_in_the_app, index)
        table.is_counted = all(_are_all_counted(index) for index in self.tree.indexes())
        self._table = table
        return table


def _are_all_counted(index: RouteIndex) -> bool:
    return all(map(is_counted, (index.router, *included_routers_in(index.router))))


def _is_at(entry: _Entry, asgi_scope: MutableMapping[str, Any], *, is_outermost: bool) -> bool:
    """Tell whether the path of the connection leads to the entry's route through its mounts.

    The path selects no route here: where it does not fit, the table is out of date or the
    connection was passed on, and there is no answer.
    """
    if not entry.source.path_regex.match(get_route_path(asgi_scope)):
        return False
    outermost = asgi_scope.get("app_root_path")
    mounted = "" if outermost is None else asgi_scope["root_path"].removeprefix(outermost)
    # In an app that is mounted itself, the mounts outside of it come first.
    matches = entry.mounts.fullmatch if is_outermost else entry.mounts.search
    return matches(mounted) is not None


def unobservable_routers_in(
    app: Starlette, tree_of: Callable[[Starlette], RouteTree]
) -> Iterator[Finding]:
    """Yield a finding for each class of routers whose changes cannot be counted.

    Where such an app is mounted in another, a dependency denies all that is in mounted routers.
    """
    names: dict[str, None] = {}
    for _, inner in apps_in(app, tree_of):
        indexes = tree_of(inner).indexes()
        if any(index.outer for index in indexes):
            for index in indexes:
                routers = (index.router, *included_routers_in(index.router))
                names |= {type(each).__name__: None for each in routers if not is_counted(each)}
    for name in names:
        yield Finding.notice(
            FindingCode.CHANGES_NOT_SEEN,
            f"routers of the class {name!r} do not tell when their routes change; where their app "
            "is mounted in another, a dependency denies all that is in mounted routers",
            "use a plain APIRouter, or protect the outer app",
        )


def is_running(route: object, asgi_scope: Mapping[str, Any]) -> bool:
    """Tell whether *route* is the one that the framework names as running; it names no frontend."""
    named = asgi_scope.get("route")
    if isinstance(route, _FrontendRouteGroup):
        return not isinstance(named, APIRoute | APIWebSocketRoute)
    return isinstance(route, APIRoute | APIWebSocketRoute) and named is route


def _source_of(asgi_scope: Mapping[str, Any]) -> Any:
    """Return the route context, or else the route, that the framework chose for a connection."""
    route = asgi_scope.get("route")
    context = asgi_scope.get("fastapi", {}).get("effective_route_context")
    # The context may be left over from the router outside a mount: only that of this very
    # route counts.
    return context if context is not None and context.original_route is route else route
