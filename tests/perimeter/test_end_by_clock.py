"""`now=`: the clock by which streams and sockets end with their token."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from tests.apps import bearer, make_guard, make_verifier

THEN = 1000.0


def make_app(now: Callable[[], float]) -> FastAPI:
    guard = make_guard(
        {"WEBSOCKET /ws": []}, verifier=make_verifier(now=lambda: THEN), end_at_exp=True, now=now
    )
    app = FastAPI(openapi_url=None)

    @app.websocket("/ws")
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")

    return guard.protect(app)


def greeting(app: Any) -> str:
    with TestClient(app) as client, client.websocket_connect("/ws", headers=headers()) as socket:
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
