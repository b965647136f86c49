"""An index of values by the text that their paths begin with."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["PrefixIndex"]

T = TypeVar("T")


class PrefixIndex(Generic[T]):
    """Values, each of them for paths that begin with a known text."""

    def __init__(self, values: Iterable[tuple[str, T]]) -> None:
        self._values: dict[str, list[T]] = {}
        for prefix, value in values:
            self._values.setdefault(prefix, []).append(value)
        self._sorted = sorted(self._values)

    def meeting(self, prefix: str) -> Iterator[T]:
        """Yield the values whose paths could begin with *prefix* too, in no order."""
        for length in range(len(prefix)):
            yield from self._values.get(prefix[:length], ())
        for position in range(bisect_left(self._sorted, prefix), len(self._sorted)):
            if not self._sorted[position].startswith(prefix):
                return
            yield from self._values[self._sorted[position]]
