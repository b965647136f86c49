"""States of a key set, by what happened to it up to T or shortly after."""

from fastapi_scopes.verifiers.keyset import Attempt, KeySet, Schedule

T = 1_000.0
SCHEDULE = Schedule(ttl=300, cooldown=10, max_age=3600, timeout=5)


def make_state(schedule: Schedule = SCHEDULE) -> KeySet[str]:
    return KeySet(schedule)


def begun(state: KeySet[str], now: float) -> Attempt:
    attempt = state.begin(now)
    assert attempt is not None
    return attempt


def begun_for_unknown(state: KeySet[str], now: float) -> Attempt:
    attempt = state.begin_for_unknown_key(now)
    assert attempt is not None
    return attempt


def asking() -> KeySet[str]:
    """An attempt is under way since T."""
    state = make_state()
    begun(state, T)
    return state


def failed() -> KeySet[str]:
    """The first attempt failed at T."""
    state = make_state()
    state.fail(begun(state, T - 1), T)
    return state


def fresh(schedule: Schedule = SCHEDULE, *, lifetime: float | None = None) -> KeySet[str]:
    """Keys were fetched at T."""
    state = make_state(schedule)
    state.succeed(begun(state, T), "old", T, lifetime=lifetime)
    return state


def refreshing() -> KeySet[str]:
    """Keys were fetched at T, and an attempt is under way since they are due."""
    state = fresh()
    begun(state, T + 300)
    return state


def refused() -> KeySet[str]:
    """Keys were fetched at T, and the attempt to refresh them failed a second after it was due."""
    state = fresh()
    state.fail(begun(state, T + 300), T + 301)
    return state


def recovered() -> KeySet[str]:
    """Keys were fetched at T, after a failure a moment before."""
    state = make_state()
    state.fail(begun(state, T - 10), T - 10)
    state.succeed(begun(state, T), "old", T, lifetime=None)
    return state


def asked_for_unknown() -> KeySet[str]:
    """Keys were fetched at T for a token that names another key, and they have not that one."""
    state = fresh()
    state.succeed(begun_for_unknown(state, T), "old", T, lifetime=None)
    return state


def abandoned() -> KeySet[str]:
    """The attempt that began at T ended with the loop that it ran in."""
    state = asking()
    state.abandon()
    return state
