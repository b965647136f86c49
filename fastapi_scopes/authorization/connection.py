"""What guards found on one connection so far."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fastapi_scopes.authorization.access import Verdict
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers.base import TokenVerifier, Vouched, vouched_by

__all__ = [
    "ConnectionState",
    "OnItsWay",
    "Running",
    "VerifiedTokens",
    "Withheld",
    "fork_state",
    "state_of",
    "verdict_of",
]

_STATE: Final = "fastapi_scopes"


@dataclass(slots=True)
class Running:
    """An endpoint that runs by verdicts of perimeters."""

    route: object
    """The route of the framework, where that asked for the verdicts; None for other code."""
    verdicts: dict[object, Verdict] = field(default_factory=dict[object, Verdict], repr=False)
    """By guard."""


@dataclass(slots=True)
class VerifiedTokens:
    """What was found on one connection, per verifier; none sees another's claims."""

    _found: dict[int, tuple[object, str, Vouched[Claims]]] = field(default_factory=dict, repr=False)

    async def verify(self, token: str, verifier: TokenVerifier[Claims]) -> Vouched[Claims]:
        """Return the claims of *token*, verified by *verifier* now or before on the connection.

        Raises:
            TokenError: the token is not valid here.
            VerifierUnavailable: the issuer cannot be reached.
        """
        known = self._found.get(id(verifier))
        if known is not None and known[0] is verifier and known[1] == token:
            return known[2]
        vouched: Vouched[Claims] = await vouched_by(verifier, token)
        self._found[id(verifier)] = (verifier, token, vouched)
        return vouched


@dataclass(frozen=True, slots=True)
class Withheld:
    """Credentials that were among the subprotocols of a handshake, and what was left of it."""

    offers: tuple[str, ...] = field(repr=False)
    others: tuple[str, ...]


class OnItsWay(Protocol):
    """What was decided on a connection, and whether that has yet to come to its endpoint."""

    is_over: bool
    """Whether the connection has ended."""

    @property
    def is_on_its_way(self) -> bool: ...  # noqa: D102
    def is_bound_to(self, asgi_scope: MutableMapping[str, Any], guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        ...


@dataclass(slots=True)
class ConnectionState:
    """What guards found on one connection."""

    owner: int = 0
    """The `id` of the ASGI scope that it was made for; a copy of that has another."""
    verified: VerifiedTokens = field(default_factory=VerifiedTokens)
    verdicts: dict[object, Verdict] = field(default_factory=dict[object, Verdict])
    """Per guard, which is equal to itself alone: its latest verdict."""
    passages: dict[object, OnItsWay] = field(default_factory=dict[object, OnItsWay], repr=False)
    """Per perimeter."""
    running: Running | None = None
    admin_scope: str | None = None
    withheld: Withheld | None = None
    """What was withheld from the application, among its subprotocols."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "ConnectionState":
        # Whoever copies a scope in depth has of it what others have in a shallow copy.
        return self

    def is_of(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether it was found on this very connection, of which a copy may be another.

        INVARIANT: the client's address tells no two connections apart, nor does a context variable
        (attacks/test_shared_connections.py).
        """
        if self.owner == id(asgi_scope):
            return True
        # A middleware may have copied the scope on its way to what runs.
        named = asgi_scope.get("route")
        is_running = self.running is not None and named is not None and named is self.running.route
        return any(
            each.is_on_its_way or (is_running and not each.is_over)
            for each in self.passages.values()
        )


def state_of(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return what guards found on a connection so far."""
    state = asgi_scope.get(_STATE)
    if not isinstance(state, ConnectionState):
        state = asgi_scope[_STATE] = ConnectionState(id(asgi_scope))
    return state


def fork_state(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return the state for a decision that begins: what was found so far on the connection.

    INVARIANT: no other connection has it, though its scope may be a copy of this one's
    (attacks/test_shared_connections.py).
    """
    known = asgi_scope.get(_STATE)
    if not isinstance(known, ConnectionState):
        return state_of(asgi_scope)
    is_same = known.is_of(asgi_scope)
    state = asgi_scope[_STATE] = ConnectionState(
        id(asgi_scope),
        # What was verified a while ago, for somebody else, may be over by now.
        known.verified if is_same else VerifiedTokens(),
        dict(known.verdicts),
        dict(known.passages),
        withheld=known.withheld if is_same else None,
        admin_scope=known.admin_scope,
    )
    return state


def verdict_of(asgi_scope: MutableMapping[str, Any], guard: object) -> Verdict | None:
    """Return the latest verdict of *guard* on a connection, or None where it gave none."""
    return state_of(asgi_scope).verdicts.get(guard)
