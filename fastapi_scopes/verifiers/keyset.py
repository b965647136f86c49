"""The state of one issuer's keys: when to ask for them, and how long an answer holds; no IO.

The caller brings the clock, the keys and the lock: `usable` and `is_due` only read and may be
called at any time; methods that begin or end an attempt need one caller at a time.

    nothing held --begin--> asking --succeed--> fresh --ttl--> due --begin--> asking, still held
                              |                                                 |
                              +--fail--> nothing held, for a cooldown           +--fail--> still
                                                                    held, due after a cooldown
    a warm-up that fails leaves all as it was
    keys that are held are dropped max_age after they were fetched
"""

import math
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["MAX_LIFETIME", "MIN_LIFETIME", "Attempt", "Held", "KeySet", "Schedule"]

MIN_LIFETIME: Final = 60
MAX_LIFETIME: Final = 24 * 60 * 60
"""The limits, in seconds, of the time for which an issuer may say that its keys are fresh."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often an issuer is asked, in seconds."""

    ttl: float = 300
    """The time for which keys are fresh where the issuer does not say."""
    cooldown: float = 10
    """Between two attempts after a failed one, and between two for a key that is not known."""
    max_age: float = 24 * 60 * 60
    """The time for which the last good keys are used while the issuer cannot be reached."""
    timeout: float = 5
    """The time for one attempt; an attempt without an end is given up after twice as long."""

    @property
    def patience(self) -> float:
        """The seconds after which a running attempt is given up."""
        return 2 * self.timeout

    @property
    def slack(self) -> float:
        """The seconds within which a working timer asks for keys that are due."""
        return max(self.cooldown, self.patience)


@dataclass(frozen=True, slots=True)
class Held(Generic[K]):
    """The keys of the last successful attempt."""

    value: K
    number: int
    """The number of that attempt."""
    fetched_at: float
    stale_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to ask the issuer."""

    number: int
    """Counted from 1; a later attempt has a higher one."""
    begun_at: float
    is_for_unknown_key: bool = False
    is_warm_up: bool = False
    """Whether no token waits for it: its failure begins no cooldown."""


class KeySet(Generic[K]):
    """The state of one issuer's keys; the clock may jump, so moments in the future do not count."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._held: Held[K] | None = None
        self._attempt: Attempt | None = None
        self._attempts = 0
        self._failed_at: float | None = None
        self._asked_for_unknown_at: float | None = None

    @property
    def attempts(self) -> int:
        """How many attempts have begun so far."""
        return self._attempts

    @property
    def held(self) -> Held[K] | None:
        """The last good keys, however old."""
        return self._held

    def usable(self, now: float) -> Held[K] | None:
        """Return the last good keys, or None where there are none or they are too old."""
        held = self._held
        if held is None or not now - held.fetched_at < self._schedule.max_age:
            return None
        return held

    def fresh(self, now: float) -> Held[K] | None:
        """Return the last good keys, or None where there are none or they are stale."""
        held = self._held
        return held if held is not None and held.fetched_at <= now < held.stale_at else None

    def is_due(self, now: float) -> bool:
        """Tell whether the keys are stale or missing, and an attempt may begin."""
        return self.fresh(now) is None and self._may_begin(now)

    def is_overdue(self, now: float) -> bool:
        """Tell whether the keys have been stale for long because no timer ran.

        The event loop of the timer is gone, the process was forked, or the machine was asleep.
        Keys that are stale because an attempt has failed are not overdue: that is an outage.
        """
        held = self._held
        if held is None:
            return False
        has_failed = self._failed_at is not None and held.fetched_at < self._failed_at <= now
        return not has_failed and not now < held.stale_at + self._schedule.slack

    def begin(self, now: float) -> Attempt | None:
        """Return a new attempt, or None where fresh keys are not due."""
        return self._begun(now) if self.is_due(now) else None

    def begin_warm_up(self, now: float) -> Attempt | None:
        """Return a new attempt, in a cooldown too, or None where keys are fresh or asked for."""
        if self.fresh(now) is not None or self._is_asking(now):
            return None
        return self._begun(now, is_warm_up=True)

    def begin_for_unknown_key(self, now: float) -> Attempt | None:
        """Return a new attempt for a key that is not held, or None where it is too soon."""
        if not self._may_begin(now) or self._is_within_cooldown(self._asked_for_unknown_at, now):
            return None
        self._asked_for_unknown_at = now
        return self._begun(now, is_for_unknown_key=True)

    def succeed(self, attempt: Attempt, keys: K, now: float, *, lifetime: float | None) -> None:
        """Hold *keys*, for as long as the issuer said (*lifetime*, within limits) or the ttl."""
        if attempt is not self._attempt:
            return
        self._attempt = None
        self._failed_at = None
        fresh_for = self._schedule.ttl
        if lifetime is not None:
            fresh_for = min(max(lifetime, MIN_LIFETIME), MAX_LIFETIME)
        self._held = Held(keys, attempt.number, now, now + min(fresh_for, self._schedule.max_age))

    def fail(self, attempt: Attempt, now: float) -> None:
        """Note that the issuer could not be asked, or gave no keys; the held keys stay."""
        if attempt is not self._attempt:
            return
        self._attempt = None
        if not attempt.is_warm_up:
            self._failed_at = now

    def abandon(self, attempt: Attempt | None = None) -> None:
        """Forget *attempt*, or the running one, broken off through no fault of the issuer."""
        current = self._attempt
        if current is None or attempt not in (None, current):
            return
        self._attempt = None
        if current.is_for_unknown_key:
            # No answer came, so the next token with an unknown key need not wait for the cooldown.
            self._asked_for_unknown_at = None

    def retry_after(self, now: float) -> float:
        """Return the seconds after which another attempt may begin."""
        if self._failed_at is None or not self._is_within_cooldown(self._failed_at, now):
            return 0
        return self._failed_at + self._schedule.cooldown - now

    def next_due(self, now: float) -> float | None:
        """Return the seconds until an attempt is due, or None where no keys were held yet."""
        if self._held is None:
            return None
        begun_at = self._attempt.begun_at if self._attempt is not None else -math.inf
        given_up_at = begun_at + self._schedule.patience
        return max(self._held.stale_at - now, self.retry_after(now), given_up_at - now, 0)

    def _may_begin(self, now: float) -> bool:
        return not self._is_asking(now) and not self._is_within_cooldown(self._failed_at, now)

    def _is_asking(self, now: float) -> bool:
        attempt = self._attempt
        return attempt is not None and self._is_within(
            self._schedule.patience, attempt.begun_at, now
        )

    def _is_within_cooldown(self, moment: float | None, now: float) -> bool:
        return moment is not None and self._is_within(self._schedule.cooldown, moment, now)

    def _is_within(self, seconds: float, moment: float, now: float) -> bool:
        return moment <= now < moment + seconds

    def _begun(
        self, now: float, *, is_for_unknown_key: bool = False, is_warm_up: bool = False
    ) -> Attempt:
        self._attempts += 1
        self._attempt = Attempt(self._attempts, now, is_for_unknown_key, is_warm_up)
        return self._attempt
