"""Routers that count the changes of their routes."""

import threading
import weakref
from collections.abc import Callable, Iterable
from functools import wraps
from itertools import count
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Router

from fastapi_scopes._routing.framework import OWN, subclass_of

__all__ = ["ChangeCounter", "is_watchable", "is_watched", "is_watched_by", "mark_changed", "watch"]

F = TypeVar("F", bound=Callable[..., Any])

_steps: Final = count(1 << 32, 1 << 32)

# Whatever the garbage collector runs meanwhile may change routes as well.
_lock = threading.RLock()


class ChangeCounter:
    """Counts the changes of the routers that are watched with it."""

    __slots__ = ("__weakref__", "count", "on_added")

    def __init__(self, on_added: Callable[[Iterable[Any]], None] | None = None) -> None:
        """Count from 0; *on_added* is told of routes that come, when they do."""
        self.count: int = 0
        self.on_added: Callable[[Iterable[Any]], None] | None = on_added


def _changing(method: F) -> F:
    @wraps(method)
    def changed(self: "_WatchedRoutes", *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        finally:
            self.count_change()

    return changed  # type: ignore[return-value]


def _adding(method: F, *, many: bool) -> F:
    """Return *method*, which tells of the routes, or of the *many*, that are its last argument."""

    @wraps(method)
    def changed(self: "_WatchedRoutes", *arguments: Any) -> Any:
        *leading, last = arguments
        # What can be read once is read once.
        is_many = many or (bool(leading) and isinstance(leading[0], slice))
        last = list(last) if is_many else last
        try:
            return method(self, *leading, last)
        finally:
            self.count_change()
            self.tell_of(last if is_many else [last])

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

    def tell_of(self, routes: Iterable[Any]) -> None:
        """Tell whoever asked for it of *routes* that came."""
        with _lock:
            told = [each.on_added for each in self.counters if each.on_added is not None]
        for on_added in told:
            on_added(routes)

    # INVARIANT: every method by which a list changes is here
    # (routes/test_changes.py: test_every_method_that_changes_a_list_is_noticed).
    append = _adding(list.append, many=False)
    clear = _changing(list.clear)
    extend = _adding(list.extend, many=True)
    insert = _adding(list.insert, many=False)
    pop = _changing(list.pop)
    remove = _changing(list.remove)
    reverse = _changing(list.reverse)
    sort = _changing(list.sort)
    __delitem__ = _changing(list.__delitem__)
    __iadd__ = _adding(list.__iadd__, many=True)
    __imul__ = _changing(list.__imul__)
    __setitem__ = _adding(list.__setitem__, many=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is a list like any other.
        return list, (list(self),)


# What a router goes by; with the last, FastAPI looks at an included router again.
_COUNTED: Final = frozenset(
    {"routes", "default", "redirect_slashes", "_routes_version", "middleware_stack", "app"}
)

_classes: "weakref.WeakKeyDictionary[type, weakref.ref[type]]" = weakref.WeakKeyDictionary()


def _watched_class(kind: type) -> Any:
    """Return the class of routers that are watched and otherwise of the class *kind*."""
    set_before: Any = kind.__setattr__

    def set_attribute(self: Any, name: str, value: object) -> None:
        before = self.__dict__.get("routes")
        set_before(self, name, value)
        if name in _COUNTED and isinstance(before, _WatchedRoutes):
            before.count_change()
            before.tell_of(_coming_with(self, name, value))

    return subclass_of(kind, _classes, {"__setattr__": set_attribute})


def _coming_with(router: Any, name: str, value: Any) -> Iterable[Any]:
    """Return the routes that may have come to *router* where its *name* was set to *value*."""
    if name == "routes":
        return value if isinstance(value, list | tuple) else ()
    if name == "default":
        # What answers where no route does is as good as mounted.
        return [Mount("", value)]
    # Frontends come in a list of their own.
    return getattr(router, "_low_priority_routes", ()) if name == "_routes_version" else ()


def mark_changed(router: APIRouter) -> None:
    """Have FastAPI make anew what it makes of *router* wherever that is included.

    INVARIANT: it adds up the versions of nested routers, and no other change makes up for this one
    (attacks/test_late_sharing.py).
    """
    router._routes_version += next(_steps)


def is_watched(router: Router) -> bool:
    """Tell whether changes of *router* are counted."""
    return hasattr(type(router), OWN) and isinstance(router.routes, _WatchedRoutes)


def is_watched_by(router: Router, counter: ChangeCounter) -> bool:
    """Tell whether changes of *router* are counted with *counter*."""
    routes = router.routes
    return isinstance(routes, _WatchedRoutes) and counter in routes.counters


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
