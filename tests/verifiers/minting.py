"""Keys and tokens for tests; signing is no business of the package itself."""

import base64
import functools
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000
SECRET = "a-secret-of-the-tests-0123456789-0123456789-0123456789-0123456789"
CLAIMS: Mapping[str, Any] = {"sub": "alice", "scope": "a:read b", "exp": NOW + 600}

HASHES: Mapping[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES: Mapping[str, Any] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


@functools.cache
def rsa_key(name: str = "default", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(algorithm: str = "ES256", name: str = "default") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[algorithm]())


@functools.cache
def ed25519_key(name: str = "default") -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@functools.cache
def ed448_key(name: str = "default") -> ed448.Ed448PrivateKey:
    return ed448.Ed448PrivateKey.generate()


def key_for(algorithm: str) -> Any:
    match algorithm[:2]:
        case "HS":
            return SECRET
        case "RS" | "PS":
            return rsa_key()
        case "ES":
            return ec_key(algorithm)
        case _:
            return ed448_key() if algorithm == "Ed448" else ed25519_key()


def pem(key: Any) -> str:
    spki = PublicFormat.SubjectPublicKeyInfo
    return str(public_of(key).public_bytes(Encoding.PEM, spki).decode())


def der(key: Any, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return bytes(public_of(key).public_bytes(Encoding.DER, form))


def openssh(key: Any) -> str:
    return str(public_of(key).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def public_of(key: Any) -> Any:
    return key.public_key() if hasattr(key, "public_key") else key


def config_for(algorithm: str) -> Any:
    key = key_for(algorithm)
    return key if isinstance(key, str) else pem(key)


def b64(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8))


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    if isinstance(key, str):
        return {"kty": "oct", "k": b64(key), **members}
    public = public_of(key)
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **members}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.key_size + 7) // 8
        curve = {256: "P-256", 384: "P-384", 521: "P-521"}[public.key_size]
        coordinates = {"x": number(point.x, size), "y": number(point.y, size)}
        return {"kty": "EC", "crv": curve, **coordinates, **members}
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    curve = "Ed25519" if len(raw) == 32 else "Ed448"
    return {"kty": "OKP", "crv": curve, "x": b64(raw), **members}


def sign(message: bytes, key: Any, algorithm: str) -> bytes:
    digest = HASHES.get(algorithm[2:], hashes.SHA256)()
    match algorithm[:2]:
        case "HS":
            secret = key.encode() if isinstance(key, str) else key
            return hmac.digest(secret, message, f"sha{algorithm[2:]}")
        case "RS":
            return bytes(key.sign(message, padding.PKCS1v15(), digest))
        case "PS":
            salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return bytes(key.sign(message, salted, digest))
        case "ES":
            r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
            size = (key.key_size + 7) // 8
            return r.to_bytes(size) + s.to_bytes(size)
        case _:
            return bytes(key.sign(message))


def mint(
    claims: Mapping[str, Any] | bytes | str | None = None,
    *,
    algorithm: str = "HS256",
    key: Any = None,
    header: Mapping[str, Any] | bytes | str | None = None,
    without: tuple[str, ...] = (),
    **more: Any,
) -> str:
    """A signed token: CLAIMS with *more* and without *without*, or any payload and header."""
    if claims is None or isinstance(claims, Mapping):
        merged = {**CLAIMS, **(claims or {}), **more}
        claims = json.dumps({k: v for k, v in merged.items() if k not in without})
    if header is None or isinstance(header, Mapping):
        header = json.dumps({"alg": algorithm, **(header or {})})
    return mint_raw(b64(header), b64(claims), algorithm=algorithm, key=key)


def mint_raw(header: str, payload: str, *, algorithm: str = "HS256", key: Any = None) -> str:
    """A token of exactly these two segments, with a good signature over them."""
    message = f"{header}.{payload}"
    signer = key_for(algorithm) if key is None else key
    return f"{message}.{b64(sign(message.encode(), signer, algorithm))}"
