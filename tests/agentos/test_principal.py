"""`bind_principal`: what AgentOS learns of a caller."""

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from jose import jwt
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import Claims, agentos
from tests.agentos.systems import make_agent_os, make_everything
from tests.apps import SECRET, bearer, make_guard


def guarded(**options: Any) -> FastAPI:
    guard = make_guard(agentos.PRESET, bind=agentos.bind_principal, **options)
    return FastAPI(dependencies=[Depends(guard)])


def test_state_is_what_agentos_reads() -> None:
    asgi_scope: dict[str, Any] = {}
    claims = Claims.model_validate(
        {"sub": "alice", "exp": 1, "scopes": frozenset({"b", "a"}), "session_id": "s-1"}
    )
    agentos.bind_principal(asgi_scope, claims)
    state = asgi_scope["state"]
    assert state["authenticated"] is True
    assert state["user_id"] == "alice"
    assert state["scopes"] == ["a", "b"]
    assert state["session_id"] == "s-1"
    assert state["claims"]["sub"] == "alice"
    # Its own per-resource checks would ask for AgentOS's scopes once more.
    assert "authorization_enabled" not in state
    assert state["admin_scope"] is None


def test_claims_nested_too_deep_for_json_are_refused(tmp_path: Path) -> None:
    nested: Any = 0
    for _ in range(300):
        nested = [nested]
    app = guarded()
    make_agent_os(tmp_path, app).get_app()
    response = TestClient(app).get("/agents", headers=bearer("agents:read", nested=nested))
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"


def test_admin_scope_of_another_guard_is_not_left_behind() -> None:
    asgi_scope: dict[str, Any] = {"state": {"admin_scope": "root"}}
    agentos.bind_principal(asgi_scope, Claims(exp=1, sub="alice"))
    assert asgi_scope["state"]["admin_scope"] is None


def test_session_that_is_no_text_is_none() -> None:
    asgi_scope: dict[str, Any] = {}
    claims = Claims.model_validate({"sub": "alice", "exp": 1, "session_id": ["s-1"]})
    agentos.bind_principal(asgi_scope, claims)
    assert asgi_scope["state"]["session_id"] is None


@pytest.mark.parametrize("subject", [None, "", "__scheduler__", "sa:x", "__oauth__:x"])
def test_subject_that_agentos_keeps_for_itself_is_refused(
    tmp_path: Path, subject: str | None
) -> None:
    app = guarded()
    make_agent_os(tmp_path, app).get_app()
    headers = bearer_without_subject() if subject is None else bearer("agents:read", sub=subject)
    response = TestClient(app).get("/agents", headers=headers)
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"


def bearer_without_subject() -> dict[str, str]:
    payload = {"exp": time.time() + 600, "scope": "agents:read"}
    return {"Authorization": f"Bearer {jwt.encode(payload, SECRET)}"}


def test_admin_scope_of_the_guard_is_an_admin_inside(tmp_path: Path) -> None:
    app = guarded(admin_scope="root")
    make_everything(tmp_path, app, mcp=False).get_app()
    with TestClient(app) as client:
        for path in ("/users", "/authz/roles"):
            assert client.get(path, headers=bearer("root")).status_code == 200
            # AgentOS's inner check asks for an admin too; a scope alone is none.
            assert client.get(path, headers=bearer("agents:read")).status_code == 403


def test_socket_is_decided_by_the_map(tmp_path: Path) -> None:
    app = guarded()
    make_agent_os(tmp_path, app).get_app()
    client = TestClient(app)
    with client.websocket_connect("/workflows/ws", headers=bearer("workflows:run")) as socket:
        assert socket.receive_json()["event"] == "connected"
    for headers in ({}, bearer("workflows:read")):
        with (
            pytest.raises(WebSocketDenialResponse),
            client.websocket_connect("/workflows/ws", headers=headers),
        ):
            pass
