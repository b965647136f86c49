"""Protected resource metadata (RFC 9728): the document, its place, and the challenges to it."""

from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import AUTHENTICATED, DENY, PUBLIC, ScopeMap, any_of
from fastapi_scopes.errors import ConfigurationError
from tests.apps import MakeHeaders, bearer, make_guard
from tests.doors import DOORS, Door

RESOURCE = "https://api.example/mcp"
ISSUER = "https://login.example"
PATH = "/.well-known/oauth-protected-resource/mcp"
KNOWN: dict[str, Any] = {"resource": RESOURCE, "authorization_servers": [ISSUER]}
RULES = {
    f"GET {PATH}": PUBLIC,
    "GET /x": any_of(["b:2", "a:1"], "c:3"),
    "POST /x": DENY,
    "DELETE /x": "root",
    "PUT /x": ["offline_access", "a:1"],
}

each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


async def answer() -> str:
    return "ran"


def make_client(door: Door, rules: Any = RULES, **options: Any) -> TestClient:
    guard = make_guard(rules, **KNOWN | options)
    app = door(guard)
    app.add_api_route("/x", answer, methods=["GET", "POST", "DELETE", "PUT"])
    app.include_router(guard.metadata_router())
    return TestClient(app)


@each_door
def test_document_is_the_same_to_the_byte(door: Door) -> None:
    response = make_client(door, admin_scope="root").get(PATH)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == (
        b'{"resource":"https://api.example/mcp","authorization_servers":["https://login.example"],'
        b'"scopes_supported":["a:1","b:2","c:3"],"bearer_methods_supported":["header"]}'
    )


@each_door
def test_head_is_answered_by_the_get_rule(door: Door) -> None:
    response = make_client(door).head(PATH)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert make_client(door).post(PATH).status_code == 405


def test_scopes_are_left_out_where_the_map_names_none() -> None:
    rules = {f"GET {PATH}": PUBLIC, "* /x": AUTHENTICATED}
    members = make_client(DOORS["perimeter"], rules).get(PATH).json()
    assert list(members) == ["resource", "authorization_servers", "bearer_methods_supported"]


def test_scopes_of_presets_and_imported_maps_are_named_as_well() -> None:
    preset = ScopeMap.from_scope_mappings({"GET /nowhere": ["z:1"]}, optional=True)
    members = make_client(DOORS["perimeter"], preset | RULES).get(PATH).json()
    assert members["scopes_supported"] == ["a:1", "b:2", "c:3", "root", "z:1"]


PLACES = {
    "https://api.example": "https://api.example/.well-known/oauth-protected-resource",
    "https://api.example/": "https://api.example/.well-known/oauth-protected-resource",
    RESOURCE: f"https://api.example{PATH}",
    f"{RESOURCE}/": f"https://api.example{PATH}/",
    "https://api.example:8443/a/b": (
        "https://api.example:8443/.well-known/oauth-protected-resource/a/b"
    ),
    "http://127.0.0.1:7/x": "http://127.0.0.1:7/.well-known/oauth-protected-resource/x",
    "http://[::1]:7/x": "http://[::1]:7/.well-known/oauth-protected-resource/x",
    "http://localhost/x": "http://localhost/.well-known/oauth-protected-resource/x",
    "https://API.example/~a/b.c/(d);e=f,@:$!&'+": (
        "https://API.example/.well-known/oauth-protected-resource/~a/b.c/(d);e=f,@:$!&'+"
    ),
}


@pytest.mark.parametrize(("resource", "url"), PLACES.items())
def test_challenge_leads_to_the_document_of_exactly_that_resource(resource: str, url: str) -> None:
    path = "/.well-known" + url.partition("/.well-known")[2]
    guard = make_guard(
        {f"GET {path}": PUBLIC, "GET /x": "a:1"}, resource=resource, authorization_servers=[ISSUER]
    )
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer)
    app.include_router(guard.metadata_router())
    with TestClient(guard.protect(app), follow_redirects=False) as client:
        challenge = client.get("/x").headers["www-authenticate"]
        assert challenge == f'Bearer realm="api", resource_metadata="{url}"'
        assert client.get(path).json()["resource"] == resource


CALLERS = {
    "anonymous": (dict, 401, True),
    "invalid": (lambda: {"Authorization": "Bearer a.b.c"}, 401, True),
    "malformed": (lambda: {"Authorization": "Bearer"}, 400, False),
    "lacking": (lambda: bearer("b:2"), 403, True),
}


@each_door
@pytest.mark.parametrize(("make_headers", "status", "is_led"), CALLERS.values(), ids=CALLERS)
def test_challenge_names_the_metadata_where_another_token_would_help(
    door: Door, make_headers: MakeHeaders, status: int, is_led: bool
) -> None:
    response = make_client(door).get("/x", headers=make_headers())
    challenge = response.headers["www-authenticate"]
    assert response.status_code == status
    assert challenge.endswith(f', resource_metadata="https://api.example{PATH}"') is is_led
    assert ("resource_metadata" in challenge) is is_led


@each_door
def test_socket_that_is_refused_is_led_to_the_metadata_as_well(door: Door) -> None:
    guard = make_guard({"WEBSOCKET /ws": "a:1"}, **KNOWN)
    app = door(guard)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        raise AssertionError

    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        TestClient(app).websocket_connect("/ws"),
    ):
        pass
    assert refused.value.headers["www-authenticate"] == (
        f'Bearer realm="api", resource_metadata="https://api.example{PATH}"'
    )


def test_constant_scopes_stand_before_the_place_of_the_metadata() -> None:
    response = make_client(DOORS["perimeter"], challenge_scopes=["a:1"]).get("/x")
    assert response.headers["www-authenticate"] == (
        f'Bearer realm="api", scope="a:1", resource_metadata="https://api.example{PATH}"'
    )


def test_guard_without_a_resource_says_nothing_of_one() -> None:
    client = make_client_without_metadata()
    assert client.get("/x").headers["www-authenticate"] == 'Bearer realm="api"'
    assert client.get(PATH).status_code == 404


def make_client_without_metadata() -> TestClient:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer)
    return TestClient(make_guard({"GET /x": "a:1"}).protect(app))


def test_router_without_a_resource_is_a_configuration_error() -> None:
    message = r"metadata_router\(\) is for a guard that knows its resource; pass it resource="
    with pytest.raises(ConfigurationError, match=message):
        make_guard({}).metadata_router()


def test_route_of_the_metadata_needs_its_rule_like_any_other() -> None:
    guard = make_guard({"GET /x": "a:1"}, **KNOWN)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer)
    app.include_router(guard.metadata_router())
    with pytest.raises(ConfigurationError) as raised, TestClient(guard.protect(app)):
        pass
    assert tuple(map(str, raised.value.problems)) == (
        f"no rule for 'GET {PATH}'; add one, or map it to PUBLIC",
    )


def test_rule_of_the_metadata_without_its_route_is_named() -> None:
    guard = make_guard({f"GET {PATH}": PUBLIC}, **KNOWN)
    with pytest.raises(ConfigurationError, match=f"'GET {PATH}' matches no endpoint"):
        guard.check(FastAPI(openapi_url=None), raise_on_gap=True)


@each_door
def test_rule_of_the_metadata_is_enforced(door: Door) -> None:
    client = make_client(door, RULES | {f"GET {PATH}": "a:1"})
    assert client.get(PATH).status_code == 401
    assert client.get(PATH, headers=bearer("b:2")).status_code == 403
    assert client.get(PATH, headers=bearer("a:1")).status_code == 200


def test_metadata_is_no_operation_of_the_api() -> None:
    guard = make_guard(RULES, **KNOWN)
    app = FastAPI()
    app.include_router(guard.metadata_router())
    assert app.openapi()["paths"] == {}


def test_server_that_is_named_twice_stands_once() -> None:
    servers = [ISSUER, f"{ISSUER}/", ISSUER]
    members = make_client(DOORS["perimeter"], authorization_servers=servers).get(PATH).json()
    assert members["authorization_servers"] == [ISSUER, f"{ISSUER}/"]


NO_URL = "is no URL of plain ASCII; write one like 'https://api.example.com'"
LIKE = "write one like 'https://example.com'"
OFF_LOOPBACK = "is not https, which only loopback addresses may do without; write an https URL"
EXTRA = "has a query or a fragment; leave it out"
BAD_URLS: dict[str, tuple[Any, str]] = {
    "empty": ("", NO_URL),
    "number": (1, NO_URL),
    "bytes": (b"https://api.example", NO_URL),
    "path": ("/mcp", f"is no http or https URL; {LIKE}"),
    "urn": ("urn:api", f"is no http or https URL; {LIKE}"),
    "other-scheme": ("ftp://api.example", f"is no http or https URL; {LIKE}"),
    "no-host": ("https:///mcp", f"is no http or https URL; {LIKE}"),
    "bad-port": ("https://api.example:port", f"is no URL; {LIKE}"),
    "http": ("http://api.example", OFF_LOOPBACK),
    "http-like-loopback": ("http://127.0.0.1.example", OFF_LOOPBACK),
    "http-any-address": ("http://0.0.0.0:8000", OFF_LOOPBACK),
    "query": ("https://api.example/?a=b", EXTRA),
    "empty-query": ("https://api.example/?", EXTRA),
    "fragment": ("https://api.example/#a", EXTRA),
    "empty-fragment": ("https://api.example/#", EXTRA),
    "credentials": ("https://u:canary@api.example", "has credentials in it; leave them out"),
    "empty-credentials": ("https://@api.example", "has credentials in it; leave them out"),
    "space": ("https://api.example/a b", NO_URL),
    "quote": ('https://api.example/"', NO_URL),
    "backslash": ("https://api.example\\@evil.example", NO_URL),
    "line-feed": ("https://api.example/\n", NO_URL),
    "carriage-return": ("https://api.example\r\nX: y", NO_URL),
    "nul": ("https://api.example/\x00", NO_URL),
    "delete": ("https://api.example/\x7f", NO_URL),
    "latin-1": ("https://api.example/é", NO_URL),
    "beyond-latin-1": ("https://api.example/\u20ac", NO_URL),
    "surrogate": ("https://api.example/\ud800", NO_URL),
    "braces": ("https://api.example/{tenant}", NO_URL),
}
BAD_PATHS = ["//", "/a//b", "/.", "/..", "/a/../b", "/a/./", "/%2e", "/a%20b", "/*", "/a*"]


def problems_of(**options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        make_guard({}, **options)
    return tuple(map(str, raised.value.problems))


@pytest.mark.parametrize(("url", "problem"), BAD_URLS.values(), ids=BAD_URLS)
def test_what_is_no_place_of_a_server_is_refused(url: Any, problem: str) -> None:
    resource = problems_of(resource=url, authorization_servers=[ISSUER])
    servers = problems_of(resource=RESOURCE, authorization_servers=[ISSUER, url])
    assert resource == (f"resource {problem}",)
    assert servers == (f"authorization_servers[1] {problem}",)
    assert "canary" not in "".join(resource + servers)


@pytest.mark.parametrize("path", BAD_PATHS)
def test_path_that_no_route_can_have_is_refused(path: str) -> None:
    (problem,) = problems_of(resource=f"https://api.example{path}", authorization_servers=[ISSUER])
    assert problem.startswith("resource has a path that no route can have; write segments of")
    # It is the issuer who chose how that is called.
    make_guard({}, resource=RESOURCE, authorization_servers=[f"https://login.example{path}"])


NO_LIST = "authorization_servers is no list of URLs; write authorization_servers=["
BAD_SETTINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no-servers": ({"resource": RESOURCE}, ["authorization_servers is empty; name the issuers"]),
    "no-resource": (
        {"authorization_servers": [ISSUER]},
        ["authorization_servers is there, and resource is not; pass both or neither"],
    ),
    "text": ({"resource": RESOURCE, "authorization_servers": ISSUER}, [NO_LIST]),
    "none": ({"resource": RESOURCE, "authorization_servers": None}, [NO_LIST]),
    "set": ({"resource": RESOURCE, "authorization_servers": {ISSUER}}, [NO_LIST]),
    "all-at-once": (
        {
            "realm": "",
            "challenge_scopes": ["a b"],
            "resource": "http://api.example",
            "authorization_servers": ["x", ISSUER, "https://login.example?"],
        },
        [
            "realm: ''",
            "challenge_scopes[0]: 'a b'",
            f"resource {OFF_LOOPBACK}",
            "authorization_servers[0] is no http or https URL",
            f"authorization_servers[2] {EXTRA}",
        ],
    ),
    "everything-without-resource": (
        {"authorization_servers": ["x"]},
        [
            "authorization_servers is there, and resource is not",
            "authorization_servers[0] is no http",
        ],
    ),
}


@pytest.mark.parametrize(("options", "starts"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_everything_wrong_is_named_at_once_by_its_argument(
    options: dict[str, Any], starts: list[str]
) -> None:
    problems = problems_of(**options)
    assert len(problems) == len(starts)
    for problem, start in zip(problems, starts, strict=True):
        assert problem.startswith(start)
