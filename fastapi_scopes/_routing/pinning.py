"""Pinning: copies of a router that have only the route that was decided on.

The framework's own matching runs on such a shallow copy, so what runs is what was decided on,
whatever code is in between and whatever changes meanwhile.
"""

import copy
from collections.abc import Iterable
from types import MethodType
from typing import Any, TypeVar

from fastapi.routing import (
    APIRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

from fastapi_scopes._routing.framework import attribute_of, runs_framework_code
from fastapi_scopes._routing.nodes import RouteNode

__all__ = ["answering_router", "pinned_router", "router_of_nothing"]

T = TypeVar("T")

_PINNED = "_fastapi_scopes_pinned"
_MATCHES = "_fastapi_scopes_matches"


def pinned_router(router: Router, node: RouteNode) -> Router:
    """Return a copy of *router* that has the route of *node* alone.

    INVARIANT: `app` of the framework's routers finds what may run in these attributes alone
    (test_framework_canary.py).
    """
    if node.frontend is not None:
        return _copy_of(router, low_priority=[_pinned_frontend(node)])
    if node.is_low_priority:
        return _copy_of(router, low_priority=[node.effective])
    if node.is_default:
        return _copy_of(router, default=node.route)
    return _copy_of(router, routes=[_pinned_route(node)])


def router_of_nothing(router: Router) -> Router:
    """Return a copy of *router* without routes, which answers 404 as the framework does."""
    return _copy_of(router)


def answering_router(router: Router, node: RouteNode) -> Router:
    """Return a copy of *router* that answers 405 for *node*, or redirects, but cannot run it."""
    return _copy_of(router, routes=[_Unrunnable(node)], redirects=router.redirect_slashes)


def _copy_of(
    router: Router,
    *,
    routes: Iterable[BaseRoute] = (),
    low_priority: Iterable[Any] = (),
    default: Any = None,
    redirects: bool = False,
) -> Router:
    # Not by `__setattr__` or `__reduce__`: the copy is no change, and no copy of the application.
    pinned: Router = object.__new__(type(router))
    for kind in type(router).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if name not in {"__dict__", "__weakref__"} and hasattr(router, name):
                object.__setattr__(pinned, name, getattr(router, name))
    vars(pinned).update(
        vars(router),
        routes=list(routes),
        redirect_slashes=redirects,
        # The framework's own, also where the class of the router has another.
        default=MethodType(Router.not_found, pinned) if default is None else default,
        _low_priority_routes=list(low_priority),
    )
    return pinned


def _pinned_route(node: RouteNode) -> BaseRoute:
    """Return a route that leads to *node* alone, through its inclusions."""
    pinned: Any = node.context if node.context is not None else node.effective
    is_api_route = node.is_predictable and isinstance(node.route, APIRoute)
    # It may have been replaced since the node was read.
    is_matched_by_context = is_api_route and runs_framework_code(node.route, "matches")
    matches = type(node.route).matches if is_matched_by_context else None
    for included in reversed(node.inclusions):
        pinned = _pinned_inclusion(included, pinned, matches)
        matches = None
    route: BaseRoute = pinned
    return route


class _PinnedInclusion(_IncludedRouter):
    """An included router that has one of its routes only."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:  # noqa: ARG002 - it is asked later
        """Match; FastAPI asks the route once more where it runs it, and answers a no with 404."""
        return Match.FULL, {}

    def _match(self, scope: Scope) -> Any:
        pinned, matches = vars(self)[_PINNED], vars(self)[_MATCHES]
        route: Any = getattr(pinned, "original_route", None)
        # INVARIANT: where `matches` of the route was replaced meanwhile, the new one is called
        # (attacks/test_overriding_routes.py).
        if matches is None or type(route).matches is not matches or "matches" in vars(route):
            return super()._match(scope)
        # What FastAPI's route does, without looking up the context in which it is.
        match, found = pinned.matches(scope)
        if match is Match.NONE:
            return match, {}, None, None
        return match, found, route, pinned

    def effective_candidates(self) -> list[Any]:
        return [vars(self)[_PINNED]]

    def effective_low_priority_routes(self) -> list[Any]:
        return []


def _pinned_inclusion(
    included: _IncludedRouter, pinned: object, matches: object
) -> _PinnedInclusion:
    inclusion = object.__new__(_PinnedInclusion)
    # Without its default, which would run where the route does not match any more.
    router = _copy_of(included.original_router)
    own = {_PINNED: pinned, _MATCHES: matches}
    vars(inclusion).update(vars(included), original_router=router, **own)
    return inclusion


def _pinned_frontend(node: RouteNode) -> Any:
    """Return a group of frontends that has that of *node* alone, in its context if it has one."""
    group = _shallow(node.route, routes=[node.frontend])
    if node.context is None:
        return group
    return _shallow(node.context, original_route=group, app=_led_to(node.context.app, group))


def _led_to(app: Any, group: Any) -> Any:
    """Return a copy of *app* that leads to *group*, where *app* leads to a group of frontends."""
    inner = attribute_of(app, "app")
    # The framework's limit of bodies may be around it.
    return group.handle if inner is None else _shallow(app, app=_led_to(inner, group))


def _shallow(original: T, **changes: object) -> T:
    copied = copy.copy(original)
    vars(copied).update(changes)
    return copied


async def _refuse(*connection: Any) -> None:  # noqa: ARG001 - it is called as an app is
    """Answer 404; only a route that changes while its router matches comes here."""
    raise HTTPException(404)


class _Unrunnable(Route):
    """A route that matches partially at most, and has nothing to run."""

    def __init__(self, node: RouteNode) -> None:
        effective: Any = node.effective
        self.node = node
        self.path = node.path
        self.name = getattr(effective, "name", None) or ""
        self.path_format = getattr(effective, "path_format", node.path)
        self.endpoint = getattr(effective, "endpoint", _refuse)
        self.include_in_schema = False
        self.methods = node.listed_methods or None  # type: ignore[assignment]
        self.app = _refuse

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return what `matches` of the route says, with a partial match for a full one."""
        match, found = self.node.call_matches(dict(scope))
        return (Match.PARTIAL if match is Match.FULL else match), found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the route does, with the route in the scope for handlers of the application."""
        if scope.get("route") is self:
            effective = self.node.effective
            scope["route"] = effective if isinstance(effective, BaseRoute) else self.node.route
        await super().handle(scope, receive, send)
