"""CVE-2016-5431, CVE-2024-33663, CVE-2026-85394: who knows a public key signs HS256 with it."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastapi_scopes.verifiers import _jose
from tests.verifiers.minting import (
    SECRET,
    b64,
    der,
    ec_key,
    ed25519_key,
    jwk,
    mint,
    openssh,
    pem,
    rsa_key,
)
from tests.verifiers.verifying import configured, make_verifier, verdict

PKCS1 = PublicFormat.PKCS1


def body(text: str) -> str:
    return "\n".join(text.strip().splitlines()[1:-1])


def certificate_frame() -> bytes:
    # What a DER certificate begins with: SEQUENCE, SEQUENCE, [0] version.
    inner = b"\x30\x22\xa0\x03\x02\x01\x02" + b"\x02" * 29
    return b"\x30" + bytes([len(inner) + 4]) + inner + b"\x30\x02\x06\x00"


DISGUISES: dict[str, Any] = {
    "pem": pem(rsa_key()),
    "pem-bytes": pem(rsa_key()).encode(),
    "pem-stripped": pem(rsa_key()).strip(),
    "pem-crlf": pem(rsa_key()).replace("\n", "\r\n"),
    "pem-one-line": pem(rsa_key()).replace("\n", ""),
    "pem-escaped": pem(rsa_key()).replace("\n", "\\n"),
    "pem-ec": pem(ec_key()),
    "pem-ed25519": pem(ed25519_key()),
    "pem-pkcs1": rsa_key().public_key().public_bytes(Encoding.PEM, PKCS1),
    "pem-without-begin": pem(rsa_key()).split("\n", 1)[1],
    "rfc4716": "---- BEGIN SSH2 PUBLIC KEY ----\n" + b64(der(rsa_key())),
    "der-spki": der(rsa_key()),
    "der-spki-line-break": der(rsa_key()) + b"\n",
    "der-pkcs1": der(rsa_key(), PKCS1),
    "der-ec": der(ec_key()),
    "der-ed25519": der(ed25519_key()),
    "der-certificate": certificate_frame(),
    "base64-spki": body(pem(rsa_key())),
    "base64-spki-one-line": body(pem(rsa_key())).replace("\n", ""),
    "base64-spki-unpadded": base64.b64encode(der(ed25519_key())).rstrip(b"="),
    "base64url-spki": b64(der(rsa_key())),
    "base64-pkcs1": base64.b64encode(der(rsa_key(), PKCS1)),
    "base64-ec": base64.b64encode(der(ec_key())).decode(),
    "base64-pem": base64.b64encode(pem(rsa_key()).encode()).decode(),
    "openssh-rsa": openssh(rsa_key()),
    "openssh-ec": openssh(ec_key()),
    "openssh-ed25519": openssh(ed25519_key()),
    "openssh-with-options": 'command="x" ' + openssh(ed25519_key()) + " alice@host",
    "openssh-body": openssh(ec_key()).split()[1],
    "openssh-blob": base64.b64decode(openssh(rsa_key()).split()[1]),
    "jwk-text": json.dumps(jwk(rsa_key())),
    "jwk-text-of-a-secret": json.dumps(jwk(SECRET)),
    "jwks-text": json.dumps({"keys": [jwk(ec_key())]}),
    "json-list": json.dumps([jwk(ec_key())]),
    "json-spaced": "\n " + json.dumps(jwk(rsa_key()), indent=2),
    "json-deep": "[" * 100_000,
    "base64-jwk": b64(json.dumps(jwk(rsa_key()))),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_public_key_is_no_secret_in_any_disguise(disguise: Any) -> None:
    raw = disguise if isinstance(disguise, bytes) else disguise.encode()

    for key in (disguise, {"kty": "oct", "k": b64(raw)}):
        problems = configured(key, algorithms=["HS256"])
        assert len(problems) == 1
        assert "is a key, a certificate or JSON, not a secret" in problems[0]


@pytest.mark.parametrize("source", [pem(rsa_key()), der(rsa_key()), jwk(rsa_key())])
def test_forger_with_the_public_key_signs_for_no_verifier(source: Any) -> None:
    raw = source if isinstance(source, bytes) else str(source).encode()
    forged = mint(key=raw)

    assert configured(source, algorithms=["RS256", "HS256"]) == (
        "algorithms mixes HS* with others; keep one kind, or make a verifier for each",
    )
    assert verdict(make_verifier(source, algorithms=["RS256"]), forged) == "algorithm"


HARMLESS: dict[str, Any] = {
    "passphrase": "correct horse battery staple, and again: correct horse",
    "base64-of-random": base64.b64encode(bytes(range(7, 71))).decode(),
    "hex": bytes(range(32)).hex(),
    "digits": "1" * 64,
    "json-number-in-base64": base64.b64encode(b"1" * 48),
    "begins-like-der": b"\x30\x3e" + b"\x04" * 62,
    "der-of-wrong-length": b"\x30\x20\x30\x02" + b"\x06" * 40,
    "der-with-one-integer": b"\x30\x22\x02\x20" + b"1" * 32,
    "der-long-form": b"\x30\x84" + b"\x7f" * 40,
    "der-cut-inside": b"\x30\x20\x30\x7f" + b"\x06" * 30,
    "der-frame-of-nothing": b"\x30\x01\x30" + b" " * 40,
    "zero": bytes(32),
}


@pytest.mark.parametrize("secret", HARMLESS.values(), ids=HARMLESS)
def test_secret_that_resembles_no_key_is_taken(secret: Any) -> None:
    assert verdict(make_verifier(secret), mint(key=secret)) == "accept"


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS256", "ES256", "Ed25519"])
def test_engine_is_given_no_key_material(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # CVE-2026-85394 is in what the engine makes of a text or bytes that it is given as a key.
    given: list[object] = []
    verify = _jose._verify_signature  # type: ignore[attr-defined]

    def spying(*signed: Any) -> Any:
        given.append(signed[3])
        return verify(*signed)

    monkeypatch.setattr(_jose, "_verify_signature", spying)

    token = mint(algorithm=algorithm)
    assert verdict(make_verifier(algorithms=[algorithm]), token) == "accept"
    assert [type(each).__module__ for each in given] == ["fastapi_scopes.verifiers._jose"]
    assert all(isinstance(each, _jose.BoundKey) and each.algorithm == algorithm for each in given)
