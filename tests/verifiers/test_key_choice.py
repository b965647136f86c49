from typing import Any

import pytest

from fastapi_scopes.verifiers.keys import read_keys
from tests.verifiers.minting import SECRET, ec_key, ed25519_key, jwk, mint, pem, rsa_key, sign
from tests.verifiers.verifying import configured, make_verifier, verdict


def named(kid: str | None, key: str, **members: Any) -> dict[str, Any]:
    return jwk(rsa_key(key), **({} if kid is None else {"kid": kid}), **members)


CHOICES: dict[str, tuple[list[Any], str | None, str, str]] = {
    "old-pem": ([pem(rsa_key("a")), pem(rsa_key("b"))], None, "a", "accept"),
    "new-pem": ([pem(rsa_key("a")), pem(rsa_key("b"))], None, "b", "accept"),
    "pem-for-any-kid": ([pem(rsa_key("a")), pem(rsa_key("b"))], "2026", "a", "accept"),
    "stranger": ([pem(rsa_key("a")), pem(rsa_key("b"))], None, "c", "signature"),
    "kid": ([{"keys": [named("a", "a"), named("b", "b")]}], "b", "b", "accept"),
    "kid-of-another": ([{"keys": [named("a", "a"), named("b", "b")]}], "b", "a", "signature"),
    "kid-unknown": ([{"keys": [named("a", "a")]}], "c", "a", "unknown_key"),
    "kid-case": ([{"keys": [named("a", "a")]}], "A", "a", "unknown_key"),
    "kid-empty": ([{"keys": [named("a", "a")]}], "", "a", "unknown_key"),
    "no-kid-one-name": ([{"keys": [named("a", "a")]}], None, "a", "accept"),
    "no-kid-two-names": ([{"keys": [named("a", "a"), named("b", "b")]}], None, "a", "unknown_key"),
    "no-kid-one-of-kty": (
        [{"keys": [named("a", "a"), jwk(ec_key(), kid="e"), jwk(ed25519_key(), kid="o")]}],
        None,
        "a",
        "accept",
    ),
    "no-kid-one-of-alg": (
        [{"keys": [named("a", "a"), named("b", "b", alg="RS512")]}],
        None,
        "a",
        "accept",
    ),
    "no-kid-one-usable": (
        [{"keys": [named("a", "a"), named("b", "b", use="enc")]}],
        None,
        "a",
        "accept",
    ),
    "unnamed-in-set": ([{"keys": [named("a", "a"), named(None, "b")]}], "x", "b", "accept"),
    "name-excludes-unnamed": ([named("a", "a"), pem(rsa_key("b"))], "a", "b", "signature"),
    "unnamed-beside-name": ([named("a", "a"), pem(rsa_key("b"))], None, "b", "accept"),
    "one-name-beside-unnamed": ([named("a", "a"), pem(rsa_key("b"))], None, "a", "accept"),
    "two-jwks": ([named("a", "a"), named("b", "b")], "a", "a", "accept"),
    "sets-that-overlap": (
        [{"keys": [named("a", "a")]}, {"keys": [named("a", "a"), named("b", "b")]}],
        "a",
        "a",
        "accept",
    ),
    "sets-that-overlap-without-kid": (
        [{"keys": [named("a", "a")]}, {"keys": [named("a", "a")]}],
        None,
        "a",
        "accept",
    ),
    "kid-of-another-algorithm": (
        [{"keys": [named("a", "a"), jwk(ec_key(), kid="e")]}, pem(rsa_key("b"))],
        "e",
        "b",
        "unknown_key",
    ),
    "duplicate-name": (
        [{"keys": [named("a", "a"), named("a", "b"), named("c", "c")]}],
        "a",
        "a",
        "unknown_key",
    ),
    "duplicate-name-second": (
        [{"keys": [named("a", "a"), named("a", "b"), named("c", "c")]}],
        "a",
        "b",
        "unknown_key",
    ),
    "duplicate-name-of-malformed": (
        [{"keys": [named("a", "a"), {"kty": "RSA", "kid": "a"}, named("c", "c")]}],
        "a",
        "a",
        "unknown_key",
    ),
    "duplicate-name-one-with-alg": (
        [{"keys": [named("a", "a"), named("a", "b", alg="RS256"), named("c", "c")]}],
        "a",
        "a",
        "unknown_key",
    ),
    "same-name-for-encryption": (
        [{"keys": [named("a", "a"), named("a", "b", use="enc")]}],
        "a",
        "a",
        "accept",
    ),
    "same-name-other-kty": (
        [{"keys": [named("a", "a"), jwk(ec_key(), kid="a")]}],
        "a",
        "a",
        "accept",
    ),
    "same-name-other-alg": (
        [{"keys": [named("a", "a", alg="RS256"), named("a", "b", alg="PS256")]}],
        "a",
        "a",
        "accept",
    ),
    "bad-members-skipped": (
        [{"keys": [{"kty": "RSA", "kid": "b"}, 1, {"kty": "?"}, named("a", "a")]}],
        "a",
        "a",
        "accept",
    ),
}


@pytest.mark.parametrize(("keys", "kid", "signer", "answer"), CHOICES.values(), ids=CHOICES)
def test_kid_and_algorithm_choose_the_key(
    keys: list[Any], kid: str | None, signer: str, answer: str
) -> None:
    verifier = make_verifier(*keys, algorithms=["RS256", "ES256", "PS256"])
    header = {} if kid is None else {"kid": kid}

    token = mint(algorithm="RS256", key=rsa_key(signer), header=header)
    assert verdict(verifier, token) == answer


def test_secrets_rotate_without_a_name() -> None:
    old, new = "old-" + SECRET, "new-" + SECRET
    verifier = make_verifier(old, new)

    assert verdict(verifier, mint(key=old)) == verdict(verifier, mint(key=new)) == "accept"
    assert verdict(make_verifier(new), mint(key=old)) == "signature"


def test_newest_of_keys_without_a_name_is_tried_first() -> None:
    keys, _ = read_keys(["old-" + SECRET, "new-" + SECRET], ["HS256"])
    message = b"message"
    newest = keys.candidates_for(None, "HS256")[0]

    assert newest.verify(message, sign(message, "new-" + SECRET, "HS256"))


def test_different_keys_of_one_name_in_two_sources_are_refused() -> None:
    assert configured(named("a", "a"), named("a", "b"), algorithms=["RS256"]) == (
        "keys[1] has the 'kid' of keys[0], which is another key; give each its own",
    )


def test_crowd_of_keys_without_a_name_is_refused() -> None:
    secrets = [f"{SECRET}-{index}" for index in range(17)]

    assert configured(*secrets[:16]) == ()
    assert "17 keys for HS256 without a 'kid'" in configured(*secrets)[0]
