"""`requested_as=`: clients ask by longer names than tokens and the map have."""

import logging
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.security import HTTPBearer, OAuth2AuthorizationCodeBearer, OpenIdConnect
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocket

from fastapi_scopes import PUBLIC, ScopeGuard, ScopeMap, any_of
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.documents import operation_of, security_of
from tests.doors import DOORS, Door

PREFIX = "api://app/"
METADATA = "/.well-known/oauth-protected-resource"
KNOWN: dict[str, Any] = {
    "resource": "https://api.example",
    "authorization_servers": ["https://login.example"],
}
RULES = {
    f"GET {METADATA}": PUBLIC,
    "GET /x": ["tasks:read", "tasks:list"],
    "POST /x": any_of("tasks:write", "tasks:admin"),
    "WEBSOCKET /ws": "tasks:read",
}
NAMES = {
    "tasks:read": "https://app.example/read",
    "tasks:list": "https://app.example/list",
    "tasks:write": "https://app.example/write",
}
TEXTS = {"tasks:read": "Read tasks", "tasks:more": "What a route asks for"}
CODE = OAuth2AuthorizationCodeBearer(
    "https://login.example/auth",
    "https://login.example/token",
    scopes={"openid": "Sign in", "api://app/tasks:list": "Mine", "tasks:write": "As written"},
    scheme_name="code",
)

each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
LATE: dict[str, Door] = {
    "dependency": DOORS["dependency"],
    "perimeter": lambda guard: guard.protect(FastAPI(openapi_url=None), strict=False),
}


async def answer() -> str:
    return "ran"


def client_of(door: Door, guard: ScopeGuard[Any]) -> TestClient:
    app = door(guard)
    app.add_api_route("/x", answer, methods=["GET", "POST"])

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        raise AssertionError

    app.include_router(guard.metadata_router())
    return TestClient(app)


def make_client(door: Door, requested_as: Any, **options: Any) -> TestClient:
    return client_of(door, make_guard(RULES, requested_as=requested_as, **KNOWN | options))


def scope_of(challenge: str) -> str | None:
    _, found, rest = challenge.partition(', scope="')
    return rest.partition('"')[0] if found else None


CHALLENGES = {
    "prefix": (PREFIX, "GET", "api://app/tasks:list api://app/tasks:read"),
    "function": (NAMES.get, "GET", "https://app.example/list https://app.example/read"),
    "first of two": (NAMES.get, "POST", "https://app.example/write"),
    "one without a name": ({"tasks:read": "x"}.get, "GET", "x"),
    "none with a name": ({}.get, "GET", None),
    "nothing": (None, "GET", "tasks:list tasks:read"),
}


@each_door
@pytest.mark.parametrize(("requested_as", "method", "scopes"), CHALLENGES.values(), ids=CHALLENGES)
def test_challenge_names_scopes_as_clients_ask_and_the_problem_as_the_map_does(
    door: Door, requested_as: Any, method: str, scopes: str | None
) -> None:
    response = make_client(door, requested_as).request(method, "/x", headers=bearer("tasks:more"))
    assert response.status_code == 403
    assert scope_of(response.headers["www-authenticate"]) == scopes
    plain = make_client(door, None).request(method, "/x", headers=bearer("tasks:more"))
    assert response.content == plain.content
    assert response.json()["required"][0] == sorted(response.json()["required"][0])


@pytest.mark.parametrize("requested_as", [PREFIX, NAMES.get, {"tasks:list": "x"}.get])
def test_both_doors_answer_the_same_bytes(requested_as: Any) -> None:
    responses = [
        make_client(door, requested_as).get("/x", headers=bearer()) for door in DOORS.values()
    ]
    first, second = ((each.content, each.headers["www-authenticate"]) for each in responses)
    assert first == second


@each_door
def test_tokens_hold_the_names_of_the_map(door: Door) -> None:
    client = make_client(door, PREFIX)
    assert client.get("/x", headers=bearer("tasks:read", "tasks:list")).status_code == 200
    long = [f"{PREFIX}tasks:read", f"{PREFIX}tasks:list"]
    assert client.get("/x", headers=bearer(*long)).status_code == 403


@each_door
def test_challenge_scopes_are_written_as_given(door: Door) -> None:
    client = make_client(door, PREFIX, challenge_scopes=["tasks:read", "openid"])
    for headers in ({}, {"Authorization": "Bearer x"}):
        challenge = client.get("/x", headers=headers).headers["www-authenticate"]
        assert scope_of(challenge) == "tasks:read openid"


@each_door
def test_socket_is_told_the_same(door: Door) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        make_client(door, PREFIX).websocket_connect("/ws", headers=bearer("other")),
    ):
        pass
    assert scope_of(refused.value.headers["www-authenticate"]) == "api://app/tasks:read"


SUPPORTED = [
    pytest.param(
        PREFIX, [PREFIX + each for each in ("tasks:list", "tasks:read", "tasks:write")], id="prefix"
    ),
    pytest.param(NAMES.get, [NAMES[each] for each in sorted(NAMES)], id="function"),
    pytest.param({"tasks:write": "z", "tasks:list": "y"}.get, ["y", "z"], id="order of the map"),
    pytest.param({"tasks:read": "offline_access"}.get, None, id="none of a resource"),
    pytest.param({}.get, None, id="no names"),
]


@pytest.mark.parametrize(("requested_as", "listed"), SUPPORTED)
def test_metadata_lists_the_names_that_clients_ask_for(
    requested_as: Any, listed: list[str] | None
) -> None:
    rules = RULES | {"PUT /x": any_of("offline_access", "tasks:admin")}
    guard = make_guard(rules, requested_as=requested_as, admin_scope="tasks:admin", **KNOWN)
    document = client_of(LATE["perimeter"], guard).get(METADATA).json()
    assert document.get("scopes_supported") == listed


def document_with(
    requested_as: Any, security_scheme: Any = None, version: str | None = None
) -> dict[str, Any]:
    scope_map = ScopeMap(RULES, descriptions=TEXTS)
    guard = make_guard(scope_map, requested_as=requested_as, security_scheme=security_scheme)
    app = FastAPI(dependencies=[Depends(guard)])
    if version is not None:
        app.openapi_version = version
    app.add_api_route("/x", answer, methods=["GET"])
    dependencies = [Security(guard, scopes=["tasks:more"])]
    app.add_api_route("/x", answer, methods=["POST"], dependencies=dependencies)
    document = guard.document(app).openapi()
    validate(document)
    return document


def scheme_in(document: dict[str, Any]) -> dict[str, Any]:
    ((_, scheme),) = document["components"]["securitySchemes"].items()
    return dict(scheme)


def test_flow_of_a_padlock_and_operations_have_the_names_that_clients_ask_for() -> None:
    document = document_with(PREFIX, CODE)
    assert scheme_in(document)["flows"]["authorizationCode"]["scopes"] == {
        "api://app/tasks:admin": "",
        "api://app/tasks:list": "Mine",
        "api://app/tasks:more": "What a route asks for",
        "api://app/tasks:read": "Read tasks",
        "api://app/tasks:write": "",
        "openid": "Sign in",
        "tasks:write": "As written",
    }
    assert security_of(document) == {
        "GET /x": [{"code": ["api://app/tasks:list", "api://app/tasks:read"]}],
        "POST /x": [
            {"code": ["api://app/tasks:more", "api://app/tasks:write"]},
            {"code": ["api://app/tasks:admin", "api://app/tasks:more"]},
        ],
    }


def test_fastapi_alone_lists_them_in_the_flow_as_well() -> None:
    guard = make_guard(RULES, requested_as=NAMES.get, security_scheme=CODE)
    app = FastAPI()
    app.add_api_route("/x", answer, dependencies=[Depends(guard)])
    scopes = scheme_in(app.openapi())["flows"]["authorizationCode"]["scopes"]
    assert {*NAMES.values()} < {*scopes}
    assert not {*NAMES} - {"tasks:write"} & {*scopes}


def test_scopes_without_a_name_are_left_out_of_the_document() -> None:
    document = document_with({"tasks:read": "read", "tasks:more": "more"}.get, CODE)
    scopes = scheme_in(document)["flows"]["authorizationCode"]["scopes"]
    assert {each for each in scopes if "tasks" not in each} == {"openid", "read", "more"}
    assert (scopes["read"], scopes["more"]) == (TEXTS["tasks:read"], TEXTS["tasks:more"])
    assert security_of(document) == {
        "GET /x": [{"code": ["read"]}],
        "POST /x": [{"code": ["more"]}],
    }


def test_operation_of_which_no_scope_has_a_name_asks_for_a_token() -> None:
    document = document_with({}.get, CODE)
    assert security_of(document) == {"GET /x": [{"code": []}], "POST /x": [{"code": []}]}
    assert operation_of(document, "GET /x")["x-required-scopes"] == [["tasks:list", "tasks:read"]]


@pytest.mark.parametrize(
    ("named", "is_shown"), [(("tasks:read",), True), (("tasks:list", "tasks:read"), False)]
)
def test_operation_shows_the_scopes_that_nobody_can_ask_for(
    named: tuple[str, ...], is_shown: bool
) -> None:
    document = document_with({each: f"x:{each}" for each in named}.get, CODE)
    shown = operation_of(document, "GET /x").get("x-required-scopes")
    assert shown == ([["tasks:list", "tasks:read"]] if is_shown else None)


@pytest.mark.parametrize(
    ("version", "scopes"),
    [("3.1.0", ["api://app/tasks:list", "api://app/tasks:read"]), ("3.0.3", [])],
)
def test_bearer_scheme_has_the_names_and_operations_have_those_of_the_map_too(
    version: str, scopes: list[str]
) -> None:
    document = document_with(PREFIX, HTTPBearer(scheme_name="token"), version)
    operation = operation_of(document, "GET /x")
    assert operation["security"] == [{"token": scopes}]
    assert operation["x-required-scopes"] == [["tasks:list", "tasks:read"]]
    assert scheme_in(document)["x-scopes"] == {
        "api://app/tasks:admin": "",
        "api://app/tasks:list": "",
        "api://app/tasks:more": "What a route asks for",
        "api://app/tasks:read": "Read tasks",
        "api://app/tasks:write": "",
    }


def test_openid_connect_has_the_names() -> None:
    document = document_with(NAMES.get, OpenIdConnect(openIdConnectUrl="https://login.example/x"))
    assert scheme_in(document)["x-scopes"] == {**dict.fromkeys(NAMES.values(), "")} | {
        NAMES["tasks:read"]: "Read tasks"
    }
    operation = operation_of(document, "GET /x")
    assert operation["security"] == [{"OpenIdConnect": [NAMES["tasks:list"], NAMES["tasks:read"]]}]
    assert "x-required-scopes" not in operation


@pytest.mark.parametrize("is_dependency", [True, False])
def test_scopes_of_each_guard_have_the_names_that_it_gives(is_dependency: bool) -> None:
    inner = make_guard({"GET /x": ["mine", "both"]}, requested_as="in:")
    outer = make_guard({"GET /sub/x": ["theirs", "both"]}, requested_as="out:")
    sub, app = FastAPI(), FastAPI()
    sub.add_api_route("/x", answer, dependencies=[Depends(inner)] if is_dependency else [])
    app.mount("/sub", sub)
    outer.protect(app, strict=False)
    _ = inner.document(sub) if is_dependency else inner.protect(sub, strict=False)
    operation = operation_of(sub.openapi(), "GET /x")
    # The document is that of the inner guard, with its scheme.
    assert operation["security"] == [{"ScopeGuard": ["in:both", "in:mine", "out:theirs"]}]
    assert operation["x-required-scopes"] == [["both", "mine", "theirs"]]


def test_scopes_of_a_guard_behind_the_perimeter_have_the_names_that_it_gives() -> None:
    inner = make_guard({"GET /x": ["mine", "a"]})
    outer = make_guard({"GET /x": "a"}, requested_as="out:")
    app = FastAPI()
    app.add_api_route("/x", answer, dependencies=[Depends(inner)])
    document = outer.protect(app, strict=False).openapi()
    assert security_of(document)["GET /x"] == [{"ScopeGuard": ["out:a", "mine"]}]


def test_one_name_of_two_guards_is_asked_for_once() -> None:
    inner = make_guard({"GET /x": "a"}, requested_as={"a": "same"}.get)
    app = FastAPI()
    app.add_api_route("/x", answer, dependencies=[Depends(inner)])
    outer = make_guard({"GET /x": "b"}, requested_as={"b": "same"}.get)
    document = outer.protect(app, strict=False).openapi()
    assert security_of(document)["GET /x"] == [{"ScopeGuard": ["same"]}]


def test_function_is_called_at_construction_and_not_by_requests() -> None:
    asked: list[str] = []

    def name(scope_token: str) -> str:
        asked.append(scope_token)
        return f"x:{scope_token}"

    scope_map = ScopeMap(RULES, descriptions=TEXTS)
    guard = make_guard(scope_map, requested_as=name, **KNOWN)
    assert sorted(asked) == [f"tasks:{each}" for each in ("admin", "list", "more", "read", "write")]
    asked.clear()
    client = client_of(DOORS["dependency"], guard)
    for _ in range(2):
        assert client.get("/x", headers=bearer()).status_code == 403
        assert client.get("/x", headers=bearer("tasks:list", "tasks:read")).status_code == 200
    assert asked == []


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_guard(RULES, requested_as=lambda _: "one", realm='"', security_scheme=5)
    assert [each.setting for each in caught.value.problems] == [
        *["requested_as"] * 3,
        "security_scheme",
        "realm",
    ]


def app_with(door: Door, guard: ScopeGuard[Any], *scopes: str) -> FastAPI:
    app = door(guard)
    app.add_api_route("/x", answer, dependencies=[Security(guard, scopes=[*scopes])])
    return app


@each_door
@pytest.mark.parametrize("name", ["of:a", "x y", 5])
def test_scope_of_a_route_without_a_name_of_its_own_is_found_by_the_check(
    door: Door, name: Any
) -> None:
    guard = make_guard({"GET /x": "a"}, requested_as={"a": "of:a", "b": name}.get)
    app = app_with(door, guard, "b")
    (problem,) = guard.check(app).problems
    assert problem.startswith("'GET /x': requested_as gives 'b' the name ")
    with pytest.raises(ConfigurationError, match="requested_as gives 'b' the name"):
        guard.check(app, raise_on_gap=True)


def test_protected_app_does_not_start_with_two_scopes_of_one_name() -> None:
    guard = make_guard({"GET /x": "a"}, requested_as=lambda _: "one")
    app = app_with(DOORS["perimeter"], guard, "b")
    with pytest.raises(ConfigurationError, match="which 'a' has"), TestClient(app):
        pass


def broken(scope_token: str) -> Any:
    answers: dict[str, Any] = {"a": "of:a", "no-text": 5, "no-scope": 'x", error="', "none": None}
    return answers[scope_token]


FAULTS = {
    "raises": ("unknown", "KeyError"),
    "no text": ("no-text", "what it returns is no name"),
    "no scope": ("no-scope", "what it returns is no name"),
    "none": ("none", None),
}


@pytest.mark.parametrize("door", LATE.values(), ids=LATE)
@pytest.mark.parametrize(("scope_token", "fault"), FAULTS.values(), ids=FAULTS)
def test_name_that_fails_at_run_time_is_left_out_of_the_challenge(
    door: Door, scope_token: str, fault: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make_guard({"GET /x": "a"}, requested_as=broken)
    client = TestClient(app_with(door, guard, scope_token))
    caplog.set_level(logging.ERROR, "fastapi_scopes")
    for _ in range(2):
        response = client.get("/x", headers=bearer("other"))
        assert response.status_code == 403
        assert response.headers["www-authenticate"] == (
            'Bearer realm="api", error="insufficient_scope", '
            'error_description="the access token lacks a required scope", scope="of:a"'
        )
        assert response.json()["required"] == [sorted(["a", scope_token])]
    told = [record.getMessage() for record in caplog.records]
    assert told == (
        [f"requested_as fails, challenges leave out the scope: {fault}"] if fault else []
    )


def test_document_leaves_out_a_name_that_fails() -> None:
    guard = make_guard({"GET /x": "a"}, requested_as=broken, security_scheme=CODE)
    app = FastAPI(dependencies=[Security(guard, scopes=["unknown"])])
    app.add_api_route("/x", answer)
    document = guard.document(app).openapi()
    assert security_of(document) == {"GET /x": [{"code": ["of:a"]}]}
    assert "unknown" not in scheme_in(document)["flows"]["authorizationCode"]["scopes"]
