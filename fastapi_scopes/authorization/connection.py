"""The state of one connection: what guards have found on it so far."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fastapi_scopes.authorization.access import Verdict
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers.base import SharedClaims, TokenVerifier

__all__ = [
    "ConnectionState",
    "HiddenOffers",
    "PassageStatus",
    "RunningEndpoint",
    "fork_state",
    "known_state_of",
    "state_of",
    "verdict_of",
]

_STATE: Final = "fastapi_scopes"


@dataclass(slots=True)
class RunningEndpoint:
    """An endpoint that runs now, with the verdicts of the perimeters that allow it."""

    route: object
    """The route of the framework, where that asked for the verdicts; None for other code."""
    verdicts: dict[object, Verdict] = field(repr=False)
    """By guard."""


@dataclass(frozen=True, slots=True)
class HiddenOffers:
    """Credentials taken out of the subprotocols of a handshake, and the subprotocols left."""

    offers: tuple[str, ...] = field(repr=False)
    other_subprotocols: tuple[str, ...]


class PassageStatus(Protocol):
    """A passage, as the state of a connection reads it: whether it still is on its way."""

    is_closed: bool
    """Whether the connection has ended."""

    @property
    def is_on_its_way(self) -> bool: ...  # noqa: D102
    def has_bound_claims_in(self, asgi_scope: MutableMapping[str, Any], guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        ...


class ConnectionState:
    """The tokens, verdicts and passages that guards found on one connection so far."""

    # No slots: defaults stay on the class, so that a request pays for no attribute that it does not
    # set.
    running: RunningEndpoint | None = None
    admin_scope: str | None = None
    hidden_offers: HiddenOffers | None = None
    """The credentials among the subprotocols that the application does not see."""

    def __init__(self, owner: int, before: "ConnectionState | None" = None) -> None:
        """Begin with the verdicts and passages of *before*, the earlier state of the scope."""
        self.owner: int = owner
        """The `id` of the ASGI scope that it was made for; a copy of that has another."""
        self.verified: dict[int, tuple[object, str, SharedClaims[Claims]]] = {}
        """The claims of tokens, with verifier and token, by `id` of the verifier."""
        self.verdicts: dict[object, Verdict] = {}
        """Per guard, which is equal to itself alone: its latest verdict."""
        self.passages: dict[object, PassageStatus] = {}
        """Per perimeter."""
        if before is not None:
            self.verdicts.update(before.verdicts)
            self.passages.update(before.passages)
            self.admin_scope = before.admin_scope

    def __repr__(self) -> str:
        return f"<ConnectionState with {len(self.verdicts)} verdicts>"

    def __deepcopy__(self, memo: dict[int, Any]) -> "ConnectionState":
        # A deep copy of a scope has this very state, as a shallow copy has.
        return self

    def claims_by(self, verifier: TokenVerifier[Claims], token: str) -> SharedClaims[Claims] | None:
        """Return the claims that *verifier* returned for *token* on this connection, or None."""
        known = self.verified.get(id(verifier))
        if known is not None and known[0] is verifier and known[1] == token:
            return known[2]
        return None

    def keep_claims(
        self, verifier: TokenVerifier[Claims], token: str, claims: SharedClaims[Claims]
    ) -> None:
        """Keep the *claims* that *verifier* returned for *token*; no other verifier gets them."""
        self.verified[id(verifier)] = (verifier, token, claims)

    def is_of(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether the state is of this connection, and not of one with a copy of its scope.

        INVARIANT: the client's address tells no two connections apart, nor does a context variable
        (attacks/test_shared_connections.py).
        """
        if self.owner == id(asgi_scope):
            return True
        # A middleware may have copied the scope on its way to what runs.
        named = asgi_scope.get("route")
        is_running = self.running is not None and named is not None and named is self.running.route
        return any(
            each.is_on_its_way or (is_running and not each.is_closed)
            for each in self.passages.values()
        )


def known_state_of(asgi_scope: MutableMapping[str, Any]) -> ConnectionState | None:
    """Return the state of a connection, or None where no guard has looked at it yet."""
    state = asgi_scope.get(_STATE)
    return state if isinstance(state, ConnectionState) else None


def state_of(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return the state of a connection, a new one where there is none."""
    state = asgi_scope.get(_STATE)
    if not isinstance(state, ConnectionState):
        state = asgi_scope[_STATE] = ConnectionState(id(asgi_scope))
    return state


def fork_state(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return a new state of a connection for the next decision, with what was found so far.

    INVARIANT: no other connection has it, though its scope may be a copy of this one's
    (attacks/test_shared_connections.py).
    """
    before = known_state_of(asgi_scope)
    state = asgi_scope[_STATE] = ConnectionState(id(asgi_scope), before)
    # Tokens that were verified for another connection may have expired since.
    if before is not None and before.is_of(asgi_scope):
        state.verified, state.hidden_offers = before.verified, before.hidden_offers
    return state


def verdict_of(asgi_scope: MutableMapping[str, Any], guard: object) -> Verdict | None:
    """Return the latest verdict of *guard* on a connection, or None where it gave none."""
    state = known_state_of(asgi_scope)
    return state.verdicts.get(guard) if state is not None else None
