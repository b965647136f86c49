"""What the document says of an operation, rule by rule, through both doors."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security

from fastapi_scopes import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    ScopeGuard,
    ScopeMap,
    all_of,
    any_of,
)
from tests.apps import make_guard
from tests.documents import operation_of, security_of

Shown = Callable[..., dict[str, Any]]
S = "ScopeGuard"


async def answer() -> str:
    return "ran"


def show_dependency(guard: ScopeGuard[Any], fill: Callable[[FastAPI], None], **more: Any) -> Any:
    app = FastAPI(dependencies=[Depends(guard)], **more)
    fill(app)
    return guard.document(app).openapi()


def show_perimeter(guard: ScopeGuard[Any], fill: Callable[[FastAPI], None], **more: Any) -> Any:
    app = guard.protect(FastAPI(**more), strict=False)
    fill(app)
    return app.openapi()


@pytest.fixture(params=[show_dependency, show_perimeter], ids=["dependency", "perimeter"])
def shown(request: pytest.FixtureRequest) -> Shown:
    found: Shown = request.param
    return found


def one_route(app: FastAPI) -> None:
    app.add_api_route("/x", answer)


@pytest.mark.parametrize(
    ("rule", "security", "statuses"),
    [
        pytest.param("a", [{S: ["a"]}], "400 401 403 503", id="one scope"),
        pytest.param(["b", "a"], [{S: ["a", "b"]}], "400 401 403 503", id="all"),
        pytest.param(any_of("b", "a"), [{S: ["b"]}, {S: ["a"]}], "400 401 403 503", id="any"),
        pytest.param(
            any_of("c", all_of("b", "a")),
            [{S: ["c"]}, {S: ["a", "b"]}],
            "400 401 403 503",
            id="any of all",
        ),
        pytest.param(AUTHENTICATED, [{S: []}], "400 401 503", id="authenticated"),
        pytest.param([], [{S: []}], "400 401 503", id="empty list"),
        pytest.param(OPTIONAL, [{}, {S: []}], "400 401 503", id="optional"),
        pytest.param(PUBLIC, None, "", id="public"),
        pytest.param(DENY, [{S: []}], "400 401 403 503", id="deny"),
        pytest.param(None, [{S: []}], "400 401 403 503", id="no rule"),
    ],
)
def test_operation_shows_its_rule(
    shown: Shown, rule: Any, security: list[Any] | None, statuses: str
) -> None:
    rules = {} if rule is None else {"GET /x": rule}
    operation = operation_of(shown(make_guard(rules), one_route), "GET /x")
    # Without a list of its own an operation is open: the document as a whole has none.
    assert operation.get("security") == security
    assert sorted({*operation["responses"]} - {"200"}) == statuses.split()
    assert operation.get("x-denied") == (True if rule is None or rule is DENY else None)
    scopes = [entry[S] for entry in security or [] if entry.get(S)]
    assert operation.get("x-required-scopes") == (scopes or None)


def test_methods_of_one_route_differ(shown: Shown) -> None:
    def fill(app: FastAPI) -> None:
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"):
            app.add_api_route("/x", answer, methods=[method], operation_id=method)

    rules = {"GET /x": "g", "* /x": "any", "DELETE /x": DENY, "PATCH /x": PUBLIC, "TRACE /x": []}
    assert security_of(shown(make_guard(rules), fill)) == {
        "GET /x": [{S: ["g"]}],
        "PUT /x": [{S: ["any"]}],
        "DELETE /x": [{S: []}],
        # HEAD by the rule of GET; OPTIONS by none but its own.
        "HEAD /x": [{S: ["g"]}],
        "OPTIONS /x": [{S: []}],
        "PATCH /x": None,
        "TRACE /x": [{S: []}],
    }


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_methods_that_share_one_route_differ(shown: Shown) -> None:
    def fill(app: FastAPI) -> None:
        app.add_api_route("/x", answer, methods=["GET", "POST", "PROPFIND", "FOO"])

    found = security_of(shown(make_guard({"GET /x": "r", "POST /x": "w", "* /x": "any"}), fill))
    assert found == {
        "GET /x": [{S: ["r"]}],
        "POST /x": [{S: ["w"]}],
        "PROPFIND /x": [{S: ["any"]}],
        "FOO /x": [{S: ["any"]}],
    }


def test_scopes_of_the_route_come_on_top(shown: Shown) -> None:
    guard = make_guard({"GET /x": any_of("a", "b"), "GET /me": AUTHENTICATED, "GET /no": DENY})

    def fill(app: FastAPI) -> None:
        nested = APIRouter(dependencies=[Security(guard, scopes=["r"])])
        for path in ("/x", "/me", "/no"):
            nested.add_api_route(path, answer, dependencies=[Security(guard, scopes=["s"])])
        app.include_router(nested)

    assert security_of(shown(guard, fill)) == {
        "GET /x": [{S: ["a", "r", "s"]}, {S: ["b", "r", "s"]}],
        "GET /me": [{S: ["r", "s"]}],
        "GET /no": [{S: []}],
    }


def test_scopes_of_a_route_whose_rule_is_public_shut_it(shown: Shown) -> None:
    guard = make_guard({"GET /x": PUBLIC})

    def fill(app: FastAPI) -> None:
        app.add_api_route("/x", answer, dependencies=[Security(guard, scopes=["s"])])

    operation = operation_of(shown(guard, fill), "GET /x")
    assert (operation["security"], operation["x-denied"]) == ([{S: []}], True)


@pytest.mark.parametrize("version", ["3.0.2", "3.0.3", "3.1.0"])
def test_only_openapi_31_has_scopes_in_entries_of_a_bearer_scheme(
    shown: Shown, version: str
) -> None:
    def fill(app: FastAPI) -> None:
        one_route(app)
        app.openapi_version = version

    operation = operation_of(shown(make_guard({"GET /x": any_of("a", "b")}), fill), "GET /x")
    entries = [{S: []}] if version.startswith("3.0") else [{S: ["a"]}, {S: ["b"]}]
    assert operation["security"] == entries
    assert operation["x-required-scopes"] == [["a"], ["b"]]


def test_imported_rules_are_shown_as_they_bind(shown: Shown) -> None:
    mapping = {"GET /x/*": ["all:x"], "GET /x/{y}/z": ["never"], "GET /*": ["other"]}
    guard = make_guard(ScopeMap.from_scope_mappings(mapping))

    def fill(app: FastAPI) -> None:
        app.add_api_route("/x/{y}/z", answer)
        app.add_api_route("/{y}", answer)

    found = security_of(shown(guard, fill))
    assert found == {"GET /x/{y}/z": [{S: ["all:x"]}], "GET /{y}": [{S: ["other"]}]}


def test_operation_that_another_route_answers_asks_for_what_that_asks_for(shown: Shown) -> None:
    """Attack: a document says that a path is open which another route takes."""
    guard = make_guard(
        {
            "GET /users/{name}": "users:read",
            "GET /users/me": PUBLIC,
            "GET /late/me": PUBLIC,
            "GET /late/{name}": "late:read",
        }
    )

    def fill(app: FastAPI) -> None:
        for path in ("/users/{name}", "/users/me", "/late/me", "/late/{name}"):
            app.add_api_route(path, answer)

    assert security_of(shown(guard, fill)) == {
        "GET /users/{name}": [{S: ["users:read"]}],
        "GET /users/me": [{S: ["users:read"]}],
        "GET /late/me": None,
        "GET /late/{name}": [{S: ["late:read"]}],
    }


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_two_routes_of_one_operation_ask_for_what_both_ask_for(shown: Shown) -> None:
    guard = make_guard({"GET /x/{n}": "x"})

    def fill(app: FastAPI) -> None:
        app.add_api_route("/x/{n:int}", answer, dependencies=[Security(guard, scopes=["int"])])
        app.add_api_route("/x/{n}", answer, dependencies=[Security(guard, scopes=["str"])])

    assert security_of(shown(guard, fill)) == {"GET /x/{n}": [{S: ["int", "str", "x"]}]}


def test_route_that_is_not_in_the_document_stays_out_of_it(shown: Shown) -> None:
    def fill(app: FastAPI) -> None:
        app.add_api_route("/x", answer, include_in_schema=False)

    assert shown(make_guard({"GET /x": "a"}), fill)["paths"] == {}


def test_other_guard_on_the_same_route_is_shown_too(shown: Shown) -> None:
    other = make_guard({"GET /x": any_of("o", "p")})

    def fill(app: FastAPI) -> None:
        app.add_api_route("/x", answer, dependencies=[Security(other, scopes=["q"])])
        app.add_api_route("/y", answer, dependencies=[Depends(other)])

    document = shown(make_guard({"GET /x": "a", "GET /y": "b"}), fill)
    assert security_of(document) == {
        "GET /x": [{S: ["a", "o", "q"]}, {S: ["a", "p", "q"]}],
        # The other map has no rule for it, so no one passes.
        "GET /y": [{S: []}],
    }
    assert operation_of(document, "GET /y")["x-denied"] is True
