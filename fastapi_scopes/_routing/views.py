"""The two views of an app: how a perimeter reads and prepares it, and how a dependency does."""

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
    count_changes_of,
    invalidate_inclusions,
    is_counted,
    is_counted_by,
    start_counting,
)
from fastapi_scopes._routing.deciders import RouterEnforcer
from fastapi_scopes._routing.enforcement import (
    EndpointEnforcer,
    EnforcedEndpoint,
    enforce,
    enforce_in,
)
from fastapi_scopes._routing.framework import (
    attribute_of,
    runs_framework_code,
    wraps_framework_code,
)
from fastapi_scopes._routing.gates import (
    app_chain_of,
    has_gate_of,
    install_gate,
    is_still_gated_by,
)
from fastapi_scopes._routing.mounts import InnerRouter, hides_its_router, wrapped_router
from fastapi_scopes._routing.nodes import RouteNode, own_node
from fastapi_scopes._routing.reading import routers_with

__all__ = ["DependencyView", "PerimeterEnforcer", "PerimeterView"]


class PerimeterEnforcer(RouterEnforcer, EndpointEnforcer, Protocol):
    """A perimeter: it lets routers match and endpoints run only by its verdicts."""


class PerimeterView:
    """The view of a perimeter: all that framework code matches is read, and gets gates."""

    def __init__(
        self, enforcer: PerimeterEnforcer, on_router_found: Callable[[InnerRouter], None]
    ) -> None:
        self._enforcer = enforcer
        self._on_router_found = on_router_found

    def looks_into(self, router: APIRouter) -> bool:
        is_frameworks = runs_framework_code(router, "matches")
        return is_counted(router) and is_frameworks and wraps_framework_code(router, "handle")

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        return node.inner_router() if node.may_lead_to_router else None

    def prepare(self, inner: InnerRouter) -> bool:
        is_known = has_gate_of(inner.router, self._enforcer)
        if not start_counting(inner.router) or not install_gate(inner.router, self._enforcer):
            return False
        if not is_known and isinstance(inner.app, Starlette) and hides_its_router(inner.app):
            # INVARIANT: it may serve by an earlier router, which its stack does not show
            # (attacks/test_late_replacements.py). At the next call it serves by this one.
            inner.app.middleware_stack = None
        self._on_router_found(inner)
        return True

    def is_ready(self, inner: InnerRouter) -> bool:
        return is_still_gated_by(inner.router, self._enforcer)

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.methods

    def on_reading(self, router: Router) -> None:
        for each in routers_with(router):
            enforce_in(each, self._enforcer)

    def on_added(
        self, routes: Iterable[Any], changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        """Make *routes*, which were just added, and all routes behind them ask for verdicts.

        INVARIANT: a route asks for a verdict before anybody can call it, by whatever way
        (attacks/test_calls_from_within.py).
        """
        for route in list(routes):
            if isinstance(route, _IncludedRouter):
                self._enforce_below(route.original_router, changes, is_included=True)
                continue
            inner = wrapped_router(attribute_of(route, "app"))
            # FastAPI makes another route of one that it includes, which need not lead to a router.
            is_kept = not is_included or isinstance(route, Mount | Host)
            if inner is not None:
                inner = self.inner_of(own_node(route)) if is_kept else None
            if inner is None:
                enforce(route, self._enforcer)
            elif self.prepare(inner):
                self._enforce_below(inner.router, changes)

    def _enforce_below(
        self, router: Router, changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        # A router that is counted already is done; it may also include itself.
        if not is_counted_by(router, changes) and count_changes_of(router, changes):
            enforce_in(router, self._enforcer)
            self.on_added(router.routes, changes, is_included=is_included)
            if is_included and isinstance(router, APIRouter):
                # Routes that FastAPI built of it for another app do not ask for verdicts yet.
                invalidate_inclusions(router)
            inner = wrapped_router(attribute_of(router, "default"))
            if inner is not None and self.prepare(inner):
                self._enforce_below(inner.router, changes)

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Make all routes behind *router* ask for verdicts, before FastAPI builds any of them."""
        self._enforce_below(router, changes)

    def on_endpoint(self, node: RouteNode) -> EnforcedEndpoint | None:
        route = node.route
        if isinstance(route, _IncludedRouter):
            return enforce(route.original_router, self._enforcer)
        if node.is_default:
            return None
        is_made = isinstance(node.effective, BaseRoute) and node.effective is not route
        return enforce(route, self._enforcer, node.effective if is_made else None)


class DependencyView:
    """The view of a dependency: all routers of one app are read, but no apps mounted in it."""

    def looks_into(self, router: APIRouter) -> bool:  # noqa: ARG002 - the framework names the route
        return True

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        """Return the router, or the app, that is mounted there, whatever is wrapped around it."""
        effective = node.effective
        if not isinstance(effective, Mount | Host):
            return node.inner_router() if node.may_lead_to_router else None
        app = attribute_of(effective, "app")
        if not isinstance(app, Starlette | Router):
            # Whether middleware shows its app or not, the framework names the route that runs.
            shown = (each for each in app_chain_of(app) if isinstance(each, Starlette | Router))
            app = next(shown, None) or attribute_of(effective, "_base_app")
        if isinstance(app, Starlette):
            return InnerRouter(app.router, app)
        return InnerRouter(app, app) if isinstance(app, Router) else None

    def prepare(self, inner: InnerRouter) -> bool:
        return not isinstance(inner.app, Starlette)

    def is_ready(self, inner: InnerRouter) -> bool:  # noqa: ARG002 - nothing is prepared
        return True

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.declared_methods

    def on_reading(self, router: Router) -> None:
        """Do nothing: a dependency needs no preparation."""

    def on_added(self, routes: Iterable[Any], changes: ChangeCounter) -> None:
        """Do nothing: a dependency needs no preparation."""

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Do nothing: a dependency needs no preparation."""

    def on_endpoint(self, node: RouteNode) -> EnforcedEndpoint | None:  # noqa: ARG002 - it asks for nothing
        return None
