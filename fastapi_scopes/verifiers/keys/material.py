"""Vetted key material: no weak, broken or unsuitable key passes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._jose import Algorithm, PublicKey

__all__ = ["KeyMaterial", "KeyOfAnotherUseError", "KeyRefusedError", "material_of"]

_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

_PRIVATE_KEYS = (
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
)

# CVE-2017-15361 (ROCA): such a modulus is a power of 65537 modulo every one of these primes;
# of other moduli, fewer than one in 2^27 is.
_ROCA_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83),
    *(89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)
_ROCA_POWERS = {
    prime: frozenset(pow(65537, exponent, prime) for exponent in range(prime))
    for prime in _ROCA_PRIMES
}

# RFC 8032 5.1.7 verifies the group equation without a look at the key: under a point of small
# order anybody can sign. These are all of its encodings, without the sign bit.
_SMALL_ORDER_25519 = frozenset(
    bytes.fromhex(encoded)
    for encoded in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
_P448 = 2**448 - 2**224 - 1
_SMALL_ORDER_448 = frozenset({0, 1, _P448 - 1, _P448, _P448 + 1})


class KeyRefusedError(ValueError):
    """A key is unfit; the text says why and what to do, and never quotes the key."""

    def __init__(self, text: str, remedy: str | Assignment = "") -> None:
        self.problem: ConfigurationProblem = ConfigurationProblem(text, remedy)
        super().__init__(str(self.problem))


class KeyOfAnotherUseError(KeyRefusedError):
    """A key is for something else, which is no fault of it: real sets hold keys of many uses."""


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """One vetted key, before it is bound to algorithms."""

    kty: str
    kind: str
    """The kind of key as an error message calls it: `an RSA key`."""
    value: bytes | PublicKey = field(repr=False)
    curve: str | None = None
    kid: str | None = None
    algorithm: str | None = None
    """The `alg` of its JWK, where it had one (RFC 7517 4.4)."""
    issuers: frozenset[str] | None = None
    """The issuers, by the `issuer` of its JWK, whose tokens it may verify; None is every one."""

    def fits(self, algorithm: Algorithm) -> bool:
        """Tell whether this key may verify a signature of *algorithm*."""
        return (
            self.kty == algorithm.kty
            and (not algorithm.curves or self.curve in algorithm.curves)
            and self.algorithm in (None, algorithm.name)
        )

    def require_fit(self, algorithms: Sequence[Algorithm]) -> Self:
        """Return this key after a check that it fits one of *algorithms*.

        Raises:
            KeyRefusedError: it fits none.
        """
        if not any(self.fits(each) for each in algorithms):
            names = ", ".join(each.name for each in algorithms)
            # The `alg` is not quoted: in a JWK with members mixed up it may be the key.
            only = "" if self.algorithm is None else " with an 'alg'"
            raise KeyOfAnotherUseError(
                f"is {self.kind}{only}, which fits none of {names}",
                Assignment("algorithms", lead="name one that it fits in"),
            )
        return self

    def clashes_with(self, other: Self, algorithms: Sequence[Algorithm]) -> bool:
        """Tell whether a token with the `kid` of both could mean either of two different keys."""
        return (
            self.kid is not None
            and self.kid == other.kid
            and self.value != other.value
            and (
                (self.kty, self.algorithm) == (other.kty, other.algorithm)
                or any(self.fits(each) and other.fits(each) for each in algorithms)
            )
        )


def material_of(key: object) -> KeyMaterial:
    """Return the public *key*, vetted; a private key is reduced to its public half.

    Raises:
        KeyRefusedError: it is weak, or of a kind that signs no JWS.
    """
    match key.public_key() if isinstance(key, _PRIVATE_KEYS) else key:
        case rsa.RSAPublicKey() as public:
            return _rsa_material(public)
        case ec.EllipticCurvePublicKey() as public:
            return _ec_material(public)
        case (ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()) as public:
            return _edwards_material(public)
        case _:
            raise KeyRefusedError("is a key of a kind that signs no token", "use RSA, EC or EdDSA")


def _rsa_material(key: rsa.RSAPublicKey) -> KeyMaterial:
    numbers = key.public_numbers()
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise KeyRefusedError(
            f"is an RSA key of {key.key_size} bits", f"use {_MIN_RSA_BITS} to {_MAX_RSA_BITS}"
        )
    # FIPS 186-5 A.1.1: odd, and between 2^16 and 2^256.
    if numbers.e % 2 == 0 or not 65537 <= numbers.e < 2**256 or numbers.n % 2 == 0:
        raise KeyRefusedError("is an RSA key with an unsafe exponent or modulus", "use e = 65537")
    if all(numbers.n % prime in powers for prime, powers in _ROCA_POWERS.items()):
        raise KeyRefusedError("is an RSA key open to ROCA (CVE-2017-15361)", "make a new one")
    return KeyMaterial("RSA", "an RSA key", key)


def _ec_material(key: ec.EllipticCurvePublicKey) -> KeyMaterial:
    curve = _CURVES.get(key.curve.name)
    if curve is None:
        raise KeyRefusedError(f"is an EC key on {key.curve.name}", "use P-256, P-384 or P-521")
    return KeyMaterial("EC", f"an EC key on {curve}", key, curve)


def _edwards_material(key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> KeyMaterial:
    curve = "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448"
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    unsigned = raw[:-1] + bytes([raw[-1] & 0x7F])
    is_small = (
        unsigned in _SMALL_ORDER_25519
        if curve == "Ed25519"
        else int.from_bytes(unsigned, "little") in _SMALL_ORDER_448
    )
    if is_small:
        raise KeyRefusedError(f"is an {curve} key of small order, under which anybody can sign")
    return KeyMaterial("OKP", f"an {curve} key", key, curve)
