"""The routers on the way of a connection, each with the route that was decided on there."""

import copy
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import Match, Router
from starlette.types import ASGIApp

from fastapi_scopes._routing.direct import DirectRun, direct_run_of
from fastapi_scopes._routing.enforcement import EnforcedEndpoint, endpoint_of
from fastapi_scopes._routing.mounts import InnerRouter, is_same
from fastapi_scopes._routing.nodes import RouteNode
from fastapi_scopes.core.methods import WEBSOCKET

__all__ = ["Pin", "RouteChangedError", "RouterStep"]

_NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({})


class RouteChangedError(Exception):
    """A route has another path than when its router was read, and no change was counted."""


@dataclass(slots=True, eq=False)
class Pin:
    """A copy of a router that has only one of its routes, or none."""

    router: Router
    pinned_copy: Router
    """The copy of *router*."""
    key: object = None
    """Equal for two pins of one route; None where there is no route."""
    node: RouteNode | None = None
    _direct_run: DirectRun | None = None
    """The direct run of the route, where the framework's way to it was recorded."""
    _is_recorded: bool = False
    """Whether `direct_run_of` was asked already."""

    def direct_run_to(
        self,
        endpoint: EnforcedEndpoint,
        asgi_scope: MutableMapping[str, Any],
        path_params: Mapping[str, Any],
    ) -> DirectRun | None:
        """Return the direct run of the route, or None where the router itself has to be asked."""
        if not self._is_recorded and self.node is not None:
            self._is_recorded = True
            self._direct_run = direct_run_of(
                self.pinned_copy, self.node, endpoint, asgi_scope, path_params
            )
        direct_run = self._direct_run
        return (
            direct_run if direct_run is not None and direct_run.is_as_recorded(asgi_scope) else None
        )


# Nothing may run before it was decided on.
_UNPINNED: Final = Pin(Router(), Router())


class RouterStep:
    """One router on the way of a connection: by what it chooses a route, and the pin of that route.

    All of it is as it was at the time of the decision.
    """

    # Not a dataclass: defaults stay on the class, so that a request pays for no attribute that it
    # does not set.
    is_socket: bool = False
    outer: "RouterStep | None" = None
    """The step at the router outside of this one."""
    mount: RouteNode | None = None
    """The route that led here from that router."""
    app: ASGIApp | None = None
    """The app or router to which that route led."""
    pin: Pin = _UNPINNED
    inner: InnerRouter | None = None
    """The router to which the pinned route leads."""
    _visible: dict[str, Any] | None = None

    def __init__(self, asgi_scope: MutableMapping[str, Any]) -> None:
        """Make the step at a router that gets *asgi_scope*."""
        self.asgi_scope: MutableMapping[str, Any] = asgi_scope
        self.path: str = asgi_scope["path"]
        self.root_path: str = asgi_scope.get("root_path") or ""
        self.path_params: Mapping[str, Any] = asgi_scope.get("path_params") or _NO_PARAMETERS
        is_socket = asgi_scope["type"] == "websocket"
        self.method: str = WEBSOCKET if is_socket else asgi_scope["method"]
        if is_socket:
            self.is_socket = True

    def __repr__(self) -> str:
        return f"<RouterStep at {self.method} {self.path!r}>"

    @property
    def route_path(self) -> str:
        """The rest of the path, which the router matches."""
        if not self.root_path:
            return self.path
        return get_route_path({"path": self.path, "root_path": self.root_path})

    def has_method_of(self, asgi_scope: Mapping[str, Any]) -> bool:
        """Tell whether *asgi_scope* has the same type and method."""
        if asgi_scope["type"] == "websocket":
            return self.is_socket
        return not self.is_socket and bool(asgi_scope["method"] == self.method)

    def below(
        self, node: RouteNode, inner: InnerRouter, mounted: str, parameters: Mapping[str, Any]
    ) -> "RouterStep":
        """Return the step at the router *inner*, to which *node* leads at the path *mounted*."""
        root_path = inner.root_path or self.root_path + mounted
        path_params = {**self.path_params, **parameters} if parameters else self.path_params
        step = copy.copy(self)
        step.root_path, step.path_params = root_path, path_params
        step.outer, step.mount, step.app = self, node, inner.app
        step.pin, step.inner, step._visible = _UNPINNED, None, None
        return step

    def with_slash_changed(self) -> "RouterStep":
        """Return the step with the path to which the router would redirect."""
        ends = self.route_path.endswith("/")
        path = self.path.rstrip("/") if ends else self.path + "/"
        changed = copy.copy(self)
        changed.path = path
        if self._visible is not None:
            changed._visible = {**self._visible, "path": path}
        return changed

    def visible_scope(self) -> dict[str, Any]:
        """Return a copy of the ASGI scope for the code of routes, which may write to it.

        They all get the same copy, as in the framework; the connection's own scope stays as it is.

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
            if self.mount is not None and not self.mount.is_default:
                found = self.mount.call_matches(outer)[1]
            self._visible = {**outer, **found, "path": self.path, "root_path": self.root_path}
            self._visible["fastapi"] = dict(self._visible.get("fastapi") or {})
            if isinstance(self.app, Starlette):
                self._visible["app"] = self.app
        return self._visible

    def call_matches(self, node: RouteNode) -> tuple[Match, Mapping[str, Any]]:
        """Return what `matches` of *node* says, and the path parameters.

        Raises:
            UnroutableError: it fails.
        """
        match, found = node.call_matches(self.visible_scope())
        return match, found.get("path_params") or {}

    @property
    def has_moved(self) -> bool:
        """Whether the route leads to another router now than at the time of the decision."""
        node = self.pin.node
        if node is None or not node.may_lead_to_router:
            return False
        # A route that was given a `handle` of its own may run anything.
        is_other_code = not node.is_default and node.has_own_handle
        return is_other_code or not is_same(self.inner, node.inner_router())

    def was_endpoint(self, endpoint: EnforcedEndpoint) -> bool:
        """Tell whether the route of the step was *endpoint* before it led to a router."""
        return self.pin.node is not None and endpoint_of(self.pin.node.route) is endpoint

    def holds_for(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether the router would choose the same route and parameters for *asgi_scope*."""
        node = self.pin.node
        # The usual case, without a call.
        is_same = asgi_scope["type"] == "http" and asgi_scope["method"] == self.method
        if self.is_socket or not is_same:
            is_same = self.has_method_of(asgi_scope)
        if not is_same:
            return False
        if node is None:
            # The pin has no route that could run.
            return True
        path, root_path = asgi_scope["path"], asgi_scope.get("root_path") or ""
        is_same_text = path == self.path and root_path == self.root_path
        path_params = asgi_scope.get("path_params") or _NO_PARAMETERS
        if path_params is not self.path_params and not _are_equal(
            path_params, self.path_params, is_same_text=is_same_text
        ):
            return False
        return is_same_text or self._matches_alike(node, RouterStep(asgi_scope))

    def _matches_alike(self, node: RouteNode, now: "RouterStep") -> bool:
        """Tell whether the path of *now* has the same parameters, as they are written."""
        before = self.route_path
        if node.is_default or node.is_low_priority or now.route_path == before:
            return True
        if node.needs_matches_call:
            # Its own code matches; its parameters are compared where it runs.
            return True
        found = node.parameter_texts(now.route_path)
        # Where the path does not match, the router itself says so.
        return found is None or found == node.parameter_texts(before)

    def runs_as_decided(
        self, asgi_scope: MutableMapping[str, Any], path_params: Mapping[str, Any] | None
    ) -> bool:
        """Tell whether *asgi_scope* has the method and the *path_params* that were decided on."""
        is_same_text = asgi_scope["path"] == self.path
        now = asgi_scope.get("path_params") or _NO_PARAMETERS
        return self.has_method_of(asgi_scope) and _are_equal(
            now, path_params or _NO_PARAMETERS, is_same_text=is_same_text
        )


def _are_equal(one: Mapping[str, Any], other: Mapping[str, Any], *, is_same_text: bool) -> bool:
    """Tell whether path parameters have the same values, or at least were made of the same text."""
    if one is other or (not one and not other):
        return True
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        others = other[name]
        # The usual case.
        is_same_str = type(value) is str and type(others) is str and value == others
        if not is_same_str and not _is_same_value(value, others, is_same_text=is_same_text):
            return False
    return True


def _is_same_value(one: object, other: object, *, is_same_text: bool) -> bool:
    is_same_kind = is_same_text and type(one) is type(other)
    try:
        is_equal = bool(one == other)
    except Exception:  # noqa: BLE001 - the developer's class may raise anything
        return is_same_kind
    # An instance that only equals itself has no other value than its text.
    return is_equal or (is_same_kind and type(one).__eq__ is object.__eq__)
