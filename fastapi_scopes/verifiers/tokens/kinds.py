"""Tells access tokens, ID tokens and all others apart, by the marks that they carry (ADR 0018).

An issuer signs all of its tokens alike, so a good signature says nothing about what a token is for
(RFC 8725 3.11, 3.12).
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from fastapi_scopes._lines import quoted
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object
from fastapi_scopes.verifiers.options import TokenKind
from fastapi_scopes.verifiers.tokens.marks import (
    PARTY_CLAIMS,
    Role,
    is_special_kind,
    is_special_name,
    plain,
    role_of,
)

__all__ = ["require_kind", "require_type"]

# RFC 7519 5.1, RFC 9068 2.1: media types, so in any case (RFC 7515 4.1.9).
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_PLAIN_TYPES: Final = frozenset({"jwt", "application/jwt"})

# Claims of which the good values are known, as they are compared: without case and signs.
_CLOSED: Final = {
    "typ": frozenset({"bearer", "access", "accesstoken", "atjwt", "applicationatjwt"}),
    "token_use": frozenset({"access", "accesstoken"}),
}
_ACCESS_VALUES: Final = frozenset({*_CLOSED["typ"], "accessjwt", "at"})
_ID_VALUES: Final = frozenset({"id", "idtoken", "idt"})

# OpenID Connect Core 3.1.3.6 and 3.3.2.11, FAPI: hashes of what an ID token was issued with. The
# last is Apple's, the long ones are CIBA's.
_CIBA: Final = "urn:openid:params:jwt:claim:"
_ID_CLAIMS: Final = frozenset(
    {"at_hash", "c_hash", "s_hash", "rt_hash", "nonce_supported"}
    | {_CIBA + "rt_hash", _CIBA + "auth_req_id"}
)
# Oracle, FusionAuth: AT and IT. Elsewhere a word of two letters may be anything.
_SHORT_NAMES: Final = frozenset({"tok_type", "tty"})
_ACCESS_CLAIMS: Final = ("scope", "scp", "client_id")

# RFC 8417 2.2 (security events, of which logout is one), RFC 9449 4.2 (DPoP proofs), RFC 9101
# and CIBA (request objects), RFC 7591 2.3 (software statements), RFC 9701 (introspection answers),
# credentials about their subject (W3C VC, RFC 9901). Then
# what Spring and fastapi-jwt-auth3 say in refresh tokens, and django-jwt-allauth in others.
_SPECIAL_CLAIMS: Final = frozenset(
    {"events", "htm", "htu", "response_type", "response_mode", "redirect_uri", "request_uri"}
    | {"code_challenge", "redirect_uris", "token_introspection", "client_notification_token"}
    | {"vc", "vp", "_sd_alg", "ati", "access_token_jti", "one_time_permission"}
)
# JARM 2.1: the parameters of an authorization response.
_RESPONSE_CLAIMS: Final = frozenset({"code", "error", "access_token", "id_token"})

# UAA: the name of a refresh token.
_REFRESH_JTI: Final = re.compile(r"[0-9a-f]{32}-r")
# fastapi-users, litestar-users.
_SPECIAL_AUDIENCES: Final = frozenset(
    {"fastapi-users:reset", "fastapi-users:verify", "fastapi-users:oauth-state"}
    | {"litestar-users:oauth2-state"}
)
# Objects in which libraries put claims of the application: Litestar, fastapi-fullauth,
# Flask-JWT-Extended in its third version.
_EXTRA_CLAIMS: Final = ("extra", "extras", "user_claims")
# Templates of applications write the kind there.
_SPECIAL_SUBJECTS: Final = frozenset(
    {"refresh", "refreshtoken", "preset", "passwordreset", "resetpassword"}
    | {"emailconfirmation", "confirmemail", "emailverification", "verifyemail"}
)


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
    claims: Mapping[str, object],
    kind: TokenKind,
    *,
    header: Mapping[str, object] | None = None,
    audiences: Collection[str] | None = None,
) -> None:
    """Check that *claims*, of a token with this *header*, are those of a token of this *kind*.

    *audiences* are those that are asked for; None asks for none.

    Raises:
        TokenError: they are those of another kind.
    """
    # The usual case: no name says anything of the kind.
    roles = {name: role for name in claims if (role := role_of(name)) is not None}
    special = _special_claim_of(claims, roles, audiences)
    if special is not None:
        raise TokenError(TokenFault.TYPE, f"by {quoted(special)}")
    # JARM 2.1.
    if not _RESPONSE_CLAIMS.isdisjoint(claims) and ("state" in claims or "sub" not in claims):
        raise TokenError(TokenFault.TYPE, "by the parameters of an authorization response")
    kinds = _kinds_in(claims, roles)
    if kind == "access" and _is_marked_as_id(claims, kinds):
        raise TokenError(TokenFault.TYPE, "it is marked as an ID token")
    # A nonce alone is a hint: some issuers copy it into access tokens.
    is_hinted = kind == "access" and "nonce" in claims
    if is_hinted and not _is_marked_as_access(claims, kinds, header):
        raise TokenError(TokenFault.TYPE, "by a 'nonce' and no mark of an access token")
    if kind == "id" and _is_marked_as_access(claims, kinds, header):
        raise TokenError(TokenFault.TYPE, "it is marked as an access token")
    if _is_client_assertion(claims, kinds, header):
        raise TokenError(TokenFault.TYPE, "by 'iss' and 'sub', which are equal")


def _kinds_in(claims: Mapping[str, object], roles: Mapping[str, Role]) -> set[str]:
    """Return the kinds that *claims* name, without case and signs."""
    # A name in a URN stands at its end (RFC 8693 3).
    kinds = {
        plain(each.rpartition(":")[2])
        for name, role in roles.items()
        if role is Role.KIND
        for each in _texts_in(claims[name])
    }
    if "it" in kinds and not _SHORT_NAMES.isdisjoint(claims):
        kinds.add("id")
    return kinds


def _special_claim_of(
    claims: Mapping[str, object], roles: Mapping[str, Role], audiences: Collection[str] | None
) -> str | None:
    """Return the claim that neither an access token nor an ID token has, or None.

    *roles* are those of the claims that say something of the kind.
    """
    for name, role in roles.items():
        if _is_special(name, role, claims):
            return name
    for name in _EXTRA_CLAIMS:
        extra = claims.get(name)
        if is_json_object(extra) and any(
            _says_special(role_of(each), extra[each]) for each in extra
        ):
            return name
    if not _SPECIAL_CLAIMS.isdisjoint(claims):
        return min(_SPECIAL_CLAIMS.intersection(claims))
    # An authorization server names the client; then `scope` holds scopes, and `sub` a subject.
    has_party = any(map(claims.get, PARTY_CLAIMS))
    jti, subject = claims.get("jti"), claims.get("sub")
    marked = {
        "scope": _is_special_scope(claims, has_party=has_party),
        "sub": not has_party and isinstance(subject, str) and plain(subject) in _SPECIAL_SUBJECTS,
        "jti": isinstance(jti, str) and _REFRESH_JTI.fullmatch(jti) is not None,
        # Gitea and Forgejo.
        "tt": "gnt" in claims and claims.get("tt") not in (None, 0),
        "aud": _is_special_audience(claims.get("aud"), audiences),
    }
    return next((name for name, is_marked in marked.items() if is_marked), None)


def _is_special(name: str, role: Role, claims: Mapping[str, object]) -> bool:
    """Tell whether the claim *name* of this *role* says that its token is special."""
    value = claims[name]
    if name in _CLOSED:
        return not _is_known(name, value, is_bound="cnf" in claims)
    return _says_special(role, value)


def _says_special(role: Role | None, value: object) -> bool:
    if role is Role.FLAG:
        return value in (1, "true")  # 1 is True to Python.
    return role is Role.KIND and any(map(is_special_kind, _texts_in(value)))


def _is_known(name: str, value: object, *, is_bound: bool) -> bool:
    if not isinstance(value, str):
        return False
    text = plain(value)
    # RFC 9449 5: a token that is bound to a key may be of this type; `cnf` was checked before.
    is_dpop = text == "dpop" and is_bound
    return text in _CLOSED[name] | _ID_VALUES or is_dpop or (name, text) == ("typ", "jwt")


def _is_special_scope(claims: Mapping[str, object], *, has_party: bool) -> bool:
    """Tell whether the kind stands in the place of a scope, as login libraries write it."""
    scopes = _texts_in(claims.get("scope"))
    if len(scopes) != 1 or (has_party and not scopes[0].lower().endswith("token")):
        return False
    return is_special_name(scopes[0], may_be_other="sub" in claims)


def _is_special_audience(audience: object, asked: Collection[str] | None) -> bool:
    named = _texts_in(audience)
    if any(each in _SPECIAL_AUDIENCES for each in named):
        return True
    # An API that is called so says it: its name is then asked for.
    return asked is None and any(is_special_name(each, may_be_other=False) for each in named)


def _is_marked_as_access(
    claims: Mapping[str, object], kinds: Collection[str], header: Mapping[str, object] | None
) -> bool:
    if any(claims.get(name) is not None for name in _ACCESS_CLAIMS):
        return True
    if header is not None and str(header.get("typ", "")).lower() in _ACCESS_TOKEN_TYPES:
        return True
    return not _ACCESS_VALUES.isdisjoint(kinds)


def _is_client_assertion(
    claims: Mapping[str, object], kinds: Collection[str], header: Mapping[str, object] | None
) -> bool:
    # RFC 7523 3: in an assertion the client is both; and it asks for no scopes in it.
    issuer = claims.get("iss")
    if not issuer or issuer != claims.get("sub"):
        return False
    return not _is_marked_as_access({**claims, "client_id": None}, kinds, header)


def _is_marked_as_id(claims: Mapping[str, object], kinds: Collection[str]) -> bool:
    # SuperTokens numbers its kinds.
    is_numbered = claims.get("stt") == 2
    return is_numbered or not (_ID_CLAIMS.isdisjoint(claims) and _ID_VALUES.isdisjoint(kinds))


def _texts_in(value: object) -> list[str]:
    values = value if is_json_array(value) else [value]
    return [each for each in values if isinstance(each, str)]
