"""An answer about an opaque token is kept for a while, a refusal as well, an outage never."""

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.issuers.answers import Answer
from tests.issuers.faults import members
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import (
    UNAVAILABLE,
    answer_to,
    answers_to,
    claims_from,
    make_introspecting,
)
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import Clock


@pytest.mark.parametrize("active", [True, False], ids=["active", "inactive"])
def test_answer_is_asked_for_once_in_the_ttl(issuer: FaultyIssuer, active: bool) -> None:
    clock, token = Clock(), issuer.mint_opaque("a") if active else "unknown"
    verifier = make_introspecting(issuer, now=clock, cache_ttl=10)

    asked = []
    for seconds in (0, 5, 4.9, 0.1, 9.9, 0.1):
        clock.move(seconds)
        assert answer_to(verifier, token) == ("accept" if active else "inactive")
        asked.append(issuer.introspection.count)
    assert asked == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("setting", [{"cache_ttl": 0}, {"cache_size": 0}], ids=str)
def test_cache_that_keeps_nothing_changes_no_answer(
    issuer: FaultyIssuer, setting: dict[str, int]
) -> None:
    verifier, token = make_introspecting(issuer, **setting), issuer.mint_opaque("a")

    assert answers_to(verifier, token, "unknown", token, "unknown") == ["accept", "inactive"] * 2
    assert issuer.introspection.count == 4


def test_token_that_the_issuer_revokes_passes_no_longer_than_the_ttl(issuer: FaultyIssuer) -> None:
    clock, token = Clock(), issuer.mint_opaque("a")
    verifier = make_introspecting(issuer, now=clock, cache_ttl=10)

    assert answer_to(verifier, token) == "accept"
    del issuer.tokens[token]
    clock.move(9.9)
    assert answer_to(verifier, token) == "accept"
    clock.move(0.1)
    assert answer_to(verifier, token) == "inactive"


def test_token_that_was_not_known_yet_passes_after_the_ttl(issuer: FaultyIssuer) -> None:
    clock = Clock()
    verifier = make_introspecting(issuer, now=clock, cache_ttl=10)

    assert answer_to(verifier, "late") == "inactive"
    issuer.tokens["late"] = issuer.tokens[issuer.mint_opaque("a")]
    assert answer_to(verifier, "late") == "inactive"
    clock.move(10)
    assert answer_to(verifier, "late") == "accept"


def test_outage_is_not_kept_and_hides_no_answer_that_is(issuer: FaultyIssuer) -> None:
    verifier, kept, token = make_introspecting(issuer), issuer.mint_opaque(), issuer.mint_opaque()

    assert answer_to(verifier, kept) == "accept"
    issuer.stop()
    assert answers_to(verifier, kept, token) == ["accept", UNAVAILABLE]
    issuer.start()
    assert answers_to(verifier, kept, token) == ["accept", "accept"]


def while_answering(clock: Clock, seconds: float) -> Callable[[Answer], Answer]:
    """The healthy answer, on whose way that much time goes by."""

    def answer(good: Answer) -> Answer:
        clock.move(seconds)
        return good

    return answer


def test_answer_is_as_old_as_its_question(issuer: FaultyIssuer) -> None:
    clock, token = Clock(), issuer.mint_opaque("a")
    verifier = make_introspecting(issuer, now=clock, cache_ttl=10)

    issuer.introspection.switch(while_answering(clock, 8))
    assert answer_to(verifier, token) == "accept"
    issuer.introspection.heal()
    del issuer.tokens[token]
    clock.move(1.9)
    assert answer_to(verifier, token) == "accept"
    clock.move(0.1)
    assert answer_to(verifier, token) == "inactive"


def test_token_that_expires_while_the_issuer_answers_is_refused(issuer: FaultyIssuer) -> None:
    clock, token = Clock(), issuer.mint_opaque("a", exp=NOW + 3)
    verifier = make_introspecting(issuer, now=clock)

    issuer.introspection.switch(while_answering(clock, 3))
    assert answer_to(verifier, token) == "expired"


def test_token_that_becomes_valid_while_the_issuer_answers_passes(issuer: FaultyIssuer) -> None:
    clock, token = Clock(), issuer.mint_opaque("a", nbf=NOW + 3, iat=NOW + 3)
    verifier = make_introspecting(issuer, now=clock)

    issuer.introspection.switch(while_answering(clock, 3))
    assert answer_to(verifier, token) == "accept"


TIMES: Mapping[str, tuple[dict[str, Any], float, str]] = {
    "last-moment": ({"exp": NOW + 5}, 4.9, "accept"),
    "expired": ({"exp": NOW + 5}, 5, "expired"),
    "clock-set-back": ({"nbf": NOW}, -11, "not_yet_valid"),
    "clock-says-nan": ({}, float("nan"), "expired"),
}


@pytest.mark.parametrize(("told", "after", "answer"), TIMES.values(), ids=TIMES)
def test_time_is_looked_at_in_every_request(
    issuer: FaultyIssuer, told: dict[str, Any], after: float, answer: str
) -> None:
    clock, token = Clock(), issuer.mint_opaque("a", **told)
    verifier = make_introspecting(issuer, now=clock)

    assert answer_to(verifier, token) == "accept"
    clock.move(after)
    assert answer_to(verifier, token) == answer


@pytest.mark.parametrize("settings", [{}, {"leeway": 30}], ids=["exact", "leeway"])
def test_leeway_holds_for_an_answer_that_is_kept(
    issuer: FaultyIssuer, settings: dict[str, int]
) -> None:
    clock, token = Clock(), issuer.mint_opaque("a", exp=NOW + 5)
    verifier = make_introspecting(issuer, now=clock, cache_ttl=60, **settings)

    assert answer_to(verifier, token) == "accept"
    clock.move(6)
    assert answer_to(verifier, token) == ("accept" if settings else "expired")
    assert issuer.introspection.count == (1 if settings else 2)
    clock.move(29)
    assert answer_to(verifier, token) == "expired"


class Withdrawn:
    def __init__(self) -> None:
        self.holds = True

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        if not self.holds:
            raise TokenError(TokenFault.CONFIRMATION)


def test_revocations_and_proof_are_asked_in_every_request(issuer: FaultyIssuer) -> None:
    revocations, proof = MemoryRevocationList(now=lambda: NOW), Withdrawn()
    verifier = make_introspecting(issuer, revocations=revocations, proof=proof)
    token = issuer.mint_opaque("a", jti="one", cnf={"jkt": "x"})

    assert answer_to(verifier, token) == "accept"
    proof.holds = False
    assert answer_to(verifier, token) == "confirmation"
    proof.holds = True
    assert answer_to(verifier, token) == "accept"
    asyncio.run(revocations.revoke(issuer.identifier, "one", exp=NOW + 600))
    assert answer_to(verifier, token) == "revoked"
    assert issuer.introspection.count == 1
    assert answer_to(verifier, issuer.mint_opaque("a", jti=None)) == "claims"


def test_limits_hold_for_an_answer_that_is_kept(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, allowed_scopes=["app:*"])
    token = issuer.mint_opaque("app:read", "admin")

    for _ in range(2):
        assert claims_from(verifier, token).scopes == {"app:read"}
    assert verifier.issuers_granting("admin") == set()
    assert make_introspecting(issuer).issuers_granting("admin") is None
    assert verifier.issuers == {issuer.identifier}


def test_refusal_is_kept_whatever_its_reason(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer)
    reasons = {"aud": "audience", "iss": "issuer", "scope": "scopes", "jti": "claims"}
    tokens = {issuer.mint_opaque(**{name: 1}): reason for name, reason in reasons.items()}

    for _ in range(2):
        assert answers_to(verifier, *tokens) == [*tokens.values()]
    assert issuer.introspection.count == len(tokens)


def test_token_that_is_not_valid_yet_is_when_it_is(issuer: FaultyIssuer) -> None:
    # Where the clocks differ by a moment a new token is too early by that moment, and no more.
    clock, token = Clock(NOW - 1), issuer.mint_opaque("a", nbf=NOW)
    verifier = make_introspecting(issuer, now=clock, cache_ttl=3600, clock_skew=0)

    assert answer_to(verifier, token) == "not_yet_valid"
    clock.move(1)
    assert answer_to(verifier, token) == "accept"


def test_answer_that_is_kept_is_the_one_of_that_token(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer)
    tokens = [issuer.mint_opaque("a", sub=name) for name in ("alice", "bob")]

    for _ in range(2):
        assert [claims_from(verifier, token).sub for token in tokens] == ["alice", "bob"]
    issuer.introspection.switch(members(sub="root"))
    assert claims_from(verifier, tokens[0]).sub == "alice"


def test_late_token_is_late_by_as_much_where_its_answer_is_kept(issuer: FaultyIssuer) -> None:
    clock, token = Clock(), issuer.mint_opaque("a", exp=NOW + 5)
    verifier = make_introspecting(issuer, now=clock, cache_ttl=60, leeway=3)

    def reason() -> str:
        with pytest.raises(TokenError) as raised:
            claims_from(verifier, token)
        return raised.value.reason

    assert answer_to(verifier, token) == "accept"
    clock.move(9)
    assert reason() == "expired, 4.0 s late"
    assert reason() == "expired, 4.0 s late"


def sized(size: int) -> Callable[[Answer], Answer]:
    """The good answer, padded with a claim so that it has this many bytes."""

    def padded(good: Answer) -> Answer:
        bare = Answer.json({**good.document, "pad": ""})
        return Answer.json({**good.document, "pad": "x" * (size - len(bare.body))})

    return padded


# What is kept has the scopes of the token beside the members of the answer.
SCOPES = len(', "scopes": ["a"]')


@pytest.mark.parametrize(
    ("size", "asked"), [(8192 - SCOPES, 1), (8193 - SCOPES, 3), (250_000, 3)], ids=str
)
def test_answer_of_more_than_8_kib_is_used_and_not_kept(
    issuer: FaultyIssuer, size: int, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    verifier, token = make_introspecting(issuer), issuer.mint_opaque("a")
    issuer.introspection.switch(sized(size))

    found = [claims_from(verifier, token) for _ in range(3)]
    # No request sees fewer claims than another.
    assert len({len(str(each.model_extra)) for each in found}) == 1
    assert issuer.introspection.count == asked
    said = (
        f"introspection answers at {issuer.introspection.url} of more than 8192 bytes are not kept"
    )
    assert caplog.messages == [said] * (asked > 1)


def test_verifier_without_cache_warns_of_no_long_answer(
    issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    verifier, token = make_introspecting(issuer, cache_ttl=0), issuer.mint_opaque("a")
    issuer.introspection.switch(sized(10_000))

    assert answers_to(verifier, token, token) == ["accept"] * 2
    assert caplog.messages == []


def test_long_answers_take_no_memory_when_they_were_used(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer)
    tokens = [issuer.mint_opaque("a") for _ in range(16)]
    issuer.introspection.switch(sized(250_000))

    async def held_after(*some: str) -> int:
        for each in some:
            await verifier.verify(each)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def kept() -> int:
        async with aclosing(verifier):
            # The last answer is in some buffer, of the server as well.
            return -await held_after(*tokens[:8]) + await held_after(*tokens[8:])

    tracemalloc.start()
    try:
        assert asyncio.run(kept()) < 8 * 8 * 1024
    finally:
        tracemalloc.stop()
