"""What the guard asks of anything that turns a token into claims."""

from typing import Protocol

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims

__all__ = ["TokenVerifier"]

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
