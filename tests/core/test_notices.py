from typing import Any

import pytest

from fastapi_scopes.core.coverage import Endpoint, Kind, Reach, cover
from fastapi_scopes.core.findings import FindingCode, Severity
from fastapi_scopes.core.requirements import AUTHENTICATED, DENY, OPTIONAL, PUBLIC
from fastapi_scopes.core.scope_map import ScopeMap
from tests.core.endpoints import endpoint, guarded


def notices_of(rules: dict[str, Any], *endpoints: Endpoint) -> tuple[str, ...]:
    coverage = cover(ScopeMap(rules), endpoints)
    assert coverage.problems == ()
    return coverage.notices


@pytest.mark.parametrize(
    ("requirement", "scopes", "meant"),
    [
        ("a,b", (), ["a", "b"]),
        (["x", "a:read,a:write"], (), ["a:read", "a:write"]),
        ("x", ("a,b",), ["a", "b"]),
        ("a,", (), ["a"]),
    ],
    ids=["alone", "in a list", "of the route", "at the end"],
)
def test_scope_with_a_comma_is_named_once(
    requirement: Any, scopes: tuple[str, ...], meant: list[str]
) -> None:
    endpoints = [endpoint(f"GET /{name}", scopes=scopes) for name in "ab"]
    coverage = cover(ScopeMap({"GET /*": requirement}), endpoints)
    (found,) = coverage.findings
    assert (found.code, found.severity) == (FindingCode.COMMA_IN_SCOPE, Severity.NOTICE)
    assert found.remedy == f"write {meant!r} for a list"
    coverage.raise_on_gap()


def test_two_scopes_with_commas_are_named_apart() -> None:
    assert (
        len(notices_of({"GET /a": ["a,b", "c,d"], "GET /b": "a,b"}, *guarded("GET /a", "GET /b")))
        == 2
    )


@pytest.mark.parametrize(
    ("rules", "endpoints", "notices"),
    [
        pytest.param(
            {"GET /**": PUBLIC},
            guarded("GET /late", "HEAD /late", "GET /b", "GET /c", "GET /d"),
            (
                "'GET /**' (PUBLIC) alone opens 4 routes: 'GET /late', 'GET /b', 'GET /c', ...; "
                "give them rules, or use 'MOUNT /' for the files",
            ),
            id="root",
        ),
        pytest.param(
            {"* /s/**": PUBLIC},
            [endpoint("WEBSOCKET /s/ws", Kind.WEBSOCKET)],
            (
                "'* /s/**' (PUBLIC) alone opens 1 route: 'WEBSOCKET /s/ws'; give them rules, or "
                "use 'MOUNT /s' for the files",
            ),
            id="socket below a prefix",
        ),
        pytest.param(
            {"GET /*/x/**": PUBLIC},
            guarded("GET /a/x/y"),
            ("'GET /*/x/**' (PUBLIC) alone opens 1 route: 'GET /a/x/y'; give them rules",),
            id="prefix that no mount has",
        ),
        pytest.param(
            {"GET /**": PUBLIC, "POST /**": PUBLIC},
            [endpoint("GET /a", Kind.ROUTE), endpoint("POST /a", Kind.ROUTE)],
            (
                "'GET /**' (PUBLIC) alone opens 1 route: 'GET /a'; give them rules, or use "
                "'MOUNT /' for the files",
                "'POST /**' (PUBLIC) alone opens 1 route: 'POST /a'; give them rules, or use "
                "'MOUNT /' for the files",
            ),
            id="one a rule",
        ),
        pytest.param(
            {"GET /**": PUBLIC},
            [endpoint("* /a", Kind.ROUTE)],
            (
                "'GET /**' (PUBLIC) alone opens 1 route: '* /a'; give them rules, or use "
                "'MOUNT /' for the files",
            ),
            id="any method, by the rule of one",
        ),
        pytest.param({"GET /a": PUBLIC}, guarded("GET /a"), (), id="a rule of its own"),
        pytest.param({"GET /*": PUBLIC}, guarded("GET /a"), (), id="no catch-all"),
        *(
            pytest.param({"GET /**": each}, guarded("GET /a"), (), id=f"not PUBLIC: {each}")
            for each in (AUTHENTICATED, OPTIONAL, DENY, "a")
        ),
        *(
            pytest.param(
                {"* /a/**": PUBLIC}, [endpoint("* /a/**", kind, Reach.PERIMETER)], (), id=kind.value
            )
            for kind in (Kind.MOUNT, Kind.FRONTEND, Kind.UNKNOWN_PATHS)
        ),
        pytest.param({"GET /**": PUBLIC}, [endpoint("GET /docs", Kind.DOCS)], (), id="docs"),
        pytest.param(
            {"GET /**": PUBLIC}, [endpoint("GET /a", reach=Reach.OTHER_GUARD)], (), id="other guard"
        ),
    ],
)
def test_routes_that_only_a_catch_all_opens_are_noted(
    rules: dict[str, Any], endpoints: list[Endpoint], notices: tuple[str, ...]
) -> None:
    assert notices_of(rules, *endpoints) == notices


def test_imported_star_is_no_catch_all_of_files() -> None:
    imported = ScopeMap.from_scope_mappings({"GET /*": PUBLIC})
    assert cover(imported, guarded("GET /a")).notices == ()


def twin(text: str, source: str, kind: Kind = Kind.API_ROUTE, **more: Any) -> Endpoint:
    return endpoint(text, kind, Reach.PERIMETER, source=source, **more)


@pytest.mark.parametrize(
    ("endpoints", "notices"),
    [
        pytest.param(
            [twin("GET /u/{id:int}", "app.number"), twin("GET /u/{id}", "app.name")],
            (
                "'GET /u/{id}' alone decides on 2 endpoints 'GET /u/{id:int}': app.number, "
                "app.name; give them paths of their own where they differ",
            ),
            id="two convertors",
        ),
        pytest.param(
            [
                twin(f"{method} /u/{{id}}", f"app.{host}", Kind.ROUTE)
                for host in ("one", "two", "one")
                for method in ("GET", "HEAD")
            ],
            (
                "'GET /u/{id}' alone decides on 2 endpoints 'GET /u/{id}': app.one, app.two; "
                "give them paths of their own where they differ",
            ),
            id="two hosts, HEAD beside GET",
        ),
        pytest.param(
            [twin("HEAD /u/{id}", "app.one"), twin("HEAD /u/{id:int}", "app.two")],
            (
                "'GET /u/{id}' alone decides on 2 endpoints 'HEAD /u/{id}': app.one, app.two; "
                "give them paths of their own where they differ",
            ),
            id="HEAD alone",
        ),
        pytest.param(
            [twin("GET /u/{id}", "app.one"), twin("HEAD /u/{id}", "app.two")], (), id="HEAD and GET"
        ),
        pytest.param(
            [twin("GET /u/{id}", "app.one"), twin("GET /u/{id}", "app.one")], (), id="same function"
        ),
        pytest.param(
            [twin("GET /u/{id}", "app.one"), twin("GET /u/{id}", "app.two", mount="/sub")],
            (),
            id="another app",
        ),
        pytest.param(
            [
                twin("GET /u/{id}", "app.one"),
                twin("* /u/**", "app.app", Kind.MOUNT),
                twin("* /u/**", "app.inner", Kind.UNKNOWN_PATHS),
            ],
            (),
            id="unknown paths beside a mount",
        ),
    ],
)
def test_key_that_decides_on_two_endpoints_is_noted(
    endpoints: list[Endpoint], notices: tuple[str, ...]
) -> None:
    scope_map = ScopeMap({"GET /u/{id}": "a", "* /u/**": "b"}, optional=True)
    assert cover(scope_map, endpoints).notices == notices


def test_endpoints_without_a_rule_are_no_twins() -> None:
    assert cover(ScopeMap({}), [twin("GET /a", "app.one"), twin("GET /a", "app.two")]).notices == ()
