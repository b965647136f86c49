"""Attacks by the root path of a server or an app, and by mounts that see it otherwise."""

import pytest
from fastapi import FastAPI
from starlette.routing import Route, Router

from fastapi_scopes import PUBLIC
from tests.apps import make_guard
from tests.perimeter.outcomes import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    RAN,
    AnyMethod,
    outcome_of,
    ruled_by,
    running,
)
from tests.perimeter.serving import SERVERS, serve

RULES = {
    "GET /config": "config",
    "GET /open": PUBLIC,
    "GET /open/{name}": PUBLIC,
    "GET /sub/config": PUBLIC,
    "GET /sub/sub/config": "sub-sub",
    "GET /other/config": PUBLIC,
    "GET /other/other/config": "other-other",
    "GET /n/{n}/x": "x",
    "GET /n/{n}/n/{m}/x": "n-x",
    "* /opaque/**": "opaque",
}
SCOPES = frozenset(rule for rule in RULES.values() if isinstance(rule, str))

each_server = pytest.mark.parametrize("http", SERVERS)


def make_app(*, root_path: str = "", other_root_path: str = "") -> FastAPI:
    """Return an app of which some guarded routes look like public ones, one mount further out."""
    app = FastAPI(openapi_url=None)
    app.add_api_route("/config", running("config"))
    app.add_api_route("/open", running("public"))
    app.add_api_route("/open/{name}", running("public"))
    sub = FastAPI(openapi_url=None)
    sub.add_api_route("/config", running("public"))
    sub.add_api_route("/sub/config", running("sub-sub"))
    other = FastAPI(openapi_url=None)
    other.add_api_route("/config", running("public"))
    other.add_api_route("/other/config", running("other-other"))
    # FastAPI warns of the argument; the attribute is what it reads.
    app.root_path, other.root_path = root_path, other_root_path
    numbers = Router([Route("/x", running("x")), Route("/n/{m}/x", running("n-x"))])
    app.mount("/sub", sub)
    app.mount("/other", other)
    app.mount("/n/{n}", numbers)
    app.mount("/opaque", AnyMethod("opaque"))
    return app


def make_protected(*, root_path: str = "") -> FastAPI:
    return make_guard(RULES).protect(make_app(root_path=root_path))


@each_server
@pytest.mark.parametrize("root_path", ["/proxy", "/open", "/sub", "/proxy/", "/", "/n/1"])
def test_root_path_of_the_server_changes_no_rule(http: str, root_path: str) -> None:
    """The proxy strips what the server then puts in front again."""
    with serve(make_protected(), http=http, root_path=root_path) as served:
        assert outcome_of(served, "GET", "/config", scopes=SCOPES) == ruled_by("config")
        assert outcome_of(served, "GET", "/config%0a", scopes=SCOPES) == NO_RULE
        assert outcome_of(served, "GET", "/open/x", scopes=SCOPES) == OPEN
        assert outcome_of(served, "GET", "/sub/config", scopes=SCOPES) == OPEN
        assert outcome_of(served, "GET", "/sub/sub/config", scopes=SCOPES) == ruled_by("sub-sub")
        assert outcome_of(served, "GET", "/n/1/x", scopes=SCOPES) == ruled_by("x")
        assert outcome_of(served, "GET", "/n/1/n/1/x", scopes=SCOPES) == ruled_by("n-x")
        assert outcome_of(served, "GET", "/opaque/x", scopes=SCOPES) == ruled_by("opaque")


@each_server
def test_root_path_of_the_server_that_the_proxy_left_is_an_unknown_path(http: str) -> None:
    with serve(make_protected(), http=http, root_path="/proxy") as served:
        for target in ["/proxy/config", "/proxy/sub/config", "/proxy/open", "/proxy"]:
            assert outcome_of(served, "GET", target, scopes=SCOPES) == NOT_FOUND


@each_server
def test_root_path_of_the_app_is_taken_off_or_not_as_the_router_does(http: str) -> None:
    with serve(make_protected(root_path="/proxy"), http=http) as served:
        for stripped in ["", "/proxy"]:
            outcome = outcome_of(served, "GET", f"{stripped}/config", scopes=SCOPES)
            assert outcome == ruled_by("config")
            assert outcome_of(served, "GET", f"{stripped}/open", scopes=SCOPES) == OPEN
        for target in ["/proxy/proxy/config", "/proxyconfig", "/proxy%0a/config", "/PROXY/config"]:
            assert outcome_of(served, "GET", target, scopes=SCOPES) in {NOT_FOUND, NO_RULE}


@each_server
def test_mount_behind_a_stripped_root_path_is_ruled_by_what_runs_there(http: str) -> None:
    """There the mounted app does not take its own prefix off, and another route of it runs."""
    with serve(make_protected(root_path="/proxy"), http=http) as served:
        assert outcome_of(served, "GET", "/proxy/sub/config", scopes=SCOPES) == OPEN
        outcome = outcome_of(served, "GET", "/proxy/sub/sub/config", scopes=SCOPES)
        assert outcome == ruled_by("sub-sub")
        assert outcome_of(served, "GET", "/sub/config", scopes=SCOPES) == ruled_by("sub-sub")
        assert outcome_of(served, "GET", "/n/1/x", scopes=SCOPES) == ruled_by("n-x")
        assert outcome_of(served, "GET", "/opaque/x", scopes=SCOPES) == ruled_by("opaque")


@each_server
@pytest.mark.parametrize("other_root_path", ["/elsewhere", "/other/config", "/"])
@pytest.mark.parametrize("root_path", ["", "/other"], ids=["none of the server", "of the server"])
def test_mounted_app_with_a_root_path_of_its_own_is_ruled_by_what_runs_there(
    http: str, other_root_path: str, root_path: str
) -> None:
    bare, shut = (
        make_app(other_root_path=other_root_path),
        make_app(other_root_path=other_root_path),
    )
    make_guard(RULES).protect(shut)
    with (
        serve(bare, http=http, root_path=root_path) as unprotected,
        serve(shut, http=http, root_path=root_path) as served,
    ):
        for target in ["/config", "/other/config", "/other/other/config", "/other/other/other"]:
            answer = unprotected.request("GET", target)
            runs = answer.field(RAN)
            ruled = OPEN if runs == "public" else ruled_by(runs or "")
            expected = ruled if answer.status == 200 else str(answer.status)
            assert outcome_of(served, "GET", target, scopes=SCOPES) == expected
