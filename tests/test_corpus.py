"""One corpus through every door: whoever asks, and however, the answer is the same."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import pytest
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from fastapi_scopes import Claims, ScopeGuard, ScopeMap, all_of, any_of
from fastapi_scopes.core.credentials import offers_of, parse_credentials
from fastapi_scopes.core.decisions import Decision, decide
from fastapi_scopes.core.grants import grants_of
from fastapi_scopes.core.problems import ProtectionSpace, problem_of
from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.core.requirements import AUTHENTICATED, DENY, OPTIONAL, PUBLIC
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import (
    CredentialsError,
    ScopesError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)

Row = dict[str, Any]

TOKEN = "good"
RETRY_AFTER = 7
WORDS = {"PUBLIC": PUBLIC, "OPTIONAL": OPTIONAL, "AUTHENTICATED": AUTHENTICATED, "DENY": DENY}
FAULTS: dict[str, type[ScopesError]] = {
    "malformed_credentials": CredentialsError,
    "invalid_token": TokenError,
    "verifier_unavailable": VerifierUnavailable,
}
ALLOWING = {"public", "anonymous", "authenticated", "granted"}


@dataclass(frozen=True)
class Answer:
    """What a caller gets, as far as every door can say it."""

    status: int
    scopes: frozenset[str] | None = None
    """Where the caller passes: those of the claims that the endpoint sees, or None."""
    body: bytes = b""
    """Where the caller is refused."""
    headers: tuple[tuple[str, str], ...] = ()


# design.md section 5, once more: status, code, title, detail.
REFUSALS = {
    "missing_credentials": (
        401,
        "missing_credentials",
        "Authentication required",
        "a bearer token is required",
    ),
    "malformed_credentials": (
        400,
        "invalid_request",
        "Malformed credentials",
        "the Authorization header is not one bearer credential",
    ),
    "invalid_token": (401, "invalid_token", "Invalid token", "the access token is not valid here"),
    "insufficient_scope": (
        403,
        "insufficient_scope",
        "Insufficient scope",
        "the access token lacks a required scope",
    ),
    "no_rule": (403, "forbidden", "Forbidden", "access is denied"),
    "denied": (403, "forbidden", "Forbidden", "access is denied"),
    "verifier_unavailable": (
        503,
        "verifier_unavailable",
        "Verification unavailable",
        "tokens cannot be verified now",
    ),
}
PASSED_ON = ("www-authenticate", "cache-control", "retry-after")


def expected(row: Row) -> Answer:
    if row["allowed"]:
        is_known = row["reason"] in {"authenticated", "granted"}
        return Answer(200, frozenset(row["claims"]["scopes"]) if is_known else None)
    status, code, title, detail = REFUSALS[row["reason"]]
    members = {
        "type": f"urn:fastapi-scopes:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if "required" in row:
        members["required"] = row["required"]
    body = json.dumps(members, separators=(",", ":")).encode()
    return Answer(status, None, body, tuple(_headers(row, status, code, detail)))


def _headers(row: Row, status: int, code: str, detail: str) -> Iterator[tuple[str, str]]:
    challenge = f'Bearer realm="api", error="{code}", error_description="{detail}"'
    match code:
        case "missing_credentials":
            yield "www-authenticate", 'Bearer realm="api"'
        case "insufficient_scope":
            yield "www-authenticate", f'{challenge}, scope="{" ".join(row["challenged"])}"'
        case "invalid_request" | "invalid_token":
            yield "www-authenticate", challenge
        case "verifier_unavailable":
            yield "retry-after", str(RETRY_AFTER)
    if status == 401:
        yield "cache-control", "no-store"


class RowVerifier:
    """Maps the token's text to the claims of a row."""

    def __init__(self, row: Row) -> None:
        self._row = row

    async def verify(self, token: str) -> Claims:
        match self._row.get("verifier"):
            case "unavailable":
                raise VerifierUnavailable(RETRY_AFTER)
            case "refuses":
                raise TokenError(TokenFault.SIGNATURE)
        if token != TOKEN or self._row["claims"] is None:
            raise TokenError(TokenFault.SIGNATURE)
        return Claims(exp=1, scopes=frozenset(self._row["claims"]["scopes"]))


def scope_map_of(row: Row) -> ScopeMap:
    rules = {key: requirement_of(value) for key, value in row["rules"].items()}
    return ScopeMap.from_scope_mappings(rules) if row.get("imported") else ScopeMap(rules)


def requirement_of(value: Any) -> Any:
    match value:
        case str():
            return WORDS.get(value, value)
        case {"any_of": parts}:
            return any_of(*map(requirement_of, parts))
        case {"all_of": parts}:
            return all_of(*map(requirement_of, parts))
        case list():
            return [requirement_of(part) for part in value]
    raise TypeError(value)


def authorization_of(row: Row) -> list[bytes]:
    if "authorization" in row:
        return [field.encode("latin-1") for field in row["authorization"]]
    return [] if row["claims"] is None else [f"Bearer {TOKEN}".encode()]


class Door(Protocol):
    """A way in: one more of these runs the whole corpus."""

    def serves(self, row: Row) -> bool:
        """Tell whether the door can be asked this at all."""
        ...

    def answer(self, row: Row) -> Answer: ...


class DecideDoor:
    """The pure core: credentials, the verifier, `decide`, and the refusal as data."""

    def serves(self, row: Row) -> bool:
        # Paths that have no rule are told apart where paths are known.
        return not re.search(r"[\x00-\x1f\x7f]", unquote(row["request"]["path"]))

    def answer(self, row: Row) -> Answer:
        try:
            decision = self.decision(row)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(error, row.get("requested_as"))
        if not decision.allowed:
            return self._refusal(decision, row.get("requested_as"))
        return Answer(200, decision.claims.scopes if decision.claims else None)

    def decision(self, row: Row) -> Decision:
        method, template = row["request"]["method"], row["request"]["template"]
        is_mount = template.endswith("/**")
        rule = scope_map_of(row).rule_for(
            method,
            RouteTemplate.below(template.removesuffix("/**"))
            if is_mount
            else RouteTemplate.parse(template),
            is_mount=is_mount,
        )
        is_public = rule is not None and rule.requirement == PUBLIC
        claims = None if is_public else self._claims(row)
        return decide(rule, claims, grants_of(row.get("admin_scope")))

    def _claims(self, row: Row) -> Claims | None:
        is_socket = row["request"]["method"] == "WEBSOCKET"
        offers = offers_of(row.get("subprotocols", ()), ()) if is_socket else ()
        credentials = parse_credentials(authorization_of(row), offers)
        if credentials is None:
            return None
        return asyncio.run(RowVerifier(row).verify(credentials.token))

    def _refusal(self, refusal: Any, requested_as: str | None) -> Answer:
        space = ProtectionSpace("api", requested=RequestedScopes(requested_as))
        problem = problem_of(refusal, space)
        headers = tuple((name.lower(), value) for name, value in problem.headers())
        return Answer(problem.status, None, problem.to_json(), headers)


class AppDoor:
    """An app with the one endpoint of the row, asked over a client."""

    def answer(self, row: Row) -> Answer:
        client = TestClient(self.app_of(row), raise_server_exceptions=False)
        method, path = row["request"]["method"], row["request"]["path"]
        headers = [(b"authorization", field) for field in authorization_of(row)]
        if subprotocols := ", ".join(row.get("subprotocols", ())):
            headers.append((b"sec-websocket-protocol", subprotocols.encode()))
        if method == "WEBSOCKET":
            return self._over_socket(client, path, headers)
        return self._of_response(client.request(method, path, headers=headers))

    def app_of(self, row: Row) -> FastAPI:
        raise NotImplementedError

    def guard_of(self, row: Row) -> ScopeGuard[Claims]:
        return ScopeGuard(
            scope_map_of(row),
            verifier=RowVerifier(row),
            admin_scope=row.get("admin_scope"),
            requested_as=row.get("requested_as"),
        )

    def _over_socket(
        self, client: TestClient, path: str, headers: list[tuple[bytes, bytes]]
    ) -> Answer:
        try:
            with client.websocket_connect(path, headers=_as_dict(headers)) as socket:
                return Answer(200, _read(socket.receive_text()))
        except WebSocketDenialResponse as refused:
            return self._of_response(refused)

    def _of_response(self, response: Any) -> Answer:
        if response.status_code == 200:
            return Answer(200, _read(response.headers["X-Scopes"]))
        headers = [(name, response.headers[name]) for name in PASSED_ON if name in response.headers]
        return Answer(response.status_code, None, response.content, tuple(headers))


class DependencyDoor(AppDoor):
    """A FastAPI app with the one route, and the guard as its dependency."""

    def serves(self, row: Row) -> bool:
        # No dependency runs on what is mounted.
        return not row["request"]["template"].endswith("/**")

    def app_of(self, row: Row) -> FastAPI:
        guard = self.guard_of(row)

        async def answer(claims: Claims | None = Depends(guard)) -> Response:
            return _respond(claims)

        async def greet(websocket: WebSocket, claims: Claims | None = Depends(guard)) -> None:
            await _greet(websocket, claims)

        return _app_with(row, answer, greet)


class PerimeterDoor(AppDoor):
    """A FastAPI app with the one endpoint, which knows of no guard, and the perimeter around it."""

    def serves(self, row: Row) -> bool:
        return True

    def app_of(self, row: Row) -> FastAPI:
        guard = self.guard_of(row)

        async def answer(request: Request) -> Response:
            return _respond(guard.claims_of(request))

        async def greet(websocket: WebSocket) -> None:
            await _greet(websocket, guard.claims_of(websocket))

        async def mounted(asgi_scope: Scope, receive: Receive, send: Send) -> None:
            claims = guard.claims_of(HTTPConnection(asgi_scope))
            await _respond(claims)(asgi_scope, receive, send)

        template = row["request"]["template"]
        if template.endswith("/**"):
            app = FastAPI(openapi_url=None)
            app.mount(template.removesuffix("/**"), mounted)
        else:
            app = _app_with(row, answer, greet)
        # Most rows are about silence, which would keep an app from starting.
        return guard.protect(app, strict=False)


def _app_with(row: Row, answer: Callable[..., Any], greet: Callable[..., Any]) -> FastAPI:
    app = FastAPI(openapi_url=None)
    method, template = row["request"]["method"], row["request"]["template"]
    if method == "WEBSOCKET":
        app.add_api_websocket_route(template, greet)
    else:
        app.add_api_route(template, answer, methods=[method])
    return app


def _respond(claims: Claims | None) -> Response:
    return Response(headers={"X-Scopes": _written(claims)})


async def _greet(websocket: WebSocket, claims: Claims | None) -> None:
    await websocket.accept()
    await websocket.send_text(_written(claims))
    await websocket.close()


def _as_dict(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    # The test client takes a socket's headers as a dict alone.
    assert len(headers) == len(dict(headers))
    return {name.decode(): value.decode("latin-1") for name, value in headers}


def _written(claims: Claims | None) -> str:
    return json.dumps(None if claims is None else sorted(claims.scopes))


def _read(text: str) -> frozenset[str] | None:
    scopes = json.loads(text)
    return None if scopes is None else frozenset(scopes)


DOORS: dict[str, Door] = {
    "decide": DecideDoor(),
    "dependency": DependencyDoor(),
    "perimeter": PerimeterDoor(),
}

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
ROWS: list[Row] = [row for path in CORPUS for row in json.loads(path.read_text())]


@pytest.mark.parametrize(
    ("door", "row"),
    [
        pytest.param(door, row, id=f"{name}: {row['id']}")
        for name, door in DOORS.items()
        for row in ROWS
        if door.serves(row)
    ],
)
def test_every_door_gives_the_same_answer(door: Door, row: Row) -> None:
    found, wanted = door.answer(row), expected(row)
    if row["request"]["method"] == "HEAD":
        # RFC 9110 9.3.2: no content is sent.
        found, wanted = replace(found, body=b""), replace(wanted, body=b"")
    assert found == wanted


@pytest.mark.parametrize(
    "row", [row for row in ROWS if DecideDoor().serves(row)], ids=lambda row: row["id"]
)
def test_decision_has_the_one_reason_and_names_what_is_missing(row: Row) -> None:
    if row["reason"] in FAULTS:
        with pytest.raises(FAULTS[row["reason"]]):
            DecideDoor().decision(row)
        return
    decision = DecideDoor().decision(row)
    assert decision.reason.value == row["reason"]
    assert decision.allowed is row["allowed"]
    assert list(decision.missing) == row.get("missing", [])


def test_corpus_is_read_whole_and_its_rows_are_distinct() -> None:
    assert len(ROWS) >= 60
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["allowed"] is (row["reason"] in ALLOWING), row["id"]
        assert any(door.serves(row) for door in DOORS.values()), row["id"]
    assert {row["reason"] for row in ROWS} == ALLOWING | set(REFUSALS)
