"""Whose claims are seen behind a perimeter: by `claims_of`, and by guards of other verifiers."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from fastapi_scopes import OPTIONAL, PUBLIC, Claims, ScopeGuard, ScopeMap
from tests.apps import SECRET, MakeHeaders, bearer, make_guard, make_verifier, mint
from tests.perimeter.small import CountingVerifier, answer, forged, make_app

NOBODY = "nobody"


class Named:
    """An app whose every endpoint, of any kind, says by `claims_of` who is asking."""

    def __init__(self, requirement: Any) -> None:
        self.late: list[str] = []
        self.guard: ScopeGuard[Any] = make_guard(
            {f"{method} /**": requirement for method in ("GET", "WEBSOCKET")}
        )
        app = FastAPI(openapi_url=None)
        app.add_api_route("/api", self._api)
        app.router.routes += [Route("/plain", self._plain), WebSocketRoute("/ws", self._socket)]
        app.mount("/sub", self._sub())
        app.mount("/star", Starlette(routes=[Route("/x", self._plain)]))
        app.mount("/router", Router([Route("/x", self._plain)]))
        app.mount("/opaque", self._opaque)
        app.host("other.example.org", Router([Route("/hosted", self._plain)]))
        app.add_api_route("/breaks", self._break)
        app.exception_handler(LookupError)(self._plain)
        self.client = TestClient(self.guard.protect(app))

    def _sub(self) -> FastAPI:
        sub = FastAPI(openapi_url=None)
        sub.add_api_route("/x", self._api)
        return sub

    def name_in(self, connection: HTTPConnection) -> str:
        claims = self.guard.claims_of(connection)
        return claims.sub if claims else NOBODY

    async def _api(self, request: Request) -> Response:
        return PlainTextResponse(self.name_in(request))

    async def _break(self) -> None:
        raise LookupError

    async def _plain(self, request: Request, *_: object) -> Response:
        later = BackgroundTask(lambda: self.late.append(self.name_in(request)))
        return PlainTextResponse(self.name_in(request), background=later)

    async def _opaque(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        name = self.name_in(HTTPConnection(asgi_scope))
        await PlainTextResponse(name)(asgi_scope, receive, send)

    async def _socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(self.name_in(websocket))
        await websocket.close()


PLACES = ["/api", "/plain", "/sub/x", "/star/x", "/router/x", "/opaque/any", "/hosted", "/breaks"]


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    ("requirement", "make_headers", "name"),
    [
        pytest.param("a", lambda: bearer("a", sub="bob"), "bob", id="scope"),
        pytest.param(OPTIONAL, lambda: bearer(sub="bob"), "bob", id="optional"),
        pytest.param(OPTIONAL, dict, NOBODY, id="optional, anonymous"),
        pytest.param(PUBLIC, lambda: bearer(sub="bob"), NOBODY, id="public"),
        pytest.param(PUBLIC, forged, NOBODY, id="public, forged"),
    ],
)
def test_claims_of_a_connection_are_known_at_every_kind_of_endpoint(
    path: str, requirement: Any, make_headers: MakeHeaders, name: str
) -> None:
    host = {"Host": "other.example.org" if path == "/hosted" else "testserver"}
    response = Named(requirement).client.get(path, headers=make_headers() | host)
    assert (response.status_code, response.text) == (200, name)


def test_claims_of_a_connection_are_known_in_a_socket_and_after_the_answer() -> None:
    named = Named("a")
    headers = bearer("a", sub="bob")
    with named.client.websocket_connect("/ws", headers=headers) as websocket:
        assert websocket.receive_text() == "bob"
    named.client.get("/plain", headers=headers)
    assert named.late == ["bob"]


def test_claims_of_one_request_are_not_those_of_the_next() -> None:
    client = Named(OPTIONAL).client
    names = [client.get("/api", headers=bearer(sub=sub)).text for sub in ("bob", "eve", "bob")]
    assert [*names, client.get("/api").text] == ["bob", "eve", "bob", NOBODY]


def test_guard_that_protects_nothing_here_knows_no_claims() -> None:
    guard, other = make_guard({"GET /a": "a"}), make_guard({"GET /a": "a"})
    app = make_app()

    @app.get("/a")
    async def endpoint(request: Request) -> bool:
        return other.claims_of(request) is None

    assert TestClient(guard.protect(app)).get("/a", headers=bearer("a")).json() is True


OTHER_SECRET = "another-secret-of-the-tests-0123456789-0123456789"
each_place = pytest.mark.parametrize(
    "mounted", [False, True], ids=["in the app", "in a mounted app"]
)


def make_client_of_two(mounted: bool, *, outer: Any, inner: Any) -> TestClient:
    """Return a client of an app with one guard around it, and another as a dependency."""
    around = make_guard({"GET /in/x": "outer"}, verifier=outer)
    within = make_guard({"GET /x" if mounted else "GET /in/x": "inner"}, verifier=inner)
    app = make_app()
    if mounted:
        app.mount("/in", make_app("/x", dependencies=[Depends(within)]))
    else:
        app.add_api_route("/in/x", answer, dependencies=[Depends(within)])
    return TestClient(around.protect(app))


@each_place
@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET], ids=["outer issuer", "inner issuer"])
def test_guard_with_another_verifier_takes_no_claims_of_the_perimeter(
    mounted: bool, secret: str
) -> None:
    verifiers = {"outer": make_verifier(), "inner": make_verifier(keys=[OTHER_SECRET])}
    token = mint("outer", "inner", secret=secret)
    client = make_client_of_two(mounted, **verifiers)
    response = client.get("/in/x", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


@each_place
def test_guard_with_another_verifier_decides_by_itself(mounted: bool) -> None:
    outer, inner = CountingVerifier(), CountingVerifier()
    client = make_client_of_two(mounted, outer=outer, inner=inner)
    asked = [(), ("outer",), ("inner",), ("outer", "inner")]
    statuses = [client.get("/in/x", headers=bearer(*held)).status_code for held in asked]
    assert statuses == [403, 403, 403, 200]
    # Of a token that the perimeter refuses, the other verifier is not asked.
    assert (outer.verified, inner.verified) == (4, 2)


@each_place
def test_guards_with_one_verifier_verify_the_token_once(mounted: bool) -> None:
    verifier = CountingVerifier()
    client = make_client_of_two(mounted, outer=verifier, inner=verifier)
    assert client.get("/in/x", headers=bearer("outer", "inner")).status_code == 200
    assert verifier.verified == 1


class OneForAll:
    """Gives every caller the very same claims."""

    claims = Claims(sub="alice", exp=1, scopes=frozenset({"a"}))

    async def verify(self, token: str) -> Claims:
        return self.claims


def test_handler_that_changes_its_claims_changes_no_later_decision() -> None:
    verifier = OneForAll()
    guard = make_guard({"GET /a": "a", "GET /b": "b"}, verifier=verifier)
    other = make_guard(ScopeMap({"GET /a": "b"}, optional=True), verifier=verifier)
    app = make_app("/b")

    async def greedy(claims: Annotated[Claims, Depends(guard)]) -> Claims:
        vars(claims)["scopes"] = frozenset({"a", "b"})
        return claims

    app.add_api_route("/a", answer, dependencies=[Depends(greedy), Depends(other)])
    client = TestClient(guard.protect(app))
    for path in ("/a", "/b", "/a"):
        assert client.get(path, headers=bearer()).status_code == 403
