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
    "TokenVerifier",
    "Vouched",
    "vouched_by",
    "vouches_by",
]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)
F = TypeVar("F", bound=Callable[..., Any])

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})

_vouchers: dict[FunctionType, str] = {}
"""By a method `verify`, the name of the method that spares its copy."""


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


class Vouched(Generic[ClaimsT]):
    """Verified claims that are kept for many requests; code that may change them gets a copy.

    INVARIANT: what one request does to its claims changes none of the next
    (attacks/test_cached_claims.py).
    """

    __slots__ = ("_is_flat", "_kept")

    def __init__(self, claims: ClaimsT, *, is_flat: bool = False) -> None:
        self._kept = claims
        self._is_flat = is_flat or _is_flat(claims)

    def __repr__(self) -> str:
        return "<Vouched>"

    @property
    def kept(self) -> ClaimsT:
        """The claims themselves, only to be read."""
        return self._kept

    def copy(self) -> ClaimsT:
        """Return a copy of the claims that shares no mutable value with them."""
        return self._kept.model_copy(deep=not self._is_flat)


def _is_flat(claims: Claims) -> bool:
    """Tell whether every value in *claims* is immutable, so that a shallow copy is enough."""
    values: list[object] = [*vars(claims).values(), *(claims.model_extra or {}).values()]
    return claims.__pydantic_private__ is None and all(map(_is_atom_or_set, values))


def _is_atom_or_set(value: object) -> bool:
    if type(value) is frozenset:
        return all(type(each) in _ATOMS for each in cast("frozenset[object]", value))
    return type(value) in _ATOMS


def vouches_by(vouch: Callable[[Any, str], Awaitable[Vouched[Any]]]) -> Callable[[F], F]:
    """Mark the method `verify` of a class as one that returns a copy of what *vouch* returns."""

    def mark(verify: F) -> F:
        _vouchers[cast("FunctionType", verify)] = vouch.__name__
        return verify

    return mark


def _voucher_of(verifier: object) -> Callable[[str], Awaitable[Vouched[Any]]] | None:
    """Return the method that returns claims uncopied, or None where `verify` is not the marked one.

    INVARIANT: a `verify` that was overridden or replaced is asked
    (attacks/test_cached_claims.py).
    """
    kind = type(verifier)
    if kind.__getattribute__ is not object.__getattribute__:
        return None
    if "verify" in getattr(verifier, "__dict__", ()):
        return None
    for each in kind.__mro__:
        verify = each.__dict__.get("verify")
        if verify is not None:
            # Not by isinstance: a wrapper may say that it is what it wraps.
            name = _vouchers.get(verify) if type(verify) is FunctionType else None
            return getattr(verifier, name) if name is not None else None
    return None


def vouched_by(verifier: TokenVerifier[Any], token: str) -> Awaitable[Vouched[Any]]:
    """Return, once awaited, the claims of *token* verified by *verifier*, uncopied where kept.

    Raises:
        TokenError: the token is not valid here.
        VerifierUnavailable: the issuer cannot be reached.
    """
    vouch = _voucher_of(verifier)
    return vouch(token) if vouch is not None else _vouched_by_verify(verifier, token)


async def _vouched_by_verify(verifier: TokenVerifier[Any], token: str) -> Vouched[Any]:
    claims: object = await verifier.verify(token)
    if not isinstance(claims, Claims):
        # INVARIANT: a verifier that returns anything else lets no one in
        # (attacks/test_claims.py: test_verifier_without_claims_lets_no_one_in).
        raise TokenError(TokenFault.CLAIMS)
    # A verifier of the user's own decides itself whether its claims are shared.
    return Vouched(claims, is_flat=True)


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
