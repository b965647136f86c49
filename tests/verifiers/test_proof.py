"""A token that is bound to a key passes where its caller proves that the key is theirs."""

from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.verifiers.kinds import KINDS, Make, gathered, outcome
from tests.verifiers.minting import NOW, mint
from tests.verifiers.verifying import verified

THUMBPRINT = {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
CONFIRMATIONS: Mapping[str, Any] = {
    "dpop": THUMBPRINT,
    "certificate": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
    "unknown": {"x": 1},
    "empty": {},
    "null": None,
    "false": False,
    "true": True,
    "zero": 0,
    "number": 1.5,
    "text": "",
    "list": [],
    "list-of-object": [THUMBPRINT],
}
OBJECTS = [name for name, value in CONFIRMATIONS.items() if isinstance(value, dict)]


class Checker:
    """A proof checker that notes what it is asked, and raises what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self.error = error

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        self.asked.append((token, dict(confirmation)))
        if self.error is not None:
            raise self.error


def bound(confirmation: Any = THUMBPRINT, **claims: Any) -> str:
    return mint(algorithm="ES256", cnf=confirmation, **claims)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("confirmation", CONFIRMATIONS.values(), ids=CONFIRMATIONS)
def test_bound_token_is_refused_where_nobody_asks_for_proof(make: Make, confirmation: Any) -> None:
    assert outcome(make(), bound(confirmation)) == "confirmation"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", CONFIRMATIONS)
def test_confirmation_is_an_object_also_where_proof_is_asked_for(make: Make, name: str) -> None:
    proof = Checker()
    token = bound(CONFIRMATIONS[name])

    assert outcome(make(proof=proof), token) == ("accept" if name in OBJECTS else "confirmation")
    assert proof.asked == ([(token, CONFIRMATIONS[name])] if name in OBJECTS else [])


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not-kept"])
def test_proof_is_asked_for_in_every_request(make: Make, kept: bool) -> None:
    proof, token = Checker(), bound()
    verifier = make(proof=proof, cache_ttl=60 if kept else 0)

    assert [outcome(verifier, token) for _ in range(3)] == ["accept"] * 3
    assert proof.asked == [(token, THUMBPRINT)] * 3


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_nobody_is_asked_of_a_token_that_is_not_bound(make: Make) -> None:
    proof = Checker(TokenError(TokenFault.CONFIRMATION))

    assert outcome(make(proof=proof), mint(algorithm="ES256")) == "accept"
    assert proof.asked == []


REFUSALS: Mapping[str, tuple[Exception, str]] = {
    "no-proof": (TokenError(TokenFault.CONFIRMATION), "confirmation"),
    "another-fault": (TokenError(TokenFault.CLAIMS), "claims"),
    "cannot-be-told": (VerifierUnavailable(), "unavailable"),
    "bug": (KeyError("x5t#S256"), "confirmation"),
    "bug-of-the-applications-own": (type("OwnError", (Exception,), {})(), "confirmation"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("error", "answer"), REFUSALS.values(), ids=REFUSALS)
def test_what_the_checker_raises_is_the_answer(make: Make, error: Exception, answer: str) -> None:
    proof = Checker()
    verifier, token = make(proof=proof), bound()

    assert outcome(verifier, token) == "accept"
    proof.error = error
    assert outcome(verifier, token) == answer
    proof.error = None
    assert outcome(verifier, token) == "accept"


NO_CALLERS: Mapping[str, dict[str, Any]] = {
    "expired": {"exp": NOW},
    "early": {"nbf": NOW + 11},
    "revoked": {"jti": "revoked"},
    "nameless": {"jti": None},
    "no-scopes": {"scope": 1},
    "id-token": {"at_hash": "x"},
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("claims", NO_CALLERS.values(), ids=NO_CALLERS)
def test_no_proof_is_asked_for_a_token_that_is_refused_anyway(
    make: Make, claims: dict[str, Any]
) -> None:
    revocations, proof = MemoryRevocationList(now=lambda: NOW), Checker()
    gathered(revocations.revoke(None, "revoked", exp=NOW + 600))
    verifier = make(proof=proof, revocations=revocations)

    assert outcome(verifier, bound(**{"jti": "one", **claims})) not in ("accept", "confirmation")
    assert proof.asked == []


class Greedy(Checker):
    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        await super().check(token, confirmation)
        assert isinstance(confirmation, dict)
        confirmation.clear()


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_checker_that_changes_what_it_gets_changes_no_later_request(make: Make) -> None:
    proof, token = Greedy(), bound()
    verifier = make(proof=proof)

    assert [outcome(verifier, token) for _ in range(2)] == ["accept"] * 2
    assert proof.asked == [(token, THUMBPRINT)] * 2


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_handler_learns_what_the_token_is_bound_to(make: Make) -> None:
    claims = verified(make(proof=Checker()), bound())

    assert claims.model_extra == {"cnf": THUMBPRINT, "scope": "a:read b"}


def check(token: str, confirmation: Mapping[str, object]) -> None:
    return None


class NotAsync:
    def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        return None


BAD: Mapping[str, tuple[Any, str]] = {
    "class": (Checker, "type"),
    "function": (check, "function"),
    "not-async": (NotAsync(), "NotAsync"),
    "true": (True, "bool"),
    "text": ("dpop", "str"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("proof", "kind"), BAD.values(), ids=BAD)
def test_what_is_no_checker_is_named_by_the_constructor(make: Make, proof: Any, kind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(proof=proof)

    assert str(caught.value) == (
        f"proof is a {kind!r} without 'async def check'; pass an object that has it"
    )
