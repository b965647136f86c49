"""How the verifiers of the soak are configured, and what follows from that."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; *grace* is what a busy machine may take on top of any of them."""

    ttl: float
    cooldown: float
    timeout: float
    grace: float = 1.5

    @property
    def recovery(self) -> float:
        """After how long, at the latest, an issuer that is back has been asked."""
        return self.cooldown + self.timeout

    def most_attempts(self, seconds: float, outages: int) -> int:
        """The most times that one verifier may ask its issuer within *seconds*.

        Two attempts are a cooldown apart, but where one for an unknown key follows one that was
        due: the first of all, the first after an outage, or one a ttl after another.
        """
        return int(seconds // self.cooldown + seconds // self.ttl) + outages + 2

    def most_metadata(self, outages: Iterable[Span]) -> int:
        """The most times that one verifier may ask for metadata: at first and after failures.

        The attempts that fail in an outage are a cooldown apart.
        """
        return 1 + sum(
            math.floor((end - start + self.timeout) / self.cooldown) + 1 for start, end in outages
        )


def within(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of *spans* that lie between *start* and *end*."""
    return [(max(a, start), min(b, end)) for a, b in spans if a < end and b > start]


def most_in(moments: Iterable[float], seconds: float) -> int:
    """The most of *moments* that lie within any *seconds*."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
