"""What happened to the world and when, and what a verifier must have noticed of it by now.

Moments are seconds of `time.time`. What goes is written down before it goes, what comes after
it has come: between the two either may be seen.
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from benchmarks.soak.limits import Limits, Span
from tests.issuers.faulty import SigningKey

T = TypeVar("T")

_KEPT = 64


class RedisState(Enum):
    UP = "up"
    CHANGING = "changing"
    KILLED = "killed"
    HUNG = "hung"


class History(Generic[T]):
    """The values that something had, the last of them for good."""

    def __init__(self, value: T) -> None:
        self._marks: deque[tuple[float, T]] = deque([(-math.inf, value)], maxlen=_KEPT)

    @property
    def value(self) -> T:
        return self._marks[-1][1]

    @property
    def since(self) -> float:
        return self._marks[-1][0]

    def mark(self, value: T) -> None:
        if value != self.value:
            self._marks.append((time.time(), value))

    def between(self, start: float, end: float) -> set[T]:
        """The values that it had at any moment from *start* to *end*."""
        return {value for (a, b), value in self._spans() if a <= end and b > start}

    def spans(self, wanted: T) -> Iterator[Span]:
        """When it had the value *wanted*."""
        return (span for span, value in self._spans() if value == wanted)

    def _spans(self) -> Iterator[tuple[Span, T]]:
        marks = tuple(self._marks)
        ends = [*(moment for moment, _ in marks[1:]), math.inf]
        return (((start, end), value) for (start, value), end in zip(marks, ends, strict=True))


@dataclass(eq=False, slots=True)
class KeyRecord:
    """A key of the issuers through its life."""

    key: SigningKey
    published_at: float = math.inf
    signing_since: float = math.inf
    retired_at: float = math.inf

    def is_published(self, moment: float) -> bool:
        return self.published_at <= moment < self.retired_at


class Timeline:
    """The past of the issuers, of Redis, and of the traffic as far as it makes verifiers ask."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.keys: deque[KeyRecord] = deque(maxlen=16)
        self.issuers_up = History(True)
        self.probed = History(False)
        """Whether unknown keys are asked for all the time, while the issuers are up."""
        self.redis = History(RedisState.UP)

    def asked_since(self, moment: float) -> float:
        """A time at or after which a verifier has, by *moment*, asked with success."""
        return max(self._promises(moment), default=-math.inf)

    def _promises(self, moment: float) -> Iterator[float]:
        limits = self._limits
        for start, end in self.issuers_up.spans(True):
            until = min(end, moment) - limits.grace
            if until < start + limits.recovery:
                continue
            # What is held is at most a ttl old.
            yield until - limits.ttl
            # A token that names a key which is not held has it asked for.
            for key in tuple(self.keys):
                asked = max(max(key.published_at, start) + limits.recovery, key.signing_since)
                if asked <= until:
                    yield key.published_at
        for start, end in self.probed.spans(True):
            until = min(end, moment) - limits.grace - limits.recovery
            if until >= start:
                yield until

    def published_sets(self, start: float, end: float) -> list[frozenset[SigningKey]]:
        """The key sets of which a verifier may hold any between *start* and *end*."""
        oldest = self.asked_since(start)
        keys = tuple(self.keys)
        changes = {moment for key in keys for moment in (key.published_at, key.retired_at)}
        moments = [oldest, *(each for each in changes if oldest < each <= end)]
        return [
            frozenset(each.key for each in keys if each.is_published(moment)) for moment in moments
        ]
