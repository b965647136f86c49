"""Tokens that were revoked before they expire, and what a list of them must be."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fastapi_scopes import PUBLIC, ScopeGuard
from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.doors import DOORS, Door
from tests.verifiers.kinds import KINDS, Make, gathered, outcome
from tests.verifiers.minting import NOW, mint

ISSUER = "https://as.example"


def make_list(*revoked: tuple[str | None, str]) -> MemoryRevocationList:
    """A list of *revoked* tokens of ten minutes."""
    revocations = MemoryRevocationList(now=lambda: NOW)
    gathered(*(revocations.revoke(issuer, jti, exp=NOW + 600) for issuer, jti in revoked))
    return revocations


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("issuer", [ISSUER, None], ids=["issuer", "no-issuer"])
def test_revoked_token_is_refused(make: Make, issuer: str | None) -> None:
    verifier = make(revocations=make_list((issuer, "one")))
    named = {} if issuer is None else {"iss": issuer}
    tokens = [mint(jti=jti, algorithm="ES256", **named) for jti in ("one", "other")]

    assert [outcome(verifier, each) for each in tokens * 2] == ["revoked", "accept"] * 2


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_token_that_cannot_be_named_is_refused_where_there_is_a_list(make: Make) -> None:
    token = mint(algorithm="ES256")

    assert outcome(make(), token) == "accept"
    assert outcome(make(revocations=make_list()), token) == "claims"


class Answering:
    """A list that gives the same answer to whoever asks, and notes the question."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, list[Any]()

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        self.asked.append((issuer, jti))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: bool = self.answer
        return answer


ANSWERS: Mapping[str, tuple[Any, str]] = {
    "false": (False, "accept"),
    "true": (True, "revoked"),
    "none": (None, "revoked"),
    "zero": (0, "revoked"),
    "one": (1, "revoked"),
    "empty-text": ("", "revoked"),
    "text": ("false", "revoked"),
    "cannot-tell": (VerifierUnavailable(), "unavailable"),
    "out-of-reach": (ConnectionError("redis://user:canary@host"), "unavailable"),
    "bug": (KeyError("canary"), "unavailable"),
    "bug-of-the-applications-own": (type("OwnError", (Exception,), {})(), "unavailable"),
    "refuses-by-itself": (TokenError(TokenFault.REVOKED), "revoked"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("answer", "verdict"), ANSWERS.values(), ids=ANSWERS)
def test_only_a_plain_no_lets_a_token_pass(make: Make, answer: Any, verdict: str) -> None:
    revocations = Answering(answer)
    verifier = make(revocations=revocations)
    token = mint(jti="one", iss=ISSUER, algorithm="ES256")

    assert [outcome(verifier, token) for _ in range(3)] == [verdict] * 3
    assert revocations.asked == [(ISSUER, "one")] * 3


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_list_that_cannot_be_asked_is_503_to_whoever_brings_a_good_token(door: Door) -> None:
    verifier = KINDS["given-keys"](revocations=Answering(VerifierUnavailable(7)))
    app = door(ScopeGuard({"GET /x": [], "GET /open": PUBLIC}, verifier=verifier))
    for path in ("/x", "/open"):
        app.add_api_route(path, lambda: "ran")
    good, expired = (mint(jti="a", exp=exp, algorithm="ES256") for exp in (NOW + 1, NOW))

    with TestClient(app) as client:
        refused = client.get("/x", headers={"Authorization": f"Bearer {good}"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
        assert client.get("/x", headers={"Authorization": f"Bearer {expired}"}).status_code == 401
        assert client.get("/open").json() == "ran"


class NotAsync:
    def is_revoked(self, issuer: str | None, jti: str) -> bool:
        return False


BAD_LISTS: Mapping[str, Any] = {
    "class": MemoryRevocationList,
    "set": {"one"},
    "not-async": NotAsync(),
    "true": True,
    "text": "one",
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("revocations", BAD_LISTS.values(), ids=BAD_LISTS)
def test_what_is_no_list_is_named_by_the_constructor(make: Make, revocations: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(revocations=revocations)

    kind = type(revocations).__name__
    assert str(caught.value) == (
        f"revocations is a {kind!r} without 'async def is_revoked'; pass an object that has it"
    )
