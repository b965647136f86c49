"""Keys of a published set that cannot be used: the others go on, and each is told once."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import b64, ec_key, ed25519_key, jwk, mint, number, rsa_key
from tests.verifiers.publishing import (
    JWKS_URI,
    Issuer,
    key_set_of,
    looped,
    outcome_of,
    refreshed,
)

GOOD = jwk(ec_key(name="good"), kid="good")
RSA = jwk(rsa_key("bad"), kid="good")
EC = jwk(ec_key(name="bad"), kid="good")
OKP = jwk(ed25519_key("bad"), kid="good")
MODULUS = rsa_key("bad").public_key().public_numbers().n
ODD = (7, 1.5, True, [], [[]], ["AQAB"], {}, {"a": [None]}, "", "\u00e9", "=", "a b", "A" * 9)

INFO, WARNING = logging.INFO, logging.WARNING
NO_KEY = (WARNING, "is no public key, without 'n' and 'x'")

# One that is skipped, and what the log says of it: its level, and why.
SKIPPED: Mapping[str, tuple[Any, tuple[int, str]]] = {
    "null": (None, NO_KEY),
    "text": ("key", NO_KEY),
    "number": (7, NO_KEY),
    "true": (True, NO_KEY),
    "list": ([GOOD], NO_KEY),
    "empty": ({}, NO_KEY),
    "set-in-a-set": ({"keys": [GOOD]}, NO_KEY),
    "certificate-alone": ({"kty": "RSA", "kid": "good", "x5c": ["AAAA"]}, NO_KEY),
    "kty-unknown": (
        {"kty": "AKP", "kid": "good", "pub": "AAAA"},
        (INFO, "is of a kind that is not known here"),
    ),
    "kty-in-lower-case": ({**EC, "kty": "ec"}, (INFO, "is a dict without a known 'kty'")),
    "kty-missing": ({**EC, "kty": None}, (WARNING, "is a dict without a known 'kty'")),
    "crv-unknown": (
        {**EC, "crv": "P-999"},
        (INFO, "is an EC JWK on another curve than P-256, P-384 or P-521"),
    ),
    "crv-of-another-kind": (
        {**OKP, "crv": "P-256"},
        (INFO, "is an OKP JWK on another curve than Ed25519 or Ed448"),
    ),
    "use-enc": ({**EC, "use": "enc"}, (INFO, "is a JWK whose 'use' is not 'sig'")),
    "use-unknown": ({**EC, "use": "SIG"}, (INFO, "is a JWK whose 'use' is not 'sig'")),
    "ops-others": (
        {**EC, "key_ops": ["sign"]},
        (INFO, "is a JWK whose 'key_ops' lack 'verify'"),
    ),
    "alg-unknown": (
        {**EC, "alg": "ES521"},
        (INFO, "is an EC key on P-256 with an 'alg', which fits none of ES256"),
    ),
    "kty-of-another-algorithm": (RSA, (INFO, "is an RSA key, which fits none of ES256")),
    "rsa-1024": (jwk(rsa_key("small", 1024), kid="good"), (WARNING, "is an RSA key of 1024 bits")),
    "rsa-tiny": ({**RSA, "n": number(3233)}, (WARNING, "is a JWK whose members make no key")),
    "rsa-even": (
        {**RSA, "n": number(MODULUS + 1)},
        (WARNING, "is an RSA key with an unsafe exponent or modulus"),
    ),
    "e-one": ({**RSA, "e": "AQ"}, (WARNING, "is a JWK whose members make no key")),
    "e-even": ({**RSA, "e": number(65536)}, (WARNING, "is a JWK whose members make no key")),
    "e-three": (
        {**RSA, "e": "Aw"},
        (WARNING, "is an RSA key with an unsafe exponent or modulus"),
    ),
    "n-negative": (
        {**RSA, "n": "-" + str(MODULUS)},
        (WARNING, "is a JWK whose 'n' is not canonical base64url"),
    ),
    "off-the-curve": (
        {**EC, "x": b64(b"\1" * 32)},
        (WARNING, "is a JWK whose members make no key"),
    ),
    "kid-long": (
        {**EC, "kid": "k" * 257},
        (WARNING, "is a JWK with a 'kid' of more than 256 characters"),
    ),
    "kid-number": ({**EC, "kid": 7}, (WARNING, "is a JWK whose 'kid' is not a string")),
    "small-order": (
        {**OKP, "x": b64(bytes(32))},
        (WARNING, "is an Ed25519 key of small order, under which anybody can sign"),
    ),
}


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize(("bad", "said"), SKIPPED.values(), ids=SKIPPED)
@looped
async def test_key_that_cannot_be_used_is_told_once_and_disables_no_other(
    bad: Any, said: tuple[int, str], caplog: pytest.LogCaptureFixture, *, is_first: bool
) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    issuer = Issuer("good")
    jwks = [bad, GOOD] if is_first else [GOOD, bad]
    issuer.documents[JWKS_URI] = key_set_of(*jwks)
    verifier = issuer.verifier(algorithms=["ES256"])
    for _ in range(3):
        assert await outcome_of(verifier, issuer.mint("good", key=ec_key(name="good"))) == "accept"
        await refreshed(issuer, verifier)

    assert issuer.fetches > 3
    level, reason = said
    named = f"of the JWK set at {JWKS_URI} keys[{jwks.index(bad)}] {reason}, and is skipped"
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [(level, named)]


def misspellings(text: str) -> Mapping[str, str]:
    last = "AQgw" if len(text) % 4 == 2 else "AEIMQUYcgkosw048"
    beyond = {} if len(text) % 4 == 0 else {"bits": text[:-1] + chr(ord(text[-1]) + 1)}
    assert len(text) % 4 == 0 or text[-1] in last
    return {
        "padded": text + "=" * (-len(text) % 4 or 4),
        "space": text + " ",
        "line": text[:4] + "\n" + text[4:],
        "alphabet": "+/" + text[2:],
        **beyond,
    }


MISSPELLED = {
    f"{jwk_['kty']}-{member}-{how}": {**jwk_, member: text}
    for jwk_ in (RSA, EC, OKP)
    for member in ("n", "e", "x", "y")
    if member in jwk_
    for how, text in misspellings(jwk_[member]).items()
}


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("bad", MISSPELLED.values(), ids=MISSPELLED)
def test_misspelled_key_verifies_nothing_and_leaves_its_name_to_another(
    bad: dict[str, Any], *, is_first: bool
) -> None:
    algorithm, key = {
        "RSA": ("RS256", rsa_key("bad")),
        "EC": ("ES256", ec_key(name="bad")),
        "OKP": ("EdDSA", ed25519_key("bad")),
    }[bad["kty"]]
    other = {"RSA": rsa_key("good"), "EC": ec_key(name="good"), "OKP": ed25519_key("good")}
    good, named = other[bad["kty"]], {"kid": "good"}
    jwks = [bad, jwk(good, **named)] if is_first else [jwk(good, **named), bad]
    verifier = make_published(*jwks)

    assert outcome(verifier, mint(algorithm=algorithm, key=good, header=named)) == "accept"
    assert outcome(verifier, mint(algorithm=algorithm, key=key, header=named)) == "signature"
    assert outcome(verifier, mint(algorithm=algorithm, key=key)) == "signature"


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("member", ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"])
def test_member_of_an_odd_type_disables_no_other(member: str, value: Any) -> None:
    token = mint(algorithm="ES256", key=ec_key(name="good"), header={"kid": "good"})
    for bad in (RSA, EC, OKP):
        # Whatever it makes of it, no key of that name.
        odd = {**bad, "kid": "bad", member: value}
        for jwks in ([odd, GOOD], [GOOD, odd]):
            assert outcome(make_published(*jwks), token) == "accept"


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("member", ["key_ops", "issuer", "x5c", "x5t", "x5u", "ext", "iat"])
def test_other_member_of_an_odd_type_disables_no_other(member: str, value: Any) -> None:
    token = mint(algorithm="ES256", key=ec_key(name="good"), header={"kid": "good"})

    odd = {**EC, "kid": "bad", member: value}
    assert outcome(make_published(odd, GOOD), token) == "accept"


@pytest.mark.parametrize(
    "bad", [None, "key", [], {}, {"kty": "RSA"}, {"kty": "AKP", "pub": "A"}], ids=repr
)
def test_crowd_of_what_is_no_key_disables_no_key(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    crowd = [bad] * (3_000 if bad == {"kty": "AKP", "pub": "A"} else 5_000)
    token = mint(algorithm="ES256", key=ec_key(name="good"), header={"kid": "good"})

    assert outcome(make_published(*crowd, GOOD), token) == "accept"
    (said,) = caplog.messages
    assert (
        f" each of keys[0], keys[1], keys[2], keys[3], keys[4], keys[5], keys[6], keys[7] and "
        f"{len(crowd) - 8} more is " in said
    )


def test_crowd_of_keys_is_no_key_set() -> None:
    keys = [jwk(ec_key(name=f"crowd-{each}"), kid=str(each)) for each in range(65)]
    token = mint(algorithm="ES256", key=ec_key(name="crowd-0"), header={"kid": "0"})

    assert outcome(make_published(*keys[:64]), token) == "accept"
    assert outcome(make_published(*keys), token) == "unavailable"


@looped
async def test_what_is_new_among_the_skipped_is_told(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer("good")
    verifier = issuer.verifier()
    weak = jwk(rsa_key("small", 1024))
    for bad in ((), (weak,), (weak, weak), (weak,), ()):
        issuer.documents[JWKS_URI] = key_set_of(GOOD, *bad)
        await outcome_of(verifier, issuer.mint("good"))
        await refreshed(issuer, verifier)

    start = f"of the JWK set at {JWKS_URI}"
    assert caplog.messages == [
        f"{start} keys[1] is an RSA key of 1024 bits, and is skipped",
        f"{start} each of keys[1], keys[2] is an RSA key of 1024 bits, and is skipped",
    ]


def test_two_usable_keys_of_one_name_are_told_and_disable_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier = make_published(
        jwk(ec_key(name="one"), kid="k"), GOOD, jwk(ec_key(name="other"), kid="k")
    )
    signed = {"algorithm": "ES256"}

    assert outcome(verifier, mint(key=ec_key(name="good"), header={"kid": "good"}, **signed)) == (
        "accept"
    )
    for name in ("one", "other"):
        assert outcome(verifier, mint(key=ec_key(name=name), header={"kid": "k"}, **signed)) == (
            "unknown_key"
        )
    assert caplog.messages == [
        f"of the JWK set at {JWKS_URI} each of keys[0], keys[2] has the 'kid' of another key, and "
        "nothing tells the two apart, and is skipped"
    ]


def test_keys_without_a_name_that_are_too_many_are_told(caplog: pytest.LogCaptureFixture) -> None:
    unnamed = [jwk(ec_key(name=f"unnamed-{each}")) for each in range(17)]
    token = mint(algorithm="ES256", key=ec_key(name="good"), header={"kid": "good"})

    assert outcome(make_published(*unnamed, GOOD), token) == "accept"
    (said,) = caplog.messages
    assert said.endswith(
        "keys[7] and 9 more has no 'kid', and so have more than 16, and is skipped"
    )
