"""Tells access tokens, ID tokens and all others apart, by the marks that they carry (ADR 0018).

An issuer signs all of its tokens alike, so a good signature says nothing about what a token is for
(RFC 8725 3.11, 3.12).
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Final, cast

from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers._encodings import is_json_array
from fastapi_scopes.verifiers.options import TokenKind

__all__ = ["require_kind", "require_type"]

# RFC 7519 5.1, RFC 9068 2.1: media types, so in any case (RFC 7515 4.1.9).
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_PLAIN_TYPES: Final = frozenset({"jwt", "application/jwt"})

# Claims of which the good values are known, as they are compared: without case and signs.
_CLOSED: Final = {
    "typ": frozenset({"bearer", "access", "accesstoken", "atjwt", "applicationatjwt"}),
    "token_use": frozenset({"access", "accesstoken"}),
}
_ID_VALUES: Final = frozenset({"id", "idtoken"})

# Claims in which libraries and issuers write the kind, without case and signs.
_OPEN: Final = frozenset(
    {
        *("type", "tokentype", "tokentyp", "ttype", "jwttype", "typ", "tty", "drn"),
        *("kind", "tokenkind", "use", "usage", "tokenuse", "tokenusage"),
        *("purpose", "tokenpurpose", "intent", "action"),
    }
)
_ACCESS_VALUES: Final = frozenset({*_CLOSED["typ"], "accessjwt"})

# What tokens are for that open nothing but one door, as words of such a value.
_SPECIAL: Final = re.compile(
    r"refresh|offline|logout|signout|reset|forgot|recover(?:y)?|verify|verification|activat(?:e|ion)"
    r"|confirm(?:ation)?|invit(?:e|ation)|regist(?:er|ration)|signup|sliding|remember|change|unlock"
    r"|otp|totp|mfa|2fa|twofactor|magic|magiclink|passwordless|challenge|unsubscribe|impersonate"
    r"|file|download|code|authcode|oauthstate|csrf|xsrf|dpop|assertion|dsr|rt"
)
# The same as the name of a claim that is true: is_refresh_token, refresh; and short names of them.
_FLAG: Final = re.compile(
    r"(?:is)?(?:refresh|reset)(?:token)?|irt|isert|isprt"
    r"|is(?:logout|verification|activation|registration|invitation|confirmation|recovery)(?:token)?"
    r"|(?:logout|verification|activation|registration|invitation|confirmation|recovery)token"
)
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_SIGNS: Final = re.compile(r"[^a-z0-9]+")
# A longer text is no name of a kind.
_MAX_CHARS: Final = 64

# OpenID Connect Core 3.1.3.6 and 3.3.2.11, FAPI: hashes of what an ID token was issued with.
_ID_TOKEN_HASHES: Final = frozenset({"at_hash", "c_hash", "s_hash"})

_ACCESS_CLAIMS: Final = ("scope", "scp", "client_id")

# RFC 8417 2.2 (security events, of which logout is one), RFC 9449 4.2 (DPoP proofs), RFC 9101
# (request objects), RFC 9701 (introspection answers).
_SPECIAL_CLAIMS: Final = frozenset(
    {"events", "htm", "htu", "response_type", "redirect_uri", "code_challenge"}
    | {"token_introspection"}
)
# JARM 2.1: the parameters of an authorization response.
_RESPONSE_CLAIMS: Final = frozenset({"code", "error", "access_token", "id_token"})

# UAA: the name of a refresh token.
_REFRESH_JTI: Final = re.compile(r"[0-9a-f]{32}-r")
_FASTAPI_USERS: Final = ("fastapi-users:reset", "fastapi-users:verify", "fastapi-users:oauth-state")


class _Role(Enum):
    """What the name of a claim is about."""

    KIND = auto()
    FLAG = auto()


def require_type(header: Mapping[str, object], kind: TokenKind, *, strict: bool = False) -> None:
    """Check that `typ` of *header* is that of a token of this *kind*.

    It may be absent or JWT; *strict* asks for at+jwt.

    Raises:
        TokenError: it is of another kind.
    """
    name = header.get("typ")
    text = name.lower() if isinstance(name, str) else None
    is_plain = ("typ" not in header or text in _PLAIN_TYPES) and not strict
    is_access = text in _ACCESS_TOKEN_TYPES and kind != "id"
    if not (is_plain or is_access):
        raise TokenError(TokenFault.TYPE, "by 'typ' of its header")
    content = header.get("cty")
    # RFC 7519 5.2: another JWT is inside.
    if isinstance(content, str) and content.lower() in _PLAIN_TYPES:
        raise TokenError(TokenFault.TYPE, "by 'cty' of its header")


def require_kind(
    claims: Mapping[str, object], kind: TokenKind, *, header: Mapping[str, object] | None = None
) -> None:
    """Check that *claims*, of a token with this *header*, are those of a token of this *kind*.

    Raises:
        TokenError: they are those of another kind.
    """
    # The usual case: no name says anything of the kind.
    marked = [name for name in claims if _role_of(name) is not None]
    special = _special_mark_of(claims, marked)
    if special is not None:
        raise TokenError(TokenFault.TYPE, f"by {special}")
    kinds = [_plain(each) for name in marked for each in _kinds_in(claims, name)]
    if kind == "access" and _is_marked_as_id(claims, kinds):
        raise TokenError(TokenFault.TYPE, "it is marked as an ID token")
    # A nonce alone is a hint: some issuers copy it into access tokens.
    is_hinted = kind == "access" and "nonce" in claims
    if is_hinted and not _is_marked_as_access(claims, kinds, header):
        raise TokenError(TokenFault.TYPE, "by a 'nonce' and no mark of an access token")
    if kind == "id" and _is_marked_as_access(claims, kinds, header):
        raise TokenError(TokenFault.TYPE, "it is marked as an access token")
    # RFC 7523 3: in an assertion the client is both; and it asks for no scopes in it.
    issuer = claims.get("iss")
    if issuer and issuer == claims.get("sub"):
        own = {**claims, "client_id": None}
        if not _is_marked_as_access(own, kinds, header):
            raise TokenError(TokenFault.TYPE, "by 'iss' and 'sub', which are equal")


def _special_mark_of(claims: Mapping[str, object], marked: Collection[str]) -> str | None:
    """Return what marks *claims* as those of neither an access token nor an ID token, or None.

    *marked* are the names of those that say something of the kind.
    """
    for name in marked:
        if _is_special(name, claims):
            return repr(name)
    if not _SPECIAL_CLAIMS.isdisjoint(claims):
        return repr(min(_SPECIAL_CLAIMS.intersection(claims)))
    if _has_odd_value(claims):
        return "a value that only other tokens have"
    # JARM 2.1.
    if not _RESPONSE_CLAIMS.isdisjoint(claims) and ("state" in claims or "sub" not in claims):
        return "the parameters of a response"
    return None


def _is_special(name: str, claims: Mapping[str, object]) -> bool:
    """Tell whether the claim *name*, which says something of the kind, says a special one."""
    value = claims[name]
    if name in _CLOSED:
        return not _is_known(name, value, is_bound="cnf" in claims)
    if _role_of(name) is _Role.FLAG:
        return value is True or value == "true"
    return any(map(_is_special_kind, _kinds_in(claims, name)))


def _is_known(name: str, value: object, *, is_bound: bool) -> bool:
    if not isinstance(value, str):
        return False
    plain = _plain(value)
    # RFC 9449 5: a token that is bound to a key may be of this type; `cnf` was checked before.
    is_dpop = plain == "dpop" and is_bound
    return plain in _CLOSED[name] | _ID_VALUES or is_dpop or (name, plain) == ("typ", "jwt")


def _has_odd_value(claims: Mapping[str, object]) -> bool:
    """Tell whether a library or an issuer gives such a value to no access token."""
    jti, scope, audience = claims.get("jti"), claims.get("scope"), claims.get("aud")
    if isinstance(jti, str) and jti.endswith("-r") and _REFRESH_JTI.fullmatch(jti):
        return True
    # In place of a scope, libraries write the kind there.
    if isinstance(scope, str) and scope.lower().endswith("token") and _is_special_kind(scope):
        return True
    # Gitea and Forgejo.
    if "gnt" in claims and claims.get("tt") not in (None, 0):
        return True
    named = audience if is_json_array(audience) else [audience]
    return any(isinstance(each, str) and each.startswith(_FASTAPI_USERS) for each in named)


def _is_marked_as_access(
    claims: Mapping[str, object], kinds: Collection[str], header: Mapping[str, object] | None
) -> bool:
    if any(claims.get(name) is not None for name in _ACCESS_CLAIMS):
        return True
    if header is not None and str(header.get("typ", "")).lower() in _ACCESS_TOKEN_TYPES:
        return True
    return not _ACCESS_VALUES.isdisjoint(kinds)


def _is_marked_as_id(claims: Mapping[str, object], kinds: Collection[str]) -> bool:
    # SuperTokens numbers its kinds.
    is_numbered = claims.get("stt") == 2
    return is_numbered or not (_ID_TOKEN_HASHES.isdisjoint(claims) and _ID_VALUES.isdisjoint(kinds))


def _kinds_in(claims: Mapping[str, object], name: str) -> list[str]:
    """Return the texts in the claim *name* where it names a kind."""
    if _role_of(name) is not _Role.KIND:
        return []
    value = claims[name]
    values = value if is_json_array(value) else [value]
    return [each for each in values if isinstance(each, str)]


@lru_cache(maxsize=1024)
def _role_of(name: str) -> _Role | None:
    """Return what the claim *name*, however it is written, says of a token; None is nothing."""
    if len(name) > _MAX_CHARS:
        return None
    plain = _plain(name)
    if plain in _OPEN:
        return _Role.KIND
    return _Role.FLAG if _FLAG.fullmatch(plain) else None


def _is_special_kind(value: str) -> bool:
    """Tell whether a word of *value*, however it is written, is what a special token is for."""
    if len(value) > _MAX_CHARS:
        return False
    words = [each.lower().removesuffix("token") for each in cast("list[str]", _WORD.findall(value))]
    return any(_SPECIAL.fullmatch(each) for each in (*words, _plain(value).removesuffix("token")))


def _plain(text: str) -> str:
    """Return *text* without case and signs, so that `refresh-token` is `RefreshToken`."""
    return _SIGNS.sub("", text.lower())
