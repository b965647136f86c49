"""Secrets for HMAC; what others know, or can guess, is refused.

Where a public key is taken for a secret, everybody who knows it can sign (CVE-2016-5431,
CVE-2024-33663).
"""

from collections.abc import Iterable

from fastapi_scopes.errors import Assignment
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers.keys.addresses import require_no_url
from fastapi_scopes.verifiers.keys.disguises import looks_like_key
from fastapi_scopes.verifiers.keys.known_secrets import weakness_of
from fastapi_scopes.verifiers.keys.material import KeyMaterial, KeyRefusedError
from fastapi_scopes.verifiers.keys.spellings import spellings_of

__all__ = ["secret_material"]

_REMEDY = "make one with secrets.token_urlsafe(64)"


def secret_material(secret: bytes, algorithms: Iterable[Algorithm]) -> KeyMaterial:
    """Return *secret* as key material after a check that it is long enough for *algorithms*.

    Raises:
        KeyRefusedError: it is too short, a key, a certificate, JSON text or a URL in disguise, or
            known to others.
    """
    if looks_like_key(secret):
        raise KeyRefusedError(
            "is a key, a certificate or JSON, not a secret: a public one would let anybody sign "
            "under HS*",
            Assignment("algorithms", lead="name its own in"),
        )
    for each in spellings_of(secret):
        require_no_url(each)
    longest = max(algorithms, key=lambda each: each.min_secret_bytes)
    if len(secret) < longest.min_secret_bytes:
        raise KeyRefusedError(
            f"is a secret shorter than the {longest.min_secret_bytes} bytes that {longest.name} "
            "wants (RFC 7518 3.2)",
            _REMEDY,
        )
    weakness = weakness_of(secret)
    if weakness is not None:
        raise KeyRefusedError(f"is a secret {weakness}", _REMEDY)
    return KeyMaterial("oct", "a secret", secret)
