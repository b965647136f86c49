"""A protected app that is mounted in another one, which may be protected as well."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from fastapi_scopes import PUBLIC, Claims, ScopeGuard, ScopeMap
from tests.apps import bearer, make_guard
from tests.perimeter.calling import call
from tests.perimeter.small import CountingVerifier, make_app


def optional(rules: dict[str, Any]) -> ScopeMap:
    # One guard of two apps has rules that match nothing in one of them.
    return ScopeMap(rules, optional=True)


def statuses(app: Any, *requests: tuple[str, tuple[str, ...]]) -> list[int]:
    client = TestClient(app)
    return [client.get(path, headers=bearer(*scopes)).status_code for path, scopes in requests]


def test_unprotected_app_is_open_around_the_protected_one() -> None:
    outer, inner = make_app("/a"), make_app("/a")
    make_guard({"GET /a": "a"}).protect(inner)
    outer.mount("/in", inner)
    outer.mount("/again", inner)
    client = TestClient(outer)
    assert client.get("/a").status_code == 200
    for path in ("/in/a", "/again/a"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer("b")).status_code == 403
        assert client.get(path, headers=bearer("a")).status_code == 200
    assert client.get("/in/nope").status_code == 404


def test_gap_of_a_mounted_protected_app_shuts_that_alone() -> None:
    # No lifespan of a mounted app runs.
    outer, inner = make_app("/a"), make_app("/a", "/forgotten")
    make_guard({"GET /a": PUBLIC}).protect(inner)
    outer.mount("/in", inner)
    with TestClient(outer) as client:
        assert client.get("/a").status_code == 200
        assert client.get("/in/a").status_code == 503
        assert client.get("/in/a").headers["retry-after"] == "1"


ASKED = [
    pytest.param((), (403, 403), id="neither"),
    pytest.param(("outer",), (403, 200), id="outer scope"),
    pytest.param(("inner",), (403, 403), id="inner scope"),
    pytest.param(("outer", "inner"), (200, 200), id="both"),
]


@pytest.mark.parametrize(("scopes", "expected"), ASKED)
@pytest.mark.parametrize("inner_first", [True, False])
def test_two_guards_both_decide_by_keys_of_their_own(
    scopes: tuple[str, ...], expected: tuple[int, int], inner_first: bool
) -> None:
    outer, inner = make_app("/a"), make_app("/a", "/open")
    around = make_guard({"GET /a": PUBLIC, "GET /in/a": "outer", "GET /in/open": "outer"})
    within = make_guard({"GET /a": "inner", "GET /open": PUBLIC})
    outer.mount("/in", inner)
    steps = [(within, inner), (around, outer)]
    for guard, app in steps if inner_first else steps[::-1]:
        guard.protect(app)
    with TestClient(outer):
        found = statuses(outer, ("/in/a", scopes), ("/in/open", scopes))
    assert found == list(expected)
    client = TestClient(outer)
    assert client.get("/a").status_code == 200
    assert client.get("/in/open").status_code == 401


@pytest.mark.parametrize(("scopes", "expected"), ASKED)
@pytest.mark.parametrize("inner_first", [True, False])
def test_one_guard_decides_in_both_by_keys_relative_to_each(
    scopes: tuple[str, ...], expected: tuple[int, int], inner_first: bool
) -> None:
    guard = make_guard(
        optional(
            {
                "GET /in/a": "outer",
                "GET /in/open": "outer",
                "GET /a": "inner",
                "GET /open": PUBLIC,
            }
        )
    )
    outer, inner = make_app("/open"), make_app("/a", "/open")
    outer.mount("/in", inner)
    for app in (inner, outer) if inner_first else (outer, inner):
        guard.protect(app)
    with TestClient(outer):
        found = statuses(outer, ("/in/a", scopes), ("/in/open", scopes))
    assert found == list(expected)
    client = TestClient(outer)
    assert client.get("/open").status_code == 200
    assert client.get("/in/open").status_code == 401


@pytest.mark.parametrize("shared", [True, False], ids=["one guard", "two guards"])
@pytest.mark.parametrize("paths", [("/in/nope", 404), ("/in/a/", 307)], ids=str)
def test_unknown_below_two_perimeters_is_hidden_where_either_hides_it(
    shared: bool, paths: tuple[str, int]
) -> None:
    path, status = paths
    for outer_hides, inner_hides in ((False, False), (True, False), (False, True), (True, True)):
        within = make_guard(optional({"GET /a": "a", "GET /in/a": "a"}))
        around = within if shared else make_guard({"GET /in/a": "a"})
        outer, inner = make_app(), make_app("/a")
        within.protect(inner, hide_unknown=inner_hides)
        outer.mount("/in", inner)
        around.protect(outer, hide_unknown=outer_hides)
        client = TestClient(outer, follow_redirects=False)
        is_hidden = outer_hides or inner_hides
        assert client.get(path).status_code == (401 if is_hidden else status)
        assert client.get(path, headers=bearer()).status_code == status


def make_nested(around: ScopeGuard[Any], within: ScopeGuard[Any]) -> TestClient:
    """Return a client of an app whose 'GET /in/x' names the subjects that are known there."""
    outer, inner = make_app(), make_app()

    @inner.get("/x")
    async def subjects(
        request: Request, claims: Annotated[Claims | None, Depends(within)]
    ) -> list[str | None]:
        both = [guard.claims_of(request) for guard in (around, within)]
        return [each.sub if each else None for each in (claims, *both)]

    within.protect(inner)
    outer.mount("/in", inner)
    around.protect(outer)
    return TestClient(outer)


@pytest.mark.parametrize("shared", [True, False], ids=["one verifier", "two verifiers"])
def test_token_is_verified_once_by_each_verifier(shared: bool) -> None:
    first = CountingVerifier()
    second = first if shared else CountingVerifier()
    around = make_guard({"GET /in/x": "a"}, verifier=first)
    within = make_guard({"GET /x": "a"}, verifier=second)
    client = make_nested(around, within)
    assert client.get("/in/x", headers=bearer("a")).json() == ["alice"] * 3
    assert [first.verified, second.verified] == [1, 1]


CLAIMS_OF = [
    pytest.param("a", PUBLIC, [None, "alice", None], id="outer"),
    pytest.param(PUBLIC, "a", ["alice", None, "alice"], id="inner"),
    pytest.param("a", "a", ["alice", "alice", "alice"], id="both"),
    pytest.param(PUBLIC, PUBLIC, [None, None, None], id="none"),
]


@pytest.mark.parametrize(("outer_rule", "inner_rule", "subjects"), CLAIMS_OF)
def test_each_guard_has_the_claims_that_it_let_pass(
    outer_rule: Any, inner_rule: Any, subjects: list[str | None]
) -> None:
    client = make_nested(make_guard({"GET /in/x": outer_rule}), make_guard({"GET /x": inner_rule}))
    assert client.get("/in/x", headers=bearer("a")).json() == subjects


def test_one_guard_of_both_binds_the_claims_once() -> None:
    bound: list[str | None] = []
    guard = make_guard(
        optional({"GET /in/x": "a", "GET /x": "b"}),
        bind=lambda _, claims: bound.append(claims.sub),
    )
    client = make_nested(guard, guard)
    assert client.get("/in/x", headers=bearer("a", "b")).status_code == 200
    assert bound == ["alice"]


def test_one_guard_of_both_shows_the_claims_of_the_inner_verdict() -> None:
    guard = make_guard(optional({"GET /in/x": "a", "GET /x": PUBLIC}))
    client = make_nested(guard, guard)
    assert client.get("/in/x", headers=bearer("a")).json() == [None] * 3


def _below_a_router(inner: FastAPI) -> Starlette:
    return Starlette(routes=[Mount("/x", Router([Mount("/in", inner)]))])


def _below_an_app(inner: FastAPI) -> Starlette:
    outer, between = make_app(), make_app()
    between.mount("/in", inner)
    outer.mount("/x", between)
    return outer


@pytest.mark.parametrize("place", [_below_a_router, _below_an_app])
@pytest.mark.parametrize("root_path", ["", "/proxy"])
def test_protected_app_keeps_its_keys_however_deep_it_is_mounted(
    place: Any, root_path: str
) -> None:
    inner = make_guard({"GET /a": "inner"}).protect(make_app("/a"))
    outer = make_guard({"GET /x/in/a": "outer"}).protect(place(inner))
    path = f"{root_path}/x/in/a"
    found = [
        call(outer, "GET", path, scopes, root_path=root_path).status
        for scopes in (None, {"inner"}, {"outer"}, {"inner", "outer"})
    ]
    assert found == [401, 403, 403, 200]


def test_coverage_of_the_outer_app_asks_for_its_own_rules_below_the_inner_perimeter() -> None:
    inner = make_guard({"GET /a": "inner"}).protect(make_app("/a"))
    outer = make_app()
    outer.mount("/in", inner)
    guard = make_guard({})
    guard.protect(outer)
    assert guard.check(outer).problems == ("no rule for 'GET /in/a'; add one, or map it to PUBLIC",)


def test_apps_that_protect_each_other_stay_shut() -> None:
    first, second = make_app("/a"), make_app("/b")
    first.mount("/second", second)
    second.mount("/first", first)
    guard = make_guard(optional({"GET /a": "a", "GET /second/b": "a"}))
    guard.protect(first, strict=False)
    guard.protect(second, strict=False)

    # Either is within the other, so both decide: of the second app's own keys, none is about
    # 'GET /first/a' or 'GET /b'.
    assert statuses(
        first,
        ("/a", ("a",)),
        ("/second/b", ("a",)),
        ("/second/first/a", ("a",)),
        ("/second/first/second/b", ("a",)),
    ) == [403, 403, 403, 403]
