"""The state machine alone: when an issuer is asked, and which of its answers holds."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from fastapi_scopes.verifiers.keyset import Attempt, KeySet, Schedule
from tests.verifiers.keysets import (
    T,
    abandoned,
    asked_for_unknown,
    asking,
    begun,
    begun_for_unknown,
    failed,
    fresh,
    make_state,
    recovered,
    refreshing,
    refused,
)

Made = Callable[[], KeySet[str]]

DUE: dict[str, tuple[Made, float, bool]] = {
    "nothing-held": (make_state, T, True),
    "in-flight": (asking, T, False),
    "in-flight-for-long": (asking, T + 9.9, False),
    "in-flight-for-too-long": (asking, T + 10, True),
    "abandoned": (abandoned, T, True),
    "failed": (failed, T, False),
    "within-the-cooldown": (failed, T + 9.9, False),
    "after-the-cooldown": (failed, T + 10, True),
    "fresh": (fresh, T, False),
    "fresh-for-long": (fresh, T + 299.9, False),
    "stale": (fresh, T + 300, True),
    "stale-for-long": (fresh, T + 10**9, True),
    "refreshing": (refreshing, T + 309.9, False),
    "refreshing-for-too-long": (refreshing, T + 310, True),
    "refresh-failed": (refused, T + 301, False),
    "refresh-failed-within-the-cooldown": (refused, T + 310.9, False),
    "refresh-failed-after-the-cooldown": (refused, T + 311, True),
    "recovered": (recovered, T + 1, False),
    "recovered-and-stale": (recovered, T + 300, True),
    "clock-set-back-while-fresh": (fresh, T - 1, True),
    "clock-set-back-while-in-flight": (asking, T - 1, True),
    "clock-set-back-after-a-failure": (failed, T - 1, True),
    "clock-set-far-back": (refused, 0, True),
    "clock-set-forward-while-in-flight": (asking, T + 10**9, True),
    "clock-set-forward-after-a-failure": (failed, T + 10**9, True),
}


@pytest.mark.parametrize(("made", "now", "expected"), DUE.values(), ids=DUE)
def test_attempt_begins_exactly_when_fresh_keys_are_due(
    made: Made, now: float, expected: bool
) -> None:
    state = made()

    assert state.is_due(now) is expected
    attempt = state.begin(now)
    assert (attempt is not None) is expected
    if expected:
        assert state.begin(now) is None
        assert not state.is_due(now)


OVERDUE: dict[str, tuple[Made, float, bool]] = {
    "nothing-held": (make_state, T + 10**9, False),
    "stale": (fresh, T + 309.9, False),
    "stale-for-long": (fresh, T + 310, True),
    "refreshing-for-long": (refreshing, T + 310, True),
    "refresh-failed": (refused, T + 310, False),
    "refresh-failed-long-ago": (refused, T + 10**9, False),
    "recovered": (recovered, T + 309.9, False),
    "clock-set-back": (fresh, T - 1, False),
    "clock-set-forward": (fresh, T + 10**9, True),
}


@pytest.mark.parametrize(("made", "now", "expected"), OVERDUE.values(), ids=OVERDUE)
def test_keys_are_overdue_where_nobody_asked_for_long(
    made: Made, now: float, expected: bool
) -> None:
    assert made().is_overdue(now) is expected


UNKNOWN: dict[str, tuple[Made, float, bool]] = {
    "nothing-held": (make_state, T, True),
    "fresh": (fresh, T, True),
    "stale": (fresh, T + 300, True),
    "in-flight": (asking, T, False),
    "in-flight-for-too-long": (asking, T + 10, True),
    "refreshing": (refreshing, T + 300, False),
    "abandoned": (abandoned, T, True),
    "within-the-cooldown-of-a-failure": (failed, T + 9.9, False),
    "after-the-cooldown-of-a-failure": (failed, T + 10, True),
    "refresh-failed": (refused, T + 310.9, False),
    "recovered": (recovered, T, True),
    "asked-a-moment-ago": (asked_for_unknown, T, False),
    "asked-within-the-cooldown": (asked_for_unknown, T + 9.9, False),
    "asked-before-the-cooldown": (asked_for_unknown, T + 10, True),
    "clock-set-back-since-it-was-asked": (asked_for_unknown, T - 1, True),
    "clock-set-back-after-a-failure": (failed, T - 1, True),
}


@pytest.mark.parametrize(("made", "now", "expected"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_key_begins_one_attempt_for_each_cooldown(
    made: Made, now: float, expected: bool
) -> None:
    state = made()

    assert (state.begin_for_unknown_key(now) is not None) is expected
    assert state.begin_for_unknown_key(now) is None


def test_refresh_takes_nothing_from_the_turn_of_unknown_keys() -> None:
    state = fresh()
    state.succeed(begun(state, T + 300), "new", T + 300, lifetime=None)

    assert state.begin_for_unknown_key(T + 300) is not None


def test_unknown_key_does_not_keep_a_due_refresh_back() -> None:
    state = fresh()
    state.succeed(begun_for_unknown(state, T + 299), "new", T + 299, lifetime=0)

    assert state.begin(T + 358.9) is None
    assert state.begin_for_unknown_key(T + 358.9) is not None


def test_failure_for_an_unknown_key_keeps_everybody_back() -> None:
    state = fresh()
    state.fail(begun_for_unknown(state, T + 299), T + 300)

    assert state.begin(T + 309.9) is None
    assert state.begin_for_unknown_key(T + 309.9) is None
    assert state.begin(T + 310) is not None


USABLE: dict[str, tuple[Made, float, bool]] = {
    "nothing-held": (make_state, T, False),
    "in-flight": (asking, T, False),
    "failed": (failed, T, False),
    "fresh": (fresh, T, True),
    "stale": (fresh, T + 300, True),
    "refreshing": (refreshing, T + 301, True),
    "refresh-failed": (refused, T + 302, True),
    "almost-too-old": (refused, T + 3599.9, True),
    "too-old": (refused, T + 3600, False),
    "clock-set-forward": (fresh, T + 10**9, False),
    "clock-set-back": (fresh, T - 10**9, True),
    "no-clock": (fresh, math.nan, False),
}


@pytest.mark.parametrize(("made", "now", "expected"), USABLE.values(), ids=USABLE)
def test_last_good_keys_are_usable_up_to_their_age(made: Made, now: float, expected: bool) -> None:
    held = made().usable(now)

    assert (held is not None) is expected
    assert held is None or (held.value, held.fetched_at) == ("old", T)


LIFETIMES: dict[str, tuple[float | None, float]] = {
    "issuer-does-not-say": (None, 300),
    "zero": (0, 60),
    "negative": (-5, 60),
    "59-seconds": (59, 60),
    "a-minute": (60, 60),
    "two-minutes": (120, 120),
    "a-day": (86_400, 86_400),
    "more-than-a-day": (86_401, 86_400),
    "for-ever": (math.inf, 86_400),
}


@pytest.mark.parametrize(("lifetime", "seconds"), LIFETIMES.values(), ids=LIFETIMES)
def test_keys_are_fresh_for_as_long_as_the_issuer_may_say(
    lifetime: float | None, seconds: float
) -> None:
    state = fresh(Schedule(ttl=300, max_age=10**6), lifetime=lifetime)

    assert state.next_due(T) == seconds
    assert not state.is_due(T + seconds - 0.1)
    assert state.is_due(T + seconds)


@pytest.mark.parametrize("lifetime", [None, 0, 86_400], ids=str)
def test_keys_are_fresh_for_no_longer_than_they_are_usable(lifetime: float | None) -> None:
    state = fresh(Schedule(ttl=300, max_age=30), lifetime=lifetime)

    assert not state.is_due(T + 29.9)
    assert state.is_due(T + 30)


WAITS: dict[str, tuple[Made, float, float, float | None]] = {
    "nothing-held": (make_state, T, 0, None),
    "in-flight": (asking, T, 0, None),
    "failed": (failed, T, 10, None),
    "within-the-cooldown": (failed, T + 3, 7, None),
    "after-the-cooldown": (failed, T + 10, 0, None),
    "clock-set-back-after-a-failure": (failed, T - 1, 0, None),
    "fresh": (fresh, T + 200, 0, 100),
    "stale": (fresh, T + 400, 0, 0),
    "refresh-failed": (refused, T + 303, 8, 8),
    "recovered": (recovered, T, 0, 300),
}


@pytest.mark.parametrize(("made", "now", "retry", "due"), WAITS.values(), ids=WAITS)
def test_who_waits_learns_for_how_long(
    made: Made, now: float, retry: float, due: float | None
) -> None:
    state = made()

    assert state.retry_after(now) == retry
    assert state.next_due(now) == due


def test_attempts_are_counted_and_name_what_they_brought() -> None:
    state = recovered()
    held = state.held

    assert state.attempts == 2
    assert held is not None
    assert held.number == 2
    assert begun(state, T + 300).number == 3


ENDS: dict[str, Callable[[KeySet[str], Attempt], Any]] = {
    "succeed": lambda state, attempt: state.succeed(attempt, "late", T + 400, lifetime=None),
    "fail": lambda state, attempt: state.fail(attempt, T + 400),
    "abandon": lambda state, attempt: state.abandon(attempt),
}
BEFORE: dict[str, Callable[[KeySet[str], Attempt], Any]] = {
    "superseded": lambda state, _: begun(state, T + 399),
    "abandoned": lambda state, _: state.abandon(),
    "failed": lambda state, attempt: state.fail(attempt, T + 399),
    "succeeded": lambda state, attempt: state.succeed(attempt, "new", T + 399, lifetime=None),
}


def seen(state: KeySet[str]) -> list[Any]:
    moments = [T + 400 + step for step in (0, 5, 20, 305, 4000)]
    return [
        *((state.is_due(now), state.usable(now), state.retry_after(now)) for now in moments),
        state.held,
        state.begin_for_unknown_key(T + 400) is not None,
    ]


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_late_end_of_an_attempt_changes_nothing(before: Any, end: Any) -> None:
    def made(*, is_late: bool) -> KeySet[str]:
        state = fresh()
        attempt = begun(state, T + 300)
        before(state, attempt)
        if is_late:
            end(state, attempt)
        return state

    assert seen(made(is_late=True)) == seen(made(is_late=False))
