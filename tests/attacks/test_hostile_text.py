"""Whatever an issuer, a token or a client writes, a line of the log stays one short line."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_scopes._lines import one_line, quoted
from fastapi_scopes.verifiers import Document
from tests.verifiers.minting import jwk, rsa_key
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    Issuer,
    key_set_of,
    looped,
    make_jwks_verifier,
    outcome_of,
)

OPENID = f"{ISSUER}/.well-known/openid-configuration"
MAX_CHARS = 700
OUTCOMES = {"verifier_unavailable", "accept", "unknown_key", "too_large", "type"}
HOSTILE: Mapping[str, str] = {
    "newline": "a\nERROR forged",
    "carriage-return": "a\r\nERROR forged",
    "line-separator": "a\u2028ERROR forged",
    "paragraph-separator": "a\u2029ERROR forged",
    "next-line": "a\x85ERROR forged",
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "csi": "\x9b2J",
    "bidi": "a\u202egnp.exe\u2066",
    "invisible": "a\u200b\ufeff\U000e0041",
    "nul": "a\x00b",
    "long": "x" * 60_000,
    "long-and-hostile": "\u2028" * 20_000,
    "surrogate": "a\ud800",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_is_one_short_line(hostile: str) -> None:
    for line in (one_line(hostile), quoted(hostile)):
        assert line.isprintable()
        assert len(line) < MAX_CHARS
        line.encode()


def test_harmless_text_is_left_as_it_is() -> None:
    assert one_line("https://éxample.com/keys") == "https://éxample.com/keys"
    assert quoted("alice") == "'alice'"
    assert quoted("o'neill") == '"o\'neill"'


def metadata(**members: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": JWKS_URI, **members}).encode()


def at(hostile: str, body: Any) -> dict[str, Any]:
    """The documents of an issuer that names a key set at a *hostile* address, with *body*."""
    uri = f"https://issuer.example/{hostile}"
    return {OPENID: metadata(jwks_uri=uri), uri: body}


def key_set(hostile: str) -> bytes:
    odd = [
        {"kty": hostile, "n": "AQAB", "alg": hostile},
        {"kty": "EC", "crv": hostile, "x": "AQAB", "y": "AQAB", "kid": hostile},
        {**jwk(rsa_key()), "kid": hostile, "use": hostile, "alg": hostile, "key_ops": [hostile]},
        {**jwk(rsa_key()), hostile: hostile, "d": "AQAB", "kid": hostile},
        {hostile: hostile},
        hostile,
    ]
    return json.dumps({"keys": odd, hostile: hostile}).encode()


PLACES: Mapping[str, Any] = {
    "address-of-nothing": lambda hostile: at(hostile, b"{}"),
    "address-of-a-page": lambda hostile: at(hostile, b"<html>"),
    "address-of-certificates": lambda hostile: at(
        hostile, json.dumps({hostile: "-----BEGIN CERTIFICATE-----"}).encode()
    ),
    "address-of-google": lambda hostile: {
        OPENID: metadata(jwks_uri=f"https://www.googleapis.com/oauth2/v1/certs{hostile}"),
        f"https://www.googleapis.com/oauth2/v1/certs{hostile}": json.dumps(
            {hostile: "-----BEGIN CERTIFICATE-----"}
        ).encode(),
    },
    "address-of-another-algorithm": lambda hostile: at(hostile, key_set_of(jwk(rsa_key()))),
    "address-of-odd-keys": lambda hostile: at(hostile, key_set(hostile)),
    "address-that-fails": lambda hostile: at(hostile, KeyError(hostile)),
    "address-that-is-slow": lambda hostile: at(hostile, TimeoutError(hostile)),
    "address-of-no-url": lambda hostile: {OPENID: metadata(jwks_uri=hostile)},
    "issuer-of-metadata": lambda hostile: {OPENID: metadata(issuer=hostile)},
    "members-of-metadata": lambda hostile: {
        OPENID: metadata(**{hostile: hostile}, jwks_uri=[hostile])
    },
    "endpoints": lambda hostile: {
        OPENID: metadata(authorization_endpoint=hostile, token_endpoint=hostile)
    },
    "odd-keys": lambda hostile: {OPENID: metadata(), JWKS_URI: key_set(hostile)},
    "age": lambda hostile: {OPENID: metadata(), JWKS_URI: Document(b"{}", hostile)},  # type: ignore[arg-type]
    "token": lambda _: {},
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("documents_with", PLACES.values(), ids=PLACES)
@looped
async def test_line_about_an_issuer_is_one_short_line(
    documents_with: Any, hostile: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents = documents_with(hostile)
    verifier = make_jwks_verifier(algorithms=["ES256"], fetch=issuer.fetch, now=issuer.clock)
    verifier.discover_endpoints()
    caplog.set_level(logging.DEBUG, "fastapi_scopes")
    await verifier.warm_up()
    safe = hostile.encode(errors="replace").decode()
    token = issuer.mint(kid="k1", scp=safe, roles=[safe], sub=safe, jti=safe, aud=safe, typ=safe)
    assert await outcome_of(verifier, token) in OUTCOMES
    lines = [each.getMessage() for each in caplog.records if each.name == "fastapi_scopes"]
    assert lines or documents_with("") == {}
    assert [each for each in lines if not each.isprintable() or len(each) > MAX_CHARS] == []
