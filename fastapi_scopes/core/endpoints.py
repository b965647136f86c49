"""Endpoints of an application: one method on one route template, and what answers there."""

from dataclasses import dataclass
from enum import Enum

from fastapi_scopes.core.templates import RouteTemplate

__all__ = ["Endpoint", "Kind", "Reach"]


class Kind(Enum):
    """The kind of route or app that answers at an endpoint."""

    API_ROUTE = "API route"
    API_WEBSOCKET = "API WebSocket route"
    ROUTE = "plain route"
    WEBSOCKET = "plain WebSocket route"
    MOUNT = "mounted ASGI app"
    OPAQUE = "opaque endpoint"
    """Its routes cannot be read: a class that matches in its own way, a default app, a host."""
    FRONTEND = "frontend"
    DOCS = "docs page"
    UNKNOWN_PATHS = "unknown paths behind other code"

    @property
    def is_mount(self) -> bool:
        """True where one app answers all paths below a prefix, so that a MOUNT key may decide."""
        return self in _MOUNTS

    @property
    def is_route(self) -> bool:
        """True where the application's own function answers one path."""
        return self in _ROUTES

    @property
    def is_socket(self) -> bool:
        """True where the method of the endpoint is the word WEBSOCKET."""
        return self in _SOCKETS

    @property
    def has_dependencies(self) -> bool:
        """True where FastAPI runs dependencies."""
        return self in _DEPENDENT


_MOUNTS = frozenset({Kind.MOUNT, Kind.FRONTEND})
_SOCKETS = frozenset({Kind.API_WEBSOCKET, Kind.WEBSOCKET})
_DEPENDENT = frozenset({Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND})
_ROUTES = frozenset({Kind.API_ROUTE, Kind.ROUTE}) | _SOCKETS


class Reach(Enum):
    """Who decides on an endpoint: this guard, another one, or nobody."""

    GUARDED = "the guard runs"
    OTHER_GUARD = "another guard runs"
    UNGUARDED = "no guard runs"
    UNREACHABLE = "no dependency can run"
    UNRESOLVED = "the guard runs, but the framework does not say which route"
    PERIMETER = "a perimeter decides"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one route template of an application."""

    method: str
    """An HTTP method, ``WEBSOCKET``, or ``*`` where any is answered."""
    template: RouteTemplate
    kind: Kind
    reach: Reach
    source: str = ""
    """Where it is defined: ``module.name`` of the function or app."""
    mount: str = ""
    """Where the app that holds the route is mounted; empty for the app that was looked at."""
    scopes: tuple[str, ...] = ()
    """The scopes of ``Security(guard, scopes=[...])`` on the route itself."""
    never_none: tuple[str, ...] = ()
    """Parameters that take the claims and whose annotation does not allow None."""

    def __str__(self) -> str:
        return f"{self.method} {self.template}"
