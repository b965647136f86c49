"""Attacks by routes that look at more of a connection than its path and method.

They are told what the framework would tell them there; what they say then is decided on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, PUBLIC, Claims, ScopeMap
from tests.apps import make_guard, make_verifier
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    Guarded,
    Opaque,
    call,
    expected,
    ruled_by,
    running,
)
from tests.perimeter.places import in_the_app, make_app

Sees = Callable[[Scope], object]


def append_field(scope: Scope) -> None:
    scope["headers"].append((b"x-v", b"2"))


def write_state(scope: Scope) -> None:
    scope["state"]["user"] = "root"


class Choosy(Route):
    """Matches where the scope that it is asked with is as it likes it."""

    sees: Sees

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if self.sees(scope) else (Match.NONE, {})


def choosy(path: str, name: str, sees: Sees) -> Choosy:
    route = Choosy(path, running(name))
    route.sees = sees
    return route


def is_beta(app: Any) -> bool:
    return getattr(app.state, "is_beta", False)


SEES: dict[str, Sees] = {
    "parameter of the mount": lambda scope: scope.get("path_params", {}).get("tenant") == "acme",
    "parameter of no mount": lambda scope: "tenant" not in scope.get("path_params", {}),
    "inner app": lambda scope: isinstance(scope["app"], Starlette) and is_beta(scope["app"]),
    "outer app": lambda scope: not is_beta(scope["app"]),
    "root path of the outermost": lambda scope: scope.get("app_root_path") == "",
    "root path": lambda scope: scope["root_path"] == "/t/acme",
    "endpoint": lambda scope: scope.get("endpoint") is not None,
    "method": lambda scope: scope["method"] == "GET",
    "router": lambda scope: scope["router"].routes,
    "header": lambda scope: any(value == b"testserver" for _, value in scope["headers"]),
}


def own(routes: list[BaseRoute]) -> FastAPI:
    return in_the_app([Mount("/other", Router()), *(_below(route) for route in routes)])


def _below(route: Any) -> BaseRoute:
    moved: BaseRoute = type(route)("/t/{tenant}" + route.path, route.endpoint)
    vars(moved).update({"sees": route.sees} if isinstance(route, Choosy) else {})
    return moved


def mounted(routes: list[BaseRoute]) -> FastAPI:
    inner = Starlette(routes=routes)
    inner.state.is_beta = True
    return in_the_app([Mount("/t/{tenant}", inner)])


def mounted_in_included(routes: list[BaseRoute]) -> FastAPI:
    app, outer = make_app(), APIRouter()
    inner = Starlette(routes=routes)
    inner.state.is_beta = True
    outer.mount("/{tenant}", inner)
    app.include_router(outer, prefix="/t")
    return app


def mounted_twice(routes: list[BaseRoute]) -> FastAPI:
    inner = Starlette(routes=routes)
    inner.state.is_beta = True
    return in_the_app([Host("{host}", Router([Mount("/t", Router([Mount("/{tenant}", inner)]))]))])


RULES = {"GET /t/{tenant}/x": "choosy", "GET /t/{tenant}/{any}": PUBLIC}


@pytest.mark.parametrize("where", [own, mounted, mounted_in_included, mounted_twice])
@pytest.mark.parametrize("sees", SEES.values(), ids=SEES)
def test_route_below_a_mount_sees_what_the_framework_shows_it(
    sees: Sees, where: Callable[[list[BaseRoute]], FastAPI]
) -> None:
    def make() -> FastAPI:
        return where([choosy("/x", "choosy", sees), Route("/{any}", running("public"))])

    for path in ("/t/acme/x", "/t/other/x"):
        assert Guarded(make(), RULES).outcome("GET", path) == expected(make(), RULES, "GET", path)


class Incomparable:
    """Is as little to be compared as an array is."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("of more than one element")

    def __hash__(self) -> int:
        return 0


class Naming:
    """Says more of a connection than there was."""

    def __init__(self, app: ASGIApp, /, **said: Any) -> None:
        self.app, self.said = app, said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, **self.said}, receive, send)


@pytest.mark.parametrize(
    ("sees", "said"),
    [
        (lambda scope: scope.get("user") == "root", {"user": "root"}),
        (lambda scope: scope.get("user") is None, {"user": "root"}),
        (lambda scope: (b"x-v", b"2") in scope["headers"], {"headers": [(b"x-v", b"2")]}),
        (lambda scope: scope["query_string"] == b"v=2", {"query_string": b"v=2"}),
        (lambda scope: scope.get("fastapi_tenant") == "root", {"fastapi_tenant": "root"}),
        (lambda scope: scope.get("starlette.user") == "root", {"starlette.user": "root"}),
        (lambda scope: scope.get("odd") is not None, {"odd": Incomparable()}),
    ],
    ids=["user", "no user", "header", "query", "name like fastapi's", "like starlette's", "odd"],
)
def test_route_that_matches_by_what_middleware_says_has_its_own_rule(
    sees: Sees, said: dict[str, Any]
) -> None:
    """Which of the two runs is known only by then: it is the one that was decided on, or none."""
    inner = Starlette(
        routes=[choosy("/x", "choosy", sees), Route("/{any}", running("public"))],
        middleware=[Middleware(Naming, **said)],
    )
    guarded = Guarded(in_the_app([Mount("/t/{tenant}", inner)]), RULES)
    for scopes in (None, {"other"}, {"choosy"}):
        assert call(guarded.app, "GET", "/t/acme/x", scopes).ran in {None, "public"}


class Writing:
    """Says more in what was there already."""

    def __init__(self, app: ASGIApp, write: Callable[[Scope], object]) -> None:
        self.app, self.write = app, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.write(scope)
        await self.app(scope, receive, send)


@pytest.mark.parametrize(
    ("sees", "write"),
    [
        (lambda scope: (b"x-v", b"2") in scope["headers"], append_field),
        (lambda scope: scope["state"].get("user") == "root", write_state),
    ],
    ids=["headers", "state"],
)
def test_route_that_matches_by_what_middleware_writes_into_a_scope_has_its_own_rule(
    sees: Sees, write: Callable[[Scope], object]
) -> None:
    inner = Starlette(
        routes=[choosy("/x", "choosy", sees), Route("/{any}", running("public"))],
        middleware=[Middleware(Writing, write=write)],
    )
    app = in_the_app([Mount("/t/{tenant}", inner)])
    app.add_middleware(Naming, state={})
    guarded = Guarded(app, RULES)
    for scopes in (None, {"other"}):
        assert call(guarded.app, "GET", "/t/acme/x", scopes).ran in {None, "public"}


def test_value_that_cannot_be_compared_keeps_no_one_out() -> None:
    inner = in_the_app([choosy("/x", "choosy", lambda _: True)])
    app = in_the_app([Mount("/t/{tenant}", inner)])
    for each in (app, inner):
        each.add_middleware(Naming, odd=Incomparable())
    assert Guarded(app, RULES).outcome("GET", "/t/acme/x") == ruled_by("choosy")


@pytest.mark.parametrize("kind", [tuple, iter], ids=["tuple", "iterator"])
def test_headers_that_can_be_read_once_reach_the_route_and_the_decision(kind: Any) -> None:
    app = in_the_app([choosy("/x", "choosy", lambda _: True)])
    guarded = Guarded(app, {"GET /x": "choosy"})

    async def with_headers(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "headers": kind(scope["headers"])}, receive, send)

    guarded.app = with_headers
    assert guarded.outcome("GET", "/x") == ruled_by("choosy")


def test_route_is_asked_for_the_decision_and_by_its_router() -> None:
    asked: list[object] = []

    def counted(scope: Scope) -> bool:
        asked.append(scope["path"])
        return True

    inner = in_the_app([choosy("/x", "choosy", counted)])
    app = in_the_app([Mount("/s", in_the_app([Mount("/t/{tenant}", inner)]))])
    guarded = Guarded(app, {"GET /s/t/{tenant}/x": "choosy"})
    guarded.guard.check(guarded.app)
    assert call(guarded.app, "GET", "/s/t/acme/x", {"choosy"}).ran == "choosy"
    assert asked == ["/s/t/acme/x"] * 2


def test_route_is_asked_anew_when_a_connection_comes_again_with_other_headers() -> None:
    class Again:
        """Passes a connection on, and again in the same scope with one more header."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def unheard(message: Any) -> None: ...

            await self.app(scope, receive, unheard)
            scope["headers"] = [*scope["headers"], (b"x-v", b"2")]
            await self.app(scope, receive, send)

    second = choosy("/x", "second", lambda scope: (b"x-v", b"2") in scope["headers"])
    app = in_the_app([second, Route("/{any}", running("public"))])
    app.add_middleware(Again)
    guarded = Guarded(app, {"GET /x": "second", "GET /{any}": PUBLIC})
    assert call(guarded.app, "GET", "/x").status == 401
    assert call(guarded.app, "GET", "/x", {"second"}).ran == "second"


class Meeting:
    """A verifier that lets no one go on before two are there."""

    def __init__(self) -> None:
        self.barrier = asyncio.Barrier(2)

    async def verify(self, token: str) -> Claims:
        claims: Claims = await make_verifier().verify(token)
        await self.barrier.wait()
        return claims


def test_answers_of_two_connections_with_copies_of_one_scope_are_kept_apart() -> None:
    second = choosy("/x", "second", lambda scope: (b"x-v", b"2") in scope["headers"])
    inner = in_the_app([Route("/y", running("y")), second, Route("/{any}", running("first"))])
    rules = ScopeMap({"GET /x": AUTHENTICATED, "GET /{any}": "first"}, optional=True)
    make_guard(rules, verifier=Meeting()).protect(inner, strict=False)
    said: list[Any] = []

    async def keep(message: Any) -> None:
        said.append(message)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        other = {**scope, "headers": [*scope["headers"], (b"x-v", b"2")]}
        # The second is asked about while the first waits, and is let through first.
        await asyncio.gather(inner(other, receive, keep), inner(dict(scope), receive, send))

    outer = in_the_app([choosy("/y", "y", lambda scope: scope.get("app")), Mount("/m", both)])
    app = Guarded(outer, {"* /m/**": AUTHENTICATED, "GET /y": PUBLIC}).app
    assert call(app, "GET", "/m/x", set()).status == 403
    assert b"ran second" in b"".join(message.get("body", b"") for message in said)


class OwnMount(Mount):
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope)


def patched(mount: Mount) -> Mount:
    own = mount.matches

    def matches(scope: Scope) -> tuple[Match, Scope]:
        return own(scope)

    mount.matches = matches  # type: ignore[method-assign]
    return mount


@pytest.mark.parametrize("path", ["/raw/m/x", "/p/m/x"])
def test_copy_of_a_mount_that_was_asked_matches_at_its_own_path(path: str) -> None:
    """FastAPI copies a mount that it includes, with all that was set on it."""
    router = APIRouter(routes=[OwnMount("/m", Opaque("ran"))])
    app = in_the_app([Mount("/raw", router)])
    guarded = Guarded(app, {"* /raw/m/**": "ran", "* /p/m/**": "ran"})
    assert guarded.outcome("GET", "/raw/m/x") == ruled_by("ran")
    app.include_router(router, prefix="/p")
    assert guarded.outcome("GET", path) == ruled_by("ran")
    assert guarded.outcome("GET", "/m/x") == NOT_FOUND


@pytest.mark.parametrize("is_asked_first", [False, True])
def test_copy_of_a_mount_is_asked_by_what_it_was_patched_with(is_asked_first: bool) -> None:
    def make() -> tuple[FastAPI, APIRouter]:
        router = APIRouter(routes=[patched(Mount("/m", Opaque("public")))])
        return in_the_app([Mount("/raw", router)]), router

    (bare, included), (app, router) = make(), make()
    rules = {"* /raw/m/**": PUBLIC, "* /p/m/**": PUBLIC}
    guarded = Guarded(app, rules)
    if is_asked_first:
        assert guarded.outcome("GET", "/raw/m/x") == OPEN
    bare.include_router(included, prefix="/p")
    app.include_router(router, prefix="/p")
    for path in ("/raw/m/x", "/p/m/x", "/m/x"):
        assert guarded.outcome("GET", path) in {expected(bare, rules, "GET", path), NO_RULE}
    assert guarded.outcome("GET", "/m/x") == expected(bare, {"any": "public"}, "GET", "/m/x")


def test_check_lists_any_method_of_what_matches_in_its_own_way() -> None:
    guarded = Guarded(in_the_app([choosy("/x", "choosy", lambda _: True)]), {"GET /x": "choosy"})
    coverage = guarded.guard.check(guarded.app)
    methods = [each.endpoint.method for each in coverage.endpoints]
    assert (methods, coverage.gaps) == (["*", "GET", "HEAD"], ())
    unruled = Guarded(in_the_app([choosy("/x", "choosy", lambda _: True)]), {})
    problem = unruled.guard.check(unruled.app).problems[0]
    assert problem == "no rule for '* /x'; add one, or map it to PUBLIC"
