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
    "request-object": {"response_type": "code", "client_id": "c", "scope": "a", "sub": "alice"},
    "request-object-uri": {"redirect_uri": "https://c.example", "client_id": "c"},
    "introspection-answer": {"token_introspection": {"active": True}, "sub": "alice"},
    "typ-unknown": {"typ": "Other"},
    "typ-number": {"typ": 7},
    "token-use-unknown": {"token_use": "other"},
    "token-use-null": {"token_use": None},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("claims", SPECIAL.values(), ids=SPECIAL)
def test_special_token_is_refused_by_every_kind(claims: Mapping[str, Any], kind: str) -> None:
    assert outcome({"exp": NOW + 600, **claims}, kind) == "type"


PLAIN: Mapping[str, Mapping[str, Any]] = {
    "type-of-a-user": {"type": "user"},
    "type-verified": {"type": "verified"},
    "type-confirmed": {"type": "confirmed_user"},
    "type-preset": {"type": "preset"},
    "type-registered": {"type": "registered"},
    "type-number": {"type": 7},
    "type-object": {"type": {"refresh": "refresh"}},
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
