"""The keys that an issuer publishes as a JWK set (RFC 7517 5)."""

from collections.abc import Mapping, Sequence
from typing import Final

from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object, parse_json_object
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers.keys.jwk import jwk_set_material, present_members
from fastapi_scopes.verifiers.keys.material import KeyRefusedError
from fastapi_scopes.verifiers.keys.ring import VerificationKeys, unnamed_key_problems

__all__ = ["MAX_PUBLISHED_KEYS", "read_published_keys"]

MAX_PUBLISHED_KEYS: Final = 64
"""The most members that a published JWK set may have."""


def read_published_keys(body: bytes, algorithms: Sequence[Algorithm]) -> VerificationKeys:
    """Return the keys for *algorithms* in the JWK set *body*; unusable members are skipped.

    Raises:
        KeyRefusedError: it is no JWK set, holds a secret or too many keys, or no usable one. An
            issuer without keys could sign nothing, so an empty set is a fault.
    """
    try:
        jwk_set = parse_json_object(body)
    except ValueError:
        raise KeyRefusedError("is no strict JSON object") from None
    members = jwk_set.get("keys")
    if not is_json_array(members):
        raise KeyRefusedError("has no list of keys, so it is no JWK set")
    if len(members) > MAX_PUBLISHED_KEYS:
        raise KeyRefusedError(f"holds more than {MAX_PUBLISHED_KEYS} keys")
    if any(is_json_object(each) and _is_secret(present_members(each)) for each in members):
        # Everybody who reads the set could sign, so no key of that issuer can be trusted.
        raise KeyRefusedError("holds a secret")
    material = jwk_set_material(jwk_set, algorithms)
    if any(unnamed_key_problems(material, algorithms)):
        # Each would be tried; those that have a name are not.
        material = [each for each in material if each.kid is not None]
    if not material:
        raise KeyRefusedError("holds too many keys without a 'kid'")
    return VerificationKeys(material, algorithms)


def _is_secret(jwk: Mapping[str, object]) -> bool:
    # RFC 7518 6.2.2, 6.3.2, RFC 8037 2: `d` is the private half.
    return jwk.get("kty") == "oct" or "d" in jwk
