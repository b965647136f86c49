"""What holds of the state machine whatever happens in which order, clock jumps included."""

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fastapi_scopes.verifiers.keyset import MAX_LIFETIME, Attempt, KeySet, Schedule

SECONDS = st.integers(1, 60)
STEPS = st.one_of(st.integers(0, 20), st.sampled_from([59, 60, 61, 300, MAX_LIFETIME]))
LIFETIMES = st.one_of(st.none(), st.integers(-1, 2 * MAX_LIFETIME), st.just(float("inf")))


class Interleavings(RuleBasedStateMachine):
    """Attempts of several requests, which begin, end late, or never end."""

    @initialize(ttl=SECONDS, cooldown=SECONDS, max_age=st.integers(1, 600), timeout=SECONDS)
    def begin_anew(self, ttl: int, cooldown: int, max_age: int, timeout: int) -> None:
        self.schedule = Schedule(ttl, cooldown, max_age, timeout)
        self.state: KeySet[int] = KeySet(self.schedule)
        self.now = 0
        self.begun: list[Attempt] = []
        self.live: Attempt | None = None
        self.good: tuple[int, int] | None = None
        """What the last attempt brought that counted, and when."""
        # Of both, those since the clock went back for the last time.
        self.failures: list[int] = []
        self.asked_for_unknown: list[float] = []

    @rule(seconds=STEPS)
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(seconds=STEPS.filter(bool))
    def clock_is_set_back(self, seconds: int) -> None:
        self.now -= seconds
        self.failures.clear()
        self.asked_for_unknown.clear()

    @rule()
    def begin(self) -> None:
        due = self.state.is_due(self.now)
        attempt = self.state.begin(self.now)
        assert (attempt is not None) is due
        self.note_begun(attempt)

    @rule()
    def begin_for_unknown_key(self) -> None:
        attempt = self.state.begin_for_unknown_key(self.now)
        if attempt is not None:
            assert not self.is_within_cooldown(self.asked_for_unknown)
            self.asked_for_unknown.append(self.now)
        self.note_begun(attempt)

    @rule()
    def begin_warm_up(self) -> None:
        # Nobody who can repeat it asks for it, so no cooldown holds it back.
        is_wanted = self.state.fresh(self.now) is None and not self.is_under_way()
        attempt = self.state.begin_warm_up(self.now)
        assert (attempt is not None) is is_wanted
        if attempt is not None:
            self.begun.append(attempt)
            self.live = attempt

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), lifetime=LIFETIMES)
    def succeed(self, data: Any, lifetime: float | None) -> None:
        attempt = self.any_attempt(data)
        self.state.succeed(attempt, attempt.number, self.now, lifetime=lifetime)
        if attempt is self.live:
            self.live, self.good = None, (attempt.number, self.now)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def fail(self, data: Any) -> None:
        attempt = self.any_attempt(data)
        self.state.fail(attempt, self.now)
        if attempt is self.live:
            self.live = None
            if not attempt.is_warm_up:
                self.failures.append(self.now)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def abandon(self, data: Any) -> None:
        attempt = self.any_attempt(data)
        self.state.abandon(attempt)
        if attempt is self.live:
            self.note_abandoned()

    @rule()
    def abandon_whatever_is_under_way(self) -> None:
        self.state.abandon()
        self.note_abandoned()

    @rule()
    def nothing_lasts_for_ever(self) -> None:
        self.now += 10 * MAX_LIFETIME
        assert self.state.usable(self.now) is None
        assert self.state.retry_after(self.now) == 0
        self.begin()
        assert self.live is not None

    def any_attempt(self, data: Any) -> Attempt:
        attempt: Attempt = data.draw(st.sampled_from(self.begun[-3:]))
        return attempt

    def note_begun(self, attempt: Attempt | None) -> None:
        if attempt is None:
            return
        assert not self.is_under_way(), "two live attempts"
        assert not self.is_within_cooldown(self.failures)
        assert attempt.number == len(self.begun) + 1
        self.begun.append(attempt)
        self.live = attempt

    def note_abandoned(self) -> None:
        # It says nothing of the issuer, so whoever asked for an unknown key may ask once more.
        if self.live is not None and self.live.begun_at in self.asked_for_unknown:
            self.asked_for_unknown.remove(self.live.begun_at)
        self.live = None

    def is_under_way(self) -> bool:
        patience = 2 * self.schedule.timeout
        return self.live is not None and 0 <= self.now - self.live.begun_at < patience

    def is_within_cooldown(self, moments: Sequence[float]) -> bool:
        return any(self.now - each < self.schedule.cooldown for each in moments)

    @invariant()
    def usable_is_the_last_that_was_good_and_never_too_old(self) -> None:
        held = self.state.usable(self.now)
        if held is not None:
            assert (held.value, held.fetched_at) == self.good
            assert self.now - held.fetched_at < self.schedule.max_age
        elif self.good is not None:
            assert self.now - self.good[1] >= self.schedule.max_age

    @invariant()
    def what_is_fresh_is_usable(self) -> None:
        if not self.state.is_due(self.now) and not self.is_under_way():
            is_usable = self.state.usable(self.now) is not None
            assert is_usable or self.state.retry_after(self.now) > 0

    @invariant()
    def waits_are_within_limits(self) -> None:
        assert 0 <= self.state.retry_after(self.now) <= self.schedule.cooldown
        due = self.state.next_due(self.now)
        assert (due is None) is (self.good is None)
        assert due is None or due >= 0


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
