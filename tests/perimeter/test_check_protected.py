"""`guard.check` of a protected app: what its rules do there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.routing import Route

from fastapi_scopes import OPTIONAL, PUBLIC, Claims, Coverage, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.small import answer, make_app, opaque, plain


def covered(app: FastAPI, rules: Mapping[str, Any] | ScopeMap, **options: Any) -> Coverage:
    guard = make_guard(rules)
    return guard.check(guard.protect(app, **options))


def test_rule_and_requirement_stand_beside_every_endpoint() -> None:
    app = make_app("/a", "/open", "/none")
    app.mount("/sub", make_app("/x"))
    coverage = covered(app, {"GET /a": ["a", "b"], "* /sub/*": OPTIONAL, "GET /open": PUBLIC})
    found = {
        str(each.endpoint): (each.rule.key if each.rule else None, str(each.requirement))
        for each in coverage.endpoints
    }
    assert found == {
        "GET /a": ("GET /a", "a & b"),
        "GET /open": ("GET /open", "PUBLIC"),
        "GET /none": (None, "None"),
        "GET /sub/x": ("* /sub/*", "OPTIONAL"),
    }


def test_docs_stands_beside_the_pages_that_the_map_does_not_name() -> None:
    coverage = covered(FastAPI(redoc_url=None), {"GET /docs": "key"}, docs="docs")
    found = {str(each.endpoint): str(each.requirement) for each in coverage.endpoints}
    assert found == {
        "GET /openapi.json": "docs",
        "HEAD /openapi.json": "docs",
        "GET /docs": "key",
        "HEAD /docs": "key",
        "GET /docs/oauth2-redirect": "docs",
        "HEAD /docs/oauth2-redirect": "docs",
    }
    assert coverage.problems == ()


def test_dependency_does_not_have_to_be_anywhere() -> None:
    # A bare guard calls these open, or out of reach.
    app = make_app("/a")
    app.router.routes.append(Route("/plain", plain, methods=["GET"]))
    guard = make_guard({"GET /a": "a", "GET /plain": "a"})
    assert len(guard.check(app).problems) == 2
    assert guard.check(guard.protect(app), raise_on_gap=True).problems == ()


def test_dependencies_of_other_guards_change_nothing() -> None:
    other = make_guard({"GET /x": "b"})
    app = make_app("/a", dependencies=[Depends(other)])
    app.mount("/sub", make_app("/x", dependencies=[Depends(other)]))
    assert covered(app, {"GET /a": "a"}).problems == (
        "no rule for 'GET /sub/x'; add one, or map it to PUBLIC",
    )


@pytest.mark.parametrize(
    "key", ["GET /opaque/**", "* /opaque/**", "WEBSOCKET /opaque/**", "OPTIONS /opaque/**"]
)
def test_opaque_mount_with_at_least_one_rule_is_no_gap(key: str) -> None:
    app = make_app()
    app.mount("/opaque", opaque)
    assert covered(app, {key: "a"}).problems == ()


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        pytest.param(["GET /s/**"], [], id="GET is HEAD too"),
        pytest.param(["* /s/**"], [], id="any method"),
        pytest.param(
            ["HEAD /s/**"],
            ["no rule for 'GET /s/**'; add one for 'MOUNT /s', which holds for that mount alone"],
            id="HEAD",
        ),
        pytest.param(
            ["GET /s/**", "POST /s/**"],
            ["'POST /s/**' matches no endpoint; did you mean 'GET /s/**'"],
            id="POST",
        ),
    ],
)
def test_static_files_answer_get_and_head_alone(
    tmp_path: Path, keys: list[str], problems: list[str]
) -> None:
    app = make_app()
    app.mount("/s", StaticFiles(directory=tmp_path))
    assert list(covered(app, dict.fromkeys(keys, "a")).problems) == problems


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        pytest.param(
            {"GET /sub/{t}/y": "b", "GET /sub/{t}/x": "a"},
            "'GET /sub/{t}/y' matches no endpoint",
            id="other path",
        ),
        pytest.param(
            {"GET /x": "b", "GET /sub/{t}/x": "a"}, "'GET /x' matches no endpoint", id="no prefix"
        ),
        pytest.param(
            {"GET /sub/*/x": "b", "GET /sub/{t}/x": "a"},
            "'GET /sub/*/x' wins for no endpoint, 'GET /sub/{t}/x' wins before it",
            id="shadowed",
        ),
        pytest.param(
            {"GET /sub/{tenant}/x": "b", "GET /sub/{t}/x": "a"},
            "'GET /sub/{tenant}/x' matches no endpoint: a segment is not what '/sub/{t}/x' has",
            id="other name of the mount's parameter",
        ),
    ],
)
def test_rule_that_decides_nothing_is_named(rules: dict[str, str], message: str) -> None:
    app = make_app()
    app.mount("/sub/{t}", make_app("/x"))
    coverage = covered(app, rules)
    assert len(coverage.dead) == 1
    (problem,) = coverage.problems
    assert problem.startswith(message)


def test_rule_that_loses_somewhere_is_listed() -> None:
    app = make_app("/a")
    app.mount("/sub/{t}", make_app("/x", "/y"))
    defaults = ScopeMap({"GET /sub/{t}/x": "a"}, optional=True)
    coverage = covered(app, defaults | {"GET /sub/*/*": "b", "GET /a": "a"})
    assert coverage.problems == ()
    assert [each.message for each in coverage.shadowed] == [
        "'GET /sub/*/*' loses to 'GET /sub/{t}/x' on 'GET /sub/{t}/x'"
    ]


def test_handler_that_does_not_expect_none_is_named_wherever_it_is() -> None:
    guard = make_guard({"GET /sub/feed": OPTIONAL})
    sub = make_app()

    @sub.get("/feed")
    async def feed(claims: Annotated[Claims, Depends(guard)]) -> None: ...

    app = make_app()
    app.mount("/sub", sub)
    (notice,) = guard.check(guard.protect(app)).notices
    assert "feed is None on 'GET /sub/feed' (OPTIONAL); annotate it with '| None'" in notice


def test_router_included_or_mounted_twice_is_listed_at_each_place() -> None:
    app, router, sub = make_app(), APIRouter(), make_app("/x")
    router.add_api_route("/r", answer)
    for prefix in ("/one", "/two"):
        app.include_router(router, prefix=prefix)
        app.mount(f"{prefix}/sub", sub)
    coverage = covered(app, {"GET /one/**": "a"})
    assert [str(each.endpoint) for each in coverage.gaps] == ["GET /two/r", "GET /two/sub/x"]


def make_self_mounted() -> FastAPI:
    app = make_app("/a")
    app.mount("/self", app)
    return app


def test_app_mounted_in_itself_is_listed_once_and_opaque_below_itself() -> None:
    coverage = covered(make_self_mounted(), {"GET /a": "a"})
    assert [str(each) for each in coverage.endpoints] == ["'GET /a'", "'* /self/**'"]
    assert coverage.problems == (
        "no rule for '* /self/**'; add one for 'MOUNT /self', which holds for that mount alone",
    )


@pytest.mark.parametrize("path", ["/self/a", "/self/self/a", "/self/nope", "/self/"])
def test_app_mounted_in_itself_denies_below_itself(path: str) -> None:
    app = make_guard({"GET /a": "a"}).protect(make_self_mounted(), strict=False)
    client = TestClient(app)
    assert client.get("/a", headers=bearer("a")).status_code == 200
    assert client.get(path).status_code == 401
    assert client.get(path, headers=bearer("a")).status_code == 403


def test_check_sees_the_routes_of_now() -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"))
    assert guard.check(app).gaps == ()
    app.add_api_route("/late", answer)
    assert [str(each.endpoint) for each in guard.check(app).gaps] == ["GET /late"]
    app.router.routes.clear()
    assert [each.rule.key for each in guard.check(app).dead] == ["GET /a"]


def test_gaps_are_raised_all_at_once_where_that_is_asked_for() -> None:
    guard = make_guard({"GET /dead": "a"})
    app = guard.protect(make_app("/a", "/b"), strict=False)
    with pytest.raises(ConfigurationError) as raised:
        guard.check(app, raise_on_gap=True)
    assert tuple(map(str, raised.value.problems)) == guard.check(app).problems
    assert len(raised.value.problems) == 3


def test_check_decides_nothing_and_leaves_no_trace() -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"))
    client = TestClient(app)
    for _ in range(2):
        guard.check(app)
        assert client.get("/a").status_code == 401
        assert client.get("/a", headers=bearer("a")).status_code == 200
