"""The options that all verifiers share, with their types and defaults."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypedDict

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList

__all__ = ["PUBLISHED_ALGORITHMS", "AlgorithmName", "JWTOptions", "ResolvedOptions", "TokenOptions"]

AlgorithmName: TypeAlias = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "Ed448",
]
"""A signature algorithm (RFC 7518 3.1, 8037 3.1, 9864 2.2)."""

PUBLISHED_ALGORITHMS: Final[tuple[AlgorithmName, ...]] = ("RS256", "PS256", "ES256", "EdDSA")
"""Those of the keys that issuers publish, where nothing else is said."""

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)


class TokenOptions(TypedDict, Generic[ClaimsT], total=False):
    """What a verifier may be told of its tokens, each a keyword of its constructor."""

    scopes_claim: str
    """The one claim that holds scopes: "scope", "scp", "realm_access.roles". Default: "scope"."""
    claims_model: type[ClaimsT]
    """A subclass of `Claims` for claims of your own."""
    leeway: float
    """Seconds that the issuer's clock may be off by, 0 to 300. Default: 0."""
    allowed_scopes: Sequence[str] | None
    """The scopes that the issuer may grant, by name or as "prefix:*"; others are dropped. None,
    the default, is all of them."""
    revocations: RevocationList | None
    """Asked for every request; a token without `jti` is then refused."""
    proof: ProofChecker | None
    """Asked for every request with a token that is bound to a key (`cnf`); without it such a
    token is refused."""
    cache_ttl: float
    """For how many seconds what was verified is kept; 0 keeps nothing. Default: 60, and 10 where
    the issuer is asked about each token."""
    cache_size: int
    """Of how many tokens it is kept. Default: 1024."""
    now: Callable[[], float]
    """The clock, in seconds since the epoch. Default: `time.time`."""


class JWTOptions(TokenOptions[ClaimsT], total=False):
    """What a verifier of JWTs may be told of its tokens, each a keyword of its constructor."""

    strict: bool
    """Ask for the type and the claims of RFC 9068. Default: False."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOptions(Generic[ClaimsT]):
    """All options of a verifier, with the defaults of those that were left out."""

    issuer: str | Sequence[str] | None
    audience: str | Sequence[str] | None
    scopes_claim: str = "scope"
    # Where nothing is passed ClaimsT is Claims, its default.
    claims_model: type[ClaimsT] = Claims  # type: ignore[assignment]
    leeway: float = 0
    strict: bool = False
    allowed_scopes: Sequence[str] | None = None
    revocations: RevocationList | None = None
    proof: ProofChecker | None = None
    cache_ttl: float = 60
    cache_size: int = 1024
    now: Callable[[], float] = time.time

    @classmethod
    def of(
        cls,
        owner: type,
        options: Mapping[str, Any],
        *,
        known: Collection[str],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
    ) -> Self:
        """Return the *options* that the constructor of *owner* was given.

        Raises:
            TypeError: one of them is not *known*.
        """
        for name in options:
            if name not in known:
                nearest = get_close_matches(name, known, n=1)
                hint = f"; did you mean {nearest[0]}=" if nearest else ""
                raise TypeError(f"{owner.__name__}() takes no {name}={hint}")
        return cls(issuer=issuer, audience=audience, **options)
