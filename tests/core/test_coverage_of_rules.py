import pytest

from fastapi_scopes.core.coverage import Gap, cover
from fastapi_scopes.core.scope_map import ScopeMap
from tests.core.endpoints import dead_of, gaps_of, guarded


@pytest.mark.parametrize(
    ("rules", "endpoints", "dead"),
    [
        pytest.param(["GET /a"], ["GET /a"], {}, id="wins"),
        pytest.param(["GET /a"], ["GET /b"], {"GET /a": []}, id="matches nothing"),
        pytest.param(["POST /a"], ["GET /a"], {"POST /a": []}, id="another method"),
        pytest.param(["GET /a/me"], ["GET /a/{x}"], {"GET /a/me": []}, id="literal, parameter"),
        pytest.param(["GET /a/"], ["GET /a"], {"GET /a/": []}, id="slash at the end"),
        pytest.param(
            ["GET /a", "GET /*"], ["GET /a"], {"GET /*": ["GET /a"]}, id="loses everywhere"
        ),
        pytest.param(
            ["GET /a", "GET /b", "* /**"],
            ["GET /a", "GET /b"],
            {"* /**": ["GET /a", "GET /b"]},
            id="each winner is named once",
        ),
        pytest.param(["GET /a", "GET /*"], ["GET /a", "GET /b"], {}, id="loses somewhere"),
        pytest.param(["GET /a"], ["HEAD /a"], {}, id="GET rule of a HEAD route"),
        pytest.param(
            ["HEAD /a", "GET /a"], ["HEAD /a"], {"GET /a": ["HEAD /a"]}, id="HEAD shadows GET"
        ),
        pytest.param(["* /a"], ["OPTIONS /a"], {"* /a": []}, id="star is not OPTIONS"),
    ],
)
def test_rule_that_wins_for_no_endpoint_is_dead(
    rules: list[str], endpoints: list[str], dead: dict[str, list[str]]
) -> None:
    scope_map = ScopeMap(dict.fromkeys(rules, "a"))
    coverage = cover(scope_map, guarded(*endpoints))
    assert dead_of(coverage) == dead
    optional = cover(ScopeMap(dict.fromkeys(rules, "a"), optional=True), guarded(*endpoints))
    assert dead_of(optional) == {}


@pytest.mark.parametrize(
    ("rules", "endpoints", "sentence"),
    [
        pytest.param(
            ["GET /a"],
            ["GET /b"],
            "'GET /a' matches no endpoint; correct it, or take it out",
            id="nothing near",
        ),
        pytest.param(
            ["GET /a/{id}"],
            ["GET /b", "GET /a/{agent_id}"],
            "'GET /a/{id}' does not match all that '/a/{agent_id}' stands for; write the "
            "parameters as the route does, or '*'",
            id="another name",
        ),
        pytest.param(
            ["GET /a/7"],
            ["GET /a/{n:int}"],
            "'GET /a/7' does not match all that '/a/{n:int}' stands for; write the "
            "parameters as the route does, or '*'",
            id="a value",
        ),
        pytest.param(
            ["POST /a/{id}"],
            ["GET /a/{agent_id}"],
            "'POST /a/{id}' matches no endpoint; correct it, or take it out",
            id="another name on another method",
        ),
        pytest.param(
            ["* /a/{id}"],
            ["GET /a/{agent_id}"],
            "'* /a/{id}' does not match all that '/a/{agent_id}' stands for; write the parameters "
            "as the route does, or '*'",
            id="another name on any method",
        ),
        pytest.param(
            ["GET /*", "GET /a"],
            ["GET /a"],
            "'GET /*' wins for no endpoint, 'GET /a' wins before it; drop one of them",
            id="shadowed",
        ),
    ],
)
def test_dead_rule_says_why(rules: list[str], endpoints: list[str], sentence: str) -> None:
    coverage = cover(ScopeMap(dict.fromkeys(rules, "a")), guarded(*endpoints))
    assert [str(each) for each in coverage.dead] == [sentence]
    assert sentence in coverage.problems


def test_right_side_that_loses_to_the_left_everywhere_is_an_error_naming_both() -> None:
    merged = ScopeMap({"GET /a": "l"}, optional=True) | {"GET /*": "r"}
    coverage = cover(merged, guarded("GET /a"))
    assert coverage.problems == (
        "'GET /*' wins for no endpoint, 'GET /a' wins before it; drop one of them",
    )


def test_a_preset_on_the_right_that_loses_to_the_left_everywhere_is_an_error_too() -> None:
    merged = ScopeMap({"GET /a": "l"}) | ScopeMap({"GET /*": "r", "GET /z": "r"}, optional=True)
    assert dead_of(cover(merged, guarded("GET /a"))) == {"GET /*": ["GET /a"]}


def test_preset_that_loses_to_the_right_everywhere_is_no_error() -> None:
    merged = ScopeMap({"GET /*": "l"}, optional=True) | {"GET /a": "r"}
    coverage = cover(merged, guarded("GET /a"))
    assert coverage.problems == ()
    assert coverage.shadowed == ()


def test_right_side_that_loses_on_some_endpoints_is_listed() -> None:
    merged = ScopeMap({"GET /a": "l"}) | {"GET /*": "r"}
    coverage = cover(merged, guarded("GET /a", "GET /b"))
    assert coverage.problems == ()
    assert [str(each) for each in coverage.shadowed] == ["'GET /*' loses to 'GET /a' on 'GET /a'"]
    assert str(coverage) == "2 endpoints, 0 gaps\n'GET /*' loses to 'GET /a' on 'GET /a'"


def test_losing_within_one_map_is_not_listed() -> None:
    coverage = cover(ScopeMap({"GET /a": "x", "GET /*": "x"}), guarded("GET /a", "GET /b"))
    assert coverage.shadowed == ()


def test_custom_key_of_an_import_that_never_wins_names_the_default_before_it() -> None:
    defaults = ScopeMap.from_scope_mappings({"GET /a/*": ["d"]}, optional=True)
    custom = ScopeMap.from_scope_mappings({"GET /a/*/runs": ["c"]})
    coverage = cover(defaults | custom, guarded("GET /a/{x}/runs"))
    assert coverage.problems == (
        "'GET /a/*/runs' wins for no endpoint, 'GET /a/*' wins before it; drop one of them",
    )


def test_import_that_is_certain_nowhere_leaves_a_gap_and_a_dead_rule() -> None:
    imported = ScopeMap.from_scope_mappings({"GET /a/me": ["s"]})
    coverage = cover(imported, guarded("GET /a/{x}"))
    assert gaps_of(coverage) == {"GET /a/{x}": Gap.NO_RULE}
    assert dead_of(coverage) == {"GET /a/me": []}
    assert str(coverage.dead[0]).startswith("'GET /a/me' does not match all that '/a/{x}' stands")
