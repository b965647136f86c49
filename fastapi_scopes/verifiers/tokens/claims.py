"""Checks of the claims of a JWT (RFC 7519 4.1); only verified bytes come here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi_scopes._lines import listed
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object, parse_json_object
from fastapi_scopes.verifiers.tokens.expected_issuers import ExpectedIssuers
from fastapi_scopes.verifiers.tokens.marks import PARTY_CLAIMS
from fastapi_scopes.verifiers.tokens.scopes_claim import claim_at

__all__ = [
    "NEEDED_CLAIMS",
    "Expectations",
    "claims_of",
    "require_bearer",
    "require_claims",
]


_MAX_NUMERIC_DATE = 253402300799  # 9999-12-31T23:59:59Z, the last second that datetime knows

_TEXT_CLAIMS = ("sub", "jti")

# RFC 9068 2.2.
NEEDED_CLAIMS = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """The claims that a token must have to be valid here; None skips a check."""

    issuers: ExpectedIssuers | None
    audiences: frozenset[str] | None
    parties: frozenset[str] | None = None
    """The clients of which a token must name one."""
    required: Mapping[str, object]
    """Claims, and what each must equal."""
    leeway: float = 0
    """The seconds by which `exp` may have passed."""
    skew: float = 0
    """The seconds by which `nbf` and `iat` may lie ahead."""
    needed: Sequence[str] = ()
    """Claims that may be neither absent nor empty."""
    takes_bound: bool = False
    """Whether a token that is bound to a key (`cnf`) is taken: a proof checker sees it later."""
    takes_endless: bool = False
    """Whether a token without `exp` is taken."""
    endless: str = "there is no 'exp'"
    """What is said of such a token where it is not."""


def claims_of(payload: bytes) -> dict[str, object]:
    """Return the claims in *payload*, none of them checked yet.

    Raises:
        TokenError: *payload* is no claims set.
    """
    try:
        return parse_json_object(payload)
    except ValueError:
        raise TokenError(TokenFault.PAYLOAD, "it is no strict JSON object") from None


def require_bearer(claims: Mapping[str, object], expected: Expectations) -> None:
    """Check that *claims* are of a bearer token, or of one whose proof is looked at later.

    Raises:
        TokenError: their token is bound to a key (RFC 9449 7.2).
    """
    if "cnf" in claims and not (expected.takes_bound and is_json_object(claims["cnf"])):
        fault = "'cnf' is no object" if expected.takes_bound else "'cnf', and there is no proof="
        raise TokenError(TokenFault.CONFIRMATION, fault)


def require_claims(claims: Mapping[str, object], expected: Expectations, now: float) -> None:
    """Check every registered claim of *claims*, and what else is *expected* of them *now*.

    Raises:
        TokenError: they are not valid here.
    """
    # An empty claim identifies nobody.
    missing = [name for name in expected.needed if claims.get(name) in (None, "", [])]
    if missing:
        raise TokenError(TokenFault.CLAIMS, f"strict=True asks for {listed(missing)}")
    for name in _TEXT_CLAIMS:
        if not isinstance(claims.get(name, ""), str):
            raise TokenError(TokenFault.CLAIMS, f"{name!r} is no text")
    # A client that is null is none, as under its other names (ADR 0018).
    if not isinstance(claims.get("client_id"), str | None):
        raise TokenError(TokenFault.CLAIMS, "'client_id' is no text")
    _require_current(claims, expected, now)
    _require_issuer(claims, expected.issuers)
    _require_audience(claims, expected.audiences)
    if expected.parties is not None and _party_of(claims) not in expected.parties:
        parties = listed(sorted(expected.parties))
        raise TokenError(TokenFault.AUTHORIZED_PARTY, f"the token's client is not {parties}")
    for name, value in expected.required.items():
        if not _is_equal(claim_at(claims, name), value):
            raise TokenError(TokenFault.CLAIMS, f"{name!r} is not what require_claims asks for")


def _require_current(claims: Mapping[str, object], expected: Expectations, now: float) -> None:
    if "exp" in claims:
        exp = _numeric_date(claims, "exp")
        # RFC 7519 4.1.4: on or after exp is too late. Written so that a clock that answers NaN
        # refuses.
        if not now < exp + expected.leeway:
            raise TokenError(TokenFault.EXPIRED, f"{now - exp:.1f} s late")
    elif not expected.takes_endless:
        raise TokenError(TokenFault.CLAIMS, expected.endless)
    for name in ("nbf", "iat"):
        if name in claims:
            begin = _numeric_date(claims, name)
            if not begin <= now + expected.skew:
                raise TokenError(TokenFault.NOT_YET_VALID, f"{begin - now:.1f} s early by {name!r}")


def _numeric_date(claims: Mapping[str, object], name: str) -> float:
    # RFC 7519 2: a JSON number; a bool is an int to Python only.
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(TokenFault.CLAIMS, f"{name!r} is no number")
    if not 0 <= value <= _MAX_NUMERIC_DATE:
        raise TokenError(TokenFault.CLAIMS, f"{name!r} is no date")
    return value


def _require_issuer(claims: Mapping[str, object], issuers: ExpectedIssuers | None) -> None:
    issuer = claims.get("iss")
    # null is as good as absent; and nothing else of another type is.
    if not isinstance(issuer, str | None):
        raise TokenError(TokenFault.ISSUER, "'iss' is no text")
    if issuers is not None and not issuers.include_issuer_of(claims):
        raise TokenError(TokenFault.ISSUER, issuers.difference_to(issuer))


def _require_audience(claims: Mapping[str, object], audiences: frozenset[str] | None) -> None:
    # RFC 7519 4.1.3: a string or an array of strings. Issuers write null or [] where no audience
    # was asked for.
    audience = claims.get("aud")
    named = audience if is_json_array(audience) else [] if audience is None else [audience]
    if not all(isinstance(each, str) for each in named):
        raise TokenError(TokenFault.AUDIENCE, "'aud' is neither a text nor a list of texts")
    if audiences is not None and audiences.isdisjoint(named):
        which = "none of the token's is" if named else "there is no 'aud', expected is"
        raise TokenError(TokenFault.AUDIENCE, f"{which} {listed(sorted(audiences))}")


def _party_of(claims: Mapping[str, object]) -> str | None:
    """Return the client that *claims* were issued to, or None where they name none."""
    for name in PARTY_CLAIMS:
        party = claims.get(name)
        if party not in (None, ""):
            return party if isinstance(party, str) else None
    return None


def _is_equal(value: object, wanted: object) -> bool:
    """Tell whether two JSON values are equal; a bool is no number, as it is to Python."""
    if is_json_object(value) and is_json_object(wanted):
        return value.keys() == wanted.keys() and all(
            _is_equal(value[name], wanted[name]) for name in wanted
        )
    if is_json_array(value) and is_json_array(wanted):
        return len(value) == len(wanted) and all(map(_is_equal, value, wanted))
    return isinstance(value, bool) is isinstance(wanted, bool) and value == wanted
