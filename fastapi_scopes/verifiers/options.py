"""The options that all verifiers share, with their types and defaults."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypedDict

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList

__all__ = [
    "ANY_TENANT",
    "PUBLISHED_ALGORITHMS",
    "AlgorithmName",
    "AnyTenant",
    "JWTOptions",
    "ResolvedOptions",
    "ScopesClaim",
    "TokenKind",
    "TokenOptions",
]

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

PUBLISHED_ALGORITHMS: Final[tuple[AlgorithmName, ...]] = (
    "RS256",
    "PS256",
    "ES256",
    "EdDSA",
    "Ed25519",
)
"""Those of the keys that issuers publish, where nothing else is said."""

ScopesClaim: TypeAlias = (
    str | Sequence[str] | Mapping[str, str] | Callable[[dict[str, Any]], Iterable[str]]
)
"""Where the scopes of a token are: a claim, several, several by the prefix that their scopes get,
or a function of a copy of the verified claims."""


TokenKind: TypeAlias = Literal["access", "id", "any"]
"""The kind of token that is taken: access tokens, ID tokens, or both."""


class AnyTenant(Enum):
    """The type of `ANY_TENANT`."""

    ANY_TENANT = "ANY_TENANT"

    def __repr__(self) -> str:
        return "ANY_TENANT"


ANY_TENANT: Final = AnyTenant.ANY_TENANT
"""What to pass as *tenants* where every tenant of an issuer may call."""

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)


class TokenOptions(TypedDict, Generic[ClaimsT], total=False):
    """What a verifier may be told of its tokens, each a keyword of its constructor."""

    scopes_claim: ScopesClaim
    """The claim that holds scopes, such as "scp" or "realm_access.roles"; a list of claims, which
    all count; or claims with a prefix for their scopes, such as {"scp": "", "roles": "role:"}. A
    function gets a copy of the verified claims, once for each token, and returns the scopes.
    Default: "scope"."""
    claims_model: type[ClaimsT]
    """A subclass of `Claims` for claims of your own."""
    token_kind: TokenKind
    """"access", "id", or "any" of both, for issuers whose access tokens carry the marks of ID
    tokens; the latter two need an audience. No other kind is ever taken. Default: "access"."""
    tenants: Sequence[str] | AnyTenant | None
    """For an *issuer* with `{tenantid}` in it: the GUIDs that may stand there and in `tid`, or
    `ANY_TENANT`."""
    authorized_parties: Sequence[str] | None
    """The clients that may call, by `azp`, or else `client_id`, or else `cid` or `appid`. Default:
    None, which asks for none."""
    require_claims: Mapping[str, object] | None
    """Claims that a token must have, with the values that they must equal."""
    leeway: float
    """Seconds that the issuer's clock may be off by for `exp`, `nbf` and `iat`, 0 to 300.
    Default: 0."""
    clock_skew: float
    """Seconds that `nbf` and `iat` may lie ahead, 0 to 300; the greater of this and *leeway*
    counts. Default: 10."""
    max_token_chars: int
    """The longest token that is read, in characters. Default: 16384."""
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
    scopes_claim: ScopesClaim = "scope"
    # Where nothing is passed ClaimsT is Claims, its default.
    claims_model: type[ClaimsT] = Claims  # type: ignore[assignment]
    token_kind: TokenKind = "access"  # noqa: S105 - no password
    tenants: Sequence[str] | AnyTenant | None = None
    authorized_parties: Sequence[str] | None = None
    require_claims: Mapping[str, object] | None = None
    leeway: float = 0
    clock_skew: float = 10
    max_token_chars: int = MAX_TOKEN_CHARS
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
