"""CVE-2016-5431, CVE-2024-33663, CVE-2026-85394: who knows a public key signs HS256 with it."""

import base64
import datetime
import json
import random
import string
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastapi_scopes.verifiers import _jose
from fastapi_scopes.verifiers._jose import ALGORITHMS
from fastapi_scopes.verifiers.keys.secrets import secret_material
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


def public_point(algorithm: str) -> bytes:
    point = ec_key(algorithm).public_key()
    return point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])


def csr(encoding: Encoding) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(NAME)
    return builder.sign(ec_key(), hashes.SHA256()).public_bytes(encoding)


def certificate() -> bytes:
    start = datetime.datetime(2020, 1, 1)
    unsigned = x509.CertificateBuilder(
        NAME, NAME, ec_key().public_key(), 1, start, start + datetime.timedelta(days=1)
    )
    return unsigned.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.DER)


DER = der(rsa_key())
N = rsa_key().public_key().public_numbers().n.to_bytes(256)
BIGGER = rsa_key(bits=3072).public_key().public_numbers().n
POINT = public_point("ES256")
RAW_25519 = ed25519_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
TEXT = "Public-Key: (2048 bit)\nModulus:\n    00:" + N.hex(":") + "\nExponent: 65537 (0x10001)\n"
RANDOM = random.Random(0).randbytes(64)  # noqa: S311

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
    "openssl-text": TEXT,
    "openssl-modulus": b"Modulus=" + N.hex().upper().encode(),
    "openssl-asn1parse": "    0:d=0  hl=4 l= 290 cons: SEQUENCE\n    4:d=1  hl=2 l=  13 prim",
    "openssl-ec-text": "pub:\n    " + POINT.hex(":") + "\nASN1 OID: prime256v1\n",
    "openssl-ed25519-text": "ED25519 Public-Key:\npub:\n    " + RAW_25519.hex(":"),
    "java-text": f"Sun RSA public key, 2048 bits\n  modulus: {int.from_bytes(N)}\n",
    "python-numbers": repr(rsa_key().public_key().public_numbers()),
    "modulus-decimal": str(int.from_bytes(N)),
    "modulus-decimal-after-a-name": f"n = {BIGGER}",
    "modulus-base64url": b64(N),
    "modulus-base64": base64.b64encode(N),
    "modulus-hex": N.hex(),
    "modulus-hex-with-zero": "00:" + N.hex(":"),
    "modulus-hex-0x": hex(int.from_bytes(N)),
    "modulus-of-3072-bits": b64(BIGGER.to_bytes(384)),
    "modulus-after-a-name": "JWT_KEY_N=" + b64(N),
    "point": POINT,
    "point-hex": POINT.hex(),
    "point-base64url": b64(POINT),
    "point-coordinates": POINT[1:],
    "point-of-p384": public_point("ES384"),
    "point-of-p521": public_point("ES512").hex(),
    "curve-and-point": "P-256, " + b64(POINT[1:33]),
    "ed25519-and-key": "ed25519 " + b64(RAW_25519),
    "ed25519-colon-key": "ed25519:" + base64.b64encode(RAW_25519).decode(),
    "public-key-labelled": "public_key: " + b64(RAW_25519),
    "der-hex": der(rsa_key()).hex(),
    "der-hex-upper": der(rsa_key()).hex().upper(),
    "der-hex-colons": der(ec_key()).hex(":"),
    "der-hex-spaces": der(ed25519_key()).hex(" "),
    "der-hex-0x": "0x" + der(rsa_key()).hex(),
    "der-hex-lines": "\n".join(textwrap.wrap(der(rsa_key()).hex(), 60)),
    "der-c-array": "unsigned char k[] = {" + ", ".join(f"0x{each:02x}" for each in DER) + "};",
    "der-xxd": '00000000: 3082 0122 300d 0609 2a86 4886 f70d 0101  0.."0...*.H.....',
    "der-repr": repr(der(rsa_key())),
    "der-escapes": "".join(f"\\x{each:02x}" for each in DER),
    "der-and-text": der(rsa_key()) + b"xx",
    "der-pkcs1-and-text": der(rsa_key(), PKCS1) + b" alice@host",
    "der-after-text": b"key=" + der(ec_key()),
    "der-csr": csr(Encoding.DER),
    "pem-csr": csr(Encoding.PEM),
    "certificate-base64": base64.b64encode(certificate()),
    "certificate-body-in-a-header": "x5c: " + base64.b64encode(certificate()).decode(),
    "pem-without-end": pem(rsa_key())[:200],
    "pem-percent": quote(pem(rsa_key()), safe=""),
    "pem-percent-twice": quote(quote(pem(rsa_key()), safe=""), safe=""),
    "pem-utf-16": pem(rsa_key()).encode("utf-16"),
    "pem-utf-16-le": pem(rsa_key()).encode("utf-16-le"),
    "pem-utf-16-be": pem(rsa_key()).encode("utf-16-be"),
    "pem-utf-8-bom": pem(rsa_key()).encode("utf-8-sig"),
    "body-utf-16": body(pem(rsa_key())).encode("utf-16"),
    "body-in-quotes": '"' + body(pem(rsa_key())).replace("\n", "\\n") + '"',
    "body-indented": textwrap.indent(body(pem(rsa_key())), "    "),
    "body-of-ec-in-yaml": "key: |\n" + textwrap.indent(body(pem(ec_key())), "  "),
    "base64-twice": base64.b64encode(base64.b64encode(der(rsa_key()))),
    "base64-of-hex": base64.b64encode(der(rsa_key()).hex().encode()),
    "base64-of-utf-16": base64.b64encode(pem(rsa_key()).encode("utf-16")),
    "base64-three-times": base64.b64encode(base64.b64encode(base64.b64encode(der(ec_key())))),
    "hex-of-pem": pem(rsa_key()).encode().hex(),
    "openssh-percent": quote(openssh(ed25519_key())),
    "ssh2": "---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\n" + openssh(rsa_key()).split()[1],
    "pgp": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF\n",
    "pgp-binary": b"\x99\x01\x0d\x04" + bytes(4) + b"\x01\x08\x00" + N,
    "putty": "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 2\nAAAA",
    "xml": f"<RSAKeyValue><Modulus>{base64.b64encode(N).decode()}</Modulus></RSAKeyValue>",
    "xml-with-prefix": f"<ds:Modulus>{base64.b64encode(N).decode()}</ds:Modulus>",
    "jwk-python": repr(jwk(rsa_key())),
    "jwk-php": "['kty' => 'RSA', 'n' => '" + jwk(rsa_key())["n"][:40] + "']",
    "jwk-html": json.dumps(jwk(ec_key())).replace('"', "&quot;"),
    "did": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    "minisign": "untrusted comment: minisign\nRWQ" + b64(RAW_25519),
    "jwk-yaml": "kty: EC\ncrv: P-256\nx: " + jwk(ec_key())["x"],
    "jwk-trailing-comma": json.dumps(jwk(rsa_key()))[:-1] + ",}",
    "jwk-twice": json.dumps(jwk(rsa_key())) + "\n" + json.dumps(jwk(ec_key())),
    "jwk-escaped": json.dumps(json.dumps(jwk(ec_key()))),
    "jwk-percent": quote(json.dumps(jwk(ec_key()))),
    "jwk-members-without-kty": json.dumps({"n": b64(N), "e": "AQAB"}) + ";",
    "jwk-text": json.dumps(jwk(rsa_key())),
    "jwk-text-of-a-secret": json.dumps(jwk(SECRET)),
    "jwks-text": json.dumps({"keys": [jwk(ec_key())]}),
    "json-list": json.dumps([jwk(ec_key())]),
    "json-spaced": "\n " + json.dumps(jwk(rsa_key()), indent=2),
    "json-without-a-key": json.dumps({"client_secret": RANDOM.hex()}),
    "json-list-of-texts": json.dumps([RANDOM.hex()]),
    "json-deep": "[" * 100_000,
    "json-deep-object": '{"a":' * 100_000,
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
    "digits": "31415926535897932384626433832795",
    "json-number-in-base64": base64.b64encode(b"31415926535897932384626433832795"),
    "begins-like-der": b"\x30\x3e" + RANDOM[:62],
    "der-of-wrong-length": b"\x30\x20\x30\x02\x06" + RANDOM[:40],
    "der-with-one-integer": b"\x30\x22\x02\x20" + RANDOM[:32],
    "der-long-form": b"\x30\x84\x7f" + RANDOM[:40],
    "der-cut-inside": b"\x30\x20\x30\x7f\x06" + RANDOM[:29],
    "der-frame-of-nothing": b"\x30\x01\x30" + RANDOM[:40],
    "one-bracket": "{" + RANDOM.hex(),
    "json-string": json.dumps(RANDOM.hex()),
    "prose-about-keys": "the public key of my heart is a secret that I keep",
    "groups-of-hex": RANDOM[:32].hex(" ", 2),
    "digits-of-the-size-of-a-modulus": str(7**730),
    "modulus-that-is-even": b64(N[:-1] + b"\0"),
    "modulus-with-a-small-factor": b64((3 * (int.from_bytes(N) // 3 | 1)).to_bytes(256)),
    "modulus-of-an-odd-size": b64(b"\x7f" + N[1:]),
    "point-off-the-curve": b"\x04" + RANDOM[:64],
    "point-compressed": b"\x02" + POINT[1:33],
    "ed25519-raw": RAW_25519,
    "short-base64-in-words": "ed25519 is the name of my cat, she is 7",
    "curve-and-words": "P-256 is a curve; so is P-384, and my secret is neither",
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


TEXT_OF: Mapping[str, Callable[[random.Random, int], Any]] = {
    "token_bytes": lambda source, size: source.randbytes(size),
    "token_hex": lambda source, size: source.randbytes(size).hex(),
    "token_urlsafe": lambda source, size: b64(source.randbytes(size)),
    "openssl-rand-base64": lambda source, size: base64.encodebytes(source.randbytes(size)),
    "uuids": lambda source, size: "-".join(
        str(uuid.UUID(bytes=source.randbytes(16))) for _ in range(1 + size // 32)
    ),
    "letters-and-digits": lambda source, size: "".join(
        source.choices(string.ascii_letters + string.digits, k=size)
    ),
    "passwords": lambda source, size: "".join(
        source.choices(string.ascii_letters + string.digits + string.punctuation, k=size)
    ),
}


@pytest.mark.parametrize("make", TEXT_OF.values(), ids=TEXT_OF)
def test_real_secret_is_never_refused(make: Callable[[random.Random, int], Any]) -> None:
    source = random.Random(12)  # noqa: S311
    algorithms = [ALGORITHMS["HS256"]]

    for number in range(3000):
        secret = make(source, 32 + number % 97)
        data = secret if isinstance(secret, bytes) else secret.encode()
        assert secret_material(data, algorithms).value == data


@pytest.mark.parametrize("size", [256, 257, 384, 512])
def test_random_bytes_of_the_size_of_a_modulus_are_a_secret(size: int) -> None:
    source = random.Random(size)  # noqa: S311

    for _ in range(300):
        assert secret_material(source.randbytes(size), [ALGORITHMS["HS256"]])


HUGE_SIZE = 256 * 1024
NOISE = random.Random(1).randbytes(HUGE_SIZE)  # noqa: S311
HUGE: dict[str, bytes] = {
    "brackets": b"[" * HUGE_SIZE,
    "open-objects": b'{"a":' * (HUGE_SIZE // 5),
    "ssh": b"ssh-" * (HUGE_SIZE // 4),
    "kty": b"kty" * (HUGE_SIZE // 3),
    "kty-spaces": (b"kty" + b" " * 9) * (HUGE_SIZE // 12),
    "modulus": b"modulus (" * (HUGE_SIZE // 9),
    "public-key": b"public key " * (HUGE_SIZE // 11),
    "curve": b"P-256" * (HUGE_SIZE // 5),
    "curve-separators": (b"p-256" + b"-" * 60) * (HUGE_SIZE // 65),
    "hex": b"ab" * (HUGE_SIZE // 2),
    "hex-spaces": b"ab    " * (HUGE_SIZE // 6),
    "base64": base64.b64encode(NOISE[: HUGE_SIZE * 3 // 4]),
    "base64-parts": (b"A" * 40 + b",") * (HUGE_SIZE // 41),
    "base64-nested": base64.b64encode(base64.b64encode(base64.b64encode(bytes(HUGE_SIZE // 3)))),
    "percents": b"%41" * (HUGE_SIZE // 3),
    "escapes": b"\\x41" * (HUGE_SIZE // 4),
    "newlines": b"\n" * HUGE_SIZE,
    "host": b"a." * (HUGE_SIZE // 2),
    "colons": b"a:" * (HUGE_SIZE // 2),
    "digits-in-parts": (b"3141592653" * 250 + b",") * (HUGE_SIZE // 2501),
    "digits": b"31415926" * (HUGE_SIZE // 8),
    "your": b"your-super-" * (HUGE_SIZE // 11),
    "camel": b"aA" * (HUGE_SIZE // 2),
    "asn1": b"\x30\x82" * (HUGE_SIZE // 2),
    "random": NOISE,
    "words": b"change replace at least your 256 bits " * (HUGE_SIZE // 38),
    "dots": b".well-known" * (HUGE_SIZE // 11),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_huge_text_is_judged_in_time(text: bytes) -> None:
    begun = time.process_time()
    configured(text, algorithms=["HS256"])

    # A quadratic search of one of these takes minutes.
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, '[{"a":' * 40_000 + "1"])
def test_deep_text_is_no_secret_and_takes_no_stack(text: str) -> None:
    found: list[tuple[str, ...]] = []
    threading.stack_size(128 * 1024)
    try:
        thread = threading.Thread(target=lambda: found.append(configured(text)))
        thread.start()
    finally:
        threading.stack_size(0)
    thread.join()

    assert "is a key, a certificate or JSON" in found[0][0]
