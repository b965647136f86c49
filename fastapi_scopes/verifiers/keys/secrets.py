"""Secrets for HMAC; anything that looks like a key, a certificate or JSON is refused.

Where a public key is taken for a secret, everybody who knows it can sign (CVE-2016-5431,
CVE-2024-33663).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable

from fastapi_scopes.errors import Assignment
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers.keys.material import KeyMaterial, KeyRefusedError

__all__ = ["looks_like_key", "secret_material"]

_ARMOUR = re.compile(rb"----[- ]?(?:BEGIN|END)")
_OPENSSH = re.compile(rb"(?:ssh-|ecdsa-sha2-|sk-)[!-~]*[ \t]+AAAA")
_WHITESPACE = re.compile(rb"\s+")

# RFC 4253 6.6: an OpenSSH blob begins with the length and the name of its key type.
_OPENSSH_BLOB = re.compile(rb"\x00\x00\x00[\x07-\x40](?:ssh-|ecdsa-sha2-|sk-)")

_SEQUENCE = 0x30
_INTEGER = 0x02
# The inner SEQUENCE begins with an OID in an SPKI, with [0] or an INTEGER in a certificate.
_INNER_TAGS = (b"\x06", b"\xa0", b"\x02")


def secret_material(secret: bytes, algorithms: Iterable[Algorithm]) -> KeyMaterial:
    """Return *secret* as key material after a check that it is long enough for *algorithms*.

    Raises:
        KeyRefusedError: it is too short, or a key, a certificate or JSON text in disguise.
    """
    if looks_like_key(secret):
        raise KeyRefusedError(
            "is a key, a certificate or JSON, not a secret: a public one would let anybody sign "
            "under HS*",
            Assignment("algorithms", lead="name its own in"),
        )
    longest = max(algorithms, key=lambda each: each.min_secret_bytes)
    if len(secret) < longest.min_secret_bytes:
        raise KeyRefusedError(
            f"is a secret shorter than the {longest.min_secret_bytes} bytes that {longest.name} "
            "wants (RFC 7518 3.2)",
            "make one with secrets.token_urlsafe(64)",
        )
    return KeyMaterial("oct", "a secret", secret)


def looks_like_key(data: bytes) -> bool:
    """Tell whether *data* is a key, certificate or JSON text, as it is or in base64."""
    if _is_key(data):
        return True
    # base64url (RFC 4648 5) is turned into base64 (4); line breaks of PEM are taken out.
    body = _WHITESPACE.sub(b"", data).replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return _is_key(base64.b64decode(body + b"=" * (-len(body) % 4), validate=True))
    except binascii.Error:
        return False


def _is_key(data: bytes) -> bool:
    return (
        _ARMOUR.search(data) is not None
        or _OPENSSH.search(data) is not None
        or _OPENSSH_BLOB.match(data) is not None
        or _is_der_key(data)
        or _is_json_container(data)
    )


def _is_der_key(data: bytes) -> bool:
    # By the frame of the DER: a parser would let every key pass that it cannot read.
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
    try:
        return isinstance(json.loads(data), dict | list)
    except RecursionError:
        return True
    except ValueError:
        return False
