"""Bearer credentials from the Authorization fields of a request (RFC 6750 2.1)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi_scopes.errors import CredentialsError

__all__ = ["BearerCredentials", "is_bearer_token", "parse_authorization"]

# RFC 9110 11.4: credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
_CREDENTIALS = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +([^ ].*))?", re.DOTALL)
# RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


@dataclass(frozen=True, slots=True)
class BearerCredentials:
    """The token that a request carries; what it says is not known before it is verified."""

    token: str = field(repr=False)


def is_bearer_token(text: object) -> bool:
    """Tell whether *text* is one token as RFC 6750 2.1 writes it."""
    return isinstance(text, str) and _B64TOKEN.fullmatch(text) is not None


def parse_authorization(fields: Sequence[bytes]) -> BearerCredentials | None:
    """Return the bearer credentials in *fields*, or None where the client sent none.

    *fields* are the values of all Authorization fields of one request. Credentials of
    another scheme are not ours: the request counts as one without credentials.

    Raises:
        CredentialsError: there are several fields, or the one is malformed.
    """
    if not fields:
        return None
    if len(fields) > 1:
        raise CredentialsError
    # RFC 9110 5.5: optional whitespace around a field value is no part of it.
    credentials = _CREDENTIALS.fullmatch(fields[0].decode("latin-1").strip(" \t"))
    if credentials is None:
        raise CredentialsError
    scheme, token = credentials.groups()
    # RFC 9110 11.1: the scheme is case-insensitive.
    if scheme.lower() != "bearer":
        return None
    if token is None or not is_bearer_token(token):
        raise CredentialsError
    return BearerCredentials(token)
