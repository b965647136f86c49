"""Attacks by mounts that lead elsewhere at run time: no rule of what was there moves along."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_scopes import PUBLIC, Claims, ScopeGuard, ScopeMap
from tests.apps import make_guard, make_verifier
from tests.perimeter.calling import (
    SPEAKS,
    Guarded,
    Opaque,
    call,
    expected,
    ruled_by,
    running,
)
from tests.perimeter.places import (
    ANYWHERE,
    Where,
    behind_a_host,
    in_the_app,
    included,
    make_app,
    mounted,
    mounted_app,
)

# Under a perimeter.


def inner_routes() -> list[BaseRoute]:
    return [Route("/open", running("public")), Route("/secret", running("secret"))]


class To:
    """Sends who asks for `/go` to another path of the app."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/go"):
            scope = {**scope, "path": self.path}
        await self.app(scope, receive, send)


APPS: dict[str, Callable[[], Any]] = {
    "opaque": lambda: Opaque("files"),
    "app": lambda: Starlette(routes=inner_routes()),
    "FastAPI app": lambda: in_the_app(inner_routes()),
    "router": lambda: Router(inner_routes()),
    "other app": lambda: Starlette(routes=[Route("/other", running("other"))]),
    "nothing": Router,
}
RULES = {
    "MOUNT /m": "files",
    "GET /m/open": PUBLIC,
    "GET /m/secret": "secret",
    "GET /m/other": "other",
    "GET /door/x": PUBLIC,
}
PATHS = ("/m/open", "/m/secret", "/m/other", "/m/nothing")

Listing = Callable[[Any, Starlette], object]
"""What happens to an app before its mount moves: most of it makes a list of what there is."""


def by_nothing(app: Any, door: Starlette) -> None: ...


def by_a_request(app: Any, door: Starlette) -> None:
    call(app, "GET", "/m/open")


def by_a_call_of_copied_routes(app: Any, door: Starlette) -> None:
    call(Starlette(routes=app.routes), "GET", "/m/open")


def by_a_call_of_another_mounted_app(app: Any, door: Starlette) -> None:
    call(app, "GET", "/m/open")
    call(door, "GET", "/x")


LISTINGS = [by_nothing, by_a_request, by_a_call_of_copied_routes, by_a_call_of_another_mounted_app]
PLACED = [(in_the_app, listing) for listing in LISTINGS] + [
    (where, by_a_call_of_another_mounted_app) for where in ANYWHERE if where is not in_the_app
]


def scene(where: Where, app: ASGIApp) -> tuple[Any, Mount, Starlette]:
    """Return an app with *app* mounted *where*, its mount, and an app that is mounted as well."""
    mount, door = Mount("/m", app), Starlette(routes=[Route("/x", running("public"))])
    return where([mount, Mount("/door", door)]), mount, door


@pytest.mark.parametrize(("where", "listing"), PLACED)
@pytest.mark.parametrize("after", APPS)
@pytest.mark.parametrize("before", APPS)
def test_mount_that_leads_elsewhere_is_ruled_by_where_it_leads_now(
    before: str, after: str, where: Where, listing: Listing
) -> None:
    """Once, and again when it leads back."""
    old, twin_of_old = APPS[before](), APPS[before]()
    app, mount, door = scene(where, old)
    guarded = Guarded(app, RULES)
    twin, other, _ = scene(where, twin_of_old)
    listing(guarded.app, door)
    for moved, twin_of_moved in ((APPS[after](), APPS[after]()), (old, twin_of_old)):
        mount.app, other.app = moved, twin_of_moved
        for path in PATHS:
            outcome = guarded.outcome("GET", path)
            # Of a mount that it includes, FastAPI has a copy, and makes another when it likes.
            assert where is included or outcome == expected(twin, RULES, "GET", path)


@pytest.mark.parametrize(("where", "listing"), PLACED)
@pytest.mark.parametrize("before", ["opaque", "app"])
def test_middleware_of_an_app_that_comes_later_leads_no_one_to_another_route(
    before: str, where: Where, listing: Listing
) -> None:
    app, mount, door = scene(where, APPS[before]())
    rules = RULES | {"MOUNT /m": PUBLIC, "GET /m/go": PUBLIC}
    guarded = Guarded(app, rules)
    listing(guarded.app, door)
    to_secret = [Middleware(To, path="/m/secret")]
    mount.app = Starlette(routes=[*inner_routes(), Route("/go", running("public"))])
    mount.app.user_middleware = to_secret
    for scopes in (None, {"files"}):
        assert call(guarded.app, "GET", "/m/go", scopes).ran in {None, "public", "files"}
        assert call(guarded.app, "GET", "/m/secret", scopes).ran != "secret"


@pytest.mark.parametrize("listing", LISTINGS)
def test_app_that_comes_later_is_ruled_when_it_is_called_by_itself(listing: Listing) -> None:
    app, mount, door = scene(in_the_app, Opaque("files"))
    guarded = Guarded(app, RULES | {"MOUNT /m": PUBLIC})
    listing(guarded.app, door)
    later = mount.app = Starlette(routes=inner_routes())
    assert guarded.outcome("GET", "/m/secret") == ruled_by("secret")
    assert call(later, "GET", "/secret").status == 401
    assert call(later, "GET", "/secret", {"other"}).status == 403
    assert call(later, "GET", "/secret", {"secret"}).ran == "secret"


# While a request is on its way.


class Again:
    """Asks the app again, elsewhere, where its answer says so."""

    def __init__(self, app: ASGIApp, *, elsewhere: Callable[[Message, str], str | None]) -> None:
        self.app = app
        self.elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self.app(dict(scope), receive, keep)
        path = self.elsewhere(kept[0], scope["path"])
        if path is None:
            for message in kept:
                await send(message)
        else:
            await self.app({**scope, "path": path}, receive, send)


def where_it_points(message: Message, path: str) -> str | None:
    to: bytes | None = dict(message["headers"]).get(b"x-accel-redirect")
    return to.decode() if to is not None else None


def in_lower_case(message: Message, path: str) -> str | None:
    return path.lower() if message["status"] == 404 and path != path.lower() else None


def moving_app(elsewhere: Any, moving: Callable[[], None]) -> Starlette:
    async def seen(request: Request) -> Response:
        moving()
        return Response(headers={"x-accel-redirect": "/m/secret"})

    async def missing(request: Request, error: Exception) -> Response:
        moving()
        return PlainTextResponse("nothing", 404)

    return Starlette(
        routes=[Route("/seen", seen), Route("/secret", running("secret"))],
        middleware=[Middleware(Again, elsewhere=elsewhere)],
        exception_handlers={404: missing},
    )


MOVED_TO: dict[str, Callable[[], Any]] = {
    "nowhere": lambda: None,
    "an app": lambda: Starlette(routes=inner_routes()),
    "an opaque app": lambda: Opaque("files"),
    "no route": Router,
}


@pytest.mark.parametrize("how", ["mount.app", "another mount", "no mount"])
@pytest.mark.parametrize("to", MOVED_TO.values(), ids=MOVED_TO)
@pytest.mark.parametrize(
    ("elsewhere", "path"),
    [
        pytest.param(where_it_points, "/m/seen", id="internal redirect"),
        pytest.param(in_lower_case, "/m/SECRET", id="retry"),
    ],
)
def test_app_that_moves_meanwhile_takes_no_verdict_along(
    elsewhere: Any, path: str, to: Callable[[], Any], how: str
) -> None:
    def moving() -> None:
        later = to()
        if later is None:
            return
        if how == "mount.app":
            mount.app = later
        else:
            app.router.routes[:] = [Mount("/m", later)] if how == "another mount" else []

    mount = Mount("/m", moving_app(elsewhere, moving))
    app = in_the_app([mount])
    rules = {"GET /m/seen": PUBLIC, "GET /m/secret": "secret", "GET /m/**": PUBLIC}
    guarded = Guarded(app, rules)
    assert call(guarded.app, "GET", path).ran is None
    for scopes in (None, {"other"}):
        assert call(guarded.app, "GET", path, scopes).ran != "secret"


class Moving:
    """A verifier that takes its time, in which a mount moves."""

    def __init__(self, moving: Callable[[], None]) -> None:
        self.moving = moving

    async def verify(self, token: str) -> Claims:
        claims: Claims = await make_verifier().verify(token)
        self.moving()
        return claims


@pytest.mark.parametrize("when", ["while the token is verified", "while the caller is made known"])
@pytest.mark.parametrize(
    ("before", "after"),
    # One rule is for all opaque apps of a mount.
    [each for each in product(("opaque", "app", "router"), repeat=2) if set(each) != {"opaque"}],
)
@pytest.mark.parametrize("where", [in_the_app, mounted, mounted_app, behind_a_host])
def test_mount_that_moves_while_it_is_decided_on_opens_nothing(
    where: Where, before: str, after: str, when: str
) -> None:
    def moving() -> None:
        mount.app = APPS[after]()

    app, mount, _ = scene(where, APPS[before]())
    rules = {"MOUNT /m": "x", "GET /m/open": "x", "GET /m/secret": "x", "GET /door/x": PUBLIC}
    is_verifying = when == "while the token is verified"
    options = {"verifier": Moving(moving)} if is_verifying else {"bind": lambda *_: moving()}
    guarded = Guarded(app, rules, **options)
    answer = call(guarded.app, "GET", "/m/secret", {"x"})
    assert (answer.ran, answer.status in {401, 403, 404}) == (None, True)


@pytest.mark.parametrize("after", ["app", "router"])
@pytest.mark.parametrize("kind", [Mount, Host])
def test_mount_that_moves_while_a_call_by_another_way_is_decided_on_opens_nothing(
    kind: Any, after: str
) -> None:
    def moving() -> None:
        mount.app = APPS[after]()

    mount = kind("/m" if kind is Mount else "{host}", APPS["opaque"]())
    app, other = in_the_app([mount]), in_the_app([mount])
    make_guard({"* /**": "x"}, verifier=Moving(moving)).protect(app)
    path = "/m/secret" if kind is Mount else "/secret"
    answer = call(other, "GET", path, {"x"})
    assert (answer.ran, answer.status) == (None, 404)


# Where the guard is a dependency.


def leaf(guard: ScopeGuard[Any]) -> APIRouter:
    async def endpoint() -> Response:
        return PlainTextResponse(SPEAKS + "x")

    router = APIRouter(dependencies=[Depends(guard)])
    router.add_api_route("/x", endpoint)
    return router


Move = Callable[[APIRouter], tuple[FastAPI, Callable[[], None]]]
"""Puts a router below `/open`; what it returns besides puts it below `/admin` instead."""


def _mounts(inner: APIRouter, *attributes: str) -> tuple[FastAPI, Callable[[], None]]:
    app, empty = make_app(), APIRouter()
    at_open, at_admin = Mount("/open", inner), Mount("/admin", empty)
    app.router.routes += [at_admin, at_open]

    def move() -> None:
        for name in attributes:
            setattr(at_admin, name, inner)
            setattr(at_open, name, empty)

    return app, move


def _wrapped_mounts(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, empty = make_app(), APIRouter()
    wrap = [Middleware(To, path="/nowhere")]
    at_open = Mount("/open", inner, middleware=wrap)
    at_admin = Mount("/admin", empty, middleware=wrap)
    app.router.routes += [at_admin, at_open]

    def move() -> None:
        at_open.app, at_admin.app = at_admin.app, at_open.app

    return app, move


def _list_of_the_app(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app = make_app()
    app.router.routes.append(Mount("/open", inner))

    def move() -> None:
        app.router.routes[-1] = Mount("/admin", inner)

    return app, move


def _list_of_a_mounted_router(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, between = make_app(), Router([Mount("/open", inner)])
    app.router.routes.append(Mount("", between))

    def move() -> None:
        between.routes[0] = Mount("/admin", inner)

    return app, move


def _list_of_an_included_router(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, between = make_app(), APIRouter(routes=[Mount("/open", inner)])
    app.include_router(between)

    def move() -> None:
        between.routes[:] = [Mount("/admin", inner)]
        between._mark_routes_changed()

    return app, move


def _outer_mount(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, between = make_app(), Router([Mount("", inner)])
    at_open, at_admin = Mount("/open", between), Mount("/admin", Router())
    app.router.routes += [at_admin, at_open]

    def move() -> None:
        at_open.app, at_admin.app = at_admin.app, at_open.app

    return app, move


def _inclusion(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app = make_app()
    app.include_router(inner, prefix="/open")

    def move() -> None:
        app.router.routes.clear()
        app.include_router(inner, prefix="/admin")

    return app, move


def _inner_inclusion(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, between = make_app(), APIRouter()
    between.include_router(inner, prefix="/open")
    app.include_router(between)

    def move() -> None:
        between.routes.clear()
        between.include_router(inner, prefix="/admin")

    return app, move


def _inclusion_with_a_mount(inner: APIRouter) -> tuple[FastAPI, Callable[[], None]]:
    app, between = make_app(), APIRouter(routes=[Mount("", inner)])
    app.include_router(between, prefix="/open")

    def move() -> None:
        app.router.routes.clear()
        app.include_router(between, prefix="/admin")

    return app, move


MOVES: dict[str, Move] = {
    "app of a mount": lambda inner: _mounts(inner, "app"),
    "base app of a mount too": lambda inner: _mounts(inner, "app", "_base_app"),
    "app of a wrapped mount": _wrapped_mounts,
    "app of a mount outside": _outer_mount,
    "list of the app": _list_of_the_app,
    "list of a mounted router": _list_of_a_mounted_router,
    "list of an included router": _list_of_an_included_router,
    "inclusion": _inclusion,
    "inclusion in an included router": _inner_inclusion,
    "inclusion of a mount": _inclusion_with_a_mount,
}


Nest = Callable[[APIRouter], APIRouter]
NESTS: dict[str, Nest] = {
    "as it is": lambda inner: inner,
    "mounted in another": lambda inner: APIRouter(routes=[Mount("", inner)]),
    "mounted in two": lambda inner: APIRouter(routes=[Mount("", Router([Mount("", inner)]))]),
}


@pytest.mark.parametrize("is_asked_before", [True, False], ids=["served before", "at first"])
@pytest.mark.parametrize("is_mounted", [False, True], ids=["", "in another app"])
@pytest.mark.parametrize("nest", NESTS.values(), ids=NESTS)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_dependency_in_what_moves_asks_for_what_it_is_now(
    move: Move, nest: Nest, is_mounted: bool, is_asked_before: bool
) -> None:
    guard = make_guard(ScopeMap({"GET /open/x": PUBLIC, "GET /admin/x": "admin"}, optional=True))
    app, moving = move(nest(leaf(guard)))
    outer = in_the_app([Mount("/out", app)]) if is_mounted else app
    prefix = "/out" if is_mounted else ""
    if is_asked_before:
        assert call(outer, "GET", f"{prefix}/open/x").ran == "x"
    moving()
    for _ in range(2):
        assert call(outer, "GET", f"{prefix}/admin/x").status == 401
        assert call(outer, "GET", f"{prefix}/admin/x", {"other"}).status == 403
        assert call(outer, "GET", f"{prefix}/admin/x", {"admin"}).ran == "x"
        assert call(outer, "GET", f"{prefix}/open/x", {"admin"}).status == 404


def test_mount_that_leads_to_an_app_in_one_inclusion_and_elsewhere_in_the_next() -> None:
    """FastAPI has made a copy for the first, and makes another of what is there by then."""
    router, app = APIRouter(), FastAPI(openapi_url=None)
    mount = Mount("/m", Opaque("opaque"))
    router.routes.append(mount)
    app.include_router(router, prefix="/a")
    rules = {"* /a/m/**": "a", "GET /b/m/x": "b"}
    make_guard(ScopeMap(rules, optional=True)).protect(app, strict=False)
    assert call(app, "GET", "/a/m/x", {"a"}).ran == "opaque"
    mount.app = Router([Route("/x", running("x"))])
    outer = APIRouter()
    outer.routes.append(mount)
    app.include_router(outer, prefix="/b")
    assert call(app, "GET", "/b/m/x", {"a"}).status == 403
    assert call(app, "GET", "/b/m/x", {"b"}).ran == "x"
    assert call(app, "GET", "/a/m/x", {"b"}).status == 403
    assert call(app, "GET", "/a/m/x", {"a"}).ran == "opaque"
