"""Routers that count the changes of their routes."""

import threading
import types
import weakref
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final, TypeVar

from starlette.routing import BaseRoute, Router

from fastapi_scopes._routing.framework import OWN

__all__ = ["ChangeCounter", "is_watchable", "is_watched", "watch"]

F = TypeVar("F", bound=Callable[..., Any])

# Whatever the garbage collector runs meanwhile may change routes as well.
_lock = threading.RLock()


class ChangeCounter:
    """Counts the changes of the routers that are watched with it."""

    __slots__ = ("__weakref__", "count")

    def __init__(self) -> None:
        self.count = 0


def _changing(method: F) -> F:
    @wraps(method)
    def changed(self: "_WatchedRoutes", *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        finally:
            self.count_change()

    return changed  # type: ignore[return-value]


class _WatchedRoutes(list[BaseRoute]):
    """Takes the place of a router's list of routes."""

    __slots__ = ("counters",)

    counters: "weakref.WeakSet[ChangeCounter]"

    def __init__(self, routes: Iterable[BaseRoute] = ()) -> None:
        super().__init__(routes)
        self.counters = weakref.WeakSet()

    def count_change(self) -> None:
        """Count one change with every counter."""
        with _lock:
            for counter in self.counters:
                counter.count += 1

    # INVARIANT: every method by which a list changes is here
    # (routes/test_changes.py: test_every_method_that_changes_a_list_is_noticed).
    append = _changing(list.append)
    clear = _changing(list.clear)
    extend = _changing(list.extend)
    insert = _changing(list.insert)
    pop = _changing(list.pop)
    remove = _changing(list.remove)
    reverse = _changing(list.reverse)
    sort = _changing(list.sort)
    __delitem__ = _changing(list.__delitem__)
    __iadd__ = _changing(list.__iadd__)
    __imul__ = _changing(list.__imul__)
    __setitem__ = _changing(list.__setitem__)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is a list like any other.
        return list, (list(self),)


# What a router goes by; with the last, FastAPI looks at an included router again.
_COUNTED: Final = frozenset({"routes", "default", "redirect_slashes", "_routes_version"})

_classes: dict[type, type] = {}


def _watched_class(kind: type) -> Any:
    """Return the class of routers that are watched and otherwise of the class *kind*.

    *kind* is its only base: with another, Python would not take one for the other.
    """

    set_before: Any = kind.__setattr__

    def set_attribute(self: Any, name: str, value: object) -> None:
        before = self.__dict__.get("routes")
        set_before(self, name, value)
        if name in _COUNTED and isinstance(before, _WatchedRoutes):
            before.count_change()

    def fill(namespace: dict[str, Any]) -> None:
        named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        namespace.update(named, __setattr__=set_attribute, **{OWN: True})

    if kind not in _classes:
        _classes[kind] = types.new_class(kind.__name__, (kind,), exec_body=fill)
    return _classes[kind]


def is_watched(router: Router) -> bool:
    """Tell whether changes of *router* are counted."""
    return hasattr(type(router), OWN) and isinstance(router.routes, _WatchedRoutes)


def is_watchable(router: Router) -> bool:
    """Tell whether changes of *router* can be counted; from then on they are."""
    return watch(router, ChangeCounter())


def watch(router: Router, counter: ChangeCounter) -> bool:
    """Count changes of the routes of *router* with *counter* from now on.

    Return whether it can be watched: its class may not allow it.
    """
    try:
        if not hasattr(type(router), OWN):
            router.__class__ = _watched_class(type(router))
        if not isinstance(router.routes, _WatchedRoutes):
            router.routes = _WatchedRoutes(router.routes)
    except Exception:  # noqa: BLE001 - the class has its say, whatever that is
        return False
    routes = router.routes
    if not isinstance(routes, _WatchedRoutes):
        return False
    with _lock:
        routes.counters.add(counter)
    return True
