"""`Depends(guard)`: what callers get, to the byte, and what endpoints get."""

from typing import Annotated, Any

import anyio
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    Claims,
    JWTVerifier,
    ScopeGuard,
    ScopeMap,
    any_of,
)
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault, VerifierUnavailable
from fastapi_scopes.guard import AccessRefused
from tests.apps import MakeHeaders, bearer, make_guard, make_verifier, mint


async def answer() -> str:
    return "ran"


def make_client(scope_map: dict[str, Any], path: str = "/x", **options: Any) -> TestClient:
    app = FastAPI(dependencies=[Depends(make_guard(scope_map, **options))])
    app.add_api_route(path, answer, methods=["GET", "POST"])
    return TestClient(app)


BEARER = 'Bearer realm="api"'
DESCRIBED = 'error="{0}", error_description="{1}"'
WIRE = [
    pytest.param(
        dict,
        AUTHENTICATED,
        401,
        b'{"type":"urn:fastapi-scopes:problem:missing_credentials",'
        b'"title":"Authentication required","status":401,'
        b'"detail":"a bearer token is required","code":"missing_credentials"}',
        BEARER,
        id="no credentials",
    ),
    pytest.param(
        lambda: {"Authorization": "Basic YTpi"},
        AUTHENTICATED,
        401,
        b'{"type":"urn:fastapi-scopes:problem:missing_credentials",'
        b'"title":"Authentication required","status":401,'
        b'"detail":"a bearer token is required","code":"missing_credentials"}',
        BEARER,
        id="another scheme",
    ),
    pytest.param(
        lambda: {"Authorization": "Bearer"},
        AUTHENTICATED,
        400,
        b'{"type":"urn:fastapi-scopes:problem:invalid_request",'
        b'"title":"Malformed credentials","status":400,'
        b'"detail":"the Authorization header is not one bearer credential",'
        b'"code":"invalid_request"}',
        f'{BEARER}, error="invalid_request", '
        'error_description="the Authorization header is not one bearer credential"',
        id="bare Bearer",
    ),
    pytest.param(
        lambda: {"Authorization": "Bearer a.b.c"},
        AUTHENTICATED,
        401,
        b'{"type":"urn:fastapi-scopes:problem:invalid_token","title":"Invalid token",'
        b'"status":401,"detail":"the access token is not valid here","code":"invalid_token"}',
        f'{BEARER}, error="invalid_token", error_description="the access token is not valid here"',
        id="bad token",
    ),
    pytest.param(
        lambda: bearer("c:3"),
        any_of(["b:2", "a:1"], "c:4"),
        403,
        b'{"type":"urn:fastapi-scopes:problem:insufficient_scope","title":"Insufficient scope",'
        b'"status":403,"detail":"the access token lacks a required scope",'
        b'"code":"insufficient_scope","required":[["a:1","b:2"],["c:4"]]}',
        f'{BEARER}, error="insufficient_scope", '
        'error_description="the access token lacks a required scope", scope="c:4"',
        id="scopes missing",
    ),
    pytest.param(
        lambda: bearer("a:1"),
        DENY,
        403,
        b'{"type":"urn:fastapi-scopes:problem:forbidden","title":"Forbidden","status":403,'
        b'"detail":"access is denied","code":"forbidden"}',
        None,
        id="denied",
    ),
]


@pytest.mark.parametrize(("make_headers", "requirement", "status", "body", "challenge"), WIRE)
def test_refusal_is_the_same_to_the_byte(
    make_headers: MakeHeaders, requirement: Any, status: int, body: bytes, challenge: str | None
) -> None:
    response = make_client({"GET /x": requirement}).get("/x", headers=make_headers())
    assert response.status_code == status
    assert response.content == body
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("www-authenticate") == challenge
    assert response.headers.get("cache-control") == ("no-store" if status == 401 else None)


class Unreachable:
    async def verify(self, token: str) -> Claims:
        raise VerifierUnavailable(2.5)


def test_unreachable_issuer_is_503_with_retry_after() -> None:
    client = make_client({"GET /x": [], "POST /x": PUBLIC}, verifier=Unreachable())
    response = client.get("/x", headers=bearer())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert "www-authenticate" not in response.headers
    assert response.json() == {
        "type": "urn:fastapi-scopes:problem:verifier_unavailable",
        "title": "Verification unavailable",
        "status": 503,
        "detail": "tokens cannot be verified now",
        "code": "verifier_unavailable",
    }
    # A public route looks at no token, so the outage does not close it.
    assert client.post("/x", headers=bearer()).status_code == 200


@pytest.mark.parametrize("rules", [{}, {"GET /x": DENY}], ids=["no rule", "DENY"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer a b"}, 400), ({"Authorization": "Bearer x"}, 401)],
    ids=["anonymous", "malformed", "invalid"],
)
def test_where_no_one_passes_credentials_are_looked_at_first(
    rules: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    assert make_client(rules).get("/x", headers=headers).status_code == status


def test_realm_stands_in_the_challenge() -> None:
    response = make_client({"GET /x": []}, realm="agents").get("/x")
    assert response.headers["www-authenticate"] == 'Bearer realm="agents"'


def test_optional_passes_without_a_token_and_refuses_a_bad_one() -> None:
    guard = make_guard({"GET /feed": OPTIONAL})
    app = FastAPI()

    @app.get("/feed")
    async def feed(claims: Annotated[Claims | None, Depends(guard)]) -> str | None:
        return claims.sub if claims else None

    client = TestClient(app)
    assert client.get("/feed").json() is None
    assert client.get("/feed", headers=bearer()).json() == "alice"
    assert client.get("/feed", headers={"Authorization": "Bearer x"}).status_code == 401


def test_security_scopes_are_asked_for_on_top_of_the_rule() -> None:
    guard = make_guard({"GET /x": "a:1"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer, dependencies=[Security(guard, scopes=["b:2"])])
    client = TestClient(app)
    assert client.get("/x", headers=bearer("a:1")).json()["required"] == [["a:1", "b:2"]]
    assert client.get("/x", headers=bearer("b:2")).status_code == 403
    assert client.get("/x", headers=bearer("a:1", "b:2")).status_code == 200


def test_security_scopes_count_at_any_depth() -> None:
    guard = make_guard({"GET /x": []})

    async def current(claims: Annotated[Claims, Depends(guard)]) -> Claims:
        return claims

    async def outer(claims: Annotated[Claims, Security(current, scopes=["b:2"])]) -> Claims:
        return claims

    app = FastAPI()
    app.add_api_route("/x", answer, dependencies=[Security(outer, scopes=["c:3"])])
    response = TestClient(app).get("/x", headers=bearer("b:2"))
    assert response.json()["required"] == [["b:2", "c:3"]]
    assert TestClient(app).get("/x", headers=bearer("b:2", "c:3")).status_code == 200


def test_security_scopes_of_an_inclusion_count() -> None:
    guard = make_guard({"GET /v1/x": []})
    router = APIRouter()
    router.add_api_route("/x", answer)
    app = FastAPI()
    app.include_router(router, prefix="/v1", dependencies=[Security(guard, scopes=["b:2"])])
    client = TestClient(app)
    assert client.get("/v1/x", headers=bearer()).json()["required"] == [["b:2"]]
    assert client.get("/v1/x", headers=bearer("b:2")).status_code == 200


def test_security_scopes_on_a_public_rule_shut_the_route_and_fail_the_check() -> None:
    guard = make_guard({"GET /x": PUBLIC})
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer, dependencies=[Security(guard, scopes=["b:2"])])
    assert TestClient(app).get("/x").status_code == 401
    assert TestClient(app).get("/x", headers=bearer("b:2")).status_code == 403
    with pytest.raises(ConfigurationError, match="'GET /x' asks for 'b:2', yet 'GET /x' is PUBLIC"):
        guard.check(app)


def test_admin_scope_satisfies_scopes_and_nothing_else() -> None:
    client = make_client({"GET /x": ["a:1", "b:2"], "POST /x": DENY}, admin_scope="root")
    assert client.get("/x", headers=bearer("root")).status_code == 200
    assert client.post("/x", headers=bearer("root")).status_code == 403
    assert make_client({}, admin_scope="root").get("/x", headers=bearer("root")).status_code == 403


class MyClaims(Claims):
    tenant: str


def test_own_claims_model_reaches_the_endpoint() -> None:
    guard = make_guard({"GET /x": []}, verifier=make_verifier(claims_model=MyClaims))
    app = FastAPI()

    @app.get("/x")
    async def endpoint(claims: Annotated[MyClaims, Depends(guard)]) -> str:
        return claims.tenant

    client = TestClient(app)
    assert client.get("/x", headers=bearer(tenant="acme")).json() == "acme"
    assert client.get("/x", headers=bearer()).status_code == 401


def test_claims_of_a_connection_are_those_the_guard_let_pass() -> None:
    guard, other = make_guard({"GET /x": []}), make_guard({"GET /x": []})
    app = FastAPI(dependencies=[Depends(guard)])

    @app.get("/x")
    async def endpoint(request: Request) -> list[str | None]:
        return [getattr(each.claims_of(request), "sub", None) for each in (guard, other)]

    assert TestClient(app).get("/x", headers=bearer()).json() == ["alice", None]


def test_bind_is_called_once_per_allowed_connection() -> None:
    bound: list[str | None] = []
    guard = make_guard(
        {"GET /x": [], "GET /public": PUBLIC, "GET /feed": OPTIONAL, "GET /no": "a:1"},
        bind=lambda _, claims: bound.append(claims.sub),
    )
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer, dependencies=[Depends(guard), Security(guard, scopes=["b"])])
    for path in ("/public", "/feed", "/no"):
        app.add_api_route(path, answer)
    client = TestClient(app)
    for path in ("/public", "/feed", "/no", "/x"):
        client.get(path, headers=bearer() if path == "/no" else {})
    assert bound == []
    client.get("/public", headers=bearer("b"))
    assert bound == []
    client.get("/x", headers=bearer("b"))
    assert bound == ["alice"]


def test_bind_may_refuse_with_a_token_error() -> None:
    def refuse(asgi_scope: Any, claims: Claims) -> None:
        raise TokenError(TokenFault.CLAIMS)

    response = make_client({"GET /x": []}, bind=refuse).get("/x", headers=bearer())
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"


def test_own_handlers_for_http_errors_leave_the_refusal_alone() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": []}))])
    app.add_api_route("/x", answer)
    for each in (HTTPException, 401, 403, Exception):
        app.exception_handler(each)(lambda *_: PlainTextResponse("theirs", 418))
    response = TestClient(app).get("/x")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == BEARER


def test_own_handler_for_the_refusal_wins() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": []}))])
    app.add_api_route("/x", answer)

    @app.exception_handler(AccessRefused)
    async def render(request: Request, refused: AccessRefused) -> PlainTextResponse:
        return PlainTextResponse(refused.problem.code, refused.problem.status)

    assert TestClient(app).get("/x").text == "missing_credentials"


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def test_socket_is_refused_before_accept_with_the_same_answer() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"WEBSOCKET /ws": "w"}))])
    app.add_api_websocket_route("/ws", greet)
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        TestClient(app).websocket_connect("/ws"),
    ):
        pass
    assert refused.value.status_code == 401
    assert refused.value.headers["www-authenticate"] == BEARER
    assert refused.value.headers["content-type"] == "application/problem+json"


@pytest.mark.anyio
async def test_socket_is_closed_with_1008_where_the_server_cannot_respond() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"WEBSOCKET /ws": "w"}))])
    app.add_api_websocket_route("/ws", greet)
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asgi_scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
    await app(asgi_scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Authentication required"}]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


BAD_ARGUMENTS = [
    ({"scope_map": {"GET x": "a"}}, "'x' is not a path"),
    ({"challenge_scopes": "a:read"}, "challenge_scopes is no list of scopes"),
    (
        {"challenge_scopes": ["a", "root"], "admin_scope": "root"},
        "challenge_scopes: 'root' is the admin scope",
    ),
    ({"now": 1}, "now is a 'int'; pass a function"),
    ({"realm": 'a"b'}, "realm: 'a\"b' is no quotable"),
    ({"realm": "a\r\nb"}, "is no quotable"),
    ({"realm": "é"}, "is no quotable"),
    ({"admin_scope": ""}, "admin_scope: '' is not a scope"),
    ({"admin_scope": "a b"}, "admin_scope: 'a b' is not a scope"),
    ({"verifier": JWTVerifier}, "verifier is a 'type' without"),
    ({"bind": "x"}, "bind is a 'str'; pass a function"),
    ({"bind": answer}, "bind is a 'function'; pass a function, not a coroutine function"),
    ({"verifier": None}, "verifier is a 'NoneType' without"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[m for _, m in BAD_ARGUMENTS])
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    settings = {"scope_map": {"GET /x": []}, **arguments}
    with pytest.raises(ConfigurationError) as raised:
        make_guard(settings.pop("scope_map"), **settings)
    assert message in str(raised.value)


def test_all_bad_arguments_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_guard({"GET x": None}, realm="", admin_scope="", verifier=1)
    assert len(raised.value.problems) == 5


def test_guards_are_equal_only_to_themselves() -> None:
    guard, twin = make_guard({}), make_guard({})
    assert guard == guard  # noqa: PLR0124 - identity is what FastAPI's caches rest on
    assert guard != twin
    assert len({guard, twin}) == 2


def test_guard_takes_a_scope_map_as_well() -> None:
    app = FastAPI(dependencies=[Depends(make_guard(ScopeMap({"GET /x": "a"})))])
    app.add_api_route("/x", answer)
    assert TestClient(app).get("/x", headers=bearer("a")).status_code == 200


def test_override_replaces_the_dependency() -> None:
    guard = make_guard({"GET /x": "a"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    app.dependency_overrides[guard] = lambda: None
    assert TestClient(app).get("/x").status_code == 200


def test_guard_called_by_hand_outside_an_app_lets_no_one_in() -> None:
    guard: ScopeGuard[Any] = make_guard({"GET /x": PUBLIC})
    connection = HTTPConnection(
        {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "headers": [(b"authorization", f"Bearer {mint()}".encode())],
        }
    )
    with pytest.raises(AccessRefused, match="Forbidden"):
        anyio.run(guard, connection)


def test_constant_scopes_stand_in_the_challenge_of_every_401() -> None:
    client = make_client({"GET /x": "b:read"}, challenge_scopes=["a:read", "a:write"])
    published = ', scope="a:read a:write"'
    assert client.get("/x").headers["www-authenticate"] == BEARER + published
    invalid = client.get("/x", headers={"Authorization": "Bearer a.b.c"})
    assert invalid.headers["www-authenticate"].endswith(published)
    lacking = client.get("/x", headers=bearer("c"))
    assert lacking.headers["www-authenticate"].endswith(', scope="b:read"')
    malformed = client.get("/x", headers={"Authorization": "Bearer"})
    assert "scope" not in malformed.headers["www-authenticate"]
