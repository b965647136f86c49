"""Many ask about tokens at once: one question for each, and places for whoever was good before."""

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from tests.issuers.answers import Answer
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.introspecting import UNAVAILABLE, answers_to, make_introspecting
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import outcome_of, until


def run(verifier: Any, work: Any) -> None:
    async def running() -> None:
        async with aclosing(verifier):
            await work()

    asyncio.run(running())


def ask(verifier: Any, *tokens: str) -> "list[asyncio.Task[str]]":
    return [asyncio.create_task(outcome_of(verifier, each)) for each in tokens]


@pytest.mark.parametrize("good", [True, False], ids=["good", "invented"])
def test_one_question_serves_all_who_bring_the_same_token(
    issuer: FaultyIssuer, *, good: bool
) -> None:
    verifier = make_introspecting(issuer)
    token = issuer.mint_opaque("a") if good else "invented"
    issuer.introspection.hold()

    async def work() -> None:
        asked = ask(verifier, *[token] * 50)
        await until(lambda: issuer.introspection.count == 1)
        asked[0].cancel()
        await asyncio.sleep(0.05)
        issuer.introspection.release()
        outcomes = await asyncio.gather(*asked[1:])
        assert Counter(outcomes) == {"accept" if good else "inactive": 49}
        assert asked[0].cancelled()

    run(verifier, work)
    assert issuer.introspection.count == 1


def test_who_keeps_nothing_takes_no_answer_to_an_earlier_question(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(issuer, cache_ttl=0)
    token = issuer.mint_opaque("a")
    issuer.introspection.hold()

    async def work() -> None:
        first = ask(verifier, token)
        await until(lambda: issuer.introspection.count == 1)
        issuer.introspection.switch(Answer.json({"active": False}))
        second = ask(verifier, token)
        await until(lambda: issuer.introspection.count == 2)
        issuer.introspection.release()
        assert await asyncio.gather(*first, *second) == ["accept", "inactive"]

    run(verifier, work)


def test_flood_of_invented_tokens_leaves_places_for_those_that_were_good(
    issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    moment = NOW
    verifier = make_introspecting(issuer, now=lambda: moment)
    known, new = (issuer.mint_opaque("a") for _ in range(2))

    async def work() -> None:
        nonlocal moment
        assert await outcome_of(verifier, known) == "accept"
        # What was said of it is too old by now.
        moment += 60
        issuer.introspection.hold()
        invented = ask(verifier, *(f"invented-{number}" for number in range(300)))
        await until(lambda: issuer.introspection.unanswered == 100)
        assert await outcome_of(verifier, new) == UNAVAILABLE
        asked = ask(verifier, known)
        await until(lambda: issuer.introspection.unanswered == 101)
        issuer.introspection.release()
        assert await asyncio.gather(*asked) == ["accept"]
        assert Counter(await asyncio.gather(*invented)) == {"inactive": 100, UNAVAILABLE: 200}
        assert await outcome_of(verifier, new) == "accept"

    run(verifier, work)
    assert "invented" not in caplog.text


def test_nothing_that_the_issuer_wants_to_hear_again_is_kept(issuer: FaultyIssuer) -> None:
    cookie = ("Set-Cookie", "a=canary; Path=/")
    issuer.introspection.switch(lambda good: replace(good, headers=(*good.headers, cookie)))
    verifier = make_introspecting(issuer)

    answers = answers_to(verifier, *(issuer.mint_opaque("a") for _ in range(3)))
    assert answers == ["accept"] * 3
    assert [each.values_of("cookie") for each in issuer.introspection.requests] == [[]] * 3
