"""A revocation list for one process."""

import time
from collections.abc import Callable

from fastapi_scopes.verifiers._clocks import age_clock_for
from fastapi_scopes.verifiers.revocation.entries import KEPT_BEYOND_EXP, key_of, require_entry

__all__ = ["MemoryRevocationList"]

_SWEEP_AFTER = 1024


class MemoryRevocationList:
    """A revocation list in memory; an entry is dropped some time after its token has expired.

    It ends with the process. For several workers or machines take `RedisRevocationList`.
    """

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._age = age_clock_for(now)
        self._until: dict[str, float] = {}
        self._added = 0

    def __repr__(self) -> str:
        return f"<MemoryRevocationList of {len(self._until)}>"

    def __len__(self) -> int:
        return len(self._until)

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked."""
        return key_of(issuer, jti) in self._until

    async def revoke(self, issuer: str | None, jti: str, *, exp: float) -> None:
        """Refuse the token *jti* of *issuer*, which expires at *exp*, from now on.

        Raises:
            ConfigurationError: an argument is none that a token could have.
        """
        require_entry(issuer, jti, exp)
        # INVARIANT: entries are dropped by a monotonic clock: a system clock that is fast for a
        # while would drop entries of tokens that are valid again afterwards
        # (test_clock_that_is_fast_for_a_while_forgets_nothing).
        left = max(exp - self._now(), 0) + KEPT_BEYOND_EXP
        self._until[key_of(issuer, jti)] = self._age() + left
        self._added += 1
        if self._added >= _SWEEP_AFTER:
            self._sweep()

    def _sweep(self) -> None:
        self._added = 0
        now = self._age()
        # A copy in one step: others may add to the table meanwhile.
        for key, until in dict(self._until).items():
            if until < now:
                self._until.pop(key, None)
