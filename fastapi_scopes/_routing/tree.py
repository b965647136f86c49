"""The tree of the routes of one app, for perimeters, dependencies, `check` and documents."""

from collections.abc import Callable, Generator, Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router

from fastapi_scopes._routing.changes import ChangeCounter
from fastapi_scopes._routing.context import TreeContext, View
from fastapi_scopes._routing.enforcement import EnforcedEndpoint
from fastapi_scopes._routing.following import follow
from fastapi_scopes._routing.index import Place, RouteIndex
from fastapi_scopes._routing.matching import RouteMatch
from fastapi_scopes._routing.mounts import InnerRouter, is_same
from fastapi_scopes._routing.nodes import UnroutableError
from fastapi_scopes._routing.reading import forget
from fastapi_scopes._routing.router_steps import RouterStep
from fastapi_scopes.core.steps import drained

__all__ = ["RouteTree"]


class RouteTree:
    """The routes of an app, and of all routers that it leads to, read again when they change."""

    def __init__(
        self,
        app: Starlette,
        guard: object,
        *,
        is_guard: Callable[[object], bool],
        view: View,
        router: Router | None = None,
    ) -> None:
        """Read *app* from its own router, or from *router*, which stands before that."""
        changes = ChangeCounter()
        self.context: TreeContext = TreeContext(guard, is_guard, view, changes)
        changes.on_added = partial(view.on_added, changes=changes)
        self.root: RouteIndex = RouteIndex(InnerRouter(router or app.router, app), self.context)
        self._seen = -1
        self._listing: _Listing | None = None
        self.is_serving: bool = False
        """Whether the app serves connections."""

    @property
    def version(self) -> int:
        """The number of changes of routes so far."""
        return self.context.changes.count

    def start_serving(self) -> None:
        """Keep from now on what FastAPI builds of inclusions.

        Until the app serves, reading leaves no trace: FastAPI builds inclusions at the first
        connection, with all that was put on the routes before.
        """
        if not self.is_serving:
            self.is_serving = True
            self._seen = -1

    def first_look(self) -> None:
        """Prepare all routes for their view, before FastAPI builds anything of them."""
        self.context.view.on_first_look(self.root.router, self.context.changes)

    def refresh(self, *, anew: bool = False) -> None:
        """Read again what changed; with *anew* everything.

        INVARIANT: each router has its gate before a connection can come to it, by whatever way
        (attacks/test_gates.py).
        """
        if anew or self.version != self._seen:
            drained(self.refreshing(anew=anew))

    def refreshing(self, *, anew: bool = False) -> Generator[None, None, None]:
        """Read again as `refresh` does, with a yield after each route."""
        # The count is taken first: what changes meanwhile, or is left out, is read the next time.
        count, is_first = self.version, self._seen < 0
        yield from self.root.refreshing(anew=anew or is_first)
        while self.context.unread:
            included = self.context.unread.pop()
            if not self.is_serving:
                forget(included)
        self._seen, self._listing = count, None

    def resolve(
        self, asgi_scope: MutableMapping[str, Any], index: RouteIndex | None = None
    ) -> RouteMatch:
        """Return where a connection leads from the app's router, or from the router of *index*."""
        if not self.is_serving:
            self.start_serving()
        if self.context.changes.count != self._seen:
            self.refresh()
        return self._match_of(asgi_scope, index)

    def preview(self, asgi_scope: MutableMapping[str, Any]) -> RouteMatch:
        """Return what `resolve` would; on an app that does not serve yet, it leaves no trace.

        INVARIANT: what the app gets until it serves is seen (attacks/test_late_dependencies.py).
        """
        self.refresh(anew=not self.is_serving)
        return self._match_of(asgi_scope, None)

    def _match_of(
        self, asgi_scope: MutableMapping[str, Any], index: RouteIndex | None
    ) -> RouteMatch:
        match = RouteMatch()
        try:
            follow(index or self.root, RouterStep(asgi_scope), match)
        except UnroutableError:
            # The framework's own matching would fail as well, which is an error of the server.
            return RouteMatch.unroutable()
        return match

    def has_moved(self, index: RouteIndex) -> bool:
        """Tell whether a mount on the way to *index* leads to another router now, uncounted.

        INVARIANT: a mount that is given another app takes no rule along
        (attacks/test_moved_mounts.py).
        """
        if index.place is None and not index.outer:
            return False
        places = (each.place for each in (index, *index.outer))
        return any(place is not None and self._is_elsewhere(place) for place in places)

    def _is_elsewhere(self, place: Place) -> bool:
        return not is_same(place.inner, self.context.view.inner_of(place.node))

    def indexes(self) -> list[RouteIndex]:
        """Return the indexes of all routers, that of the app's own first."""
        self.refresh()
        return list(self.root.walk())

    def indexes_of(self, router: Router) -> list[RouteIndex]:
        """Return the indexes of *router*, one for each place at which the app has it."""
        return self._listed().by_router.get(id(router), [])

    def places(self) -> Iterator[Place]:
        """Yield the place of every endpoint."""
        self.refresh()
        yield from endpoints_in(self.root)

    def places_of(self, endpoint: EnforcedEndpoint) -> list[Place]:
        """Return the places that *endpoint* has in the app."""
        return self._listed().by_endpoint.get(endpoint, [])

    def _listed(self) -> "_Listing":
        self.start_serving()
        self.refresh()
        listing = self._listing
        is_current = listing is not None and not any(map(self._is_elsewhere, listing.mount_places))
        if listing is None or not is_current:
            drained(self.refreshing())
            listing = self._listing = self._list()
        return listing

    def _list(self) -> "_Listing":
        listing = _Listing()
        for index in self.root.walk():
            listing.by_router.setdefault(id(index.router), []).append(index)
            listing.mount_places.extend(index.mount_places())
        for place in endpoints_in(self.root):
            if place.endpoint is not None:
                listing.by_endpoint.setdefault(place.endpoint, []).append(place)
        return listing


@dataclass(slots=True)
class _Listing:
    """The places of routers and endpoints, for connections that come there by other ways."""

    by_router: dict[int, list[RouteIndex]] = field(default_factory=dict[int, list[RouteIndex]])
    by_endpoint: dict[EnforcedEndpoint, list[Place]] = field(
        default_factory=dict[EnforcedEndpoint, list[Place]]
    )
    mount_places: list[Place] = field(default_factory=list[Place])
    """The places that may lead to other routers."""


def endpoints_in(index: RouteIndex) -> Iterator[Place]:
    """Yield the place of every endpoint to which *index* leads, in order."""
    for place in index.places():
        if place.index is None:
            yield place
        else:
            yield from endpoints_in(place.index)
