"""Attacks on what a resource server says of itself: by requests, by settings, by mounts."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import DENY, PUBLIC, Claims
from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable
from tests.apps import bearer, make_guard
from tests.perimeter.serving import SERVERS, Served, serve

RESOURCE = "https://api.example/mcp"
ISSUER = "https://login.example"
PATH = "/.well-known/oauth-protected-resource/mcp"
KNOWN: dict[str, Any] = {"resource": RESOURCE, "authorization_servers": [ISSUER]}
RULES = {f"GET {PATH}": PUBLIC, "GET /x": "a:1", "POST /x": DENY}
DOCUMENT = (
    b'{"resource":"https://api.example/mcp","authorization_servers":["https://login.example"],'
    b'"scopes_supported":["a:1"],"bearer_methods_supported":["header"]}'
)
LED = f'Bearer realm="api", resource_metadata="https://api.example{PATH}"'


async def answer() -> str:
    return "ran"


def make_app(rules: Any = RULES, **options: Any) -> FastAPI:
    guard = make_guard(rules, **KNOWN | options)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer, methods=["GET", "POST"])
    app.include_router(guard.metadata_router())
    return guard.protect(app)


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(make_app(), http=request.param) as served:
        yield served


SPOOFS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "host": ("Host: evil.example",),
    "host-and-port": ("Host: evil.example:1",),
    "host-with-a-path": ("Host: evil.example/mcp?",),
    "host-with-a-quote": ('Host: evil.example", error="x',),
    "empty-host": ("Host:",),
    "forwarded-host": ("X-Forwarded-Host: evil.example", "X-Forwarded-Server: evil.example"),
    "forwarded-scheme": ("X-Forwarded-Proto: http", "X-Forwarded-Scheme: http"),
    "forwarded-port": ("X-Forwarded-Port: 1",),
    "forwarded-prefix": ("X-Forwarded-Prefix: /evil", "X-Script-Name: /evil"),
    "forwarded": ("Forwarded: for=127.0.0.1;host=evil.example;proto=http",),
    "original-url": ("X-Original-URL: /evil", "X-Rewrite-URL: /evil"),
    "origin": ("Origin: https://evil.example", "Referer: https://evil.example/"),
}


@pytest.mark.parametrize("fields", SPOOFS.values(), ids=SPOOFS)
def test_nothing_of_a_request_is_in_the_metadata(served: Served, fields: tuple[str, ...]) -> None:
    found = served.request("GET", PATH, *fields)
    if not found.is_of_the_server:
        assert (found.status, found.body) == (200, DOCUMENT)
        assert "evil" not in repr(found.fields)


@pytest.mark.parametrize("fields", SPOOFS.values(), ids=SPOOFS)
def test_nothing_of_a_request_is_in_a_challenge(served: Served, fields: tuple[str, ...]) -> None:
    refused = served.request("GET", "/x", *fields)
    if not refused.is_of_the_server:
        assert (refused.status, refused.field("www-authenticate")) == (401, LED)


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example:1"])
def test_absolute_target_of_another_host_changes_nothing(served: Served, origin: str) -> None:
    found = served.request("GET", f"{origin}{PATH}")
    assert found.is_of_the_server or found.status == 404 or found.body == DOCUMENT
    refused = served.request("GET", f"{origin}/x")
    if refused.status == 401:
        assert refused.field("www-authenticate") == LED


@pytest.mark.parametrize("query", ["?resource=https://evil.example", "?scope=root", "?"])
def test_query_changes_nothing(served: Served, query: str) -> None:
    assert served.request("GET", PATH + query).body == DOCUMENT


@pytest.mark.parametrize("http", SERVERS)
@pytest.mark.parametrize("root_path", ["/evil", "/.well-known", "/mcp"])
def test_root_path_changes_nothing(http: str, root_path: str) -> None:
    with serve(make_app(), http=http, root_path=root_path) as served:
        # The server puts its root path in front of what is asked for.
        assert served.request("GET", PATH).body == DOCUMENT
        assert served.request("GET", "/x").field("www-authenticate") == LED


def test_root_path_of_the_app_changes_nothing() -> None:
    app = make_app()
    app.root_path = "/evil"
    client = TestClient(app, base_url="http://evil.example")
    assert client.get(PATH).content == DOCUMENT
    assert client.get("/x").headers["www-authenticate"] == LED


def test_head_has_the_fields_of_get_and_no_content(served: Served) -> None:
    with served.connect() as connection:
        connection.send(f"HEAD {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = connection.receive(has_body=False)
        # A byte of content would be read as the next answer.
        connection.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert connection.receive().body == DOCUMENT
    assert head.status == 200
    assert head.field("content-type") == "application/json"
    assert head.field("content-length") == str(len(DOCUMENT))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_metadata_is_read_and_never_written(served: Served, method: str) -> None:
    assert served.request(method, PATH).status == 405
    assert served.request("GET", PATH).body == DOCUMENT


NEAR = [f"{PATH}/", f"{PATH}%0a", f"{PATH}/..", f"{PATH}x", PATH.upper(), f"/{PATH}"]


@pytest.mark.parametrize("target", NEAR)
def test_paths_nearby_are_not_the_metadata(served: Served, target: str) -> None:
    found = served.request("GET", target)
    assert found.status in {307, 401, 404}
    assert b"login.example" not in found.body


BREAKERS = {
    "carriage-return": "a\r\nSet-Cookie: a=b",
    "line-feed": "a\nb",
    "nul": "a\x00b",
    "quote": 'a"b',
    "quote-and-parameter": 'a", error="x',
    "backslash": "a\\",
    "latin-1": "aéb",
    "next-line": "a\x85b",
    "beyond-latin-1": "a\u20acb",
    "line-separator": "a\u2028b",
    "surrogate": "a\ud800b",
}
SETTINGS: dict[str, Any] = {
    "realm": lambda text: {"realm": text},
    "challenge_scopes": lambda text: {"challenge_scopes": ["a:1", text]},
    "resource": lambda text: KNOWN | {"resource": f"https://api.example/{text}"},
    "resource-host": lambda text: KNOWN | {"resource": f"https://{text}.example/"},
    "resource-scheme": lambda text: KNOWN | {"resource": f"https://api.example{text}://"},
    "authorization_servers": lambda text: (
        KNOWN | {"authorization_servers": [f"https://login.example/{text}"]}
    ),
}


@pytest.mark.parametrize("text", BREAKERS.values(), ids=BREAKERS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_text_that_breaks_a_header_is_refused_when_configured(setting: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_guard({}, **SETTINGS[setting](text))
    (problem,) = map(str, raised.value.problems)
    assert problem.startswith(setting.partition("-")[0])
    # A log is one line a problem, whatever the setting.
    assert "\n" not in problem
    assert "\r" not in problem


def test_every_character_that_a_resource_may_have_fits_into_the_challenge() -> None:
    fitting = 0
    for code in range(0x100):
        try:
            app = make_app(
                {f"GET {PATH}{chr(code)}": PUBLIC, "* /x": "a:1"},
                resource=f"{RESOURCE}{chr(code)}",
            )
        except ConfigurationError:
            continue
        challenge = TestClient(app).get("/x").headers["www-authenticate"]
        assert challenge == LED[:-1] + chr(code) + '"'
        assert chr(code) not in '"\\'
        assert 0x20 < code < 0x7F
        fitting += 1
    assert fitting > 70


class Unreachable:
    async def verify(self, token: str) -> Claims:
        raise VerifierUnavailable(1)


def test_outage_of_the_issuer_says_nothing_and_closes_no_metadata() -> None:
    client = TestClient(make_app(verifier=Unreachable()))
    refused = client.get("/x", headers=bearer("a:1"))
    assert refused.status_code == 503
    assert "example" not in repr(refused.headers) + refused.text
    # It is public, so no token is looked at.
    assert client.get(PATH, headers=bearer("a:1")).content == DOCUMENT


def test_gap_that_was_found_late_says_nothing() -> None:
    app = make_app({f"GET {PATH}": PUBLIC, "GET /x": "a:1"})
    for path in ("/x", PATH):
        refused = TestClient(app).get(path)
        assert refused.status_code == 503
        assert "example" not in repr(refused.headers) + refused.text


@pytest.mark.parametrize("path", ["/x", "/none"])
def test_whom_no_token_would_let_in_learns_nothing(path: str) -> None:
    guard = make_guard(RULES | {"OPTIONS /none": DENY}, **KNOWN)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer, methods=["GET", "POST"])
    app.add_api_route("/none", answer, methods=["POST", "OPTIONS"])
    app.include_router(guard.metadata_router())
    refused = TestClient(guard.protect(app, strict=False)).post(path, headers=bearer("a:1"))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "www-authenticate" not in refused.headers
    assert "example" not in repr(refused.headers) + refused.text


def test_admin_scope_is_not_told_even_where_a_rule_names_it() -> None:
    app = make_app(RULES | {"GET /x": ["root", "a:1"]}, admin_scope="root")
    assert TestClient(app).get(PATH).content == DOCUMENT


def test_offline_access_is_not_told_even_where_a_rule_names_it() -> None:
    app = make_app(RULES | {"GET /x": ["offline_access", "a:1"]})
    assert TestClient(app).get(PATH).content == DOCUMENT


def test_protected_app_below_a_mount_leads_to_the_host_of_its_resource() -> None:
    inner_guard = make_guard({"GET /x": "a:1"}, **KNOWN)
    inner = FastAPI(openapi_url=None)
    inner.add_api_route("/x", answer)
    inner_guard.protect(inner)
    outer_guard = make_guard({f"GET {PATH}": PUBLIC, "GET /mcp/x": "b:2"})
    outer = FastAPI(openapi_url=None)
    # The document of the inner app has its place at the root of the host (RFC 9728 3.1).
    outer.include_router(inner_guard.metadata_router())
    outer.mount("/mcp", inner)
    with TestClient(outer_guard.protect(outer)) as client:
        assert client.get(PATH, headers={"Host": "evil.example"}).content == DOCUMENT
        assert client.get(f"/mcp{PATH}").status_code == 404
        # Each guard says what it was told itself.
        assert client.get("/mcp/x").headers["www-authenticate"] == 'Bearer realm="api"'
        lacking = client.get("/mcp/x", headers=bearer("b:2"))
        assert lacking.headers["www-authenticate"].endswith(LED.partition(", ")[2])


def test_two_resources_of_one_app_are_two_documents() -> None:
    other = {"resource": f"{RESOURCE}/", "authorization_servers": ["https://other.example"]}
    rules = {f"GET {PATH}": PUBLIC, f"GET {PATH}/": PUBLIC}
    first, second = make_guard(rules, **KNOWN), make_guard({"GET /x": "b:2"}, **other)
    app = FastAPI(openapi_url=None)
    for guard in (first, second):
        app.include_router(guard.metadata_router())
    client = TestClient(first.protect(app))
    members = [client.get(path).json() for path in (PATH, f"{PATH}/")]
    assert [each["resource"] for each in members] == [RESOURCE, f"{RESOURCE}/"]
    assert [each["authorization_servers"] for each in members] == [
        [ISSUER],
        ["https://other.example"],
    ]


def test_list_that_is_changed_later_changes_no_document() -> None:
    servers = [ISSUER]
    guard = make_guard(RULES, resource=RESOURCE, authorization_servers=servers)
    servers[0] = "https://evil.example"
    app = FastAPI(openapi_url=None)
    app.include_router(guard.metadata_router())
    servers.append("https://evil.example")
    assert TestClient(app).get(PATH).content == DOCUMENT
