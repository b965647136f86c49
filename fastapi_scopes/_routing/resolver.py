"""The one tree of the routes of an app, for perimeters, dependencies, `check` and documents."""

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi.routing import (
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Router

from fastapi_scopes._routing.changes import is_watchable, is_watched
from fastapi_scopes._routing.enforcement import Endpoint, Ruler, enforce
from fastapi_scopes._routing.framework import attribute_of, wraps_framework_code
from fastapi_scopes._routing.gates import Holder, install_gate
from fastapi_scopes._routing.index import Place, RouteIndex, TreeContext, View
from fastapi_scopes._routing.matching import RouteMatch, router_scope_of
from fastapi_scopes._routing.mounts import InnerRouter
from fastapi_scopes._routing.tree import RouteNode, UnroutableError

__all__ = ["DependencyView", "PerimeterRuler", "PerimeterView", "RouteTree"]


class PerimeterRuler(Holder, Ruler, Protocol):
    """Who stands before routers and rules endpoints."""


class PerimeterView:
    """Looks into all that the framework's own code matches, and puts gates there."""

    def __init__(
        self, ruler: PerimeterRuler, on_router_found: Callable[[InnerRouter], None]
    ) -> None:
        self._ruler = ruler
        self._on_router_found = on_router_found

    def opens(self, router: APIRouter) -> bool:
        return is_watched(router) and wraps_framework_code(router, "matches", "handle")

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        return node.inner() if node.leads else None

    def enters(self, inner: InnerRouter) -> bool:
        if not is_watchable(inner.router) or not install_gate(inner.router, self._ruler):
            return False
        self._on_router_found(inner)
        return True

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.methods

    def finds(self, node: RouteNode) -> Endpoint | None:
        route = node.route
        if isinstance(route, _IncludedRouter):
            return enforce(route.original_router, self._ruler)
        if node.is_default:
            return None
        is_made = isinstance(node.effective, BaseRoute) and node.effective is not route
        return enforce(route, self._ruler, node.effective if is_made else None)


class DependencyView:
    """Looks into all of an app that the framework runs dependencies in; not into other apps."""

    def opens(self, router: APIRouter) -> bool:  # noqa: ARG002 - what runs names itself
        return True

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        """Return the router, or the app, that is mounted there, whatever is wrapped around it."""
        effective = node.effective
        if not isinstance(effective, Mount | Host):
            return node.inner() if node.leads else None
        app = attribute_of(effective, "_base_app") or attribute_of(effective, "app")
        if isinstance(app, Starlette):
            return InnerRouter(app.router, app)
        return InnerRouter(app, app) if isinstance(app, Router) else node.inner()

    def enters(self, inner: InnerRouter) -> bool:
        return not isinstance(inner.app, Starlette)

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.spelled_methods

    def finds(self, node: RouteNode) -> Endpoint | None:  # noqa: ARG002 - dependencies ask themselves
        return None


class RouteTree:
    """The routes of an app, and of all routers that it leads to, as they are now."""

    def __init__(
        self, app: Starlette, guard: object, *, is_guard: Callable[[object], bool], view: View
    ) -> None:
        self.context = TreeContext(guard, is_guard, view)
        self.root = RouteIndex(InnerRouter(app.router, app), self.context)
        self._seen = -1
        self._listing: _Listing | None = None

    @property
    def version(self) -> int:
        """How many changes of routes there were so far."""
        return self.context.changes.count

    def refresh(self, *, anew: bool = False) -> None:
        """Look at what changed; with *anew* at all that there is.

        INVARIANT: each router has its gate before a connection can come to it, by whatever way
        (attacks/test_gates.py).
        """
        if anew or self.version != self._seen:
            for _ in self.refreshing(anew=anew):
                pass

    def refreshing(self, *, anew: bool = False) -> Iterator[None]:
        """Look at what changed, some at a time."""
        # What changes meanwhile, or is left out where this fails, is looked at the next time.
        count = self.version
        yield from self.root.refreshing(anew=anew)
        self._seen, self._listing = count, None

    def resolve(
        self, asgi_scope: MutableMapping[str, Any], index: RouteIndex | None = None
    ) -> RouteMatch:
        """Return where a connection gets that the app's router, or that of *index*, is to match."""
        self.refresh()
        match = RouteMatch()
        try:
            (index or self.root).follow(router_scope_of(asgi_scope), match)
        except UnroutableError:
            # So would the framework's own matching, which makes it an error of the server.
            match.fail()
        return match

    def indexes(self) -> list[RouteIndex]:
        """Return those of all routers that there are now, the app's own first."""
        self.refresh()
        return list(self.root.walk())

    def indexes_of(self, router: Router) -> list[RouteIndex]:
        """Return the places that *router* has now."""
        return self._listed().by_router.get(id(router), [])

    def places(self) -> Iterator[Place]:
        """Yield every endpoint that there is now."""
        self.refresh()
        yield from endpoints_in(self.root)

    def places_of(self, endpoint: Endpoint) -> list[Place]:
        """Return where in the app *endpoint* is now."""
        return self._listed().by_endpoint.get(endpoint, [])

    def _listed(self) -> "_Listing":
        self.refresh()
        if self._listing is None or self._listing.version != self._seen:
            listing = _Listing(self._seen)
            for index in self.root.walk():
                listing.by_router.setdefault(id(index.router), []).append(index)
            for place in endpoints_in(self.root):
                if place.endpoint is not None:
                    listing.by_endpoint.setdefault(place.endpoint, []).append(place)
            self._listing = listing
        return self._listing


@dataclass(slots=True)
class _Listing:
    """Where routers and endpoints are, for connections that come there by other ways."""

    version: int
    by_router: dict[int, list[RouteIndex]] = field(default_factory=dict[int, list[RouteIndex]])
    by_endpoint: dict[Endpoint, list[Place]] = field(default_factory=dict[Endpoint, list[Place]])


def endpoints_in(index: RouteIndex) -> Iterator[Place]:
    """Yield every endpoint to which *index* leads, in order."""
    for place in index.places():
        if place.index is None:
            yield place
        else:
            yield from endpoints_in(place.index)
