"""The clock that measures the age of keys, cached answers and revocation entries."""

import time
from collections.abc import Callable
from functools import partial

__all__ = ["age_clock_for"]


def age_clock_for(now: Callable[[], float]) -> Callable[[], float]:
    """Return the clock that measures ages: *now* where it is the user's own, else a monotonic one.

    `time.time` may be set back or forward, so it measures no age. A clock that goes on while the
    machine sleeps is preferred: keys that were fetched before are old when it wakes up.
    """
    if now is not time.time:
        return now
    since_boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if since_boot is None else partial(time.clock_gettime, since_boot)
