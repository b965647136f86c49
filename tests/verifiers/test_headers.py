from typing import Any

import pytest

from fastapi_scopes.errors import TokenError
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.minting import SECRET, b64, mint, mint_raw
from tests.verifiers.verifying import make_verifier, verdict

ACCEPTED: dict[str, dict[str, Any]] = {
    "typ-jwt": {"typ": "JWT"},
    "typ-lower": {"typ": "jwt"},
    "typ-at": {"typ": "at+jwt"},
    "typ-at-upper": {"typ": "AT+JWT"},
    "typ-media-type": {"typ": "application/at+jwt"},
    "typ-media-type-jwt": {"typ": "application/JWT"},
    "kid-256": {"kid": "k" * 256},
    "kid-path": {"kid": "../../dev/null' OR 1=1--"},
    "kid-empty": {"kid": ""},
    "kid-unicode": {"kid": "\u00fc\u0000"},
    "jku": {"jku": "https://attacker.example/jwks"},
    "x5u": {"x5u": "https://attacker.example/cert", "x5t": "x", "x5c": ["MIIB"]},
    "jwk": {"jwk": {"kty": "oct", "k": "AAAA"}},
    "cty-of-others": {"cty": "application/json"},
    "unknown": {"x-extra": {"a": [1, 2.5, None]}},
    "extra-1-kib": {"x": "x" * 1024},
}


@pytest.mark.parametrize("members", ACCEPTED.values(), ids=ACCEPTED)
def test_header_that_changes_nothing_is_accepted(members: dict[str, Any]) -> None:
    assert verdict(make_verifier(), mint(header=members)) == "accept"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "alg-empty": ({"alg": ""}, "algorithm"),
    "alg-null": ({"alg": None}, "algorithm"),
    "alg-number": ({"alg": 1}, "algorithm"),
    "alg-true": ({"alg": True}, "algorithm"),
    "alg-list": ({"alg": ["HS256"]}, "algorithm"),
    "alg-object": ({"alg": {"a": 1}}, "algorithm"),
    "alg-case": ({"alg": "hs256"}, "algorithm"),
    "alg-space": ({"alg": "HS256 "}, "algorithm"),
    "alg-nul": ({"alg": "HS256\0"}, "algorithm"),
    "alg-part": ({"alg": "S256"}, "algorithm"),
    "alg-not-configured": ({"alg": "HS512"}, "algorithm"),
    "alg-jwe": ({"alg": "dir"}, "algorithm"),
    "crit-unknown": ({"crit": ["x-foo"], "x-foo": 1}, "header"),
    "crit-absent": ({"crit": ["x-foo"]}, "header"),
    "crit-standard": ({"crit": ["exp"], "exp": 1}, "header"),
    "crit-empty": ({"crit": []}, "header"),
    "crit-text": ({"crit": "x"}, "header"),
    "crit-null": ({"crit": None}, "header"),
    "b64-false": ({"b64": False}, "header"),
    "b64-true": ({"b64": True}, "header"),
    "b64-crit": ({"b64": True, "crit": ["b64"]}, "header"),
    "enc": ({"enc": "A128GCM"}, "header"),
    "zip": ({"zip": "DEF"}, "header"),
    "kid-number": ({"kid": 1}, "header"),
    "kid-null": ({"kid": None}, "header"),
    "kid-list": ({"kid": ["a"]}, "header"),
    "kid-object": ({"kid": {"a": 1}}, "header"),
    "kid-257": ({"kid": "k" * 257}, "header"),
    "too-large": ({"x": "x" * 2048}, "too_large"),
    "surrogate": ({"x": "\ud800"}, "header"),
    "surrogate-kid": ({"kid": "\udfff"}, "header"),
    "nan": ({"x": float("nan")}, "header"),
    "infinity": ({"x": [float("inf")]}, "header"),
}


@pytest.mark.parametrize(("members", "answer"), REFUSED.values(), ids=REFUSED)
def test_header_that_would_change_the_meaning_is_refused(
    members: dict[str, Any], answer: str
) -> None:
    token = mint(header=members)

    assert verdict(make_verifier(), token) == answer
    with pytest.raises(TokenError):
        verify_compact_jws(token, keys=[SECRET], algorithms=["HS256"])


TYPES: list[Any] = [
    *("dpop+jwt", "logout+jwt", "secevent+jwt", "id+jwt", "JOSE", "at+jwt ", "application/", ""),
    *("application/dpop+jwt", "JWT\0", "\u212awt", "text/at+jwt"),
    *(None, 123, True, ["JWT"], {"JWT": 1}),
]


@pytest.mark.parametrize("typ", TYPES)
def test_token_of_another_type_is_refused(typ: Any) -> None:
    assert verdict(make_verifier(), mint(header={"typ": typ})) == "type"


@pytest.mark.parametrize("typ", TYPES)
def test_type_is_none_of_a_jws_s_business(typ: Any) -> None:
    # RFC 7515 4.1.9: ignored by JWS implementations, there for the application.
    token = mint(header={"typ": typ})

    assert verify_compact_jws(token, keys=[SECRET], algorithms=["HS256"]).header["typ"] == typ


RAW: dict[str, bytes | str] = {
    "list": '["alg","HS256"]',
    "text": '"HS256"',
    "null": "null",
    "empty": "",
    "trailing": '{"alg":"HS256"}x',
    "not-utf8": b'\xff{"alg":"HS256"}',
    "utf16": '{"alg":"HS256"}'.encode("utf-16-le"),
    "bom": b'\xef\xbb\xbf{"alg":"HS256"}',
    "duplicate": '{"alg":"none","alg":"HS256"}',
    "duplicate-by-escape": '{"alg":"none","\\u0061lg":"HS256"}',
    "number-1e400": '{"alg":"HS256","x":1e400}',
    "minus-infinity": '{"alg":"HS256","x":-Infinity}',
    "no-quotes": "{alg:HS256}",
}


@pytest.mark.parametrize("header", RAW.values(), ids=RAW)
def test_header_that_is_no_strict_json_object_is_refused(header: bytes | str) -> None:
    assert verdict(make_verifier(), mint(header=header)) == "header"


def test_algorithm_is_required() -> None:
    token = mint_raw(b64('{"typ":"JWT"}'), b64('{"exp":1800000600}'))

    assert verdict(make_verifier(), token) == "algorithm"


def test_empty_payload_is_a_jws_and_no_jwt() -> None:
    token = mint("")

    assert verify_compact_jws(token, keys=[SECRET], algorithms=["HS256"]).payload == b""
    assert verdict(make_verifier(), token) == "payload"


def test_verified_header_cannot_be_changed() -> None:
    verified = verify_compact_jws(mint(), keys=[SECRET], algorithms=["HS256"])

    with pytest.raises(TypeError):
        verified.header["alg"] = "none"  # type: ignore[index]


def encrypted(header: str, rest: str = "..aXY.Y3Q.dGFn") -> str:
    return b64(header) + rest


DIRECT = '{"alg":"dir","enc":"A256GCM"}'
ENCRYPTED: dict[str, tuple[str, str]] = {
    "direct": (encrypted(DIRECT), "encrypted"),
    "with-a-key": (encrypted(DIRECT, ".a2V5.aXY.Y3Q.dGFn"), "encrypted"),
    "without-enc": (encrypted('{"alg":"dir"}'), "malformed"),
    "no-json": (encrypted("header"), "malformed"),
    "no-base64": ("!..aXY.Y3Q.dGFn", "malformed"),
    "long-header": (encrypted(f'{{"enc":"A256GCM","x5c":["{"x" * 2200}"]}}'), "encrypted"),
    "four-segments": (encrypted(DIRECT, ".aXY.Y3Q.dGFn"), "malformed"),
    "six-segments": (encrypted(DIRECT, "..aXY.Y3Q.dGFn.eA"), "malformed"),
    "signed-with-enc": (mint(header={"enc": "A256GCM"}), "header"),
}


@pytest.mark.parametrize(("token", "answer"), ENCRYPTED.values(), ids=ENCRYPTED)
def test_encrypted_token_is_told_apart_from_a_malformed_one(token: str, answer: str) -> None:
    assert verdict(make_verifier(), token) == answer
