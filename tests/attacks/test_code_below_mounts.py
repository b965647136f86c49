"""Attacks on code that answers below a mount where the router there knows no route."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount, Route, Router, WebSocketRoute

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    REDIRECT,
    SOCKET,
    WRONG_METHOD,
    Guarded,
    Opaque,
    call,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import make_app
from tests.perimeter.rewriting import OPAQUE, ROOT, SEEN, Make

KNOWN = frozenset({"/m/metrics", "/m/open/", "/m/deep/metrics", "/m/nothing/b"})
SEEN_OR_NOT = SEEN | OPAQUE | ROOT
RULES: dict[str, Any] = {"GET /m/open": PUBLIC, "GET /m/a": "a"}


def same(scope: Any) -> Any:
    return scope


def reaches_sockets(at: str) -> bool:
    """Starlette's Route, and its own base for middleware, are for HTTP alone."""
    return at not in {"of a route", "add_middleware, BaseHTTPMiddleware"}


# `/m` is also where a route or a default leads, which take nothing of the path for themselves.
PREFIXES = {"of a route": "", "of the default": ""}


@pytest.mark.parametrize("path", sorted(KNOWN - {"/m/open/"}))
@pytest.mark.parametrize("at", SEEN_OR_NOT)
def test_what_middleware_answers_by_itself_has_the_rule_of_all_below(at: str, path: str) -> None:
    below = f"GET {PREFIXES.get(at, '/m')}/**"
    if at == "of a route":
        below = "GET /{rest}"
    assert Guarded(SEEN_OR_NOT[at](same, KNOWN), RULES).outcome("GET", path) == NO_RULE
    guarded = Guarded(SEEN_OR_NOT[at](same, KNOWN), RULES | {below: "known"})
    assert guarded.outcome("GET", path) == ruled_by("known")


@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_what_middleware_answers_in_place_of_a_redirect_is_not_open(make: Make) -> None:
    """``/a`` and ``/a/`` are two templates: that one is public says nothing of the other."""
    guarded = Guarded(make(same, KNOWN), RULES)
    assert call(guarded.app, "GET", "/m/open/").status == 401
    assert call(guarded.app, "GET", "/m/open/", {"none"}).status not in {401, 403}


@pytest.mark.parametrize("make", SEEN.values(), ids=SEEN)
def test_redirect_that_middleware_could_answer_asks_for_what_the_target_asks_for(
    make: Make,
) -> None:
    guarded = Guarded(make(same, frozenset()), RULES)
    assert call(guarded.app, "GET", "/m/a/").status == 401
    assert call(guarded.app, "GET", "/m/a/", guarded.scopes - {"a"}).status == 403
    assert call(guarded.app, "GET", "/m/a/", {"a"}).status in {307, 404}


@pytest.mark.parametrize("at", [at for at in SEEN_OR_NOT if reaches_sockets(at)])
def test_socket_that_middleware_answers_by_itself_has_the_rule_of_all_below(at: str) -> None:
    rules = RULES | {f"GET {PREFIXES.get(at, '/m')}/**": PUBLIC}
    assert Guarded(SEEN_OR_NOT[at](same, KNOWN), rules).outcome(SOCKET, "/m/metrics") == NO_RULE
    rules |= {f"{SOCKET} {PREFIXES.get(at, '/m')}/**": "known"}
    assert Guarded(SEEN_OR_NOT[at](same, KNOWN), rules).outcome(SOCKET, "/m/metrics") == ruled_by(
        "known"
    )


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "HEAD", "PURGE"])
@pytest.mark.parametrize("make", SEEN_OR_NOT.values(), ids=SEEN_OR_NOT)
def test_method_that_middleware_answers_by_itself_is_not_open(make: Make, method: str) -> None:
    """The router would say that the method is not allowed; the middleware says what it likes."""
    known = frozenset({"/m/a"})
    guarded = Guarded(make(same, known), RULES)
    answer = call(guarded.app, method, "/m/a")
    assert (answer.status, answer.ran) == (401, None)


@pytest.mark.parametrize("make", OPAQUE.values(), ids=OPAQUE)
def test_what_an_opaque_app_answers_by_itself_has_the_rule_of_all_below(make: Make) -> None:
    assert Guarded(make(same, KNOWN), RULES).outcome("GET", "/m/metrics") == NO_RULE
    guarded = Guarded(make(same, KNOWN), RULES | {"* /m/**": "known"})
    assert guarded.outcome("GET", "/m/metrics") == ruled_by("known")
    assert guarded.outcome("OPTIONS", "/m/metrics") == NO_RULE


def plain_router() -> Router:
    return Router([Route("/open", running("public")), Route("/a/", running("a"))])


def plain_app() -> FastAPI:
    app = make_app()
    app.router.routes += plain_router().routes
    return app


@pytest.mark.parametrize(
    ("method", "path", "outcome"),
    [
        ("GET", "/m/nothing", NOT_FOUND),
        ("DELETE", "/m/open", WRONG_METHOD),
        ("GET", "/m/a", REDIRECT),
        (SOCKET, "/m/open", NOT_FOUND),
    ],
)
@pytest.mark.parametrize("make", [plain_router, plain_app])
def test_nothing_is_asked_for_where_only_the_framework_answers(
    make: Any, method: str, path: str, outcome: str
) -> None:
    app = make_app()
    app.mount("/m", make())
    assert Guarded(app, RULES).outcome(method, path) == outcome


@pytest.mark.parametrize("method", ["GET", "DELETE", SOCKET])
def test_harmless_middleware_is_not_told_from_other(method: str) -> None:
    """It is not known what it answers, so an unknown path asks for the rule of all below."""
    app = make_app()
    middleware = [Middleware(GZipMiddleware)]
    app.router.routes.append(Mount("/m", plain_router(), middleware=middleware))
    guarded = Guarded(app, RULES)
    assert guarded.outcome("GET", "/m/open") == OPEN
    assert guarded.outcome(method, "/m/nothing") == NO_RULE


class OwnNotFound(Router):
    async def not_found(self, scope: Any, receive: Any, send: Any) -> None:
        await Opaque("default")(scope, receive, send)


def inner_router(kind: type[Router], default: Any) -> Router:
    routes: list[BaseRoute] = [Route("/open", running("public"))]
    return kind(routes, default=default) if default is not None else kind(routes)


DEFAULTS: dict[str, Any] = {
    "given": lambda: inner_router(Router, Opaque("default")),
    "of an APIRouter": lambda: APIRouter(
        routes=[Route("/open", running("public"))], default=Opaque("default")
    ),
    "not_found of a subclass": lambda: inner_router(OwnNotFound, None),
}


@pytest.mark.parametrize("path", ["/m/x", "/m/x/y", "/m/"])
@pytest.mark.parametrize("make", DEFAULTS.values(), ids=DEFAULTS)
def test_default_of_a_mounted_router_has_the_rule_of_all_below(make: Any, path: str) -> None:
    def guarded(rules: dict[str, Any]) -> Guarded:
        app = make_app()
        app.mount("/m", make())
        return Guarded(app, rules)

    unruled, ruled = guarded(RULES), guarded(RULES | {"* /m/**": "default"})
    assert ruled.outcome("GET", "/m/open") == OPEN
    for method in ("GET", "DELETE", SOCKET):
        assert unruled.outcome(method, path) == NO_RULE
        assert ruled.outcome(method, path) == ruled_by("default")
    assert ruled.outcome("OPTIONS", path) == NO_RULE


def test_default_of_the_app_has_the_rule_of_all() -> None:
    app = make_app()
    app.router.routes.append(Route("/open", running("public")))
    app.router.default = Opaque("default")
    guarded = Guarded(app, {"GET /open": PUBLIC, "GET /**": "default"})
    assert guarded.outcome("GET", "/open") == OPEN
    assert guarded.outcome("GET", "/x") == ruled_by("default")
    assert guarded.outcome(SOCKET, "/x") == NO_RULE
    # A route of that path is there, but not for this method: the framework's own answer.
    assert guarded.outcome("DELETE", "/open") == WRONG_METHOD


def test_default_that_is_a_router_is_looked_into() -> None:
    app = make_app()
    app.router.routes.append(Route("/open", running("public")))
    app.router.default = Router(
        [Route("/x", running("x")), WebSocketRoute("/x", talking("socket"))],
        default=Router([Route("/y", running("y"))]),
    )
    rules = {"GET /open": PUBLIC, "GET /x": "x", "GET /y": "y", f"{SOCKET} /x": "socket"}
    guarded = Guarded(app, rules)
    assert guarded.outcome("GET", "/x") == ruled_by("x")
    assert guarded.outcome(SOCKET, "/x") == ruled_by("socket")
    assert guarded.outcome("GET", "/y") == ruled_by("y")
    assert guarded.outcome("GET", "/z") == NOT_FOUND
