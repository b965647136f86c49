"""The signature engine: python-jose, handed one key that can do one algorithm and no other.

This is the only module that imports python-jose. It never sees a secret, a PEM or a JWK set:
python-jose passes an instance of its own `Key` through untouched, so ours decide alone, and
they add what it lacks (PS256/384/512, EdDSA) without a change to its global registry.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jose.backends.base import Key
from jose.jws import _verify_signature  # pyright: ignore

__all__ = ["ALGORITHMS", "Algorithm", "BoundKey", "PublicKey", "bind_key", "is_signed_with"]

_HASHES: Mapping[int, type[hashes.HashAlgorithm]] = MappingProxyType(
    {256: hashes.SHA256, 384: hashes.SHA384, 512: hashes.SHA512}
)

# SEC 2, sections 2.4.2, 2.5.1 and 2.6.1: the order of the base point of P-256, P-384 and P-521.
_ORDERS: Mapping[str, int] = MappingProxyType(
    {
        "ES256": int(
            "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
            16,
        ),
        "ES384": int(
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF"
            "581A0DB248B0A77AECEC196ACCC52973",
            16,
        ),
        "ES512": int(
            "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "FFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386"
            "409",
            16,
        ),
    }
)

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One signature algorithm, and the keys that it takes (RFC 7518 3.1, 8037 3.1, 9864 2.2)."""

    name: str
    kty: str
    hash_bits: int = 0
    curves: frozenset[str] = frozenset()

    @property
    def is_symmetric(self) -> bool:
        """True where the key that verifies could sign as well."""
        return self.kty == "oct"

    @property
    def min_secret_bytes(self) -> int:
        """The length of the shortest secret: the size of the hash output (RFC 7518 3.2)."""
        return self.hash_bits // 8


_TABLE = (
    *(Algorithm(f"HS{bits}", "oct", bits) for bits in _HASHES),
    *(Algorithm(f"RS{bits}", "RSA", bits) for bits in _HASHES),
    *(Algorithm(f"PS{bits}", "RSA", bits) for bits in _HASHES),
    Algorithm("ES256", "EC", 256, frozenset({"P-256"})),
    Algorithm("ES384", "EC", 384, frozenset({"P-384"})),
    Algorithm("ES512", "EC", 512, frozenset({"P-521"})),
    Algorithm("EdDSA", "OKP", curves=frozenset({"Ed25519", "Ed448"})),
    Algorithm("Ed25519", "OKP", curves=frozenset({"Ed25519"})),
    Algorithm("Ed448", "OKP", curves=frozenset({"Ed448"})),
)

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({each.name: each for each in _TABLE})
"""Every algorithm that a verifier may be configured with; `none` is not one."""


class BoundKey(Key):  # type: ignore[misc]  # python-jose has no types
    """A verification key that is good for one algorithm; its repr shows no key material."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm: str = algorithm.name
        self.issuers: frozenset[str] | None = None
        """The issuers whose tokens it may verify; None is every one."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.algorithm}>"


class _SecretKey(BoundKey):
    def __init__(self, algorithm: Algorithm, secret: bytes) -> None:
        super().__init__(algorithm)
        self._secret = secret
        self._hash_name = f"sha{algorithm.hash_bits}"

    def verify(self, msg: bytes, sig: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(self._secret, msg, self._hash_name), sig)


class _RSAKey(BoundKey):
    def __init__(self, algorithm: Algorithm, key: rsa.RSAPublicKey) -> None:
        super().__init__(algorithm)
        self._key = key
        self._hash = _HASHES[algorithm.hash_bits]()
        # RFC 7518 3.5: MGF1 with the same hash, a salt as long as the hash output.
        self._padding = (
            padding.PSS(padding.MGF1(self._hash), self._hash.digest_size)
            if algorithm.name.startswith("PS")
            else padding.PKCS1v15()
        )

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self._key.verify(sig, msg, self._padding, self._hash)
        except InvalidSignature:
            return False
        return True


class _ECKey(BoundKey):
    def __init__(self, algorithm: Algorithm, key: ec.EllipticCurvePublicKey) -> None:
        super().__init__(algorithm)
        self._key = key
        self._digest = ec.ECDSA(_HASHES[algorithm.hash_bits]())
        self._order = _ORDERS[algorithm.name]
        self._size = (key.key_size + 7) // 8

    def verify(self, msg: bytes, sig: bytes) -> bool:
        # RFC 7518 3.4: r and s, each as long as a coordinate; DER is not a JWS signature.
        if len(sig) != 2 * self._size:
            return False
        r, s = (int.from_bytes(half) for half in (sig[: self._size], sig[self._size :]))
        if not (0 < r < self._order and 0 < s < self._order):
            return False
        try:
            self._key.verify(encode_dss_signature(r, s), msg, self._digest)
        except InvalidSignature:
            return False
        return True


class _EdwardsKey(BoundKey):
    def __init__(
        self, algorithm: Algorithm, key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
    ) -> None:
        super().__init__(algorithm)
        self._key = key

    def verify(self, msg: bytes, sig: bytes) -> bool:
        try:
            self._key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True


def bind_key(
    algorithm: Algorithm,
    material: bytes | PublicKey,
    *,
    issuers: frozenset[str] | None = None,
) -> BoundKey:
    """Return a key that verifies signatures of *algorithm* alone; *material* is known to fit it.

    *issuers* are noted in the key: that a token is of one of them is for the caller to check.
    """
    key = _bound(algorithm, material)
    key.issuers = issuers
    return key


def _bound(algorithm: Algorithm, material: bytes | PublicKey) -> BoundKey:
    match material:
        case bytes():
            return _SecretKey(algorithm, material)
        case rsa.RSAPublicKey():
            return _RSAKey(algorithm, material)
        case ec.EllipticCurvePublicKey():
            return _ECKey(algorithm, material)
        case _:
            return _EdwardsKey(algorithm, material)


def is_signed_with(
    key: BoundKey, signing_input: bytes, signature: bytes, *, algorithm: str
) -> bool:
    """Tell whether *signature* is that of *key* over *signing_input* (RFC 7515 5.2).

    *algorithm* is what the header names: it has to be the one of *key*. What `jws.verify` of
    python-jose reads first, the token, was read already, and more strictly.
    """
    try:
        # INVARIANT: the key's own algorithm, and in a list: python-jose does not compare the
        # header with a prebuilt key, and a str would be a substring test.
        # Held by test_header_may_not_name_another_algorithm_than_the_keys.
        _verify_signature(signing_input, {"alg": algorithm}, signature, key, [key.algorithm])
    except Exception:  # noqa: BLE001
        # python-jose lets RecursionError, KeyError, TypeError and more escape its own base
        # class; whatever its reason, the signature is then not verified.
        return False
    return True
