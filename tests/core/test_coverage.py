from typing import Any

import pytest

from fastapi_scopes.core.coverage import Endpoint, Kind, Reach, cover
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.requirements import AUTHENTICATED, DENY, OPTIONAL, PUBLIC, any_of
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.core.endpoints import dead_of, endpoint, gaps_of, guarded


@pytest.mark.parametrize(
    ("requirement", "reach", "gap"),
    [
        pytest.param("a", Reach.GUARDED, None, id="ruled and guarded"),
        pytest.param(PUBLIC, Reach.GUARDED, None, id="PUBLIC and guarded"),
        pytest.param(DENY, Reach.GUARDED, None, id="DENY and guarded"),
        pytest.param(None, Reach.GUARDED, FindingCode.NO_RULE, id="guarded, no rule"),
        pytest.param("a", Reach.UNGUARDED, FindingCode.NOT_ENFORCED, id="ruled, no guard"),
        pytest.param(OPTIONAL, Reach.UNGUARDED, FindingCode.NOT_ENFORCED, id="OPTIONAL, no guard"),
        pytest.param(AUTHENTICATED, Reach.UNGUARDED, FindingCode.NOT_ENFORCED, id="[], no guard"),
        pytest.param(DENY, Reach.UNGUARDED, FindingCode.NOT_ENFORCED, id="DENY, no guard"),
        pytest.param(PUBLIC, Reach.UNGUARDED, None, id="PUBLIC needs no guard"),
        pytest.param(None, Reach.UNGUARDED, FindingCode.OPEN, id="no guard, no rule"),
        pytest.param("a", Reach.OTHER_GUARD, FindingCode.OTHER_GUARD, id="ruled, another guard"),
        pytest.param(PUBLIC, Reach.OTHER_GUARD, None, id="PUBLIC, another guard"),
        pytest.param(None, Reach.OTHER_GUARD, None, id="no rule, another guard's map decides"),
        pytest.param("a", Reach.UNREACHABLE, FindingCode.UNREACHABLE, id="ruled, unreachable"),
        pytest.param(DENY, Reach.UNREACHABLE, FindingCode.UNREACHABLE, id="DENY, unreachable"),
        pytest.param(PUBLIC, Reach.UNREACHABLE, None, id="PUBLIC, unreachable"),
        pytest.param(None, Reach.UNREACHABLE, FindingCode.UNREACHABLE, id="no rule, unreachable"),
        pytest.param("a", Reach.PERIMETER, None, id="ruled, a perimeter decides"),
        pytest.param(DENY, Reach.PERIMETER, None, id="DENY, a perimeter decides"),
        pytest.param(None, Reach.PERIMETER, FindingCode.NO_RULE, id="no rule, a perimeter decides"),
        pytest.param("a", Reach.UNRESOLVED, FindingCode.UNRESOLVED, id="ruled, no one knows which"),
        pytest.param(
            PUBLIC, Reach.UNRESOLVED, FindingCode.UNRESOLVED, id="PUBLIC, no one knows which"
        ),
        pytest.param(
            None, Reach.UNRESOLVED, FindingCode.UNRESOLVED, id="no rule, no one knows which"
        ),
    ],
)
def test_endpoint_is_a_gap_unless_its_rule_is_enforced(
    requirement: Any, reach: Reach, gap: FindingCode | None
) -> None:
    scope_map = ScopeMap({} if requirement is None else {"GET /a": requirement})
    coverage = cover(scope_map, [endpoint("GET /a", reach=reach)])
    (covered,) = coverage.endpoints
    assert covered.gap is gap
    assert coverage.gaps == (() if gap is None else (covered,))
    assert [each.code for each in coverage.errors if each.endpoint] == (
        [] if gap is None else [gap]
    )
    if gap is None:
        coverage.raise_on_gap()
        return
    with pytest.raises(ConfigurationError, match="'GET /a'"):
        coverage.raise_on_gap()


@pytest.mark.parametrize(
    ("rules", "given_endpoint", "problem"),
    [
        pytest.param(
            {},
            endpoint("GET /a/{x}"),
            "no rule for 'GET /a/{x}'; add one, or map it to PUBLIC",
            id="no rule",
        ),
        pytest.param(
            {"* /**": "a"},
            endpoint("GET /a", reach=Reach.UNGUARDED),
            "nothing enforces '* /**' on 'GET /a'; put Depends(guard) on the route",
            id="not enforced",
        ),
        pytest.param(
            {"* /**": "a"},
            endpoint("* /m/**", Kind.MOUNT, Reach.UNREACHABLE),
            "no dependency reaches '* /m/**' (mounted ASGI app); map 'MOUNT /m' to PUBLIC, "
            "or take it out",
            id="unreachable",
        ),
        pytest.param(
            {"* /**": "a"},
            endpoint("GET /f", Kind.FRONTEND, Reach.UNRESOLVED),
            "the framework does not say which route 'GET /f' (frontend) is, so the guard denies "
            "it; put it into an app of its own",
            id="unresolved",
        ),
        pytest.param(
            {},
            endpoint("GET /a", mount="/sub"),
            "no rule for 'GET /a' in the app mounted at '/sub'; add one, or map it to PUBLIC",
            id="in a mounted app",
        ),
    ],
)
def test_gap_says_what_is_wrong_and_the_way_out(
    rules: dict[str, Any], given_endpoint: Endpoint, problem: str
) -> None:
    coverage = cover(ScopeMap(rules), [given_endpoint])
    assert coverage.problems[0] == problem
    assert [str(each) for each in coverage.errors if each.endpoint is given_endpoint] == [problem]


def test_every_gap_and_every_dead_rule_is_named_at_once() -> None:
    coverage = cover(
        ScopeMap({"GET /a": "a", "GET /dead": "a", "GET /also-dead": "a"}),
        [*guarded("GET /a", "GET /b", "POST /c"), endpoint("GET /a", reach=Reach.UNGUARDED)],
    )
    with pytest.raises(ConfigurationError) as caught:
        coverage.raise_on_gap()
    assert len(caught.value.problems) == 5
    assert str(coverage) == f"4 endpoints, 3 gaps\n{caught.value}"


def test_coverage_without_a_gap_says_so() -> None:
    coverage = cover(ScopeMap({"GET /a": "a"}), guarded("GET /a"))
    coverage.raise_on_gap()
    assert str(coverage) == "1 endpoints, 0 gaps"
    assert coverage.endpoints[0].requirement == any_of("a")


def test_endpoint_without_a_rule_has_no_requirement() -> None:
    assert cover(ScopeMap({}), guarded("GET /a")).endpoints[0].requirement is None


DOCS = [
    endpoint(f"{method} {path}", Kind.DOCS, Reach.UNREACHABLE)
    for path in ("/docs", "/openapi.json")
    for method in ("GET", "HEAD")
]


def test_docs_pages_are_one_gap() -> None:
    coverage = cover(ScopeMap({}), DOCS)
    assert len(coverage.gaps) == 4
    assert coverage.problems == (
        "no dependency reaches the docs pages 'GET /docs', 'GET /openapi.json'; map them to "
        "PUBLIC, or switch them off with FastAPI(openapi_url=None)",
    )


def test_public_docs_pages_are_no_gap() -> None:
    cover(ScopeMap({"GET /docs": PUBLIC, "GET /openapi.json": PUBLIC}), DOCS).raise_on_gap()


def test_docs_pages_that_a_perimeter_closes_have_their_own_way_out() -> None:
    closed = [endpoint(f"GET {path}", Kind.DOCS, Reach.PERIMETER) for path in ("/docs", "/redoc")]
    assert cover(ScopeMap({}), closed).problems == (
        "no rule for the docs pages 'GET /docs', 'GET /redoc'; pass docs=PUBLIC or "
        "docs=AUTHENTICATED, or switch them off with FastAPI(openapi_url=None)",
    )


def both(path: str, **more: Any) -> list[Endpoint]:
    return [endpoint(f"{method} {path}", **more) for method in ("HEAD", "GET")]


@pytest.mark.parametrize(
    ("rules", "endpoints", "named"),
    [
        pytest.param({}, both("/a", kind=Kind.ROUTE), ["GET /a"], id="plain route"),
        pytest.param({}, both("/m/**", kind=Kind.MOUNT), ["GET /m/**"], id="static files"),
        pytest.param({}, both("/m/**", kind=Kind.FRONTEND), ["GET /m/**"], id="frontend"),
        pytest.param({}, both("/a", reach=Reach.UNGUARDED), ["GET /a"], id="open"),
        pytest.param({"* /a": "a"}, both("/a", reach=Reach.UNGUARDED), ["GET /a"], id="by no one"),
        pytest.param({}, guarded("HEAD /a"), ["HEAD /a"], id="HEAD alone"),
        pytest.param({}, guarded("HEAD /a", "POST /a"), ["HEAD /a", "POST /a"], id="beside POST"),
        pytest.param({}, guarded("HEAD /a", "GET /b"), ["HEAD /a", "GET /b"], id="elsewhere"),
        pytest.param(
            {},
            [endpoint("HEAD /a"), endpoint("GET /a", mount="/sub")],
            ["HEAD /a", "GET /a"],
            id="in another app",
        ),
        pytest.param(
            {"GET /a": "a", "HEAD /**": PUBLIC},
            both("/a", reach=Reach.UNGUARDED),
            ["GET /a"],
            id="both by GET",
        ),
    ],
)
def test_head_is_not_named_beside_the_get_that_is(
    rules: dict[str, Any], endpoints: list[Endpoint], named: list[str]
) -> None:
    coverage = cover(ScopeMap(rules, optional=True), endpoints)
    assert len(coverage.problems) == len(named)
    assert all(f"'{key}'" in each for key, each in zip(named, coverage.problems, strict=True))
    assert len(coverage.gaps) == len(endpoints)


def test_head_is_named_where_get_is_none() -> None:
    rules = {"GET /a": PUBLIC, "HEAD /a": "a"}
    coverage = cover(ScopeMap(rules), both("/a", reach=Reach.UNGUARDED))
    assert coverage.problems == (
        "nothing enforces 'HEAD /a' on 'HEAD /a'; put Depends(guard) on the route",
    )


def test_map_of_the_docs_pages_rules_them_and_nothing_else() -> None:
    pages = [endpoint("GET /docs", Kind.DOCS, Reach.PERIMETER), *guarded("GET /docs")]
    docs_map = ScopeMap({"GET /docs": PUBLIC}, optional=True)
    coverage = cover(ScopeMap({}), pages, docs_map=docs_map)
    assert [each.gap for each in coverage.endpoints] == [None, FindingCode.NO_RULE]
    assert coverage.dead == ()


def test_unknown_paths_behind_other_code_are_a_notice_and_no_gap() -> None:
    unknown = endpoint("* /m/**", Kind.UNKNOWN_PATHS, Reach.PERIMETER)
    (notice,) = cover(ScopeMap({}), [unknown]).notices
    assert "'* /m/**'" in notice
    ruled = cover(ScopeMap({"OPTIONS /m/**": PUBLIC}), [unknown])
    assert (ruled.problems, ruled.notices) == ((), ())


def test_what_no_dependency_reaches_is_listed_apart() -> None:
    api, plain = endpoint("GET /a"), endpoint("GET /b", Kind.ROUTE, Reach.PERIMETER)
    coverage = cover(ScopeMap({"GET /*": "a"}), [api, plain])
    assert [each.endpoint for each in coverage.perimeter_only] == [plain]


def test_another_guards_mounted_app_is_ruled_by_its_own_map() -> None:
    endpoints = [endpoint("GET /a", reach=Reach.OTHER_GUARD, mount="/sub")]
    coverage = cover(ScopeMap({"GET /a": "a"}, optional=True), endpoints)
    assert coverage.gaps == ()
    assert coverage.endpoints[0].rule is None


def test_endpoint_of_any_method_is_ruled_when_one_rule_matches_it() -> None:
    coverage = cover(ScopeMap({"GET /m/**": "a"}), [endpoint("* /m/**", Kind.MOUNT)])
    assert gaps_of(coverage) == {}
    assert dead_of(coverage) == {}


@pytest.mark.parametrize("name", ["WEBSOCKET", "MOUNT", "TOOL", "PROMPT", "RESOURCE"])
def test_http_method_by_the_name_of_a_word_is_ruled_by_star_alone(name: str) -> None:
    declared = [endpoint(f"{name} /a", Kind.ROUTE), endpoint(f"{name} /b/c")]
    named = {"WEBSOCKET /a": PUBLIC, "MOUNT /a": PUBLIC, "MOUNT /b": PUBLIC, "GET /**": PUBLIC}
    coverage = cover(ScopeMap(named, optional=True), declared)
    assert {each.gap for each in coverage.endpoints} == {FindingCode.NO_RULE}
    coverage = cover(ScopeMap({**named, "* /**": "a"}, optional=True), declared)
    assert [each.rule and each.rule.key for each in coverage.endpoints] == ["* /**"] * 2


def test_endpoint_of_any_method_without_a_rule_is_a_gap() -> None:
    coverage = cover(ScopeMap({}), [endpoint("* /m/**", Kind.MOUNT)])
    assert gaps_of(coverage) == {"* /m/**": FindingCode.NO_RULE}


@pytest.mark.parametrize(
    ("rules", "reach", "gap"),
    [
        pytest.param({"* /m/**": PUBLIC}, Reach.UNREACHABLE, None, id="PUBLIC for all"),
        pytest.param(
            {"* /m/**": PUBLIC, "GET /m/**": PUBLIC}, Reach.UNREACHABLE, None, id="PUBLIC twice"
        ),
        pytest.param(
            {"GET /m/**": PUBLIC},
            Reach.UNREACHABLE,
            FindingCode.UNREACHABLE,
            id="PUBLIC for one method",
        ),
        pytest.param(
            {"* /m/**": PUBLIC, "DELETE /m/**": DENY},
            Reach.UNREACHABLE,
            FindingCode.UNREACHABLE,
            id="a method that is denied, by no one",
        ),
        pytest.param(
            {"* /m/**": PUBLIC, "POST /m/**": "a"},
            Reach.UNREACHABLE,
            FindingCode.UNREACHABLE,
            id="a scope that no one asks for",
        ),
        pytest.param(
            {"* /m/**": PUBLIC, "POST /m/**": "a"}, Reach.GUARDED, None, id="both, and guarded"
        ),
    ],
)
def test_rule_of_one_method_is_a_gap_where_nothing_enforces_it(
    rules: dict[str, Any], reach: Reach, gap: FindingCode | None
) -> None:
    coverage = cover(ScopeMap(rules), [endpoint("* /m/**", Kind.MOUNT, reach)])
    assert coverage.endpoints[0].gap is gap


def test_no_rule_of_a_method_is_dead_where_any_method_is_answered() -> None:
    rules = {"* /m/**": "a", "GET /m/**": "b", "OPTIONS /m/**": "c", "WEBSOCKET /m/**": "d"}
    coverage = cover(ScopeMap(rules), [endpoint("* /m/**", Kind.MOUNT)])
    assert coverage.problems == ()


def test_route_that_asks_for_scopes_on_public_rules_is_named_with_all_others() -> None:
    endpoints = [endpoint(f"GET /{name}", scopes=("s",)) for name in "ab"]
    coverage = cover(ScopeMap({"GET /*": PUBLIC}), [*endpoints, endpoint("GET /b/c")])
    contradictions = tuple(
        f"'GET /{name}' asks for 's', yet 'GET /*' is PUBLIC; drop the scopes or the PUBLIC"
        for name in "ab"
    )
    found = [each for each in coverage.errors if each.code is FindingCode.CONTRADICTION]
    assert (*map(str, found),) == contradictions
    assert [each.endpoint for each in found] == endpoints
    with pytest.raises(ConfigurationError) as caught:
        coverage.raise_on_gap()
    assert (*map(str, caught.value.problems),) == (
        *contradictions,
        "no rule for 'GET /b/c'; add one, or map it to PUBLIC",
    )


def test_scopes_of_the_route_show_in_its_requirement() -> None:
    coverage = cover(ScopeMap({"GET /a": "a"}), [endpoint("GET /a", scopes=("s",))])
    assert coverage.endpoints[0].requirement == any_of(["a", "s"])
    assert coverage.problems == ()


@pytest.mark.parametrize(
    ("requirement", "notices"),
    [
        pytest.param(PUBLIC, 1, id="PUBLIC"),
        pytest.param(OPTIONAL, 1, id="OPTIONAL"),
        pytest.param(AUTHENTICATED, 0, id="AUTHENTICATED"),
        pytest.param("a", 0, id="scope"),
        pytest.param(DENY, 0, id="DENY"),
    ],
)
def test_parameter_that_may_be_none_and_says_otherwise_is_noted(
    requirement: Any, notices: int
) -> None:
    handler = endpoint("GET /a", source="app.me", never_none=("claims",))
    coverage = cover(ScopeMap({"GET /a": requirement}), [handler])
    assert len(coverage.notices) == notices
    assert coverage.problems == ()
    if notices:
        assert coverage.notices == (
            f"'claims' of app.me is None on 'GET /a' ({requirement}); annotate it with '| None'",
        )


def test_nothing_is_noted_where_there_is_no_rule() -> None:
    assert cover(ScopeMap({}), [endpoint("GET /a", never_none=("claims",))]).notices == ()


def test_rule_that_decides_in_two_apps_is_named() -> None:
    endpoints = [endpoint("GET /a"), endpoint("GET /a", mount="/sub"), endpoint("GET /b")]
    coverage = cover(ScopeMap({"GET /a": "a", "GET /b": "a"}), endpoints)
    assert [each.message for each in coverage.shared] == [
        "'GET /a' decides in the apps at '/', '/sub'"
    ]
    assert coverage.problems == ()
    assert str(coverage) == f"3 endpoints, 0 gaps\n{coverage.shared[0]}"


def test_rule_that_nothing_enforces_in_the_other_app_is_not_shared() -> None:
    other = endpoint("GET /a", reach=Reach.UNGUARDED, mount="/sub")
    coverage = cover(ScopeMap({"GET /a": "a"}), [endpoint("GET /a"), other])
    assert coverage.shared == ()
    assert len(coverage.gaps) == 1
