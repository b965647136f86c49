"""The rule of the right template is found wherever the framework says which route runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.routing import Mount, Router
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import ScopeGuard
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.findings import FindingCode
from tests.apps import bearer, make_guard

Guard = ScopeGuard[Any]


async def answer() -> str:
    return "ran"


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("ran")
    await websocket.close()


def router_with(path: str, **options: Any) -> APIRouter:
    router = APIRouter(**options)
    router.add_api_route(path, answer)
    return router


def guarded_app(guard: Guard, **options: Any) -> FastAPI:
    return FastAPI(dependencies=[Depends(guard)], **options)


def direct(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.add_api_route("/agents/{agent_id}", answer)
    return app


def on_the_route_alone(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/agents/{agent_id}", answer, dependencies=[Depends(guard)])
    return app


def on_the_inclusion_alone(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.include_router(router_with("/x/{i}"), prefix="/inc", dependencies=[Depends(guard)])
    return app


def router_prefix(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.include_router(router_with("/agents/{agent_id}", prefix="/api"))
    return app


def include_and_router_prefix(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.include_router(router_with("/agents/{agent_id}", prefix="/api"), prefix="/v1")
    return app


def three_nested_inclusions(guard: Guard) -> FastAPI:
    inner, middle, outer = router_with("/x/{i}", prefix="/c"), APIRouter(), APIRouter(prefix="/b")
    middle.include_router(inner, prefix="/y")
    outer.include_router(middle)
    app = guarded_app(guard)
    app.include_router(outer, prefix="/a")
    return app


def included_twice(guard: Guard) -> FastAPI:
    router, app = router_with("/x/{i}"), guarded_app(guard)
    app.include_router(router, prefix="/one")
    app.include_router(router, prefix="/two")
    return app


def route_added_after_inclusion(guard: Guard) -> FastAPI:
    router, app = APIRouter(prefix="/late"), guarded_app(guard)
    app.include_router(router, prefix="/v1")
    router.add_api_route("/x/{i}", answer)
    return app


def parameter_in_the_prefix(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.include_router(router_with("/x/{i}"), prefix="/orgs/{org}")
    return app


def sub_app(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/v1", direct(guard))
    return app


def sub_app_in_sub_app(guard: Guard) -> FastAPI:
    middle = FastAPI()
    middle.mount("/s2", direct(guard))
    app = FastAPI()
    app.mount("/v1", middle)
    return app


def inclusion_in_sub_app(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/v1", include_and_router_prefix(guard))
    return app


def sub_app_in_included_router(guard: Guard) -> FastAPI:
    router = APIRouter(prefix="/ignored")
    router.mount("/m", direct(guard))
    app = FastAPI()
    app.include_router(router, prefix="/inc")
    return app


def sub_app_under_a_parameter(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/t/{tenant}", direct(guard))
    return app


def router_mounted(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/raw", router_with("/x/{i}", dependencies=[Depends(guard)]))
    return app


def router_mounted_at_nothing(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("", router_with("/x/{i}", dependencies=[Depends(guard)]))
    return app


def router_mounted_under_a_parameter(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/t/{tenant}", router_with("/x/{i}", dependencies=[Depends(guard)]))
    return app


def router_mounted_in_included_router(guard: Guard) -> FastAPI:
    outer = APIRouter()
    outer.mount("/m", router_with("/x/{i}", dependencies=[Depends(guard)]))
    app = FastAPI()
    app.include_router(outer, prefix="/inc")
    return app


def inclusion_in_mounted_router(guard: Guard) -> FastAPI:
    mounted = APIRouter(dependencies=[Depends(guard)])
    mounted.include_router(router_with("/x/{i}"), prefix="/inc")
    app = FastAPI()
    app.router.routes.append(Mount("/m", routes=[Mount("/n", app=mounted)]))
    return app


def host_with_sub_app(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.host("testserver", direct(guard))
    return app


def host_with_router(guard: Guard) -> FastAPI:
    outer = APIRouter()
    outer.host(
        "testserver",
        Router([Mount("/m", app=router_with("/x/{i}", dependencies=[Depends(guard)]))]),
    )
    app = FastAPI()
    app.include_router(outer)
    return app


def convertors(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.add_api_route("/f/{p:path}", answer)
    app.add_api_route("/n/{n:int}/x", answer)
    app.add_api_route("/d/{name}.json", answer)
    return app


def behind_a_proxy(guard: Guard) -> FastAPI:
    return direct(guard)


def behind_a_proxy_and_mounted(guard: Guard) -> FastAPI:
    return sub_app(guard)


def root_path_of(build: Callable[[Guard], FastAPI]) -> str:
    return "/proxy" if build.__name__.startswith("behind_a_proxy") else ""


def trailing_slash(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.add_api_route("/a", answer)
    app.add_api_route("/a/", answer)
    return app


ROWS: list[tuple[Callable[[Guard], FastAPI], str, str]] = [
    (direct, "/agents/a1", "/agents/{agent_id}"),
    (on_the_route_alone, "/agents/a1", "/agents/{agent_id}"),
    (on_the_inclusion_alone, "/inc/x/1", "/inc/x/{i}"),
    (router_prefix, "/api/agents/a1", "/api/agents/{agent_id}"),
    (include_and_router_prefix, "/v1/api/agents/a1", "/v1/api/agents/{agent_id}"),
    (three_nested_inclusions, "/a/b/y/c/x/1", "/a/b/y/c/x/{i}"),
    (included_twice, "/one/x/1", "/one/x/{i}"),
    (included_twice, "/two/x/1", "/two/x/{i}"),
    (route_added_after_inclusion, "/v1/late/x/1", "/v1/late/x/{i}"),
    (parameter_in_the_prefix, "/orgs/acme/x/1", "/orgs/{org}/x/{i}"),
    (sub_app, "/v1/agents/a1", "/agents/{agent_id}"),
    (sub_app_in_sub_app, "/v1/s2/agents/a1", "/agents/{agent_id}"),
    (inclusion_in_sub_app, "/v1/v1/api/agents/a1", "/v1/api/agents/{agent_id}"),
    (sub_app_in_included_router, "/inc/m/agents/a1", "/agents/{agent_id}"),
    (sub_app_under_a_parameter, "/t/acme/agents/a1", "/agents/{agent_id}"),
    (router_mounted, "/raw/x/1", "/raw/x/{i}"),
    (router_mounted_at_nothing, "/x/1", "/x/{i}"),
    (router_mounted_under_a_parameter, "/t/acme/x/1", "/t/{tenant}/x/{i}"),
    (router_mounted_in_included_router, "/inc/m/x/1", "/inc/m/x/{i}"),
    (inclusion_in_mounted_router, "/m/n/inc/x/1", "/m/n/inc/x/{i}"),
    (host_with_sub_app, "/agents/a1", "/agents/{agent_id}"),
    (host_with_router, "/m/x/1", "/m/x/{i}"),
    (convertors, "/f/a/b/c", "/f/{p:path}"),
    (convertors, "/f/a/b/c", "/f/{p}"),
    (convertors, "/f/", "/f/*"),
    (convertors, "/n/7/x", "/n/{n}/x"),
    (convertors, "/d/a.json", "/d/{name}.json"),
    (behind_a_proxy, "/proxy/agents/a1", "/agents/{agent_id}"),
    (behind_a_proxy, "/agents/a1", "/agents/{agent_id}"),
    (behind_a_proxy_and_mounted, "/proxy/v1/agents/a1", "/agents/{agent_id}"),
    (trailing_slash, "/a", "/a"),
    (trailing_slash, "/a/", "/a/"),
]


@pytest.mark.parametrize(
    ("build", "path", "template"), ROWS, ids=[f"{row[0].__name__}:{row[1]}" for row in ROWS]
)
def test_rule_of_the_template_decides(
    build: Callable[[Guard], FastAPI], path: str, template: str
) -> None:
    guard = make_guard({f"GET {template}": "right"})
    app = build(guard)
    client = TestClient(app, root_path=root_path_of(build))
    assert client.get(path, headers=bearer("right")).json() == "ran"
    refused = client.get(path, headers=bearer("wrong"))
    assert refused.status_code == 403
    # Only the rule of this template names that scope.
    assert refused.json()["required"] == [["right"]]
    gaps = guard.check(app).gaps
    assert {gap.endpoint.kind for gap in gaps if gap.gap is not FindingCode.NO_RULE} <= {Kind.DOCS}


def websocket_direct(guard: Guard) -> FastAPI:
    app = guarded_app(guard)
    app.add_api_websocket_route("/ws/{i}", greet)
    return app


def websocket_included(guard: Guard) -> FastAPI:
    router = APIRouter(prefix="/r")
    router.add_api_websocket_route("/ws/{i}", greet)
    app = guarded_app(guard)
    app.include_router(router, prefix="/inc")
    return app


def websocket_in_sub_app(guard: Guard) -> FastAPI:
    app = FastAPI()
    app.mount("/v1", websocket_included(guard))
    return app


SOCKETS = [
    (websocket_direct, "/ws/1", "/ws/{i}"),
    (websocket_included, "/inc/r/ws/1", "/inc/r/ws/{i}"),
    (websocket_in_sub_app, "/v1/inc/r/ws/1", "/inc/r/ws/{i}"),
]


@pytest.mark.parametrize(
    ("build", "path", "template"), SOCKETS, ids=[r[0].__name__ for r in SOCKETS]
)
def test_rule_of_the_template_decides_on_a_socket(
    build: Callable[[Guard], FastAPI], path: str, template: str
) -> None:
    client = TestClient(build(make_guard({f"WEBSOCKET {template}": "right"})))
    with client.websocket_connect(path, headers=bearer("right")) as socket:
        assert socket.receive_text() == "ran"
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(path, headers=bearer("wrong")),
    ):
        pass
    assert refused.value.status_code == 403
    assert refused.value.json()["required"] == [["right"]]


def test_methods_of_one_route_have_their_own_rules() -> None:
    guard = make_guard({"GET /x": "read", "POST /x": "write"})
    app = guarded_app(guard)
    app.add_api_route("/x", answer, methods=["GET", "POST"])
    client = TestClient(app)
    assert client.get("/x", headers=bearer("read")).status_code == 200
    assert client.post("/x", headers=bearer("read")).status_code == 403
    assert client.post("/x", headers=bearer("write")).status_code == 200


def test_head_is_answered_by_the_get_rule() -> None:
    app = guarded_app(make_guard({"GET /x": "read"}))
    app.add_api_route("/x", answer, methods=["HEAD", "GET"])
    client = TestClient(app)
    assert client.head("/x", headers=bearer("read")).status_code == 200
    assert client.head("/x", headers=bearer()).status_code == 403


def test_frontend_is_denied_and_named(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("ran")
    guard = make_guard({"GET /ui/**": "right"})
    app = guarded_app(guard, openapi_url=None)
    app.frontend("/ui", directory=tmp_path)
    client = TestClient(app)
    assert client.get("/ui/", headers=bearer("right")).status_code == 403
    assert client.get("/ui/").status_code == 401
    (problem,) = guard.check(app).problems
    assert "GET /ui/**" in problem
