"""However the routes of a router change, whoever watches them is told."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount, Route, Router

from fastapi_scopes._routing.changes import ChangeCounter, count_changes_of, is_counted


async def answer(request: Any) -> None: ...


def make_route(path: str = "/new") -> Route:
    return Route(path, answer)


# What a list can do and does not change it.
READING = {
    *("__add__", "__contains__", "__eq__", "__ge__", "__getitem__", "__gt__", "__iter__", "__le__"),
    *("__len__", "__lt__", "__mul__", "__ne__", "__reversed__", "__rmul__", "copy", "count"),
    *("index", "__class_getitem__", "__sizeof__", "__hash__"),
}
CHANGES: dict[str, Callable[[list[BaseRoute]], Any]] = {
    "append": lambda routes: routes.append(make_route()),
    "clear": lambda routes: routes.clear(),
    "extend": lambda routes: routes.extend([make_route()]),
    "insert": lambda routes: routes.insert(0, make_route()),
    "pop": lambda routes: routes.pop(),
    "remove": lambda routes: routes.remove(routes[0]),
    "reverse": lambda routes: routes.reverse(),
    "sort": lambda routes: routes.sort(key=id),
    "__delitem__": lambda routes: routes.__delitem__(slice(0, 1)),
    "__iadd__": lambda routes: routes.__iadd__([make_route()]),
    "__imul__": lambda routes: routes.__imul__(2),
    "__setitem__": lambda routes: routes.__setitem__(slice(0, 0), [make_route()]),
}


def make_watched(kind: type[Router] = Router) -> tuple[Router, ChangeCounter]:
    router = kind(routes=[make_route("/a"), make_route("/b")])
    counter = ChangeCounter()
    assert count_changes_of(router, counter)
    return router, counter


def test_every_method_that_changes_a_list_is_noticed() -> None:
    own = {name for name in vars(list) if callable(getattr(list, name))} - set(vars(object))
    assert own - READING == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_change_of_the_list_is_counted(name: str) -> None:
    router, counter = make_watched()
    before = counter.count
    CHANGES[name](router.routes)
    assert counter.count > before


def test_another_list_is_counted_and_watched_from_the_next_look_on() -> None:
    router, counter = make_watched()
    before = counter.count
    router.routes = [make_route()]
    assert counter.count > before
    assert not is_counted(router)
    assert count_changes_of(router, counter)
    before = counter.count
    router.routes.append(make_route())
    assert counter.count > before


def test_new_version_of_an_included_router_is_counted() -> None:
    router, counter = make_watched(APIRouter)
    before = counter.count
    assert isinstance(router, APIRouter)
    router._mark_routes_changed()
    assert counter.count > before


@pytest.mark.parametrize("kind", [Router, APIRouter])
def test_watched_router_is_what_it_was(kind: type[Router]) -> None:
    router, _ = make_watched(kind)
    assert isinstance(router, kind)
    assert (type(router).__module__, type(router).__name__) == (kind.__module__, kind.__name__)
    assert type(router).app is kind.app
    assert [route.path for route in router.routes if isinstance(route, Route)] == ["/a", "/b"]


def test_two_watchers_of_one_router_are_both_told() -> None:
    router, first = make_watched()
    second = ChangeCounter()
    count_changes_of(router, second)
    counts = first.count, second.count
    router.mount("/m", Router())
    assert first.count > counts[0]
    assert second.count > counts[1]
    assert isinstance(router.routes[-1], Mount)


def test_copy_of_the_list_is_a_list_like_any_other() -> None:
    router, counter = make_watched()
    before = counter.count
    copied = copy.copy(router.routes)
    copied.append(make_route())
    assert type(copied) is list
    assert counter.count == before
    assert len(router.routes) == 2


def test_router_whose_class_does_not_allow_it_is_not_watched() -> None:
    class Named(Router):
        def __init_subclass__(cls, *, name: str) -> None: ...

    assert not count_changes_of(Named(), ChangeCounter())
