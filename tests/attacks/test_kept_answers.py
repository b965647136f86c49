"""An issuer, or whoever fills what it says of a token, wants the memory of the application."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import model_validator

from fastapi_scopes import Claims
from tests.issuers.faulty import AUDIENCE, FaultyIssuer
from tests.verifiers.introspecting import claims_from, make_introspecting, make_issuer
from tests.verifiers.minting import NOW

MEASURED = 24


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with make_issuer() as issuer:
        yield issuer


SMALL_PARTS: Mapping[str, dict[str, Any]] = {
    "every-member-of-the-rfc": {
        **{"username": "jdoe@example.com", "nbf": NOW, "iat": NOW, "jti": "f81d4fae-7dec-11d0"},
        **{"client_id": "https://client.example/app", "email_verified": True, "groups": ["a", "b"]},
    },
    "scopes": {"scope": " ".join(f"{each:x}" for each in range(512))},
    "scopes-of-one-character": {"scope": " ".join(map(chr, [*range(35, 92), *range(93, 127)]))},
    "audiences": {"aud": [AUDIENCE, *map(chr, range(0x100, 0x300))]},
    "one-audience-again-and-again": {"aud": [AUDIENCE, *"a" * 1500]},
    "numbers": {f"{each:x}": each for each in range(1000, 1600)},
    "few-numbers": {f"{each:x}": each for each in range(1000, 1050)},
    "objects": {"x": [{} for _ in range(1900)]},
    "objects-with-a-member": {"x": [{"a": each} for each in range(600)]},
    "lists": {"x": [[] for _ in range(1900)]},
    "deep-list": {"x": json.loads("[" * 60 + "]" * 60), "y": [json.loads("[" * 9 + "]" * 9)] * 99},
    "floats": {"x": [each / 7 for each in range(400)]},
    "long-names": {f"{each}" * 40: each for each in range(100, 160)},
    "long-text": {"x": "a" * 7500},
    "wide-text": {"x": "\U0001f511" * 600},
    "short-wide-texts": {"x": ["\U0001f511"] * 400},
    "identifier": {"jti": "a" * 7500},
    "confirmation": {"cnf": {"jkt": "a" * 3000, "x": [[] for _ in range(700)]}},
}


class Changing(Claims):
    """A model that changes the claims which it is given."""

    @model_validator(mode="before")
    @classmethod
    def change(cls, claims: dict[str, Any]) -> dict[str, Any]:
        claims["seen"] = claims.get("seen", 0) + 1
        if isinstance(claims.get("x"), list):
            claims["x"].append("changed")
        return claims


class Believing:
    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        pass


def kept_for_each(issuer: FaultyIssuer, said: dict[str, Any]) -> float:
    """The bytes that are held for each of many tokens, of which the issuer says *said*."""
    verifier = make_introspecting(issuer, proof=Believing(), cache_ttl=3600)
    tokens = [issuer.mint_opaque("a", **said) for _ in range(MEASURED + 8)]

    async def held_after(*some: str) -> int:
        # Twice: what a model made of a kept answer is held, too.
        for each in some * 2:
            await verifier.verify(each)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def kept() -> float:
        async with aclosing(verifier):
            return (-await held_after(*tokens[:8]) + await held_after(*tokens[8:])) / MEASURED

    tracemalloc.start()
    try:
        return asyncio.run(kept())
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("said", SMALL_PARTS.values(), ids=SMALL_PARTS)
def test_answer_of_many_small_parts_is_kept_in_8_kib(
    issuer: FaultyIssuer, said: dict[str, Any]
) -> None:
    plain = kept_for_each(issuer, {})
    asked = issuer.introspection.count

    assert kept_for_each(issuer, said) - plain < 8 * 1024 + 512
    # It was kept.
    assert issuer.introspection.count == asked + MEASURED + 8


@pytest.mark.parametrize("said", SMALL_PARTS.values(), ids=SMALL_PARTS)
def test_answer_that_is_kept_says_the_same_each_time(
    issuer: FaultyIssuer, said: dict[str, Any]
) -> None:
    verifier = make_introspecting(issuer, proof=Believing(), claims_model=Changing)
    token = issuer.mint_opaque("a", **said)

    first, *others = (claims_from(verifier, token) for _ in range(3))
    assert others == [first] * 2
    assert issuer.introspection.count == 1
    if "scope" in said:
        assert first.scopes == set(said["scope"].split())
