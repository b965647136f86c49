"""The vectors again: with keys that an issuer publishes, and with one issuer of several."""

import base64
import hmac
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import IssuersVerifier
from fastapi_scopes.verifiers._jose import ALGORITHMS
from tests.verifiers.kinds import make_published, outcome
from tests.verifiers.minting import b64, ec_key, jwk, mint_raw, pem, rsa_key, sign
from tests.verifiers.test_abuse_vectors import SUITE, key_of
from tests.verifiers.test_wycheproof import SUITES, jws_tests, rows
from tests.verifiers.verifying import make_verifier

ISSUER, OTHER = "https://as", "https://other.example"
KEY = ec_key(name="vectors")
# What stands for any other issuer here is asked of nothing.
BESIDE = make_verifier(pem(rsa_key("other")), algorithms=["RS256"], issuer=OTHER)
PUBLISHABLE = {name for name, each in ALGORITHMS.items() if not each.is_symmetric}


def published_keys_of(case: dict[str, Any]) -> list[Any] | None:
    """The key of *case* as members of a JWK set, None where it is a secret or no key."""
    key = SUITE["keys"][case["key"]]
    match key["form"]:
        case "jwks":
            return None if key["value"]["keys"] is None else list(key["value"]["keys"])
        case "jwk":
            return [key["value"]]
        case "text" if "PUBLIC KEY" in key["value"]:
            return [jwk(load_pem_public_key(key["value"].encode()))]
        case _:
            return None


def asymmetric_cases() -> Iterator[Any]:
    for case in SUITE["cases"]:
        keys = published_keys_of(case)
        if keys is not None and isinstance(case["algorithms"], list):
            yield pytest.param(case, keys, id=f"{case['id']}-{case['name']}")


def answer_of(make: Any, token: Any) -> str:
    try:
        verifier = make()
    except ConfigurationError:
        return "reject"
    return "accept" if outcome(verifier, token) == "accept" else "reject"


@pytest.mark.parametrize(("case", "keys"), [*asymmetric_cases()])
def test_abuse_case_is_answered_as_wanted_with_published_keys(
    case: dict[str, Any], keys: list[Any]
) -> None:
    def make() -> Any:
        return make_published(
            *keys,
            algorithms=case["algorithms"],
            issuer=case["issuer"],
            audience=case["audience"],
            now=lambda: SUITE["clock"],
        )

    assert case["expect"] in (answer_of(make, case["token"]), "policy")


def signed_anew() -> Iterator[Any]:
    """The cases whose token is well signed with a secret, signed with a key instead.

    Where the payload is an object and no issuer is asked for, its first member is one.
    """
    for case in SUITE["cases"]:
        segments = str(case["token"]).split(".")
        is_usual = (case["key"], case["algorithms"]) == ("k1", ["HS256"])
        if not is_usual or len(segments) != 3 or not is_well_signed(case):
            continue
        header, payload = (base64.urlsafe_b64decode(f"{each}==") for each in segments[:2])
        if case["issuer"] is None:
            payload = re.sub(rb"\A\{(?=.)", b'{"iss":"%b",' % ISSUER.encode(), payload)
        header = re.sub(rb'"HS256"', b'"ES256"', header)
        token = mint_raw(b64(header), b64(payload), algorithm="ES256", key=KEY)
        yield pytest.param(case, token, id=f"{case['id']}-{case['name']}")


def is_well_signed(case: dict[str, Any]) -> bool:
    message, _, signature = str(case["token"]).rpartition(".")
    expected = b64(sign(message.encode("utf-8", "replace"), key_of(case), "HS256"))
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def settings_of(case: dict[str, Any]) -> dict[str, Any]:
    return {"audience": case["audience"], "now": lambda: SUITE["clock"]}


def alone(case: dict[str, Any]) -> Any:
    return make_published(jwk(KEY), issuer=ISSUER, **settings_of(case))


def among_others(case: dict[str, Any]) -> Any:
    given = make_verifier(pem(KEY), algorithms=["ES256"], issuer=ISSUER, **settings_of(case))
    return IssuersVerifier([BESIDE, given])


def published_among_others(case: dict[str, Any]) -> Any:
    return IssuersVerifier([alone(case), BESIDE])


@pytest.mark.parametrize("make", [alone, among_others, published_among_others])
@pytest.mark.parametrize(("case", "token"), [*signed_anew()])
def test_abuse_case_that_is_signed_anew_is_answered_as_wanted(
    make: Any, case: dict[str, Any], token: str
) -> None:
    assert case["expect"] in (answer_of(lambda: make(case), token), "policy")


@pytest.mark.parametrize(
    "case", SUITE["cases"], ids=[f"{each['id']}-{each['name']}" for each in SUITE["cases"]]
)
def test_abuse_case_is_no_token_of_an_issuer_whose_key_did_not_sign_it(
    case: dict[str, Any],
) -> None:
    for make in (alone, among_others, published_among_others):
        assert outcome(make(case), case["token"]) != "accept"


def test_abuse_suite_is_covered_as_far_as_it_goes() -> None:
    anew, published = [*signed_anew()], [*asymmetric_cases()]

    assert len(published) == 24
    assert len(anew) == 78
    # Not all are refused for what stands around the payload.
    assert sum(each.values[0]["expect"] == "accept" for each in (*anew, *published)) >= 11


def answer_to(key_set: Any, jws: Any) -> str:
    """`valid` where the signature holds: what these tokens carry is no claims set."""
    members = key_set.get("keys", [key_set])
    fault = outcome(make_published(*members, algorithms=sorted(PUBLISHABLE)), jws)
    return "valid" if fault == "payload" else "invalid"


@pytest.mark.parametrize(("suite", "key_set", "test"), rows())
def test_wycheproof_agrees_where_keys_are_published(suite: str, key_set: Any, test: Any) -> None:
    # A secret that is published verifies nothing.
    is_public = all(each["kty"] != "oct" for each in key_set.get("keys", [key_set]))
    expected = test["result"] if is_public else "invalid"

    assert answer_to(key_set, test["jws"]) == expected


def test_wycheproof_has_valid_tokens_under_published_keys() -> None:
    found = [
        answer_to(key_set, test["jws"]) for suite in SUITES for _, key_set, test in jws_tests(suite)
    ]

    assert found.count("valid") == 3
