"""Protocols: what a guard calls on a verifier, and what a verifier calls on its plug-ins."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final, Generic, Protocol, Self, cast, runtime_checkable

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import TokenError, TokenFault

__all__ = [
    "DiscoveringVerifier",
    "GrantingIssuers",
    "IssuerEndpoints",
    "Origin",
    "ProofChecker",
    "RevocationList",
    "ScopeLimitedVerifier",
    "SharedClaims",
    "SharedClaimsOrAwaitable",
    "TokenVerifier",
    "WarmableVerifier",
    "awaited_claims",
    "copies_from",
    "shared_claims_of",
]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)
F = TypeVar("F", bound=Callable[..., Any])

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})

_MISSING: Final = object()

_shared_methods: dict[FunctionType, str] = {}
"""By a method `verify`, the name of the method that returns the claims without copying them."""


class TokenVerifier(Protocol[ClaimsT_co]):
    """Anything with an async ``verify``; the guard takes its claims type from the return type.

    A verifier of your own needs nothing else: no base class, no registration.
    """

    async def verify(self, token: str) -> ClaimsT_co:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here.
            VerifierUnavailable: the issuer cannot be asked, so no token can be verified now.
        """
        ...


class Origin:
    """Tells the claims of one verifier from those of any other, by identity."""

    @property
    def is_limited(self) -> bool:
        """Whether its issuers may grant some scopes alone."""
        return False


class SharedClaims(Generic[ClaimsT]):
    """Verified claims that many requests may share; code that may change them gets a copy.

    INVARIANT: what one request does to its claims changes none of the next
    (attacks/test_cached_claims.py).
    """

    __slots__ = ("_is_flat", "is_endless", "is_plain", "origin", "original")

    def __init__(self, claims: ClaimsT, *, is_flat: bool = False) -> None:
        self.original: ClaimsT = claims
        """The claims themselves, only to be read."""
        self.is_endless: bool = _is_endless(claims)
        """Whether the issuer said of no moment that they expire; `exp` is then the verifier's."""
        self.origin: Origin | None = None
        """The verifier of ours that verified them; None where another one did."""
        self._is_flat = is_flat or _is_flat(claims)
        self.is_plain: bool = self._is_flat and _is_copied_plainly(claims)
        """Whether a copy runs no code of the claims' own class, and shares nothing mutable."""

    def __repr__(self) -> str:
        return "<SharedClaims>"

    def copy(self) -> ClaimsT:
        """Return a copy of the claims that shares no mutable value with them."""
        if self.is_plain:
            return _plain_copy(self.original)
        return self.original.model_copy(deep=not self._is_flat)


def _is_endless(claims: Claims) -> bool:
    # What the issuer did not say is not among the fields that were set, also in a copy that another
    # verifier passes on. A model of the application may have a default, which is an end.
    is_said = "exp" in claims.model_fields_set
    return not is_said and type(claims).model_fields["exp"].is_required()


def _is_copied_plainly(claims: Claims) -> bool:
    """Tell whether nothing of *claims* but fields is to be copied, and by no code of its own."""
    kind = type(claims)
    is_own = kind is not Claims and any(
        getattr(kind, name) is not getattr(Claims, name)
        for name in ("__copy__", "model_copy", "__setattr__", "__new__")
    )
    return not is_own and claims.__pydantic_private__ is None


def _plain_copy(claims: ClaimsT) -> ClaimsT:
    """Return what `model_copy` returns, in half the time (test_copies_are_those_of_pydantic)."""
    kind, put = type(claims), object.__setattr__
    copied = kind.__new__(kind)
    extra = claims.__pydantic_extra__
    put(copied, "__dict__", claims.__dict__.copy())
    put(copied, "__pydantic_extra__", extra.copy() if extra is not None else None)
    put(copied, "__pydantic_fields_set__", claims.__pydantic_fields_set__.copy())
    put(copied, "__pydantic_private__", None)
    return copied


SharedClaimsOrAwaitable = SharedClaims[ClaimsT] | Awaitable[SharedClaims[ClaimsT]]
"""Claims that are at hand, or else what has to be awaited for them."""


async def awaited_claims(claims: SharedClaimsOrAwaitable[ClaimsT]) -> SharedClaims[ClaimsT]:
    """Return *claims*, awaited where they are not at hand."""
    return claims if isinstance(claims, SharedClaims) else await claims


def _is_flat(claims: Claims) -> bool:
    """Tell whether every value in *claims* is immutable, so that a shallow copy is enough."""
    values: list[object] = [*vars(claims).values(), *(claims.model_extra or {}).values()]
    for value in values:
        if type(value) in _ATOMS:
            continue
        if type(value) is not frozenset:
            return False
        if not _ATOMS.issuperset(map(type, cast("frozenset[object]", value))):
            return False
    return claims.__pydantic_private__ is None


def copies_from(
    verify_shared: Callable[[Any, str], SharedClaimsOrAwaitable[Any]],
) -> Callable[[F], F]:
    """Mark the method `verify` of a class as one that copies what *verify_shared* returns."""

    def mark(verify: F) -> F:
        _shared_methods[cast("FunctionType", verify)] = verify_shared.__name__
        return verify

    return mark


def shared_claims_of(verifier: TokenVerifier[Any], token: str) -> SharedClaimsOrAwaitable[Any]:
    """Return the claims of *token*, uncopied where *verifier* marks its `verify`.

    INVARIANT: a `verify` that was overridden or replaced is called itself
    (attacks/test_cached_claims.py).

    Raises:
        TokenError: the token is not valid here.
        VerifierUnavailable: the issuer cannot be reached.
    """
    kind = type(verifier)
    # The nearest definition, without asking a descriptor what it stands for.
    verify: object = kind.__dict__.get("verify", _MISSING)
    if verify is _MISSING:
        bases = (each.__dict__ for each in kind.__mro__)
        verify = next((each["verify"] for each in bases if "verify" in each), None)
    # Not by isinstance: a wrapper may say that it is what it wraps.
    name = _shared_methods.get(verify) if type(verify) is FunctionType else None
    if (
        name is None
        or kind.__getattribute__ is not object.__getattribute__
        or "verify" in getattr(verifier, "__dict__", ())
    ):
        return _claims_by_verify(verifier, token)
    found: SharedClaimsOrAwaitable[Any] = getattr(verifier, name)(token)
    return found


async def _claims_by_verify(verifier: TokenVerifier[Any], token: str) -> SharedClaims[Any]:
    claims: object = await verifier.verify(token)
    if not isinstance(claims, Claims):
        # INVARIANT: a verifier that returns anything else lets no one in
        # (attacks/test_claims.py: test_verifier_without_claims_lets_no_one_in).
        raise TokenError(TokenFault.CLAIMS, "the verifier returned no Claims")
    # A verifier of the user's own decides itself whether its claims are shared.
    return SharedClaims(claims, is_flat=True)


class GrantingIssuers(frozenset[str]):
    """The issuers that may grant a scope, and the verifiers of ours that list it by name.

    A set that is made of it, as by ``&``, holds issuers alone.
    """

    origins: frozenset[Origin]
    """Claims with one of these as `SharedClaims.origin` may hold the scope, whoever issued them."""

    def __new__(cls, issuers: Iterable[str], origins: frozenset[Origin] = frozenset()) -> Self:
        """Return the *issuers* with *origins*."""
        made = super().__new__(cls, issuers)
        made.origins = origins
        return made


@runtime_checkable
class ScopeLimitedVerifier(Protocol):
    """A verifier that knows which issuer may grant which scope."""

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that may grant *scope*, listed by name; None is every issuer.

        A guard accepts its admin scope from these issuers alone; of an `IssuersVerifier`, from the
        verifiers that list it.
        """
        ...


@runtime_checkable
class WarmableVerifier(Protocol):
    """A verifier that can ask for its keys before the first token comes."""

    async def warm_up(self) -> None:
        """Ask for the keys now; what goes wrong is logged, and begins no cooldown.

        `protect` awaits it when the app starts, for at most the seconds that an attribute
        `timeout` of the verifier says, or 5.
        """
        ...


@dataclass(frozen=True, slots=True)
class IssuerEndpoints:
    """The URLs at which clients of an issuer get tokens (RFC 6749 3)."""

    authorization_url: str
    token_url: str


@runtime_checkable
class DiscoveringVerifier(Protocol):
    """A verifier that reads in the issuer's metadata where clients get tokens."""

    def discover_endpoints(self) -> Callable[[], IssuerEndpoints | None]:
        """Have `warm_up` read the endpoints; return a function that tells them once known.

        Raises:
            ConfigurationError: there is no metadata to read them in.
        """
        ...


class RevocationList(Protocol):
    """The tokens that were revoked before they expire, by issuer and `jti` (RFC 7519 4.1.7).

    Never by the text of the token: one token has several spellings that all verify.
    """

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked; called for every request.

        Raises:
            VerifierUnavailable: that cannot be told now, so the token is not accepted.
        """
        ...


class ProofChecker(Protocol):
    """Asks the caller to prove that a token bound to a key is theirs (RFC 7800 3).

    None is shipped. What the proof is read from, such as the certificate that a proxy saw
    (RFC 8705 3), is the checker's own business; a context variable can carry it.
    """

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        """Check that the caller holds the key that *confirmation*, the `cnf` claim, names.

        Raises:
            TokenError: there is no such proof.
        """
        ...
