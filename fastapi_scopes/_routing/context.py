"""What the indexes of the routers of one app share, and who looks into it with them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi.routing import (
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.routing import Router

from fastapi_scopes._routing.changes import ChangeCounter
from fastapi_scopes._routing.enforcement import Endpoint
from fastapi_scopes._routing.mounts import InnerRouter
from fastapi_scopes._routing.nodes import RouteNode

__all__ = ["TreeContext", "View"]


class View(Protocol):
    """What looks into an app: a perimeter, or the dependencies of a guard."""

    def looks_into(self, router: APIRouter) -> bool:
        """Tell whether the routes of an included *router* are looked at, one by one."""
        ...

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        """Return the router to which *node* leads, where that is to be looked into."""
        ...

    def prepare(self, inner: InnerRouter) -> bool:
        """Make *inner* ready to be looked into; tell whether it can be."""
        ...

    def is_ready(self, inner: InnerRouter) -> bool:
        """Tell whether *inner* is as it was prepared."""
        ...

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        """Return the methods for which *node* needs rules."""
        ...

    def on_reading(self, router: Router) -> None:
        """Take note of the routes of *router* and of what it includes, before they are read."""
        ...

    def on_added(self, routes: Iterable[Any], changes: ChangeCounter) -> None:
        """Take note of *routes* when they are added; *changes* counts those behind them."""
        ...

    def on_first_look(self, router: Router, changes: ChangeCounter) -> None:
        """Take note of all that there is behind *router*, of which nothing was read yet."""
        ...

    def on_endpoint(self, node: RouteNode) -> Endpoint | None:
        """Take note of *node*, an endpoint; return what its route is known by."""
        ...


@dataclass(frozen=True, slots=True)
class TreeContext:
    """What the indexes of all routers of one guarded app share."""

    guard: object
    is_guard: Callable[[object], bool]
    view: View
    changes: ChangeCounter
    """Counts those of all routers."""
    unread: list[_IncludedRouter] = field(default_factory=list[_IncludedRouter])
    """Inclusions of which FastAPI had made nothing before they were looked at."""
