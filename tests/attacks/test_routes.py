"""Attacks on which rule is found for a request."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.staticfiles import StaticFiles

from fastapi_scopes import DENY, PUBLIC, ScopeMap
from tests.apps import bearer, make_guard


async def answer() -> str:
    return "ran"


async def plain(request: Request) -> Response:
    return PlainTextResponse("ran")


def router_with(path: str, **options: Any) -> APIRouter:
    router = APIRouter(**options)
    router.add_api_route(path, answer)
    return router


def test_same_router_under_two_prefixes_has_two_rules() -> None:
    guard = make_guard({"GET /open/x": PUBLIC, "GET /shut/x": "admin"})
    router, app = router_with("/x"), FastAPI(dependencies=[Depends(guard)])
    app.include_router(router, prefix="/open")
    app.include_router(router, prefix="/shut")
    client = TestClient(app)
    assert client.get("/open/x").status_code == 200
    assert client.get("/shut/x").status_code == 401
    assert client.get("/shut/x", headers=bearer("other")).status_code == 403


def test_leaf_path_without_prefixes_selects_no_rule() -> None:
    guard = make_guard({"GET /x": PUBLIC})
    app = FastAPI(dependencies=[Depends(guard)])
    app.include_router(router_with("/x"), prefix="/v1")
    assert TestClient(app).get("/v1/x").status_code == 401


def test_router_mounted_twice_is_denied() -> None:
    guard = make_guard({"GET /one/x": PUBLIC, "GET /two/x": "admin"})
    router, app = router_with("/x", dependencies=[Depends(guard)]), FastAPI(openapi_url=None)
    app.mount("/one", router)
    app.mount("/two", router)
    client = TestClient(app)
    assert [client.get(p, headers=bearer("admin")).status_code for p in ("/one/x", "/two/x")] == [
        403,
        403,
    ]
    problems = guard.check(app).problems
    assert [("/one/x" in p, "/two/x" in p) for p in problems] == [(True, False), (False, True)]


def test_context_left_over_from_outside_a_mount_selects_nothing() -> None:
    """The context of the mount in the included router is still there when the sub-app runs."""
    guard = make_guard({"GET /inc/m": PUBLIC, "GET /x": "admin"})
    sub = FastAPI(dependencies=[Depends(guard)])
    sub.add_api_route("/x", answer)
    router = APIRouter()
    router.mount("/m", sub)
    app = FastAPI()
    app.include_router(router, prefix="/inc")
    assert TestClient(app).get("/inc/m/x").status_code == 401


def test_verdict_of_one_route_does_not_open_another() -> None:
    """An endpoint hands its own connection on to another route of the app."""
    guard = make_guard({"GET /door": [], "GET /vault": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/vault", answer)

    class Forwarding(Response):
        async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
            await app({**asgi_scope, "path": "/vault"}, receive, send)

    @app.get("/door")
    async def door(request: Request) -> Response:
        return Forwarding()

    client = TestClient(app)
    assert client.get("/door", headers=bearer()).status_code == 403
    assert client.get("/door", headers=bearer("admin")).json() == "ran"


@pytest.mark.parametrize(
    "path", [f"/config%{code:02x}" for code in (*range(0x20), 0x7F)] + ["/config%0a%0d"]
)
def test_control_character_in_the_path_has_no_rule(path: str) -> None:
    client = TestClient(_config_app())
    assert client.get(path).status_code in {401, 404}
    assert client.get(path, headers=bearer("admin")).status_code in {403, 404}


def test_trailing_newline_reaches_the_route_and_is_denied_there() -> None:
    assert TestClient(_config_app()).get("/config%0a").status_code == 401


def _config_app() -> FastAPI:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /config": PUBLIC, "GET /i/{i}": PUBLIC}))])
    app.add_api_route("/config", answer)
    app.add_api_route("/i/{i}", answer)
    return app


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_method_override_headers_are_not_read(name: str) -> None:
    guard = make_guard({"GET /x": PUBLIC, "DELETE /x": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer, methods=["GET", "DELETE"])
    assert TestClient(app).delete("/x", headers={name: "GET"}).status_code == 401
    assert TestClient(app).delete("/x?_method=GET").status_code == 401


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"]
)
def test_forwarded_paths_are_not_read(name: str) -> None:
    guard = make_guard({"GET /open": PUBLIC, "GET /x": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    assert TestClient(app).get("/x", headers={name: "/open"}).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/agents/a%2Fruns", "/agents/..", "/agents/a/runs", "/agents/%2A", "/agents/{agent_id}"],
)
def test_text_of_a_parameter_selects_no_rule(path: str) -> None:
    """Each of them either is another route, or none, or the route of one agent."""
    guard = make_guard({"GET /agents/{agent_id}": "admin", "GET /agents/*/runs": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/agents/{agent_id}", answer)
    app.add_api_route("/agents/{agent_id}/runs", answer)
    assert TestClient(app).get(path).status_code in {401, 404}


def test_options_is_not_opened_by_any_method() -> None:
    guard = make_guard({"* /x": PUBLIC})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer, methods=["OPTIONS", "GET"])
    client = TestClient(app)
    assert client.get("/x").status_code == 200
    assert client.options("/x").status_code == 401


def test_route_that_the_app_does_not_have_is_denied() -> None:
    """A route hidden in an opaque app runs the guard; no rule of the outer app is meant for it."""
    guard = make_guard({"GET /x": PUBLIC})
    hidden = router_with("/x", dependencies=[Depends(guard)])

    async def opaque(asgi_scope: Any, receive: Any, send: Any) -> None:
        await hidden(asgi_scope, receive, send)

    app = FastAPI()
    app.mount("/m", opaque)
    assert TestClient(app).get("/m/x").status_code == 401


def test_late_route_without_a_rule_is_denied() -> None:
    guard = make_guard({"GET /x": PUBLIC})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    client = TestClient(app)
    assert client.get("/x").status_code == 200
    app.add_api_route("/late", answer)
    assert client.get("/late").status_code == 401


def test_replaced_route_is_ruled_by_its_own_template() -> None:
    guard = make_guard({"GET /x": PUBLIC, "GET /y": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    client = TestClient(app)
    assert client.get("/x").status_code == 200
    app.router.routes.pop()
    app.add_api_route("/y", answer)
    assert client.get("/y").status_code == 401


def test_plain_route_is_named_by_the_check() -> None:
    guard = make_guard({"GET /plain": "admin"})
    app = FastAPI(dependencies=[Depends(guard)], openapi_url=None)
    app.router.routes.append(Route("/plain", plain))
    (problem,) = guard.check(app).problems
    assert "no dependency reaches 'GET /plain'" in problem


@pytest.mark.parametrize("hidden", ["frontend", "opaque app", "router mounted twice"])
def test_denied_requests_do_not_read_the_routes_again(hidden: str, tmp_path: Path) -> None:
    """Attack: requests that are denied anyway cost more the more routes there are."""
    (tmp_path / "index.html").write_text("ran")
    guard = make_guard({"GET /x": PUBLIC})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    router = router_with("/x", dependencies=[Depends(guard)])

    async def opaque(asgi_scope: Any, receive: Any, send: Any) -> None:
        await router(asgi_scope, receive, send)

    app.mount("/twice", router if "twice" in hidden else opaque)
    if "twice" in hidden:
        app.mount("/again", router)
    app.frontend("/ui", directory=tmp_path)
    path = "/ui/" if hidden == "frontend" else "/twice/x"
    client = TestClient(app)
    assert client.get(path).status_code == 401
    reads: list[int] = []
    routes = CountedRoutes(app.router.routes, reads)
    app.router.routes = routes
    assert [client.get(path).status_code for _ in range(5)] == [401] * 5
    # The router itself looks through them: once, and thrice on its way to a frontend; the guard
    # once, after the change.
    assert len(reads) <= 5 * (3 if hidden == "frontend" else 1) + 3
    assert client.get("/x").status_code == 200


class CountedRoutes(list[Any]):
    def __init__(self, routes: list[Any], reads: list[int]) -> None:
        super().__init__(routes)
        self.reads = reads

    def __iter__(self) -> Any:
        self.reads.append(1)
        return super().__iter__()


def test_other_method_of_the_guard_does_not_count_as_the_guard() -> None:
    guard = make_guard({"GET /x": "admin"})
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer, dependencies=[Depends(guard.claims_of)])
    (problem,) = guard.check(app).problems
    assert problem.startswith("nothing enforces 'GET /x'")


def test_call_of_the_guard_counts_as_the_guard() -> None:
    guard = make_guard({"GET /x": "admin"})
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer, dependencies=[Depends(guard.__call__)])
    assert guard.check(app).problems == ()
    assert TestClient(app).get("/x").status_code == 401


@pytest.mark.parametrize("replaced", [False, True], ids=["mounted again", "mounted elsewhere"])
@pytest.mark.parametrize("is_checked", [False, True], ids=["", "checked"])
def test_late_mount_of_a_known_router_has_the_rule_of_its_own_place(
    replaced: bool, is_checked: bool
) -> None:
    guard = make_guard(ScopeMap({"GET /one/x": PUBLIC, "GET /two/x": "admin"}, optional=True))
    router, app = router_with("/x", dependencies=[Depends(guard)]), FastAPI(openapi_url=None)
    app.mount("/one", router)
    client = TestClient(app)
    assert client.get("/one/x").status_code == 200
    if replaced:
        app.router.routes.clear()
    app.mount("/two", router)
    if is_checked:
        guard.check(app)
    assert client.get("/two/x").status_code == 401
    # At two places it is denied; at one it has its rule.
    assert client.get("/two/x", headers=bearer("admin")).status_code == (200 if replaced else 403)


def test_late_mount_in_a_sub_app_has_the_rule_of_its_own_place() -> None:
    guard = make_guard(ScopeMap({"GET /one/x": PUBLIC, "GET /two/x": "admin"}, optional=True))
    router, sub, app = router_with("/x", dependencies=[Depends(guard)]), FastAPI(), FastAPI()
    sub.mount("/one", router)
    app.mount("/v1", sub)
    client = TestClient(app)
    assert client.get("/v1/one/x").status_code == 200
    sub.mount("/two", router)
    assert client.get("/v1/two/x").status_code == 401


def test_router_that_an_opaque_app_shows_elsewhere_is_denied_there() -> None:
    guard = make_guard({"GET /n/x": PUBLIC, "* /m/**": "admin"})
    router, app = router_with("/x", dependencies=[Depends(guard)]), FastAPI()

    async def opaque(asgi_scope: Any, receive: Any, send: Any) -> None:
        await router(asgi_scope, receive, send)

    app.mount("/n", router)
    app.mount("/m", opaque)
    client = TestClient(app)
    assert client.get("/n/x").status_code == 200
    assert client.get("/m/x").status_code == 401


def test_connection_passed_on_to_a_frontend_keeps_no_rule(tmp_path: Path) -> None:
    """A frontend names no route, so that of the endpoint that passed it on is still there."""
    (tmp_path / "secret.txt").write_text("secret")
    guard = make_guard({"GET /door": PUBLIC, "GET /ui/**": DENY})
    app = FastAPI(dependencies=[Depends(guard)])
    app.frontend("/ui", directory=tmp_path)

    class Forwarding(Response):
        async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
            await app({**asgi_scope, "path": "/ui/secret.txt"}, receive, send)

    @app.get("/door")
    async def door() -> Response:
        return Forwarding()

    assert TestClient(app).get("/door").status_code == 401


@pytest.mark.parametrize("place", ["app", "mounted router", "subclass"])
def test_default_of_a_router_is_named_by_the_check(place: str) -> None:
    async def opened(asgi_scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("open")(asgi_scope, receive, send)

    class Open(Router):
        async def not_found(self, scope: Any, receive: Any, send: Any) -> None:
            await opened(scope, receive, send)

    app, guard = FastAPI(openapi_url=None), make_guard({})
    if place == "app":
        app.router.default = opened
    else:
        app.mount("/m", Router([], default=opened) if "router" in place else Open())
    assert TestClient(app).get("/m/any").text == "open"
    (problem,) = guard.check(app).problems
    assert "/**' (opaque endpoint)" in problem


def test_head_of_a_docs_page_is_a_gap_of_its_own() -> None:
    guard = make_guard({"GET /openapi.json": PUBLIC, "HEAD /openapi.json": "admin"})
    app = FastAPI(docs_url=None, redoc_url=None, dependencies=[Depends(guard)])
    (problem,) = guard.check(app).problems
    assert "'HEAD /openapi.json'" in problem


def test_http_method_called_websocket_is_ruled_by_star_alone() -> None:
    guard = make_guard({"WEBSOCKET /x": PUBLIC, "* /x": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.router.add_api_route("/x", answer, methods=[], operation_id="x")
    client = TestClient(app)
    assert client.request("WEBSOCKET", "/x").status_code == 401
    assert client.request("WEBSOCKET", "/x", headers=bearer("other")).status_code == 403
    assert client.request("WEBSOCKET", "/x", headers=bearer("admin")).status_code == 200
    assert client.request("ANY", "/x", headers=bearer("admin")).status_code == 200


def test_subclass_of_static_files_may_answer_any_method(tmp_path: Path) -> None:
    class Writable(StaticFiles):
        """Answers PUT, say."""

    guard, app = make_guard({"GET /m/**": PUBLIC}), FastAPI(openapi_url=None)
    app.mount("/m", Writable(directory=tmp_path))
    assert len(guard.check(app).problems) == 1


def test_router_mounted_in_itself_is_looked_at_once() -> None:
    guard = make_guard({"GET /x": "admin"})
    app = FastAPI(dependencies=[Depends(guard)], openapi_url=None)
    app.add_api_route("/x", answer)
    app.mount("/self", app.router)
    (problem,) = guard.check(app).problems
    assert "'* /self/**'" in problem
    client = TestClient(app)
    assert client.get("/x", headers=bearer("admin")).status_code == 200
    assert client.get("/self/x", headers=bearer("admin")).status_code == 403


def test_connection_passed_on_with_another_token_is_judged_by_that_token() -> None:
    guard = make_guard({"GET /door": [], "GET /vault": "admin"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/vault", answer)

    class Forwarding(Response):
        async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
            other = [(b"authorization", bearer()["Authorization"].encode())]
            await app({**asgi_scope, "path": "/vault", "headers": other}, receive, send)

    @app.get("/door")
    async def door() -> Response:
        return Forwarding()

    assert TestClient(app).get("/door", headers=bearer("admin")).status_code == 403
