"""Every kind of endpoint behind the perimeter of one app, on real servers."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.apps import mint
from tests.perimeter.rich import ENDPOINTS, SCOPES, SOCKETS, Endpoint, RichApp
from tests.perimeter.serving import SERVERS, Answer, Served, request_of, serve

MISSING = 'Bearer realm="api"'
INSUFFICIENT = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="the access token lacks a required scope", scope="{}"'
)
HEADS = [
    replace(each, method="HEAD")
    for each in ENDPOINTS
    if each.target in {"/plain", "/star/x/1", "/static/a/static.txt", "/ui/app/frontend.txt"}
]

each_endpoint = pytest.mark.parametrize("endpoint", [*ENDPOINTS, *HEADS], ids=str)
each_socket = pytest.mark.parametrize("endpoint", SOCKETS, ids=str)


@pytest.fixture(scope="module")
def rich_app(tmp_path_factory: pytest.TempPathFactory) -> RichApp:
    return RichApp(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module", params=SERVERS)
def served(rich_app: RichApp, request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(rich_app.app, http=request.param) as served:
        yield served


def credentials(*scopes: str) -> str:
    return f"Authorization: Bearer {mint(*scopes)}"


def every_scope_but(endpoint: Endpoint) -> str:
    return credentials(*SCOPES - {endpoint.scope})


def ask(served: Served, endpoint: Endpoint, *fields: str) -> Answer:
    return served.request(endpoint.method, endpoint.target, *endpoint.fields, *fields)


def open_socket(served: Served, endpoint: Endpoint, *fields: str) -> ClientConnection:
    # On a socket of our own, as the environment may name a proxy.
    return connect(
        f"ws://testserver{endpoint.target}",
        sock=socket.create_connection(("127.0.0.1", served.port)),
        additional_headers=dict(field.split(": ", 1) for field in fields),
    )


@each_endpoint
def test_anonymous_caller_is_challenged(served: Served, endpoint: Endpoint) -> None:
    answer = ask(served, endpoint)
    assert answer.status == 401
    assert answer.field("www-authenticate") == MISSING
    assert answer.field("cache-control") == "no-store"
    assert answer.field("content-type") == "application/problem+json"


@each_endpoint
def test_token_with_every_other_scope_is_told_the_one_of_this_endpoint(
    served: Served, endpoint: Endpoint
) -> None:
    answer = ask(served, endpoint, every_scope_but(endpoint))
    assert answer.status == 403
    assert answer.field("www-authenticate") == INSUFFICIENT.format(endpoint.scope)


@each_endpoint
def test_token_with_the_scope_alone_gets_the_answer(served: Served, endpoint: Endpoint) -> None:
    answer = ask(served, endpoint, credentials(endpoint.scope))
    assert answer.status == 200
    assert endpoint.method == "HEAD" or endpoint.expected in answer.body.decode()


@each_socket
def test_anonymous_socket_is_refused_before_it_is_accepted(
    served: Served, endpoint: Endpoint
) -> None:
    answer = served.handshake(endpoint.target)
    assert answer.status == 401
    assert answer.field("www-authenticate") == MISSING
    assert answer.json()["code"] == "missing_credentials"
    with pytest.raises(InvalidStatus) as caught:
        open_socket(served, endpoint)
    assert caught.value.response.status_code == 401
    assert caught.value.response.headers["www-authenticate"] == MISSING


@each_socket
def test_socket_without_the_scope_is_refused_before_it_is_accepted(
    served: Served, endpoint: Endpoint
) -> None:
    answer = served.handshake(endpoint.target, every_scope_but(endpoint))
    assert answer.status == 403
    assert answer.json()["required"] == [[endpoint.scope]]
    with pytest.raises(InvalidStatus) as caught:
        open_socket(served, endpoint, every_scope_but(endpoint))
    assert caught.value.response.status_code == 403
    challenge = caught.value.response.headers["www-authenticate"]
    assert challenge == INSUFFICIENT.format(endpoint.scope)


@each_socket
def test_socket_with_the_scope_alone_is_accepted(served: Served, endpoint: Endpoint) -> None:
    assert served.handshake(endpoint.target, credentials(endpoint.scope)).status == 101
    with open_socket(served, endpoint, credentials(endpoint.scope)) as websocket:
        assert websocket.recv() == endpoint.scope


def test_stream_reaches_the_client_chunk_by_chunk(served: Served, rich_app: RichApp) -> None:
    rich_app.events_may_go_on.clear()
    with served.connect() as connection:
        connection.send(request_of("GET", "/events", credentials("events:get")))
        assert connection.receive_head().field("transfer-encoding") == "chunked"
        assert connection.receive_chunk() == b"data: events:get\n\n"
        # Nothing goes on before the client has the first: what is held back would never come.
        rich_app.events_may_go_on.set()
        assert connection.receive_chunk() == b"data: and more\n\n"
        assert connection.receive_chunk() == b""


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((), id="no token"),
        pytest.param(("Authorization: Bearer forged.to.ken",), id="invalid token"),
        pytest.param(("Authorization: Bearer",), id="malformed credentials"),
    ],
)
def test_public_route_looks_at_no_token(served: Served, fields: tuple[str, ...]) -> None:
    answer = served.request("GET", "/health", *fields)
    assert (answer.status, answer.body) == (200, b"health")


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", "/class/x"), ("OPTIONS", "/class/x"), ("OPTIONS", "/opaque/any/path")],
)
def test_method_without_a_rule_is_denied_where_any_would_be_answered(
    served: Served, method: str, target: str
) -> None:
    anonymous = served.request(method, target)
    assert (anonymous.status, anonymous.field("www-authenticate")) == (401, MISSING)
    answer = served.request(method, target, credentials(*SCOPES))
    assert (answer.status, answer.json()["code"]) == (403, "forbidden")
