"""Documents that others wrote: their schemes, their responses, their operations."""

import copy
from typing import Any

import pytest
from fastapi import Depends, FastAPI, Security, WebSocket
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBasic, HTTPBearer, OAuth2PasswordBearer
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from fastapi_scopes import AUTHENTICATED, OPTIONAL, PUBLIC, any_of
from tests.apps import make_guard
from tests.documents import operation_of, security_of

S = "ScopeGuard"
BEARER = {"type": "http", "scheme": "bearer"}
API_KEY = {"type": "apiKey", "in": "header", "name": "X-Key"}
MUTUAL = {"type": "mutualTLS"}
IN_AUTHORIZATION = {
    "bearer": BEARER,
    "basic": {"type": "http", "scheme": "basic"},
    "digest": {"type": "http", "scheme": "digest"},
    "oauth2": {"type": "oauth2", "flows": {"password": {"tokenUrl": "t", "scopes": {"o": ""}}}},
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://login.example.com"},
    "key": {"type": "apiKey", "in": "header", "name": "authorization"},
}


async def answer() -> str:
    return "ran"


def ok(**more: Any) -> dict[str, Any]:
    return {"responses": {"200": {"description": "OK"}}, **more}


def document_by(base: dict[str, Any], rules: dict[str, Any], *paths: str) -> dict[str, Any]:
    """Return what becomes of *base*, the document of a protected app that wrote it itself."""
    app = FastAPI()
    for path in paths:
        app.add_api_route(path, answer)
    whole = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, **base}
    before = copy.deepcopy(whole)
    app.openapi = lambda: whole  # type: ignore[method-assign]
    document: dict[str, Any] = make_guard(rules).protect(app, strict=False).openapi()
    assert whole == before
    return document


@pytest.mark.parametrize("name", IN_AUTHORIZATION)
@pytest.mark.parametrize("rule", ["a", PUBLIC, OPTIONAL], ids=str)
def test_scheme_of_the_authorization_header_makes_way_for_a_token(name: str, rule: Any) -> None:
    base = {
        "paths": {"/x": {"get": ok(security=[{name: []}])}},
        "components": {"securitySchemes": {name: IN_AUTHORIZATION[name]}},
    }
    document = document_by(base, {"GET /x": rule}, "/x")
    own = {name: []}
    entries: dict[str, Any] = {"a": [{S: ["a"]}], "PUBLIC": [own], "OPTIONAL": [own, {S: []}]}
    assert security_of(document) == {"GET /x": entries[str(rule)]}
    used = {each for entry in entries[str(rule)] for each in entry}
    assert set(document["components"]["securitySchemes"]) == used
    validate(document)


OTHERS = {"tls": MUTUAL, "key": API_KEY}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (any_of("a", "b"), [{S: ["a"], "tls": [], "key": []}, {S: ["b"], "tls": [], "key": []}]),
        (AUTHENTICATED, [{S: [], "tls": [], "key": []}]),
        (OPTIONAL, [{"tls": [], "key": []}, {S: [], "tls": [], "key": []}]),
        (PUBLIC, [{"tls": [], "key": []}]),
    ],
    ids=["scopes", "authenticated", "optional", "public"],
)
@pytest.mark.parametrize(
    ("written", "credential"),
    [
        ([{"tls": [], "key": []}], {}),
        ([{"tls": []}, {"key": []}], {}),
        ([{"bearer": []}, {"tls": []}, {"bearer": [], "key": []}], {"bearer": []}),
    ],
    ids=["together", "singly", "with a bearer"],
)
def test_other_schemes_are_asked_for_as_well(
    rule: Any, expected: Any, written: Any, credential: Any
) -> None:
    base = {
        "paths": {"/x": {"get": ok(security=written)}},
        "components": {"securitySchemes": {**OTHERS, "bearer": BEARER}},
    }
    document = document_by(base, {"GET /x": rule}, "/x")
    whole = [each if S in each else {**each, **credential} for each in expected]
    assert security_of(document) == {"GET /x": whole}
    used = {each for entry in whole for each in entry}
    # What the guard takes the place of nowhere stays, used or not.
    left = {"bearer"} if rule is PUBLIC else set()
    assert set(document["components"]["securitySchemes"]) == used | left
    validate(document)


def test_roles_of_another_scheme_are_all_asked_for() -> None:
    base = {
        "paths": {"/x": {"get": ok(security=[{"key": ["r"]}, {"key": ["s", "r"]}])}},
        "components": {"securitySchemes": {"key": API_KEY}},
    }
    assert security_of(document_by(base, {"GET /x": "a"}, "/x")) == {
        "GET /x": [{S: ["a"], "key": ["r", "s"]}]
    }


def test_extensions_say_what_the_map_says_and_nothing_older() -> None:
    old = {"x-denied": True, "x-required-scopes": [["old"]]}
    base = {"paths": {"/x": {"get": ok(**old)}, "/open": {"get": ok(**old)}}}
    document = document_by(base, {"GET /x": "a", "GET /open": PUBLIC}, "/x", "/open")
    shown = operation_of(document, "GET /x")
    assert (shown.get("x-denied"), shown["x-required-scopes"]) == (None, [["a"]])
    assert not operation_of(document, "GET /open").keys() & old.keys()


def test_other_scheme_stays_optional_where_the_document_says_so() -> None:
    base = {
        "paths": {"/x": {"get": ok(security=[{}, {"key": []}])}},
        "components": {"securitySchemes": {"key": API_KEY}},
    }
    assert security_of(document_by(base, {"GET /x": "a"}, "/x")) == {
        "GET /x": [{S: ["a"]}, {S: ["a"], "key": []}]
    }


def test_two_dependencies_of_fastapi_are_both_asked_for() -> None:
    guard = make_guard({"GET /x": "a"})
    app = FastAPI()
    schemes = (APIKeyHeader(name="X-Key"), APIKeyCookie(name="c"), HTTPBasic(), HTTPBearer())
    app.add_api_route("/x", answer, dependencies=[Security(each) for each in schemes])
    document = guard.protect(app, strict=False).openapi()
    assert security_of(document) == {"GET /x": [{S: ["a"], "APIKeyHeader": [], "APIKeyCookie": []}]}


def test_security_of_the_root_is_written_into_every_operation() -> None:
    base: dict[str, Any] = {
        "security": [{"key": []}],
        "paths": {
            "/x": {"get": ok(callbacks={"on": {"{$url}": {"post": ok()}}})},
            "/open": {"get": ok(security=[])},
        },
        "webhooks": {"told": {"post": ok()}},
        "components": {"securitySchemes": {"key": API_KEY}},
    }
    document = document_by(base, {"GET /x": "a", "GET /open": PUBLIC}, "/x", "/open")
    assert "security" not in document
    assert security_of(document) == {"GET /x": [{S: ["a"], "key": []}], "GET /open": []}
    callback = document["paths"]["/x"]["get"]["callbacks"]["on"]["{$url}"]["post"]
    assert callback["security"] == document["webhooks"]["told"]["post"]["security"]
    assert callback["security"] == [{"key": []}]


def test_root_security_of_the_authorization_header_makes_way() -> None:
    base: dict[str, Any] = {
        "security": [{"bearer": []}],
        "paths": {"/x": {"get": ok()}, "/open": {"get": ok()}},
        "components": {"securitySchemes": {"bearer": BEARER}},
    }
    document = document_by(base, {"GET /x": "a", "GET /open": PUBLIC}, "/x", "/open")
    assert security_of(document) == {"GET /x": [{S: ["a"]}], "GET /open": []}
    assert list(document["components"]["securitySchemes"]) == [S]


def test_what_the_app_itself_calls_keeps_its_scheme() -> None:
    base: dict[str, Any] = {
        "paths": {"/x": {"get": ok(security=[{"bearer": []}])}},
        "webhooks": {"told": {"post": ok(security=[{"bearer": []}])}},
        "components": {"securitySchemes": {"bearer": BEARER}},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    assert document["webhooks"]["told"]["post"]["security"] == [{"bearer": []}]
    assert set(document["components"]["securitySchemes"]) == {S, "bearer"}
    assert "responses" in document["webhooks"]["told"]["post"]
    assert set(document["webhooks"]["told"]["post"]["responses"]) == {"200"}


def test_scheme_that_another_one_refers_to_is_kept_with_it() -> None:
    schemes = {"alias": {"$ref": "#/components/securitySchemes/real"}, "real": BEARER}
    base: dict[str, Any] = {
        "paths": {"/x": {"get": ok(security=[{"alias": []}])}},
        "webhooks": {"told": {"post": ok(security=[{"alias": []}])}},
        "components": {"securitySchemes": schemes},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    assert security_of(document) == {"GET /x": [{S: ["a"]}]}
    assert set(document["components"]["securitySchemes"]) == {S, "alias", "real"}


def test_scheme_of_the_same_name_that_stays_keeps_its_name() -> None:
    base: dict[str, Any] = {
        "paths": {"/x": {"get": ok(security=[{S: []}])}},
        "components": {"securitySchemes": {S: API_KEY}},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    assert document["components"]["securitySchemes"][S] == API_KEY
    assert security_of(document) == {"GET /x": [{"ScopeGuard2": ["a"], S: []}]}


def test_webhook_that_is_guarded_by_our_scheme_shares_it() -> None:
    guard = make_guard({"GET /x": "a"})
    app = FastAPI()
    app.add_api_route("/x", answer)
    app.webhooks.add_api_route("told", answer, dependencies=[Depends(guard)], methods=["POST"])
    document = guard.protect(app, strict=False).openapi()
    assert document["webhooks"]["told"]["post"]["security"] == [{S: []}]
    assert security_of(document) == {"GET /x": [{S: ["a"]}]}
    assert list(document["components"]["securitySchemes"]) == [S]


@pytest.mark.parametrize("name", IN_AUTHORIZATION)
def test_scheme_of_the_same_name_that_makes_way_leaves_its_name(name: str) -> None:
    base: dict[str, Any] = {
        "paths": {"/x": {"get": ok(security=[{S: []}])}},
        "components": {"securitySchemes": {S: IN_AUTHORIZATION[name]}},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    assert security_of(document) == {"GET /x": [{S: ["a"]}]}
    (definition,) = document["components"]["securitySchemes"].values()
    assert definition["bearerFormat"] == "JWT"


def test_existing_response_keeps_what_it_says() -> None:
    ours = {"$ref": "#/components/schemas/AccessRefused"}
    theirs = {"type": "string"}
    responses = {
        "200": {"description": "OK"},
        401: {"description": "Theirs", "content": {"text/plain": {"schema": theirs}}},
        "403": {"$ref": "#/components/responses/No"},
        "5XX": {"description": "Broken", "headers": {"retry-after": {"schema": theirs}}},
    }
    shared = {
        "No": {"description": "No", "content": {"application/problem+json": {"schema": theirs}}}
    }
    base: dict[str, Any] = {
        "paths": {"/x": {"get": {"responses": responses}}},
        "components": {"responses": shared},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    found = operation_of(document, "GET /x")["responses"]
    assert found["401"]["description"] == "Theirs"
    assert found["401"]["content"] == {
        "text/plain": {"schema": theirs},
        "application/problem+json": {"schema": ours},
    }
    assert list(found["401"]["headers"]) == ["WWW-Authenticate"]
    assert found["403"]["description"] == "No"
    problem = {"schema": {"anyOf": [theirs, ours]}}
    assert found["403"]["content"] == {"application/problem+json": problem}
    assert document["components"]["responses"] == shared
    assert found["503"]["description"] == "Broken"
    assert list(found["503"]["headers"]) == ["retry-after"]
    validate(document)


def test_schema_of_another_shape_keeps_its_name() -> None:
    mine = {"type": "object", "properties": {"reason": {"type": "string"}}}
    base: dict[str, Any] = {
        "paths": {"/x": {"get": ok()}},
        "components": {"schemas": {"AccessRefused": mine}},
    }
    document = document_by(base, {"GET /x": "a"}, "/x")
    assert document["components"]["schemas"]["AccessRefused"] == mine
    content = operation_of(document, "GET /x")["responses"]["401"]["content"]
    schema = content["application/problem+json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/AccessRefused2"}


@pytest.mark.parametrize(
    ("path", "security"),
    [
        pytest.param("/x/{other_name}", [{S: ["x"]}], id="parameter of another name"),
        pytest.param("/n/{other_name}", [{S: ["n"]}], id="convertor and another name"),
        pytest.param("/x/literal", [{S: ["x"]}], id="one value of a parameter"),
        pytest.param("/opaque/tool/{name}", [{S: ["mcp"]}], id="within an opaque app"),
        pytest.param("/nowhere", [{S: ["nowhere"]}], id="no route, by its template"),
        pytest.param("/nothing", [{S: []}], id="no route and no rule"),
        pytest.param("nonsense", [{S: []}], id="no path"),
    ],
)
def test_operation_that_the_app_wrote_itself_is_looked_up(path: str, security: Any) -> None:
    app = FastAPI()
    app.add_api_route("/x/{x}", answer)
    app.add_api_route("/n/{n:int}", answer)

    async def opaque(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    app.mount("/opaque", opaque)
    whole = {"openapi": "3.1.0", "info": {}, "paths": {path: {"get": ok()}}}
    app.openapi = lambda: whole  # type: ignore[method-assign]
    rules = {
        "GET /x/{x}": "x",
        "GET /n/{n}": "n",
        "GET /opaque/**": "mcp",
        "GET /nowhere": "nowhere",
    }
    document = make_guard(rules).protect(app, strict=False).openapi()
    assert security_of(document) == {f"GET {path}": security}


def test_path_item_that_is_elsewhere_is_brought_here() -> None:
    """Attack: what a reference leads to is not looked at, and stays open."""
    item = {"get": ok(), "parameters": []}
    base: dict[str, Any] = {
        "paths": {
            "/a": {"$ref": "#/components/pathItems/i"},
            "/b": {"$ref": "#/components/pathItems/i"},
        },
        "components": {"pathItems": {"i": item}},
    }
    document = document_by(base, {"GET /a": "a", "GET /b": "b"}, "/a", "/b")
    paths = document["paths"]
    assert paths["/a"]["get"]["security"] == [{S: ["a"]}]
    assert paths["/b"]["get"]["security"] == [{S: ["b"]}]


def test_operation_that_stands_at_two_paths_is_two() -> None:
    """Attack: one Python object at two paths, of which the latter is open."""
    item = {"get": ok()}
    document = document_by(
        {"paths": {"/a": item, "/b": item}}, {"GET /a": "a", "GET /b": PUBLIC}, "/a", "/b"
    )
    assert security_of(document) == {"GET /a": [{S: ["a"]}], "GET /b": None}


def test_operations_of_openapi_32_are_seen() -> None:
    more = {"LINK": ok(), "link": ok()}
    base: dict[str, Any] = {
        "openapi": "3.2.0",
        "paths": {"/x": {"query": ok(), "additionalOperations": more}},
    }
    document = document_by(base, {"QUERY /x": "q", "LINK /x": "l"})
    item = document["paths"]["/x"]
    assert item["query"]["security"] == [{S: ["q"]}]
    assert item["additionalOperations"]["LINK"]["security"] == [{S: ["l"]}]
    # HTTP methods are case-sensitive.
    assert item["additionalOperations"]["link"]["security"] == [{S: []}]


@pytest.mark.parametrize(
    ("method", "scopes"), [("websocket", ["star"]), ("mount", ["star"]), ("*", [])]
)
@pytest.mark.parametrize("path", ["/ws", "/opaque/x", "/nowhere"])
def test_name_that_a_rule_means_otherwise_is_ruled_by_star_or_nothing(
    method: str, scopes: list[str], path: str
) -> None:
    async def opaque(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    async def socket(websocket: WebSocket) -> None:
        raise AssertionError

    app = FastAPI()
    app.add_api_websocket_route("/ws", socket)
    app.mount("/opaque", opaque)
    whole = {"openapi": "3.1.0", "info": {}, "paths": {path: {method: ok()}}}
    app.openapi = lambda: whole  # type: ignore[method-assign]
    rules = {"WEBSOCKET /ws": PUBLIC, "WEBSOCKET /**": PUBLIC, "* /**": "star"}
    document = make_guard(rules).protect(app, strict=False).openapi()
    assert document["paths"][path][method]["security"] == [{S: scopes}]


@pytest.mark.parametrize(
    "base",
    [
        pytest.param({"swagger": "2.0", "openapi": None, "paths": {}}, id="another standard"),
        pytest.param({"paths": None}, id="no paths"),
        pytest.param({"paths": {"/x": None, "/y": []}}, id="no path items"),
        pytest.param(
            {"paths": {"/x": {"get": None, "x-a": {}, "summary": "s"}}}, id="no operation"
        ),
        pytest.param({"paths": {"/x": {"$ref": "#/nowhere"}}}, id="reference to nothing"),
        pytest.param({"paths": {"/x": {"$ref": "https://e.example/x"}}}, id="reference elsewhere"),
        pytest.param({"paths": {"/x": {"get": {"security": None}}}}, id="no security"),
        pytest.param({"paths": {"/x": {"get": {"security": [1, {"a": 1}]}}}}, id="odd entries"),
        pytest.param({"paths": {"/x": {"get": {"responses": []}}}}, id="odd responses"),
        pytest.param({"paths": {"/x": {"get": {"callbacks": {"c": []}}}}}, id="odd callbacks"),
        pytest.param({"paths": {"/x": {1: {}}}}, id="odd method"),
        pytest.param({"paths": {"/x": {"get": {}}}, "components": []}, id="odd components"),
        pytest.param({"paths": {"/x": {"get": {}}}, "security": 1}, id="odd root security"),
        pytest.param({"paths": {"/x": {"get": {}}}, "webhooks": [1]}, id="odd webhooks"),
    ],
)
def test_odd_document_raises_nothing(base: dict[str, Any]) -> None:
    assert document_by(base, {"GET /x": "a"}, "/x")


def test_where_only_the_dependency_is_what_it_does_not_decide_stays() -> None:
    guard = make_guard({"GET /mine": "a", "GET /open": PUBLIC, "GET /not-enforced": "b"})
    app = FastAPI()
    app.add_api_route("/mine", answer, dependencies=[Depends(guard)])
    app.add_api_route("/open", answer)
    app.add_api_route("/not-enforced", answer)
    app.add_api_route("/theirs", answer, dependencies=[Depends(OAuth2PasswordBearer("t"))])
    before = {path: item for path, item in app.openapi()["paths"].items() if path != "/mine"}
    document = guard.document(app).openapi()
    assert document["paths"].pop("/mine")["get"]["security"] == [{S: ["a"]}]
    assert document["paths"] == before
    assert set(document["components"]["securitySchemes"]) == {S, "OAuth2PasswordBearer"}


def test_scheme_of_the_same_name_on_what_is_left_alone_stays() -> None:
    guard = make_guard({"GET /mine": "a"})
    app = FastAPI()
    app.add_api_route("/mine", answer, dependencies=[Depends(guard)])
    other = OAuth2PasswordBearer("t", scheme_name=S)
    app.add_api_route("/theirs", answer, dependencies=[Depends(other)])
    document = guard.document(app).openapi()
    assert document["components"]["securitySchemes"][S]["type"] == "oauth2"
    assert document["components"]["securitySchemes"]["ScopeGuard2"]["type"] == "http"
    assert security_of(document) == {
        "GET /mine": [{"ScopeGuard2": ["a"]}],
        "GET /theirs": [{S: []}],
    }


def test_app_that_makes_no_document_still_answers() -> None:
    app = make_guard({"GET /x": PUBLIC}).protect(FastAPI(openapi_url=None))
    app.add_api_route("/x", answer)
    assert TestClient(app).get("/x").status_code == 200


def test_docs_page_that_the_document_names_asks_for_what_docs_says() -> None:
    app = FastAPI()
    whole = {"openapi": "3.1.0", "info": {}, "paths": {"/openapi.json": {"get": ok()}}}
    app.openapi = lambda: whole  # type: ignore[method-assign]
    make_guard({}).protect(app, docs=PUBLIC)
    assert app.openapi() == whole
