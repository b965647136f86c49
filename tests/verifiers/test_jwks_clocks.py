"""Clocks jump: what that may cost, and what it may not."""

import time

import pytest

from tests.verifiers.minting import NOW
from tests.verifiers.publishing import (
    Issuer,
    looped,
    outcome_of,
    running_clock,
    settled,
    until,
)

DOWN = ConnectionError()
DAY = 24 * 60 * 60


class WallClock:
    """Runs, until somebody sets it."""

    def __init__(self) -> None:
        self.running = running_clock()
        self.set_by = 0.0

    def __call__(self) -> float:
        return self.running() + self.set_by


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """What everybody takes for the time of day."""
    clock = WallClock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.mark.parametrize("jump", [2 * DAY, -2 * DAY], ids=["forward", "back"])
@looped
async def test_time_of_day_says_nothing_of_the_age_of_keys(
    jump: float, wall_clock: WallClock
) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(now=time.time)
    await verifier.verify(issuer.mint())
    issuer.error = DOWN

    wall_clock.set_by = jump
    assert await outcome_of(verifier, issuer.mint(jti="after")) == "accept"
    await settled()
    assert issuer.fetches == 1


@looped
async def test_time_of_day_says_nothing_of_the_cooldown(wall_clock: WallClock) -> None:
    issuer = Issuer()
    issuer.error = DOWN
    verifier = issuer.verifier(now=time.time)
    for jump in (0, -DAY, DAY, -DAY):
        wall_clock.set_by = jump
        assert await outcome_of(verifier, issuer.mint()) == "verifier_unavailable"

    assert issuer.fetches == 1


@looped
async def test_time_of_day_says_when_a_token_expires(wall_clock: WallClock) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(now=time.time)
    token = issuer.mint(exp=NOW + 600)
    assert await outcome_of(verifier, token) == "accept"

    wall_clock.set_by = 601
    assert await outcome_of(verifier, token) == "expired"
    assert await outcome_of(verifier, issuer.mint(exp=NOW + 600, jti="new")) == "expired"


@looped
async def test_clock_that_was_set_back_a_little_keeps_no_refresh_from_coming() -> None:
    issuer = Issuer()
    clock = WallClock()
    verifier = issuer.verifier(ttl=0.3, now=clock)
    await verifier.verify(issuer.mint())

    # The timer goes off while the keys are still fresh by this clock.
    clock.set_by = -0.2
    await until(lambda: issuer.fetches >= 2)


@looped
async def test_own_clock_that_is_set_back_asks_at_once_and_serves_on() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())

    issuer.clock.move(-1000)
    for number in range(10):
        assert await outcome_of(verifier, issuer.mint(jti=str(number))) == "accept"
        await settled()
    assert issuer.fetches == 2


@looped
async def test_own_clock_that_is_set_forward_asks_once() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())

    issuer.clock.move(10**6)
    for number in range(10):
        assert await outcome_of(verifier, issuer.mint(jti=str(number))) == "accept"
    assert issuer.fetches == 2
