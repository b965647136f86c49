"""The protocols between gates, endpoints and the perimeter that decides for them."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Entrance", "Passage", "Passages", "PinnedCopy", "RouterEnforcer"]

PinnedCopy = tuple[object, Router]
"""The key of the pinned route, or None, and the copy of the router that has this route alone."""


class Passage(Protocol):
    """A verdict on one connection, on its way through the routers to the endpoint."""

    is_running: bool
    """Whether the endpoint runs now."""

    def pin_router(self, router: Router, asgi_scope: Scope) -> PinnedCopy:
        """Note that the connection comes to *router*; return the pinned copy of that."""
        ...

    def bind_claims(self, asgi_scope: Scope, route: Any = None) -> ASGIApp | None:
        """Make the claims of the caller known to the application, in *asgi_scope*.

        *route* is the route that is about to run, where a route asks. Return the app that refuses
        the connection instead where the application refuses the claims, else None.
        """
        ...

    def with_expiry(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, with streams that end when the caller's token expires, if so configured."""
        ...

    def app_for(self, router: Router, asgi_scope: Scope) -> ASGIApp:
        """Return the app to run in place of the matching of *router*, where nobody else decided.

        It is the endpoint where the way to it is known, else the pinned copy, with the claims
        bound; or a refusal.
        """
        ...

    def close(self) -> None:
        """End the passage: nothing runs by it any more."""
        ...


Passages = Sequence[Passage] | None
"""The passages of a connection: None where it was refused, empty where nothing is ruled."""


class Entrance(Protocol):
    """Decides on connections of one protected app, right before a router of the app matches."""

    @property
    def app(self) -> object:
        """The protected app."""
        ...

    def enter(self, asgi_scope: Scope, receive: Receive, send: Send) -> Awaitable[Passages]:
        """Return the passage of a connection, or None where it was refused."""
        ...


class RouterEnforcer(Protocol):
    """A perimeter, as a gate calls it: it checks decisions, and makes those that are missing."""

    async def check_passage(
        self, router: Router, asgi_scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Return the passage of a connection that has come to *router*, if it still holds.

        Empty without a passage on its way; None where the connection is not as decided, and was
        refused.
        """
        ...

    async def decide_at_router(
        self,
        router: Router,
        apps: Sequence[object],
        asgi_scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Passages:
        """Decide on a connection that comes to *router* by another way than through the app.

        *router* is the own router of *apps*, whose perimeters have decided already.
        """
        ...
