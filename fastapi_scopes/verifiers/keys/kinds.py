"""The kinds of the keys in a JWK set, in words of the standards alone."""

from collections.abc import Iterable, Mapping
from typing import Final

from fastapi_scopes.verifiers._jose import ALGORITHMS

__all__ = ["kinds_of"]

# RFC 7518 3.1, 4.1, 6.1, 6.2.1.1, RFC 8037 2, RFC 8812 3: what is registered, and nothing else.
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "kty": frozenset({"RSA", "EC", "OKP", "oct"}),
    "crv": frozenset(
        {"P-256", "P-384", "P-521", "secp256k1", *("Ed25519", "Ed448"), "X25519", "X448"}
    ),
    "alg": frozenset(
        {
            *ALGORITHMS,
            *("ES256K", "dir", "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384"),
            *("RSA-OAEP-512", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"),
        }
    ),
}


def kinds_of(jwks: Iterable[Mapping[str, object]]) -> str:
    """Return the kinds of *jwks* for an error message, as in ``EC P-256 ES256, RSA``.

    INVARIANT: nothing else of a key is quoted, where members are mixed up it may be a secret
    (test_set_without_a_usable_key_says_which_algorithms_to_write).
    """
    return ", ".join(sorted({_kind_of(each) for each in jwks}))


def _kind_of(jwk: Mapping[str, object]) -> str:
    told = [
        value
        for member, words in _WORDS.items()
        if isinstance(value := jwk.get(member), str) and value in words
    ]
    return " ".join(told) or "of an unknown kind"
