"""Attacks by templates of odd shapes: an endpoint never runs under another one's rule.

What the framework runs, by the same app without a perimeter, tells which rule must decide.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import NO_RULE, SOCKET, Guarded, expected, running, talking
from tests.perimeter.places import make_app

HOST_OF = "any.example.org"
PATHS = [
    *("/", "//", "", "/x", "/x/", "//x", "/x//", "/X", "/x/y", "/x/y/", "/x//y", "/x/y/z"),
    *("/m", "/m/", "/m//", "/mx", "/m/x", "/m/x/", "/m/m/x", "/m/x/y", "/m/1/x", "/m/a/x"),
    *("/m/1/2/x", "/1", "/1/x", "/a/b/x", "/a.json", "/a.b.json", "/.json", "/a-b", "/a--b"),
    *("/v1", "/v1/", "/v1x", "/v1/x", "/vx", "/v12/x", "/v/x", "x", "X", "/é", "/%2F", "/a+b"),
    *("/aab", "/a.b", "/axb", "/ab", "/xab", "/xAB", "/x/ab", "/x/ab/cd", "/x/ab/cd/ef", "/x/.."),
]


def get(path: str, name: str, *methods: str) -> Route:
    return Route(path, running(name), methods=methods or None)


def routed(*routes: BaseRoute, **options: Any) -> Callable[[], FastAPI]:
    def make() -> FastAPI:
        app = make_app()
        # Routes of a protected app ask for a verdict in any other app, too.
        app.router.routes += copy.deepcopy(routes)
        for name, value in options.items():
            setattr(app.router, name, value)
        return app

    return make


def included(prefix: str, *paths: str, own_prefix: str = "") -> Callable[[], FastAPI]:
    """Include a router with routes that are named by their paths, and public ones beside."""

    def make() -> FastAPI:
        app, router = make_app(), APIRouter(prefix=own_prefix)
        for path in paths:
            router.add_api_route(path, running(path.strip("/") or "empty"))
        app.include_router(router, prefix=prefix)
        app.router.routes += [get("/{name}", "public"), get("/{name}/x", "public")]
        return app

    return make


def direct(*paths: str) -> Callable[[], FastAPI]:
    def make() -> FastAPI:
        app = make_app()
        for path in paths:
            app.add_api_route(path, running(path or "empty"))
        return app

    return make


PUBLIC_REST = {"GET /{name}": PUBLIC, "GET /{name}/x": PUBLIC}
SHAPES: dict[str, tuple[Callable[[], FastAPI], dict[str, Any]]] = {
    "no leading slash": (
        included("/v1", "x"),
        {"GET /v1x": "x", "GET /v1/x": "wrong", **PUBLIC_REST},
    ),
    "no leading slash, in the app": (direct("x", "/y"), {"GET /x": PUBLIC, "GET /y": "/y"}),
    "no leading slash, under all": (direct("x"), {"GET /x": PUBLIC, "GET /**": "x"}),
    "empty path, included": (
        included("/v1", ""),
        {"GET /v1": "empty", "GET /v1/": "wrong", **PUBLIC_REST},
    ),
    "empty path, in the app": (direct("", "/x"), {"GET /": PUBLIC, "GET /x": "/x"}),
    "empty path with a prefix": (
        included("", "", own_prefix="/v1"),
        {"GET /v1": "empty", **PUBLIC_REST},
    ),
    "slash alone": (direct("/", "//"), {"GET /": "/", "GET //": "//"}),
    "two slashes": (direct("//x", "/x//y", "/x/y"), {"GET //x": "//x", "GET /x//y": "/x//y"}),
    "ends with a slash": (direct("/x/", "/x"), {"GET /x/": "/x/", "GET /x": "/x"}),
    "no redirects": (
        routed(get("/x/", "slash"), get("/{name}", "public"), redirect_slashes=False),
        {"GET /x/": "slash", **PUBLIC_REST},
    ),
    "mount of nothing": (
        routed(Mount("", Router([get("/x", "x"), get("/{name}", "public")])), get("/y", "y")),
        {"GET /x": "x", **PUBLIC_REST},
    ),
    "mount of a slash": (
        routed(get("/x/y", "y"), Mount("/", Router([get("/x/{n}", "public"), get("/x/", "x")]))),
        {"GET /x/y": "y", "GET /x/{n}": PUBLIC, "GET /x/": "x"},
    ),
    "mount of nothing in a mount": (
        routed(Mount("/m", Router([Mount("", Router([get("/x", "x"), get("/{n}", "public")]))]))),
        {"GET /m/x": "x", "GET /m/{n}": PUBLIC},
    ),
    "mount in a mount of its name": (
        routed(Mount("/m", Router([Mount("/m", Router([get("/x", "x")])), get("/x", "public")]))),
        {"GET /m/m/x": "x", "GET /m/x": PUBLIC},
    ),
    "mount that ends with a slash": (
        routed(Mount("/m/", Router([get("/x", "x"), get("/", "public")]))),
        {"GET /m/x": "x", "GET /m/": PUBLIC},
    ),
    "mount with a parameter": (
        routed(
            Mount("/m/{n:int}", Router([get("/x", "x")])),
            Mount("/m/{text}", Router([get("/x", "public")])),
            Mount("/{name}", Router([get("/{n}/x", "public"), get("/x", "below")])),
        ),
        {
            **{"GET /m/{n}/x": "x", "GET /m/{text}/x": PUBLIC},
            **{"GET /{name}/{n}/x": PUBLIC, "GET /{name}/x": "below"},
        },
    ),
    "mount with a path": (
        routed(Mount("/m/{p:path}", Router([get("/x", "x"), get("/{n}", "public")]))),
        {"GET /m/{p}/x": "x", "GET /m/{p}/{n}": PUBLIC},
    ),
    "path in a prefix": (
        included("/m/{p:path}", "/x", "/y"),
        {"GET /m/{p}/x": "x", "GET /m/{p}/y": "y", **PUBLIC_REST},
    ),
    "path at the root": (
        routed(get("/{p:path}/x", "x"), get("/{p:path}", "public")),
        {"GET /{p}/x": "x", "GET /{p}": PUBLIC},
    ),
    "path before a literal": (
        routed(get("/x/{p:path}", "rest"), get("/x/y", "public")),
        {"GET /x/{p}": "rest", "GET /x/y": PUBLIC},
    ),
    "text around a parameter": (
        routed(
            *(get("/{a}.json", "json"), get("/{a}-{b}", "dash"), get("/v{n:int}/x", "version")),
            *(get("/{a}.{b}", "dot"), get("/{a}", "public"), get("/{a}/x", "public")),
        ),
        {
            **{"GET /{a}.json": "json", "GET /{a}-{b}": "dash", "GET /v{n}/x": "version"},
            **{"GET /{a}.{b}": "dot", "GET /{a}": PUBLIC, "GET /{a}/x": PUBLIC},
        },
    ),
    "text around a parameter, after": (
        routed(get("/{a}", "public"), get("/{a}.json", "json"), get("/v{n:int}/x", "version")),
        {"GET /{a}.json": "json", "GET /{a}": PUBLIC, "GET /v{n}/x": "version"},
    ),
    "text of a pattern": (
        routed(get("/a+b", "plus"), get("/a.b", "dot"), get("/{a}", "public")),
        {"GET /a+b": "plus", "GET /a.b": "dot", "GET /{a}": PUBLIC},
    ),
    "another method before": (
        routed(get("/{a}", "public", "POST"), get("/x", "x"), get("/{a}", "public")),
        {"POST /{a}": PUBLIC, "GET /x": "x", "GET /{a}": PUBLIC},
    ),
    "methods in small letters": (
        routed(get("/x", "x", "get"), get("/{a}", "public")),
        {"GET /x": "x", "GET /{a}": PUBLIC},
    ),
    "same template twice": (
        routed(get("/x", "x"), get("/x", "public"), get("/{a}", "public"), get("/{b}", "b")),
        {"GET /x": "x", "GET /{a}": PUBLIC, "GET /{b}": "b"},
    ),
    "socket and route": (
        routed(WebSocketRoute("/x", talking("talk")), get("/x", "public"), get("/{a}", "a")),
        {f"{SOCKET} /x": "talk", "GET /x": PUBLIC, "GET /{a}": "a"},
    ),
    "router with a prefix, mounted": (
        routed(Mount("/m", APIRouter(prefix="/m", routes=[get("/x", "x"), get("/m/x", "m")]))),
        {"GET /m/x": "x", "GET /m/m/x": "m"},
    ),
    "host": (
        routed(
            Host(HOST_OF, Router([get("/x", "x"), get("/{a}/x", "below")])),
            Host("{n:int}.example.org", Router([get("/x", "number")])),
            *(get("/x", "public"), get("/{a}", "public")),
        ),
        {"GET /x": "x", "GET /{a}/x": "below", "GET /{a}": PUBLIC},
    ),
    "host in a mount": (
        routed(Mount("/m", Router([Host("{sub}.example.org", Router([get("/x", "x")]))]))),
        {"GET /m/x": "x"},
    ),
    "mount in a host": (
        routed(Host("{sub}.example.org", Router([Mount("/m", Router([get("/x", "x")]))]))),
        {"GET /m/x": "x", "GET /x": PUBLIC},
    ),
}


@pytest.mark.parametrize(("make", "rules"), SHAPES.values(), ids=SHAPES)
def test_endpoint_runs_under_no_other_rule_than_its_own(
    make: Callable[[], FastAPI], rules: dict[str, Any]
) -> None:
    guarded, bare, ran = Guarded(make(), rules), make(), set()
    for method, paths in (("GET", PATHS), ("POST", PATHS[:20]), (SOCKET, PATHS[:20])):
        for path in paths:
            outcome = guarded.outcome(method, path, host=HOST_OF)
            assert (path, outcome) == (path, expected(bare, rules, method, path, host=HOST_OF))
            ran.add(outcome)
    # Nothing is shown by a row in which no rule decides.
    assert {outcome for outcome in ran if outcome.startswith(("ruled", NO_RULE))}


ROOTS = ["/", "/x", "/x/", "/m", "/m/x", "/v1", "x"]


@pytest.mark.parametrize("root_path", ROOTS)
@pytest.mark.parametrize(("make", "rules"), SHAPES.values(), ids=SHAPES)
def test_endpoint_runs_under_no_other_rule_behind_a_prefix(
    make: Callable[[], FastAPI], rules: dict[str, Any], root_path: str
) -> None:
    guarded, bare = Guarded(make(), rules), make()
    for path in (root_path, f"{root_path}/x", f"{root_path}/m/x", f"{root_path}x", "/x", "/m/x"):
        options = {"host": HOST_OF, "root_path": root_path}
        outcome = guarded.outcome("GET", path, **options)
        assert (path, outcome) == (path, expected(bare, rules, "GET", path, **options))
