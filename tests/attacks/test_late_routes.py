"""Attacks by routes that change while the app serves.

Every row knows a public ``/{name}`` and has served it; then ``/secret`` gets in front of it, or
an endpoint turns up where there was none. What the framework then runs, by the same app without
a perimeter, is what the rule of its own template must open, to everybody else it is closed.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    SOCKET,
    WRONG_METHOD,
    Guarded,
    Opaque,
    expected,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import PLACES, Place

Change = Callable[[Router], Any]


def secret() -> Route:
    return Route("/secret", running("secret"))


def other() -> Route:
    return Route("/other", running("other"))


def rules_at(prefix: str) -> dict[str, Any]:
    return {f"GET {prefix}/{{name}}": PUBLIC, f"GET {prefix}/secret": "secret"}


def rebind(router: Router, routes: Any) -> None:
    router.routes = routes


def with_list(routes: Iterable[BaseRoute]) -> Change:
    return lambda router: rebind(router, list(routes))


def add(path: str, name: str) -> Change:
    """Return the change after which FastAPI reads an included router again."""

    def add_to(router: Router) -> None:
        if isinstance(router, APIRouter):
            router.add_api_route(path, running(name))
        else:
            router.routes.append(Route(path, running(name)))

    return add_to


def public_first(route: BaseRoute) -> bool:
    return getattr(route, "path", "") == "/secret"


again = add("/again", "again")

# Each change in steps: between two of them requests are served.
CHANGES: dict[str, Sequence[Change]] = {
    "insert": [lambda router: router.routes.insert(0, secret()), again],
    "slice": [lambda router: router.routes.__setitem__(slice(0, 0), [secret()]), again],
    "all of the slice": [
        lambda router: router.routes.__setitem__(slice(None), [secret(), *router.routes]),
        again,
    ],
    "replaced in place": [lambda router: router.routes.__setitem__(-1, secret()), again],
    "del, append": [
        lambda router: router.routes.__delitem__(-1),
        lambda router: router.routes.append(secret()),
        again,
    ],
    "pop, extend": [
        lambda router: router.routes.pop(),
        lambda router: router.routes.extend([secret()]),
        again,
    ],
    "remove, +=": [
        lambda router: router.routes.remove(router.routes[-1]),
        lambda router: router.routes.__iadd__([secret()]),
        again,
    ],
    "clear, add": [lambda router: router.routes.clear(), add("/secret", "secret")],
    "append, reverse": [
        lambda router: router.routes.append(secret()),
        lambda router: router.routes.reverse(),
        again,
    ],
    "append, sort": [
        lambda router: router.routes.append(secret()),
        lambda router: router.routes.sort(key=public_first, reverse=True),
        again,
    ],
    "insert, *=": [
        lambda router: router.routes.insert(0, secret()),
        lambda router: router.routes.__imul__(2),
        again,
    ],
    "insert, then removed": [
        lambda router: router.routes.insert(0, secret()),
        again,
        lambda router: router.routes.pop(0),
        add("/more", "more"),
    ],
    "another list": [lambda router: rebind(router, [secret(), *router.routes]), again],
    "another list, then a route": [
        lambda router: rebind(router, []),
        add("/secret", "secret"),
        add("/{name}", "public"),
    ],
    "another list, then insert": [
        lambda router: rebind(router, list(router.routes)),
        again,
        lambda router: router.routes.insert(0, secret()),
        add("/more", "more"),
    ],
    "two lists, then a route at once": [
        lambda router: [
            change(router) for change in (with_list(router.routes), with_list(()), again)
        ],
        add("/secret", "secret"),
    ],
    "a list in two names": [
        lambda router: rebind(router, router.routes),
        lambda router: router.routes.insert(0, secret()),
        again,
    ],
    "a tuple": [
        lambda router: rebind(router, (secret(), *router.routes)),
        lambda router: rebind(router, [*router.routes]),
        again,
    ],
}


def assert_decided_as_now(guarded: Guarded, bare: Place, method: str, path: str) -> str:
    rules = rules_at(bare.prefix)
    outcome = guarded.outcome(method, path, host=bare.host)
    assert outcome == expected(bare.app, rules, method, path, host=bare.host)
    return outcome


@pytest.mark.parametrize("steps", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_next_request_is_decided_by_the_routes_of_now(
    place: Callable[[], Place], steps: Sequence[Change]
) -> None:
    late, bare = place(), place()
    guarded = Guarded(late.app, rules_at(late.prefix))
    path = f"{late.prefix}/secret"
    assert assert_decided_as_now(guarded, bare, "GET", path) == OPEN
    outcomes = []
    for step in steps:
        step(late.router)
        step(bare.router)
        outcomes.append(assert_decided_as_now(guarded, bare, "GET", path))
    # Nothing is shown by a row in which the framework never runs the new route.
    assert ruled_by("secret") in outcomes


def add_included(router: Any) -> None:
    included = APIRouter()
    included.add_api_route("/x", running("late"))
    included.add_api_websocket_route("/socket", talking("late"))
    router.include_router(included, prefix="/late/included")


def add_mounted(router: Any) -> None:
    routes = [Route("/x", running("late")), WebSocketRoute("/socket", talking("late"))]
    router.mount("/late/mounted", Router(routes))


# What is added, the method and the path that lead to it.
ADDED: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "add_api_route": (add("/late/x", "late"), "GET", "/late/x"),
    "get": (lambda router: router.get("/late/x")(running("late")), "GET", "/late/x"),
    "another method": (lambda router: router.put("/x")(running("late")), "PUT", "/x"),
    "include_router": (add_included, "GET", "/late/included/x"),
    "include_router, socket": (add_included, SOCKET, "/late/included/socket"),
    "add_api_websocket_route": (
        lambda router: router.add_api_websocket_route("/late/x", talking("late")),
        *(SOCKET, "/late/x"),
    ),
    "add_route": (lambda router: router.add_route("/late/x", running("late")), "GET", "/late/x"),
    "add_websocket_route": (
        lambda router: router.add_websocket_route("/late/x", talking("late")),
        *(SOCKET, "/late/x"),
    ),
    "mount": (add_mounted, "GET", "/late/mounted/x"),
    "mount, socket": (add_mounted, SOCKET, "/late/mounted/socket"),
    "opaque app": (lambda router: router.mount("/late/o", Opaque("late")), "PUT", "/late/o/x"),
    "opaque app, socket": (
        lambda router: router.mount("/late/o", Opaque("late")),
        *(SOCKET, "/late/o/x"),
    ),
    "host": (
        lambda router: router.host("{any}", Router([Route("/late/x", running("late"))])),
        *("GET", "/late/x"),
    ),
}
ONLY_API = {"get", "another method", "include_router", "include_router, socket"} | {
    "add_api_websocket_route"
}
ADDITIONS = [
    pytest.param(place, *added, id=f"{at}, {name}")
    for at, place in PLACES.items()
    for name, added in ADDED.items()
    if name not in ONLY_API or isinstance(place().router, APIRouter)
]


@pytest.mark.parametrize("is_ruled", [True, False], ids=["with a rule", "without a rule"])
@pytest.mark.parametrize(("place", "addition", "method", "path"), ADDITIONS)
def test_endpoint_that_was_not_there_is_decided_by_its_own_rule(
    place: Callable[[], Place],
    addition: Callable[[Any], Any],
    method: str,
    path: str,
    is_ruled: bool,
) -> None:
    late, bare = place(), place()
    template = late.prefix + path.replace("/o/x", "/o/**")
    rules = rules_at(late.prefix) | ({f"{method} {template}": "late"} if is_ruled else {})
    guarded, options = Guarded(late.app, rules), {"host": late.host}
    path = late.prefix + path
    unknown = guarded.outcome(method, path, **options)
    assert unknown == expected(bare.app, rules, method, path, **options)
    assert unknown in {NOT_FOUND, WRONG_METHOD}
    for step in (addition, again):
        step(late.router)
        step(bare.router)
        outcome = guarded.outcome(method, path, **options)
        assert outcome == expected(bare.app, rules, method, path, **options)
    # A Route leads no socket to a router.
    is_unreachable = method == SOCKET and place is PLACES["endpoint of a route"]
    assert outcome == (NOT_FOUND if is_unreachable else ruled_by("late") if is_ruled else NO_RULE)


@pytest.mark.parametrize("is_ruled", [True, False], ids=["with a rule", "without a rule"])
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(each, id=at)
        for at, each in PLACES.items()
        if isinstance(each().router, APIRouter)
    ],
)
def test_frontend_that_was_not_there_is_decided_by_its_own_rule(
    place: Callable[[], Place], is_ruled: bool, tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text("ran late")
    late, bare = place(), place()
    rules = rules_at(late.prefix) | ({f"GET {late.prefix}/ui/**": "late"} if is_ruled else {})
    guarded, path, options = (
        Guarded(late.app, rules),
        f"{late.prefix}/ui/x.txt",
        {"host": late.host},
    )
    assert guarded.outcome("GET", path, **options) == NOT_FOUND
    for each in (late, bare):
        assert isinstance(each.router, APIRouter)
        each.router.frontend("/ui", directory=tmp_path)
    outcome = guarded.outcome("GET", path, **options)
    assert outcome == expected(bare.app, rules, "GET", path, **options)
    assert outcome == (ruled_by("late") if is_ruled else NO_RULE)
