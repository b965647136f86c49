"""Keys and signed tokens, made with `cryptography` alone, which every environment has."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SCOPE = "a:read"
AUDIENCE = "https://api.example"
SECRET = "a-secret-of-the-benchmark-0123456789-0123456789"
KID = "benchmark"
_SHA256 = hashes.SHA256()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8))


def claims(issuer: str = "https://issuer.example/", **more: Any) -> dict[str, Any]:
    """Return the claims of a token that is good for a day and has the scope."""
    now = int(time.time())
    times = {"iat": now, "nbf": now - 1, "exp": now + 86400}
    return (
        {"iss": issuer, "aud": AUDIENCE, "sub": "user", "jti": "1", "scope": SCOPE} | times | more
    )


@dataclass(frozen=True, slots=True)
class Signer:
    """A key of one algorithm: *key* and *jwk* are what a verifier is given of it."""

    algorithm: str
    key: str
    jwk: dict[str, str]
    _sign: Callable[[bytes], bytes] = field(repr=False)
    _verify: Callable[[bytes, bytes], object] = field(repr=False)

    def mint(self, payload: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, "kid": KID, "typ": "JWT"}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, payload))
        signature = self._sign(signed.encode())
        if self.algorithm == "ES256":
            # RFC 7518 3.4: r and s as they are, not in DER.
            signature = b"".join(each.to_bytes(32) for each in decode_dss_signature(signature))
        return f"{signed}.{encoded(signature)}"

    def primitive(self) -> Callable[[], object]:
        """Return the bare verification of one signature, of a message as long as a token's."""
        message = self.mint(claims()).rpartition(".")[0].encode()
        signature = self._sign(message)
        return lambda: self._verify(signature, message)


def hs256() -> Signer:
    def mac(message: bytes) -> hmac.HMAC:
        made = hmac.HMAC(SECRET.encode(), _SHA256)
        made.update(message)
        return made

    return Signer(
        "HS256",
        SECRET,
        {"kty": "oct", "k": encoded(SECRET.encode()), "alg": "HS256", "kid": KID},
        lambda message: mac(message).finalize(),
        lambda signature, message: mac(message).verify(signature),
    )


def pem_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def rs256() -> Signer:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key()
    numbers, pkcs1 = public.public_numbers(), padding.PKCS1v15()
    jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID}
    return Signer(
        "RS256",
        pem_of(public),
        jwk | {"n": number(numbers.n), "e": number(numbers.e)},
        lambda message: private.sign(message, pkcs1, _SHA256),
        lambda signature, message: public.verify(signature, message, pkcs1, _SHA256),
    )


def es256() -> Signer:
    private = ec.generate_private_key(ec.SECP256R1())
    public, ecdsa = private.public_key(), ec.ECDSA(_SHA256)
    numbers = public.public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KID}
    return Signer(
        "ES256",
        pem_of(public),
        jwk | {"x": number(numbers.x, 32), "y": number(numbers.y, 32)},
        lambda message: private.sign(message, ecdsa),
        lambda signature, message: public.verify(signature, message, ecdsa),
    )


SIGNERS: dict[str, Callable[[], Signer]] = {"HS256": hs256, "RS256": rs256, "ES256": es256}
