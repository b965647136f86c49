"""Checks of the claims of a JWT (RFC 7519 4.1); only verified bytes come here."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi_scopes.core.scopes import parse_scopes
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object, parse_json_object

__all__ = [
    "Expectations",
    "claims_of",
    "require_access_token_claims",
    "require_access_token_type",
    "require_current",
    "scopes_of",
]

_MAX_NUMERIC_DATE = 253402300799  # 9999-12-31T23:59:59Z, the last second that datetime knows

# RFC 7519 5.1, RFC 9068 2.1. Another type is another kind of token (RFC 8725 3.11), such as a
# DPoP proof or a logout token, often signed with the same key.
_ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_TYPES = _ACCESS_TOKEN_TYPES | {"jwt", "application/jwt"}

_TEXT_CLAIMS = ("sub", "client_id", "jti")

# RFC 9068 2.2.
_REQUIRED_CLAIMS = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")

# OpenID Connect Core 3.1.3.6 and 3.3.2.11: hashes of what an ID token was issued with. Issuers
# that sign all kinds of token alike tell them apart in a claim of their own: ID tokens, but also
# refresh, logout and registration tokens. A kind that is not listed here is no access token.
_ID_TOKEN_HASHES = frozenset({"at_hash", "c_hash", "s_hash"})
_KINDS = {
    "typ": frozenset({"bearer", "jwt", "at+jwt", "application/at+jwt", "access", "access_token"}),
    "token_use": frozenset({"access", "access_token"}),
}


@dataclass(frozen=True, slots=True)
class Expectations:
    """The claims that a token must have to be valid here; None skips a check."""

    issuers: frozenset[str] | None
    audiences: frozenset[str] | None
    leeway: float = 0
    strict: bool = False
    """Whether the token must have everything that RFC 9068 asks for."""
    takes_bound: bool = False
    """Whether a token that is bound to a key (`cnf`) is taken: a proof checker sees it later."""


def require_access_token_type(header: Mapping[str, object], *, strict: bool = False) -> None:
    """Check that `typ` is that of an access token; without *strict* it may be JWT or absent.

    Raises:
        TokenError: it is of another kind.
    """
    if "typ" not in header and not strict:
        return
    kind = header.get("typ")
    # RFC 7515 4.1.9: a media type, so in any case.
    if not isinstance(kind, str) or kind.lower() not in (_ACCESS_TOKEN_TYPES if strict else _TYPES):
        raise TokenError(TokenFault.TYPE)


def require_access_token_claims(claims: Mapping[str, object], scopes_claim: str) -> None:
    """Check that *claims* are not those of another kind of token, such as an ID token.

    An ID token is for the client (RFC 8725 3.11) and authorizes nothing here. A nonce alone is
    no sign of one, since some issuers copy it into access tokens; a nonce without scopes is.

    Raises:
        TokenError: it is an ID token, a refresh token, a logout token or the like.
    """
    is_hashed = not _ID_TOKEN_HASHES.isdisjoint(claims)
    is_nonced = "nonce" in claims and _claim_at(claims, scopes_claim) is None
    # RFC 8417 2.2: a security event, of which logout is one.
    is_event = is_json_object(claims.get("events"))
    if is_hashed or is_nonced or is_event:
        raise TokenError(TokenFault.TYPE)
    for name in _KINDS:
        if name in claims and not _is_access_token_kind(claims, name):
            raise TokenError(TokenFault.TYPE)


def _is_access_token_kind(claims: Mapping[str, object], name: str) -> bool:
    kind = claims[name]
    if not isinstance(kind, str):
        return False
    # RFC 9449 5: a token that is bound to a key may be of this type; `cnf` was checked before.
    return kind.lower() in _KINDS[name] or (kind.lower() == "dpop" and "cnf" in claims)


def claims_of(payload: bytes, expected: Expectations, now: float) -> dict[str, object]:
    """Return the claims in *payload*, every registered claim checked.

    Raises:
        TokenError: *payload* is no claims set, or not one that is valid here and *now*.
    """
    try:
        claims = parse_json_object(payload)
    except ValueError:
        raise TokenError(TokenFault.PAYLOAD) from None
    # RFC 9449 7.2: a token that is bound to a key is no bearer token; it needs a proof.
    if "cnf" in claims and not (expected.takes_bound and is_json_object(claims["cnf"])):
        raise TokenError(TokenFault.CONFIRMATION)
    # An empty claim identifies nobody.
    if expected.strict and any(claims.get(name) in (None, "") for name in _REQUIRED_CLAIMS):
        raise TokenError(TokenFault.CLAIMS)
    for name in _TEXT_CLAIMS:
        if not isinstance(claims.get(name, ""), str):
            raise TokenError(TokenFault.CLAIMS)
    require_current(claims, expected.leeway, now)
    _require_issuer(claims, expected.issuers)
    _require_audience(claims, expected.audiences)
    return claims


def require_current(claims: Mapping[str, object], leeway: float, now: float) -> None:
    """Check that *claims* hold *now*: before `exp`, not before `nbf`, not issued in the future.

    Raises:
        TokenError: they do not hold, or a time is no number.
    """
    if "exp" not in claims:
        raise TokenError(TokenFault.CLAIMS)
    # RFC 7519 4.1.4: on or after exp is too late. Written so that a clock that answers NaN
    # refuses.
    if not now < _numeric_date(claims, "exp") + leeway:
        raise TokenError(TokenFault.EXPIRED)
    for name in ("nbf", "iat"):
        if name in claims and not _numeric_date(claims, name) <= now + leeway:
            raise TokenError(TokenFault.NOT_YET_VALID)


def _numeric_date(claims: Mapping[str, object], name: str) -> float:
    # RFC 7519 2: a JSON number; a bool is an int to Python only.
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(TokenFault.CLAIMS)
    if not 0 <= value <= _MAX_NUMERIC_DATE:
        raise TokenError(TokenFault.CLAIMS)
    return value


def _require_issuer(claims: Mapping[str, object], issuers: frozenset[str] | None) -> None:
    issuer = claims.get("iss", "")
    if not isinstance(issuer, str) or (issuers is not None and issuer not in issuers):
        raise TokenError(TokenFault.ISSUER)


def _require_audience(claims: Mapping[str, object], audiences: frozenset[str] | None) -> None:
    named = _audience_of(claims["aud"]) if "aud" in claims else []
    if audiences is not None and audiences.isdisjoint(named):
        raise TokenError(TokenFault.AUDIENCE)


def _audience_of(value: object) -> list[str]:
    values = value if is_json_array(value) else [value]
    named = [each for each in values if isinstance(each, str)]
    # RFC 7519 4.1.3: a string or an array of strings; an empty one addresses nobody.
    if not named or len(named) != len(values):
        raise TokenError(TokenFault.AUDIENCE)
    return named


def scopes_of(claims: Mapping[str, object], name: str) -> frozenset[str]:
    """Return the scopes in the claim *name*; none where the claim is absent.

    At every level a member of exactly that name wins (``https://example.com/scopes`` has dots
    and is one name); otherwise the text up to the first dot names an object to look into, as
    in ``realm_access.roles``.

    Raises:
        TokenError: the claim is no text and no list, or holds a text that is no scope (RFC 6749
            3.3).
    """
    try:
        return parse_scopes(_claim_at(claims, name))
    except ValueError:
        raise TokenError(TokenFault.SCOPES) from None


def _claim_at(claims: Mapping[str, object], name: str) -> object:
    if name in claims:
        return claims[name]
    outer, dot, rest = name.partition(".")
    inner = claims.get(outer)
    if not dot or not is_json_object(inner):
        return None
    return _claim_at(inner, rest)
