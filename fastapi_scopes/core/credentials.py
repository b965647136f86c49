"""Bearer credentials of a connection: one Authorization field, or one offered subprotocol.

A browser cannot set the Authorization field of a WebSocket handshake. It can offer
subprotocols (RFC 6455 1.9, 11.3.4), and one of these may be ``bearer.<token>``: an *offer*.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fastapi_scopes.errors import CredentialsError, TokenError, TokenFault

__all__ = [
    "MAX_TOKEN_CHARS",
    "TOKEN_CHARS_LIMIT",
    "BearerCredentials",
    "field_without_offers",
    "is_bearer_token",
    "offers_of",
    "parse_authorization",
    "parse_credentials",
    "without_offers",
]

MAX_TOKEN_CHARS: Final = 16 * 1024
"""The longest token that is read, where a verifier says nothing else."""
TOKEN_CHARS_LIMIT: Final = 256 * 1024
"""The longest token that a verifier may permit; servers limit header fields before."""

# RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_TOKEN_CHARS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
# RFC 9110 11.1: the scheme is case-insensitive; 5.5: whitespace around a field is no part of it.
_BEARER = re.compile(rb"[ \t]*[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)[ \t]*")
# RFC 9110 11.4: credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
_CREDENTIALS = re.compile(rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +[^ ].*)?[ \t]*", re.DOTALL)
# RFC 6455 4.1: a subprotocol is a token of RFC 2616, in which "/" and "=" cannot be; and names
# of subprotocols are compared exactly, so there is one spelling.
_OFFER = re.compile(r"bearer\.([A-Za-z0-9\-._~+]+)")
_OFFERING: Final = "bearer."
# The scheme, and blanks.
_AROUND: Final = 64
_MAX_SUBPROTOCOLS: Final = 64
_CONFLICTING: Final = (_OFFERING,)
"""An offer that is refused as malformed: the server and the client name different ones."""


@dataclass(slots=True)
class BearerCredentials:
    """The bearer token of a request, not verified yet."""

    token: str = field(repr=False)


def is_bearer_token(text: object) -> bool:
    """Tell whether *text* is one token as RFC 6750 2.1 writes it."""
    return isinstance(text, str) and _B64TOKEN.fullmatch(text) is not None


def parse_authorization(
    fields: Sequence[bytes], *, max_chars: int = MAX_TOKEN_CHARS
) -> BearerCredentials | None:
    """Return the bearer credentials in *fields*, or None where the client sent none.

    *fields* are the values of all Authorization fields of one request. A request
    with credentials of another scheme counts as one without credentials.

    Raises:
        CredentialsError: there are several fields, or the one is malformed.
        TokenError: the one is larger than a token of *max_chars*.
    """
    if not fields:
        return None
    if len(fields) > 1:
        raise CredentialsError
    value = fields[0]
    # INVARIANT: measured before anything else, which takes longer with a longer field
    # (test_credentials_are_measured_before_they_are_read).
    if len(value) > max_chars + _AROUND and value.lstrip(b" \t")[:7].lower() == b"bearer ":
        raise TokenError(TokenFault.TOO_LARGE, f"of more than {max_chars} characters")
    if type(value) is bytes and value[:7] == b"Bearer ":
        token = value[7:]
        # The usual case, in half the time: one blank, and no padding.
        if token and not token.translate(None, _TOKEN_CHARS):
            return BearerCredentials(token.decode())
    bearer = _BEARER.fullmatch(value)
    if bearer is not None:
        return BearerCredentials(bearer[1].decode())
    other = _CREDENTIALS.fullmatch(value)
    if other is None or other[1].lower() == b"bearer":
        raise CredentialsError
    return None


def parse_credentials(
    fields: Sequence[bytes], offers: Sequence[str], *, max_chars: int = MAX_TOKEN_CHARS
) -> BearerCredentials | None:
    """Return the one bearer credential of a connection, or None where the client sent none.

    *fields* are the values of its Authorization fields, *offers* those of a handshake.

    Raises:
        CredentialsError: there are several, or the one is malformed.
        TokenError: the one is larger than a token of *max_chars*.
    """
    if not offers:
        return parse_authorization(fields, max_chars=max_chars)
    # RFC 6750 2: a client uses one way to send its token, and no more.
    if fields or len(offers) > 1:
        raise CredentialsError
    if len(offers[0]) > max_chars + _AROUND:
        raise TokenError(TokenFault.TOO_LARGE, f"of more than {max_chars} characters")
    offer = _OFFER.fullmatch(offers[0])
    if offer is None:
        raise CredentialsError
    return BearerCredentials(offer[1])


def offers_of(subprotocols: Sequence[str], fields: Sequence[bytes]) -> tuple[str, ...]:
    """Return the subprotocols of a WebSocket handshake that are meant as credentials.

    *subprotocols* are those that the server read; *fields* are the values of all
    Sec-WebSocket-Protocol fields, none where the server does not pass them on. Where the two
    differ, or are too many, the result is one malformed offer, so that the handshake is refused.
    """
    # A server may pass one of them on and not the other.
    if len(subprotocols) > _MAX_SUBPROTOCOLS or sum(map(len, fields)) > TOKEN_CHARS_LIMIT:
        return _CONFLICTING
    listed = tuple(filter(_is_offer, subprotocols))
    written = tuple(filter(_is_offer, _elements_of(fields)))
    return listed if not fields or listed == written else _CONFLICTING


def without_offers(subprotocols: Iterable[str]) -> list[str]:
    """Return *subprotocols* without those that are meant as credentials."""
    return [each for each in subprotocols if not _is_offer(each)]


def field_without_offers(value: bytes) -> bytes:
    """Return a Sec-WebSocket-Protocol field without its offers; it may be empty then."""
    return ", ".join(filter(None, without_offers(_elements_of([value])))).encode("latin-1")


def _elements_of(fields: Iterable[bytes]) -> Iterator[str]:
    # RFC 9110 5.6.1: a list of elements with optional whitespace around them.
    for value in fields:
        yield from (each.strip(" \t") for each in value.decode("latin-1").split(","))


def _is_offer(subprotocol: str) -> bool:
    """Tell whether *subprotocol* is meant as credentials, also where it is spelled wrongly.

    INVARIANT: everything that a server could take for an offer is withheld from the application
    (attacks/test_subprotocol_tokens.py: test_offer_in_another_spelling_is_refused_and_withheld).
    """
    # Quotes: a client may think that they belong there.
    return subprotocol.strip().strip("\"'").strip().lower().startswith(_OFFERING)
