"""Protocols: what a guard calls on a verifier, and what a verifier calls on its plug-ins."""

from collections.abc import Awaitable, Callable, Mapping
from types import FunctionType
from typing import Any, Final, Generic, Protocol, cast, runtime_checkable

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import TokenError, TokenFault

__all__ = [
    "ProofChecker",
    "RevocationList",
    "ScopeLimitedVerifier",
    "SharedClaims",
    "TokenVerifier",
    "SharedClaimsOrAwaitable",
    "awaited_claims",
    "copies_from",
    "shared_claims_of",
]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)
F = TypeVar("F", bound=Callable[..., Any])

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})

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


class SharedClaims(Generic[ClaimsT]):
    """Verified claims that many requests may share; code that may change them gets a copy.

    INVARIANT: what one request does to its claims changes none of the next
    (attacks/test_cached_claims.py).
    """

    __slots__ = ("_is_flat", "_original")

    def __init__(self, claims: ClaimsT, *, is_flat: bool = False) -> None:
        self._original = claims
        self._is_flat = is_flat or _is_flat(claims)

    def __repr__(self) -> str:
        return "<SharedClaims>"

    @property
    def original(self) -> ClaimsT:
        """The claims themselves, only to be read."""
        return self._original

    def copy(self) -> ClaimsT:
        """Return a copy of the claims that shares no mutable value with them."""
        return self._original.model_copy(deep=not self._is_flat)


SharedClaimsOrAwaitable = SharedClaims[ClaimsT] | Awaitable[SharedClaims[ClaimsT]]
"""Claims that are at hand, or else what has to be awaited for them."""


async def awaited_claims(claims: SharedClaimsOrAwaitable[ClaimsT]) -> SharedClaims[ClaimsT]:
    """Return *claims*, awaited where they are not at hand."""
    return claims if isinstance(claims, SharedClaims) else await claims


def _is_flat(claims: Claims) -> bool:
    """Tell whether every value in *claims* is immutable, so that a shallow copy is enough."""
    values: list[object] = [*vars(claims).values(), *(claims.model_extra or {}).values()]
    return claims.__pydantic_private__ is None and all(map(_is_atom_or_set, values))


def _is_atom_or_set(value: object) -> bool:
    if type(value) is frozenset:
        return all(type(each) in _ATOMS for each in cast("frozenset[object]", value))
    return type(value) in _ATOMS


def copies_from(
    verify_shared: Callable[[Any, str], SharedClaimsOrAwaitable[Any]],
) -> Callable[[F], F]:
    """Mark the method `verify` of a class as one that copies what *verify_shared* returns."""

    def mark(verify: F) -> F:
        _shared_methods[cast("FunctionType", verify)] = verify_shared.__name__
        return verify

    return mark


def _shared_method_of(verifier: object) -> Callable[[str], SharedClaimsOrAwaitable[Any]] | None:
    """Return the method that returns shared claims, or None where `verify` is not a marked one.

    INVARIANT: a `verify` that was overridden or replaced is called itself
    (attacks/test_cached_claims.py).
    """
    kind = type(verifier)
    if kind.__getattribute__ is not object.__getattribute__:
        return None
    if "verify" in getattr(verifier, "__dict__", ()):
        return None
    for each in kind.__mro__:
        if "verify" in each.__dict__:
            verify = each.__dict__["verify"]
            # Not by isinstance: a wrapper may say that it is what it wraps.
            name = _shared_methods.get(verify) if type(verify) is FunctionType else None
            return getattr(verifier, name) if name is not None else None
    return None


def shared_claims_of(verifier: TokenVerifier[Any], token: str) -> SharedClaimsOrAwaitable[Any]:
    """Return the claims of *token*, uncopied where *verifier* marks its `verify`.

    Raises:
        TokenError: the token is not valid here.
        VerifierUnavailable: the issuer cannot be reached.
    """
    verify_shared = _shared_method_of(verifier)
    return verify_shared(token) if verify_shared is not None else _claims_by_verify(verifier, token)


async def _claims_by_verify(verifier: TokenVerifier[Any], token: str) -> SharedClaims[Any]:
    claims: object = await verifier.verify(token)
    if not isinstance(claims, Claims):
        # INVARIANT: a verifier that returns anything else lets no one in
        # (attacks/test_claims.py: test_verifier_without_claims_lets_no_one_in).
        raise TokenError(TokenFault.CLAIMS)
    # A verifier of the user's own decides itself whether its claims are shared.
    return SharedClaims(claims, is_flat=True)


@runtime_checkable
class ScopeLimitedVerifier(Protocol):
    """A verifier that knows which issuer may grant which scope."""

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that may grant *scope*, listed by name; None is every issuer.

        A guard accepts its admin scope from these issuers alone.
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
