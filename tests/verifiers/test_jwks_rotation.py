"""Keys come and go: what a verifier takes, and for how long, when its issuer rotates them."""

import asyncio

import pytest

from fastapi_scopes.errors import TokenFault
from tests.verifiers.minting import ec_key
from tests.verifiers.publishing import (
    Issuer,
    looped,
    outcome_of,
    refreshed,
    running_clock,
    settled,
    until,
)


@looped
async def test_warm_request_never_waits_for_a_refresh() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())
    issuer.clock.move(300)
    issuer.hold()

    for number in range(3):
        assert await outcome_of(verifier, issuer.mint(jti=str(number))) == "accept"
    await issuer.wait_for_fetches(2)
    assert await outcome_of(verifier, issuer.mint(jti="while asking")) == "accept"

    issuer.release()
    await settled()
    assert issuer.fetches == 2


@looped
async def test_fresh_keys_are_not_asked_for() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    for number in range(300):
        await verifier.verify(issuer.mint(jti=str(number)))
        issuer.clock.move(0.99)
    await settled()

    assert issuer.fetches == 1


LIFETIMES: dict[str, tuple[float | None, float, float]] = {
    "issuer-does-not-say": (None, 300, 300),
    "issuer-says-less": (None, 7, 7),
    "two-minutes": (120, 300, 120),
    "at-least-a-minute": (5, 300, 60),
    "nothing-to-be-kept": (0, 300, 60),
    "at-most-a-day": (10**9, 300, 86_400),
}


@pytest.mark.parametrize(("said", "ttl", "lasts"), LIFETIMES.values(), ids=LIFETIMES)
@looped
async def test_issuer_says_within_limits_how_long_keys_are_fresh(
    said: float | None, ttl: float, lasts: float
) -> None:
    issuer = Issuer()
    issuer.max_age = said
    verifier = issuer.verifier(ttl=ttl, max_age=10**6)
    await verifier.verify(issuer.mint())

    for seconds, fetches in ((lasts - 0.1, 1), (0.1, 2)):
        issuer.clock.move(seconds)
        await verifier.verify(issuer.mint())
        await settled()
        assert issuer.fetches == fetches


@looped
async def test_rotation_with_overlap_refuses_nobody() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    issuer.publish("k1", "k2")

    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"
    assert await outcome_of(verifier, issuer.mint("k1")) == "accept"
    assert issuer.fetches == 2


@looped
async def test_rotation_without_overlap_refuses_the_old_key() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    issuer.publish("k2")

    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"
    assert await outcome_of(verifier, issuer.mint("k1", jti="a")) == TokenFault.UNKNOWN_KEY
    assert issuer.fetches == 2


@looped
async def test_same_kid_with_a_new_key_counts_from_the_next_refresh_on() -> None:
    issuer = Issuer("k1")
    new = ec_key(name="other")
    verifier = issuer.verifier(cache_ttl=3600)
    before, after = issuer.mint("k1"), issuer.mint("k1", key=new)
    await verifier.verify(before)
    issuer.publish(k1=new)

    # The key that it names has spoken, so nobody is asked for another.
    assert await outcome_of(verifier, after) == TokenFault.SIGNATURE
    assert issuer.fetches == 1
    await refreshed(issuer, verifier)
    assert await outcome_of(verifier, after) == "accept"
    assert await outcome_of(verifier, before) == TokenFault.SIGNATURE


@looped
async def test_key_that_comes_back_counts_again() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    token = issuer.mint("k1")
    await verifier.verify(token)
    for kid, expected in (("k2", TokenFault.UNKNOWN_KEY), ("k1", "accept")):
        issuer.publish(kid)
        await refreshed(issuer, verifier)
        assert await outcome_of(verifier, token) == expected


@looped
async def test_unknown_key_waits_for_the_refresh_that_is_under_way() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    issuer.publish("k1", "k2")
    issuer.clock.move(300)
    issuer.hold()
    await verifier.verify(issuer.mint("k1"))
    await issuer.wait_for_fetches(2)

    waiting = asyncio.create_task(outcome_of(verifier, issuer.mint("k2")))
    await asyncio.sleep(0)
    issuer.release()
    assert await waiting == "accept"
    assert issuer.fetches == 2


@looped
async def test_key_published_after_the_refresh_began_is_asked_for_once_more() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    issuer.clock.move(300)
    issuer.hold()
    await verifier.verify(issuer.mint("k1"))
    await issuer.wait_for_fetches(2)
    issuer.publish("k1", "k2")

    waiting = asyncio.create_task(outcome_of(verifier, issuer.mint("k2")))
    await asyncio.sleep(0)
    issuer.release()
    assert await waiting == "accept"
    assert issuer.fetches == 3


@looped
async def test_unknown_key_is_asked_for_once_in_a_cooldown() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))

    for fetches in (2, 2, 3):
        assert await outcome_of(verifier, issuer.mint("x")) == TokenFault.UNKNOWN_KEY
        assert issuer.fetches == fetches
        issuer.clock.move(5)


@looped
async def test_key_published_within_the_cooldown_is_found_after_it() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    await outcome_of(verifier, issuer.mint("x"))
    issuer.publish("k1", "k2")

    assert await outcome_of(verifier, issuer.mint("k2")) == TokenFault.UNKNOWN_KEY
    issuer.clock.move(10)
    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"


@looped
async def test_cold_request_for_an_unknown_key_asks_once() -> None:
    issuer = Issuer("k1")

    assert await outcome_of(issuer.verifier(), issuer.mint("x")) == TokenFault.UNKNOWN_KEY
    assert issuer.fetches == 1


@looped
async def test_keys_are_refreshed_without_requests() -> None:
    issuer = Issuer("k1")
    # A timer runs by the real clock.
    verifier = issuer.verifier(ttl=0.2, now=running_clock())
    token = issuer.mint("k1")
    await outcome_of(verifier, token)
    issuer.publish("k2")

    await until(lambda: issuer.fetches >= 4)
    await settled()
    assert await outcome_of(verifier, token) == TokenFault.UNKNOWN_KEY
