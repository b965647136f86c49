"""`security_scheme=`: how callers get the tokens that a guard takes."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    HTTPDigest,
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OpenIdConnect,
)
from fastapi.security.base import SecurityBase
from fastapi.security.http import HTTPBase
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from fastapi_scopes import ScopeGuard, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.documents import operation_of

AUTHORIZE, TOKEN = "https://login.example.com/auth", "https://login.example.com/token"
RULES = {"GET /x": ["a:read", "a:list"], "POST /x": "a:write"}
TEXTS = {"a:read": 'Read "all" of a \\ é', "unused": "What no rule names"}
SCOPES = {"a:list": "", "a:read": TEXTS["a:read"], "a:write": ""}


async def answer() -> str:
    return "ran"


def make_app(guard: ScopeGuard[Any]) -> FastAPI:
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    return app


def document_with(security_scheme: Any) -> dict[str, Any]:
    guard = make_guard(ScopeMap(RULES, descriptions=TEXTS), security_scheme=security_scheme)
    document = guard.document(make_app(guard)).openapi()
    validate(document)
    return document


def test_default_is_a_bearer_token_named_by_the_class_of_the_guard() -> None:
    document = document_with(None)
    definition = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "x-scopes": SCOPES}
    assert document["components"]["securitySchemes"] == {"ScopeGuard": definition}


def test_bearer_scheme_lists_scopes_that_nobody_describes() -> None:
    guard = make_guard(RULES)
    scheme = guard.document(make_app(guard)).openapi()["components"]["securitySchemes"]
    assert scheme["ScopeGuard"]["x-scopes"] == dict.fromkeys(SCOPES, "")


def test_bearer_scheme_of_a_map_without_scopes_has_no_extension() -> None:
    guard = make_guard({"GET /a": []})
    scheme = guard.document(FastAPI(dependencies=[Depends(guard)])).openapi().get("components", {})
    assert "x-scopes" not in str(scheme)


FLOWS = [
    pytest.param(
        OAuth2AuthorizationCodeBearer(AUTHORIZE, TOKEN, scheme_name="code"),
        {"authorizationCode": {"authorizationUrl": AUTHORIZE, "tokenUrl": TOKEN, "scopes": SCOPES}},
        id="code",
    ),
    pytest.param(
        OAuth2(
            flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl=TOKEN)),
            scheme_name="client",
        ),
        {"clientCredentials": {"tokenUrl": TOKEN, "scopes": SCOPES}},
        id="client credentials",
    ),
    pytest.param(
        OAuth2PasswordBearer(TOKEN, scheme_name="password"),
        {"password": {"tokenUrl": TOKEN, "scopes": SCOPES}},
        id="password",
    ),
    pytest.param(
        OAuth2(
            flows={"implicit": {"authorizationUrl": AUTHORIZE}},  # type: ignore[arg-type, dict-item]
            scheme_name="implicit",
        ),
        {"implicit": {"authorizationUrl": AUTHORIZE, "scopes": SCOPES}},
        id="implicit",
    ),
]


@pytest.mark.parametrize(("scheme", "flows"), FLOWS)
def test_flow_has_every_scope_of_the_map_and_its_description(scheme: Any, flows: Any) -> None:
    document = document_with(scheme)
    definition = {"type": "oauth2", "flows": flows}
    assert document["components"]["securitySchemes"] == {scheme.scheme_name: definition}
    operation = operation_of(document, "GET /x")
    assert operation["security"] == [{scheme.scheme_name: ["a:list", "a:read"]}]
    assert "x-required-scopes" not in operation


def test_what_the_developer_wrote_in_the_flow_wins() -> None:
    written = {"openid": "Sign in", "a:read": "Mine"}
    scheme = OAuth2AuthorizationCodeBearer(AUTHORIZE, TOKEN, scopes=written)
    document = document_with(scheme)
    (definition,) = document["components"]["securitySchemes"].values()
    assert definition["flows"]["authorizationCode"]["scopes"] == {**SCOPES, **written}
    model: Any = scheme.model
    assert model.flows.authorizationCode.scopes == written


def test_flow_has_the_scopes_that_routes_ask_for() -> None:
    scheme = OAuth2AuthorizationCodeBearer(AUTHORIZE, TOKEN)
    guard = make_guard({"GET /x": []}, security_scheme=scheme)
    app = FastAPI(dependencies=[Security(guard, scopes=["of:route"])])
    app.add_api_route("/x", answer)
    (definition,) = guard.document(app).openapi()["components"]["securitySchemes"].values()
    assert definition["flows"]["authorizationCode"]["scopes"] == {"of:route": ""}


def test_openid_connect_shows_scopes_in_its_entries() -> None:
    url = "https://login.example.com/.well-known/openid-configuration"
    document = document_with(OpenIdConnect(openIdConnectUrl=url))
    assert document["components"]["securitySchemes"] == {
        "OpenIdConnect": {"type": "openIdConnect", "openIdConnectUrl": url, "x-scopes": SCOPES}
    }
    operation = operation_of(document, "GET /x")
    assert operation["security"] == [{"OpenIdConnect": ["a:list", "a:read"]}]
    assert "x-required-scopes" not in operation


@pytest.mark.parametrize(
    "scheme", [HTTPBearer(bearerFormat="opaque"), HTTPBase(scheme="Bearer"), HTTPBearer()]
)
def test_bearer_scheme_of_fastapi_is_taken_as_it_is(scheme: Any) -> None:
    guard = make_guard(RULES, security_scheme=scheme)
    assert guard.scheme_name == scheme.scheme_name
    assert guard.model == scheme.model


def test_fastapi_shows_the_scheme_by_itself_too() -> None:
    scheme = OAuth2AuthorizationCodeBearer(AUTHORIZE, TOKEN, scheme_name="login")
    guard = make_guard(ScopeMap(RULES, descriptions=TEXTS), security_scheme=scheme)
    (definition,) = make_app(guard).openapi()["components"]["securitySchemes"].values()
    assert definition["flows"]["authorizationCode"]["scopes"] == SCOPES


def test_scheme_decides_nothing() -> None:
    guard = make_guard({"GET /x": "a"}, security_scheme=OAuth2PasswordBearer(TOKEN))
    client = TestClient(make_app(guard))
    assert client.get("/x").status_code == 401
    assert client.get("/x", headers=bearer("b")).status_code == 403
    assert client.get("/x", headers=bearer("a")).status_code == 200


@pytest.mark.parametrize(
    "scheme",
    [
        APIKeyHeader(name="Authorization"),
        APIKeyQuery(name="key"),
        APIKeyCookie(name="key"),
        HTTPBasic(),
        HTTPDigest(),
        HTTPBase(scheme="negotiate"),
        SecurityBase(),
        "bearer",
        {"type": "http"},
        Depends(HTTPBearer()),
        HTTPBearer().model,
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_what_carries_no_bearer_token_is_an_error(scheme: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"carries no bearer .* of fastapi\.security"):
        make_guard(RULES, security_scheme=scheme)


def test_class_instead_of_an_instance_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="is the class 'HTTPBearer'; pass an instance"):
        make_guard(RULES, security_scheme=HTTPBearer)


@pytest.mark.parametrize(
    ("scheme", "lacking"),
    [(OAuth2(), "without a flow"), (OpenIdConnect(openIdConnectUrl=""), "without a URL")],
    ids=["no-flow", "no-url"],
)
def test_scheme_that_leads_nowhere_is_refused(scheme: Any, lacking: str) -> None:
    with pytest.raises(ConfigurationError, match=lacking):
        make_guard(RULES, security_scheme=scheme)


@pytest.mark.parametrize("name", ["two words", 'a"b', "ü", "a/b", "a\n"])
def test_name_that_a_document_cannot_hold_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match="security_scheme is named"):
        make_guard(RULES, security_scheme=HTTPBearer(scheme_name=name))


def test_scheme_that_is_no_json_is_an_error() -> None:
    scheme = HTTPBearer()
    scheme.model.extra = object()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        make_guard(RULES, security_scheme=scheme)


def test_everything_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_guard({"get /x": "a"}, security_scheme=HTTPBasic(), realm='"')
    assert len(raised.value.problems) == 3


def test_class_of_a_guard_in_other_letters_still_makes_a_name() -> None:
    kind = type("Wächter", (ScopeGuard,), {})
    guard = kind(RULES, verifier=make_guard(RULES)._authorizer.verifier)
    assert guard.scheme_name == "ScopeGuard"


def test_documents_of_two_apps_of_one_guard_share_no_scheme() -> None:
    scheme = OAuth2AuthorizationCodeBearer(AUTHORIZE, TOKEN, scheme_name="login")
    guard = make_guard({"GET /x": []}, security_scheme=scheme)
    flows = []
    for name in ("first", "second"):
        app = FastAPI(dependencies=[Security(guard, scopes=[name])])
        app.add_api_route("/x", answer)
        document = guard.document(app).openapi()
        flows.append(document["components"]["securitySchemes"]["login"]["flows"])
    assert [each["authorizationCode"]["scopes"] for each in flows] == [
        {"first": ""},
        {"second": ""},
    ]
    # What a reader of one does to it is not seen in the other.
    flows[0].clear()
    assert flows[1]
    flows[1].clear()
    assert scheme.model.flows is not None  # type: ignore[attr-defined]
