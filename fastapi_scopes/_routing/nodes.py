"""One route of a router, as the framework matches and runs it there."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.applications import Starlette
from starlette.convertors import (
    Convertor,
    PathConvertor,
    StringConvertor,
)
from starlette.routing import (
    BaseRoute,
    Host,
    Match,
    Mount,
    Route,
    Router,
    WebSocketRoute,
)
from starlette.staticfiles import StaticFiles

from fastapi_scopes._routing.framework import (
    attribute_of,
    computes,
    runs_framework_code,
)
from fastapi_scopes._routing.mounts import InnerRouter, inner_router_of, wrapped_router
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import ANY_METHOD, WEBSOCKET

__all__ = ["RouteNode", "UnroutableError", "node_for", "own_node"]

_FAMILIES: Final = (Route, WebSocketRoute, Mount, Host)
# What the framework's matching reads of a route.
_MATCHED_BY: Final = ("path", "path_regex", "param_convertors", "methods")
_NEVER_RAISING: Final = frozenset({StringConvertor, PathConvertor})
Answer = tuple[Match, dict[str, Any]]
"""What a route says of a connection: whether it matches, and what it adds to the ASGI scope."""


class UnroutableError(Exception):
    """The code of a route fails on a path, as it would in the framework's own matching."""


@dataclass(slots=True, eq=False)
class RouteNode:
    """One route of a router, as that router matches and runs it."""

    route: Any
    """The route as its own router has it, the same object wherever that is included."""
    effective: Any
    """What is matched: the context or the copy that an inclusion makes, else the route."""
    inclusions: tuple[_IncludedRouter, ...] = ()
    """The inclusions through which the framework comes to it, the outermost first."""
    context: Any = None
    """The context of the innermost inclusion, where there is one."""
    path: str = ""
    """Its path in the router that is read; of a mount, without the rest below it."""
    family: type[BaseRoute] | None = None
    """The framework's class of routes that it is of; None for another, or for several."""
    is_predictable: bool = False
    """Whether the framework's own code matches it, by its compiled pattern."""
    needs_matches_call: bool = True
    """Whether its own `matches` must be called: it is not predictable, or matches hosts."""
    frontend: Any = None
    """The frontend, where the route is a group of these."""
    is_low_priority: bool = False
    """Whether the router tries it only where no other route matches."""
    is_default: bool = False
    """Whether it is no route but the router's default."""
    may_lead_to_router: bool = False
    """Whether it may lead to another router."""
    converts: bool = True
    """Whether a path parameter may be more than its text."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The objects that it was read from, and its path: it stays known while they stay."""
        return _identity_of(self.route, self.effective, self.path)

    @property
    def shared_key(self) -> tuple[object, ...]:
        """Equal for one route of a router in the trees of two perimeters."""
        return id(self.route), self.path, id(self.frontend)

    @property
    def kind(self) -> Kind:
        """The kind of endpoint that it is."""
        if self.frontend is not None:
            return Kind.FRONTEND
        if self.family is WebSocketRoute:
            is_api = isinstance(self.route, APIWebSocketRoute)
            return Kind.API_WEBSOCKET if is_api else Kind.WEBSOCKET
        if self.family is Route:
            return Kind.API_ROUTE if isinstance(self.route, APIRoute) else Kind.ROUTE
        return Kind.MOUNT if self.family is Mount else Kind.OPAQUE

    @property
    def methods(self) -> frozenset[str]:
        """The methods that it answers; ``*`` stands for any.

        A route that matches in its own way may answer others than it lists.
        """
        is_certain = self.is_predictable or self.family not in {Route, WebSocketRoute}
        return self.declared_methods if is_certain else self.declared_methods | {ANY_METHOD}

    @property
    def declared_methods(self) -> frozenset[str]:
        """The methods that the route lists, or ``*`` where it lists none."""
        if self.frontend is not None:
            return frozenset(self.frontend.methods)
        if self.family not in {Route, WebSocketRoute}:
            # Not a subclass: that may answer other methods.
            is_static = type(attribute_of(self.effective, "app")) is StaticFiles
            return frozenset({"GET", "HEAD"} if is_static else {ANY_METHOD})
        listed = (WEBSOCKET,) if self.family is WebSocketRoute else self.listed_methods
        return frozenset(listed or {ANY_METHOD})

    @property
    def listed_methods(self) -> Collection[str]:
        """The methods that the framework compares; none where it compares none."""
        methods = attribute_of(self.effective, "methods") if self.family is Route else None
        return methods or ()

    @property
    def takes_requests(self) -> bool:
        """Whether it may match an HTTP request."""
        return self.family is not WebSocketRoute or not self.is_predictable

    @property
    def takes_sockets(self) -> bool:
        """Whether it may match a WebSocket."""
        return self.family is not Route or not self.is_predictable

    @property
    def dependant(self) -> Dependant | None:
        """The tree of its dependencies, where it has one."""
        owner = self.context if self.frontend is not None and self.context else self.effective
        dependant: Dependant | None = attribute_of(owner, "dependant")
        return dependant

    @property
    def target(self) -> object:
        """The code that answers: function of a route, app of a mount, included router."""
        if self.frontend is not None:
            return attribute_of(self.frontend, "app")
        names = ("endpoint", "app", "original_router")
        targets = (attribute_of(self.effective, name) for name in names)
        return next((each for each in targets if each is not None), self.effective)

    @property
    def matched(self) -> Any:
        """The object whose `matches` and `handle` the framework calls."""
        return _matched(self.route, self.effective)

    @property
    def has_own_handle(self) -> bool:
        """Whether its `handle` is not the framework's, and may answer any method."""
        return not runs_framework_code(self.matched, "handle")

    def inner_router(self) -> InnerRouter | None:
        """Return the router to which it leads now, or None."""
        return wrapped_router(self.route) if self.is_default else inner_router_of(self.effective)

    def parameter_texts(self, route_path: str) -> dict[str, str] | None:
        """Return the path parameters as they are written, or None where the path does not match.

        For predictable nodes; of a mount, without the rest below it.
        """
        found = self.effective.path_regex.match(route_path)
        texts: dict[str, str] | None = found.groupdict() if found is not None else None
        if texts is not None and self.family is Mount:
            texts.pop("path", None)
        return texts

    def match(self, route_path: str, method: str) -> Answer:
        """Return what the framework's own matching says; for predictable nodes.

        Raises:
            UnroutableError: a convertor fails on the text in the path.
        """
        found = self.effective.path_regex.match(route_path)
        if found is None:
            return Match.NONE, {}
        parameters: dict[str, Any] = found.groupdict() if found.re.groups else {}
        if parameters and self.converts:
            self._convert(parameters)
        # As `listed_methods`, but faster.
        methods: Any = getattr(self.effective, "methods", None) if self.family is Route else None
        is_partial = bool(methods) and method not in methods
        return (Match.PARTIAL if is_partial else Match.FULL), parameters

    def _convert(self, parameters: dict[str, Any]) -> None:
        convertors: dict[str, Convertor[Any]] = self.effective.param_convertors
        try:
            for name, value in parameters.items():
                convertor = convertors[name]
                if type(convertor) not in _NEVER_RAISING:
                    parameters[name] = convertor.convert(value)
        except Exception as error:
            # The developer's code may raise anything on the client's text.
            raise UnroutableError from error

    def call_matches(self, asgi_scope: dict[str, Any]) -> Answer:
        """Return what `matches` of the route says of *asgi_scope*, to which it may write.

        Raises:
            UnroutableError: it fails.
        """
        matches, before = self.effective.matches, asgi_scope.get("fastapi")
        if self.context is not None and self.effective is self.context:
            # As the framework does it: the route asks its scope for the context of the inclusion.
            asgi_scope["fastapi"] = {**(before or {}), "effective_route_context": self.context}
            matches = self.route.matches
        try:
            match, found = matches(asgi_scope)
            return Match(match), dict(found)
        except Exception as error:
            # The developer's code may raise anything on the client's text.
            raise UnroutableError from error
        finally:
            asgi_scope["fastapi"] = before if before is not None else {}

    def call_frontend_matches(self, asgi_scope: dict[str, Any]) -> tuple[Match, int | None]:
        """Return what a frontend says of *asgi_scope*, and how specific its path is.

        Raises:
            UnroutableError: it fails.
        """
        try:
            if self.frontend is None:
                match, found = self.effective.matches(asgi_scope)
            else:
                match, found = self.frontend.matches_with_path(asgi_scope, self.path or "/")
            return Match(match), found.get("fastapi", {}).get("frontend_specificity")
        except Exception as error:
            raise UnroutableError from error


def node_for(
    known: dict[tuple[object, ...], RouteNode],
    route: BaseRoute,
    effective: Any,
    context: Any,
    inclusions: tuple[_IncludedRouter, ...],
) -> RouteNode:
    """Return the node of *route*: that of *known* where it is the same still, else a new one."""
    path = attribute_of(effective, "path")
    path = path if isinstance(path, str) else ""
    node = known.get(_identity_of(route, effective, path))
    if node is not None and node.route is route and node.effective is effective:
        node.inclusions = inclusions
        return node
    matched = _matched(route, effective)
    families = [each for each in _FAMILIES if isinstance(matched, each)]
    # INVARIANT: a route of two classes may match as either (attacks/test_route_kinds.py).
    family = families[0] if len(families) == 1 else None
    is_predictable = (
        family is not None
        and runs_framework_code(effective, "matches")
        and runs_framework_code(matched, "matches")
        and not computes(effective, *_MATCHED_BY)
    )
    node = RouteNode(route, effective, inclusions, context, path, family, is_predictable)
    node.needs_matches_call = not is_predictable or family is Host
    node.may_lead_to_router = _may_lead_to_router(node)
    convertors = attribute_of(effective, "param_convertors") if is_predictable else None
    if type(convertors) is dict:
        node.converts = any(type(each) not in _NEVER_RAISING for each in convertors.values())
    return node


def own_node(route: BaseRoute) -> RouteNode:
    """Return the node of *route* in its own router, without inclusions."""
    return node_for({}, route, route, None, ())


def _identity_of(route: object, effective: object, path: str) -> tuple[object, ...]:
    return id(route), id(effective), path


def _matched(route: object, effective: Any) -> Any:
    return route if isinstance(route, APIRoute) else effective


def _may_lead_to_router(node: RouteNode) -> bool:
    if not node.is_predictable or isinstance(node.route, APIRoute) or node.has_own_handle:
        return False
    if node.family in {Mount, Host}:
        return True
    # A route may have another router for an endpoint.
    return isinstance(attribute_of(node.effective, "endpoint"), Router | Starlette)
