"""What the guard asks of a verifier, and a verifier of what is plugged into it."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims

__all__ = ["IssuerLimits", "ProofChecker", "RevocationList", "TokenVerifier"]

ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)


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


@runtime_checkable
class IssuerLimits(Protocol):
    """A verifier that knows which issuer may grant which scope."""

    def issuers_listing(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that *scope* is listed for by name; None is all that it verifies.

        A guard counts its admin scope from these alone.
        """
        ...


class RevocationList(Protocol):
    """Which tokens were revoked before they expire, by issuer and `jti` (RFC 7519 4.1.7).

    Never by the token itself: one signed text has several spellings that all verify.
    """

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked; asked for every request.

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
        """Return where the caller holds the key that *confirmation*, the `cnf` claim, names.

        Raises:
            TokenError: there is no such proof.
        """
        ...
