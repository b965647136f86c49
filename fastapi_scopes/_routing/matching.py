"""A connection on its way through the routers of an app, found before the framework routes it."""

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import Match, Router
from starlette.types import ASGIApp

from fastapi_scopes._routing.enforcement import Endpoint, endpoint_of
from fastapi_scopes._routing.mounts import InnerRouter, is_same
from fastapi_scopes._routing.nodes import RouteNode, UnroutableError
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes.core.methods import WEBSOCKET

__all__ = ["Pin", "RouteChangedError", "RouteMatch", "RouterScope", "Step", "router_scope_of"]

_NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({})


class RouteChangedError(Exception):
    """A route has another template than when it was read; its router knows nothing of that."""


@dataclass(slots=True, eq=False)
class RouterScope:
    """What of a connection a router goes by."""

    # A token is in there.
    asgi_scope: MutableMapping[str, Any] = field(repr=False)
    is_socket: bool
    method: str
    path: str
    root_path: str
    path_params: Mapping[str, Any]
    outer: "RouterScope | None" = None
    """What the router outside went by."""
    node: RouteNode | None = None
    """What led here from there."""
    app: ASGIApp | None = None
    """What that led into."""
    _visible: dict[str, Any] | None = field(default=None, init=False, repr=False)

    @property
    def route_path(self) -> str:
        """What is left of the path for the router."""
        if not self.root_path:
            return self.path
        return get_route_path({"path": self.path, "root_path": self.root_path})

    def is_of(self, asgi_scope: Mapping[str, Any]) -> bool:
        """Tell whether a connection is of the type, and has the method, that it was read from."""
        if asgi_scope["type"] == "websocket":
            return self.is_socket
        return not self.is_socket and bool(asgi_scope["method"] == self.method)

    def below(
        self, node: RouteNode, inner: InnerRouter, mounted: str, parameters: Mapping[str, Any]
    ) -> "RouterScope":
        """Return what the router *inner* goes by, to which *node* leads at *mounted*."""
        root_path = inner.root_path or self.root_path + mounted
        path_params = {**self.path_params, **parameters} if parameters else self.path_params
        call = (self.asgi_scope, self.is_socket, self.method, self.path)
        return RouterScope(*call, root_path, path_params, self, node, inner.app)

    def with_slash_changed(self) -> "RouterScope":
        """Return what a router would redirect to."""
        ends = self.route_path.endswith("/")
        path = self.path.rstrip("/") if ends else self.path + "/"
        changed = replace(self, path=path)
        if self._visible is not None:
            changed._visible = {**self._visible, "path": path}
        return changed

    def visible_scope(self) -> dict[str, Any]:
        """Return an ASGI scope for the code of routes, which may write to it.

        It is one for all of them, as the framework has it; the connection's own stays as it is.

        INVARIANT: it is what the framework has there, where no other code is in between
        (attacks/test_seen_scopes.py).

        Raises:
            UnroutableError: the code of a route on the way fails.
        """
        if self._visible is None:
            if self.outer is None:
                outer: dict[str, Any] = {**self.asgi_scope}
                outer["headers"] = list(outer.get("headers") or ())
            else:
                outer = dict(self.outer.visible_scope())
            found: Mapping[str, Any] = {}
            if self.node is not None and not self.node.is_default:
                found = self.node.ask(outer)[1]
            self._visible = {**outer, **found, "path": self.path, "root_path": self.root_path}
            self._visible["fastapi"] = dict(self._visible.get("fastapi") or {})
            if isinstance(self.app, Starlette):
                self._visible["app"] = self.app
        return self._visible

    def ask(self, node: RouteNode) -> tuple[Match, Mapping[str, Any]]:
        """Return what *node* itself says, and the path parameters.

        Raises:
            UnroutableError: it fails.
        """
        match, found = node.ask(self.visible_scope())
        return match, found.get("path_params") or {}


def router_scope_of(asgi_scope: MutableMapping[str, Any]) -> RouterScope:
    """Return what a router goes by that gets *asgi_scope*."""
    is_socket = asgi_scope["type"] == "websocket"
    method = WEBSOCKET if is_socket else asgi_scope["method"]
    path_params = asgi_scope.get("path_params") or _NO_PARAMETERS
    root_path = asgi_scope.get("root_path") or ""
    return RouterScope(asgi_scope, is_socket, method, asgi_scope["path"], root_path, path_params)


@dataclass(slots=True, eq=False)
class Pin:
    """One route of a router, or none, and the copy of the router that has that alone."""

    router: Router
    shown: Router
    """The copy."""
    key: object = None
    """Equal for two pins of one route; None where there is no route."""
    node: RouteNode | None = None
    leads: bool = False
    """Whether the route may lead to another router."""


@dataclass(slots=True, eq=False)
class Step:
    """A router on the way of a connection, and the route that it is shown."""

    pin: Pin
    at: RouterScope
    """What the router went by when that was decided on."""
    inner: InnerRouter | None = None
    """The router to which the route led then."""

    @property
    def has_moved(self) -> bool:
        """Whether the route leads to another router by now, of which nothing was decided."""
        node = self.pin.node
        if node is None or not self.pin.leads:
            return False
        # What has a `handle` of its own by now may run anything.
        is_other_code = not node.is_default and node.answers_partial
        return is_other_code or not is_same(self.inner, node.inner())

    def goes_by(self, endpoint: Endpoint) -> bool:
        """Tell whether the route of the step was *endpoint* once, before it led to a router."""
        return self.pin.node is not None and endpoint_of(self.pin.node.route) is endpoint

    def is_met_by(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether the router would come to the same, with the same path parameters."""
        at, node = self.at, self.pin.node
        if not at.is_of(asgi_scope):
            return False
        if node is None:
            # Nothing is shown that could run.
            return True
        path, root_path = asgi_scope["path"], asgi_scope.get("root_path") or ""
        is_same_text = path == at.path and root_path == at.root_path
        path_params = asgi_scope.get("path_params") or _NO_PARAMETERS
        if path_params is not at.path_params and not _are_same(
            path_params, at.path_params, is_same_text=is_same_text
        ):
            return False
        return is_same_text or self._matches_alike(node, router_scope_of(asgi_scope))

    def _matches_alike(self, node: RouteNode, now: RouterScope) -> bool:
        """Tell whether another path has the same parameters, as they are written."""
        if node.is_default or node.is_low_priority or now.route_path == self.at.route_path:
            return True
        if node.is_asked:
            # What it goes by is its own affair; where it runs, its parameters are compared.
            return True
        found = node.texts_in(now.route_path)
        # What does not match at all, the router itself says.
        return found is None or found == node.texts_in(self.at.route_path)

    def leads_to(
        self, asgi_scope: MutableMapping[str, Any], path_params: Mapping[str, Any] | None
    ) -> bool:
        """Tell whether what runs now is called as was decided, with *path_params*."""
        is_same_text = asgi_scope["path"] == self.at.path
        now = asgi_scope.get("path_params") or _NO_PARAMETERS
        return self.at.is_of(asgi_scope) and _are_same(
            now, path_params or _NO_PARAMETERS, is_same_text=is_same_text
        )


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any], *, is_same_text: bool) -> bool:
    """Tell whether path parameters have the same values.

    Of some values only the text can be compared that they were made of.
    """
    if one is other or (not one and not other):
        return True
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        others = other[name]
        # Most are texts.
        is_same_str = type(value) is str and type(others) is str and value == others
        if not is_same_str and not _is_same_value(value, others, is_same_text=is_same_text):
            return False
    return True


def _is_same_value(one: object, other: object, *, is_same_text: bool) -> bool:
    is_same_kind = is_same_text and type(one) is type(other)
    try:
        is_equal = bool(one == other)
    except Exception:  # noqa: BLE001 - the developer's class has its say
        return is_same_kind
    # What is equal to itself alone has but its text to go by.
    return is_equal or (is_same_kind and type(one).__eq__ is object.__eq__)


class Routes(Protocol):
    """Those of a router, as they were read once."""

    def choose(self, at: RouterScope, route_path: str) -> object:
        """Look for the one to which a path leads."""
        ...


@dataclass(slots=True, eq=False)
class RouteMatch:
    """How a connection gets to its endpoint, router by router."""

    route: ResolvedRoute | None = None
    """The endpoint, or None where a router answers that there is none."""
    endpoint: Endpoint | None = None
    """What the route of the endpoint is known by, where it asks for a verdict itself."""
    is_refused: bool = False
    """Whether the framework itself would fail on the path."""
    redirected: ResolvedRoute | None = None
    """Where a router points that has no such route."""
    routes: Routes | None = None
    """Those of the last router on the way."""
    path_params: Mapping[str, Any] | None = None
    """Those with which the endpoint runs; None where there are none."""
    steps: tuple[Step, ...] = ()
    """One for every router on the way."""
    entered: tuple[tuple[ResolvedRoute, InnerRouter | None], ...] = ()
    """All that is below what could lead to inner routers, and these."""

    def end(
        self,
        step: Step,
        route: ResolvedRoute,
        endpoint: Endpoint | None,
        parameters: Mapping[str, Any],
    ) -> None:
        """Note that the way ends with *step*, at *route*, with the *parameters* that it adds."""
        self.steps = (*self.steps, step)
        self.route, self.endpoint = route, endpoint
        before = step.at.path_params
        self.path_params = {**before, **parameters} if before else parameters

    def end_nowhere(self, step: Step, redirected: ResolvedRoute | None = None) -> None:
        """Note that a router answers that there is no route, or redirects to one."""
        self.steps = (*self.steps, step)
        self.route, self.redirected = self.behind_other_code(), redirected

    def behind_other_code(self) -> ResolvedRoute | None:
        """Return what stands for all unknown paths behind the first code that is not known.

        INVARIANT: that no route matches does not mean that nothing answers
        (attacks/test_rewriting.py).
        """
        behind = (each for each, inner in self.entered if inner is None or not inner.is_plain)
        return next(behind, None)

    def look_for_nothing(self) -> None:
        """Take as long as where there is no route.

        INVARIANT: a clock tells nobody who is refused whether there is one
        (benchmarks/hostile_targets.py).
        """
        # To match parameters took as long; without a way there was nothing to look through.
        if self.routes is not None and self.steps and not self.path_params:
            at = self.steps[-1].at
            with suppress(UnroutableError, RouteChangedError):
                self.routes.choose(at, at.route_path + "/")
        # For the time that it takes alone.
        self.behind_other_code()

    def fail(self) -> None:
        """Note that nothing is found: the framework itself would fail on the path."""
        self.steps = ()
        self.route, self.is_refused = None, True
