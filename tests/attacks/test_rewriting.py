"""Attacks by middleware between a verdict and the router: what runs must be what was decided on.

A caller who may have ``/open`` (anyone), or ``/a``, is led to where another scope is needed.
"""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    SOCKET,
    Guarded,
    call,
    ruled_by,
    running,
)
from tests.perimeter.places import make_app
from tests.perimeter.rewriting import (
    INNER,
    OPAQUE,
    ROOT,
    SEEN,
    Change,
    Make,
    Rewriter,
    copying,
    inner_routes,
    making_anew,
    setting,
)

NOTHING: frozenset[str] = frozenset()
RULES: dict[str, Any] = {
    key.replace(" ", " /m"): PUBLIC if name == "public" else name for key, name in INNER.items()
}

# The call, and what the middleware makes of it.
ELSEWHERE: dict[str, tuple[str, str, Change]] = {
    "path": ("GET", "/m/open", setting(path="/m/b", raw_path=b"/m/b")),
    "path only": ("GET", "/m/open", setting(path="/m/b")),
    "path, from a": ("GET", "/m/a", setting(path="/m/b")),
    "path, in a copy": ("GET", "/m/open", copying(path="/m/b")),
    "path, in a new scope": ("GET", "/m/open", making_anew(path="/m/b")),
    "path into a mount": ("GET", "/m/open", setting(path="/m/deep/a")),
    "path into a mount, in a new scope": ("GET", "/m/open", making_anew(path="/m/deep/a")),
    "path out of a mount": ("GET", "/m/deep/a", setting(path="/m/a")),
    "path of nothing": ("GET", "/m/nothing", setting(path="/m/b")),
    "root path": ("GET", "/m/open/b", setting(root_path="/m/open")),
    "root path, in a copy": ("GET", "/m/open/b", copying(root_path="/m/open")),
    "root path, in a new scope": ("GET", "/m/open/b", making_anew(root_path="/m/open")),
    "both paths": ("GET", "/m/open", setting(path="/x/b", root_path="/x")),
    "method": ("GET", "/m/a", setting(method="DELETE")),
    "method, in a copy": ("GET", "/m/a", copying(method="DELETE")),
    "method, in a new scope": ("GET", "/m/a", making_anew(method="DELETE")),
    "method of nothing": ("PUT", "/m/a", setting(method="DELETE")),
    "method of one route": ("GET", "/m/both", setting(method="DELETE")),
    "method of one route, in a copy": ("GET", "/m/both", copying(method="DELETE")),
    "method of one route, in a new scope": ("GET", "/m/both", making_anew(method="DELETE")),
    "http to socket of one app": ("GET", "/m/any/x", setting(type="websocket")),
    "socket to http of one app": (SOCKET, "/m/any/x", setting(type="http", method="GET")),
    "http to socket": ("GET", "/m/a", setting(type="websocket")),
    "http to socket, in a copy": ("GET", "/m/a", copying(type="websocket")),
    "socket to http": (SOCKET, "/m/a", setting(type="http", method="GET")),
    "socket to http, in a new scope": (SOCKET, "/m/a", making_anew(type="http", method="GET")),
}
# Starlette's own error pages fail where its middleware gets an HTTP scope that is none any more.
REWRITINGS = [
    pytest.param(make, *elsewhere, "new scope" in what, id=f"{where}, {what}")
    for where, make in SEEN.items()
    for what, elsewhere in ELSEWHERE.items()
    if not ("BaseHTTPMiddleware" in where and "to socket" in what)
]


def name_at(method: str, path: str) -> str:
    """Return the name of what answers a call that nothing rewrites, or of what is open to all."""
    by_key = {
        key.replace("{rest}", "b").replace("{item_id}", "1").replace("**", "x"): key
        for key in INNER
    }
    return INNER.get(by_key.get(f"{method} {path.removeprefix('/m')}", ""), "public")


@pytest.mark.parametrize(("make", "method", "path", "change", "is_anew"), REWRITINGS)
def test_middleware_leads_no_one_to_another_route(
    make: Make, method: str, path: str, change: Change, is_anew: bool
) -> None:
    """A scope that is made anew is another call, decided where it comes to."""
    guarded, name = Guarded(make(change, NOTHING), RULES), name_at(method, path)
    for scopes in (None, {name}, guarded.scopes):
        answer = call(guarded.app, method, path, scopes)
        allowed = {name, *(scopes or ())} if is_anew else {name}
        assert answer.ran in {None, *allowed}
        assert answer.ran is not None or answer.status in {401, 403, 404, 405}


def behind_prefix(scope: Scope) -> Scope:
    return {**scope, "path": "/x" + scope["path"], "root_path": "/x" + scope["root_path"]}


SAME: dict[str, tuple[str, str, Change]] = {
    "nothing": ("GET", "/m/a", lambda scope: scope),
    "a copy": ("GET", "/m/a", dict),
    "the same path": ("GET", "/m/a", setting(path="/m/a", raw_path=b"/m/a")),
    "in a mount": ("GET", "/m/deep/a", copying(path="/m/deep/a")),
    "another prefix": ("GET", "/m/a", behind_prefix),
    "another query": ("GET", "/m/a", setting(query_string=b"to=/m/b")),
    "more in the scope": ("GET", "/m/a", copying(state={"seen": True})),
}


@pytest.mark.parametrize(("method", "path", "change"), SAME.values(), ids=SAME)
@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_middleware_that_leads_to_the_same_route_is_passed(
    make: Make, method: str, path: str, change: Change
) -> None:
    guarded = Guarded(make(change, NOTHING), RULES)
    assert guarded.outcome(method, path) == ruled_by(name_at(method, path))


OTHER_VALUES: dict[str, Change] = {
    "in the path": setting(path="/m/items/2"),
    "in the path, in a copy": copying(path="/m/items/2"),
    "of a mount": setting(path_params={"item_id": "2"}),
}


@pytest.mark.parametrize("change", OTHER_VALUES.values(), ids=OTHER_VALUES)
@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_middleware_leads_no_one_to_another_value_of_a_parameter(
    make: Make, change: Change
) -> None:
    guarded = Guarded(make(change, NOTHING), RULES)
    assert call(guarded.app, "GET", "/m/items/1", guarded.scopes).status == 403


NO_TOKEN: list[tuple[bytes, bytes]] = []
OTHER_CREDENTIALS: dict[str, Change] = {
    "none": setting(headers=NO_TOKEN),
    "none, in a copy": copying(headers=NO_TOKEN),
    "others": setting(headers=[(b"authorization", b"Bearer another.one.still")]),
}


@pytest.mark.parametrize("change", OTHER_CREDENTIALS.values(), ids=OTHER_CREDENTIALS)
@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_middleware_takes_no_verdict_along_to_other_credentials(make: Make, change: Change) -> None:
    guarded = Guarded(make(change, NOTHING), RULES)
    assert call(guarded.app, "GET", "/m/a", {"a"}).status in {401, 403}
    # Of what is open to all, nobody asks whose call it is.
    assert call(guarded.app, "GET", "/m/open", {"a"}).ran == "public"


def changing_each_field(scope: Scope) -> Scope:
    for each in scope["headers"]:
        each[1] = b"Bearer another.one.still" if each[0] == b"authorization" else each[1]
    return scope


def changing_the_list(scope: Scope) -> Scope:
    scope["headers"][:] = [[b"authorization", b"Bearer another.one.still"]]
    return scope


@pytest.mark.parametrize("change", [changing_each_field, changing_the_list])
@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_fields_that_are_lists_are_seen_to_change(make: Make, change: Change) -> None:
    guarded = Guarded(make(change, NOTHING), RULES)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        # As some servers write them.
        await guarded.app(scope | {"headers": [*map(list, scope["headers"])]}, receive, send)

    assert call(served, "GET", "/m/a", {"a"}).status in {401, 403}


@pytest.mark.parametrize("path", ["/m/open", "/m/a", "/m/nothing", "/m/"])
@pytest.mark.parametrize("make", (OPAQUE | ROOT).values(), ids=OPAQUE | ROOT)
def test_rules_of_routes_that_are_not_seen_open_nothing(make: Make, path: str) -> None:
    guarded = Guarded(make(setting(path="/m/b"), NOTHING), RULES)
    assert guarded.outcome("GET", path) == NO_RULE


@pytest.mark.parametrize("make", OPAQUE.values(), ids=OPAQUE)
def test_one_rule_opens_all_that_is_not_seen_and_nothing_else_does(make: Make) -> None:
    """The rule is that of the one endpoint which the guard sees there."""
    guarded = Guarded(make(setting(path="/m/b"), NOTHING), RULES | {"GET /m/**": "b"})
    assert guarded.outcome("GET", "/m/open") == ruled_by("b")
    assert guarded.outcome("DELETE", "/m/a") == NO_RULE


REWRITTEN: dict[str, tuple[str, Change, str]] = {
    "open to guarded": ("/m/open", copying(path="/m/b"), ruled_by("b")),
    "guarded to open": ("/m/b", copying(path="/m/open"), OPEN),
    "unknown to guarded": ("/x/y", copying(path="/m/a"), ruled_by("a")),
    "guarded to unknown": ("/m/a", copying(path="/x/y"), NOT_FOUND),
    "method": ("/m/a", copying(method="DELETE"), ruled_by("deleting")),
    "root path": ("/x/m/a", copying(root_path="/x"), ruled_by("a")),
    "in a new scope": ("/m/open", making_anew(path="/m/b"), ruled_by("b")),
}


@pytest.mark.parametrize(("path", "change", "outcome"), REWRITTEN.values(), ids=REWRITTEN)
def test_middleware_of_the_app_itself_runs_before_the_decision(
    path: str, change: Change, outcome: str
) -> None:
    app = make_app()
    app.mount("/m", Router(inner_routes()))
    app.add_middleware(Rewriter, change=change)
    assert Guarded(app, RULES).outcome("GET", path) == outcome


def test_middleware_that_passes_a_connection_on_twice_leads_to_no_other_route() -> None:
    class Twice(Rewriter):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def unheard(message: Any) -> None: ...

            await self.app(dict(scope), receive, unheard)
            await self.app(self.change(scope), receive, send)

    app = make_app()
    middleware = [Middleware(Twice, change=copying(path="/m/b"))]
    app.mount("/m", Starlette(routes=inner_routes(), middleware=middleware))
    answer = call(Guarded(app, RULES).app, "GET", "/m/open")
    assert (answer.status, answer.ran) == (401, None)


@pytest.mark.parametrize("change", [dict, making_anew()], ids=["a copy", "a new scope"])
def test_middleware_that_knows_another_mounted_router_does_not_open_that(change: Change) -> None:
    app, other = make_app(), Router([Route("/open", running("other"))])

    class HandingOver(Rewriter):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await other(self.change(scope), receive, send)

    middleware = [Middleware(HandingOver, change=change)]
    app.router.routes += [
        Mount("/m", Starlette(routes=inner_routes(), middleware=middleware)),
        Mount("/n", other),
    ]
    guarded = Guarded(app, RULES | {"GET /n/open": "other"})
    assert guarded.outcome("GET", "/n/open") == ruled_by("other")
    answer = call(guarded.app, "GET", "/m/open")
    assert (answer.status, answer.ran) == (401, None)


@pytest.mark.parametrize("change", [copying, making_anew], ids=["a copy", "a new scope"])
def test_connection_that_is_given_back_to_the_app_is_decided_anew(change: Any) -> None:
    app = make_app()
    app.mount("/m", Router(inner_routes()))

    async def door(request: Request) -> Response:
        class GivenBack(Response):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await app(change(path="/m/b", root_path="")(scope), receive, send)

        return GivenBack()

    app.router.routes.append(Route("/door", door))
    guarded = Guarded(app, RULES | {"GET /door": PUBLIC})
    assert guarded.outcome("GET", "/door") == ruled_by("b")


@pytest.mark.parametrize("change", [copying, making_anew], ids=["a copy", "a new scope"])
def test_middleware_leads_no_one_to_another_host(change: Any) -> None:
    app = make_app()
    hosts = [
        Host("inner.example.org", Router([Route("/x", running("inner"))])),
        Host("{any}", Router([Route("/x/y", running("public")), Route("/x", running("public"))])),
    ]
    headers = [(b"host", b"inner.example.org")]
    middleware = [Middleware(Rewriter, change=change(headers=headers, path="/m/x"))]
    app.mount("/m", Starlette(routes=hosts, middleware=middleware))
    # Hosts are no part of a template, so two routes tell which of them was meant.
    guarded = Guarded(app, {"GET /m/x": "inner", "GET /m/x/y": PUBLIC})
    answer = call(guarded.app, "GET", "/m/x/y")
    assert (answer.status, answer.ran) == (401, None)
