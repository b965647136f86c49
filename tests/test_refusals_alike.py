"""A refusal is the same bytes wherever it is made: whatever is asked for, and by either door."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.sse import EventSourceResponse
from starlette.types import ASGIApp, Message, Scope

from fastapi_scopes import DENY, Claims, ScopeGuard
from fastapi_scopes.errors import TokenError, TokenFault, VerifierUnavailable

KINDS = ["plain", "stream", "socket"]
PROBLEM = (
    '{"type":"urn:fastapi-scopes:problem:%s","title":"%s","status":%d,"detail":"%s","code":"%s"'
)
CHALLENGE = 'Bearer realm="api", error="%s", error_description="%s"'
MALFORMED = "the Authorization header is not one bearer credential"
INVALID = "the access token is not valid here"
LACKING = "the access token lacks a required scope"
UNVERIFIED = "tokens cannot be verified now"

# design.md section 5 as bytes: path, Authorization, status, fields, body.
SITUATIONS = {
    "no credentials": (
        "needy",
        [],
        401,
        [("www-authenticate", 'Bearer realm="api"'), ("cache-control", "no-store")],
        PROBLEM
        % (
            *("missing_credentials", "Authentication required", 401),
            *("a bearer token is required", "missing_credentials"),
        )
        + "}",
    ),
    "malformed credentials": (
        "needy",
        ["Bearer"],
        400,
        [("www-authenticate", CHALLENGE % ("invalid_request", MALFORMED))],
        PROBLEM % ("invalid_request", "Malformed credentials", 400, MALFORMED, "invalid_request")
        + "}",
    ),
    "invalid token": (
        "needy",
        ["Bearer bad"],
        401,
        [
            ("www-authenticate", CHALLENGE % ("invalid_token", INVALID)),
            ("cache-control", "no-store"),
        ],
        PROBLEM % ("invalid_token", "Invalid token", 401, INVALID, "invalid_token") + "}",
    ),
    "scope missing": (
        "needy",
        ["Bearer good"],
        403,
        [("www-authenticate", CHALLENGE % ("insufficient_scope", LACKING) + ', scope="a b"')],
        PROBLEM % ("insufficient_scope", "Insufficient scope", 403, LACKING, "insufficient_scope")
        + ',"required":[["a","b"]]}',
    ),
    "denied": (
        "denied",
        ["Bearer good"],
        403,
        [],
        PROBLEM % ("forbidden", "Forbidden", 403, "access is denied", "forbidden") + "}",
    ),
    "no rule": (
        "unruled",
        ["Bearer good"],
        403,
        [],
        PROBLEM % ("forbidden", "Forbidden", 403, "access is denied", "forbidden") + "}",
    ),
    "unverifiable": (
        "needy",
        ["Bearer away"],
        503,
        [("retry-after", "7")],
        PROBLEM
        % (
            *("verifier_unavailable", "Verification unavailable", 503),
            *(UNVERIFIED, "verifier_unavailable"),
        )
        + "}",
    ),
}
TITLES = {name: row[4].split('"title":"')[1].split('"')[0] for name, row in SITUATIONS.items()}


class Verifier:
    async def verify(self, token: str) -> Claims:
        if token == "away":
            raise VerifierUnavailable(7)
        if token != "good":
            raise TokenError(TokenFault.SIGNATURE)
        return Claims(exp=1, scopes=frozenset({"other"}))


def rules_below(prefix: str) -> Iterator[tuple[str, Any]]:
    for kind in KINDS:
        method = "WEBSOCKET" if kind == "socket" else "GET"
        yield f"{method} {prefix}/{kind}/needy", ["a", "b"]
        yield f"{method} {prefix}/{kind}/denied", DENY


def fill(app: FastAPI) -> None:
    async def plain() -> str:
        raise AssertionError

    async def stream() -> AsyncIterator[int]:
        yield 1

    async def talk(websocket: WebSocket) -> None:
        raise AssertionError

    for name in ["needy", "denied", "unruled"]:
        app.add_api_route(f"/plain/{name}", plain)
        app.add_api_route(f"/stream/{name}", stream, response_class=EventSourceResponse)
        app.add_api_websocket_route(f"/socket/{name}", talk)


def make_app(door: str, *, is_mounted: bool, end_at_exp: bool) -> FastAPI:
    # Without a perimeter the keys are those of the app that holds the route.
    prefix = "/sub" if is_mounted and door == "perimeter" else ""
    guard = ScopeGuard(dict(rules_below(prefix)), verifier=Verifier(), end_at_exp=end_at_exp)
    dependencies = [] if door == "perimeter" else [Depends(guard)]
    app = FastAPI(openapi_url=None, dependencies=dependencies)
    fill(app)
    if is_mounted:
        inner, app = app, FastAPI(openapi_url=None)
        app.mount("/sub", inner)
    return guard.protect(app, strict=False) if door == "perimeter" else app


def ask(app: ASGIApp, kind: str, path: str, fields: list[str], *, can_respond: bool) -> Any:
    """Return what the server is told to send: a response, or a close."""
    asgi_scope: Scope = {
        "type": "websocket" if kind == "socket" else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", each.encode()) for each in fields],
        "client": ("192.0.2.1", 4711),
        "server": ("testserver", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if can_respond else {},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        first = {"type": "websocket.connect"} if kind == "socket" else {"type": "http.request"}
        return first | {"body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(asgi_scope, receive, send))  # type: ignore[arg-type]
    if sent[0]["type"] == "websocket.close":
        return sent
    start, body = sent
    assert not body.get("more_body")
    return start["status"], start["headers"], body["body"]


doors = pytest.mark.parametrize("door", ["dependency", "perimeter"])
places = pytest.mark.parametrize("is_mounted", [False, True], ids=["own", "mounted"])
options = pytest.mark.parametrize("end_at_exp", [False, True], ids=["", "end_at_exp"])
situations = pytest.mark.parametrize("situation", SITUATIONS)


@doors
@places
@options
@situations
@pytest.mark.parametrize("kind", KINDS)
def test_refusal_is_the_same_bytes_everywhere(
    door: str, is_mounted: bool, end_at_exp: bool, situation: str, kind: str
) -> None:
    name, authorization, status, fields, text = SITUATIONS[situation]
    app = make_app(door, is_mounted=is_mounted, end_at_exp=end_at_exp)
    path = f"/sub/{kind}/{name}" if is_mounted else f"/{kind}/{name}"
    headers = [
        *((each.encode(), value.encode()) for each, value in fields),
        (b"content-length", str(len(text)).encode()),
        (b"content-type", b"application/problem+json"),
    ]
    found = ask(app, kind, path, authorization, can_respond=True)
    assert found == (status, headers, text.encode())


@doors
@places
@situations
def test_socket_of_a_server_without_responses_is_closed_with_1008(
    door: str, is_mounted: bool, situation: str
) -> None:
    name, authorization, *_ = SITUATIONS[situation]
    app = make_app(door, is_mounted=is_mounted, end_at_exp=True)
    path = f"/sub/socket/{name}" if is_mounted else f"/socket/{name}"
    found = ask(app, "socket", path, authorization, can_respond=False)
    assert found == [{"type": "websocket.close", "code": 1008, "reason": TITLES[situation]}]
