"""What is said of paths and methods that no endpoint answers."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from fastapi_scopes import PUBLIC, Claims
from fastapi_scopes.errors import VerifierUnavailable
from tests.apps import MakeHeaders, bearer, make_guard
from tests.perimeter.small import MALFORMED, CountingVerifier, answer, forged, make_app, plain

RULES = {
    "GET /a": "a",
    "GET /open": PUBLIC,
    "GET /v1/r": "a",
    "GET /sub/x": "a",
    "GET /star/x": "a",
}

each_unknown = pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/nope", 404, id="path"),
        pytest.param("GET", "/a/nope", 404, id="path below a route"),
        pytest.param("GET", "/v1/nope", 404, id="path below an inclusion"),
        pytest.param("GET", "/sub/nope", 404, id="path in a mounted FastAPI"),
        pytest.param("GET", "/star/nope", 404, id="path in a mounted Starlette"),
        pytest.param("POST", "/a", 405, id="method"),
        pytest.param("OPTIONS", "/a", 405, id="OPTIONS"),
        pytest.param("HEAD", "/a", 405, id="HEAD"),
        pytest.param("BREW", "/a", 405, id="method of no registry"),
        pytest.param("POST", "/open", 405, id="method of a public route"),
        pytest.param("POST", "/v1/r", 405, id="method below an inclusion"),
        pytest.param("POST", "/sub/x", 405, id="method in a mounted FastAPI"),
        pytest.param("POST", "/star/x", 405, id="method in a mounted Starlette"),
        pytest.param("GET", "/a/", 307, id="slash"),
        pytest.param("GET", "/open/", 307, id="slash of a public route"),
        pytest.param("GET", "/v1/r/", 307, id="slash below an inclusion"),
        pytest.param("GET", "/sub/x/", 307, id="slash in a mounted FastAPI"),
        pytest.param("GET", "/star/x/", 307, id="slash in a mounted Starlette"),
    ],
)
INVALID = {"Authorization": "Bearer a.b.c"}
CALLERS: Mapping[str, tuple[MakeHeaders, int]] = {
    "anonymous": (dict, 401),
    "another scheme": (lambda: {"Authorization": "Basic YTpi"}, 401),
    "invalid": (lambda: INVALID, 401),
    "forged": (forged, 401),
    "malformed": (lambda: MALFORMED, 400),
}
each_unverified = pytest.mark.parametrize(
    ("make_headers", "refusal"), list(CALLERS.values()), ids=list(CALLERS)
)


def make_open_app() -> FastAPI:
    app = make_app("/a", "/open")
    router = APIRouter()
    router.add_api_route("/r", answer)
    app.include_router(router, prefix="/v1")
    app.mount("/sub", make_app("/x"))
    app.mount("/star", Starlette(routes=[Route("/x", plain, methods=["GET"])]))
    return app


def make_client(*, hide_unknown: bool, **options: Any) -> TestClient:
    guard = make_guard(RULES, **options)
    app = guard.protect(make_open_app(), hide_unknown=hide_unknown)
    return TestClient(app, follow_redirects=False)


def wire(response: Any) -> tuple[int, dict[str, str], bytes]:
    return response.status_code, dict(response.headers), response.content


@each_unknown
@pytest.mark.parametrize(
    "make_headers", [*(make for make, _ in CALLERS.values()), bearer], ids=[*CALLERS, "valid"]
)
def test_router_answers_as_without_a_perimeter_and_no_token_is_looked_at(
    method: str, path: str, status: int, make_headers: MakeHeaders
) -> None:
    verifier, headers = CountingVerifier(), make_headers()
    client = make_client(hide_unknown=False, verifier=verifier)
    found = client.request(method, path, headers=headers)
    unprotected = TestClient(make_open_app(), follow_redirects=False)
    assert found.status_code == status
    assert wire(found) == wire(unprotected.request(method, path, headers=headers))
    assert verifier.verified == 0


@each_unknown
@each_unverified
def test_hidden_unknown_is_to_the_byte_what_a_guarded_route_is_for_unverified_callers(
    method: str, path: str, status: int, make_headers: MakeHeaders, refusal: int
) -> None:
    client, headers = make_client(hide_unknown=True), make_headers()
    hidden = client.request(method, path, headers=headers)
    guarded = client.get("/a", headers=headers)
    assert hidden.status_code == refusal
    if method == "HEAD":
        assert hidden.headers == guarded.headers
    else:
        assert wire(hidden) == wire(guarded)


@each_unknown
def test_hidden_unknown_is_answered_by_the_router_for_verified_callers(
    method: str, path: str, status: int
) -> None:
    found = make_client(hide_unknown=True).request(method, path, headers=bearer())
    unprotected = TestClient(make_open_app(), follow_redirects=False)
    assert found.status_code == status
    assert wire(found) == wire(unprotected.request(method, path, headers=bearer()))


class Unreachable:
    async def verify(self, token: str) -> Claims:
        raise VerifierUnavailable(2)


@each_unknown
def test_hidden_unknown_stays_hidden_while_no_token_can_be_verified(
    method: str, path: str, status: int
) -> None:
    client = make_client(hide_unknown=True, verifier=Unreachable())
    assert client.request(method, path, headers=bearer()).status_code == 503
    assert client.request(method, path).status_code == 401


def test_hiding_opens_no_route_and_shuts_no_public_one() -> None:
    client = make_client(hide_unknown=True)
    assert client.get("/open", headers=MALFORMED).status_code == 200
    assert client.get("/a", headers=bearer()).status_code == 403
    assert client.get("/a", headers=bearer("a")).status_code == 200


def test_hidden_unknown_is_made_known_to_nothing_behind_it() -> None:
    bound: list[str | None] = []
    client = make_client(hide_unknown=True, bind=lambda _, claims: bound.append(claims.sub))
    assert client.get("/nope").status_code == 401
    assert client.get("/nope", headers=forged()).status_code == 401
    assert bound == []


@pytest.mark.parametrize("path", ["/nope", "/a", "/sub/x", "/star/nope"])
@pytest.mark.parametrize("hide_unknown", [False, True], ids=["open", "hidden"])
def test_unknown_socket_is_closed_by_the_router_or_else_refused(
    path: str, hide_unknown: bool
) -> None:
    client = make_client(hide_unknown=hide_unknown)
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect(path, headers=bearer()),
    ):
        pass
    assert not isinstance(closed.value, WebSocketDenialResponse)
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(path):
        pass
    if hide_unknown:
        assert isinstance(refused.value, WebSocketDenialResponse)
        assert refused.value.status_code == 401
    else:
        assert refused.value.code == 1000


def test_call_by_another_way_is_refused_as_elsewhere() -> None:
    inner = Starlette(routes=[Route("/x", plain)])
    app = make_app()
    app.mount("/sub", inner)
    app.router.routes.append(Route("/own", plain))
    make_guard({"GET /sub/x": "a", "GET /own": "a"}).protect(app, strict=False, hide_unknown=True)
    copied = Starlette(routes=[each for each in app.routes if isinstance(each, Route)])
    for called, path in ((inner, "/x"), (inner, "/nope"), (copied, "/own")):
        assert TestClient(called).get(path).status_code == 401
