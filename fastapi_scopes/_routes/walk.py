"""What is in an app, place by place, as far as routers lead there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute, iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ANY_METHOD, WEBSOCKET
from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["Node", "docs_of", "walk_app", "walk_router"]


@dataclass(frozen=True, slots=True)
class Node:
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


def walk_app(app: Starlette) -> Iterator[Node]:
    """Yield what is in *app*; apps mounted in it are one node each."""
    docs = docs_of(app)
    for node in walk_router(app.router, "", ()):
        is_docs = node.kind is Kind.ROUTE and node.template.text in docs
        yield replace(node, kind=Kind.DOCS) if is_docs else node


def docs_of(app: Starlette) -> frozenset[str]:
    if not isinstance(app, FastAPI) or not app.openapi_url:
        return frozenset()
    urls = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    return frozenset(url for url in urls if url)


def walk_router(router: Router, prefix: str, outer: tuple[Router, ...]) -> Iterator[Node]:
    yield from _walk(router.routes, prefix, (*outer, router))
    if getattr(router.default, "__func__", None) is not Router.not_found:
        # What no route matches is answered by a default of the developer's.
        template = RouteTemplate.below(prefix)
        yield Node(router.default, Kind.MOUNT, template, (ANY_METHOD,), router.default)
    if isinstance(router, APIRouter):
        for low in router._iter_low_priority_routes():
            yield from _walk_low_priority(low, prefix)


def _walk(routes: Sequence[BaseRoute], prefix: str, outer: tuple[Router, ...]) -> Iterator[Node]:
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


def _leaf(route: BaseRoute, effective: Any, prefix: str) -> Node:
    if not isinstance(route, Route | WebSocketRoute):
        template = RouteTemplate.below(prefix + getattr(effective, "path", ""))
        return Node(effective, Kind.MOUNT, template, (ANY_METHOD,), effective)
    template = RouteTemplate.parse(prefix + effective.path)
    if isinstance(route, WebSocketRoute):
        is_api = isinstance(route, APIWebSocketRoute)
        kind, methods = Kind.API_WEBSOCKET if is_api else Kind.WEBSOCKET, (WEBSOCKET,)
    else:
        kind = Kind.API_ROUTE if isinstance(route, APIRoute) else Kind.ROUTE
        methods = tuple(sorted(effective.methods or {ANY_METHOD}))
    dependant = getattr(effective, "dependant", None)
    return Node(effective, kind, template, methods, effective.endpoint, dependant, prefix)


def _walk_mounted(route: Any, prefix: str, outer: tuple[Router, ...]) -> Iterator[Node]:
    """Yield what is in the router that *route* leads to, or one node for another app."""
    app = getattr(route, "_base_app", route.app)
    if isinstance(app, Router) and app not in outer:
        yield from walk_router(app, prefix, outer)
        return
    # Not a subclass: that may answer other methods.
    methods = ("GET", "HEAD") if type(app) is StaticFiles else (ANY_METHOD,)
    yield Node(route, Kind.MOUNT, RouteTemplate.below(prefix), methods, app)


def _walk_low_priority(group: Any, prefix: str) -> Iterator[Node]:
    original = getattr(group, "original_route", group)
    prefix += getattr(group, "frontend_prefix", "")
    for route in original.routes:
        template = RouteTemplate.below((prefix + route.path).rstrip("/"))
        methods = tuple(sorted(route.methods))
        yield Node(group, Kind.FRONTEND, template, methods, route.app, group.dependant)
