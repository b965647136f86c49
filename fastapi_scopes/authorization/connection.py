"""What guards found on one connection so far."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fastapi_scopes.authorization.access import Verdict
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers.base import TokenVerifier, Vouched

__all__ = [
    "ConnectionState",
    "OnItsWay",
    "Running",
    "VerifiedTokens",
    "Withheld",
    "fork_state",
    "known_state_of",
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


class VerifiedTokens:
    """What was found on one connection, per verifier; none sees another's claims."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, tuple[object, str, Vouched[Claims]]] = {}

    def get(self, token: str, verifier: TokenVerifier[Claims]) -> Vouched[Claims] | None:
        """Return the claims of *token* that *verifier* vouched for before on the connection."""
        known = self._found.get(id(verifier))
        if known is not None and known[0] is verifier and known[1] == token:
            return known[2]
        return None

    def put(self, token: str, verifier: TokenVerifier[Claims], vouched: Vouched[Claims]) -> None:
        """Keep what *verifier* said of *token*."""
        self._found[id(verifier)] = (verifier, token, vouched)


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


class ConnectionState:
    """What guards found on one connection."""

    __slots__ = ("admin_scope", "owner", "passages", "running", "verdicts", "verified", "withheld")

    def __init__(self, owner: int, before: "ConnectionState | None" = None) -> None:
        """Begin with what was found *before*, but for what is about that connection alone."""
        self.owner: int = owner
        """The `id` of the ASGI scope that it was made for; a copy of that has another."""
        self.verified: VerifiedTokens = VerifiedTokens()
        self.verdicts: dict[object, Verdict] = {}
        """Per guard, which is equal to itself alone: its latest verdict."""
        self.passages: dict[object, OnItsWay] = {}
        """Per perimeter."""
        self.running: Running | None = None
        self.admin_scope: str | None = None
        self.withheld: Withheld | None = None
        """What was withheld from the application, among its subprotocols."""
        if before is not None:
            self.verdicts.update(before.verdicts)
            self.passages.update(before.passages)
            self.admin_scope = before.admin_scope

    def __repr__(self) -> str:
        return f"<ConnectionState with {len(self.verdicts)} verdicts>"

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


def known_state_of(asgi_scope: MutableMapping[str, Any]) -> ConnectionState | None:
    """Return what guards found on a connection, or None where none has looked at it yet."""
    state = asgi_scope.get(_STATE)
    return state if isinstance(state, ConnectionState) else None


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
    before = known_state_of(asgi_scope)
    state = asgi_scope[_STATE] = ConnectionState(id(asgi_scope), before)
    # What was verified a while ago, for somebody else, may be over by now.
    if before is not None and before.is_of(asgi_scope):
        state.verified, state.withheld = before.verified, before.withheld
    return state


def verdict_of(asgi_scope: MutableMapping[str, Any], guard: object) -> Verdict | None:
    """Return the latest verdict of *guard* on a connection, or None where it gave none."""
    state = known_state_of(asgi_scope)
    return state.verdicts.get(guard) if state is not None else None
