from typing import Any

import pytest

from fastapi_scopes.verifiers.keys import read_keys
from fastapi_scopes.verifiers.options import PUBLISHED_ALGORITHMS
from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import SECRET, b64, ec_key, ed25519_key, jwk, mint, pem, rsa_key, sign
from tests.verifiers.verifying import configured, make_verifier, verdict


def named(kid: str | None, key: str, **members: Any) -> dict[str, Any]:
    return jwk(rsa_key(key), **({} if kid is None else {"kid": kid}), **members)


PADDED = named("a", "b") | {"n": named("a", "b")["n"] + "=="}
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
        "accept",
    ),
    "duplicate-name-one-with-alg": (
        [{"keys": [named("a", "a"), named("a", "b", alg="RS256"), named("c", "c")]}],
        "a",
        "a",
        "unknown_key",
    ),
    "duplicate-name-of-misspelled": (
        [{"keys": [named("a", "a"), PADDED, named("c", "c")]}],
        "a",
        "a",
        "accept",
    ),
    "name-of-misspelled-beside-unnamed": (
        [{"keys": [PADDED, named(None, "c")]}],
        "a",
        "b",
        "signature",
    ),
    "duplicate-name-of-weak": (
        [{"keys": [named("a", "a"), {**named("a", "a"), "e": "Aw"}]}],
        "a",
        "a",
        "accept",
    ),
    "same-key-twice": ([{"keys": [named("a", "a"), named("a", "a")]}], "a", "a", "accept"),
    "same-key-twice-without-kid": (
        [{"keys": [named("a", "a"), named("a", "a")]}],
        None,
        "a",
        "accept",
    ),
    "same-key-with-other-members": (
        [{"keys": [named("a", "a", x5t="x"), named("a", "a", x5c=["y"], use=None, issuer="i")]}],
        "a",
        "a",
        "accept",
    ),
    "same-key-once-with-alg": (
        [{"keys": [named("a", "a", alg="RS256"), named("a", "a"), named("b", "b")]}],
        "a",
        "a",
        "accept",
    ),
    "same-key-for-two-algorithms": (
        [{"keys": [named("a", "a", alg="RS256"), named("a", "a", alg="PS256")]}],
        "a",
        "a",
        "accept",
    ),
    "same-key-twice-beside-another": (
        [{"keys": [named("a", "a"), named("a", "a"), named("a", "b"), named("c", "c")]}],
        "a",
        "a",
        "unknown_key",
    ),
    "same-key-under-two-names": (
        [{"keys": [named("a", "a"), named("b", "a")]}],
        "b",
        "a",
        "accept",
    ),
    "no-kid-same-key-under-two-names": (
        [{"keys": [named("a", "a"), named("b", "a")]}],
        None,
        "a",
        "accept",
    ),
    "same-pem-many-times": ([pem(rsa_key("a"))] * 20, None, "a", "accept"),
    "kid-null": ([{"keys": [named("a", "b"), jwk(rsa_key("a"), kid=None)]}], "x", "a", "accept"),
    "kid-null-twice": (
        [{"keys": [jwk(rsa_key("b"), kid=None), jwk(rsa_key("a"), kid=None)]}],
        None,
        "a",
        "accept",
    ),
    "alg-null": ([named("a", "a", alg=None, key_ops=None)], "a", "a", "accept"),
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


JUNK: dict[str, Any] = {
    "no-object": None,
    "no-kty": {"kid": "a"},
    "kty-list": {"kty": ["RSA"], "kid": "a"},
    "kty-object": {"kty": {}, "kid": "a"},
    "kid-number": named("a", "b") | {"kid": 1},
    "kid-list": named("a", "b") | {"kid": [[]]},
    "kid-object": named("a", "b") | {"kid": {"a": 1}},
    "kid-huge": named("k" * 100_000, "b"),
    "alg-object": named("a", "b", alg={"a": []}),
    "use-list": named("a", "b", use=["sig"]),
    "use-object": named("a", "b", use={}),
    "ops-of-lists": named("a", "b", key_ops=[["verify"]]),
    "ops-number": named("a", "b", key_ops=1),
    "issuer-list": named("a", "b", issuer=["https://as.example"]),
    "issuer-false": named("a", "b", issuer=False),
    "n-number": named("a", "b") | {"n": 1},
    "n-padded": named("a", "a") | {"n": named("a", "a")["n"] + "=="},
    "n-not-ascii": named("a", "b") | {"n": "\u00e9" * 400},
    "n-huge": named("a", "b") | {"n": "A" * 200_000 + "B"},
    "n-empty": named("a", "b") | {"n": ""},
    "e-huge": named("a", "b") | {"e": "f" * 100_000},
    "e-null": named("a", "b") | {"e": None},
    "small": jwk(rsa_key("small", 1024), kid="a"),
    "crv-list": jwk(ec_key(), kid="a") | {"crv": ["P-256"]},
    "x-object": jwk(ec_key(), kid="a") | {"x": {}},
    "point-at-infinity": jwk(ec_key(), kid="a") | {"x": b64(bytes(32)), "y": b64(bytes(32))},
    "okp-short": jwk(ed25519_key(), kid="a") | {"x": "AA"},
    "unknown-kind": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "a"},
    "symbols": {"kty": "\ud800", "kid": "\ud800", "alg": "\0"},
    "of-another-use": named("a", "b", use="enc"),
    "of-another-operation": named("a", "b", key_ops=["encrypt"]),
}


@pytest.mark.parametrize("is_first", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_bad_key_disables_no_other(junk: Any, *, is_first: bool) -> None:
    good = named("a", "a")
    verifier = make_verifier(
        {"keys": [junk, good] if is_first else [good, junk]}, algorithms=["RS256", "ES256", "EdDSA"]
    )

    token = mint(algorithm="RS256", key=rsa_key("a"), header={"kid": "a"})
    assert verdict(verifier, token) == "accept"


EDWARDS = [
    (None, "EdDSA", "accept"),
    (None, "Ed25519", "accept"),
    ("EdDSA", "EdDSA", "accept"),
    ("Ed25519", "Ed25519", "accept"),
    # RFC 9864 5: the `alg` of such a key is the name that its tokens have.
    ("EdDSA", "Ed25519", "unknown_key"),
    ("Ed25519", "EdDSA", "unknown_key"),
    ("Ed448", "Ed25519", "unknown_key"),
]


@pytest.mark.parametrize(("of_key", "of_token", "answer"), EDWARDS)
def test_edwards_key_verifies_under_its_own_name(
    of_key: str | None, of_token: str, answer: str
) -> None:
    key = jwk(ed25519_key(), kid="a", **({} if of_key is None else {"alg": of_key}))
    verifier = make_verifier({"keys": [key, named("r", "a")]}, algorithms=PUBLISHED_ALGORITHMS)

    token = mint(algorithm=of_token, key=ed25519_key(), header={"kid": "a"})
    assert verdict(verifier, token) == answer


def test_same_edwards_key_under_both_names_verifies_both() -> None:
    keys = [jwk(ed25519_key(), kid="a", alg=each) for each in ("EdDSA", "Ed25519")]
    verifier = make_verifier({"keys": keys}, algorithms=PUBLISHED_ALGORITHMS)

    for each in ("EdDSA", "Ed25519"):
        token = mint(algorithm=each, key=ed25519_key(), header={"kid": "a"})
        assert verdict(verifier, token) == "accept"


ISSUERS: dict[str, tuple[list[Any], str | None, set[str] | None]] = {
    "none": ([named("a", "a")], "a", None),
    "null": ([named("a", "a", issuer=None)], "a", None),
    "one": ([named("a", "a", issuer="i")], "a", {"i"}),
    "template": ([named("a", "a", issuer="https://x/{tenantid}")], "a", {"https://x/{tenantid}"}),
    "two": ([named("a", "a", issuer="i"), named("a", "a", issuer="j")], "a", {"i", "j"}),
    "two-without-kid": (
        [named("a", "a", issuer="i"), named("a", "a", issuer="j")],
        None,
        {"i", "j"},
    ),
    "once-without": ([named("a", "a", issuer="i"), named("a", "a")], "a", None),
    "once-null": ([named("a", "a", issuer=None), named("a", "a", issuer="i")], "a", None),
    "other-key": ([named("a", "a", issuer="i"), named("b", "b")], "a", {"i"}),
    "other-name": ([named("a", "a", issuer="i"), named("b", "a")], "a", {"i"}),
    "other-algorithm": (
        [named("a", "a", alg="RS256", issuer="i"), named("a", "a", alg="PS256", issuer="j")],
        "a",
        {"i"},
    ),
    "unnamed": ([jwk(rsa_key("a"), issuer="i"), jwk(rsa_key("a"), issuer="j")], "x", {"i", "j"}),
    "two-sources": ([{"keys": [named("a", "a", issuer="i")]}, named("a", "a")], "a", None),
}


@pytest.mark.parametrize(("keys", "kid", "issuers"), ISSUERS.values(), ids=ISSUERS)
def test_issuer_of_a_jwk_binds_its_key(keys: Any, kid: str | None, issuers: Any) -> None:
    sources = keys if any("keys" in each for each in keys) else [{"keys": keys}]
    read, problems = read_keys(sources, ["RS256", "PS256"])

    assert problems == ()
    assert [each.issuers for each in read.candidates_for(kid, "RS256")] == [issuers]


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        (None, None, True),
        ("i", "i", True),
        (None, "i", False),
        ("i", None, False),
        ("i", "j", False),
    ],
)
def test_changed_issuer_is_a_changed_key(
    before: str | None, after: str | None, *, is_kept: bool
) -> None:
    old, _ = read_keys([named("a", "a", issuer=before)], ["RS256"])
    new, _ = read_keys([named("a", "a", issuer=after), named("b", "b")], ["RS256"])

    assert new.includes(old) is is_kept


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


def test_keys_without_a_name_that_are_too_many_disable_none_that_has_one() -> None:
    unnamed = [jwk(ec_key(name=f"unnamed-{number}")) for number in range(17)]
    verifier = make_published(*unnamed, jwk(ec_key(name="named"), kid="named"))
    signed = {"algorithm": "ES256", "key": ec_key(name="named")}

    assert outcome(verifier, mint(header={"kid": "named"}, **signed)) == "accept"
    assert outcome(verifier, mint(algorithm="ES256", key=ec_key(name="unnamed-0"))) == "signature"
    assert outcome(make_published(*unnamed), mint(**signed)) == "unavailable"
