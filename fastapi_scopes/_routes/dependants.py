"""What a route's tree of dependencies says of a guard."""

import inspect
import typing
from collections.abc import Iterator
from types import NoneType
from typing import Any

from fastapi.dependencies.models import Dependant

__all__ = ["asked_scopes", "calls", "dependants_in", "never_none"]


def dependants_in(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from dependants_in(inner)


def calls(dependant: Dependant, guard: object) -> bool:
    """Tell whether *dependant* is *guard*, given as itself or as its bound ``__call__``."""
    call = dependant.call
    # INVARIANT: another method of the guard decides nothing (attacks/test_routes.py:
    # test_other_method_of_the_guard_does_not_count_as_the_guard).
    is_bound = getattr(call, "__self__", None) is guard
    return call is guard or (is_bound and getattr(call, "__name__", None) == "__call__")


def asked_scopes(dependant: Dependant, guard: object) -> tuple[str, ...]:
    """Return the scopes that a route asks *guard* for, wherever in its tree of dependencies."""
    asked: dict[str, None] = {}
    for each in dependants_in(dependant):
        if calls(each, guard):
            asked |= dict.fromkeys(each.parent_oauth_scopes or ())
            asked |= dict.fromkeys(each.own_oauth_scopes or ())
    return tuple(asked)


def never_none(dependant: Dependant, guard: object) -> Iterator[str]:
    """Yield the parameters that take what *guard* returns and do not allow None."""
    for outer in dependants_in(dependant):
        for inner in outer.dependencies:
            if inner.name and calls(inner, guard) and not _allows_none(outer.call, inner.name):
                yield inner.name


def _allows_none(call: Any, name: str) -> bool:
    function = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004
    try:
        annotation = typing.get_type_hints(function).get(name, Any)
    except (NameError, TypeError):
        # What cannot be read here is not worth a notice.
        return True
    return annotation in {Any, object, NoneType} or NoneType in typing.get_args(annotation)
