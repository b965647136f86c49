"""Attacks by convertors and patterns that match, or refuse, what they like."""

import re
from collections.abc import Sequence

import pytest
from fastapi import APIRouter, FastAPI
from starlette.convertors import CONVERTOR_TYPES, Convertor, StringConvertor
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import NO_RULE, SOCKET, Guarded, expected, running, talking
from tests.perimeter.places import make_app

PATHS = [
    *(
        "/",
        "/x",
        "/x/",
        "/X",
        "/x/y",
        "/x/y/",
        "/x//y",
        "/x/y/z",
        "/a.json",
        "/x/a.json",
        "/x.json",
    ),
    *(
        "/aab",
        "/ab",
        "/xab",
        "/xAB",
        "/AB",
        "/cd/x",
        "/x/ab",
        "/x/ab/ef",
        "/x/ab/cd",
        "/x/ab/cd/ef",
    ),
    *("/ab/cd/x", "/x/..", "/x/a.b.json", "/ab/x/x", "//x", "/x/x"),
]


def get(path: str, name: str) -> Route:
    return Route(path, running(name))


class _Kind(StringConvertor):
    """Says what it matches; gives back what it gets."""


CONVERTORS: dict[str, str] = {
    "all": ".+",
    "two": "[a-z]+/[a-z]+",
    "more": "(?:/[a-z]+)*",
    "empty": "[a-z]*",
    "anycase": "(?i:ab)",
    "choice": "ab|cd",
    "greedy": "[^.]+",
}


@pytest.fixture
def convertors(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    for name, regex in CONVERTORS.items():
        kind = type(name, (_Kind,), {"regex": regex})
        monkeypatch.setitem(CONVERTOR_TYPES, name, kind())
    return list(CONVERTORS)


@pytest.mark.parametrize("convertor", CONVERTORS)
@pytest.mark.parametrize(
    "template",
    [
        "/x/{p:%s}",
        "/x{p:%s}",
        "/{p:%s}/x",
        "/x/{p:%s}/ef",
        "/x/{p:%s}.json",
        "/{q}/{p:%s}",
        "/{p:%s}",
    ],
)
def test_convertor_that_matches_what_it_likes_leads_to_its_own_rule(
    convertors: Sequence[str], convertor: str, template: str
) -> None:
    own = template % convertor
    rules = {
        f"GET {template.replace(':%s', '')}": "own",
        "GET /{a}": PUBLIC,
        "GET /{a}/{b}": PUBLIC,
    }

    def make(place: str) -> FastAPI:
        app = make_app()
        routes: list[BaseRoute] = [
            *(get(own, "own"), get("/{a}", "public"), get("/{a}/{b}", "public"))
        ]
        if place == "included":
            app.include_router(APIRouter(routes=routes))
        else:
            app.router.routes += routes
        return app

    for place in ("app", "included"):
        guarded, bare = Guarded(make(place), rules), make(place)
        for path in PATHS:
            outcome = guarded.outcome("GET", path)
            assert (path, outcome) == (path, expected(bare, rules, "GET", path))


class Raising(Convertor[str]):
    """Refuses what its pattern matched."""

    regex = "[a-z0-9]+"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def convert(self, value: str) -> str:
        if value == "bad":
            raise self.error
        return value

    def to_string(self, value: str) -> str:
        return value


ERRORS = [ValueError("x"), OverflowError("x"), KeyError("x"), TypeError("x"), AssertionError("x")]


def raising_routes(place: str) -> list[BaseRoute]:
    inner = [get("/x", "public"), get("/{p}", "public")]
    places: dict[str, list[BaseRoute]] = {
        "route": [get("/{p:raising}", "own"), *inner],
        "redirect": [get("/{p:raising}/", "own"), get("/x", "public")],
        "mount": [Mount("/{p:raising}", Router([get("/x", "own")])), get("/bad/x", "public")],
        "in a mount": [Mount("/m", Router([get("/{p:raising}", "own"), *inner]))],
        "host": [Host("{p:raising}.org", Router([get("/x", "own")])), *inner],
        "socket": [WebSocketRoute("/{p:raising}", talking("own"))],
    }
    return places[place]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_included", [False, True], ids=["", "included"])
@pytest.mark.parametrize(
    ("place", "method", "path"),
    [
        ("route", "GET", "/bad"),
        ("redirect", "GET", "/bad"),
        ("mount", "GET", "/bad/x"),
        ("in a mount", "GET", "/m/bad"),
        ("host", "GET", "/x"),
        ("socket", SOCKET, "/bad"),
    ],
)
def test_path_that_a_convertor_refuses_has_no_rule(
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    method: str,
    path: str,
    is_included: bool,
    error: Exception,
) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "raising", Raising(error))
    app, routes = make_app(), raising_routes(place)
    if is_included:
        app.include_router(APIRouter(routes=routes), prefix="/a")
    else:
        app.router.routes += routes
    rules = {"GET /**": PUBLIC, "WEBSOCKET /**": PUBLIC}
    prefix = "/a" if is_included else ""
    assert Guarded(app, rules).outcome(method, prefix + path, host="bad.org") == NO_RULE


def test_number_of_a_host_that_is_too_long_has_no_rule() -> None:
    app = make_app()
    app.host("{n:int}.org", Router([get("/x", "own")]))
    guarded = Guarded(app, {"GET /**": PUBLIC})
    assert guarded.outcome("GET", "/x", host=f"{'9' * 5000}.org") == NO_RULE


@pytest.mark.parametrize("flags", [re.IGNORECASE, re.IGNORECASE | re.ASCII, re.VERBOSE], ids=str)
@pytest.mark.parametrize("place", ["app", "mounted", "included"])
def test_pattern_that_was_replaced_leads_to_the_rule_of_its_route(place: str, flags: int) -> None:
    def make() -> FastAPI:
        app, own = make_app(), get("/x/{a}", "own")
        own.path_regex = re.compile(own.path_regex.pattern, flags)
        routes: list[BaseRoute] = [own, get("/{a}/{b}", "public"), get("/{a}", "public")]
        if place == "included":
            app.include_router(APIRouter(routes=routes))
        else:
            app.router.routes.append(Mount("" if place == "app" else "/m", Router(routes)))
        return app

    prefix = "/m" if place == "mounted" else ""
    rules = {f"GET {prefix}/x/{{a}}": "own", f"GET {prefix}/{{a}}/{{b}}": PUBLIC}
    rules[f"GET {prefix}/{{a}}"] = PUBLIC
    guarded, bare = Guarded(make(), rules), make()
    for path in ("/x/1", "/X/1", "/X/1/", "/x", "/X/A/b", "/y/1"):
        outcome = guarded.outcome("GET", prefix + path)
        assert (path, outcome) == (path, expected(bare, rules, "GET", prefix + path))
