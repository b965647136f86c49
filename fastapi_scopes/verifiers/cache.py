"""A cache of what was verified of a token, for the next request with the same token."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.errors import Assignment, ConfigurationProblem
from fastapi_scopes.verifiers._settings import is_number_within

__all__ = ["MAX_TTL", "TokenCache", "cache_problems"]

MAX_TTL = 3600
"""The most seconds for which anything is kept."""

V = TypeVar("V")


class TokenCache(Generic[V]):
    """At most *size* values, each for at most *ttl* seconds; the least recently used goes first.

    Keyed by the BLAKE2b of the token (RFC 7693; it takes half the time of SHA-256), so that nothing
    here could be presented as one. Safe under threads: each step on the table is atomic, and a race
    costs no more than an entry.
    """

    __slots__ = ("_entries", "_max_chars", "_size", "_ttl")

    def __init__(self, *, ttl: float, size: int, max_chars: int = MAX_TOKEN_CHARS) -> None:
        self._max_chars = max_chars
        self._ttl = ttl
        self._size = size
        self._entries: OrderedDict[bytes, tuple[float, float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, now: float) -> V | None:
        """Return the value for *token*, or None where there is none or it is too old *now*."""
        return self.get_by(self.key_of(token), now)

    def key_of(self, token: str) -> bytes:
        """Return the key under which what is known of *token* is kept; empty where it is none."""
        # INVARIANT: measured first: to encode and hash a token takes longer with a longer one
        # (test_token_that_is_too_long_is_not_hashed).
        if not isinstance(token, str) or len(token) > self._max_chars:  # pyright: ignore[reportUnnecessaryIsInstance]
            # No token has this key.
            return b""
        text = token.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=32).digest()

    def get_by(self, key: bytes, now: float) -> V | None:
        """Return the value for the token with this *key*, as `get` does."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        stored_at, stale_at, value = entry
        # After a clock was set back the age of an entry is unknown.
        if not stored_at <= now < stale_at:
            self._entries.pop(key, None)
            return None
        if len(self._entries) > 1:
            # Another thread may have taken it out.
            with suppress(KeyError):
                self._entries.move_to_end(key)
        return value

    def put(self, token: str, value: V, now: float, *, until: float) -> None:
        """Keep *value* for *token* from *now* on, not beyond *until*."""
        self.put_by(self.key_of(token), value, now, until=until)

    def put_by(self, key: bytes, value: V, now: float, *, until: float) -> None:
        """Keep *value* for the token with this *key*, as `put` does."""
        stale_at = min(until, now + self._ttl)
        if not now < stale_at or self._size < 1:
            return
        self._entries[key] = (now, stale_at, value)
        while len(self._entries) > self._size:
            with suppress(KeyError):
                self._entries.popitem(last=False)


def cache_problems(ttl: object, size: object) -> Iterator[ConfigurationProblem]:
    """Yield the problems with the options of a cache."""
    if not is_number_within(ttl, 0, MAX_TTL):
        yield ConfigurationProblem(
            f"is no number of seconds from 0 to {MAX_TTL}",
            Assignment("cache_ttl", 60),
            setting="cache_ttl",
        )
    if not isinstance(size, int) or not is_number_within(size, 0, math.inf):
        yield ConfigurationProblem(
            "is no number of tokens", Assignment("cache_size", 1024), setting="cache_size"
        )
