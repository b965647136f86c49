"""What a gap does to an app that starts."""

import logging
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Route

from fastapi_scopes import AUTHENTICATED, PUBLIC, Claims, ScopeGuard, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.small import Lifespan, answer, make_app, opaque, plain

ROOT = Path(__file__).parents[2]


def start(app: Starlette) -> None:
    with TestClient(app):
        pass


def problems_at_start(app: Starlette) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        start(app)
    return tuple(map(str, raised.value.problems))


def test_start_names_every_gap_at_once() -> None:
    app = make_app("/a", "/b", "/c/{c_id}")
    app.mount("/opaque", opaque)
    app.mount("/sub", make_app("/x"))
    make_guard({"GET /a": "a", "GET /dead": "a"}).protect(app)
    assert problems_at_start(app) == (
        "no rule for 'GET /b'; add one, or map it to PUBLIC",
        "no rule for 'GET /c/{c_id}'; add one, or map it to PUBLIC",
        "no rule for '* /opaque/**'; add one for 'MOUNT /opaque', which holds for that mount alone",
        "no rule for 'GET /sub/x'; add one, or map it to PUBLIC",
        "'GET /dead' matches no endpoint; correct it, or take it out",
    )


def test_app_without_a_gap_starts_and_is_served() -> None:
    app = make_app("/a", "/open")
    make_guard({"GET /a": "a", "GET /open": PUBLIC}).protect(app)
    with TestClient(app) as client:
        assert client.get("/open").text == '"ran"'
        assert client.get("/a").status_code == 401
        assert client.get("/a", headers=bearer("a")).text == '"ran"'


def test_rule_of_a_preset_may_match_nothing() -> None:
    app = make_app("/a")
    make_guard(ScopeMap({"GET /a": "a", "GET /absent": "a"}, optional=True)).protect(app)
    start(app)


@pytest.mark.parametrize("swallows", [False, True], ids=["plain", "swallowing"])
def test_lifespan_is_left_again_on_a_gap_and_hides_none(swallows: bool) -> None:
    lifespan = Lifespan(swallows=swallows)
    app = make_guard({}).protect(make_app("/a", lifespan=lifespan))
    assert problems_at_start(app) == ("no rule for 'GET /a'; add one, or map it to PUBLIC",)
    assert lifespan.seen == ["entered", "left"]


def test_routes_that_the_lifespan_adds_are_looked_at() -> None:
    @asynccontextmanager
    async def adding(app: FastAPI) -> Any:
        app.add_api_route("/late", answer)
        yield

    app = make_guard({}).protect(make_app(lifespan=adding))
    assert problems_at_start(app) == ("no rule for 'GET /late'; add one, or map it to PUBLIC",)
    app = make_guard({"GET /late": "a"}).protect(make_app(lifespan=adding))
    start(app)


def test_lifespan_runs_once_around_serving_and_its_state_reaches_requests() -> None:
    lifespan = Lifespan({"db": 1})
    app = make_app(lifespan=lifespan)

    @app.get("/db")
    async def db(request: Request) -> int:
        return int(request.state.db)

    make_guard({"GET /db": PUBLIC}).protect(app)
    with TestClient(app) as client:
        assert lifespan.seen == ["entered"]
        assert client.get("/db").json() == 1
    assert lifespan.seen == ["entered", "left"]


def test_events_of_start_and_shutdown_still_run() -> None:
    seen: list[str] = []
    app = make_app(
        on_startup=[lambda: seen.append("up")], on_shutdown=[lambda: seen.append("down")]
    )
    make_guard({}).protect(app)
    app.router.on_startup.append(lambda: seen.append("up, added late"))
    with TestClient(app):
        assert seen == ["up", "up, added late"]
    assert seen == ["up", "up, added late", "down"]


@pytest.mark.parametrize("rules", [{"GET /r": PUBLIC}, {}], ids=["no gap", "gap"])
def test_router_with_a_lifespan_of_its_own_may_be_included_later(rules: dict[str, Any]) -> None:
    lifespan = Lifespan({"db": 1}, swallows=True)
    router = APIRouter(lifespan=lifespan)
    router.add_api_route("/r", answer)
    app = make_guard(rules).protect(make_app())
    app.include_router(router)
    if rules:
        with TestClient(app) as client:
            assert client.get("/r").status_code == 200
        assert lifespan.seen == ["entered", "left"]
    else:
        assert problems_at_start(app) == ("no rule for 'GET /r'; add one, or map it to PUBLIC",)
        assert lifespan.seen in ([], ["entered", "left"])


@pytest.mark.parametrize("rules", [{"GET /a": "a"}, {}], ids=["no gap", "gap"])
def test_starlette_app_starts_like_any_other(rules: dict[str, Any]) -> None:
    lifespan = Lifespan()
    app = Starlette(routes=[Route("/a", plain, methods=["GET"])], lifespan=lifespan)
    make_guard(rules).protect(app)
    if rules:
        with TestClient(app) as client:
            assert client.get("/a").status_code == 401
            assert client.get("/a", headers=bearer("a")).text == "ran"
    else:
        assert problems_at_start(app) == ("no rule for 'GET /a'; add one, or map it to PUBLIC",)
    assert lifespan.seen == ["entered", "left"]


def test_app_that_did_not_start_serves_no_one_until_it_starts() -> None:
    app = make_app("/a", "/b")
    make_guard({"GET /a": PUBLIC}).protect(app)
    client = TestClient(app)
    assert len(problems_at_start(app)) == 1
    assert client.get("/a").status_code == 503
    app.router.routes.pop()
    with client:
        assert client.get("/a").status_code == 200


def make_contradiction(guard: ScopeGuard[Any]) -> FastAPI:
    app = make_app("/unruled")
    app.add_api_route("/x", answer, dependencies=[Security(guard, scopes=["b:2"])])
    return app


CONTRADICTION = "'GET /x' asks for 'b:2', yet 'GET /x' is PUBLIC; drop the scopes or the PUBLIC"


def test_route_that_asks_for_scopes_on_a_public_rule_fails_the_start() -> None:
    guard = make_guard({"GET /x": PUBLIC, "GET /unruled": "a"})
    assert problems_at_start(guard.protect(make_contradiction(guard))) == (CONTRADICTION,)


def test_contradiction_hides_no_gap() -> None:
    guard = make_guard({"GET /x": PUBLIC})
    assert set(problems_at_start(guard.protect(make_contradiction(guard)))) == {
        CONTRADICTION,
        "no rule for 'GET /unruled'; add one, or map it to PUBLIC",
    }


def test_route_that_asks_for_scopes_on_a_public_rule_is_shut_where_that_is_tolerated() -> None:
    guard = make_guard({"GET /x": PUBLIC, "GET /unruled": PUBLIC})
    with TestClient(guard.protect(make_contradiction(guard), strict=False)) as client:
        assert client.get("/x").status_code == 401
        assert client.get("/x", headers=bearer("b:2")).status_code == 403
        assert client.get("/unruled").status_code == 200


def make_app_with_a_gap() -> FastAPI:
    """Return what uvicorn is asked to serve."""
    return make_guard({"GET /a": PUBLIC}).protect(make_app("/a", "/forgotten"))


@pytest.mark.parametrize("lifespan", ["auto", "on"])
def test_server_exits_on_a_gap_and_says_which(lifespan: str) -> None:
    # A lifespan that fails in the wrong place is one that an "auto" server does without.
    factory = f"{make_app_with_a_gap.__module__}:{make_app_with_a_gap.__name__}"
    command = ["-m", "uvicorn", "--factory", factory, "--port", "0", "--lifespan", lifespan]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    finished = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode != 0
    assert "no rule for 'GET /forgotten'; add one, or map it to PUBLIC" in finished.stderr
    assert "startup complete" not in finished.stderr
    assert "running on" not in finished.stderr


def test_what_is_worth_a_look_is_logged_and_keeps_nothing_shut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    defaults = ScopeMap({"GET /a/{i}": "a"}, optional=True)
    guard = make_guard(defaults | {"GET /a/**": AUTHENTICATED, "GET /open": PUBLIC})
    app = make_app("/a/{i}", "/a")

    @app.get("/open")
    async def opened(claims: Annotated[Claims, Depends(guard)]) -> None: ...

    with caplog.at_level(logging.INFO, "fastapi_scopes"):
        start(guard.protect(app))
    shadowed, notice = caplog.messages
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert shadowed == (
        "'GET /a/**' loses to 'GET /a/{i}' on 'GET /a/{i}'; write 'GET /a/{i}' where it should "
        "decide there"
    )
    assert notice.endswith("opened is None on 'GET /open' (PUBLIC); annotate it with '| None'")
