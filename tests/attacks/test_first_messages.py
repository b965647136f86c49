"""Attacks on a token that comes in the first message of a socket, as docs/sockets.md reads it."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from jose import jwt
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.pages import DOCS, run_python
from tests.perimeter.serving import SERVERS, Served, serve

FORBIDDEN = 4403


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_python(DOCS / "sockets.md", blocks=3)


@pytest.fixture(scope="module", params=SERVERS)
def served(page: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(page["later"], http=request.param) as served:
        yield served


def open_socket(served: Served) -> ClientConnection:
    return connect(
        "ws://testserver/graphql",
        sock=socket.create_connection(("127.0.0.1", served.port)),
        subprotocols=[Subprotocol("graphql-transport-ws")],
    )


def answer_to(served: Served, *messages: str | bytes) -> str | bytes | int | None:
    """Return the first answer to *messages*, or the code with which the socket is closed."""
    with open_socket(served) as connection:
        try:
            for message in messages:
                # The socket may be closed before the last one.
                connection.send(message)
            return connection.recv(60)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def init(payload: Any, kind: str = "connection_init") -> str:
    return json.dumps({"type": kind, "payload": payload})


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="no JSON"),
        pytest.param(b"\x00\xff", id="bytes"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="a list"),
        pytest.param('"payload"', id="a text"),
        pytest.param("5", id="a number"),
        pytest.param("9" * 5_000, id="a long number"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"type":"connection_init"}', id="no payload"),
        *(
            pytest.param(init(payload), id=f"payload {payload}")
            for payload in (None, 5, "x", [], {}, {"token": None}, {"token": 5}, {"token": []})
        ),
        pytest.param(init({"token": ""}), id="an empty token"),
        pytest.param(init({"token": "é"}), id="no ASCII"),
        pytest.param(init({"token": "a.b.c"}), id="an invented token"),
        pytest.param(init({"token": "a" * 500_000}), id="a long token"),
    ],
)
def test_what_holds_no_good_token_closes_the_socket(
    served: Served, message: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer_to(served, message) == FORBIDDEN
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_token_opens_by_its_scope_and_in_the_right_message(
    served: Served, page: dict[str, Any]
) -> None:
    good = {"token": page["token"]}
    assert answer_to(served, init(good)) == '{"type":"connection_ack"}'
    assert answer_to(served, init(good, "subscribe")) == FORBIDDEN
    assert answer_to(served, json.dumps({"payload": good})) == FORBIDDEN
    other = jwt.encode({"exp": 2**33, "scope": "chat:joined"}, page["SECRET"], "HS256")
    assert answer_to(served, init({"token": other})) == FORBIDDEN


def test_good_token_after_a_bad_one_comes_too_late(served: Served, page: dict[str, Any]) -> None:
    bad, good = init({"token": "invented"}), init({"token": page["token"]})
    assert answer_to(served, bad, good) == FORBIDDEN


def test_client_that_says_nothing_is_closed(
    page: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The page waits for five seconds.
    at_once = SimpleNamespace(timeout=lambda seconds: asyncio.timeout(seconds / 100))
    monkeypatch.setitem(page, "asyncio", at_once)
    with serve(page["later"], http="h11") as served:
        assert answer_to(served) == FORBIDDEN


def test_client_that_goes_away_is_no_error(
    page: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(page["later"], http="h11") as served, open_socket(served):
        pass
    # The server has ended, so it has written what it had to.
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
