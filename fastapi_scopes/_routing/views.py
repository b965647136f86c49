"""What a perimeter, and what a dependency, looks into, and what it does where it looks."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fastapi.routing import (
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Router

from fastapi_scopes._routing.changes import (
    ChangeCounter,
    is_watchable,
    is_watched,
    is_watched_by,
    mark_changed,
    watch,
)
from fastapi_scopes._routing.deciders import Holder
from fastapi_scopes._routing.enforcement import Endpoint, Ruler, enforce, enforce_in
from fastapi_scopes._routing.framework import (
    attribute_of,
    runs_framework_code,
    wraps_framework_code,
)
from fastapi_scopes._routing.gates import (
    has_gate_of,
    install_gate,
    layers_of,
    stands_before,
)
from fastapi_scopes._routing.mounts import InnerRouter, hides_its_router, wrapped_router
from fastapi_scopes._routing.nodes import RouteNode, own_node
from fastapi_scopes._routing.reading import routers_with

__all__ = ["DependencyView", "PerimeterRuler", "PerimeterView"]


class PerimeterRuler(Holder, Ruler, Protocol):
    """Who stands before routers and rules endpoints."""


class PerimeterView:
    """Looks into all that the framework's own code matches, and puts gates there."""

    def __init__(
        self, ruler: PerimeterRuler, on_router_found: Callable[[InnerRouter], None]
    ) -> None:
        self._ruler = ruler
        self._on_router_found = on_router_found

    def looks_into(self, router: APIRouter) -> bool:
        is_frameworks = runs_framework_code(router, "matches")
        return is_watched(router) and is_frameworks and wraps_framework_code(router, "handle")

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        return node.inner() if node.leads else None

    def prepare(self, inner: InnerRouter) -> bool:
        is_known = has_gate_of(inner.router, self._ruler)
        if not is_watchable(inner.router) or not install_gate(inner.router, self._ruler):
            return False
        if not is_known and isinstance(inner.app, Starlette) and hides_its_router(inner.app):
            # INVARIANT: it may serve by a router that it had before, of which nobody knows
            # (attacks/test_late_replacements.py). With the next call it serves by this one.
            inner.app.middleware_stack = None
        self._on_router_found(inner)
        return True

    def is_ready(self, inner: InnerRouter) -> bool:
        return stands_before(inner.router, self._ruler)

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.methods

    def on_reading(self, router: Router) -> None:
        for each in routers_with(router):
            enforce_in(each, self._ruler)

    def on_added(
        self, routes: Iterable[Any], changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        """Take note of *routes* that were added just now, and of all that is behind them.

        INVARIANT: a route asks for a verdict before anybody can call it, by whatever way
        (attacks/test_calls_from_within.py).
        """
        for route in list(routes):
            if isinstance(route, _IncludedRouter):
                self._enforce_behind(route.original_router, changes, is_included=True)
                continue
            inner = wrapped_router(attribute_of(route, "app"))
            # FastAPI makes another route of one that it includes, which need not lead to a router.
            is_kept = not is_included or isinstance(route, Mount | Host)
            if inner is not None:
                inner = self.inner_of(own_node(route)) if is_kept else None
            if inner is None:
                enforce(route, self._ruler)
            elif self.prepare(inner):
                self._enforce_behind(inner.router, changes)

    def _enforce_behind(
        self, router: Router, changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        # One that is watched already was met before, and may hold itself.
        if not is_watched_by(router, changes) and watch(router, changes):
            enforce_in(router, self._ruler)
            self.on_added(router.routes, changes, is_included=is_included)
            if is_included and isinstance(router, APIRouter):
                # What another app that includes it had made of its routes asks for nothing.
                mark_changed(router)
            inner = wrapped_router(attribute_of(router, "default"))
            if inner is not None and self.prepare(inner):
                self._enforce_behind(inner.router, changes)

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Take note of all that there is behind *router*, before FastAPI makes anything of it."""
        self._enforce_behind(router, changes)

    def on_endpoint(self, node: RouteNode) -> Endpoint | None:
        route = node.route
        if isinstance(route, _IncludedRouter):
            return enforce(route.original_router, self._ruler)
        if node.is_default:
            return None
        is_made = isinstance(node.effective, BaseRoute) and node.effective is not route
        return enforce(route, self._ruler, node.effective if is_made else None)


class DependencyView:
    """Looks into all of an app that the framework runs dependencies in; not into other apps."""

    def looks_into(self, router: APIRouter) -> bool:  # noqa: ARG002 - what runs names itself
        return True

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        """Return the router, or the app, that is mounted there, whatever is wrapped around it."""
        effective = node.effective
        if not isinstance(effective, Mount | Host):
            return node.inner() if node.leads else None
        app = attribute_of(effective, "app")
        if not isinstance(app, Starlette | Router):
            # Middleware of the mount hides what it wraps, or shows it; what runs names itself.
            shown = (each for each in layers_of(app) if isinstance(each, Starlette | Router))
            app = next(shown, None) or attribute_of(effective, "_base_app")
        if isinstance(app, Starlette):
            return InnerRouter(app.router, app)
        return InnerRouter(app, app) if isinstance(app, Router) else None

    def prepare(self, inner: InnerRouter) -> bool:
        return not isinstance(inner.app, Starlette)

    def is_ready(self, inner: InnerRouter) -> bool:  # noqa: ARG002 - nothing is prepared
        return True

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.spelled_methods

    def on_reading(self, router: Router) -> None:
        """Take no note: dependencies ask for themselves."""

    def on_added(self, routes: Iterable[Any], changes: ChangeCounter) -> None:
        """Take no note either."""

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Take none of these."""

    def on_endpoint(self, node: RouteNode) -> Endpoint | None:  # noqa: ARG002 - dependencies ask themselves
        return None
