"""What can go wrong, sorted by whose fault it is.

    ScopesError
    ├── ConfigurationError       the developer's: raised at start-up
    ├── ClientError              the caller's
    │   ├── CredentialsError     the Authorization header is not one bearer credential
    │   └── TokenError           the access token is not valid here
    └── VerifierUnavailable      the issuer's: tokens cannot be verified now

Each has a `code`, a constant that a log may carry. No message, here or elsewhere in the
package, holds a token, a secret or an Authorization header.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from math import ceil, isfinite

__all__ = [
    "ClientError",
    "ConfigurationError",
    "CredentialsError",
    "ScopesError",
    "TokenError",
    "TokenFault",
    "VerifierUnavailable",
    "collecting",
]


class ScopesError(Exception):
    """Anything that this package raises on purpose."""

    code: str


class ConfigurationError(ScopesError):
    """The application is set up wrongly; every offender is named, one a line."""

    code = "configuration"

    problems: tuple[str, ...]
    """One sentence an offender: what is wrong, then the way out."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    @classmethod
    def raise_for(cls, problems: Iterable[str]) -> None:
        """Raise one error that names all *problems*; return where there are none.

        Raises:
            ConfigurationError: at least one problem was given.
        """
        found = tuple(problems)
        if found:
            raise cls(*found)


@contextmanager
def collecting(problems: list[str], *, prefix: str = "") -> Generator[None]:
    """Add what a ConfigurationError names to *problems*, so that all can be raised at once."""
    try:
        yield
    except ConfigurationError as error:
        problems.extend(f"{prefix}{each}" for each in error.problems)


class ClientError(ScopesError):
    """The caller sent something that cannot be let through."""


class CredentialsError(ClientError):
    """The Authorization header is not one bearer credential (RFC 6750 3.1)."""

    code = "malformed_credentials"

    def __init__(self) -> None:
        super().__init__("the Authorization header is not one bearer credential")


class TokenFault(StrEnum):
    """Why a token was refused: for logs and hooks, never for the client."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    PAYLOAD = "payload"
    CLAIMS = "claims"
    SCOPES = "scopes"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CONFIRMATION = "confirmation"
    REVOKED = "revoked"
    INACTIVE = "inactive"


class TokenError(ClientError):
    """The access token is not valid here; `code` says why, the text never quotes it."""

    code: str
    """A `TokenFault`."""

    def __init__(self, code: TokenFault) -> None:
        super().__init__(f"the access token is not valid here: {code.value}")
        self.code = code


class VerifierUnavailable(ScopesError):  # noqa: N818 - the name that a caller reads in `except`
    """The issuer or its key set cannot be reached, so no token can be verified now."""

    code = "verifier_unavailable"

    retry_after: int
    """Seconds after which the caller may try again, at least 1."""

    def __init__(self, retry_after: float = 1) -> None:
        super().__init__("tokens cannot be verified now")
        self.retry_after = max(1, ceil(retry_after)) if isfinite(retry_after) else 1
