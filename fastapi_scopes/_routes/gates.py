"""What stands right before the matching of a router."""

import copy
import weakref
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
from typing import Any, Final, Protocol

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routes.framework import is_framework_code, runs_framework_code

__all__ = [
    "Gate",
    "Holder",
    "Passes",
    "deciders_of",
    "has_gate",
    "install_gate",
    "is_known_to",
    "layers_of",
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
    """What it stands before: the matching of that router, or middleware around it."""
    deciders: dict[object, Passes] = field(default_factory=dict[object, Passes])
    """Who decides here, on connections of the app whose own router this is."""
    holders: list["weakref.ref[Holder]"] = field(default_factory=list["weakref.ref[Holder]"])
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
        for reference in self.holders:
            holder = reference()
            if holder is not None and not await holder.holds(self.router, scope, receive, send):
                return
        await self.app(scope, receive, send)

    def is_of(self, owner: object) -> bool:
        """Tell whether *owner* stands here."""
        # By identity: anything may be asked about.
        holders = (each() for each in self.holders)
        return any(each is owner for each in (*self.deciders, *holders))

    def add_holder(self, holder: Holder) -> None:
        """Let *holder* stand here, and forget those that are gone."""
        if not self.is_of(holder):
            living = [each for each in self.holders if each() is not None]
            self.holders = [*living, weakref.ref(holder)]


def layers_of(outer: Any) -> Iterator[Any]:
    """Yield *outer* and what it wraps, as far as wrappers say so."""
    app = outer
    for _ in range(_DEPTH):
        yield app
        try:
            app = getattr(app, "app", None)
        except Exception:  # noqa: BLE001 - the developer's code: of which type is anybody's guess
            return
        if app is None:
            return


def _gates_of(router: Router) -> Iterator[Gate]:
    return (layer for layer in layers_of(router.middleware_stack) if isinstance(layer, Gate))


def deciders_of(router: Router) -> Iterator[object]:
    """Yield who decides before the matching of *router*."""
    for gate in _gates_of(router):
        yield from gate.deciders


def is_known_to(owner: object, router: Router) -> bool:
    """Tell whether *owner* stands before *router*, or stood there."""
    return any(gate.is_of(owner) for gate in _gates_of(router))


def has_gate(router: Router, owner: object, *, decides: bool = False) -> bool:
    """Tell whether *owner* stands right before the matching of *router*, and of no other."""
    *layers, matching = layers_of(router.middleware_stack)
    is_its_own: bool = matching == router.app
    gates = (each for each in layers if isinstance(each, Gate))
    return is_its_own and any(
        owner in each.deciders or (not decides and each.is_of(owner)) for each in gates
    )


def install_gate(router: Router, owner: Holder, decides: Passes | None = None) -> bool:
    """Let *owner* stand right before the matching of *router*, once; with *decides* to decide.

    Return whether it does: not where a router matches in its own way, or hides its matching.
    A middleware that is not the framework's may keep what it wraps twice, and pass the gate by;
    then another one stands before it, or, for who decides, none does.
    """
    if has_gate(router, owner, decides=decides is not None):
        return True
    *layers, matching = layers_of(router.middleware_stack)
    if not runs_framework_code(router, "__call__", "app") or matching != router.app:
        return False
    is_certain = all(map(_is_of_the_framework, layers))
    if decides is not None and not is_certain:
        return False
    gates = [_gate_in(layers[-1], "app", router)] if layers else []
    if not any(gates) or not is_certain:
        gates.append(_gate_in(router, "middleware_stack", router))
    for gate in filter(None, gates):
        if decides is None:
            gate.add_holder(owner)
        else:
            gate.deciders[owner] = decides
    return has_gate(router, owner, decides=decides is not None)


def _gate_in(place: Any, attribute: str, router: Router) -> Gate | None:
    """Return the gate that is *place*, or the one that is its *attribute* now, if it can be."""
    if isinstance(place, Gate):
        return place
    app = getattr(place, attribute)
    if isinstance(app, Gate):
        return app
    gate = Gate(router, app)
    # INVARIANT: also where middleware keeps what it wraps a second time
    # (attacks/test_gates.py).
    kept = [
        name
        for name, value in getattr(place, "__dict__", {}).items()
        if _is_same_method(value, app)
    ]
    try:
        for name in {attribute, *kept}:
            setattr(place, name, gate)
    except (AttributeError, TypeError):
        # A class that does not allow it.
        return None
    return gate if getattr(place, attribute) is gate else None


def _is_same_method(value: object, other: object) -> bool:
    return isinstance(value, MethodType) and value == other


def _is_of_the_framework(layer: Any) -> bool:
    """Tell whether *layer* is a gate, or middleware of the framework and no more than that."""
    is_plain = is_framework_code(type(layer)) and runs_framework_code(layer, "__call__")
    return isinstance(layer, Gate) or is_plain
