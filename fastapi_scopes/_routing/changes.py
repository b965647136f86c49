"""Counts changes of the routes of routers, which get a list and a class that report them."""

import threading
import weakref
from collections.abc import Callable, Iterable
from functools import wraps
from itertools import count
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Router

from fastapi_scopes._routing.framework import OWN, subclass_of

__all__ = [
    "ChangeCounter",
    "count_changes_of",
    "invalidate_inclusions",
    "is_counted",
    "is_counted_by",
    "start_counting",
]

F = TypeVar("F", bound=Callable[..., Any])

_version_steps: Final = count(1 << 32, 1 << 32)

# Reentrant: the garbage collector may run code that changes routes meanwhile.
_lock = threading.RLock()


class ChangeCounter:
    """Counts the changes of all routers that are registered with it by `count_changes_of`."""

    __slots__ = ("__weakref__", "count", "on_added")

    def __init__(self, on_added: Callable[[Iterable[Any]], None] | None = None) -> None:
        """Start at 0; *on_added* is called with routes when they are added."""
        self.count: int = 0
        self.on_added: Callable[[Iterable[Any]], None] | None = on_added


def _counting(method: F) -> F:
    """Return the list method *method*, which counts one change for each call."""

    @wraps(method)
    def changed(self: "_CountedRoutes", *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        finally:
            self.count_change()

    return changed  # type: ignore[return-value]


def _reporting(method: F, *, many: bool) -> F:
    """Return the list method *method*, which counts one change and reports the routes it adds.

    The routes are the last argument: several with *many* or for a slice, else one.
    """

    @wraps(method)
    def changed(self: "_CountedRoutes", *arguments: Any) -> Any:
        *leading, last = arguments
        # An iterator is read twice here, so it is made a list.
        is_many = many or (bool(leading) and isinstance(leading[0], slice))
        last = list(last) if is_many else last
        try:
            return method(self, *leading, last)
        finally:
            self.count_change()
            self.report_added(last if is_many else [last])

    return changed  # type: ignore[return-value]


class _CountedRoutes(list[BaseRoute]):
    """A list of routes that counts its changes; it replaces the list of a router."""

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

    def report_added(self, routes: Iterable[Any]) -> None:
        """Call `on_added` of every counter with *routes*, which were added."""
        with _lock:
            told = [each.on_added for each in self.counters if each.on_added is not None]
        for on_added in told:
            on_added(routes)

    # INVARIANT: every method by which a list changes is here
    # (routes/test_changes.py: test_every_method_that_changes_a_list_is_noticed).
    append = _reporting(list.append, many=False)
    clear = _counting(list.clear)
    extend = _reporting(list.extend, many=True)
    insert = _reporting(list.insert, many=False)
    pop = _counting(list.pop)
    remove = _counting(list.remove)
    reverse = _counting(list.reverse)
    sort = _counting(list.sort)
    __delitem__ = _counting(list.__delitem__)
    __iadd__ = _reporting(list.__iadd__, many=True)
    __imul__ = _counting(list.__imul__)
    __setitem__ = _reporting(list.__setitem__, many=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is a plain list, which counts nothing.
        return list, (list(self),)


# The attributes of a router by which it routes; `_routes_version` is the count of FastAPI.
_COUNTED: Final = frozenset(
    {"routes", "default", "redirect_slashes", "_routes_version", "middleware_stack", "app"}
)

_classes: "weakref.WeakKeyDictionary[type, weakref.ref[type]]" = weakref.WeakKeyDictionary()


def _counting_class(kind: type) -> Any:
    """Return the subclass of the router class *kind* that counts changes of attributes."""
    set_before: Any = kind.__setattr__

    def set_attribute(self: Any, name: str, value: object) -> None:
        before = self.__dict__.get("routes")
        set_before(self, name, value)
        if name in _COUNTED and isinstance(before, _CountedRoutes):
            before.count_change()
            before.report_added(_added_by_setting(self, name, value))

    return subclass_of(kind, _classes, {"__setattr__": set_attribute})


def _added_by_setting(router: Any, name: str, value: Any) -> Iterable[Any]:
    """Return the routes that *router* may have got when its *name* was set to *value*."""
    if name == "routes":
        return value if isinstance(value, list | tuple) else ()
    if name == "default":
        # The default answers all paths without a route, as a mount of everything would.
        return [Mount("", value)]
    # FastAPI keeps frontends in a list of their own, and counts them by its version.
    return getattr(router, "_low_priority_routes", ()) if name == "_routes_version" else ()


def invalidate_inclusions(router: APIRouter) -> None:
    """Make FastAPI rebuild the routes it made of *router*, wherever that is included.

    INVARIANT: FastAPI adds up the versions of nested routers, so no step may equal the sum of other
    changes (attacks/test_calls_from_within.py).
    """
    router._routes_version += next(_version_steps)


def is_counted(router: Router) -> bool:
    """Tell whether changes of *router* are counted by any counter."""
    return hasattr(type(router), OWN) and isinstance(router.routes, _CountedRoutes)


def is_counted_by(router: Router, counter: ChangeCounter) -> bool:
    """Tell whether changes of *router* are counted by *counter*."""
    routes = router.routes
    return isinstance(routes, _CountedRoutes) and counter in routes.counters


def start_counting(router: Router) -> bool:
    """Start to count changes of *router*; return False where its class does not allow that."""
    return count_changes_of(router, ChangeCounter())


def count_changes_of(router: Router, counter: ChangeCounter) -> bool:
    """Count changes of the routes of *router* with *counter* from now on.

    Return False where the class of *router* does not allow that.
    """
    try:
        if not hasattr(type(router), OWN):
            router.__class__ = _counting_class(type(router))
        if not isinstance(router.routes, _CountedRoutes):
            router.routes = _CountedRoutes(router.routes)
    except Exception:  # noqa: BLE001 - the class may raise anything
        return False
    routes = router.routes
    if not isinstance(routes, _CountedRoutes):
        return False
    with _lock:
        routes.counters.add(counter)
    return True
