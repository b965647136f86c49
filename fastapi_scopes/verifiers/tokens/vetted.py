"""What is known of a token after its verification."""

import json
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar, cast

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers._encodings import is_json_object
from fastapi_scopes.verifiers.base import SharedClaims

__all__ = ["VettedClaims"]

ClaimsT = TypeVar("ClaimsT", bound=Claims)


@dataclass(slots=True)
class VettedClaims(Generic[ClaimsT]):
    """Claims that were verified, and went through the model, once for all requests."""

    scopes: frozenset[str] = field(repr=False)
    expires_at: float
    """When they are too old, leeway included; infinity where they do not say."""
    begins_at: float
    """When they begin to hold, the skew of clocks not included."""
    issuer: str | None = field(repr=False)
    jti: object = field(repr=False)
    confirmation: str | None = field(repr=False)
    """The `cnf` claim as JSON, so that nobody changes it for the next request."""
    parsed: dict[str, object] | None = field(default=None, repr=False)
    """The claims; None once a claims model was given them, which may have changed them."""
    shared_claims: SharedClaims[ClaimsT] | None = field(default=None, repr=False)
    """What the model made of them; None where it was not asked yet."""
    claims_at_hand: SharedClaims[ClaimsT] | None = field(default=None, repr=False)
    """The same, where nobody else has to be asked about each request."""

    @classmethod
    def of(
        cls,
        claims: dict[str, object],
        scopes: frozenset[str],
        *,
        expires_at: float,
        begins_at: float,
    ) -> Self:
        """Return what *claims* say that hold *scopes*, and were verified."""
        confirmation = claims.get("cnf")
        return cls(
            scopes,
            expires_at,
            begins_at,
            cast("str | None", claims.get("iss")),
            claims.get("jti"),
            json.dumps(confirmation) if is_json_object(confirmation) else None,
            claims,
        )
