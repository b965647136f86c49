"""Checks of the lists, numbers and flags among the options of a verifier."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeGuard, cast

from fastapi_scopes.errors import ConfigurationProblem

__all__ = ["elements_of", "flag_problems", "is_number_within", "seconds_problems"]


def elements_of(value: object) -> Sequence[object]:
    """Return *value* where it is a list or tuple; an empty one for all else, text included."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return ()
    return cast("Sequence[object]", value)


def is_number_within(value: object, low: float, high: float) -> TypeGuard[float]:
    """Tell whether *value* is a number from *low* to *high*; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high


def seconds_problems(**settings: object) -> Iterator[ConfigurationProblem]:
    """Yield a problem for each of *settings* that is no number of seconds above 0."""
    for name, value in settings.items():
        if not is_number_within(value, 0, math.inf) or value in (0, math.inf):
            yield ConfigurationProblem("is no number of seconds above 0", setting=name)


def flag_problems(**settings: object) -> Iterator[ConfigurationProblem]:
    """Yield a problem for each of *settings* that is no bool: the text "false" would be true."""
    for name, value in settings.items():
        if not isinstance(value, bool):
            yield ConfigurationProblem(
                f"is no bool but a {type(value).__name__!r}",
                f"write {name}=True or False",
                setting=name,
            )
