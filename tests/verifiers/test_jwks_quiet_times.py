"""Nobody comes for a long time, and no timer runs: whose key went meanwhile gets nowhere."""

import asyncio
import gc
import weakref
from collections import Counter

import pytest

from fastapi_scopes.errors import TokenFault
from tests.verifiers.publishing import (
    Issuer,
    outcome_of,
    running_clock,
    settled,
    until,
)

QUIET = 20 * 60 * 60


def made_warm(issuer: Issuer) -> object:
    """A verifier that has its keys from an event loop that is gone."""
    verifier = issuer.verifier()
    assert asyncio.run(outcome_of(verifier, issuer.mint("k1"))) == "accept"
    return verifier


def test_key_that_went_while_nobody_asked_is_gone() -> None:
    issuer = Issuer("k1")
    verifier = made_warm(issuer)
    issuer.publish("k2")
    issuer.clock.move(QUIET)

    async def burst() -> Counter[str]:
        issuer.hold()
        tokens = [issuer.mint("k1", jti=str(number)) for number in range(50)]
        asked = [asyncio.create_task(outcome_of(verifier, each)) for each in tokens]
        await issuer.wait_for_fetches(2)
        late = asyncio.create_task(outcome_of(verifier, issuer.mint("k1", jti="late")))
        await asyncio.sleep(0.01)
        issuer.release()
        return Counter(await asyncio.gather(*asked, late))

    assert asyncio.run(burst()) == {TokenFault.UNKNOWN_KEY: 51}
    assert asyncio.run(outcome_of(verifier, issuer.mint("k2"))) == "accept"


def test_key_that_is_still_there_is_served_after_one_fetch() -> None:
    issuer = Issuer("k1")
    verifier = made_warm(issuer)
    issuer.clock.move(QUIET)

    async def burst() -> Counter[str]:
        return Counter(
            await asyncio.gather(
                *(outcome_of(verifier, issuer.mint("k1", jti=str(each))) for each in range(50))
            )
        )

    assert asyncio.run(burst()) == {"accept": 50}
    assert issuer.fetches == 2


@pytest.mark.parametrize("quiet", [QUIET, 24 * 60 * 60 - 1], ids=["hours", "almost-too-long"])
def test_issuer_that_is_out_after_a_quiet_time_shuts_out_nobody(quiet: float) -> None:
    issuer = Issuer("k1")
    verifier = made_warm(issuer)
    issuer.clock.move(quiet)
    issuer.error = ConnectionError()

    assert asyncio.run(outcome_of(verifier, issuer.mint("k1", jti="first"))) == "accept"
    # And whoever comes then waits for nothing.
    issuer.clock.move(0.5)
    issuer.hold()
    assert asyncio.run(outcome_of(verifier, issuer.mint("k1", jti="next"))) == "accept"
    assert issuer.fetches == 2


def test_keys_that_grow_too_old_while_their_issuer_is_asked_are_not_used() -> None:
    issuer = Issuer("k1")
    verifier = made_warm(issuer)
    issuer.clock.move(24 * 60 * 60 - 1)
    issuer.error = ConnectionError()
    issuer.hold()

    async def ask() -> str:
        asked = asyncio.create_task(outcome_of(verifier, issuer.mint("k1", jti="x")))
        await issuer.wait_for_fetches(2)
        issuer.clock.move(1)
        issuer.release()
        return await asked

    assert asyncio.run(ask()) == "verifier_unavailable"


def test_loop_that_finds_fresh_keys_sees_to_it_that_they_stay_so() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier(ttl=0.3, now=running_clock())
    assert asyncio.run(outcome_of(verifier, issuer.mint("k1"))) == "accept"

    async def stay() -> None:
        assert await outcome_of(verifier, issuer.mint("k1", jti="x")) == "accept"
        # Nobody asks again.
        await until(lambda: issuer.fetches >= 3)
        await settled()

    asyncio.run(stay())


def test_loops_that_are_closed_are_forgotten() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def ask(jti: str) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        assert await outcome_of(verifier, issuer.mint("k1", jti=jti)) == "accept"

    for number in range(5):
        asyncio.run(ask(str(number)))
    gc.collect()
    # The last one has nobody after it that would forget it.
    assert sum(each() is not None for each in loops) <= 1
