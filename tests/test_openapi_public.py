"""What a document says where the guard asks for nothing."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBasic, HTTPBearer, OAuth2PasswordBearer
from fastapi.security.base import SecurityBase
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from pydantic import BaseModel

from fastapi_scopes import OPTIONAL, PUBLIC, ScopeGuard
from tests.apps import bearer, make_guard
from tests.documents import security_of

S = "ScopeGuard"
KEY, COOKIE = APIKeyHeader(name="X-Key"), APIKeyCookie(name="c")
BEARER = {"type": "http", "scheme": "bearer"}
ANY = {"* /**": PUBLIC}


class Item(BaseModel):
    name: str


async def answer() -> str:
    return "ran"


def plain(app: FastAPI) -> None:
    app.add_api_route("/x", answer)


def with_models(app: FastAPI) -> None:
    app.add_api_route("/x", answer, response_model=Item, methods=["GET", "POST"])
    app.webhooks.add_api_route("told", answer, methods=["POST"])


def with_schemes(app: FastAPI) -> None:
    for path, scheme in {"/b": HTTPBearer(), "/k": KEY}.items():
        app.add_api_route(path, answer, dependencies=[Security(scheme)])
    plain(app)


def with_scopes(app: FastAPI) -> None:
    app.add_api_route("/s", answer, dependencies=[Security(HTTPBearer(), scopes=["s"])])


FILLS = [pytest.param(fill, id=fill.__name__) for fill in (plain, with_models, with_schemes)]
FILLS.append(pytest.param(with_scopes, id="with_scopes"))
Fill = Callable[[FastAPI], None]


def filled(fill: Fill, **options: Any) -> FastAPI:
    app = FastAPI(**options)
    fill(app)
    return app


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
@pytest.mark.parametrize("fill", FILLS)
def test_document_of_public_operations_alone_is_that_of_fastapi(fill: Fill) -> None:
    expected = filled(fill).openapi()
    for scheme in (None, HTTPBearer(scheme_name="login", description="A token")):
        guard = make_guard(ANY, security_scheme=scheme)
        by_perimeter = guard.protect(filled(fill), strict=False)
        by_dependency = guard.document(filled(fill, dependencies=[Depends(guard)]))
        by_both = guard.protect(filled(fill, dependencies=[Depends(guard)]), strict=False)
        for app in (by_perimeter, by_dependency, by_both):
            assert app.openapi() == expected


def test_document_of_no_operations_is_that_of_fastapi() -> None:
    assert make_guard({}).protect(FastAPI(openapi_url=None)).openapi() == FastAPI().openapi()


def test_document_of_public_operations_alone_is_a_copy() -> None:
    app = make_guard(ANY).protect(filled(plain), strict=False)
    document = app.openapi()
    assert document is app.openapi()
    document["paths"].clear()
    assert app.openapi_schema is not None
    assert app.openapi_schema["paths"]


WRITTEN: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "T", "version": "1"},
    "security": [{"bearer": []}],
    "paths": {
        "/x": {"get": {"responses": {"200": {"description": "OK"}}}},
        "/y": {"$ref": "#/components/pathItems/y"},
    },
    "components": {
        "pathItems": {"y": {"get": {"responses": {}, "security": [{"key": [], "tls": []}]}}},
        "securitySchemes": {
            "bearer": BEARER,
            "unused": BEARER,
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "tls": {"type": "mutualTLS"},
        },
    },
}


def test_document_that_an_app_writes_of_public_operations_stays() -> None:
    app = FastAPI()
    app.openapi = lambda: copy.deepcopy(WRITTEN)  # type: ignore[method-assign]
    assert make_guard(ANY).protect(app, strict=False).openapi() == WRITTEN


def test_operation_that_becomes_closed_brings_scheme_and_schema() -> None:
    guard = make_guard({"GET /x": PUBLIC, "GET /late": "late"})
    app = guard.protect(filled(plain), strict=False)
    assert "components" not in app.openapi()
    app.add_api_route("/late", answer)
    document = app.openapi()
    assert security_of(document) == {"GET /x": None, "GET /late": [{S: ["late"]}]}
    assert "AccessRefused" in document["components"]["schemas"]
    assert set(document["paths"]["/x"]["get"]["responses"]) == {"200"}


RULES = {"GET /x": PUBLIC, "GET /closed": "a"}


def by_dependency(guard: ScopeGuard[Any], *schemes: SecurityBase) -> FastAPI:
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer, dependencies=[Security(each) for each in schemes])
    app.add_api_route("/closed", answer)
    return guard.document(app)


def by_perimeter(guard: ScopeGuard[Any], *schemes: SecurityBase) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/x", answer, dependencies=[Security(each) for each in schemes])
    app.add_api_route("/closed", answer)
    return guard.protect(app, strict=False)


@pytest.mark.parametrize("door", [by_dependency, by_perimeter])
@pytest.mark.parametrize(
    ("schemes", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([HTTPBearer()], [{"HTTPBearer": []}], id="bearer"),
        pytest.param([KEY], [{"APIKeyHeader": []}], id="key"),
        pytest.param(
            [HTTPBearer(), KEY, COOKIE],
            [{"HTTPBearer": [], "APIKeyHeader": [], "APIKeyCookie": []}],
            id="all run",
        ),
        pytest.param(
            # The header holds one of the two.
            [HTTPBearer(), HTTPBasic(), KEY],
            [{"HTTPBearer": [], "APIKeyHeader": []}, {"HTTPBasic": [], "APIKeyHeader": []}],
            id="two of the header",
        ),
    ],
)
def test_public_operation_keeps_the_schemes_of_its_route(
    door: Any, schemes: list[SecurityBase], expected: Any
) -> None:
    """Attack: a route asks for its own token, and its document says that it is open."""
    app = door(make_guard(RULES), *schemes)
    document = app.openapi()
    assert security_of(document) == {"GET /x": expected, "GET /closed": [{S: ["a"]}]}
    names = {name for entry in expected or () for name in entry}
    assert set(document["components"]["securitySchemes"]) == {S, *names}
    assert TestClient(app).get("/x").is_success is (expected is None)
    validate(document)


def test_optional_operation_keeps_the_scheme_of_its_route_for_callers_without_a_token() -> None:
    """Attack: the guard lets anyone in, the route does not, and its document says that it does."""
    app = by_perimeter(make_guard({**RULES, "GET /x": OPTIONAL}), HTTPBasic())
    client = TestClient(app)
    assert client.get("/x").status_code == 401
    assert client.get("/x", auth=("user", "password")).status_code == 200
    document = app.openapi()
    assert security_of(document)["GET /x"] == [{"HTTPBasic": []}, {S: []}]
    assert set(document["components"]["securitySchemes"]) == {S, "HTTPBasic"}


@pytest.mark.parametrize("rule", [PUBLIC, OPTIONAL], ids=str)
def test_scheme_of_a_route_that_is_named_as_that_of_the_guard_keeps_its_name(rule: Any) -> None:
    guard = make_guard({**RULES, "GET /x": rule}, security_scheme=HTTPBearer(bearerFormat="JWT"))
    app = by_perimeter(guard, HTTPBearer())
    document = app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["HTTPBearer"] == BEARER
    assert schemes["HTTPBearer2"]["bearerFormat"] == "JWT"
    found = security_of(document)
    assert found["GET /closed"] == [{"HTTPBearer2": ["a"]}]
    assert found["GET /x"][0] == {"HTTPBearer": []}
    assert TestClient(app).get("/x").status_code == 401
    assert TestClient(app).get("/x", headers=bearer()).status_code == 200


def written_with(root: Any, operation: Any) -> dict[str, Any]:
    app = FastAPI()
    for path in ("/x", "/closed"):
        app.add_api_route(path, answer)
    whole = copy.deepcopy(WRITTEN)
    said = {} if operation is None else {"security": operation}
    whole["paths"] = {"/x": {"get": {"responses": {}, **said}}, "/closed": {"get": {}}}
    del whole["security"]
    if root is not None:
        whole["security"] = root
    app.openapi = lambda: whole  # type: ignore[method-assign]
    document = make_guard(RULES).protect(app, strict=False).openapi()
    assert "security" not in document
    return document


@pytest.mark.parametrize(
    ("root", "operation", "expected"),
    [
        pytest.param(None, None, None, id="nothing"),
        pytest.param(None, [], [], id="empty list"),
        pytest.param([{"bearer": []}], [], [], id="empty list against the root"),
        pytest.param([{"bearer": []}], None, [], id="root of the header, where the guard decides"),
        pytest.param([{"key": []}], None, [{"key": []}], id="root beside the header"),
        pytest.param(
            [{"bearer": [], "key": []}], None, [{"key": []}], id="root of the header and beside it"
        ),
        pytest.param([{"key": []}], [{"bearer": []}], [{"bearer": []}], id="its own"),
        pytest.param(None, [{}, {"bearer": []}], [{}, {"bearer": []}], id="its own, optional"),
        pytest.param(None, [{}], [{}], id="an entry without schemes"),
    ],
)
def test_public_operation_says_of_security_what_the_app_says(
    root: Any, operation: Any, expected: Any
) -> None:
    assert security_of(written_with(root, operation))["GET /x"] == expected


@pytest.mark.parametrize(
    "scheme",
    [None, HTTPBearer(scheme_name="login"), OAuth2PasswordBearer("t")],
    ids=["own", "named", "flow"],
)
def test_document_that_is_rewritten_twice_says_the_same(scheme: Any) -> None:
    rules = {**RULES, "GET /feed": OPTIONAL}
    guard = make_guard(rules, security_scheme=scheme)
    app = guard.protect(filled(plain), strict=False)
    of_the_route = [Security(guard, scopes=["of:route"])]
    app.add_api_route("/closed", answer, dependencies=of_the_route)
    app.add_api_route("/feed", answer)
    ours = app.openapi
    before = copy.deepcopy(ours())
    app.openapi = lambda: {**ours()}  # type: ignore[method-assign]
    guard.check(app)
    assert app.openapi is not ours
    assert app.openapi() == before
