"""Attacks on which rule the perimeter finds: paths, as raw bytes on real servers."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Route, Router

from fastapi_scopes import PUBLIC
from tests.apps import make_guard
from tests.perimeter.outcomes import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    REDIRECT,
    REFUSED,
    WRONG_METHOD,
    AnyMethod,
    outcome_of,
    ruled_by,
    running,
)
from tests.perimeter.serving import SERVERS, Served, serve

RULES = {
    "GET /config": "config",
    "GET /agents/{agent_id}": "agent",
    "POST /agents/{agent_id}/runs": "run",
    "GET /files/{path}": "files",
    "GET /numbers/{n}": "number",
    "GET /tenants/{n}/x": "tenant",
    "GET /sub/config": "sub-config",
    "* /opaque/**": "opaque",
    "GET /open": PUBLIC,
    "GET /open/{name}": PUBLIC,
}
SCOPES = frozenset(rule for rule in RULES.values() if isinstance(rule, str))


def make_app() -> FastAPI:
    app, sub, included = FastAPI(openapi_url=None), FastAPI(openapi_url=None), APIRouter()
    app.add_api_route("/config", running("config"))
    app.add_api_route("/open", running("public"))
    app.add_api_route("/open/{name}", running("public"))
    included.add_api_route("/{agent_id}", running("agent"))
    included.add_api_route("/{agent_id}/runs", running("run"), methods=["POST"])
    app.include_router(included, prefix="/agents")
    app.router.routes += [
        Route("/files/{path:path}", running("files")),
        Route("/numbers/{n:int}", running("number")),
    ]
    sub.add_api_route("/config", running("sub-config"))
    app.mount("/sub", sub)
    app.mount("/tenants/{n:int}", Router([Route("/x", running("tenant"))]))
    app.mount("/opaque", AnyMethod("opaque"))
    return make_guard(RULES).protect(app)


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(make_app(), http=request.param) as served:
        yield served


def assert_outcome(served: Served, method: str, target: str, *possible: str) -> None:
    assert outcome_of(served, method, target, scopes=SCOPES) in possible


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/config%0a", id="LF, before which $ matches"),
        pytest.param("/config%0A%0A", id="two LF"),
        pytest.param("/config%0d%0a", id="CR LF"),
        pytest.param("/config%00", id="NUL"),
        pytest.param("/%00config", id="NUL in front"),
        pytest.param("/open%0a", id="LF behind a public path"),
        pytest.param("/open/%0a", id="LF in a public parameter"),
        pytest.param("/open/x%00", id="NUL in a public parameter"),
        pytest.param("/open/x%09", id="tab"),
        pytest.param("/open/x%1f", id="unit separator"),
        pytest.param("/open/x%7f", id="DEL"),
        pytest.param("/agents/1%0d%0aX:y", id="header in a parameter"),
        pytest.param("/files/a%0ab", id="LF in a path parameter"),
        pytest.param("/sub/config%0a", id="LF in a mounted app"),
        pytest.param("/opaque/x%0a", id="LF in an opaque app"),
        pytest.param("/unknown%0a", id="LF behind an unknown path"),
    ],
)
def test_control_character_in_the_path_has_no_rule(served: Served, target: str) -> None:
    assert_outcome(served, "GET", target, NO_RULE)


@pytest.mark.parametrize("code", [*range(0x20), 0x20, 0x7F, 0xE9], ids=hex)
def test_raw_character_that_no_target_may_hold_is_refused_by_the_server(
    served: Served, code: int
) -> None:
    assert_outcome(served, "GET", f"/config{chr(code)}x", REFUSED)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        pytest.param("/%63onfig", ruled_by("config"), id="encoded letter"),
        pytest.param("/agents%2F1", ruled_by("agent"), id="encoded slash of the route"),
        pytest.param("/%61gents/1", ruled_by("agent"), id="encoded letter of a prefix"),
        pytest.param("/sub%2fconfig", ruled_by("sub-config"), id="encoded slash of a mount"),
        pytest.param("/agents/a%2Fb", NOT_FOUND, id="encoded slash in a parameter"),
        pytest.param("/open%2F..%2Fconfig", NOT_FOUND, id="encoded dots behind a public path"),
        pytest.param("/open/..%2Fconfig", NOT_FOUND, id="encoded slash behind dots"),
        pytest.param("/agents/a%252Fruns", ruled_by("agent"), id="slash encoded twice"),
        pytest.param("/%2563onfig", NOT_FOUND, id="letter encoded twice"),
        pytest.param("/agents/a%c0%afruns", ruled_by("agent"), id="overlong slash"),
        pytest.param("/agents/a%ef%bc%8fruns", ruled_by("agent"), id="fullwidth slash"),
        pytest.param("/agents%ef%bc%8f1", NOT_FOUND, id="fullwidth slash of the route"),
        pytest.param("/agents/%ff", ruled_by("agent"), id="no UTF-8"),
        pytest.param("/agents/%zz", ruled_by("agent"), id="no encoding"),
        pytest.param("/config%20", NOT_FOUND, id="space behind"),
        pytest.param("/config%e2%80%8b", NOT_FOUND, id="zero-width space behind"),
        pytest.param("/config%c2%85", NOT_FOUND, id="next line behind"),
        pytest.param("/config%e2%80%a8", NOT_FOUND, id="line separator behind"),
        pytest.param("/config%3F", NOT_FOUND, id="encoded question mark"),
        pytest.param("/config%23", NOT_FOUND, id="encoded hash"),
        pytest.param("//config", NOT_FOUND, id="two slashes"),
        pytest.param("/open//config", NOT_FOUND, id="two slashes within"),
        pytest.param("/./config", NOT_FOUND, id="dot"),
        pytest.param("/x/../config", NOT_FOUND, id="dots"),
        pytest.param("/open/../config", NOT_FOUND, id="dots behind a public path"),
        pytest.param("/open/..", OPEN, id="dots for a public parameter"),
        pytest.param("/agents/..", ruled_by("agent"), id="dots for a parameter"),
        pytest.param("/files/../config", ruled_by("files"), id="dots in a path parameter"),
        pytest.param("/files/..%2fopen", ruled_by("files"), id="encoded dots in one"),
        pytest.param("/files/", ruled_by("files"), id="empty path parameter"),
        pytest.param("/opaque/../open", ruled_by("opaque"), id="dots in an opaque app"),
        pytest.param("/opaque/", ruled_by("opaque"), id="opaque app itself"),
        pytest.param("/sub/../open", NOT_FOUND, id="dots in a mounted app"),
        pytest.param("/config/", REDIRECT, id="slash behind"),
        pytest.param("/config/.", NOT_FOUND, id="dot behind"),
        pytest.param("/config;x=1", NOT_FOUND, id="matrix parameter"),
        pytest.param("/open;/../config", NOT_FOUND, id="matrix parameter and dots"),
        pytest.param("/CONFIG", NOT_FOUND, id="upper case"),
        pytest.param("/config.json", NOT_FOUND, id="suffix"),
        pytest.param("/config?/../open", ruled_by("config"), id="path in the query"),
        pytest.param("/config?", ruled_by("config"), id="empty query"),
        pytest.param("/config\\", NOT_FOUND, id="backslash"),
        pytest.param("/open\\..\\config", NOT_FOUND, id="backslashes"),
        pytest.param("/numbers/%EF%BC%91", NOT_FOUND, id="fullwidth digit"),
        pytest.param("/numbers/007", ruled_by("number"), id="leading zeros"),
    ],
)
def test_path_is_ruled_by_what_the_router_makes_of_it(
    served: Served, target: str, outcome: str
) -> None:
    assert_outcome(served, "GET", target, outcome)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        pytest.param("/agents/a%2Fruns", ruled_by("run"), id="slash"),
        pytest.param("/agents/a%252Fruns", WRONG_METHOD, id="slash encoded twice"),
        pytest.param("/agents/..%2Fruns", ruled_by("run"), id="dots and slash"),
        pytest.param("/agents%2Fa%2Fruns", ruled_by("run"), id="all slashes"),
    ],
)
def test_encoded_slash_leads_to_the_rule_of_the_route_that_runs(
    served: Served, target: str, outcome: str
) -> None:
    assert_outcome(served, "POST", target, outcome)


@pytest.mark.parametrize(
    ("target", "outcomes"),
    [
        pytest.param("http://evil/config", {ruled_by("config"), NOT_FOUND}, id="absolute form"),
        pytest.param("https://u:p@evil:99/config", {ruled_by("config"), NOT_FOUND}, id="user"),
        pytest.param("http://evil/open/../config", {NOT_FOUND}, id="absolute form with dots"),
        pytest.param("http://evil/open", {OPEN, NOT_FOUND}, id="absolute form of a public path"),
        pytest.param("http://evil", {REFUSED, NOT_FOUND}, id="absolute form without a path"),
        pytest.param("//evil/config", {NOT_FOUND}, id="no scheme"),
        pytest.param("/config#/open", {ruled_by("config"), NOT_FOUND}, id="fragment"),
        pytest.param("/open#/../config", {OPEN, NOT_FOUND}, id="fragment of a public path"),
        pytest.param("config", {REFUSED, NOT_FOUND}, id="no slash"),
        pytest.param("?/config", {REFUSED, NOT_FOUND, REDIRECT}, id="query alone"),
        pytest.param("*", {REFUSED, NOT_FOUND}, id="asterisk"),
        pytest.param("testserver:80", {REFUSED, NOT_FOUND}, id="authority"),
    ],
)
def test_other_form_of_target_is_ruled_by_what_the_server_makes_of_it(
    served: Served, target: str, outcomes: set[str]
) -> None:
    assert_outcome(served, "GET", target, *outcomes)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        pytest.param("/numbers/" + "9" * 4300, ruled_by("number"), id="digits that Python takes"),
        pytest.param("/numbers/" + "9" * 4301, NO_RULE, id="one more"),
        pytest.param("/numbers/" + "9" * 5000, NO_RULE, id="5,000 digits"),
        pytest.param(f"/tenants/{'9' * 5000}/x", NO_RULE, id="5,000 digits in a mount"),
        pytest.param(f"/tenants/{'9' * 5000}/unknown", NO_RULE, id="and an unknown path below"),
    ],
)
def test_number_that_python_does_not_convert_breaks_nothing(
    served: Served, target: str, outcome: str
) -> None:
    assert_outcome(served, "GET", target, outcome)


def test_endless_path_breaks_nothing(served: Served) -> None:
    assert_outcome(served, "GET", "/agents/" + "a" * 60_000, ruled_by("agent"), REFUSED)
