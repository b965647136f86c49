"""The one tree of the routes of an app, for perimeters, dependencies, `check` and documents."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import partial
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
    watch,
)
from fastapi_scopes._routing.enforcement import Endpoint, Ruler, enforce, enforce_in
from fastapi_scopes._routing.framework import (
    attribute_of,
    runs_framework_code,
    wraps_framework_code,
)
from fastapi_scopes._routing.gates import Holder, install_gate, layers_of
from fastapi_scopes._routing.index import Place, RouteIndex, TreeContext, View
from fastapi_scopes._routing.matching import RouteMatch, router_scope_of
from fastapi_scopes._routing.mounts import InnerRouter, is_same, wrapped_router
from fastapi_scopes._routing.tree import (
    RouteNode,
    UnroutableError,
    forget,
    own_node,
    routers_with,
)

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
        is_frameworks = runs_framework_code(router, "matches")
        return is_watched(router) and is_frameworks and wraps_framework_code(router, "handle")

    def inner_of(self, node: RouteNode) -> InnerRouter | None:
        return node.inner() if node.leads else None

    def enters(self, inner: InnerRouter) -> bool:
        if not is_watchable(inner.router) or not install_gate(inner.router, self._ruler):
            return False
        self._on_router_found(inner)
        return True

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.methods

    def meets(self, router: Router) -> None:
        for each in routers_with(router):
            enforce_in(each, self._ruler)

    def comes(
        self, routes: Iterable[Any], changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        """Take note of *routes* that were added just now, and of all that is behind them.

        INVARIANT: a route asks for a verdict before anybody can call it, by whatever way
        (attacks/test_calls_from_within.py).
        """
        for route in list(routes):
            if isinstance(route, _IncludedRouter):
                self._comes_with(route.original_router, changes, is_included=True)
                continue
            inner = wrapped_router(attribute_of(route, "app"))
            # FastAPI makes another route of one that it includes, which need not lead to a router.
            is_kept = not is_included or isinstance(route, Mount | Host)
            if inner is not None:
                inner = self.inner_of(own_node(route)) if is_kept else None
            if inner is None:
                enforce(route, self._ruler)
            elif self.enters(inner):
                self._comes_with(inner.router, changes)

    def _comes_with(
        self, router: Router, changes: ChangeCounter, *, is_included: bool = False
    ) -> None:
        # One that is watched already was met before, and may hold itself.
        if not is_watched_by(router, changes) and watch(router, changes):
            enforce_in(router, self._ruler)
            self.comes(router.routes, changes, is_included=is_included)
            if is_included and isinstance(router, APIRouter):
                # What another app that includes it had made of its routes asks for nothing.
                router._mark_routes_changed()
            inner = wrapped_router(attribute_of(router, "default"))
            if inner is not None and self.enters(inner):
                self._comes_with(inner.router, changes)

    def meets_all(self, router: Router, changes: ChangeCounter) -> None:
        """Take note of all that there is behind *router*, before FastAPI makes anything of it."""
        self._comes_with(router, changes)

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
        app = attribute_of(effective, "app")
        if not isinstance(app, Starlette | Router):
            # Middleware of the mount hides what it wraps, or shows it; what runs names itself.
            shown = (each for each in layers_of(app) if isinstance(each, Starlette | Router))
            app = next(shown, None) or attribute_of(effective, "_base_app")
        if isinstance(app, Starlette):
            return InnerRouter(app.router, app)
        return InnerRouter(app, app) if isinstance(app, Router) else None

    def enters(self, inner: InnerRouter) -> bool:
        return not isinstance(inner.app, Starlette)

    def methods_of(self, node: RouteNode) -> frozenset[str]:
        return node.spelled_methods

    def meets(self, router: Router) -> None:
        """Take no note: dependencies ask for themselves."""

    def comes(self, routes: Iterable[Any], changes: ChangeCounter) -> None:
        """Take no note either."""

    def meets_all(self, router: Router, changes: ChangeCounter) -> None:
        """Take none of these."""

    def finds(self, node: RouteNode) -> Endpoint | None:  # noqa: ARG002 - dependencies ask themselves
        return None


class RouteTree:
    """The routes of an app, and of all routers that it leads to, as they are now."""

    def __init__(
        self,
        app: Starlette,
        guard: object,
        *,
        is_guard: Callable[[object], bool],
        view: View,
        router: Router | None = None,
    ) -> None:
        """Look into *app* from its own router, or from *router*, which stands before that."""
        changes = ChangeCounter()
        self.context: TreeContext = TreeContext(guard, is_guard, view, changes)
        changes.meet = partial(view.comes, changes=changes)
        self.root: RouteIndex = RouteIndex(InnerRouter(router or app.router, app), self.context)
        self._seen = -1
        self._listing: _Listing | None = None
        self._is_serving = False

    @property
    def version(self) -> int:
        """How many changes of routes there were so far."""
        return self.context.changes.count

    def serve(self) -> bool:
        """Let what FastAPI makes of inclusions stay as it is from now on; tell whether it did not.

        Until connections come, looking leaves no trace: as without it, the first finds what was
        put on the routes before.
        """
        is_first = not self._is_serving
        if is_first:
            self._is_serving = True
            self._seen = -1
        return is_first

    def meet_all(self) -> None:
        """Take note of all that there is now, before FastAPI makes anything of it."""
        self.context.view.meets_all(self.root.router, self.context.changes)

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
        count, is_first = self.version, self._seen < 0
        yield from self.root.refreshing(anew=anew or is_first)
        while self.context.unread:
            included = self.context.unread.pop()
            if not self._is_serving:
                forget(included)
        self._seen, self._listing = count, None

    def resolve(
        self, asgi_scope: MutableMapping[str, Any], index: RouteIndex | None = None
    ) -> RouteMatch:
        """Return where a connection gets that the app's router, or that of *index*, is to match."""
        self.serve()
        self.refresh()
        match = RouteMatch()
        try:
            (index or self.root).follow(router_scope_of(asgi_scope), match)
        except UnroutableError:
            # So would the framework's own matching, which makes it an error of the server.
            match.fail()
        return match

    def has_moved(self, index: RouteIndex) -> bool:
        """Tell whether what led to *index* leads elsewhere by now, of which no router knows.

        INVARIANT: a mount that is given another app takes no rule along
        (attacks/test_moved_mounts.py).
        """
        view = self.context.view
        return any(
            place is not None and not is_same(place.inner, view.inner_of(place.node))
            for place in (each.place for each in (index, *index.outer))
        )

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
        self.serve()
        self.refresh()
        listing = self._listing
        is_current = listing is not None and not any(map(_has_moved, listing.leading))
        if listing is None or not is_current:
            for _ in self.refreshing():
                pass
            listing = self._listing = self._list()
        return listing

    def _list(self) -> "_Listing":
        listing = _Listing()
        for index in self.root.walk():
            listing.by_router.setdefault(id(index.router), []).append(index)
            listing.leading.extend(index.leading())
        for place in endpoints_in(self.root):
            if place.endpoint is not None:
                listing.by_endpoint.setdefault(place.endpoint, []).append(place)
        return listing


def _has_moved(place: Place) -> bool:
    """Tell whether *place* leads elsewhere by now, of which no router knows."""
    return not is_same(place.inner, place.node.inner())


@dataclass(slots=True)
class _Listing:
    """Where routers and endpoints are, for connections that come there by other ways."""

    by_router: dict[int, list[RouteIndex]] = field(default_factory=dict[int, list[RouteIndex]])
    by_endpoint: dict[Endpoint, list[Place]] = field(default_factory=dict[Endpoint, list[Place]])
    leading: list[Place] = field(default_factory=list[Place])
    """What may lead to other routers."""


def endpoints_in(index: RouteIndex) -> Iterator[Place]:
    """Yield every endpoint to which *index* leads, in order."""
    for place in index.places():
        if place.index is None:
            yield place
        else:
            yield from endpoints_in(place.index)
