"""The route of a connection and the routers on its way, found before the framework routes it."""

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.routing import BaseRoute

from fastapi_scopes._routing.enforcement import EnforcedEndpoint
from fastapi_scopes._routing.index import Snapshot
from fastapi_scopes._routing.mounts import InnerRouter
from fastapi_scopes._routing.nodes import UnroutableError
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes._routing.router_steps import RouteChangedError, RouterStep

__all__ = ["RouteMatch"]


class RouteMatch:
    """The route to which a connection leads, and the routers on its way."""

    # Not a dataclass: defaults stay on the class, so that a request pays for no attribute that it
    # does not set.
    route: ResolvedRoute | None = None
    """The endpoint, or None where a router answers that there is none."""
    endpoint: EnforcedEndpoint | None = None
    """The endpoint under which the route asks for a verdict when it runs."""
    is_unroutable: bool = False
    """Whether no route is looked for: the framework itself would fail, or no rule can hold."""
    redirected: ResolvedRoute | None = None
    """The route to which a router without a matching route redirects."""
    routes: Snapshot | None = None
    """The routes of the last router on the way."""
    path_params: Mapping[str, Any] | None = None
    """The parameters with which the endpoint runs; None where there are none."""
    steps: tuple[RouterStep, ...] = ()
    """One for every router on the way."""
    mounts: tuple[tuple[ResolvedRoute, InnerRouter | None], ...] = ()
    """Per mount on the way: the route of unknown paths below it, and the router behind it."""

    def end_at_route(
        self,
        step: RouterStep,
        route: ResolvedRoute,
        endpoint: EnforcedEndpoint | None,
        parameters: Mapping[str, Any],
    ) -> None:
        """End the way with *step*, at *route*; *parameters* are those that the route adds."""
        self.steps = (*self.steps, step) if self.steps else (step,)
        self.route, self.endpoint = route, endpoint
        before = step.path_params
        self.path_params = {**before, **parameters} if before else parameters

    def end_without_route(self, step: RouterStep, redirected: ResolvedRoute | None = None) -> None:
        """End the way with *step*: the router answers 404 or 405, or redirects to *redirected*."""
        self.steps = (*self.steps, step)
        self.route, self.redirected = self.route_of_unknown_paths(), redirected

    def route_of_unknown_paths(self) -> ResolvedRoute | None:
        """Return the route that stands for paths which foreign code might answer, or None.

        INVARIANT: that no route matches does not mean that nothing answers
        (attacks/test_rewriting.py).
        """
        behind = (each for each, inner in self.mounts if inner is None or not inner.is_plain)
        return next(behind, None)

    def show_in(self, asgi_scope: MutableMapping[str, Any]) -> None:
        """Name the route in *asgi_scope*, as the framework does where it runs; for metrics."""
        node = self.steps[-1].pin.node if self.steps else None
        if node is not None and not node.is_default:
            is_route = isinstance(node.effective, BaseRoute)
            asgi_scope["route"] = node.effective if is_route else node.route

    def equalize_timing(self) -> None:
        """Spend the time that a path without a route takes.

        INVARIANT: a clock tells nobody who is refused whether there is a route
        (benchmarks/hostile_targets.py).
        """
        # Matching parameters took as long already; without steps there is nothing to search.
        if self.routes is not None and self.steps and not self.path_params:
            step = self.steps[-1]
            with suppress(UnroutableError, RouteChangedError):
                self.routes.choose(step, step.route_path + "/")
        # Called for its duration alone.
        self.route_of_unknown_paths()

    @classmethod
    def at(cls, route: ResolvedRoute, endpoint: EnforcedEndpoint) -> "RouteMatch":
        """Return the match of a connection that has come to *endpoint* already."""
        match = cls()
        match.route, match.endpoint = route, endpoint
        return match

    @classmethod
    def unroutable(cls) -> "RouteMatch":
        """Return the match of a connection for which no route is looked for."""
        match = cls()
        match.is_unroutable = True
        return match
