"""Attacks by routes that change between a verdict and what then runs.

What was decided on may run, or nothing; never what came meanwhile.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, Claims
from tests.apps import make_verifier
from tests.perimeter.calling import Answer, Guarded, Opaque, call, ruled_by, running
from tests.perimeter.places import PLACES, Place, make_app
from tests.perimeter.rewriting import BaseRewriter, Rewriter, copying

Change = Callable[[Router], Any]


class Meddling:
    """A verifier while which, once or each time, something in the app changes."""

    def __init__(self, *changes: Callable[[], Any]) -> None:
        self._verifier = make_verifier()
        self.changes = list(changes)

    async def verify(self, token: str) -> Claims:
        if self.changes:
            self.changes.pop(0)()
        claims: Claims = await self._verifier.verify(token)
        return claims


def secret(path: str = "/secret") -> Route:
    return Route(path, running("secret"))


def with_version(router: Router, change: Callable[[Router], Any]) -> Callable[[], Any]:
    """Return *change* of *router* such that FastAPI reads it again where it is included."""

    def changed() -> None:
        change(router)
        if isinstance(router, APIRouter):
            router.add_api_route("/again", running("again"))

    return changed


# Anybody with a token may see what is at `/{name}`; only who has its scope, the secret.
def rules_at(prefix: str) -> dict[str, Any]:
    return {f"GET {prefix}/{{name}}": AUTHENTICATED, f"GET {prefix}/secret": "secret"}


def in_turn(*changes: Change) -> Change:
    return lambda router: [change(router) for change in changes]


def rebind(*routes: BaseRoute) -> Change:
    """Return the change by which a router gets another list: *routes*, then its own."""

    def change(router: Router) -> None:
        router.routes = [*routes, *router.routes]

    return change


def replace_default(default: Any) -> Change:
    """Return the change by which a router has no route any more, but *default*."""

    def change(router: Router) -> None:
        router.routes = []
        router.default = default

    return change


def insert(router: Router) -> None:
    router.routes.insert(0, secret())


CHANGES: dict[str, Change] = {
    "insert": insert,
    "another list": rebind(secret()),
    "another list, twice": in_turn(rebind(), rebind(secret())),
    "another list, then insert": in_turn(rebind(), insert),
    "replaced in place": lambda router: router.routes.__setitem__(0, secret()),
}


def assert_decided(answer: Answer, decided: str | None = None) -> None:
    """Assert that *decided* ran, or nothing."""
    assert answer.ran in {None, decided}
    assert answer.status == 200 if answer.ran is not None else answer.status in {401, 403, 404}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_verdict_on_routes_that_changed_meanwhile_lets_no_one_in(
    place: Callable[[], Place], change: Callable[[Router], Any]
) -> None:
    at = place()
    verifier = Meddling(with_version(at.router, change))
    guarded = Guarded(at.app, rules_at(at.prefix), verifier=verifier)
    path = f"{at.prefix}/secret"
    assert_decided(call(guarded.app, "GET", path, {"none"}, host=at.host), "public")
    assert guarded.outcome("GET", path, host=at.host) == ruled_by("secret")


def test_new_route_is_for_who_comes_next() -> None:
    at = PLACES["included"]()
    verifier = Meddling(with_version(at.router, CHANGES["insert"]))
    guarded = Guarded(at.app, rules_at(at.prefix), verifier=verifier)
    assert_decided(call(guarded.app, "GET", "/a/secret", {"secret"}), "public")
    assert call(guarded.app, "GET", "/a/secret", {"secret"}).ran == "secret"


def meddled(make: Callable[[Place], Callable[[], Any]], rules: Any, **options: Any) -> Guarded:
    at = PLACES["mounted Router"]()
    return Guarded(at.app, rules, verifier=Meddling(make(at)), **options)


def mount_of(at: Place) -> Any:
    return at.app.router.routes[0]


def set_to(holder: Any, name: str, value: Any) -> Callable[[], Any]:
    return lambda: setattr(holder, name, value)


REPLACED: dict[str, Callable[[Place], Callable[[], Any]]] = {
    "app of the mount": lambda at: set_to(mount_of(at), "app", Router([secret()])),
    "app of the mount, opaque": lambda at: set_to(mount_of(at), "app", Opaque("secret")),
    "app of the mount, wrapped": lambda at: set_to(
        mount_of(at), "app", Rewriter(Router([secret()]), copying(path="/m/secret"))
    ),
    "default, opaque": lambda at: partial(replace_default(Opaque("secret")), at.router),
    "default, a router": lambda at: partial(replace_default(Router([secret()])), at.router),
    "the mount": lambda at: (
        lambda: at.app.router.routes.__setitem__(0, Mount("/m", Opaque("secret")))
    ),
    "a host in front": lambda at: (
        lambda: at.app.router.routes.insert(0, Host("testserver", Router([secret("/m/secret")])))
    ),
}


@pytest.mark.parametrize("make", REPLACED.values(), ids=REPLACED)
def test_what_is_replaced_meanwhile_is_not_entered_by_the_old_verdict(
    make: Callable[[Place], Callable[[], Any]],
) -> None:
    guarded = meddled(make, {"GET /m/{name}": AUTHENTICATED, "GET /m/secret": "secret"})
    assert_decided(call(guarded.app, "GET", "/m/secret", {"none"}), "public")


class Switched(Route):
    """Matches while it is switched on."""

    is_on = True

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if self.is_on else (Match.NONE, {})


@pytest.mark.parametrize("place", ["of the app", "mounted Router"])
def test_route_that_is_switched_meanwhile_leads_to_no_other(place: str) -> None:
    at = PLACES[place]()
    switched = Switched("/secret", running("public"))
    routes: list[BaseRoute] = [switched, Route("/{name}", running("secret"))]
    at.router.routes[:] = routes
    rules = {f"GET {at.prefix}/secret": AUTHENTICATED, f"GET {at.prefix}/{{name}}": "secret"}
    guarded = Guarded(at.app, rules, verifier=Meddling(set_to(switched, "is_on", False)))
    assert_decided(call(guarded.app, "GET", f"{at.prefix}/secret", {"none"}), "public")


@pytest.mark.parametrize(
    "default", [Opaque("secret"), Router([secret()])], ids=["opaque", "router"]
)
@pytest.mark.parametrize("before", [None, Router([])], ids=["none", "another router"])
@pytest.mark.parametrize("place", ["of the app", "of a mounted app", "mounted Router"])
def test_default_that_comes_meanwhile_is_not_entered(
    place: str, default: Any, before: Router | None
) -> None:
    """With unknown paths hidden, the verifier is asked where there is no route yet."""
    at = PLACES[place]()
    at.router.routes.clear()
    if before is not None:
        at.router.default = before
    verifier = Meddling(set_to(at.router, "default", default))
    guarded = Guarded(at.app, {}, verifier=verifier, hide_unknown=True)
    assert_decided(call(guarded.app, "GET", f"{at.prefix}/secret", {"none"}))


def test_frontend_that_comes_meanwhile_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("ran secret")
    app, included = make_app(), APIRouter()
    app.include_router(included, prefix="/a")
    verifier = Meddling(lambda: included.frontend("/ui", directory=tmp_path))
    guarded = Guarded(app, {}, verifier=verifier, hide_unknown=True)
    assert_decided(call(guarded.app, "GET", "/a/ui/x.txt", {"none"}))


def test_bind_that_changes_the_routes_lets_no_one_in() -> None:
    at = PLACES["of the app"]()

    def bind(asgi_scope: Any, claims: Claims) -> None:
        at.router.routes.insert(0, secret())

    guarded = Guarded(at.app, rules_at(""), bind=bind)
    assert call(guarded.app, "GET", "/secret", {"none"}).ran != "secret"


@pytest.mark.parametrize("change", [{"path": "/secret"}, {"method": "DELETE"}], ids=str)
def test_bind_that_rewrites_the_call_leads_to_no_other_route(change: dict[str, str]) -> None:
    at = PLACES["of the app"]()
    at.router.routes[:0] = [
        secret(),
        Route("/open", running("secret"), methods=["DELETE"]),
        Route("/open", running("open")),
    ]
    rules = rules_at("") | {"GET /open": AUTHENTICATED, "DELETE /open": "secret"}

    def bind(asgi_scope: Any, claims: Claims) -> None:
        asgi_scope.update(change)

    guarded = Guarded(at.app, rules, bind=bind)
    assert call(guarded.app, "GET", "/open", {"none"}).ran != "secret"


def to_another_host(scope: Scope) -> Scope:
    others = [field for field in scope["headers"] if field[0] != b"host"]
    return {"headers": [(b"host", b"secret.example.org"), *others]}


REWRITTEN: dict[str, tuple[str, Callable[[Scope], Any]]] = {
    "path": ("/open", lambda _: {"path": "/secret"}),
    "method": ("/open", lambda _: {"method": "DELETE"}),
    "root path": ("/x/secret", lambda _: {"root_path": "/x"}),
    "host": ("/open", to_another_host),
    "host, in the same list": (
        "/open",
        lambda scope: scope["headers"].__setitem__(slice(None), to_another_host(scope)["headers"]),
    ),
}


@pytest.mark.parametrize("scopes", [{"none"}, {"secret"}], ids=str)
@pytest.mark.parametrize(("path", "change"), REWRITTEN.values(), ids=REWRITTEN)
def test_call_that_middleware_rewrites_meanwhile_leads_to_no_other_route(
    path: str, change: Callable[[Scope], Any], scopes: set[str]
) -> None:
    at = PLACES["of the app"]()
    at.router.routes[:0] = [
        Host("secret.example.org", Router([Route("/{at_the_host}", running("secret"))])),
        secret(),
        Route("/open", running("secret"), methods=["DELETE"]),
        Route("/open", running("open")),
        Route("/x/secret", running("open")),
    ]
    rules = rules_at("") | {"DELETE /open": "secret", "GET /{at_the_host}": "secret"}
    verifier = Meddling()

    class GoingOn:
        """Goes on with a scope that it has passed on."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            verifier.changes.append(lambda: scope.update(change(scope) or {}))
            await self.app(scope, receive, send)

    at.app.add_middleware(GoingOn)
    opened = {"GET /open": AUTHENTICATED, "GET /x/secret": AUTHENTICATED}
    guarded = Guarded(at.app, rules | opened, verifier=verifier)
    assert_decided(call(guarded.app, "GET", path, scopes), "open")


LATER: dict[str, Change] = {
    "insert": CHANGES["insert"],
    "another list": CHANGES["another list"],
    "default": replace_default(Opaque("secret")),
    "mount": lambda router: router.routes.insert(0, Mount("", Router([secret()]))),
}


@pytest.mark.parametrize("middleware", [Rewriter, BaseRewriter])
@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
def test_routes_that_middleware_of_a_mounted_app_changes_are_not_open(
    change: Callable[[Router], Any], middleware: Any
) -> None:
    """The verdict was given before the middleware ran."""
    at = PLACES["of a mounted app"]()
    left = [change]

    def change_routes(asgi_scope: Scope) -> Scope:
        if left:
            left.pop()(at.router)
        return asgi_scope

    mount_of(at).app.add_middleware(middleware, change=change_routes)
    guarded = Guarded(at.app, rules_at("/m"))
    assert_decided(call(guarded.app, "GET", "/m/secret", {"none"}), "public")
    assert call(guarded.app, "GET", "/m/secret", {"none"}).status == 403


def overriding(at: Place, guarded: Guarded, *changes: Callable[[], Any], is_async: bool) -> None:
    """Let claims without a scope stand in for any others, and let *changes* happen with them."""
    left = list(changes)

    def stand_in() -> Claims:
        if left:
            left.pop(0)()
        return Claims(exp=2**40, scopes=frozenset())

    async def awaited() -> Claims:
        return stand_in()

    at.app.dependency_overrides[guarded.guard] = awaited if is_async else stand_in


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_override_that_changes_the_routes_lets_no_one_in(is_async: bool) -> None:
    at = PLACES["of the app"]()
    guarded = Guarded(at.app, rules_at(""))
    overriding(at, guarded, lambda: at.router.routes.insert(0, secret()), is_async=is_async)
    assert_decided(call(guarded.app, "GET", "/secret"), "public")


def test_routes_that_never_stand_still_are_served_as_decided() -> None:
    at = PLACES["of the app"]()
    guarded = Guarded(at.app, rules_at(""))
    changes = [lambda: at.router.routes.append(secret("/other"))] * 20
    overriding(at, guarded, *changes, is_async=False)
    assert_decided(call(guarded.app, "GET", "/x"), "public")
    assert_decided(call(guarded.app, "GET", "/other", {"secret"}), "public")
