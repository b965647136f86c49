"""Who decides on connections, and what was decided on, as gates and endpoints know them."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Entrance", "Holder", "Passage", "Passages", "Shown"]

Shown = tuple[object, Router]
"""What tells apart what a router is shown, and the copy of it that has that."""


class Passage(Protocol):
    """What was decided on one connection, on its way to the endpoint."""

    is_running: bool
    """Whether that runs now."""

    def show(self, router: Router, asgi_scope: Scope) -> Shown:
        """Go on to *router*, the next on the way, and return what it is shown."""
        ...

    def begin(self, asgi_scope: Scope, route: Any = None) -> ASGIApp | None:
        """Tell the application who the caller is; *route* is what runs now, if it asks.

        Return what answers in its place where it must not run.
        """
        ...

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, as it runs for this caller."""
        ...

    def lead(self, router: Router, asgi_scope: Scope) -> ASGIApp:
        """Return what runs before the matching of *router*, where nobody else decided."""
        ...

    def end(self) -> None:
        """Let nothing pass any more."""
        ...


Passages = Sequence[Passage] | None
"""None where the connection was answered, empty where nothing is ruled."""


class Entrance(Protocol):
    """Who decides on connections of the app whose own router this is."""

    @property
    def app(self) -> object:
        """That app."""
        ...

    def enter(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[Passages]:
        """Decide on a connection."""
        ...


class Holder(Protocol):
    """Who holds connections to what was decided on, and decides where nobody has."""

    async def hold(self, router: Router, scope: Scope, receive: Receive, send: Send) -> Passages:
        """Return what was decided on before a connection came to *router*."""
        ...

    async def decide_at(
        self, router: Router, apps: Sequence[object], scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *router* by another way than through the app.

        Those who protect *apps*, whose own router it is, have decided.
        """
        ...
