"""What runs behind `protect` on an AgentOS: runs of every door, streams, sockets, a resync."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.message import Message
from agno.models.response import ModelResponse
from agno.os import AgentOS
from fastapi import FastAPI
from fastapi.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from fastapi_scopes import ScopeGuard, ScopeMap, agentos
from tests.agentos.asking import ask, rows_of
from tests.agentos.systems import OfflineModel, make_agent, make_agent_os, make_everything
from tests.agentos.test_protect import PUBLIC_ROWS
from tests.apps import bearer, make_guard
from tests.perimeter.serving import serve

RUN = "/agents/research-agent/runs"
MCP_SCOPES = ("config:read", "sessions:read", "agents:run", "teams:run", "workflows:run")
CUSTOM = {"GET /mine": "mine:read", "GET /mcp-notes": "mine:read"}
PATIENCE = 60.0


def make_agentos_guard() -> ScopeGuard[Any]:
    scope_map = agentos.PRESET | ScopeMap(CUSTOM, optional=True)
    return make_guard(scope_map, bind=agentos.bind_principal)


def add_agent(agent_os: AgentOS, name: str) -> None:
    agents = agent_os.agents or []
    (first,) = agents
    assert isinstance(first, Agent)
    assert isinstance(first.db, SqliteDb)
    agents.append(make_agent(first.db, name))


def client_of(app: FastAPI) -> TestClient:
    # The MCP server answers to names of this machine alone.
    return TestClient(app, base_url="http://localhost")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    agent_os = make_everything(tmp_path_factory.mktemp("everything"), mcp=True)
    with client_of(make_agentos_guard().protect(agent_os.get_app())) as client:
        yield client


FORM: dict[str, Any] = {"data": {"message": "hello", "stream": "false", "user_id": "mallory"}}
MCP = {"message": "hello", "user_id": "mallory"}
A2A = {
    "jsonrpc": "2.0",
    "id": "1",
    "method": "message/send",
    "params": {
        "message": {
            "messageId": "m",
            "role": "user",
            "contextId": "c",
            "parts": [{"kind": "text", "text": "hello"}],
            "metadata": {"userId": "mallory"},
        }
    },
}
AGUI = {
    "threadId": "t",
    "runId": "r",
    "state": {},
    "messages": [{"id": "1", "role": "user", "content": "hello"}],
    "tools": [],
    "context": [],
    "forwardedProps": {"user_id": "mallory"},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a-client", "version": "1"},
    },
}


@pytest.mark.parametrize(
    ("path", "scopes", "body"),
    [
        (RUN, ["agents:run"], FORM),
        ("/teams/a-team/runs", ["teams:run"], FORM),
        ("/workflows/a-flow/runs", ["workflows:run"], FORM),
        ("/agui", ["agents:run"], {"json": AGUI}),
        ("/a2a/agents/research-agent/v1/message:send", ["agents:run"], {"json": A2A}),
        (
            "/mcp/server/tools/run_agent/run",
            MCP_SCOPES,
            {"json": {"arguments": {"agent_id": "research-agent", **MCP}}},
        ),
        (
            "/mcp/server/tools/run_team/run",
            MCP_SCOPES,
            {"json": {"arguments": {"team_id": "a-team", **MCP}}},
        ),
    ],
    ids=["agent", "team", "workflow", "ag-ui", "a2a", "mcp agent", "mcp team"],
)
def test_run_is_attributed_to_the_subject_of_the_token(
    everything: TestClient, path: str, scopes: list[str], body: dict[str, Any]
) -> None:
    headers = bearer(*scopes, sub=f"caller of {path}")
    assert everything.post(path, headers=headers, **body).status_code == 200
    listed = everything.get("/sessions", headers=bearer("sessions:read")).json()["data"]
    users = [session["user_id"] for session in listed]
    assert f"caller of {path}" in users
    assert "mallory" not in users


def test_mcp_server_answers_a_client_with_all_scopes_of_its_tools(tmp_path: Path) -> None:
    app = make_agentos_guard().protect(make_agent_os(tmp_path, mcp=True).get_app())
    with client_of(app) as client:
        answer = client.post("/mcp", json=INITIALIZE, headers=ACCEPT | bearer(*MCP_SCOPES))
        assert answer.status_code == 200
        assert "serverInfo" in answer.text
        for scope in MCP_SCOPES:
            # All of them are asked for: one tool or another reaches what each opens.
            less = bearer(*(each for each in MCP_SCOPES if each != scope))
            refused = client.post("/mcp", json=INITIALIZE, headers=ACCEPT | less)
            assert refused.status_code == 403


def test_custom_keys_ask_for_less_of_the_mcp_server(tmp_path: Path) -> None:
    keys = ("POST /mcp", "GET /mcp", "DELETE /mcp", "POST /mcp/server/tools/*/run")
    guard = make_guard(agentos.scope_map(dict.fromkeys(keys, "mcp:use")))
    app = guard.protect(make_agent_os(tmp_path, mcp=True).get_app())
    headers = ACCEPT | bearer("mcp:use")
    with client_of(app) as client:
        assert client.post("/mcp", json=INITIALIZE, headers=headers).status_code == 200
        ran = client.post("/mcp/server/tools/list_models/run", json={}, headers=headers)
        assert ran.json()["error"] == "tool_not_found"
        assert client.put("/mcp", headers=headers).status_code == 403


def slow_model(first_word_was_read: threading.Event, finished: threading.Event) -> OfflineModel:
    """Return a model that says a word, and the rest only when that was read."""

    class SlowModel(OfflineModel):
        async def ainvoke_stream(
            self, messages: list[Message], **_: Any
        ) -> AsyncIterator[ModelResponse]:
            first, *others = self.invoke_stream(messages)
            yield first
            await asyncio.to_thread(first_word_was_read.wait, PATIENCE)
            for each in others:
                yield each
            finished.set()

    return SlowModel()


@pytest.mark.parametrize("mcp", [False, True], ids=["without mcp", "with mcp"])
def test_run_streams_chunk_by_chunk(tmp_path: Path, mcp: bool) -> None:
    first_word_was_read, finished = threading.Event(), threading.Event()
    agent_os = make_agent_os(tmp_path, mcp=mcp)
    (agent,) = agent_os.agents or []
    assert isinstance(agent, Agent)
    agent.model = slow_model(first_word_was_read, finished)
    app = make_agentos_guard().protect(agent_os.get_app())
    form = {"message": "to be or not", "stream": "true"}
    with serve(app, http="h11") as served:
        url = f"http://127.0.0.1:{served.port}{RUN}"
        headers = bearer("agents:run")
        with httpx.stream("POST", url, data=form, headers=headers, timeout=PATIENCE) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert next(line for line in lines if line == "event: RunContent")
            assert not finished.is_set()
            first_word_was_read.set()
            assert [line for line in lines if line.startswith("event:")][-1] == (
                "event: RunCompleted"
            )


def test_socket_is_refused_before_it_is_accepted(tmp_path: Path) -> None:
    app = make_agentos_guard().protect(make_agent_os(tmp_path).get_app())
    with serve(app, http="h11") as served:
        url = f"ws://127.0.0.1:{served.port}/workflows/ws"
        for headers, status in (({}, 401), (bearer("workflows:read"), 403)):
            with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
                pass
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["www-authenticate"].startswith("Bearer realm=")
        with connect(url, additional_headers=bearer("workflows:run")) as socket:
            assert '"connected"' in str(socket.recv(PATIENCE))


@pytest.mark.parametrize("mcp", [False, True], ids=["without mcp", "with mcp"])
def test_routes_of_a_resync_are_decided_by_the_map(tmp_path: Path, mcp: bool) -> None:
    agent_os = make_agent_os(tmp_path, mcp=mcp)
    app = make_agentos_guard().protect(agent_os.get_app())
    with client_of(app) as client:
        add_agent(agent_os, "second")
        agent_os.resync(app)
        listed = client.get("/agents", headers=bearer("agents:read")).json()
        assert [agent["id"] for agent in listed] == ["research-agent", "second"]
        run = "/agents/second/runs"
        assert client.post(run, headers=bearer("agents:read"), **FORM).status_code == 403
        assert client.post(run, headers=bearer("agents:run"), **FORM).json()["user_id"] == "alice"
        for row in rows_of(app.routes):
            answer = ask(client, row.method, row.path)
            assert answer.status == (200 if str(row) in PUBLIC_ROWS else 401), row


def test_custom_routes_around_a_resync_are_decided_by_the_map(tmp_path: Path) -> None:
    agent_os = make_agent_os(tmp_path)
    app = make_agentos_guard().protect(agent_os.get_app())
    for path in ("/mine", "/mcp-notes"):
        app.add_api_route(path, lambda: "mine")
    with client_of(app) as client:
        agent_os.resync(app)
        # A resync drops routes of one's own, but for what begins like the MCP server's.
        assert client.get("/mine").status_code == 404
        for path in ("/mine", "/without-a-rule"):
            app.add_api_route(path, lambda: "mine")
        for path in ("/mine", "/mcp-notes", "/without-a-rule"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=bearer("agents:read")).status_code == 403
        assert client.get("/mine", headers=bearer("mine:read")).json() == "mine"
        assert client.get("/mcp-notes", headers=bearer("mine:read")).json() == "mine"
        assert client.get("/without-a-rule", headers=bearer("mine:read")).status_code == 403
