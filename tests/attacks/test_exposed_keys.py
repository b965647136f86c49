"""A key whose private half stands in the issuer's key set verifies nothing; the others go on."""

import logging
from typing import Any

import pytest

from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import (
    SECRET,
    b64,
    ec_key,
    ed448_key,
    ed25519_key,
    jwk,
    key_for,
    mint,
    number,
    rsa_key,
)
from tests.verifiers.publishing import JWKS_URI, Issuer, key_set_of, looped, outcome_of, refreshed

GOOD = jwk(ec_key(name="good"), kid="good")
OCTETS = b64(b"\7" * 32)


def private(key: Any, **members: Any) -> dict[str, Any]:
    return jwk(key, **{"kid": "bad", "d": OCTETS, **members})


def modulus(**members: Any) -> dict[str, Any]:
    return {**jwk(rsa_key("bad")), "kid": "bad", **members}


def answer(jwks: list[Any], algorithm: str, key: Any, kid: str | None) -> str:
    header = {} if kid is None else {"kid": kid}
    return outcome(make_published(*jwks), mint(algorithm=algorithm, key=key, header=header))


PRIVATE: dict[str, Any] = {
    "secret": jwk(SECRET, kid="bad"),
    "secret-of-the-good-kid": jwk(SECRET, kid="good"),
    "secret-without-k": {"kty": "oct", "kid": "bad"},
    "secret-of-another-kind": {"kty": "OCT", "kid": "bad", "k": OCTETS},
    "secret-without-kind": {"kid": "bad", "k": OCTETS},
    "for-encryption": private(rsa_key("bad"), use="enc"),
    "of-an-unknown-kind": {"kty": "AKP", "kid": "bad", "pub": OCTETS, "priv": OCTETS},
    "ec": private(ec_key(name="bad")),
    "ec-of-the-good-kid": private(ec_key(name="bad"), kid="good"),
    "edwards": private(ed25519_key("bad")),
    "edwards-448": private(ed448_key("bad")),
    "rsa": private(rsa_key("bad")),
    **{f"rsa-{each}": modulus(**{each: OCTETS}) for each in ("d", "p", "q", "dp", "dq", "qi")},
    "rsa-oth": modulus(oth=OCTETS),
    "rsa-oth-list": modulus(oth=[{"r": OCTETS}]),
    "d-empty": private(ec_key(name="bad"), d=""),
    "d-object": private(ec_key(name="bad"), d={}),
    "d-list": private(ec_key(name="bad"), d=[None]),
    "d-false": private(ec_key(name="bad"), d=False),
    "d-number": private(ec_key(name="bad"), d=0),
}
SIGNERS = {
    "EC": ("ES256", ec_key(name="bad")),
    "RSA": ("RS256", rsa_key("bad")),
    "OKP": ("EdDSA", ed25519_key("bad")),
}


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("exposed", PRIVATE.values(), ids=PRIVATE)
def test_exposed_key_disables_no_other_and_verifies_nothing(
    exposed: dict[str, Any], *, is_first: bool
) -> None:
    jwks = [exposed, GOOD] if is_first else [GOOD, exposed]

    assert answer(jwks, "ES256", ec_key(name="good"), "good") == "accept"
    algorithm, key = SIGNERS.get(exposed.get("kty", ""), SIGNERS["EC"])
    for kid in ("bad", "good", None):
        assert answer(jwks, algorithm, key, kid) in {"unknown_key", "signature"}


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_published_secret_signs_nothing(algorithm: str) -> None:
    token = mint(algorithm="HS256", key=SECRET, header={"alg": algorithm, "kid": "bad"})

    assert outcome(make_published(GOOD, jwk(SECRET, kid="bad")), token) == "algorithm"


# The key that is exposed, and the same key beside it, as the one that verifies.
TWINS: dict[str, tuple[Any, Any]] = {
    "another-kid": (private(ec_key(name="bad")), {}),
    "no-kid": (private(ec_key(name="bad"), kid=None), {}),
    "same-kid": (private(ec_key(name="bad"), kid="twin"), {}),
    "for-encryption": (private(ec_key(name="bad"), use="enc"), {"use": "sig"}),
    "another-alg": (private(ec_key(name="bad"), alg="ECDH-ES"), {"alg": "ES256"}),
    "padded": (private(ec_key(name="bad"), x=jwk(ec_key(name="bad"))["x"] + "="), {}),
    "spaced": (private(ec_key(name="bad"), x=" \n".join(jwk(ec_key(name="bad"))["x"])), {}),
    "without-y": (private(ec_key(name="bad"), y=None), {}),
    "without-kty": (private(ec_key(name="bad")) | {"kty": None}, {}),
    "other-y": (private(ec_key(name="bad"), y=OCTETS), {}),
    "edwards": (private(ed25519_key("bad")), {}),
    "edwards-448": (private(ed448_key("bad")), {}),
    "rsa": (private(rsa_key("bad")), {}),
    "rsa-factor-alone": (modulus(p=OCTETS), {}),
    "rsa-other-exponent": (modulus(d=OCTETS, e="AQ"), {}),
    "rsa-leading-zero": (
        modulus(d=OCTETS, n=number(rsa_key("bad").public_key().public_numbers().n, 257)),
        {},
    ),
    "rsa-standard-alphabet": (
        modulus(d=OCTETS, n=modulus()["n"].replace("-", "+").replace("_", "/") + "=="),
        {},
    ),
}


def twin_of(exposed: dict[str, Any]) -> tuple[str, Any]:
    if exposed.get("crv") == "Ed448":
        return "EdDSA", ed448_key("bad")
    return SIGNERS[exposed["kty"] or "EC"]


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize(("exposed", "members"), TWINS.values(), ids=TWINS)
def test_same_key_elsewhere_in_the_set_is_exposed_too(
    exposed: dict[str, Any], members: dict[str, Any], *, is_first: bool
) -> None:
    algorithm, key = twin_of(exposed)
    twin = jwk(key, kid="twin", **members)
    jwks = [exposed, twin, GOOD] if is_first else [GOOD, twin, exposed]

    # Else a token of it would be accepted.
    assert answer([twin, GOOD], algorithm, key, "twin") == "accept"
    for kid in ("twin", "good", None):
        assert answer(jwks, algorithm, key, kid) in {"unknown_key", "signature"}
    assert answer(jwks, "ES256", ec_key(name="good"), "good") == "accept"


ENCRYPTION = jwk(rsa_key(), kid="e", use="enc")


@pytest.mark.parametrize("beside", [(), (ENCRYPTION,)], ids=["alone", "enc"])
@looped
async def test_exposed_key_that_was_held_is_held_no_more(beside: tuple[Any, ...]) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    assert await outcome_of(verifier, issuer.mint("k1")) == "accept"

    issuer.documents[JWKS_URI] = key_set_of(*beside, jwk(ec_key(name="k1"), kid="k1", d=OCTETS))
    await refreshed(issuer, verifier)
    assert await outcome_of(verifier, issuer.mint("k1")) == "unknown_key"
    assert await outcome_of(verifier, issuer.mint("k1", sub="bob")) == "unknown_key"

    issuer.documents[JWKS_URI] = key_set_of(jwk(ec_key(name="k2"), kid="k2"))
    issuer.clock.move(10)
    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"


@looped
async def test_exposed_key_is_an_error_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer("k1")
    leak = private(ec_key(name="canary"), kid="canary", d=b64("canary" * 8))
    twin = jwk(ec_key(name="canary"), kid="canary-2")
    issuer.documents[JWKS_URI] = key_set_of(jwk(ec_key(name="k1"), kid="k1"), leak, twin)
    verifier = issuer.verifier()
    for _ in range(3):
        assert await outcome_of(verifier, issuer.mint("k1")) == "accept"
        await refreshed(issuer, verifier)

    (said,) = caplog.records
    assert said.levelno == logging.ERROR
    assert said.getMessage() == (
        f"the JWK set at {JWKS_URI} has the private half of each of keys[1], keys[2] in it, with "
        "which everybody can sign; it verifies nothing, and the issuer must withdraw it"
    )
    assert issuer.fetches > 3


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_null_private_member_exposes_nothing(algorithm: str) -> None:
    key = key_for(algorithm)
    nulls = dict.fromkeys(("d", "k", "p", "q", "dp", "dq", "qi", "oth", "priv"))

    assert answer([jwk(key, kid="a", **nulls)], algorithm, key, "a") == "accept"
