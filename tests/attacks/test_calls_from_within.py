"""Attacks by other ways: what a perimeter rules never runs without a verdict on that very call."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import PUBLIC, Claims
from tests.apps import make_guard
from tests.perimeter.calling import OPEN, SPEAKS, Opaque, call, ruled_by, running
from tests.perimeter.other_ways import KINDS, WAYS, Scene, mounted_app, with_stack
from tests.perimeter.places import make_app

# Every kind of endpoint by every way.

RULED = {"secret": ruled_by("secret"), PUBLIC: OPEN}

COPIED_DEEPLY = {
    "plain route",
    "class",
    "API socket",
    "plain socket",
    "route of a mounted router",
    "opaque mount",
    "socket of an opaque mount",
    "static files",
    "host",
    "opaque host",
    "endpoint that is a router",
}
# What is copied there are routes, and a frontend of the app itself is none of these.
OF_ROUTES_ALONE = {
    "app of its routes",
    "app that was given its routes",
    "app that had its routes before",
    "app with its list of routes",
    "app from which its routes are",
    "app that served from which its routes are",
    "shallow copies",
    "handle of the route",
    "app that was given its late routes",
}


def leads(way: str, kind: str) -> bool:
    """Tell whether the endpoint is reached by that way, where nobody protects it."""
    if way == "deep copies":
        return kind in COPIED_DEEPLY
    if kind == "included frontend":
        return way != "handle of the route"
    return kind != "frontend" or way not in OF_ROUTES_ALONE


def row(way: str, kind: str) -> Any:
    return pytest.param(way, kind, id=f"{way}-{kind}")


def rows(*ways: str) -> list[Any]:
    return [row(way, kind) for way in ways for kind in KINDS]


@pytest.mark.parametrize(("way", "kind"), rows(*WAYS))
def test_endpoint_runs_by_no_way_without_a_verdict(way: str, kind: str, tmp_path: Path) -> None:
    twin = Scene(KINDS[kind], tmp_path)
    entry, where = WAYS[way](twin)
    ran = {twin.ask(entry, where).ran, twin.ask(twin.app, twin.where).ran}
    assert (ran == {"secret"}) == leads(way, kind)
    for requirement, ruled in RULED.items() if leads(way, kind) else ():
        scene = Scene(KINDS[kind], tmp_path, requirement)
        entry, where = WAYS[way](scene)
        scene.guarded.app = with_stack(entry)
        path, host = where + scene.kind.path, scene.kind.host
        assert scene.guarded.outcome(scene.kind.method, path, host=host) == ruled


SEEN = ("type", "method", "headers", "query_string", "scheme", "subprotocols", "extensions")


def making_anew(client: Any) -> Callable[[Scope], Scope]:
    def made(scope: Scope) -> Scope:
        known = {name: scope[name] for name in SEEN if name in scope}
        return {**known, "client": scope["client"] if client == "the same" else client}

    return made


CALLERS: dict[str, Callable[[Scope], Scope]] = {
    "the scope itself": lambda scope: scope,
    "a copy of the scope": dict,
    "another scope, the same client": making_anew("the same"),
    "another scope, another client": making_anew(("127.0.0.1", 123)),
    "another scope, no client": making_anew(None),
}


@pytest.mark.parametrize("change", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize(
    ("way", "kind"), rows("mounted app", "inclusion of its router", "handle of the route")
)
def test_endpoint_that_is_called_by_another_is_decided_on_by_what_the_call_carries(
    way: str, kind: str, change: Callable[[Scope], Scope], tmp_path: Path
) -> None:
    """Whoever is named as its client; and the scope may be that of the call around it."""

    def changed(scope: Scope) -> Scope:
        scope = change(scope)
        scope.update(path=path, raw_path=path.encode(), root_path="")
        return scope

    for requirement, ruled in RULED.items() if leads(way, kind) else ():
        scene = Scene(KINDS[kind], tmp_path, requirement)
        entry, where = WAYS[way](scene)
        path = where + scene.kind.path
        scene.door.target, scene.door.change = with_stack(entry), changed
        there = scene.guarded.outcome(scene.kind.method, "/door/x", host=scene.kind.host)
        assert there == ruled


@pytest.mark.parametrize("client", [("192.0.2.1", 4711), ("127.0.0.1", 123)], ids=str)
@pytest.mark.parametrize("kind", ["API route", "included plain route", "opaque mount"])
def test_client_in_the_process_has_the_credentials_that_it_sends(
    kind: str, client: tuple[str, int], tmp_path: Path
) -> None:
    scene = Scene(KINDS[kind], tmp_path, "secret")
    inner, _ = mounted_app(scene)
    transport = httpx.ASGITransport(inner, client=client)

    async def handing_on(scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(b"authorization")
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as http:
            headers = {"authorization": sent.decode()} if sent is not None and hands_on else {}
            answer = await http.get(scene.kind.path, headers=headers)
        challenge = {each: answer.headers[each] for each in CHALLENGE & answer.headers.keys()}
        response = PlainTextResponse(answer.text, answer.status_code, challenge)
        await response(scope, receive, send)

    scene.door.target, scene.door.change = handing_on, dict
    hands_on = True
    assert scene.guarded.outcome("GET", "/door/x") == ruled_by("secret")
    hands_on = False
    assert call(scene.app, "GET", "/door/x", {"secret"}).status == 401


CHALLENGE = {"www-authenticate"}


# A verdict is on one call.


class Twice:
    """An endpoint that passes a GET on, changed, and says of all else that it ran."""

    target: ASGIApp

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("is_again"):
            await PlainTextResponse(SPEAKS + "again")(scope, receive, send)
        else:
            await self.target({**scope, "is_again": True, **self._changes}, receive, send)


ANOTHER_CALL: dict[str, tuple[dict[str, Any], dict[str, int | None]]] = {
    "another method": ({"method": "DELETE"}, {"read": 403, "read admin": None}),
    "no credentials": ({"headers": []}, {"read": 401, "read admin": 401}),
}


@pytest.mark.parametrize(("changes", "answers"), ANOTHER_CALL.values(), ids=ANOTHER_CALL)
@pytest.mark.parametrize(
    ("entered", "called"),
    [
        ("app", "app"),
        ("app", "other app"),
        ("app", "route"),
        ("other app", "app"),
        ("other app", "other app"),
        ("other app", "route"),
    ],
)
def test_endpoint_that_calls_itself_has_no_verdict_left_over(
    entered: str, called: str, changes: dict[str, Any], answers: dict[str, int | None]
) -> None:
    twice = Twice(**changes)
    route = Route("/x", twice, methods=["GET", "DELETE"])
    app, other = make_app(), make_app()
    for each in (app, other):
        each.router.routes.append(route)
    make_guard({"GET /x": "read", "DELETE /x": "admin"}).protect(app)
    apps: dict[str, ASGIApp] = {"app": app, "other app": other, "route": route.handle}
    twice.target = apps[called]
    found = {}
    for scopes in answers:
        answer = call(apps[entered], "GET", "/x", scopes.split())
        found[scopes] = answer.status if answer.ran is None else None
    assert found == answers


def test_mount_that_lists_methods_is_decided_on_for_all() -> None:
    mount: Any = Mount("/x", Opaque("secret"))
    mount.methods = {"GET"}
    app, other = make_app(), make_app()
    for each in (app, other):
        each.router.routes.append(mount)
    make_guard({"* /x/**": "secret"}).protect(app)
    for method in ("GET", "POST"):
        assert call(other, method, "/x/y").status == 401


# Several keys, several perimeters.


def asked(app: ASGIApp, path: str) -> list[str | None]:
    """Return what opens *path* of *app*, of nothing and the scopes a and b."""
    found = [call(app, "GET", path, scopes) for scopes in CALLER_SCOPES.values()]
    assert all(each.ran == "x" or each.status in {401, 403} for each in found)
    return [name for name, each in zip(CALLER_SCOPES, found, strict=True) if each.ran == "x"]


CALLER_SCOPES = {"no token": None, "none": (), "a": ("a",), "b": ("b",), "a and b": ("a", "b")}
BY_A, BY_B, BY_BOTH = ["a", "a and b"], ["b", "a and b"], ["a and b"]


def leaf() -> Route:
    return Route("/x", running("x"))


def test_endpoint_of_several_keys_is_open_elsewhere_to_who_has_all_of_them() -> None:
    route, app = leaf(), make_app()
    app.mount("/a", Router([route]))
    app.mount("/b", Router([route]))
    app.mount("/c", Router([route]))
    make_guard({"GET /a/x": "a", "GET /b/x": "b", "GET /c/x": PUBLIC}).protect(app)
    assert [asked(app, "/a/x"), asked(app, "/b/x")] == [BY_A, BY_B]
    assert asked(Starlette(routes=[route]), "/x") == BY_BOTH


SHARED: dict[str, Callable[[], Any]] = {
    "route": leaf,
    "mounted router": lambda: Mount("", Router([leaf()])),
    "mounted app": lambda: Mount("", Starlette(routes=[leaf()])),
    "opaque app": lambda: Mount("", Opaque("x")),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_two_protected_apps_that_share_decide_each_by_its_own_map(
    make: Callable[[], Any],
) -> None:
    shared = make()
    template = "/**" if isinstance(shared, Mount) and isinstance(shared.app, Opaque) else "/x"
    apps = [Starlette(routes=[shared]) for _ in range(3)]
    make_guard({f"GET {template}": "a"}).protect(apps[0])
    make_guard({f"GET {template}": "b"}).protect(apps[1])
    assert [asked(app, "/x") for app in apps] == [BY_A, BY_B, BY_BOTH]


def test_perimeter_that_is_gone_rules_nothing() -> None:
    route = leaf()
    apps = [Starlette(routes=[route]) for _ in range(3)]
    make_guard({"GET /x": "a"}).protect(apps[0])
    make_guard({"GET /x": "b"}).protect(apps[1])
    other = apps.pop()
    gone = weakref.ref(apps.pop(0))
    gc.collect()
    assert gone() is None
    assert asked(other, "/x") == BY_B
    del apps
    gc.collect()
    assert asked(other, "/x") == list(CALLER_SCOPES)


@pytest.mark.parametrize("is_inner_first", [True, False])
@pytest.mark.parametrize("requirement", ["a", PUBLIC], ids=str)
def test_of_a_perimeter_within_a_perimeter_both_decide_by_whatever_way(
    requirement: Any, is_inner_first: bool
) -> None:
    inner = Starlette(routes=[leaf()])
    outer = Starlette(routes=[Mount("/in", inner)])
    steps = [({"GET /x": "b"}, inner), ({"GET /in/x": requirement}, outer)]
    for rules, app in steps if is_inner_first else steps[::-1]:
        make_guard(rules).protect(app)
    expected = BY_B if requirement is PUBLIC else BY_BOTH
    assert asked(outer, "/in/x") == expected
    for entry in (inner, inner.router, inner.router.app, Starlette(routes=inner.routes)):
        assert asked(entry, "/x") == expected


def test_perimeter_around_the_bare_matching_of_another_opens_nothing_there() -> None:
    inner = Starlette(routes=[leaf()])
    make_guard({"GET /x": "b"}).protect(inner)
    outer = Starlette(routes=[Mount("/in", inner.router.app)])
    make_guard({"MOUNT /in": PUBLIC}).protect(outer)
    assert asked(outer, "/in/x") == BY_B


# What is ruled, and by what.


def test_override_of_the_guard_in_the_protected_app_holds_by_whatever_way() -> None:
    app, other = make_app(), make_app()
    app.router.routes.append(leaf())
    guard = make_guard({"GET /x": "a"})
    guard.protect(app)
    other.include_router(app.router)
    app.dependency_overrides[guard] = lambda: Claims(exp=2**32, scopes=frozenset({"b"}))
    assert asked(other, "/x") == []
    app.dependency_overrides[guard] = lambda: Claims(exp=2**32, scopes=frozenset({"a"}))
    assert asked(other, "/x") == list(CALLER_SCOPES)
    # Nobody asks for those of the other app.
    other.dependency_overrides = app.dependency_overrides
    app.dependency_overrides = {}
    assert asked(other, "/x") == BY_A


def test_route_that_the_protected_app_has_no_longer_is_not_ruled() -> None:
    route, app = leaf(), make_app()
    app.router.routes.append(route)
    make_guard({"GET /x": "a"}).protect(app)
    other = Starlette(routes=[route])
    assert asked(other, "/x") == BY_A
    app.router.routes.remove(route)
    assert asked(other, "/x") == list(CALLER_SCOPES)
    app.router.routes.append(route)
    assert asked(other, "/x") == BY_A


def test_function_that_is_registered_anew_is_another_endpoint() -> None:
    function = running("x")
    app = Starlette(routes=[Route("/x", function)])
    make_guard({"GET /x": "a"}).protect(app)
    assert asked(Starlette(routes=[Route("/x", function)]), "/x") == list(CALLER_SCOPES)


def test_caller_is_known_to_an_endpoint_by_whatever_way() -> None:
    told: list[str | None] = []
    guard = make_guard(
        {"GET /me": "a", "GET /by-hand": "a"}, bind=lambda _, claims: told.append(claims.sub)
    )
    app, other = make_app(), make_app()

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(guard)]) -> str | None:
        return claims.sub

    @app.get("/by-hand")
    async def by_hand(request: Request) -> str | None:
        claims = guard.claims_of(request)
        return claims.sub if claims is not None else None

    guard.protect(app)
    other.include_router(app.router, prefix="/in")
    for path in ("/in/me", "/in/by-hand"):
        assert call(other, "GET", path).status == 401
        assert call(other, "GET", path, {"a"}).text == '"alice"'
    assert told == ["alice", "alice"]
