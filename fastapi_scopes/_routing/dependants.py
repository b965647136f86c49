"""Finds a guard, and the scopes that it is asked for, in a route's tree of dependencies."""

import inspect
import typing
from collections.abc import Callable, Iterator
from functools import partial
from types import NoneType
from typing import Any, Final

from fastapi.dependencies.models import Dependant

__all__ = [
    "asked_scopes",
    "calls",
    "dependants_in",
    "has_guard",
    "never_none",
    "untaken_scopes",
    "unwrapped",
]

# The most wrappers that are looked through; nobody nests more on purpose.
_DEPTH: Final = 32


def dependants_in(dependant: Dependant) -> Iterator[Dependant]:
    """Yield *dependant* and all dependencies below it."""
    yield dependant
    for inner in dependant.dependencies:
        yield from dependants_in(inner)


def unwrapped(call: Any) -> Iterator[Any]:
    """Yield *call* and the callables it wraps: partials, bound ``__call__``, ``__wrapped__``."""
    for _ in range(_DEPTH):
        yield call
        if isinstance(call, partial):
            call = call.func
        elif inspect.ismethod(call):
            # INVARIANT: another method of a guard decides nothing (attacks/test_routes.py:
            # test_other_method_of_the_guard_does_not_count_as_the_guard).
            call = call.__self__ if call.__name__ == "__call__" else None
        else:
            call = getattr(call, "__wrapped__", None)
        if call is None:
            return


def calls(dependant: Dependant, guard: object) -> bool:
    """Tell whether *dependant* calls *guard*, directly or through a wrapper."""
    return any(each is guard for each in unwrapped(dependant.call))


def has_guard(dependant: Dependant | None, guard: object) -> bool:
    """Tell whether *guard* is called anywhere in the tree of *dependant*."""
    return dependant is not None and any(calls(each, guard) for each in dependants_in(dependant))


def asked_scopes(dependant: Dependant | None, guard: object) -> tuple[str, ...]:
    """Return the scopes that a route asks *guard* for, anywhere in its tree of dependencies."""
    asked: dict[str, None] = {}
    for each in dependants_in(dependant) if dependant is not None else ():
        if calls(each, guard):
            asked |= dict.fromkeys(each.parent_oauth_scopes or ())
            asked |= dict.fromkeys(each.own_oauth_scopes or ())
    return tuple(asked)


def untaken_scopes(
    dependant: Dependant | None, is_guard: Callable[[object], bool]
) -> dict[str, str]:
    """Return the scopes of ``Security`` that no guard is asked for, each with the asking callable.

    Code may await the guard by itself, which no tree shows.
    """
    tree = list(dependants_in(dependant)) if dependant is not None else []
    taken: set[str] = set()
    for each in tree:
        if any(map(is_guard, unwrapped(each.call))):
            taken.update(each.parent_oauth_scopes or (), each.own_oauth_scopes or ())
    return {
        scope: getattr(each.call, "__qualname__", type(each.call).__qualname__)
        for each in tree
        for scope in each.own_oauth_scopes or ()
        if scope not in taken
    }


def never_none(dependant: Dependant | None, guard: object) -> Iterator[str]:
    """Yield the parameters that get the result of *guard*, but whose type does not allow None."""
    for outer in dependants_in(dependant) if dependant is not None else ():
        for inner in outer.dependencies:
            if inner.name and calls(inner, guard) and not _allows_none(outer.call, inner.name):
                yield inner.name


def _allows_none(call: Any, name: str) -> bool:
    function = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004
    try:
        annotation = typing.get_type_hints(function).get(name, Any)
    except (NameError, TypeError):
        # Annotations that cannot be read here are not worth a notice.
        return True
    return annotation in {Any, object, NoneType} or NoneType in typing.get_args(annotation)
