"""Long computations as generators: a `yield` after each step, the result at the end."""

from collections.abc import Generator
from typing import TypeVar

__all__ = ["drained"]

T = TypeVar("T")


def drained(steps: Generator[None, None, T]) -> T:
    """Return the result of *steps*, run to the end without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
