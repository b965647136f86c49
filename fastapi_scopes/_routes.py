"""How FastAPI and Starlette store routes; the only module that knows.

Since FastAPI includes routers lazily, ``asgi_scope["route"]`` is the route as its own router
has it: without the prefixes of the inclusions, and the same object for all of them. What the
framework matched is a route *context* (for WebSockets, a copy of the route). Both are found
here by identity in a table made of the app's own routes, so a context left over from an
outer router, or a route that the app does not have, selects nothing.
"""

import inspect
import re
import typing
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute, iter_route_contexts
from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import (
    PARAM_REGEX,
    BaseRoute,
    Host,
    Mount,
    Route,
    Router,
    WebSocketRoute,
)
from starlette.staticfiles import StaticFiles

from fastapi_scopes.core.coverage import Endpoint, Kind, Reach
from fastapi_scopes.core.scope_map import ANY_METHOD, WEBSOCKET
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["LocatedRoute", "RouteTable", "asked_scopes", "endpoints_of", "unreachable_in"]

_REACHABLE = frozenset({Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND})


@dataclass(frozen=True, slots=True)
class _Node:
    """What a route table leads to at one place."""

    source: object
    """The object that the framework names at request time, where a dependency runs."""
    kind: Kind
    template: RouteTemplate
    methods: tuple[str, ...]
    target: object
    """The function or app that answers."""
    dependant: Dependant | None = None
    mounts: str = ""
    """The templates of the mounted routers that lead there, joined."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LocatedRoute:
    """The route that the framework chose for a connection, in the words of its app."""

    source: "weakref.ref[Any]"
    template: RouteTemplate
    methods: frozenset[str]

    @property
    def dependant(self) -> Dependant:
        """The tree of the route's dependencies, one of which is asking."""
        # The source is alive: the framework is running it.
        source: Any = self.source()
        return typing.cast("Dependant", source.dependant)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object that the framework names, and its route; None where it is no answer."""

    source: "weakref.ref[Any]"
    route: LocatedRoute | None = None
    mounts: re.Pattern[str] | None = None
    """What the mounted routers between the app and the route match of a path."""


class RouteTable:
    """The routes of one app on which dependencies run, by what the framework names.

    It holds no reference to the app or its routes, so it may be kept beside them. Threads may
    share it: it changes by whole tables, and the worst that a race does is to read one twice.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = weakref.ref(app)
        self._entries: dict[int, _Entry] = {}
        self._seen: list[weakref.ref[BaseRoute]] = []

    def find(self, asgi_scope: MutableMapping[str, Any]) -> LocatedRoute | None:
        """Return the route of a connection, or None where the framework does not say which."""
        source, app = _source_of(asgi_scope), self._app()
        if source is None or app is None:
            return None
        entry = self._entry_of(source)
        if entry is None or len(self._seen) != len(app.routes):
            # Routes came after the last look, or their contexts were made anew.
            entry = self._look_again(source, app)
        if entry.route is None or _is_at(entry, asgi_scope, app):
            return entry.route
        if not self._has_seen(app.routes):
            entry = self._look_again(source, app)
        return entry.route if _is_at(entry, asgi_scope, app) else None

    def _entry_of(self, source: object) -> _Entry | None:
        entry = self._entries.get(id(source))
        return entry if entry is not None and entry.source() is source else None

    def _has_seen(self, routes: Sequence[BaseRoute]) -> bool:
        # Not by id(): that of a route that is gone may be another one's by now.
        return all(seen() is route for seen, route in zip(self._seen, routes, strict=False))

    def _look_again(self, source: object, app: Starlette) -> _Entry:
        self._entries, self._seen = self._read(app), list(map(weakref.ref, app.routes))
        # INVARIANT: what the app does not have is looked for once, not at every request
        # (attacks/test_routes.py: test_denied_requests_do_not_read_the_routes_again).
        return self._entries.setdefault(id(source), _Entry(weakref.ref(source)))

    def _read(self, app: Starlette) -> dict[int, _Entry]:
        entries: dict[int, _Entry] = {}
        for node in _walk_app(app):
            if node.kind in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
                # INVARIANT: one object at two places is no answer (attacks/test_routes.py:
                # test_router_mounted_twice_is_denied).
                is_second = id(node.source) in entries
                entry = _Entry(weakref.ref(node.source)) if is_second else self._located(node)
                entries[id(node.source)] = entry
        return entries

    def _located(self, node: _Node) -> _Entry:
        """Return the entry of *node*, its route the same as before where it did not change."""
        known = self._entry_of(node.source)
        if known is not None and known.route is not None and known.route.template == node.template:
            return known
        source: weakref.ref[Any] = weakref.ref(node.source)
        route = LocatedRoute(source, node.template, frozenset(node.methods))
        return _Entry(source, route, _mounts_pattern(node.mounts))


def _is_at(entry: _Entry, asgi_scope: MutableMapping[str, Any], app: Starlette) -> bool:
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
    is_outermost = asgi_scope.get("router") is app.router
    matches = entry.mounts.fullmatch if is_outermost else entry.mounts.search
    return matches(mounted) is not None


def _mounts_pattern(template: str) -> "re.Pattern[str]":
    """Return what matches the paths of *template*, also behind others."""
    pattern, position = "", 0
    for parameter in PARAM_REGEX.finditer(template):
        convertor = CONVERTOR_TYPES[(parameter[2] or ":str")[1:]]
        pattern += re.escape(template[position : parameter.start()]) + f"(?:{convertor.regex})"
        position = parameter.end()
    return re.compile(f"{pattern}{re.escape(template[position:])}$")


def _source_of(asgi_scope: Mapping[str, Any]) -> object | None:
    """Return the context, or else the route, that the framework chose for a connection."""
    route = asgi_scope.get("route")
    context = asgi_scope.get("fastapi", {}).get("effective_route_context")
    # The context may be left over from the router outside a mount: only that of this very
    # route counts.
    if context is not None and context.original_route is route:
        return typing.cast("object", context)
    return typing.cast("object | None", route)


def _walk_app(app: Starlette) -> Iterator[_Node]:
    """Yield what is in *app*; apps mounted in it are one node each."""
    docs = _docs_of(app)
    for node in _walk_router(app.router, "", ()):
        is_docs = node.kind is Kind.ROUTE and node.template.text in docs
        yield replace(node, kind=Kind.DOCS) if is_docs else node


def _docs_of(app: Starlette) -> frozenset[str]:
    if not isinstance(app, FastAPI):
        return frozenset()
    urls = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    return frozenset(url for url in urls if url)


def _walk_router(router: Router, prefix: str, outer: tuple[Router, ...]) -> Iterator[_Node]:
    yield from _walk(router.routes, prefix, (*outer, router))
    if getattr(router.default, "__func__", None) is not Router.not_found:
        # What no route matches is answered by a default of the developer's.
        template = RouteTemplate.below(prefix)
        yield _Node(router.default, Kind.MOUNT, template, (ANY_METHOD,), router.default)
    if isinstance(router, APIRouter):
        for low in router._iter_low_priority_routes():
            yield from _walk_low_priority(low, prefix)


def _walk(routes: Sequence[BaseRoute], prefix: str, outer: tuple[Router, ...]) -> Iterator[_Node]:
    for found in iter_route_contexts(routes):
        context = found._route_context
        route = found.original_route
        effective: Any = context or route
        if context is not None and context.starlette_route is not None:
            effective = context.starlette_route
        if isinstance(route, Mount):
            yield from _walk_mounted(effective, prefix + effective.path, outer)
        elif isinstance(route, Host):
            yield from _walk_mounted(effective, prefix, outer)
        else:
            yield _leaf(route, effective, prefix)


def _leaf(route: BaseRoute, effective: Any, prefix: str) -> _Node:
    if not isinstance(route, Route | WebSocketRoute):
        template = RouteTemplate.below(prefix + getattr(effective, "path", ""))
        return _Node(effective, Kind.MOUNT, template, (ANY_METHOD,), effective)
    template = RouteTemplate.parse(prefix + effective.path)
    if isinstance(route, WebSocketRoute):
        is_api = isinstance(route, APIWebSocketRoute)
        kind, methods = Kind.API_WEBSOCKET if is_api else Kind.WEBSOCKET, (WEBSOCKET,)
    else:
        kind = Kind.API_ROUTE if isinstance(route, APIRoute) else Kind.ROUTE
        methods = tuple(sorted(effective.methods or {ANY_METHOD}))
    dependant = getattr(effective, "dependant", None)
    return _Node(effective, kind, template, methods, effective.endpoint, dependant, prefix)


def _walk_mounted(route: Any, prefix: str, outer: tuple[Router, ...]) -> Iterator[_Node]:
    """Yield what is in the router that *route* leads to, or one node for another app."""
    app = getattr(route, "_base_app", route.app)
    if isinstance(app, Router) and app not in outer:
        yield from _walk_router(app, prefix, outer)
        return
    # Not a subclass: that may answer other methods.
    methods = ("GET", "HEAD") if type(app) is StaticFiles else (ANY_METHOD,)
    yield _Node(route, Kind.MOUNT, RouteTemplate.below(prefix), methods, app)


def _walk_low_priority(group: Any, prefix: str) -> Iterator[_Node]:
    original = getattr(group, "original_route", group)
    prefix += getattr(group, "frontend_prefix", "")
    for route in original.routes:
        template = RouteTemplate.below((prefix + route.path).rstrip("/"))
        methods = tuple(sorted(route.methods))
        yield _Node(group, Kind.FRONTEND, template, methods, route.app, group.dependant)


def _dependants_in(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _dependants_in(inner)


def _calls(dependant: Dependant, guard: object) -> bool:
    """Tell whether *dependant* is *guard*, given as itself or as its bound ``__call__``."""
    call = dependant.call
    # INVARIANT: another method of the guard decides nothing (attacks/test_routes.py:
    # test_other_method_of_the_guard_does_not_count_as_the_guard).
    is_bound = getattr(call, "__self__", None) is guard
    return call is guard or (is_bound and getattr(call, "__name__", None) == "__call__")


def asked_scopes(dependant: Dependant, guard: object) -> tuple[str, ...]:
    """Return the scopes that a route asks *guard* for, wherever in its tree of dependencies."""
    asked: dict[str, None] = {}
    for each in _dependants_in(dependant):
        if _calls(each, guard):
            asked |= dict.fromkeys(each.parent_oauth_scopes or ())
            asked |= dict.fromkeys(each.own_oauth_scopes or ())
    return tuple(asked)


def _never_none(dependant: Dependant, guard: object) -> Iterator[str]:
    """Yield the parameters that take what *guard* returns and do not allow None."""
    for outer in _dependants_in(dependant):
        for inner in outer.dependencies:
            if inner.name and _calls(inner, guard) and not _allows_none(outer.call, inner.name):
                yield inner.name


def _allows_none(call: Any, name: str) -> bool:
    function = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004
    try:
        annotation = typing.get_type_hints(function).get(name, Any)
    except (NameError, TypeError):
        # What cannot be read here is not worth a notice.
        return True
    return annotation in {Any, object, NoneType} or NoneType in typing.get_args(annotation)


def endpoints_of(
    app: Starlette, guard: object, *, is_guard: Callable[[object], bool]
) -> Iterator[Endpoint]:
    """Yield every endpoint of *app* and of the apps mounted in it, as *guard* sees them.

    *is_guard* tells of a dependency whether it is a guard of any map.
    """
    yield from _endpoints_in(app, guard, is_guard, mount="", outer=())


def _endpoints_in(
    app: Starlette,
    guard: object,
    is_guard: Callable[[object], bool],
    *,
    mount: str,
    outer: tuple[Starlette, ...],
) -> Iterator[Endpoint]:
    nodes = list(_walk_app(app))
    places = Counter(id(node.source) for node in nodes)
    for node in nodes:
        if isinstance(node.target, Starlette):
            if node.target not in (*outer, app):
                inner = mount + node.template.text.removesuffix("/**")
                yield from _endpoints_in(
                    node.target, guard, is_guard, mount=inner, outer=(*outer, app)
                )
            continue
        reach = _reach_of(node, guard, is_guard, is_ambiguous=places[id(node.source)] > 1)
        yield from _endpoints_at(node, guard, reach, mount)


def _endpoints_at(node: _Node, guard: object, reach: Reach, mount: str) -> Iterator[Endpoint]:
    tree = node.dependant
    for method in node.methods:
        yield Endpoint(
            method,
            node.template,
            node.kind,
            reach,
            source=_name_of(node.target),
            mount=mount,
            scopes=asked_scopes(tree, guard) if tree is not None else (),
            never_none=tuple(_never_none(tree, guard)) if tree is not None else (),
        )


def _reach_of(
    node: _Node, guard: object, is_guard: Callable[[object], bool], *, is_ambiguous: bool
) -> Reach:
    if node.kind not in _REACHABLE or node.dependant is None:
        return Reach.UNREACHABLE
    tree = list(_dependants_in(node.dependant))
    if any(_calls(each, guard) for each in tree):
        is_unknown = is_ambiguous or node.kind is Kind.FRONTEND
        return Reach.UNRESOLVED if is_unknown else Reach.GUARDED
    if any(is_guard(each.call) for each in tree):
        return Reach.OTHER_GUARD
    return Reach.UNGUARDED


def unreachable_in(router: APIRouter, prefix: str) -> Iterable[str]:
    """Yield a sentence for everything in *router* that no dependency reaches or can place."""
    for node in _walk_router(router, prefix, ()):
        if node.kind not in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
            yield f"no dependency reaches {str(node.template)!r} ({node.kind.value})"


def _name_of(target: Any) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"
