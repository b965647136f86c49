"""Keys, certificates, JSON and URLs that are passed as a secret, in whatever spelling.

A key is told by its frame, its labels or its arithmetic, since a parser would let every key pass
that it cannot read. Raw bytes of an Ed25519 key and a compressed point of a curve have none of
these: they cannot be told from a random secret.
"""

import json
import math
import re

from cryptography.hazmat.primitives.asymmetric import ec

from fastapi_scopes.verifiers.keys.spellings import parts_of

__all__ = ["looks_like_key"]

_I = re.IGNORECASE
_S = re.DOTALL

# INVARIANT: every repetition is bounded or cannot be entered twice for one character, so that
# 256 KiB are read in linear time (test_huge_text_is_judged_in_time).
_LABELS = (
    # PEM (RFC 7468), PGP (RFC 9580 6.2), SSH2 (RFC 4716), PuTTY.
    re.compile(rb"----[- ]?(?:BEGIN|END)|PuTTY-User-Key-File|Public-Lines:"),
    # The comment of a minisign key; a DID (W3C DID 3.1), of which some are keys.
    re.compile(rb"untrusted comment:|\bdid:[a-z0-9]{2,16}:"),
    re.compile(rb"(?:ssh-|ecdsa-sha2-|sk-)[!-~]{0,64}[ \t]{1,8}AAAA"),
    # A JWK, also as YAML or as the repr of a dict; XML signatures.
    re.compile(
        rb"kty(?:[\"'\\]|&quot;){0,4}\s{0,8}[:=>]{1,2}\s{0,8}(?:[\"'\\]|&quot;){0,4}"
        rb"(?:RSA|EC|OKP|oct)\b",
        _I,
    ),
    re.compile(rb"[RD]SAKeyValue|ECKeyValue|X509Certificate|<(?:\w{1,16}:)?Modulus", _I),
    # The texts of openssl, gnutls, keytool, and the reprs of key objects.
    re.compile(rb"\bModulus\s{0,8}(?:\([^)]{1,16}\))?\s{0,8}[:=]", _I),
    re.compile(rb"\bpub(?:lic)?[ _-]?(?:key|exponent)[\"']?\s{0,8}[:=>(]", _I),
    re.compile(rb"\bpub:\s{0,24}(?:[0-9a-f]{2}:){4}", _I),
    re.compile(rb"\b(?:ASN1 OID|NIST CURVE|Public[ -]Key(?: Algorithm| Info)?)\s{0,8}:", _I),
    re.compile(rb"\d:d=\d{1,4}\s{1,4}hl=\d|PublicNumbers\(|(?:Rsa|Ecc|Dsa)Key\(|RSAPublicKey"),
    # A curve, and then the point.
    re.compile(
        rb"\b(?:ed25519|ed448|x25519|secp\d{3}[kr]1|prime256v1|nistp\d{3}|P-?(?:256|384|521))\b"
        rb"[\"')\]]{0,2}[\s:=,>-]{1,16}[\"']?[A-Za-z0-9+/_=:.-]{40}",
        _I,
    ),
    # A dump of bytes, with an offset at the start of each line.
    re.compile(
        rb"^(?:[0-9a-f]{7,8}|[0-9a-f]{4,8}:)[ \t]{1,3}(?:[0-9a-f]{2,4}[ \t]{1,2}){4}",
        _I | re.MULTILINE,
    ),
)

_FRAMES = (
    # Object identifiers: the arcs of PKCS #1 and ANSI X9.62, and those of RFC 8410 and DSA.
    re.compile(rb"\x2a\x86\x48\x86\xf7\x0d\x01|\x2a\x86\x48\xce\x3d|\x2a\x86\x48\xce\x38\x04"),
    re.compile(rb"\x30\x05\x06\x03\x2b\x65[\x6e-\x71]|\x2b\x06\x01\x04\x01\xda\x47\x0f\x01"),
    # An RSAPublicKey (RFC 8017 A.1.1): a SEQUENCE that begins with a modulus.
    re.compile(rb"\x30(?:\x81.|\x82..)\x02(?:\x81.|\x82..)\x00", _S),
    # RFC 4253 6.6: an OpenSSH blob begins with the length and the name of its key type.
    re.compile(rb"\x00\x00\x00[\x07-\x40](?:ssh-|ecdsa-sha2-|sk-)"),
    # RFC 9580 5.5.2: an OpenPGP packet with an RSA key.
    re.compile(rb"\x99[\x00-\x04].\x04.{4}[\x01-\x03][\x04-\x20]\x00", _S),
)

_SEQUENCE = 0x30
_INTEGER = 0x02
# The inner SEQUENCE begins with an OID in an SPKI, with [0] or an INTEGER in a certificate.
_INNER_TAGS = (b"\x06", b"\xa0", b"\x02")

_POINT_BYTES = {
    32: (ec.SECP256R1(), ec.SECP256K1()),
    48: (ec.SECP384R1(),),
    66: (ec.SECP521R1(),),
}

_MOST_BRACKETS = 64
# An RSA modulus has no small factor; of random numbers of its form one in six has none.
_SMALL_FACTORS = math.factorial(1000)


def looks_like_key(data: bytes) -> bool:
    """Tell whether *data* is or holds a key, certificate or JSON text, in any spelling."""
    first, *decoded = parts_of(data)
    return _is_key(first) or any(_is_key(each) or _is_modulus(each) for each in decoded)


def _is_key(data: bytes) -> bool:
    return (
        any(each.search(data) for each in (*_LABELS, *_FRAMES))
        or _is_der_key(data)
        or _is_point(data)
        or _is_json_container(data)
    )


def _is_modulus(decoded: bytes) -> bool:
    number = int.from_bytes(decoded)
    bits = number.bit_length()
    return 2048 <= bits <= 16384 and bits % 256 == 0 and math.gcd(number, _SMALL_FACTORS) == 1


def _is_point(data: bytes) -> bool:
    """Tell whether *data* is a point of a curve: X9.62 uncompressed, or both coordinates."""
    body = data[1:] if len(data) % 2 and data.startswith(b"\x04") else data
    for curve in _POINT_BYTES.get(len(body) // 2, ()) if len(body) % 2 == 0 else ():
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + body)
        except ValueError:
            continue
        return True
    return False


def _is_der_key(data: bytes) -> bool:
    outer = _split_der(data)
    if outer is None or outer[0] != _SEQUENCE or outer[2].strip():
        return False
    inner = _split_der(outer[1])
    if inner is None:
        return False
    tag, content, more = inner
    if tag == _INTEGER:
        return bool(more)
    return tag == _SEQUENCE and content.startswith(_INNER_TAGS)


def _split_der(data: bytes) -> tuple[int, bytes, bytes] | None:
    # X.690 8.1: tag, length, content; then what follows.
    if len(data) < 2:
        return None
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        return None
    return tag, data[start : start + length], data[start + length :]


def _is_json_container(data: bytes) -> bool:
    text = data.strip()
    if not text.startswith((b"{", b"[")):
        return False
    # INVARIANT: json.loads takes the stack of C for each bracket, so it is not asked about many
    # (test_deep_text_is_no_secret_and_takes_no_stack).
    if text.count(b"{") + text.count(b"[") > _MOST_BRACKETS:
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
