"""Attacks by routes and apps that are odd to look at: they fail, or answer for one another.

Behind each stands a route for everyone: what is missed would run under the rule of that one.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    OPEN,
    Guarded,
    Opaque,
    ask,
    call,
    expected,
    ruled_by,
    running,
)
from tests.perimeter.places import in_the_app

FOR_ALL: dict[str, Any] = {"GET /{a}/{b}": PUBLIC}


class Registered(Router):
    """Wants to know of every class that is made of it, once."""

    seen: set[str] = set()  # noqa: RUF012 - shared on purpose

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__name__ in Registered.seen:
            raise ValueError(cls.__name__)
        Registered.seen.add(cls.__name__)


class Once(Registered):
    """Cannot be made again under its name."""


class NotBuilt:
    """An app that is not there before it is asked."""

    @property
    def app(self) -> Any:
        raise RuntimeError("not built yet")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("secret")(scope, receive, send)


APPS: dict[str, Callable[[], Any]] = {
    "router whose class can be made only once": lambda: Once([Route("/x", running("secret"))]),
    "app that is not built": NotBuilt,
}


@pytest.mark.parametrize("make", APPS.values(), ids=APPS)
def test_app_that_cannot_be_looked_into_is_one_endpoint_and_breaks_nothing(
    make: Callable[[], Any],
) -> None:
    routes = [Mount("/m", make()), Route("/{a}/{b}", running("public"))]
    guarded = Guarded(in_the_app(routes), FOR_ALL | {"GET /m/**": "secret"})
    assert guarded.outcome("GET", "/n/x") == OPEN
    assert guarded.outcome("GET", "/m/x") == ruled_by("secret")


class Asks:
    """Matches for a route, and is no function."""

    def __call__(self, scope: Scope) -> tuple[Match, Scope]:
        is_mine = scope["path"].startswith("/odd/")
        return (Match.FULL, {}) if is_mine else (Match.NONE, {})


class Runs(BaseRoute):
    path = "/odd"

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Opaque("secret")(scope, receive, send)


class ByObject(Runs):
    matches = Asks()


class ByPartial(Runs):
    matches = partial(Asks())


class ByStatic(Runs):
    @staticmethod
    def matches(scope: Scope) -> tuple[Match, Scope]:
        return Asks()(scope)


@dataclass(slots=True)
class ByField(Runs):
    matches: Any


class Proxy:
    """Is whatever it stands for, and of no class of the framework."""

    def __init__(self, route: BaseRoute) -> None:
        self.route = route

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["route"], name)


ASKED: dict[str, Callable[[], Any]] = {
    "an object": ByObject,
    "a partial": ByPartial,
    "a static method": ByStatic,
    "a field of a class with slots": lambda: ByField(Asks()),
    "a proxy of a route": lambda: Proxy(Route("/odd/{b}", running("secret"))),
    "a proxy of a mount": lambda: Proxy(Mount("/odd", Opaque("secret"))),
}


@pytest.mark.parametrize("make", ASKED.values(), ids=ASKED)
def test_route_is_asked_by_whatever_it_matches_with(make: Callable[[], Any]) -> None:
    def app() -> ASGIApp:
        return in_the_app([make(), Route("/{a}/{b}", running("public"))])

    for rules in (FOR_ALL, {**FOR_ALL, "GET /odd/**": "secret", "GET /odd/{b}/**": "secret"}):
        for path in ("/odd/x", "/even/x"):
            outcome = Guarded(app(), rules).outcome("GET", path)
            assert outcome == expected(app(), rules, "GET", path)


def test_route_is_asked_the_same_way_however_often() -> None:
    """What it is told by does not pile up."""
    odd: Any = ByField(Asks())
    routes = [odd, Route("/{a}/{b}", running("public"))]
    guarded = Guarded(in_the_app(routes), FOR_ALL)

    async def again() -> None:
        for _ in range(1100):
            assert (await ask(guarded.app, "GET", "/even/x")).ran == "public"

    asyncio.run(again())


# Attributes that fail when they are read.


def failing(name: str, kind: Any) -> Any:
    """Return a class like *kind* whose attribute *name* is not there yet."""

    def get(self: object) -> Any:
        raise RuntimeError("not built yet")

    def take(self: object, value: object) -> None: ...

    return type("Failing", (kind,), {name: property(get, take)})


class Unmatched(BaseRoute):
    path = "/odd"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.NONE, {}


class UnmatchedRoute(Route):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.NONE, {}


def made(kind: Any) -> Any:
    """Return a route of the class *kind*, which fails already where one is made."""
    route = UnmatchedRoute("/odd", running("secret"))
    route.__class__ = kind
    return route


FAILING: dict[str, Callable[[], Any]] = {
    **{
        name: partial(failing(name, Unmatched))
        for name in ("path", "endpoint", "app", "dependant", "methods")
    },
    "methods of a route": lambda: made(failing("methods", UnmatchedRoute)),
    "endpoint of a route": lambda: failing("endpoint", UnmatchedRoute)("/odd", running("secret")),
    "path of a route": lambda: failing("path", UnmatchedRoute)("/odd", running("secret")),
    "app of a mount": lambda: failing("app", Mount)("/odd", Opaque("secret")),
}


@pytest.mark.parametrize("is_late", [False, True], ids=["at the start", "late"])
@pytest.mark.parametrize("make", FAILING.values(), ids=FAILING)
def test_route_that_fails_when_it_is_read_breaks_nothing(
    make: Callable[[], Any], is_late: bool
) -> None:
    app = in_the_app([Route("/{a}/{b}", running("public"))])
    guarded = Guarded(app, FOR_ALL)
    if is_late:
        assert guarded.outcome("GET", "/even/x") == OPEN
    app.router.routes.insert(0, make())
    assert guarded.outcome("GET", "/even/x") == OPEN
    guarded.guard.check(guarded.app)


class Methods(Route):
    """Says anew each time which methods it has."""

    said: tuple[set[str], ...] = ()

    @property
    def methods(self) -> set[str]:
        said, self.said = self.said[:1] or ({"GET"},), self.said[1:]
        return said[0]

    @methods.setter
    def methods(self, methods: set[str]) -> None: ...


@pytest.mark.parametrize("calls", range(12))
def test_route_whose_methods_change_runs_by_its_own_rule(calls: int) -> None:
    """And where the router does not take it any more, the next does not run by that rule."""
    odd = Methods("/m/x", running("secret"))
    routes = [odd, Route("/{a}/{b}", running("other"))]
    rules = {"GET /m/x": PUBLIC, "GET /{a}/{b}": "other"}
    guarded = Guarded(in_the_app(routes), rules)
    call(guarded.app, "GET", "/even/x")
    odd.said = ({"GET"},) * calls + ({"PUT"},) * 12
    assert call(guarded.app, "GET", "/m/x").ran in {None, "secret"}


class Watching(Router):
    """Does something the first time that somebody looks at its default."""

    then: Callable[[], object] | None = None

    @property
    def default(self) -> Any:
        then, self.then = self.then, None
        if then is not None:
            then()
        return self.not_found

    @default.setter
    def default(self, value: Any) -> None: ...


def failing_once() -> None:
    raise RuntimeError("not built yet")


@pytest.mark.parametrize("is_failing", [True, False], ids=["it fails", "it changes routes"])
def test_look_at_the_routers_that_something_happens_in_is_made_again(is_failing: bool) -> None:
    """Nothing that came late is left out, because something else failed or changed meanwhile."""
    admin, beside = Router([Route("/x", running("secret"))]), Router()

    class Sending:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await admin({**scope, "path": "/x", "root_path": ""}, receive, send)

    def mount_late() -> None:
        beside.routes.append(Mount("/admin", admin))

    inner = Starlette(routes=[Route("/open", running("public"))])
    app = Starlette(routes=[Mount("/m", Sending(inner)), Mount("/n", beside)])
    guarded = Guarded(app, {"GET /m/open": PUBLIC, "GET /n/admin/x": "secret"})
    call(guarded.app, "GET", "/unknown")
    watching = Watching()
    watching.then = failing_once if is_failing else mount_late
    app.router.routes.insert(0 if is_failing else 2, Mount("/watching", watching))
    if is_failing:
        mount_late()
    with contextlib.suppress(RuntimeError):
        call(guarded.app, "GET", "/unknown")
    assert call(guarded.app, "GET", "/m/open").ran is None
