"""The objects that all route indexes of one app share, among them its `View`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi.routing import (
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.routing import Router

from fastapi_scopes._routing.changes import ChangeCounter
from fastapi_scopes._routing.enforcement import EnforcedEndpoint
from fastapi_scopes._routing.mounts import InnerRouter
from fastapi_scopes._routing.nodes import RouteNode

__all__ = ["TreeContext", "View"]


class View(Protocol):
    """Says which routers of an app are read: for a perimeter, or for a guard as a dependency."""

    def looks_into(self, router: APIRouter) -> bool:
        """Tell whether to read the routes of the included *router*, which else is one endpoint."""
        ...

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        """Return the router to which *node* leads, or None where *node* is one endpoint."""
        ...

    def prepare(self, inner: InnerRouter) -> bool:
        """Prepare *inner* for its routes to be read; return False where they cannot be."""
        ...

    def is_ready(self, inner: InnerRouter) -> bool:
        """Tell whether *inner* still is as `prepare` left it."""
        ...

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        """Return the methods for which *node* needs rules."""
        ...

    def on_reading(self, router: Router) -> None:
        """Prepare *router* and the routers it includes, right before they are read."""
        ...

    def on_added(self, routes: Iterable[Any], changes: ChangeCounter) -> None:
        """Prepare *routes*, which were added; *changes* counts the changes behind them, too."""
        ...

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Prepare all routes behind *router*, of which nothing was read yet."""
        ...

    def on_endpoint(self, node: RouteNode) -> EnforcedEndpoint | None:
        """Prepare *node*, an endpoint; return what its route asks for a verdict on, or None."""
        ...


@dataclass(frozen=True, slots=True)
class TreeContext:
    """The objects that the indexes of all routers of one guarded app share."""

    guard: object
    is_guard: Callable[[object], bool]
    view: View
    changes: ChangeCounter
    """Counts the changes of all routers."""
    unread: list[_IncludedRouter] = field(default_factory=list[_IncludedRouter])
    """Inclusions that FastAPI had not built when they were read here."""
