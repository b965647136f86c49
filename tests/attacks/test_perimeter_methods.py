"""Attacks on the method, the host and the path by other ways than the path itself."""

import contextlib
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, WebSocket
from starlette.routing import Host, Route, Router, WebSocketRoute

from fastapi_scopes import PUBLIC
from tests.apps import make_guard, mint
from tests.perimeter.outcomes import (
    NO_RULE,
    NOT_FOUND,
    OPEN,
    RAN,
    REFUSED,
    WRONG_METHOD,
    AnyMethod,
    outcome_of,
    ruled_by,
    running,
)
from tests.perimeter.serving import (
    HANDSHAKE,
    SERVERS,
    NoAnswerError,
    Served,
    request_of,
    serve,
)

HOST = "internal.example.org"
RULES = {
    "GET /config": "config",
    "GET /plain": "plain",
    "GET /open": PUBLIC,
    "DELETE /open": "delete",
    "* /any": "any",
    "WEBSOCKET /any": PUBLIC,
    "* /opaque/**": "opaque",
    "WEBSOCKET /opaque/**": PUBLIC,
    "GET /hosted": "hosted",
    "WEBSOCKET /socket": "socket",
    "WEBSOCKET /open-socket": PUBLIC,
}
SCOPES = frozenset(rule for rule in RULES.values() if isinstance(rule, str))


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/config", running("config"))
    app.add_api_route("/open", running("public"))
    app.add_api_route("/open", running("delete"), methods=["DELETE"])
    app.router.routes += [
        Route("/plain", running("plain")),
        Route("/any", AnyMethod("any")),
        WebSocketRoute("/open-socket", accept),
    ]
    app.add_api_websocket_route("/any", accept)
    app.add_api_websocket_route("/socket", accept)
    app.mount("/opaque", AnyMethod("opaque"))
    # In front of all, where it takes away what the routes behind it would answer.
    app.router.routes.insert(0, Host(HOST, Router([Route("/hosted", running("hosted"))])))
    return make_guard(RULES).protect(app)


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(make_app(), http=request.param) as served:
        yield served


@pytest.mark.parametrize(
    ("method", "target", "outcomes"),
    [
        pytest.param("HEAD", "/config", {WRONG_METHOD}, id="HEAD of an API route"),
        pytest.param("HEAD", "/plain", {ruled_by("plain")}, id="HEAD of a plain route"),
        pytest.param("HEAD", "/any", {ruled_by("any")}, id="HEAD for any"),
        pytest.param("OPTIONS", "/config", {WRONG_METHOD}, id="OPTIONS"),
        pytest.param("OPTIONS", "/any", {NO_RULE}, id="OPTIONS for any"),
        pytest.param("OPTIONS", "/opaque/x", {NO_RULE}, id="OPTIONS of an opaque app"),
        pytest.param("OPTIONS", "*", {NOT_FOUND, REFUSED}, id="OPTIONS of the server"),
        pytest.param("TRACE", "/config", {WRONG_METHOD}, id="TRACE"),
        pytest.param("TRACE", "/any", {ruled_by("any")}, id="TRACE for any"),
        pytest.param("DELETE", "/config", {WRONG_METHOD}, id="DELETE"),
        pytest.param("CONNECT", "/config", {WRONG_METHOD, REFUSED}, id="CONNECT"),
        pytest.param("FOO", "/config", {WRONG_METHOD, REFUSED}, id="FOO"),
        pytest.param("FOO", "/any", {ruled_by("any"), REFUSED}, id="FOO for any"),
        pytest.param("FOO", "/opaque/x", {ruled_by("opaque"), REFUSED}, id="FOO, opaque"),
        pytest.param("get", "/config", {NO_RULE, REFUSED}, id="lower case"),
        pytest.param("Get", "/plain", {NO_RULE, REFUSED}, id="mixed case"),
        pytest.param("get", "/open", {NO_RULE, REFUSED}, id="lower case, public"),
        pytest.param("delete", "/open", {NO_RULE, REFUSED}, id="lower case, beside public"),
        pytest.param("get", "/any", {NO_RULE, REFUSED}, id="lower case for any"),
        pytest.param("options", "/opaque/x", {NO_RULE, REFUSED}, id="lower case, opaque"),
        pytest.param("WEBSOCKET", "/any", {ruled_by("any"), REFUSED}, id="WEBSOCKET by star"),
        pytest.param(
            "WEBSOCKET", "/opaque/x", {ruled_by("opaque"), REFUSED}, id="WEBSOCKET, opaque"
        ),
        pytest.param("WEBSOCKET", "/open-socket", {NOT_FOUND, REFUSED}, id="WEBSOCKET of one"),
        pytest.param("websocket", "/opaque/x", {NO_RULE, REFUSED}, id="lower-case WEBSOCKET"),
        pytest.param("*", "/any", {NO_RULE, REFUSED}, id="asterisk"),
        pytest.param("*", "/opaque/x", {NO_RULE, REFUSED}, id="asterisk, opaque"),
        pytest.param("*", "/open", {NO_RULE, REFUSED}, id="asterisk, public"),
    ],
)
def test_method_is_ruled_exactly_as_it_is_spelt(
    served: Served, method: str, target: str, outcomes: set[str]
) -> None:
    assert outcome_of(served, method, target, scopes=SCOPES) in outcomes


@pytest.mark.parametrize(
    "name",
    ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Http-Method-Overwrite"],
)
def test_method_override_is_not_read(served: Served, name: str) -> None:
    assert outcome_of(served, "DELETE", "/open", f"{name}: GET", scopes=SCOPES) == ruled_by(
        "delete"
    )
    assert outcome_of(served, "GET", "/open", f"{name}: DELETE", scopes=SCOPES) == OPEN


def test_method_in_the_query_is_not_read(served: Served) -> None:
    assert outcome_of(served, "DELETE", "/open?_method=GET", scopes=SCOPES) == ruled_by("delete")


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Script-Name",
        "Script-Name",
        "X-Envoy-Original-Path",
    ],
)
def test_path_in_a_field_is_not_read(served: Served, name: str) -> None:
    assert outcome_of(served, "GET", "/config", f"{name}: /open", scopes=SCOPES) == ruled_by(
        "config"
    )
    assert outcome_of(served, "GET", "/open", f"{name}: /config", scopes=SCOPES) == OPEN


@pytest.mark.parametrize(
    ("fields", "outcomes"),
    [
        pytest.param([f"Host: {HOST}"], {ruled_by("hosted")}, id="its own"),
        pytest.param([f"Host: {HOST.upper()}"], {ruled_by("hosted")}, id="in upper case"),
        pytest.param([f"Host: {HOST}:8080"], {ruled_by("hosted")}, id="with a port"),
        pytest.param([f"Host: {HOST}."], {NOT_FOUND}, id="with a dot"),
        pytest.param([f"Host: evil.{HOST}"], {NOT_FOUND}, id="a host below"),
        pytest.param([f"Host: {HOST}@evil"], {NOT_FOUND, REFUSED}, id="as a user"),
        pytest.param(["Host: evil"], {NOT_FOUND}, id="evil"),
        pytest.param(["Host:"], {NOT_FOUND, REFUSED}, id="none"),
        pytest.param([f"Host: {HOST}", "Host: evil"], {ruled_by("hosted"), REFUSED}, id="two"),
        pytest.param(["Host: evil", f"Host: {HOST}"], {NOT_FOUND, REFUSED}, id="evil and its own"),
        pytest.param([f"X-Forwarded-Host: {HOST}"], {NOT_FOUND}, id="forwarded"),
        pytest.param([f"Forwarded: host={HOST}"], {NOT_FOUND}, id="forwarded by RFC 7239"),
    ],
)
def test_route_of_a_host_is_ruled_where_the_router_finds_it(
    served: Served, fields: list[str], outcomes: set[str]
) -> None:
    assert outcome_of(served, "GET", "/hosted", *fields, scopes=SCOPES) in outcomes


@pytest.mark.parametrize(
    ("field", "outcomes"),
    [
        pytest.param("Host: evil", {ruled_by("config")}, id="evil"),
        pytest.param("Host: evil/open?", {ruled_by("config"), REFUSED}, id="with a path"),
        pytest.param("Host:", {ruled_by("config"), REFUSED}, id="none"),
        pytest.param(f"Host: {HOST}", {NOT_FOUND}, id="of a host route"),
        pytest.param("X-Forwarded-Host: evil", {ruled_by("config")}, id="forwarded"),
    ],
)
def test_host_opens_no_route_of_the_app(served: Served, field: str, outcomes: set[str]) -> None:
    assert outcome_of(served, "GET", "/config", field, scopes=SCOPES) in outcomes


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/any"), ("HEAD", "/opaque/x"), ("DELETE", "/open")]
)
def test_handshake_by_another_method_runs_no_endpoint(
    served: Served, method: str, target: str
) -> None:
    """The rule of the socket is public, and that of the method is not."""
    with served.connect() as connection:
        connection.send(request_of(method, target, *HANDSHAKE))
        with contextlib.suppress(NoAnswerError):
            answer = connection.receive_head()
            assert answer.status in {400, 401, 403, 405}
            assert answer.field(RAN) is None


@pytest.mark.parametrize("target", ["/socket%0a", "/socket%00", "/open-socket%0a", "/opaque/x%0a"])
def test_control_character_in_the_path_of_a_socket_has_no_rule(served: Served, target: str) -> None:
    assert served.handshake(target).status == 401
    everything = f"Authorization: Bearer {mint(*SCOPES)}"
    answer = served.handshake(target, everything)
    assert (answer.status, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("target", "anonymous", "verified"),
    [
        pytest.param("/%73ocket", 401, 101, id="encoded letter"),
        pytest.param("/socket?x=/open-socket", 401, 101, id="path in the query"),
        pytest.param("//socket", 403, 403, id="two slashes"),
        pytest.param("/open-socket/../socket", 403, 403, id="dots"),
        pytest.param("/socket/", 403, 403, id="slash behind"),
        pytest.param("/SOCKET", 403, 403, id="upper case"),
        pytest.param("/config", 403, 403, id="path of an HTTP route"),
        pytest.param("/open-socket", 101, 101, id="public"),
    ],
)
def test_path_of_a_socket_is_ruled_by_what_the_router_makes_of_it(
    served: Served, target: str, anonymous: int, verified: int
) -> None:
    assert served.handshake(target).status == anonymous
    everything = f"Authorization: Bearer {mint(*SCOPES)}"
    assert served.handshake(target, everything).status == verified
