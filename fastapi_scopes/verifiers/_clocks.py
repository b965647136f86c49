"""By which clock ages are told."""

import time
from collections.abc import Callable
from functools import partial

__all__ = ["age_clock_for"]


def age_clock_for(now: Callable[[], float]) -> Callable[[], float]:
    """Return what ages are told by: no clock that may be set, unless it is the user's own.

    Where the system has a clock that goes on while the machine sleeps, that one: what was
    fetched before is old when it wakes up.
    """
    if now is not time.time:
        return now
    since_boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if since_boot is None else partial(time.clock_gettime, since_boot)
