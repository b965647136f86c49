"""Work that can be done some at a time."""

from collections.abc import Generator
from typing import TypeVar

__all__ = ["drained"]

T = TypeVar("T")


def drained(steps: Generator[None, None, T]) -> T:
    """Return what *steps* come to, taken all at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
