"""What stands right before the matching of a router, and shows it what was decided on."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import RLock
from types import MethodType
from typing import Any, Final
from weakref import ref

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing.deciders import Entrance, Holder, Passage
from fastapi_scopes._routing.framework import (
    attribute_of,
    is_transparent,
    wraps_framework_code,
)

__all__ = [
    "FRONT",
    "Gate",
    "entrances_of",
    "has_gate_of",
    "install_gate",
    "is_matching_of",
    "layers_of",
    "matches_as_framework",
    "stands_before",
]

# Threads may protect apps that share a router.
_lock: Final = RLock()
# So many wrappers are looked through; more are nobody's intention.
_DEPTH: Final = 32
# What FastAPI's routers go by where no route matches.
_ASKED_LAST: Final = (
    "_match_low_priority",
    "_iter_low_priority_routes",
    "_frontend_match_is_more_specific",
)
FRONT: Final = "__fastapi_scopes_front__"
"""Where a router that matches in its own way has the gate of what stands before it."""


@dataclass(eq=False)
class Gate:
    """Stands right before the matching of a router: what changes a request has run by then."""

    router: Router
    app: ASGIApp
    """The matching of that router."""
    entrances: dict[object, Entrance] = field(default_factory=dict[object, Entrance])
    """By who they belong to."""
    holders: tuple["ref[Holder]", ...] = ()
    """A router outlives apps that it was in."""
    _only: Entrance | None = None
    """The entrance, where there is one and nobody else decides."""

    def __deepcopy__(self, memo: dict[int, Any]) -> ASGIApp:
        # The copy of a router is another router, and not under guard until it is mounted.
        return copy.deepcopy(self.app, memo)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no connection; show the router what was decided on the others."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        # As the router does it, for itself.
        scope.setdefault("router", self.router)
        if self._only is not None:
            # Where one alone decides, as on most requests.
            for passage in await self._only.enter(scope, receive, send) or ():
                try:
                    await passage.lead(self.router, scope)(scope, receive, send)
                finally:
                    passage.end()
            return
        holder = self.holders[0]() if not self.entrances and len(self.holders) == 1 else None
        found = await holder.hold(self.router, scope, receive, send) if holder is not None else ()
        if found is None:
            return
        if found:
            # It was decided on further out.
            await found[0].show(self.router, scope)[1].app(scope, receive, send)
            return
        passages: list[Passage] = []
        decided: list[Passage] = []
        try:
            if await self._decide(passages, decided, scope, receive, send):
                await self._pass_on(passages, decided, scope, receive, send)
        finally:
            for passage in decided:
                passage.end()

    async def _decide(
        self,
        passages: list[Passage],
        decided: list[Passage],
        *connection: Any,
    ) -> bool:
        """Fill *passages*, and with those *decided* here; False where the caller got an answer.

        INVARIANT: of a perimeter within another both decide; where two have one router, the
        verdict of one is enough (attacks/test_shared_connections.py, attacks/test_gates.py).
        """
        holders = [each for each in self.living() if each not in self.entrances]
        entrances = self._entrances_of(connection[0])
        for entrance in entrances:
            found = await entrance.enter(*connection)
            if found is None:
                return False
            decided.extend(found)
        for holder in holders:
            found = await holder.hold(self.router, *connection)
            if found is None:
                return False
            passages.extend(found)
        apps = [entrance.app for entrance in entrances]
        for holder in holders if not passages else ():
            found = await holder.decide_at(self.router, apps, *connection)
            if found is None:
                return False
            decided.extend(found)
        passages.extend(decided)
        return True

    async def _pass_on(
        self,
        passages: list[Passage],
        decided: list[Passage],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        for passage in decided:
            refusal = passage.begin(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        app = self._shown(passages, scope)
        for passage in decided:
            app = passage.around(app)
        await app(scope, receive, send)

    def _shown(self, passages: Sequence[Passage], scope: Scope) -> ASGIApp:
        """Return the matching of what all *passages* let the router have."""
        shown = [passage.show(self.router, scope) for passage in passages]
        if not shown:
            return self.app
        key, router = shown[0]
        # INVARIANT: two who decided on two endpoints let neither run (attacks/test_gates.py).
        if any(other != key for other, _ in shown):
            return MethodType(Router.not_found, router)
        return router.app

    def _entrances_of(self, scope: Scope) -> list[Entrance]:
        """Return those of the app that was called; where none was, of all whose router it is."""
        entrances = list(self.entrances.values())
        own = [each for each in entrances if each.app is scope.get("app")]
        return own or entrances

    def living(self) -> list[Holder]:
        """Return those that still are there."""
        return [holder for each in self.holders if (holder := each()) is not None]

    def add(self, owner: Holder, entrance: Entrance | None) -> None:
        """Let *owner* stand here; at an *entrance* of its own."""
        with _lock:
            if entrance is not None:
                self.entrances[owner] = entrance
            elif all(each is not owner for each in self.living()):
                self.holders = (*map(ref, self.living()), ref(owner))
            is_alone = all(each in self.entrances for each in self.living())
            only, *others = self.entrances.values() or (None,)
            self._only = only if is_alone and not others else None

    def is_of(self, owner: object) -> bool:
        """Tell whether *owner* stands here."""
        # By identity: anything may be asked about.
        return any(each is owner for each in (*self.entrances, *self.living()))


def layers_of(outer: Any) -> Iterator[Any]:
    """Yield *outer* and what it wraps, as far as wrappers say so."""
    app = outer
    for _ in range(_DEPTH):
        yield app
        app = attribute_of(app, "app")
        if app is None:
            return


def is_matching_of(router: Router, app: object) -> bool:
    """Tell whether *app* is the framework's matching of *router*, by which it runs its routes."""
    is_bound = isinstance(app, MethodType) and app.__self__ is router and app.__name__ == "app"
    return is_bound and matches_as_framework(router)


def matches_as_framework(router: Router) -> bool:
    """Tell whether *router* looks for the route as the framework's routers do."""
    by_version = (each for each in _ASKED_LAST if hasattr(router, each))
    return wraps_framework_code(router, "app", *by_version)


def entrances_of(router: Router) -> dict[object, Entrance]:
    """Return who decides right before the matching of *router*, and how."""
    gate = _gate_before(router)
    return gate.entrances if gate is not None else {}


def has_gate_of(router: Router, owner: object) -> bool:
    """Tell whether *owner* stands right before the matching of *router*."""
    gate = _gate_before(router)
    return gate is not None and gate.is_of(owner)


def stands_before(router: Router, owner: object) -> bool:
    """Tell the same, in less time where the gate is all that there is."""
    stack: Any = router.middleware_stack
    is_alone = type(stack) is Gate and stack.router is router and stack.is_of(owner)
    return is_alone or has_gate_of(router, owner)


def install_gate(router: Router, owner: Holder, entrance: Entrance | None = None) -> bool:
    """Let *owner* stand right before the matching of *router*, once; at an *entrance* of its own.

    Return whether it does: not where a router matches in its own way, hides its matching, or has
    middleware that is not known to pass all on to it.
    """
    gate = _gate_before(router) or _new_gate(router)
    if gate is None:
        return False
    gate.add(owner, entrance)
    return True


def _gate_before(router: Router) -> Gate | None:
    front = getattr(router, "__dict__", {}).get(FRONT)
    if isinstance(front, Gate):
        return front
    *layers, matching = layers_of(router.middleware_stack)
    gate = layers[-1] if layers else None
    return gate if isinstance(gate, Gate) and is_matching_of(router, matching) else None


def _new_gate(router: Router) -> Gate | None:
    *layers, matching = layers_of(router.middleware_stack)
    # INVARIANT: other middleware, also what is made of the framework's, may keep what it wraps
    # where nobody sees it, and pass the gate by (attacks/test_gates.py).
    is_certain = all(is_transparent(layer) for layer in layers)
    is_its_own = wraps_framework_code(router, "__call__") and is_matching_of(router, matching)
    if not is_certain or not is_its_own:
        return None
    place, attribute = (layers[-1], "app") if layers else (router, "middleware_stack")
    try:
        setattr(place, attribute, Gate(router, matching))
    except Exception:  # noqa: BLE001 - the class of the router has its say, whatever that is
        return None
    return _gate_before(router)
