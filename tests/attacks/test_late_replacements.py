"""Attacks by what takes the place of a router, a mounted app or a route while the app serves."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    WRONG_METHOD,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
)
from tests.perimeter.places import PLACES, make_app, plain_router

RULES = {
    "GET /{name}": PUBLIC,
    "GET /secret": "secret",
    "GET /m/{name}": PUBLIC,
    "GET /m/secret": "secret",
}


def secret(path: str = "/secret") -> Route:
    return Route(path, running("secret"))


def assert_secret_is_kept(guarded: Guarded, path: str, **options: Any) -> None:
    """Nothing of the secret endpoint comes back to who has not its scope."""
    for scopes in (None, guarded.scopes - {"secret"}):
        assert call(guarded.app, "GET", path, scopes, **options).ran != "secret"


class Wrapper:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Hidden:
    def __init__(self, app: Any) -> None:
        self._hidden = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._hidden(scope, receive, send)


def sub_app() -> FastAPI:
    app = make_app()
    app.router.routes.append(secret())
    return app


SEEN, HIDDEN = frozenset({ruled_by("secret")}), frozenset({NO_RULE})
# What a mount leads to instead; ruled by its own template then, or by that of all below the mount.
INSTEAD: dict[str, tuple[Callable[[], Any], frozenset[str]]] = {
    "a router": (lambda: Router([secret()]), SEEN),
    "an app": (sub_app, SEEN),
    "a wrapped router": (lambda: Wrapper(Router([secret()])), SEEN | HIDDEN),
    "a hidden router": (lambda: Hidden(Router([secret()])), HIDDEN),
    "an opaque app": (lambda: Opaque("secret"), HIDDEN),
}


@pytest.mark.parametrize(("make", "outcomes"), INSTEAD.values(), ids=INSTEAD)
@pytest.mark.parametrize("outer", ["app", "included", "mounted", "host"])
def test_app_of_a_mount_that_is_replaced_is_decided_by_what_is_there_now(
    outer: str, make: Callable[[], Any], outcomes: frozenset[str]
) -> None:
    app = make_app()
    mount = Mount("/m", plain_router()) if outer != "host" else Host("testserver", plain_router())
    if outer == "included":
        included = APIRouter(routes=[mount])
        app.include_router(included)
    else:
        app.router.routes.append(Mount("", Router([mount])) if outer == "mounted" else mount)
    path = "/secret" if outer == "host" else "/m/secret"
    guarded = Guarded(app, RULES)
    assert guarded.outcome("GET", path) == OPEN
    mount.app = make()
    if outer == "included":
        included.add_api_route("/again", running("again"))
    assert guarded.outcome("GET", path) in outcomes


def test_method_that_is_added_to_a_route_has_its_own_rule() -> None:
    at = PLACES["of the app"]()
    route = Route("/x", running("public"))
    at.router.routes[:] = [route]
    guarded = Guarded(at.app, {"GET /x": PUBLIC})
    assert route.methods is not None
    assert guarded.outcome("DELETE", "/x") == WRONG_METHOD
    route.methods.add("DELETE")
    assert call(guarded.app, "DELETE", "/x").status == 401


@pytest.mark.parametrize("has_served", [True, False], ids=["served before", "new"])
@pytest.mark.parametrize("is_rebuilt", [True, False], ids=["rebuilt", "not rebuilt"])
@pytest.mark.parametrize("is_mounted", [True, False], ids=["of a mounted app", "of the app"])
def test_another_router_of_an_app_opens_nothing(
    is_mounted: bool, is_rebuilt: bool, has_served: bool
) -> None:
    at = PLACES["of a mounted app" if is_mounted else "of the app"]()
    guarded = Guarded(at.app, RULES)
    path = f"{at.prefix}/secret"
    if has_served:
        assert guarded.outcome("GET", path) == OPEN
    app: Any = at.app.router.routes[0].app if is_mounted else at.app  # type: ignore[attr-defined]
    app.router = APIRouter(routes=[secret()])
    if is_rebuilt:
        app.middleware_stack = app.build_middleware_stack()
    assert_secret_is_kept(guarded, path)


def test_default_that_comes_late_is_ruled_as_all_that_is_below() -> None:
    at = PLACES["mounted Router"]()
    guarded = Guarded(at.app, RULES | {"GET /m/**": "late", "GET /m/x/y": "secret"})
    assert guarded.outcome("GET", "/m/x/y") == NOT_FOUND
    at.router.default = Opaque("late")
    assert guarded.outcome("GET", "/m/x/y") == ruled_by("late")
    at.router.default = Router([secret("/x/y")])
    assert guarded.outcome("GET", "/m/x/y") == ruled_by("secret")


def test_app_that_served_by_another_router_before_it_was_protected_serves_by_its_own() -> None:
    app = FastAPI(openapi_url=None)
    app.router.routes.append(Route("/admin", running("old")))
    assert call(app, "GET", "/admin").ran == "old"
    app.router = APIRouter(routes=[Route("/admin", running("new"))])
    guarded = Guarded(app, {"GET /admin": "new"})
    assert guarded.outcome("GET", "/admin") == ruled_by("new")


def hidden_by_a_closure(app: Any) -> Any:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return run


def app_that_served_and_shows_nothing(now: str) -> FastAPI:
    """Serves by a router with `/secret` still, and has another one."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(hidden_by_a_closure)  # type: ignore[arg-type]
    app.router.routes.append(secret())
    assert call(app, "GET", "/secret").ran == "secret"
    app.router = APIRouter(routes=[Route(now, running("new"))])
    return app


def test_app_whose_middleware_hides_by_which_router_it_serves_serves_by_its_own() -> None:
    guarded = Guarded(app_that_served_and_shows_nothing("/new"), {"GET /new": "new"})
    assert guarded.outcome("GET", "/secret") == NOT_FOUND
    assert guarded.outcome("GET", "/new") == ruled_by("new")


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "late"])
def test_mounted_app_whose_middleware_hides_by_which_router_it_serves_serves_by_its_own(
    is_late: bool,
) -> None:
    inner, app = app_that_served_and_shows_nothing("/{name}"), make_app()
    if not is_late:
        app.mount("/m", inner)
    guarded = Guarded(app, {"GET /m/{name}": "new"})
    if is_late:
        app.mount("/m", inner)
    assert guarded.outcome("GET", "/m/secret") == ruled_by("new")


class Twice:
    """Passes what is asked of `/m/public` on, and then asks for `/m/secret`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def drop(_: Any) -> None: ...

        if scope["type"] == "http" and scope["path"] == "/m/public":
            await self.app(scope, receive, drop)
            scope = {**scope, "path": "/m/secret"}
        await self.app(scope, receive, send)


def test_router_by_which_an_app_still_serves_is_ruled_though_the_app_has_another() -> None:
    inner, app = make_app(), make_app()
    inner.add_middleware(Twice)
    inner.router.routes += [Route("/public", running("public")), secret()]
    app.mount("/m", inner)
    guarded = Guarded(app, {"GET /m/public": PUBLIC, "GET /m/secret": "secret"})
    assert call(guarded.app, "GET", "/m/public").status == 401
    app.router = APIRouter()
    assert call(guarded.app, "GET", "/m/public").status == 401
    assert call(inner, "GET", "/secret").status == 401
    app.middleware_stack = None
    assert guarded.outcome("GET", "/m/secret") == NOT_FOUND
    # What no app that is protected leads to is not ruled.
    assert call(inner, "GET", "/secret").ran == "secret"


def test_mount_that_is_given_code_of_its_own_while_it_serves_runs_nothing() -> None:
    app = make_app()
    app.mount("/m", plain_router())
    guarded = Guarded(app, RULES)
    assert guarded.outcome("GET", "/m/open") == OPEN
    app.router.routes[-1].handle = Opaque("secret")  # type: ignore[method-assign]
    assert_secret_is_kept(guarded, "/m/open")


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "while it serves"])
@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_mounted_app_that_serves_by_another_router_than_its_own_is_one_endpoint(
    kind: Any, is_late: bool
) -> None:
    inner = kind(routes=[secret("/secret")])
    app = FastAPI(openapi_url=None)
    app.mount("/m", inner)
    if is_late:
        guarded = Guarded(app, RULES)
        assert guarded.outcome("GET", "/m/secret") == ruled_by("secret")
    else:
        assert call(inner, "GET", "/secret").ran == "secret"
    inner.router = Router([Route("/{name}", running("public"))])
    guarded = guarded if is_late else Guarded(app, RULES)
    assert_secret_is_kept(guarded, "/m/secret")
    assert guarded.outcome("GET", "/m/other") == NO_RULE
