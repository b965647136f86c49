"""The routers of a real AgentOS, one by one, in a plain FastAPI app."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agno.os import AgentOS
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException as StarletteHTTPException

from fastapi_scopes import ScopeGuard, agentos
from fastapi_scopes.errors import ConfigurationError
from tests.agentos.systems import make_agent_os
from tests.apps import bearer, make_guard

ROUTERS = ("agents", "sessions", "memories", "config")
RUN = "/agents/research-agent/runs"


@pytest.fixture(scope="module")
def agent_os(tmp_path_factory: pytest.TempPathFactory) -> AgentOS:
    return make_agent_os(tmp_path_factory.mktemp("agentos"))


@pytest.fixture(scope="module")
def guard() -> ScopeGuard[Any]:
    return make_guard(agentos.PRESET, admin_scope="root", bind=agentos.bind_principal)


@pytest.fixture
def serve(agent_os: AgentOS, guard: ScopeGuard[Any]) -> Iterator[Any]:
    clients: list[TestClient] = []

    def serve(*names: str) -> TestClient:
        app = agentos.install(FastAPI(openapi_url=None), agent_os)
        routers = agentos.routers(agent_os, guard)
        for name in names:
            app.include_router(getattr(routers, name))
        assert guard.check(app).gaps == ()
        client = TestClient(app)
        client.__enter__()
        clients.append(client)
        return client

    yield serve
    for client in clients:
        client.__exit__(None, None, None)


def test_agents_alone_list_and_run(serve: Any) -> None:
    client = serve("agents")
    listed = client.get("/agents", headers=bearer("agents:read"))
    assert [agent["id"] for agent in listed.json()] == ["research-agent"]
    form = {"message": "hello", "stream": "false", "user_id": "mallory"}
    ran = client.post(RUN, data=form, headers=bearer("agents:run"))
    assert ran.json()["content"] == "You said: hello"
    assert ran.json()["user_id"] == "alice"
    assert client.post(RUN, data=form, headers=bearer("agents:read")).status_code == 403
    assert client.post(RUN, data=form).status_code == 401
    assert client.get("/sessions", headers=bearer("sessions:read")).status_code == 404


def test_agents_alone_stream_a_run(serve: Any) -> None:
    form = {"message": "hello", "stream": "true"}
    client = serve("agents")
    with client.stream("POST", RUN, data=form, headers=bearer("agents:run")) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line for line in response.iter_lines() if line.startswith("event:")]
    assert (events[0], events[-1]) == ("event: RunStarted", "event: RunCompleted")
    refused = client.post(RUN, data=form, headers=bearer())
    assert refused.headers["content-type"] == "application/problem+json"


def test_sessions_alone_list(serve: Any) -> None:
    serve("agents").post(
        RUN,
        data={"message": "hello", "stream": "false", "session_id": "s-1"},
        headers=bearer("agents:run"),
    )
    client = serve("sessions")
    listed = client.get("/sessions", headers=bearer("sessions:read")).json()["data"]
    assert "s-1" in {session["session_id"] for session in listed}
    assert client.get("/sessions", headers=bearer("agents:read")).status_code == 403


def test_memories_alone_write_and_read(serve: Any) -> None:
    client = serve("memories")
    memory = {"memory": "likes tea", "user_id": "alice"}
    written = client.post("/memories", json=memory, headers=bearer("memories:write"))
    assert written.status_code == 200
    read = client.get("/memories", headers=bearer("memories:read")).json()["data"]
    assert "likes tea" in {each["memory"] for each in read}
    refused = client.post("/memories", json=memory, headers=bearer("memories:read"))
    assert refused.json()["required"] == [["memories:write"]]


def test_config_alone(serve: Any) -> None:
    client = serve("config")
    config = client.get("/config", headers=bearer("config:read"))
    assert config.json()["os_id"] == "an-os"
    assert client.get("/config").status_code == 401


def test_all_four_in_one_app(serve: Any) -> None:
    client = serve(*ROUTERS)
    for path in ("/agents", "/sessions", "/memories", "/config"):
        assert client.get(path, headers=bearer("root")).status_code == 200
        assert client.get(path, headers=bearer()).status_code == 403


def test_install_keeps_what_the_app_has(agent_os: AgentOS, guard: ScopeGuard[Any]) -> None:
    entered: list[FastAPI] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        entered.append(app)
        yield {"own": "state"}

    async def handler(*_: Any) -> Any:
        raise NotImplementedError

    app = FastAPI(lifespan=lifespan)
    app.state.agent_os_id = "kept"
    app.exception_handler(HTTPException)(handler)
    assert agentos.install(app, agent_os) is app
    context = app.router.lifespan_context
    assert agentos.install(app, agent_os).router.lifespan_context is context
    assert app.state.agent_os_id == "kept"
    assert app.exception_handlers[HTTPException] is handler
    app.include_router(agentos.routers(agent_os, guard).agents)
    with TestClient(app) as client:
        assert client.get("/agents", headers=bearer("agents:read")).status_code == 200
    assert entered == [app]


@pytest.mark.parametrize("has_handler", [True, False])
def test_http_errors_of_the_app_keep_their_headers(agent_os: AgentOS, has_handler: bool) -> None:
    async def handler(request: Request, error: Exception) -> Response:
        return PlainTextResponse("own", 418)

    async def failing() -> None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Own"})

    app = agentos.install(FastAPI(), agent_os)
    app.add_api_route("/x", failing)
    if has_handler:
        app.exception_handler(StarletteHTTPException)(handler)
    response = TestClient(app).get("/x")
    if has_handler:
        assert response.text == "own"
    else:
        assert response.headers["www-authenticate"] == "Own"


def test_agentos_and_its_app_are_freed_together(tmp_path: Path, guard: ScopeGuard[Any]) -> None:
    agent_os = make_agent_os(tmp_path)
    app = agentos.install(FastAPI(), agent_os)
    agentos.routers(agent_os, guard)
    gone = weakref.ref(app)
    del app, agent_os
    gc.collect()
    assert gone() is None


def test_second_agentos_on_one_app_is_an_error(agent_os: AgentOS, tmp_path: Path) -> None:
    app = agentos.install(FastAPI(), agent_os)
    with pytest.raises(ConfigurationError, match="the app has another AgentOS"):
        agentos.install(app, make_agent_os(tmp_path))


def test_agentos_with_a_base_app_is_an_error(tmp_path: Path, guard: ScopeGuard[Any]) -> None:
    agent_os = make_agent_os(tmp_path, FastAPI())
    with pytest.raises(ConfigurationError, match=r"put Depends\(guard\) on that app"):
        agentos.routers(agent_os, guard)
    with pytest.raises(ConfigurationError, match="base_app"):
        agentos.install(FastAPI(), agent_os)
