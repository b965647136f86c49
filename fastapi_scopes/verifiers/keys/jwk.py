"""Keys from JWK and JWK Set dicts (RFC 7517, RFC 7518 6, RFC 8037 2)."""

import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from fastapi_scopes.errors import Assignment
from fastapi_scopes.verifiers._encodings import decode_base64url, is_json_array, is_json_object
from fastapi_scopes.verifiers._jose import ALGORITHMS, Algorithm
from fastapi_scopes.verifiers.keys.addresses import require_no_address
from fastapi_scopes.verifiers.keys.kinds import kinds_of
from fastapi_scopes.verifiers.keys.material import (
    KeyMaterial,
    KeyOfAnotherUseError,
    KeyRefusedError,
    material_of,
)
from fastapi_scopes.verifiers.keys.secrets import secret_material

__all__ = [
    "MAX_KID_CHARS",
    "jwk_material",
    "jwk_set_material",
    "no_usable_key",
    "present_members",
    "usable_keys",
]

MAX_KID_CHARS = 256
"""The longest `kid` of a key or a token."""

_EC_CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}

JWK = Mapping[str, object]
"""A JWK or JWK set, as json.loads gives it."""


def jwk_set_material(jwk_set: JWK, algorithms: Sequence[Algorithm]) -> list[KeyMaterial]:
    """Return the keys of *jwk_set* that fit one of *algorithms*, as `usable_keys` has them.

    Raises:
        KeyRefusedError: it is no set, mixes secrets with public keys, or has no usable key.
    """
    members = jwk_set.get("keys")
    if not is_json_array(members):
        raise KeyRefusedError("is no JWK set: its 'keys' is not a list")
    types = [each.get("kty") for each in members if is_json_object(each)]
    if len({each == "oct" for each in types if each is not None}) > 1:
        raise KeyRefusedError("is a JWK set that mixes secrets with public keys", "split it")
    found, _ = usable_keys(dict(enumerate(members)), algorithms)
    if not found:
        raise no_usable_key(members, algorithms)
    return [*found.values()]


def usable_keys(
    members: Mapping[int, object], algorithms: Sequence[Algorithm]
) -> tuple[dict[int, KeyMaterial], dict[int, KeyRefusedError]]:
    """Return the keys among *members* of a JWK set, and why others cannot be used, by position.

    Real sets mix keys of many kinds and uses: those that cannot be used are skipped (RFC 7517
    5), and disable no other. Two different keys of one `kid` that fit the same token are both
    skipped, since nothing says which is meant; the same key twice is one key.
    """
    found: dict[int, KeyMaterial] = {}
    misspelled: list[KeyMaterial] = []
    refused: dict[int, KeyRefusedError] = {}
    for position, member in members.items():
        try:
            found[position] = _member_material(member, algorithms)
        except KeyRefusedError as error:
            refused[position] = error
            # A secret that is not canonical base64url is read all the same by others, so a token
            # may mean it (Wycheproof, rejectsDuplicateKid). No issuer publishes secrets.
            if is_json_object(member) and member.get("kty") == "oct":
                with contextlib.suppress(ValueError):
                    misspelled.append(_member_material(_respelled(member), algorithms))
    for position, key in found.items():
        if any(key.clashes_with(other, algorithms) for other in (*found.values(), *misspelled)):
            refused[position] = KeyRefusedError(
                "has the 'kid' of another key, and nothing tells the two apart"
            )
    return {place: key for place, key in found.items() if place not in refused}, refused


def no_usable_key(members: Iterable[object], algorithms: Sequence[Algorithm]) -> KeyRefusedError:
    """Return what is wrong with a JWK set of these *members*, of which none can be used."""
    names = ", ".join(each.name for each in algorithms)
    return KeyRefusedError(
        f"is a JWK set without a usable key for {names}",
        _way_out([present_members(each) for each in members if is_json_object(each)]),
    )


def _way_out(jwks: Sequence[JWK]) -> str | Assignment:
    """Return what to do about *jwks*, none of which can be used for the algorithms as they are."""
    # All algorithms at once: a key that another one of its `kid` disables has no way out.
    everything = [*ALGORITHMS.values()]
    usable, _ = usable_keys(dict(enumerate(jwks)), everything)
    if usable:
        fitting = (filter(key.fits, everything) for key in usable.values())
        names = sorted({next(each).name for each in fitting})
        return Assignment("algorithms", names, lead=f"its keys are for {', '.join(names)}: write")
    if not jwks:
        return "it holds no key at all, so ask the issuer"
    return (
        f"its keys ({kinds_of(jwks)}) are for another use, weak, malformed, or two have one 'kid', "
        "so ask the issuer"
    )


def present_members(jwk: JWK) -> JWK:
    """Return *jwk* without the members that are null: some serialisers write absent ones so."""
    return {name: value for name, value in jwk.items() if value is not None}


def _member_material(member: object, algorithms: Sequence[Algorithm]) -> KeyMaterial:
    if not is_json_object(member):
        raise KeyRefusedError("is no JSON object")
    return jwk_material(member, algorithms)


def _respelled(jwk: JWK) -> JWK:
    octets = base64.urlsafe_b64decode(_text(jwk, "k").rstrip("=") + "==")
    return {**jwk, "k": base64.urlsafe_b64encode(octets).rstrip(b"=").decode()}


def jwk_material(jwk: JWK, algorithms: Sequence[Algorithm]) -> KeyMaterial:
    """Return the vetted key of one *jwk*, which fits one of *algorithms*.

    Raises:
        KeyRefusedError: it is malformed, weak, for another use, or for none of *algorithms*.
    """
    jwk = present_members(jwk)
    _require_use(jwk)
    kid, algorithm = _text_or_none(jwk, "kid"), _text_or_none(jwk, "alg")
    issuer = _text_or_none(jwk, "issuer")
    if kid is not None and len(kid) > MAX_KID_CHARS:
        raise KeyRefusedError(f"is a JWK with a 'kid' of more than {MAX_KID_CHARS} characters")
    fitting = [each for each in algorithms if algorithm in (None, each.name)]
    key = _secret(jwk, fitting) if jwk.get("kty") == "oct" else _public(jwk)
    named = replace(
        key,
        kid=kid,
        algorithm=algorithm,
        issuers=None if issuer is None else frozenset({issuer}),
    )
    return named.require_fit(algorithms)


def _require_use(jwk: JWK) -> None:
    if "use" in jwk and jwk["use"] != "sig":
        raise KeyOfAnotherUseError("is a JWK whose 'use' is not 'sig'", "pass a key for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not is_json_array(operations) or "verify" not in operations:
        raise KeyOfAnotherUseError(
            "is a JWK whose 'key_ops' lack 'verify'", "pass a key for signatures"
        )


def _text_or_none(jwk: JWK, name: str) -> str | None:
    value = jwk.get(name)
    if not isinstance(value, str | None):
        raise KeyRefusedError(f"is a JWK whose {name!r} is not a string")
    return value


def _text(jwk: JWK, name: str) -> str:
    value = jwk.get(name)
    return value if isinstance(value, str) else ""


def _secret(jwk: JWK, algorithms: Iterable[Algorithm]) -> KeyMaterial:
    # Long enough for every algorithm that it would serve: the one that it names, or all.
    symmetric = [each for each in algorithms if each.is_symmetric]
    if not symmetric:
        raise KeyOfAnotherUseError("is a secret, which fits none of the algorithms")
    secret = _octets(jwk, "k")
    require_no_address(secret)
    return secret_material(secret, symmetric)


def _public(jwk: JWK) -> KeyMaterial:
    build = _BUILDERS.get(_text(jwk, "kty"))
    if build is None:
        kind = KeyOfAnotherUseError if _text(jwk, "kty") else KeyRefusedError
        raise kind("is a dict without a known 'kty'", "pass a JWK or a JWK set")
    try:
        key = build(jwk)
    except KeyRefusedError:
        raise
    except ValueError:
        raise KeyRefusedError("is a JWK whose members make no key") from None
    return material_of(key)


def _rsa_key(jwk: JWK) -> object:
    return rsa.RSAPublicNumbers(e=_number(jwk, "e"), n=_number(jwk, "n")).public_key()


def _ec_key(jwk: JWK) -> object:
    curve = _EC_CURVES.get(_text(jwk, "crv"))
    if curve is None:
        raise KeyOfAnotherUseError("is an EC JWK on another curve than P-256, P-384 or P-521")
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    # RFC 7518 6.2.1.2: as long as a coordinate, leading zeros included.
    if not len(x) == len(y) == (curve.key_size + 7) // 8:
        raise KeyRefusedError("is an EC JWK with a coordinate of the wrong length")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
    return numbers.public_key()


def _okp_key(jwk: JWK) -> object:
    match jwk.get("crv"):
        case "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))
        case "Ed448":
            return ed448.Ed448PublicKey.from_public_bytes(_octets(jwk, "x"))
        case _:
            raise KeyOfAnotherUseError("is an OKP JWK on another curve than Ed25519 or Ed448")


_BUILDERS: Mapping[str, Callable[[JWK], object]] = {
    "RSA": _rsa_key,
    "EC": _ec_key,
    "OKP": _okp_key,
}


def _number(jwk: JWK, name: str) -> int:
    return int.from_bytes(_octets(jwk, name))


def _octets(jwk: JWK, name: str) -> bytes:
    value = jwk.get(name)
    try:
        return decode_base64url(value if isinstance(value, str) else "!")
    except ValueError:
        raise KeyRefusedError(f"is a JWK whose {name!r} is not canonical base64url") from None
