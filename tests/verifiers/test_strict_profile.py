"""RFC 9068, asked for with ``strict=True``."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.verifiers.kinds import KINDS, Make, outcome
from tests.verifiers.minting import NOW, mint

COMPLETE: Mapping[str, Any] = {
    "iss": "https://as.example",
    "aud": "https://api.example",
    "sub": "alice",
    "client_id": "a-client",
    "iat": NOW,
    "exp": NOW + 600,
    "jti": "one",
}


def mint_typed(kind: Any = "at+jwt", **options: Any) -> str:
    return mint(COMPLETE, algorithm="ES256", header={"typ": kind}, **options)


def answer_to(make: Make, token: str, *, strict: bool = True) -> str:
    config = {"issuer": COMPLETE["iss"], "audience": COMPLETE["aud"], "strict": strict}
    return outcome(make(**config), token)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("strict", [True, False])
def test_complete_token_passes(make: Make, strict: bool) -> None:
    assert answer_to(make, mint_typed(), strict=strict) == "accept"


# typ -> whether RFC 9068 takes it, and whether we do where nothing is said of RFC 9068.
TYPES: Mapping[str, tuple[Any, bool, bool]] = {
    "short": ("at+jwt", True, True),
    "capitals": ("AT+JWT", True, True),
    "mixed-case": ("At+Jwt", True, True),
    "media-type": ("application/at+jwt", True, True),
    "media-type-in-capitals": ("Application/AT+JWT", True, True),
    "jwt": ("JWT", False, True),
    "jwt-in-small": ("jwt", False, True),
    "jwt-media-type": ("application/jwt", False, True),
    "empty": ("", False, False),
    "null": (None, False, False),
    "list": (["at+jwt"], False, False),
    "number": (1, False, False),
    "space": ("at+jwt ", False, False),
    "parameter": ("at+jwt; charset=utf-8", False, False),
    "slash": ("/at+jwt", False, False),
    "another-tree": ("text/at+jwt", False, False),
    "doubled-tree": ("application/application/at+jwt", False, False),
    "kelvin-sign": ("at+jw\u212a", False, False),
    "dotless-i": ("appl\u0131cation/at+jwt", False, False),
    "long-s": ("JW\u017f", False, False),
    "minus": ("at-jwt", False, False),
    "dpop": ("dpop+jwt", False, False),
    "logout": ("logout+jwt", False, False),
    "secevent": ("secevent+jwt", False, False),
    "introspection": ("token-introspection+jwt", False, False),
    "id-token": ("id_token+jwt", False, False),
    "jws": ("JOSE", False, False),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("kind", "strictly", "loosely"), TYPES.values(), ids=TYPES)
def test_type_is_one_of_an_access_token(
    make: Make, kind: Any, strictly: bool, loosely: bool
) -> None:
    token = mint_typed(kind)

    assert answer_to(make, token) == ("accept" if strictly else "type")
    assert answer_to(make, token, strict=False) == ("accept" if loosely else "type")


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_type_must_be_there(make: Make) -> None:
    token = mint(COMPLETE, algorithm="ES256")

    assert answer_to(make, token) == "type"
    assert answer_to(make, token, strict=False) == "accept"


REQUIRED: Mapping[str, str] = {
    "iss": "claims",
    "exp": "claims",
    "aud": "claims",
    "sub": "claims",
    "client_id": "claims",
    "iat": "claims",
    "jti": "claims",
    "scope": "accept",
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("name", "answer"), REQUIRED.items(), ids=REQUIRED)
def test_each_required_claim_must_be_there(make: Make, name: str, answer: str) -> None:
    assert answer_to(make, mint_typed(without=(name,))) == answer


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", [each for each in REQUIRED if each != "scope"])
def test_required_claim_that_is_null_is_refused(make: Make, name: str) -> None:
    assert answer_to(make, mint_typed(**{name: None})) != "accept"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ["sub", "client_id", "jti"])
def test_required_claim_that_is_empty_names_nobody(make: Make, name: str) -> None:
    assert answer_to(make, mint_typed(**{name: ""})) == "claims"
    assert answer_to(make, mint_typed(**{name: ""}), strict=False) == "accept"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_issuer_and_audience_must_be_there_also_where_none_is_asked_for(make: Make) -> None:
    verifier = make(strict=True)

    assert outcome(verifier, mint_typed()) == "accept"
    for name in ("iss", "aud"):
        assert outcome(verifier, mint_typed(without=(name,))) == "claims"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_kept_token_of_a_lax_verifier_is_no_token_of_a_strict_one(make: Make) -> None:
    token = mint_typed("JWT")

    for strict, answer in ((False, "accept"), (True, "type"), (False, "accept")):
        assert answer_to(make, token, strict=strict) == answer


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("claims", [{"aud": []}, {"aud": None}, {"iss": None}, {"iss": ""}])
def test_claim_that_is_asked_for_is_not_null_or_empty_whatever_it_must_be(
    make: Make, claims: Mapping[str, Any]
) -> None:
    assert outcome(make(strict=True), mint_typed(**claims)) == "claims"
