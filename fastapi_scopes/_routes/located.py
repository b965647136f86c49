"""The route of a connection by what the framework names, where a dependency asks for it.

Since FastAPI includes routers lazily, ``asgi_scope["route"]`` is the route as its own router
has it: without the prefixes of the inclusions, and the same object for all of them. What the
framework matched is a route *context* (for WebSockets, a copy of the route). Both are found
here by identity in a table made of the app's own routes, so a context left over from an
outer router, or a route that the app does not have, selects nothing.
"""

import re
import typing
import weakref
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.routing import _IncludedRouter  # pyright: ignore[reportPrivateUsage]
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Router

from fastapi_scopes._routes.dependants import asked_scopes
from fastapi_scopes._routes.entries import watch_all
from fastapi_scopes._routes.patterns import pattern_of
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes._routes.walk import Node, walk_app
from fastapi_scopes._routes.watched import Signal, is_watchable
from fastapi_scopes.core.coverage import Kind

__all__ = ["RouteTable", "untold_in"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object that the framework names, and its route; None where it is no answer."""

    source: "weakref.ref[Any]"
    route: LocatedRoute | None = None
    mounts: re.Pattern[str] | None = None
    """What the mounted routers between the app and the route match of a path."""
    is_in_the_app: bool = False
    """Whether there are none of these."""


class RouteTable:
    """The routes of one app on which dependencies run, by what the framework names.

    It holds no reference to the app or its routes, so it may be kept beside them. Threads may
    share it: it changes by whole tables, and the worst that a race does is to read one twice.
    """

    def __init__(self, app: Starlette, guard: object) -> None:
        self._app = weakref.ref(app)
        self._guard = guard
        self._entries: dict[int, _Entry] = {}
        self._seen: list[weakref.ref[BaseRoute]] = []
        self._changes: Signal | None = None
        self._count = 0
        self._is_told = False
        """Whether the changes of all routers are counted, and not only of those that can be."""

    def find(self, asgi_scope: MutableMapping[str, Any]) -> LocatedRoute | None:
        """Return the route of a connection, or None where the framework does not say which."""
        source, app = _source_of(asgi_scope), self._app()
        if source is None or app is None:
            return None
        if self._changes is None and asgi_scope.get("router") is not app.router:
            # INVARIANT: in an app that is mounted itself, the end of a path alone says where in
            # it a route is, so nothing old may be known; and where one router does not tell of its
            # changes, any other may be in it by now (attacks/test_late_sharing.py).
            self._changes, self._count = Signal(), -1
        is_old = self._changes is not None and self._count != self._changes.count
        entry = self._entry_of(source)
        if entry is None or is_old or len(self._seen) != len(app.routes):
            # Routes came after the last look, or their contexts were made anew.
            entry = self._look_again(source, app)
        if entry.route is None or self._is_at(entry, asgi_scope, app):
            return entry.route
        if not self._has_seen(app.routes):
            entry = self._look_again(source, app)
        return entry.route if self._is_at(entry, asgi_scope, app) else None

    def _entry_of(self, source: object) -> _Entry | None:
        entry = self._entries.get(id(source))
        return entry if entry is not None and entry.source() is source else None

    def _has_seen(self, routes: Sequence[BaseRoute]) -> bool:
        # Not by id(): that of a route that is gone may be another one's by now.
        return all(seen() is route for seen, route in zip(self._seen, routes, strict=False))

    def _is_at(self, entry: _Entry, asgi_scope: MutableMapping[str, Any], app: Starlette) -> bool:
        # What is in no router that is mounted in the app is where the app is.
        is_outermost = asgi_scope.get("router") is app.router
        is_certain = is_outermost or self._is_told or entry.is_in_the_app
        return is_certain and _is_at(entry, asgi_scope, is_outermost=is_outermost)

    def _look_again(self, source: object, app: Starlette) -> _Entry:
        if self._changes is not None:
            told = [watch_all(each, self._changes) for each in _routers_in(app.router, ())]
            self._is_told = all(told)
            self._count = self._changes.count
        self._entries, self._seen = self._read(app), list(map(weakref.ref, app.routes))
        # INVARIANT: what the app does not have is looked for once, not at every request
        # (attacks/test_routes.py: test_denied_requests_do_not_read_the_routes_again).
        return self._entries.setdefault(id(source), _Entry(weakref.ref(source)))

    def _read(self, app: Starlette) -> dict[int, _Entry]:
        entries: dict[int, _Entry] = {}
        for node in walk_app(app):
            if node.kind in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
                # INVARIANT: one object at two places is no answer (attacks/test_routes.py:
                # test_router_mounted_twice_is_denied).
                is_second = id(node.source) in entries
                entry = _Entry(weakref.ref(node.source)) if is_second else self._located(node)
                entries[id(node.source)] = entry
        return entries

    def _located(self, node: Node) -> _Entry:
        """Return the entry of *node*, its route the same as before where it did not change."""
        known = self._entry_of(node.source)
        if known is not None and known.route is not None and known.route.template == node.template:
            return known
        source: weakref.ref[Any] = weakref.ref(node.source)
        scopes = asked_scopes(node.dependant, self._guard) if node.dependant is not None else ()
        route = LocatedRoute(node.template, node.kind, frozenset(node.methods), scopes)
        return _Entry(source, route, pattern_of(node.mounts), not node.mounts)


def _is_at(entry: _Entry, asgi_scope: MutableMapping[str, Any], *, is_outermost: bool) -> bool:
    """Tell whether the connection came to the entry's route by the way that the table has.

    The path selects nothing here; where it is not that of the route, what is known of the
    route is old, or a connection was passed on, and there is no answer.
    """
    source = entry.source()
    if source is None or entry.mounts is None:
        return False
    if not source.path_regex.match(get_route_path(asgi_scope)):
        return False
    outermost = asgi_scope.get("app_root_path")
    mounted = "" if outermost is None else asgi_scope["root_path"].removeprefix(outermost)
    # In an app that is mounted itself, the mounts outside of it come first.
    matches = entry.mounts.fullmatch if is_outermost else entry.mounts.search
    return matches(mounted) is not None


def _routers_in(router: Router, outer: tuple[Router, ...]) -> Iterator[Router]:
    """Yield *router* and the routers that are mounted or included in it."""
    # Not by `in`: routers are equal where their routes are.
    if any(router is each for each in outer):
        return
    yield router
    for route in router.routes:
        inner = _router_of(route)
        if inner is not None:
            yield from _routers_in(inner, (*outer, router))


def _router_of(route: Any) -> Router | None:
    """Return the router that *route* includes or has mounted, where it is one."""
    if isinstance(route, _IncludedRouter):
        return route.original_router
    app = getattr(route, "_base_app", route.app) if isinstance(route, Mount | Host) else None
    return app if isinstance(app, Router) else None


def untold_in(app: Starlette) -> Iterator[str]:
    """Yield a sentence for each class of routers that shuts others where *app* is mounted."""
    for name in dict.fromkeys(_untold_in(app, ())):
        yield (
            f"routers of the class {name!r} do not tell when their routes change; where their app "
            "is mounted in another, a dependency denies all that is in mounted routers: use a "
            "plain APIRouter, or protect the outer app"
        )


def _untold_in(app: Starlette, outer: tuple[Starlette, ...]) -> Iterator[str]:
    nodes = list(walk_app(app))
    if any(node.mounts for node in nodes):
        routers = _routers_in(app.router, ())
        yield from (type(each).__name__ for each in routers if not is_watchable(each))
    for node in nodes:
        if isinstance(node.target, Starlette) and node.target not in (*outer, app):
            yield from _untold_in(node.target, (*outer, app))


def _source_of(asgi_scope: Mapping[str, Any]) -> object | None:
    """Return the context, or else the route, that the framework chose for a connection."""
    route = asgi_scope.get("route")
    context = asgi_scope.get("fastapi", {}).get("effective_route_context")
    # The context may be left over from the router outside a mount: only that of this very
    # route counts.
    if context is not None and context.original_route is route:
        return typing.cast("object", context)
    return typing.cast("object | None", route)
