"""Attacks by routers whose routes change where no one is told of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route, Router

from fastapi_scopes import PUBLIC, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard
from tests.perimeter.calling import (
    OPEN,
    Guarded,
    call,
    ruled_by,
    running,
)
from tests.perimeter.places import PLACES, Place, api_router, make_app, plain_router

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


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_list_held_from_before_opens_nothing(place: Callable[[], Place]) -> None:
    at = place()
    held = at.router.routes
    rules = {f"GET {at.prefix}/{{name}}": PUBLIC, f"GET {at.prefix}/secret": "secret"}
    guarded = Guarded(at.app, rules)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path, host=at.host) == OPEN
    held.insert(0, secret())
    assert_secret_is_kept(guarded, path, host=at.host)
    at.router.routes = held
    if isinstance(at.router, APIRouter):
        at.router.add_api_route("/again", running("again"))
    assert guarded.outcome("GET", path, host=at.host) == ruled_by("secret")
    held.clear()
    held.append(secret())
    assert_secret_is_kept(guarded, path, host=at.host)


UNNOTICED: dict[str, Callable[[Router], Any]] = {
    "list.insert": lambda router: list.insert(router.routes, 0, secret()),
    "vars": lambda router: vars(router).update(routes=[secret(), *router.routes]),
    "object.__setattr__": lambda router: object.__setattr__(
        router, "routes", [secret(), *router.routes]
    ),
}


@pytest.mark.parametrize("change", UNNOTICED.values(), ids=UNNOTICED)
@pytest.mark.parametrize("place", ["of the app", "mounted Router", "mounted APIRouter"])
def test_change_behind_the_back_of_the_list_is_decided_by_the_new_routes(
    place: str, change: Callable[[Router], Any]
) -> None:
    at = PLACES[place]()
    guarded = Guarded(at.app, RULES)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path) == OPEN
    change(at.router)
    assert_secret_is_kept(guarded, path)
    at.router.routes.insert(0, secret())
    assert_secret_is_kept(guarded, path)


def test_router_that_is_included_no_more_but_still_served_is_read_again() -> None:
    """FastAPI adds up the versions of nested routers: one change can make up for another."""
    app, outer, router = make_app(), APIRouter(), api_router()
    router._mark_routes_changed()
    outer.include_router(router)
    app.include_router(outer)
    guarded = Guarded(app, RULES)
    assert guarded.outcome("GET", "/secret") == OPEN
    version = outer._get_routes_version()
    outer.routes.pop()
    outer.add_api_route("/more", running("more"))
    outer._routes_version += version - outer._get_routes_version()
    assert outer._get_routes_version() == version
    assert guarded.outcome("GET", "/secret") == OPEN
    router.routes = []
    assert guarded.outcome("GET", "/secret") == OPEN
    router.add_api_route("/secret", running("secret"))
    assert guarded.outcome("GET", "/secret") == ruled_by("secret")


def test_inclusion_whose_versions_add_up_to_what_they_were_is_ruled_elsewhere_too() -> None:
    shared, gone, other = APIRouter(routes=[secret()]), APIRouter(), make_app()
    for path in ("/a", "/b"):
        gone.add_api_route(path, running("gone"))
    shared.include_router(gone, prefix="/gone")
    other.include_router(shared)
    assert call(other, "GET", "/secret").ran == "secret"
    # Two changes less for FastAPI, and as many more as it takes to protect an app.
    shared.routes.pop()
    app = make_app()
    app.include_router(shared)
    Guarded(app, RULES)
    assert call(other, "GET", "/secret").status == 401


@pytest.mark.parametrize("is_mounted", [True, False], ids=["mounted", "included"])
def test_two_apps_with_one_router_are_both_told(is_mounted: bool) -> None:
    apps, router = (make_app(), make_app()), api_router()
    for app in apps:
        if is_mounted:
            app.mount("/m", router)
        else:
            app.include_router(router, prefix="/m")
    first, second = Guarded(apps[0], RULES), Guarded(apps[1], RULES | {"GET /m/secret": "other"})
    assert [each.outcome("GET", "/m/secret") for each in (first, second)] == [OPEN, OPEN]
    router.routes.insert(0, APIRoute("/secret", running("secret")))
    router.add_api_route("/again", running("again"))
    assert first.outcome("GET", "/m/secret") == ruled_by("secret")
    # Opened there by another scope than it is named by.
    assert call(second.app, "GET", "/m/secret", {"secret"}).status == 403
    assert call(second.app, "GET", "/m/secret", {"other"}).ran == "secret"


def test_router_mounted_twice_has_late_routes_by_the_rule_of_each_place() -> None:
    app, router = make_app(), plain_router()
    for path in ("/m", "/n"):
        app.mount(path, router)
    guarded = Guarded(app, RULES | {"GET /n/{name}": PUBLIC, "GET /n/secret": PUBLIC})
    assert guarded.outcome("GET", "/m/secret") == OPEN
    router.routes.insert(0, secret())
    assert guarded.outcome("GET", "/m/secret") == ruled_by("secret")
    assert call(guarded.app, "GET", "/n/secret").ran == "secret"


@pytest.mark.parametrize("is_swapped", [False, True], ids=["one more", "in place of another"])
def test_router_mounted_again_at_a_longer_path_with_the_same_end_takes_no_rule_along(
    is_swapped: bool,
) -> None:
    """By a dependency alone, in an app that is mounted itself: no path tells the two apart."""
    guard = make_guard({"GET /m/b/r": PUBLIC, "GET /m/c/m/b/r": "secret"})
    outer, inner, between, router = make_app(), make_app(), APIRouter(), APIRouter()
    router.add_api_route("/r", running("public"), dependencies=[Depends(guard)])
    between.mount("/b", router)
    inner.mount("/m", between)
    outer.mount("/o", inner)
    assert call(outer, "GET", "/o/m/b/r").ran == "public"
    if is_swapped:
        between.routes.clear()
    between.mount("/c/m/b", router)
    assert call(outer, "GET", "/o/m/c/m/b/r").status == 401
    if is_swapped:
        assert call(outer, "GET", "/o/m/c/m/b/r", {"secret"}).ran == "public"


class Unwatchable(APIRouter):
    """Wants a word from its subclasses, so that none can be made in passing."""

    def __init_subclass__(cls, *, word: str) -> None: ...


Put = Callable[[FastAPI, APIRouter], object]
PUTS: dict[str, Put] = {
    "mounted": lambda app, router: app.mount("/u", router),
    "included": lambda app, router: app.include_router(router, prefix="/u"),
}


def behind_a_mount(put: Put) -> tuple[FastAPI, FastAPI, APIRouter, APIRouter]:
    """Return an app in another one, and in it a router that is not watched, and one that is."""
    guard = make_guard(ScopeMap({f"GET {path}": PUBLIC for path in UNTOLD}, optional=True))
    outer, inner, untold, told = make_app(), make_app(), Unwatchable(), APIRouter()
    for router in (inner, untold, told):
        router.add_api_route("/r", running("public"), dependencies=[Depends(guard)])
    inner.mount("/w", told)
    put(inner, untold)
    outer.mount("/o", inner)
    return outer, inner, untold, told


UNTOLD = ("/r", "/u/r", "/w/r")


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
def test_router_that_moves_into_one_that_does_not_tell_takes_no_rule_along(put: Put) -> None:
    """Nobody is told of the move, and by its end the new path is the old one."""
    outer, inner, untold, told = behind_a_mount(put)
    for path in ("/o/w/r", "/o/u/r"):
        call(outer, "GET", path)
    untold.mount("/w", told)
    # FastAPI itself looks at what it includes by a count of its own.
    untold.add_api_route("/again", running("again"))
    assert call(outer, "GET", "/o/u/w/r").status == 401
    assert call(inner, "GET", "/u/w/r").status == 401


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
def test_router_that_does_not_tell_shuts_what_is_mounted_where_the_app_is_mounted_alone(
    put: Put,
) -> None:
    outer, inner, _, _ = behind_a_mount(put)
    for _ in range(2):
        assert [call(inner, "GET", path).ran for path in UNTOLD] == ["public"] * 3
        statuses = [call(outer, "GET", f"/o{path}").status for path in UNTOLD]
        assert statuses == [200, 401 if put is PUTS["mounted"] else 200, 401]


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
def test_router_that_does_not_tell_is_a_notice_of_check(put: Put) -> None:
    outer, inner, _, _ = behind_a_mount(put)
    guard = make_guard(ScopeMap({f"GET {path}": PUBLIC for path in UNTOLD}, optional=True))
    for app in (outer, inner):
        (notice,) = guard.check(app).notices
        assert "'Unwatchable'" in notice
    plain = make_app()
    plain.mount("/w", APIRouter())
    assert guard.check(plain).notices == ()
    untold = make_app()
    untold.include_router(Unwatchable(), prefix="/u")
    # Where nothing is mounted, every route is where the app is.
    assert guard.check(untold).notices == ()


class Dynamic(Router):
    """Makes its routes anew each time it is asked for them."""

    served: list[BaseRoute]

    @property
    def routes(self) -> list[BaseRoute]:
        return list(self.served)

    @routes.setter
    def routes(self, routes: list[BaseRoute]) -> None:
        self.served = list(routes)


class Growing(list[BaseRoute]):
    """Shows more than it holds."""

    more: list[BaseRoute]

    def __iter__(self) -> Iterator[BaseRoute]:
        yield from self.more
        yield from super().__iter__()


def put_in(app: FastAPI, router: Router, place: str) -> str:
    """Put *router* into *app*; return its prefix."""
    if place == "of the app":
        app.router = router  # type: ignore[assignment]
        return ""
    if place == "included":
        assert isinstance(router, APIRouter)
        app.include_router(router, prefix="/m")
    else:
        app.mount("/m", router)
    return "/m"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Unwatchable, "of the app"),
        (Unwatchable, "included"),
        (Unwatchable, "mounted"),
        (Dynamic, "of the app"),
        (Dynamic, "mounted"),
    ],
)
def test_router_that_does_not_tell_of_its_routes_opens_nothing(
    kind: type[Router], place: str
) -> None:
    """Refused when it is protected, or ruled as one endpoint, or decided anew each time."""
    app = make_app()
    router = kind(routes=[APIRoute("/{name}", running("public"))])
    prefix = put_in(app, router, place)
    try:
        guarded = Guarded(app, RULES)
    except ConfigurationError:
        return
    call(guarded.app, "GET", f"{prefix}/secret")
    if isinstance(router, Dynamic):
        router.served.insert(0, secret())
    else:
        assert isinstance(router, APIRouter)
        router.routes.insert(0, APIRoute("/secret", running("secret")))
        router.add_api_route("/again", running("again"))
    assert_secret_is_kept(guarded, f"{prefix}/secret")


@pytest.mark.parametrize("place", ["of the app", "mounted Router"])
def test_list_that_shows_more_than_it_holds_opens_nothing(place: str) -> None:
    at = PLACES[place]()
    growing = Growing(at.router.routes)
    growing.more = []
    at.router.routes = growing
    guarded = Guarded(at.app, RULES)
    path = f"{at.prefix}/secret"
    assert guarded.outcome("GET", path) == OPEN
    growing.more.append(secret())
    assert_secret_is_kept(guarded, path)
