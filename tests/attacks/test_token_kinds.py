"""A token of another kind opens nothing, whoever signed it (RFC 8725 3.11, 3.12)."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.verifiers.minting import NOW, mint
from tests.verifiers.verifying import configured, load, make_verifier, verdict

KINDS = ("access", "id", "any")
TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    "access": ("access", "any"),
    "id": ("id", "any"),
    # Nothing in it says which of the two it is.
    "unmarked": KINDS,
    "special": (),
}
DOCUMENTED = {row["name"]: row for row in load("kinds.json")}


def outcome(claims: Mapping[str, Any], kind: str, header: Mapping[str, Any] | None = None) -> str:
    """What becomes of a token of these claims and those that all have, where *kind* is taken."""
    verifier = make_verifier(audience="api", token_kind=kind)
    claims = {"aud": ["api"], **claims}
    without = tuple({"sub", "scope"} - claims.keys())
    return verdict(verifier, mint(claims, header=header, without=without))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_token_is_taken_as_what_it_is(name: str, kind: str) -> None:
    row = DOCUMENTED[name]
    claims = dict(row["claims"])
    if "aud" in claims:
        claims["aud"] = ["api", claims["aud"]]

    assert outcome(claims, kind) == ("accept" if kind in TAKEN_BY[row["kind"]] else "type")


SPECIAL: Mapping[str, Mapping[str, Any]] = {
    "participle": {"type": "refreshing"},
    "plural": {"type": "password_resets"},
    "ciba-request": {"client_notification_token": "t", "login_hint": "alice", "client_id": "c"},
    "credential": {"vc": {"type": ["VerifiableCredential"]}, "sub": "alice"},
    "presentation": {"vp": {}, "sub": "alice"},
    "selective-disclosure": {"_sd_alg": "sha-256", "sub": "alice"},
    "case": {"type": "REFRESH"},
    "camel": {"type": "refreshToken"},
    "snake": {"type": "refresh_token"},
    "kebab": {"token_type": "Refresh-Token"},
    "blank": {"tokenType": "refresh token"},
    "joined": {"kind": "refreshtoken"},
    "in-a-list": {"type": ["access", "refresh"]},
    "with-an-access-mark": {"type": "refresh", "token_use": "access", "client_id": "c"},
    "name-in-camel": {"tokenUse": "refresh"},
    "name-in-capitals": {"TOKEN_TYPE": "refresh"},
    "name-in-kebab": {"token-type": "refresh"},
    "use": {"use": "reset"},
    "usage": {"usage": "email-verification"},
    "purpose-reset": {"purpose": "password_reset"},
    "purpose-reset-in-camel": {"purpose": "resetPassword"},
    "purpose-verify": {"purpose": "verify-email"},
    "purpose-activation": {"purpose": "account_activation"},
    "purpose-invite": {"purpose": "invite"},
    "purpose-magic": {"purpose": "magic_link"},
    "mfa": {"type": "mfa"},
    "two-factor": {"type": "2fa"},
    "change": {"type": "email_change"},
    "confirmation": {"type": "confirmation"},
    "logout": {"type": "logout_token"},
    "in-capitals-without-signs": {"type": "PASSWORDRESET"},
    "joined-verify-email": {"purpose": "verifyemail"},
    "joined-set-password": {"purpose": "setPassword"},
    "email-token": {"type": "emailToken"},
    "mfa-pending-joined": {"type": "mfapending"},
    "pre-auth": {"type": "pre-auth"},
    "one-time": {"kind": "one_time"},
    "oauth-link": {"purpose": "oauth_link"},
    "delete-account": {"purpose": "delete-account"},
    "urn": {"token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
    "class": {"token_class": "refresh_token"},
    "jwt-use": {"jwtUse": "refresh"},
    "stage": {"stage": "mfa"},
    "short": {"tt": "rt"},
    "forgerock": {"tokenName": "refresh_token", "scope": ["a"], "token_type": "Bearer"},
    "in-extras": {"type": "access", "extras": {"type": "refresh"}},
    "flag-in-extras": {"scope": "a", "user_claims": {"isRefresh": True}},
    "flag-as-number": {"refresh": 1},
    "flag-pending": {"mfa_pending": True, "scope": "a"},
    "flag-pending-first": {"pending2fa": True},
    "flag-email-verification": {"is_email_verification": True},
    "flag-reset-password-token": {"passwordResetToken": True},
    "subject-in-place-of-a-kind": {"sub": "password_reset"},
    "scope-of-a-client": {"scope": "refresh-token", "client_id": "c"},
    "scope-in-a-list": {"scope": ["refresh_token"]},
    "scope-reset-password": {"scope": "reset-password", "sub": "alice"},
    "access-token-named": {"ati": "a", "scope": "a", "client_id": "c"},
    "software-statement": {"redirect_uris": ["https://c.example"], "software_id": "s"},
    "flag": {"refresh": True},
    "flag-of-one": {"is_refresh": True},
    "flag-in-camel": {"isRefreshToken": True},
    "flag-reset": {"is_reset_token": True},
    "flag-as-text": {"is_refresh_token": "true"},
    "scope-in-place-of-a-kind": {"scope": "refresh_token"},
    "events": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "events-empty": {"events": []},
    "jarm": {"code": "c", "state": "s", "sub": "alice"},
    "jarm-without-state": {"code": "c"},
    "jarm-error": {"error": "access_denied", "state": "s"},
    "jarm-implicit": {"access_token": "t", "token_type": "Bearer", "scope": "a", "state": "s"},
    "jarm-hybrid": {"id_token": "t", "scope": "a"},
    "dpop": {"htm": "GET", "htu": "https://api.example", "jti": "j"},
    "client-assertion": {"iss": "client", "sub": "client", "jti": "j"},
    "client-assertion-with-client-id": {"iss": "client", "sub": "client", "client_id": "client"},
    "client-assertion-with-client-null": {"iss": "client", "sub": "client", "client_id": None},
    "request-object": {"response_type": "code", "client_id": "c", "scope": "a", "sub": "alice"},
    "request-object-uri": {"redirect_uri": "https://c.example", "client_id": "c"},
    "introspection-answer": {"token_introspection": {"active": True}, "sub": "alice"},
    "typ-unknown": {"typ": "Other"},
    "typ-number": {"typ": 7},
    "typ-long": {"typ": "Bearer" + "-" * 64},
    "token-use-unknown": {"token_use": "other"},
    "token-use-null": {"token_use": None},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("claims", SPECIAL.values(), ids=SPECIAL)
def test_special_token_is_refused_by_every_kind(claims: Mapping[str, Any], kind: str) -> None:
    assert outcome({"exp": NOW + 600, **claims}, kind) == "type"


ID_MARKS: Mapping[str, Mapping[str, Any]] = {
    "oracle": {"tok_type": "IT"},
    "fusionauth": {"tty": "it"},
    "ciba": {"urn:openid:params:jwt:claim:rt_hash": "h"},
    "short": {"type": "IDT"},
}


@pytest.mark.parametrize("claims", ID_MARKS.values(), ids=ID_MARKS)
def test_mark_of_an_id_token_is_known(claims: Mapping[str, Any]) -> None:
    answers = {kind: outcome({"exp": NOW + 600, "sub": "alice", **claims}, kind) for kind in KINDS}

    assert answers == {"access": "type", "id": "accept", "any": "accept"}


PLAIN: Mapping[str, Mapping[str, Any]] = {
    "type-of-two-letters": {"type": "it"},
    "type-of-a-user": {"type": "user"},
    "type-verified": {"type": "verified"},
    "type-confirmed": {"type": "confirmed_user"},
    "type-preset": {"type": "preset"},
    "type-registered": {"type": "registered"},
    "type-number": {"type": 7},
    "type-object": {"type": {"refresh": "refresh"}},
    "type-joined": {"type": "userprofile"},
    "type-method": {"type": "password"},
    "type-with-a-word-inside": {"type": "mediafiles", "kind": "encoder", "use": "exchange"},
    "type-pending": {"type": "pending"},
    "type-session": {"type": "session", "kind": "device", "use": "sig", "purpose": "login"},
    "flag-of-a-user": {"must_change_password": True, "reset_password": True, "mfa_enabled": True},
    "flag-of-a-login-by-mfa": {"mfa_verified": True, "is_mfa": True, "otp_verified": True},
    "flag-with-a-text": {"refresh": "2026-12-01", "refresh_token": "opaque", "reset": 0},
    "extras": {"extras": {"type": "user", "mfa": True}, "extra": "refresh", "user_claims": None},
    "kind-elsewhere": {"data": {"type": "refresh"}, "grant_type": "refresh_token"},
    "method-of-a-login": {"amr": ["otp", "mfa"], "auth_method": "magic_link", "gty": "refresh"},
    "scope-of-one-word": {"scope": "invite", "sub": "alice"},
    "scope-that-a-client-was-granted": {"scope": "verify_email", "azp": "c"},
    "scope-long": {"scope": "mfa" * 30},
    "scope-with-signs": {"scope": "password:reset"},
    "scope-as-an-address": {"scope": "https://api.example/refresh"},
    "subject-of-a-client": {"sub": "password-reset", "client_id": "c"},
    "token-that-a-user-named": {"token_name": "refresh job", "token": "refresh"},
    "subject-of-a-person": {"sub": "reset"},
    "subject-as-an-address": {"sub": "refresh@example.com"},
    "jti-that-ends-so": {"jti": "a-r"},
    "tt-of-another-issuer": {"tt": 1},
    "type-long": {"type": "refresh " * 20},
    "name-long": {"type" * 40: "refresh"},
    "verified": {"email_verified": True, "verified": True},
    "flags-of-a-login": {"mfa": True, "remember": True, "otp": True, "fresh": True},
    "flag-false": {"refresh": False, "is_refresh_token": False},
    "refresh-elsewhere": {"refresh_token_id": "r", "rf_exp": 1, "refresh_exp": 2},
    "state-of-an-address": {"state": "Kansas"},
    "scope-with-others": {"scope": "refresh_token api"},
    "issuer-is-subject": {"iss": "svc", "sub": "svc", "scope": "a"},
    "code-of-a-user": {"code": "c", "sub": "alice"},
    "empty-issuer-and-subject": {"iss": "", "sub": ""},
}


@pytest.mark.parametrize("claims", PLAIN.values(), ids=PLAIN)
def test_token_without_a_mark_of_another_kind_is_an_access_token(claims: Mapping[str, Any]) -> None:
    assert outcome({"exp": NOW + 600, **claims}, "access") == "accept"


MARKED: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "id-in-a-urn": ({"token_type": "urn:ietf:params:oauth:token-type:id_token"}, "id"),
    "id-in-another-spelling": ({"tokenKind": "ID-Token"}, "id"),
    "apple": ({"nonce_supported": False}, "id"),
    "access-in-a-urn": ({"use": "urn:ietf:params:oauth:token-type:access_token"}, "access"),
    "access-in-short": ({"tok_type": "AT", "nonce": "n"}, "access"),
    "access-among-others": ({"type": ["user", "access"], "nonce": "n"}, "access"),
    # Empty is there, null is not.
    **{
        f"{name}-{said}": ({name: value, "nonce": "n"}, kind)
        for name, empty in (("scope", ""), ("scp", []), ("client_id", ""))
        for said, value, kind in (("empty", empty, "access"), ("null", None, "id"))
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("claims", "marked"), MARKED.values(), ids=MARKED)
def test_mark_says_whether_it_is_an_access_token_or_an_id_token(
    claims: Mapping[str, Any], marked: str, kind: str
) -> None:
    answer = outcome({"exp": NOW + 600, "sub": "alice", **claims}, kind)

    assert answer == ("accept" if kind in TAKEN_BY[marked] else "type")


# Of the audiences, None asks for none.
AUDIENCES: Mapping[str, tuple[Any, str | None, str]] = {
    "refresh": ("refresh", None, "type"),
    "reset-in-a-list": (["reset_password"], None, "type"),
    "verify": ("verify", None, "type"),
    "verify-that-is-asked-for": ("verify", "verify", "accept"),
    "verify-beside-one-that-is-asked-for": (["api", "verify"], "api", "accept"),
    "state": ("litestar-users:oauth2-state", None, "type"),
    "reset-that-is-asked-for": ("fastapi-users:reset", "fastapi-users:reset", "type"),
    "address": ("https://verify.example.com", None, "accept"),
    "plain": (["api", "files"], None, "accept"),
    "no-text": (None, None, "accept"),
}


@pytest.mark.parametrize(("named", "asked", "answer"), AUDIENCES.values(), ids=AUDIENCES)
def test_audience_that_nobody_asked_for_may_name_a_special_token(
    named: Any, asked: str | None, answer: str
) -> None:
    token = mint({"aud": named, "exp": NOW + 600, "sub": "alice"})

    assert verdict(make_verifier(audience=asked), token) == answer


HEADERS: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "none": ({}, KINDS),
    "jwt": ({"typ": "JWT"}, KINDS),
    "access": ({"typ": "at+jwt"}, ("access", "any")),
    "access-media-type": ({"typ": "application/AT+JWT"}, ("access", "any")),
    "refresh": ({"typ": "rt+jwt"}, ()),
    "logout": ({"typ": "logout+jwt"}, ()),
    "event": ({"typ": "secevent+jwt"}, ()),
    "dpop": ({"typ": "dpop+jwt"}, ()),
    "request": ({"typ": "oauth-authz-req+jwt"}, ()),
    "assertion": ({"typ": "client-authentication+jwt"}, ()),
    "introspection": ({"typ": "token-introspection+jwt"}, ()),
    "id": ({"typ": "id_token"}, ()),
    "null": ({"typ": None}, ()),
    "nested": ({"cty": "JWT"}, ()),
    "nested-media-type": ({"typ": "JWT", "cty": "application/jwt"}, ()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("header", "takers"), HEADERS.values(), ids=HEADERS)
def test_type_in_the_header_is_one_that_is_known(
    header: Mapping[str, Any], takers: tuple[str, ...], kind: str
) -> None:
    answer = outcome({"exp": NOW + 600, "sub": "alice"}, kind, header)

    assert answer == ("accept" if kind in takers else "type")


def test_type_in_the_header_outweighs_a_nonce() -> None:
    claims = {"exp": NOW + 600, "nonce": "n"}

    assert outcome(claims, "access", {"typ": "at+jwt"}) == "accept"
    assert outcome(claims, "access", {"typ": "JWT"}) == "type"
    assert outcome({**claims, "at_hash": "h"}, "access", {"typ": "at+jwt"}) == "type"
    assert outcome({**claims, "at_hash": "h"}, "any", {"typ": "at+jwt"}) == "accept"


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "id": ({"token_kind": "id"}, "token_kind is 'id', and audience is None"),
    "any": ({"token_kind": "any"}, "token_kind is 'any', and audience is None"),
    "unknown": ({"token_kind": "refresh"}, "token_kind is no kind of token"),
    "none": ({"token_kind": None}, "token_kind is no kind of token"),
    "strict": (
        {"token_kind": "any", "audience": "api", "strict": True},
        "token_kind is 'any', and strict asks for access tokens",
    ),
}


@pytest.mark.parametrize(("settings", "problem"), BAD.values(), ids=BAD)
def test_kind_that_cannot_be_told_is_named_by_the_constructor(
    settings: dict[str, Any], problem: str
) -> None:
    (found,) = configured(**settings)

    assert problem in found
