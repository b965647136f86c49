"""`now=`: the clock by which streams and sockets end with their token."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import Claims
from fastapi_scopes.verifiers import IntrospectionVerifier
from fastapi_scopes.verifiers.base import SharedClaims
from tests.apps import bearer, make_guard, make_verifier
from tests.verifiers.introspecting import SETTINGS

THEN = 1000.0


def make_app(now: Callable[[], float], **options: Any) -> FastAPI:
    settings = {"verifier": make_verifier(now=lambda: THEN), "end_at_exp": True, "now": now}
    guard = make_guard({"WEBSOCKET /ws": []}, **{**settings, **options})
    app = FastAPI(openapi_url=None)

    @app.websocket("/ws")
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")

    return guard.protect(app)


def greeting(app: Any, sent: dict[str, str] | None = None) -> str:
    sent = sent or headers()
    with TestClient(app) as client, client.websocket_connect("/ws", headers=sent) as socket:
        return str(socket.receive_text())


def headers() -> dict[str, str]:
    return bearer(exp=THEN + 60)


def test_socket_is_open_as_long_as_the_clock_of_the_guard_says() -> None:
    assert greeting(make_app(lambda: THEN + 59)) == "hello"


@pytest.mark.parametrize("now", [THEN + 60, THEN + 10**9], ids=["at-exp", "much-later"])
def test_socket_whose_token_is_over_by_that_clock_is_refused(now: float) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused:
        greeting(make_app(lambda: now))
    assert refused.value.status_code == 401


class Endless(IntrospectionVerifier[Claims]):
    """Takes the names of issuers for tokens without an end; the admin scope counts from one."""

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        return frozenset({"ours"})

    async def verify_shared(self, token: str) -> SharedClaims[Claims]:
        claims = Claims(exp=1, iss=token, scopes=frozenset({"root"}))
        claims.model_fields_set.discard("exp")
        return SharedClaims(claims)


@pytest.mark.parametrize("issuer", ["ours", "partner"])
def test_socket_whose_token_has_no_end_stays_open_whoever_issued_that(issuer: str) -> None:
    app = make_app(lambda: THEN, verifier=Endless(**SETTINGS), admin_scope="root")

    assert greeting(app, {"Authorization": f"Bearer {issuer}"}) == "hello"
