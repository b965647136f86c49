"""Neither a token nor a key is ever in an error, a repr or a log."""

import asyncio
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from fastapi_scopes import Claims
from fastapi_scopes.errors import ConfigurationError, TokenError
from fastapi_scopes.verifiers._jose import ALGORITHMS, bind_key
from fastapi_scopes.verifiers.base import SharedClaims
from fastapi_scopes.verifiers.keys.material import material_of
from fastapi_scopes.verifiers.keys.secrets import secret_material
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from fastapi_scopes.verifiers.tokens.compact import parse_compact_jws
from tests.verifiers.minting import NOW, b64, jwk, mint, pem, rsa_key
from tests.verifiers.verifying import make_verifier

CANARY = "canary-0123456789"
SECRET = f"{CANARY}-{CANARY}-{CANARY}"


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


TOKENS: dict[str, str] = {
    "signature": mint(sub=CANARY, key=f"x{SECRET}"),
    "expired": mint(sub=CANARY, exp=NOW - 1, key=SECRET),
    "issuer": mint(iss=CANARY, key=SECRET),
    "scopes": mint(iss="https://as", scope=f"{CANARY}\t", key=SECRET),
    "payload": mint(f"{CANARY} no json", key=SECRET),
    "not-utf8": mint(CANARY.encode() + b"\xff", key=SECRET),
    "header": mint(header=f"{CANARY} no json", key=SECRET),
    "kid": mint(header={"kid": CANARY * 30}, key=SECRET),
    "typ": mint(header={"typ": CANARY}, key=SECRET),
    "algorithm": mint(header={"alg": CANARY}, key=SECRET),
    "malformed": f"{CANARY}.{CANARY}\u00e9",
    "claims": mint(sub=CANARY, jti=[CANARY], key=SECRET),
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_refused_token_is_never_quoted(token: str, caplog: pytest.LogCaptureFixture) -> None:
    # The rows that are good but for the issuer are refused for it.
    verifier = make_verifier(SECRET, issuer="https://as")

    with caplog.at_level(logging.DEBUG), pytest.raises(TokenError) as caught:
        asyncio.run(verifier.verify(token))

    text = shown(caught.value) + caplog.text
    assert CANARY not in text
    assert b64(CANARY)[:16] not in text
    assert token not in text


SOURCES: dict[str, tuple[Any, str]] = {
    "short": (CANARY, "HS256"),
    "short-bytes": (CANARY.encode(), "HS256"),
    "surrogate": (SECRET + "\ud800", "HS256"),
    "secret-for-rsa": (SECRET, "RS256"),
    "pem-for-hmac": (f"-----BEGIN {CANARY}-----", "HS256"),
    "broken-pem": (f"-----BEGIN PUBLIC KEY-----\n{CANARY}\n-----END PUBLIC KEY-----", "RS256"),
    "json-text": (json.dumps({"k": CANARY}), "HS256"),
    "oct-short": ({"kty": "oct", "k": CANARY, "kid": CANARY}, "HS256"),
    "oct-not-base64url": ({"kty": "oct", "k": CANARY + "="}, "HS256"),
    "members-mixed-up": ({"kty": "oct", "alg": SECRET, "k": "HS256"}, "HS256"),
    "alg-is-the-key": (jwk(rsa_key(), alg=CANARY), "RS256"),
    "kty-is-the-key": ({"kty": CANARY}, "RS256"),
    "use-is-the-key": (jwk(rsa_key(), use=CANARY), "RS256"),
    "crv-is-the-key": ({"kty": "OKP", "crv": CANARY}, "EdDSA"),
    "jwks": ({"keys": [{"kty": "oct", "k": CANARY}]}, "HS256"),
    "jwks-is-the-key": ({"keys": CANARY}, "HS256"),
    "list": ([CANARY], "HS256"),
}


@pytest.mark.parametrize(("source", "algorithm"), SOURCES.values(), ids=SOURCES)
def test_refused_key_is_never_quoted(source: Any, algorithm: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_verifier(source, algorithms=[algorithm])

    assert CANARY not in shown(caught.value)


def test_refused_key_file_is_never_quoted(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for content in (CANARY, '{"kty":' + CANARY, '{"kty":"oct","k":"' + CANARY + '"}'):
        path.write_text(content, "utf-8")

        with pytest.raises(ConfigurationError) as caught:
            make_verifier(path, algorithms=["HS256"])
        assert CANARY not in shown(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        {"keys": SECRET},
        {"algorithms": [SECRET]},
        {"algorithms": SECRET},
        {"issuer": ["", SECRET]},
        {"audience": SECRET.encode()},
        {"scopes_claim": SECRET.encode()},
        {"leeway": SECRET},
        {"now": SECRET},
        {"claims_model": SECRET},
    ],
)
def test_secret_under_the_wrong_keyword_is_never_quoted(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_verifier(**config)

    assert CANARY not in shown(caught.value)


def test_no_repr_shows_a_key_or_a_token() -> None:
    hs256 = ALGORITHMS["HS256"]
    verifier = make_verifier(SECRET, {"kty": "oct", "k": b64(SECRET), "kid": CANARY})
    token = mint(sub=CANARY, key=SECRET, header={"kid": CANARY})
    objects = [
        verifier,
        SharedClaims(Claims(exp=NOW, sub=CANARY, jti=token)),
        vars(verifier),
        bind_key(hs256, SECRET.encode()),
        secret_material(SECRET.encode(), [hs256]),
        parse_compact_jws(token, frozenset({"HS256"})),
    ]

    for each in objects:
        assert CANARY not in repr(each)
        assert token not in repr(each)
        assert b64(SECRET) not in repr(each)


def test_repr_says_what_is_configured() -> None:
    verifier = make_verifier(pem(rsa_key()), algorithms=["RS256", "PS256"])

    assert repr(verifier) == "<JWTVerifier with <VerificationKeys for PS256, RS256>>"
    assert repr(bind_key(ALGORITHMS["HS256"], b"x")) == "<_SecretKey for HS256>"
    assert str(rsa_key().public_key().public_numbers().n) not in repr(material_of(rsa_key()))


def test_verified_payload_is_not_in_the_repr() -> None:
    verified = verify_compact_jws(mint(sub=CANARY, key=SECRET), keys=[SECRET], algorithms=["HS256"])

    assert CANARY not in repr(verified)
