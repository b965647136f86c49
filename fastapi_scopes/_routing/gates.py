"""Gates: ASGI apps right before the matching of routers, which run what was decided on."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import RLock
from types import MethodType
from typing import Any, Final
from weakref import ref

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing.deciders import Entrance, Passage, RouterEnforcer
from fastapi_scopes._routing.framework import (
    attribute_of,
    is_transparent,
    wraps_framework_code,
)

__all__ = [
    "FRONT",
    "Gate",
    "app_chain_of",
    "entrances_of",
    "has_gate_of",
    "install_gate",
    "is_matching_of",
    "is_still_gated_by",
    "matches_as_framework",
]

# Threads may protect apps that share a router.
_lock: Final = RLock()
# The most wrappers that are looked through; nobody nests more on purpose.
_DEPTH: Final = 32
# The methods by which FastAPI's routers match where no route does.
_LOW_PRIORITY_METHODS: Final = (
    "_match_low_priority",
    "_iter_low_priority_routes",
    "_frontend_match_is_more_specific",
)
FRONT: Final = "__fastapi_scopes_front__"
"""The attribute of a router that matches in its own way, with the gate before it."""


@dataclass(eq=False)
class Gate:
    """An ASGI app right before the matching of a router, after code that may change a request."""

    router: Router
    app: ASGIApp
    """The matching of that router."""
    entrances: dict[object, Entrance] = field(default_factory=dict[object, Entrance])
    """What decides here, by perimeter."""
    enforcers: tuple["ref[RouterEnforcer]", ...] = ()
    """What checks decisions here; weak, because a router outlives apps that it was in."""
    _only_entrance: Entrance | None = None
    """The one entrance, where there is one and nobody else decides."""

    def __deepcopy__(self, memo: dict[int, Any]) -> ASGIApp:
        # The copy of a router is another router, which has no gate until it is mounted.
        return copy.deepcopy(self.app, memo)

    async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        """Let the router run what was decided on a connection; pass other messages on."""
        if asgi_scope["type"] not in {"http", "websocket"}:
            await self.app(asgi_scope, receive, send)
            return
        # As the framework does it in the router.
        asgi_scope.setdefault("router", self.router)
        if self._only_entrance is not None:
            # The usual case: one perimeter, which decides here.
            for passage in await self._only_entrance.enter(asgi_scope, receive, send) or ():
                try:
                    await passage.app_for(self.router, asgi_scope)(asgi_scope, receive, send)
                finally:
                    passage.close()
            return
        enforcer = self.enforcers[0]() if not self.entrances and len(self.enforcers) == 1 else None
        found = (
            await enforcer.check_passage(self.router, asgi_scope, receive, send)
            if enforcer is not None
            else ()
        )
        if found is None:
            return
        if found:
            # The usual case of a mounted router: the perimeter has decided at the gate of its app.
            await found[0].pin_router(self.router, asgi_scope)[1].app(asgi_scope, receive, send)
            return
        passages: list[Passage] = []
        decided: list[Passage] = []
        try:
            if await self._decide(passages, decided, asgi_scope, receive, send):
                await self._pass_on(passages, decided, asgi_scope, receive, send)
        finally:
            for passage in decided:
                passage.close()

    async def _decide(
        self,
        passages: list[Passage],
        decided: list[Passage],
        *connection: Any,
    ) -> bool:
        """Fill *passages* for the connection, and *decided* with those of decisions made here.

        Return False where the connection was refused.

        INVARIANT: of a perimeter within another both decide; where two have one router, the
        verdict of one is enough (attacks/test_shared_connections.py, attacks/test_gates.py).
        """
        enforcers = [each for each in self.living_enforcers() if each not in self.entrances]
        entrances = self._entrances_of(connection[0])
        for entrance in entrances:
            found = await entrance.enter(*connection)
            if found is None:
                return False
            decided.extend(found)
        for enforcer in enforcers:
            found = await enforcer.check_passage(self.router, *connection)
            if found is None:
                return False
            passages.extend(found)
        apps = [entrance.app for entrance in entrances]
        for enforcer in enforcers if not passages else ():
            found = await enforcer.decide_at_router(self.router, apps, *connection)
            if found is None:
                return False
            decided.extend(found)
        passages.extend(decided)
        return True

    async def _pass_on(
        self,
        passages: list[Passage],
        decided: list[Passage],
        asgi_scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the matching of the pinned router, after binding the claims *decided* on here."""
        for passage in decided:
            refusal = passage.bind_claims(asgi_scope)
            if refusal is not None:
                await refusal(asgi_scope, receive, send)
                return
        app = self._pinned_app(passages, asgi_scope)
        for passage in decided:
            app = passage.with_expiry(app)
        await app(asgi_scope, receive, send)

    def _pinned_app(self, passages: Sequence[Passage], asgi_scope: Scope) -> ASGIApp:
        """Return the matching of the copy of the router that all *passages* allow."""
        shown = [passage.pin_router(self.router, asgi_scope) for passage in passages]
        if not shown:
            return self.app
        key, router = shown[0]
        # INVARIANT: perimeters that allow two endpoints let neither run (attacks/test_gates.py).
        if any(other != key for other, _ in shown):
            return MethodType(Router.not_found, router)
        return router.app

    def _entrances_of(self, asgi_scope: Scope) -> list[Entrance]:
        """Return the entrances of the app that was called; without one, those of all its apps."""
        entrances = list(self.entrances.values())
        own = [each for each in entrances if each.app is asgi_scope.get("app")]
        return own or entrances

    def living_enforcers(self) -> list[RouterEnforcer]:
        """Return the enforcers whose apps still exist."""
        return [enforcer for each in self.enforcers if (enforcer := each()) is not None]

    def add(self, owner: RouterEnforcer, entrance: Entrance | None) -> None:
        """Let *owner* enforce its decisions here; with *entrance*, it decides here."""
        with _lock:
            if entrance is not None:
                self.entrances[owner] = entrance
            elif all(each is not owner for each in self.living_enforcers()):
                self.enforcers = (*map(ref, self.living_enforcers()), ref(owner))
            is_alone = all(each in self.entrances for each in self.living_enforcers())
            only, *others = self.entrances.values() or (None,)
            self._only_entrance = only if is_alone and not others else None

    def has_owner(self, owner: object) -> bool:
        """Tell whether *owner* decides or enforces here."""
        # By identity: *owner* may be any object.
        return any(each is owner for each in (*self.entrances, *self.living_enforcers()))


def app_chain_of(outer: Any) -> Iterator[Any]:
    """Yield *outer* and the apps that it wraps, outermost first, as far as ``app`` shows them."""
    app = outer
    for _ in range(_DEPTH):
        yield app
        app = attribute_of(app, "app")
        if app is None:
            return


def is_matching_of(router: Router, app: object) -> bool:
    """Tell whether *app* is the bound method by which *router* matches and runs its routes."""
    is_bound = isinstance(app, MethodType) and app.__self__ is router and app.__name__ == "app"
    return is_bound and matches_as_framework(router)


def matches_as_framework(router: Router) -> bool:
    """Tell whether *router* finds its routes by the framework's own code."""
    by_version = (each for each in _LOW_PRIORITY_METHODS if hasattr(router, each))
    return wraps_framework_code(router, "app", *by_version)


def entrances_of(router: Router) -> dict[object, Entrance]:
    """Return the entrances at the gate of *router*, by the perimeter that decides there."""
    gate = _gate_before(router)
    return gate.entrances if gate is not None else {}


def has_gate_of(router: Router, owner: object) -> bool:
    """Tell whether *owner* has a gate right before the matching of *router*."""
    gate = _gate_before(router)
    return gate is not None and gate.has_owner(owner)


def is_still_gated_by(router: Router, owner: object) -> bool:
    """Tell what `has_gate_of` tells, faster where the gate is the only middleware of *router*."""
    stack: Any = router.middleware_stack
    is_alone = type(stack) is Gate and stack.router is router and stack.has_owner(owner)
    return is_alone or has_gate_of(router, owner)


def install_gate(router: Router, owner: RouterEnforcer, entrance: Entrance | None = None) -> bool:
    """Put a gate of *owner* right before the matching of *router*, and return whether it is there.

    *entrance* is for the router of the protected app: it decides there. No gate is put where a
    router matches in its own way, hides its matching, or has middleware that is not known to pass
    every request on to it.
    """
    gate = _gate_before(router) or _new_gate(router)
    if gate is None:
        return False
    gate.add(owner, entrance)
    return True


def _gate_before(router: Router) -> Gate | None:
    """Return the gate before the matching of *router*, or None without one."""
    front = getattr(router, "__dict__", {}).get(FRONT)
    if isinstance(front, Gate):
        return front
    *layers, matching = app_chain_of(router.middleware_stack)
    gate = layers[-1] if layers else None
    return gate if isinstance(gate, Gate) and is_matching_of(router, matching) else None


def _new_gate(router: Router) -> Gate | None:
    *layers, matching = app_chain_of(router.middleware_stack)
    # INVARIANT: other middleware, also a subclass of the framework's, may call an app that it
    # wraps and does not show, and so pass the gate by (attacks/test_gates.py).
    is_certain = all(is_transparent(layer) for layer in layers)
    is_its_own = wraps_framework_code(router, "__call__") and is_matching_of(router, matching)
    if not is_certain or not is_its_own:
        return None
    place, attribute = (layers[-1], "app") if layers else (router, "middleware_stack")
    try:
        setattr(place, attribute, Gate(router, matching))
    except Exception:  # noqa: BLE001 - the class of the router may raise anything
        return None
    return _gate_before(router)
