"""What stands right before the matching of a router."""

import copy
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routes.framework import attribute_of, is_framework_code, runs_framework_code

__all__ = [
    "Gate",
    "Holder",
    "Passes",
    "deciders_of",
    "install_gate",
    "is_matching_of",
    "layers_of",
    "stands_before",
]

# So many wrappers are looked through; more are nobody's intention.
_DEPTH: Final = 32

Passes = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]
"""Passes a connection on to the app that it is given, or answers it."""


class Holder(Protocol):
    """Who has decided on connections before they come to a gate."""

    async def holds(self, router: Router, scope: Scope, receive: Receive, send: Send) -> bool:
        """Tell whether *router* may match a connection; where it may not, that is answered."""
        ...


@dataclass(eq=False)
class Gate:
    """Stands right before the matching of a router: what changes a request has run by then."""

    router: Router
    app: ASGIApp
    """The matching of that router."""
    deciders: dict[object, Passes] = field(default_factory=dict[object, Passes])
    """Who decides here, on connections of the app whose own router this is."""
    holders: WeakKeyDictionary[Holder, None] = field(
        default_factory=WeakKeyDictionary["Holder", None]
    )
    """Who holds connections to what was decided before. A router outlives apps that it was in."""

    def __deepcopy__(self, memo: dict[int, Any]) -> ASGIApp:
        # The copy of a router is another router, and not under guard until it is mounted.
        return copy.deepcopy(self.app, memo)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no connection, and connections as all who stand here want it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        # INVARIANT: who decides may wait for a token; holders look after that
        # (attacks/test_gates.py).
        app: ASGIApp = self._held
        for passes in self.deciders.values():
            app = partial(passes, app)
        await app(scope, receive, send)

    async def _held(self, scope: Scope, receive: Receive, send: Send) -> None:
        for holder in self._living():
            if not await holder.holds(self.router, scope, receive, send):
                return
        await self.app(scope, receive, send)

    def _living(self) -> list[Holder]:
        # A list: another thread may add one meanwhile.
        found = (reference() for reference in self.holders.keyrefs())
        return [holder for holder in found if holder is not None]

    def is_of(self, owner: object) -> bool:
        """Tell whether *owner* stands here."""
        # By identity: anything may be asked about.
        return any(each is owner for each in (*self.deciders, *self._living()))


def layers_of(outer: Any) -> Iterator[Any]:
    """Yield *outer* and what it wraps, as far as wrappers say so."""
    app = outer
    for _ in range(_DEPTH):
        yield app
        app = attribute_of(app, "app")
        if app is None:
            return


def is_matching_of(router: Router, app: object) -> bool:
    """Tell whether *app* is the matching of *router*, by which it comes to its routes."""
    # Not by == alone: anything may say that it is that.
    return isinstance(app, MethodType) and app == router.app


def deciders_of(router: Router) -> dict[object, Passes]:
    """Return who decides right before the matching of *router*, and how."""
    gate = _gate_before(router)
    return gate.deciders if gate is not None else {}


def stands_before(router: Router, owner: object) -> bool:
    """Tell whether *owner* stands right before the matching of *router*."""
    gate = _gate_before(router)
    return gate is not None and gate.is_of(owner)


def install_gate(router: Router, owner: Holder, decides: Passes | None = None) -> bool:
    """Let *owner* stand right before the matching of *router*, once; with *decides* to decide.

    Return whether it does: not where a router matches in its own way, hides its matching, or has
    middleware that is not the framework's.
    """
    gate = _gate_before(router) or _new_gate(router)
    if gate is None:
        return False
    if decides is None:
        gate.holders[owner] = None
    else:
        gate.deciders[owner] = decides
    return True


def _gate_before(router: Router) -> Gate | None:
    *layers, matching = layers_of(router.middleware_stack)
    gate = layers[-1] if layers else None
    return gate if isinstance(gate, Gate) and is_matching_of(router, matching) else None


def _new_gate(router: Router) -> Gate | None:
    *layers, matching = layers_of(router.middleware_stack)
    # INVARIANT: other middleware, also what is made of the framework's, may keep what it wraps
    # where nobody sees it, and pass the gate by (attacks/test_gates.py).
    is_certain = all(is_framework_code(type(each)) for each in layers)
    is_its_own = runs_framework_code(router, "__call__", "app") and is_matching_of(router, matching)
    if not is_certain or not is_its_own:
        return None
    place, attribute = (layers[-1], "app") if layers else (router, "middleware_stack")
    try:
        setattr(place, attribute, Gate(router, matching))
    except Exception:  # noqa: BLE001 - the class of the router has its say, whatever that is
        return None
    return _gate_before(router)
