"""`guard.check`: what is open, dead, shadowed or out of reach, all of it by name."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from fastapi_scopes import OPTIONAL, PUBLIC, Claims, ScopeMap
from fastapi_scopes.core.coverage import Kind, Reach
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard


async def answer() -> str:
    return "ran"


async def plain(request: Request) -> Response:
    return PlainTextResponse("ran")


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()


async def opaque(asgi_scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("ran")(asgi_scope, receive, send)


def make_app(*paths: str, **options: Any) -> FastAPI:
    app = FastAPI(openapi_url=None, **options)
    for path in paths:
        app.add_api_route(path, answer)
    return app


def test_covered_app_has_no_problems() -> None:
    guard = make_guard({"GET /a": "a", "GET /b": PUBLIC})
    coverage = guard.check(make_app("/a", "/b", dependencies=[Depends(guard)]), raise_on_gap=True)
    assert coverage.problems == ()
    assert [str(each) for each in coverage.endpoints] == ["'GET /a'", "'GET /b'"]
    first = coverage.endpoints[0]
    assert first.endpoint.kind is Kind.API_ROUTE
    assert first.endpoint.reach is Reach.GUARDED
    assert first.endpoint.source == f"{__name__}.answer"
    assert str(first.requirement) == "a"


def test_all_gaps_are_named_at_once() -> None:
    guard = make_guard({"GET /a": "a", "GET /dead": "a", "GET /plain": "a"})
    app = make_app("/a", "/unruled", dependencies=[])
    app.add_api_route("/guarded", answer, dependencies=[Depends(guard)])
    app.router.routes.append(Route("/plain", plain, methods=["GET"]))
    app.mount("/static", StaticFiles(directory="."))
    with pytest.raises(ConfigurationError) as raised:
        guard.check(app, raise_on_gap=True)
    assert tuple(map(str, raised.value.problems)) == (
        "nothing enforces 'GET /a' on 'GET /a'; put Depends(guard) on the route",
        "'GET /unruled' is open: no rule, and no guard runs; put Depends(guard) on the route and "
        "add a rule, or map it to PUBLIC",
        "no rule for 'GET /guarded'; add one, or map it to PUBLIC",
        "no dependency reaches 'GET /plain' (plain route); map it to PUBLIC, or take it out",
        "no dependency reaches 'GET /static/**' (mounted ASGI app); map 'MOUNT /static' to PUBLIC, "
        "or take it out",
        "'GET /dead' matches no endpoint; correct it, or take it out",
    )


def test_without_raise_on_gap_the_gaps_are_only_returned() -> None:
    coverage = make_guard({}).check(make_app("/a"))
    assert [gap.gap for gap in coverage.gaps] == [FindingCode.OPEN]
    assert str(coverage).startswith("1 endpoints, 1 gaps\n'GET /a' is open: no rule, and no guard")


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"check\(\) looks at an app, not at 'APIRouter'"):
        make_guard({}).check(APIRouter())  # type: ignore[arg-type]


def test_docs_pages_are_one_gap() -> None:
    guard = make_guard({})
    (problem,) = guard.check(FastAPI(dependencies=[Depends(guard)])).problems
    for page in ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"):
        assert f"'GET {page}'" in problem
    assert "map them to PUBLIC" in problem


def test_public_needs_no_guard_wherever_it_is() -> None:
    guard = make_guard(
        {
            "GET /docs/**": PUBLIC,
            "GET /redoc": PUBLIC,
            "GET /openapi.json": PUBLIC,
            "GET /plain": PUBLIC,
            "WEBSOCKET /ws": PUBLIC,
            "GET /static/**": PUBLIC,
            "* /opaque/**": PUBLIC,
            "GET /open": PUBLIC,
        }
    )
    app = FastAPI()
    app.add_api_route("/open", answer)
    app.mount("/static", StaticFiles(directory="."))
    app.mount("/opaque", opaque)
    app.router.routes += [Route("/plain", plain), WebSocketRoute("/ws", greet)]
    assert guard.check(app, raise_on_gap=True).gaps == ()


def test_opaque_app_is_open_where_only_one_method_is_public() -> None:
    guard = make_guard({"GET /opaque/**": PUBLIC})
    app = make_app()
    app.mount("/opaque", opaque)
    coverage = guard.check(app)
    assert [gap.gap for gap in coverage.gaps] == [FindingCode.UNREACHABLE]
    assert coverage.dead == ()


def test_contents_of_an_included_router_out_of_reach_are_named() -> None:
    guard = make_guard({"GET /inc/plain": "a", "WEBSOCKET /inc/ws": "a"})
    router = APIRouter()
    router.routes += [Route("/plain", plain, methods=["GET"]), WebSocketRoute("/ws", greet)]
    router.routes.append(Mount("/m", app=opaque))
    app = make_app(dependencies=[Depends(guard)])
    app.include_router(router, prefix="/inc")
    problems = "\n".join(guard.check(app).problems)
    for named in ("GET /inc/plain", "WEBSOCKET /inc/ws", "* /inc/m/**"):
        assert f"no dependency reaches {named!r}" in problems


def test_mounted_app_is_judged_by_its_own_templates() -> None:
    guard = make_guard({"GET /x": "a"})
    app = make_app()
    app.mount("/v1", make_app("/x", "/y", dependencies=[Depends(guard)]))
    app.mount("/v2", make_app("/x", dependencies=[Depends(guard)]))
    app.mount("/v3", make_app("/x"))
    coverage = guard.check(app)
    assert coverage.problems == (
        "no rule for 'GET /y' in the app mounted at '/v1'; add one, or map it to PUBLIC",
        "nothing enforces 'GET /x' on 'GET /x' in the app mounted at '/v3'; "
        "put Depends(guard) on the route",
    )
    assert [each.message for each in coverage.shared] == [
        "'GET /x' decides in the apps at '/v1', '/v2'"
    ]


def test_mounted_app_with_a_guard_of_its_own_is_that_guards() -> None:
    guard, inner = make_guard({"GET /x": "a"}), make_guard({"GET /x": "b", "GET /y": "b"})
    app = make_app("/x", dependencies=[Depends(guard)])
    app.mount("/v1", make_app("/x", "/y", dependencies=[Depends(inner)]))
    assert guard.check(app).problems == ()


def test_another_guard_in_the_same_app_does_not_enforce_this_map() -> None:
    guard, other = make_guard({"GET /x": "a"}), make_guard({"GET /x": "b", "GET /y": "b"})
    app = make_app("/x", "/y", dependencies=[Depends(other)])
    (problem,) = guard.check(app).problems
    assert problem.startswith("another guard decides on 'GET /x'")


def test_app_mounted_in_itself_is_looked_at_once() -> None:
    guard = make_guard({"GET /x": "a"})
    app = make_app("/x", dependencies=[Depends(guard)])
    app.mount("/again", app)
    assert guard.check(app).problems == ()


DEAD = [
    ({"GET /a/*": "x", "GET /a/{i}": "y"}, "'GET /a/*' wins for no endpoint, 'GET /a/{i}' wins"),
    ({"GET /a/{i}": "y", "POST /a/{i}": "x"}, "'POST /a/{i}' matches no endpoint"),
    (
        {"GET /a/{i}": "y", "GET /a/7": "x"},
        "'GET /a/7' matches no endpoint: a segment is not what '/a/{i}' has",
    ),
    (
        {"GET /a/{i}": "y", "GET /a/{j}": "x"},
        "'GET /a/{j}' matches no endpoint: a segment is not what '/a/{i}' has",
    ),
]


@pytest.mark.parametrize(("rules", "message"), DEAD, ids=[message for _, message in DEAD])
def test_rule_that_decides_nothing_is_named(rules: dict[str, Any], message: str) -> None:
    guard = make_guard(rules)
    (problem,) = guard.check(make_app("/a/{i}", dependencies=[Depends(guard)])).problems
    assert problem.startswith(message)


def test_rule_of_a_preset_may_match_nothing() -> None:
    preset = ScopeMap({"GET /a": "a", "GET /absent": "a"}, optional=True)
    guard = make_guard(preset | {"GET /b": "b"})
    assert guard.check(make_app("/a", "/b", dependencies=[Depends(guard)])).problems == ()


def test_rule_that_loses_to_the_left_everywhere_is_an_error_naming_both() -> None:
    defaults = ScopeMap({"GET /a/{i}": "a"}, optional=True)
    guard = make_guard(defaults | {"GET /a/*": "b"})
    (problem,) = guard.check(make_app("/a/{i}", dependencies=[Depends(guard)])).problems
    assert problem.startswith("'GET /a/*' wins for no endpoint, 'GET /a/{i}' wins before it")


def test_rule_that_loses_to_the_left_somewhere_is_listed() -> None:
    defaults = ScopeMap({"GET /a/{i}": "a"}, optional=True)
    guard = make_guard(defaults | {"GET /a/**": "b"})
    coverage = guard.check(make_app("/a/{i}", "/a", dependencies=[Depends(guard)]))
    assert coverage.problems == ()
    assert [each.message for each in coverage.shadowed] == [
        "'GET /a/**' loses to 'GET /a/{i}' on 'GET /a/{i}'"
    ]


def test_custom_key_that_never_wins_names_the_default_before_it() -> None:
    defaults = ScopeMap.from_scope_mappings({"GET /a/*": ["a"]}, optional=True)
    guard = make_guard(defaults | ScopeMap.from_scope_mappings({"GET /a/{i}/runs": ["b"]}))
    (problem,) = guard.check(make_app("/a/{i}/runs", dependencies=[Depends(guard)])).problems
    assert problem.startswith("'GET /a/*/runs' wins for no endpoint, 'GET /a/*' wins before it")


def test_imported_key_that_only_some_values_meet_is_no_rule_and_is_named() -> None:
    guard = make_guard(ScopeMap.from_scope_mappings({"GET /a/me": ["a"]}))
    problems = guard.check(make_app("/a/{i}", dependencies=[Depends(guard)])).problems
    assert problems[0].startswith("no rule for 'GET /a/{i}'")
    assert problems[1].startswith(
        "'GET /a/me' matches no endpoint: a segment is not what '/a/{i}' has there"
    )


def test_handler_that_does_not_expect_none_is_named() -> None:
    guard = make_guard({"GET /feed": OPTIONAL, "GET /open": PUBLIC, "GET /ok": OPTIONAL})
    app = make_app()

    @app.get("/feed")
    async def feed(claims: Annotated[Claims, Depends(guard)]) -> None: ...

    @app.get("/open")
    async def opened(claims: Claims = Depends(guard)) -> None: ...

    @app.get("/ok")
    async def ok(
        claims: Annotated[Claims | None, Depends(guard)], _: Any = Depends(guard)
    ) -> None: ...

    coverage = guard.check(app, raise_on_gap=True)
    assert [notice.split(" is None")[0].rsplit(".", 1)[1] for notice in coverage.notices] == [
        "feed",
        "opened",
    ]
    assert all("annotate it with '| None'" in notice for notice in coverage.notices)
