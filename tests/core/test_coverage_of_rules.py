import pytest

from fastapi_scopes.core.coverage import Kind, cover
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.scope_map import ScopeMap
from tests.core.endpoints import dead_of, endpoint, gaps_of, guarded


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
            "'GET /a/{id}' matches no endpoint: a segment is not what '/a/{agent_id}' has there; "
            "write 'GET /a/{agent_id}', or '*' for each parameter",
            id="another name",
        ),
        pytest.param(
            ["GET /a/7"],
            ["GET /a/{n:int}"],
            "'GET /a/7' matches no endpoint: a segment is not what '/a/{n:int}' has there; "
            "write 'GET /a/{n:int}', or '*' for each parameter",
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
            "'* /a/{id}' matches no endpoint: a segment is not what '/a/{agent_id}' has there; "
            "write '* /a/{agent_id}', or '*' for each parameter",
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


@pytest.mark.parametrize(
    ("key", "endpoints", "meant"),
    [
        pytest.param("GET /agents/", ["GET /agents", "GET /agents/{a}"], "GET /agents", id="slash"),
        pytest.param("GET /agents", ["GET /agents/"], "GET /agents/", id="no slash"),
        pytest.param("* /agents/", ["GET /agents"], "* /agents", id="slash, any method"),
        pytest.param("GET /a/{x}/", ["GET /a/{x}"], "GET /a/{x}", id="slash behind a parameter"),
        pytest.param("GET /agent", ["GET /x", "GET /agents"], "GET /agents", id="typo"),
        pytest.param("GET /Agents", ["GET /agents"], "GET /agents", id="case"),
        pytest.param(
            "GET /agents/{a}/run", ["GET /agents/{a}/runs"], "GET /agents/{a}/runs", id="end"
        ),
        pytest.param("GET /agent", ["* /agents"], "GET /agents", id="endpoint of any method"),
        pytest.param("DELETE /agents", ["GET /agents"], "GET /agents", id="another method"),
        pytest.param("WEBSOCKET /ws", ["GET /ws"], "GET /ws", id="no socket"),
        pytest.param("GET /agent", ["POST /agents"], None, id="another method and a typo"),
        pytest.param("GET /x", ["GET /agents"], None, id="nothing like it"),
        pytest.param("GET /", ["GET /a"], None, id="root"),
    ],
)
def test_rule_that_matches_nothing_names_the_key_that_comes_nearest(
    key: str, endpoints: list[str], meant: str | None
) -> None:
    (dead,) = cover(ScopeMap({key: "a"}), guarded(*endpoints)).dead
    remedy = "correct it, or take it out" if meant is None else f"did you mean {meant!r}"
    assert (dead.code, dead.message) == (
        FindingCode.MATCHES_NOTHING,
        f"{key!r} matches no endpoint",
    )
    assert dead.remedy == remedy
    assert dead.rule is not None
    assert dead.rule.key == key


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("MOUNT /static/", "did you mean 'MOUNT /static'"),
        ("MOUNT /statik", "did you mean 'MOUNT /static'"),
        ("MOUNT /other", "correct it, or take it out"),
    ],
)
def test_mount_key_that_matches_nothing_names_the_mount_that_comes_nearest(
    key: str, remedy: str
) -> None:
    endpoints = [*guarded("GET /x/y"), endpoint("* /static/**", Kind.MOUNT)]
    (dead,) = cover(ScopeMap({key: "a"}), endpoints).dead
    assert dead.message == f"{key!r} decides nothing: no mount is there"
    assert dead.remedy == remedy


def test_only_the_first_few_typos_are_compared_with_every_key() -> None:
    rules = {f"GET /agents/number{each}/x": "a" for each in range(30)}
    endpoints = guarded(*(f"GET /agents/number{each}/y" for each in range(30)))
    dead = cover(ScopeMap(rules), endpoints).dead
    assert sum(each.remedy.startswith("did you mean") for each in dead) == 10


PURGE = "'PURGE' is not a method; write GET, POST, ... in upper case, "


@pytest.mark.parametrize("optional", [False, True], ids=["", "preset"])
@pytest.mark.parametrize(
    ("rules", "endpoints", "problems"),
    [
        pytest.param(["PURGE /x"], ["PURGE /x"], [], id="declared"),
        pytest.param(["PURGE /*"], ["PURGE /x", "GET /x"], [], id="declared beside another"),
        pytest.param(["PURGE /x"], ["* /x", "PURGE /y"], [], id="declared elsewhere"),
        pytest.param(["PURGE /x"], [], ["PURGE /x"], id="no endpoint"),
        pytest.param(["PURGE /x"], ["* /x"], ["PURGE /x"], id="any method declares none"),
        pytest.param(
            ["PURGE /x", "* /x", "PURGE /**"], ["GET /x"], ["PURGE /x", "PURGE /**"], id="two rules"
        ),
    ],
)
def test_method_that_is_not_registered_is_one_of_a_route_or_an_error(
    rules: list[str], endpoints: list[str], problems: list[str], optional: bool
) -> None:
    scope_map = ScopeMap({**dict.fromkeys(rules, "a"), "* /**": "b"}, optional=optional)
    coverage = cover(scope_map, guarded(*endpoints, "GET /z"))
    assert [each for each in coverage.problems if "PURGE" in each] == [
        f"{key!r}: {PURGE}WEBSOCKET, MOUNT or '*'" for key in problems
    ]


def test_imported_method_that_no_route_declares_has_its_own_way_out() -> None:
    imported = ScopeMap.from_scope_mappings({"PURGE /x": ["a"]}, optional=True)
    assert cover(imported, []).problems == (
        f"'PURGE /x': {PURGE}or WEBSOCKET; an imported map has no '*' and no MOUNT",
    )


def test_preset_for_a_registered_method_may_match_nothing() -> None:
    rules = {"LINK /x": "a", "WEBSOCKET /x": "a", "MOUNT /x": "a", "* /x": "a"}
    assert cover(ScopeMap(rules, optional=True), []).problems == ()


@pytest.mark.parametrize("methods", [("GET",), ("*",), ("PURGE", "*")])
def test_dead_rule_of_a_declared_method_is_named_like_any_other(methods: tuple[str, ...]) -> None:
    coverage = cover(
        ScopeMap({"PURGE /x": "a"}), guarded("PURGE /y", *(f"{m} /z" for m in methods))
    )
    assert [str(each) for each in coverage.dead] == [
        "'PURGE /x' matches no endpoint; correct it, or take it out"
    ]


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
    assert [each.message for each in coverage.shadowed] == [
        "'GET /*' loses to 'GET /a' on 'GET /a'"
    ]
    assert str(coverage) == f"2 endpoints, 0 gaps\n{coverage.shadowed[0]}"


def test_loss_on_an_endpoint_of_any_method_is_listed_once() -> None:
    merged = ScopeMap({"* /m/**": "l"}) | {"* /**": "r", "GET /x": "r", "POST /y": "r"}
    coverage = cover(merged, guarded("* /m/**", "GET /x", "POST /y", "GET /z"))
    assert [each.message for each in coverage.shadowed] == [
        "'* /**' loses to '* /m/**' on '* /m/**'",
    ]


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
    assert gaps_of(coverage) == {"GET /a/{x}": FindingCode.NO_RULE}
    assert dead_of(coverage) == {"GET /a/me": []}
    assert str(coverage.dead[0]).startswith(
        "'GET /a/me' matches no endpoint: a segment is not what '/a/{x}' has there"
    )


def test_dead_rules_may_be_made_notices_and_nothing_else_is() -> None:
    coverage = cover(ScopeMap({"GET /dead": "a"}), guarded("GET /b"))
    (dead,) = map(str, coverage.dead)
    lenient = coverage.without_dead()
    assert (lenient.dead, lenient.notices) == ((), (dead,))
    assert [each.code for each in lenient.errors] == [FindingCode.NO_RULE]
