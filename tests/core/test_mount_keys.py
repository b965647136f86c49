"""``MOUNT /prefix`` decides on what is mounted at exactly that prefix, and on nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.coverage import Kind, Reach, cover
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.requirements import PUBLIC
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.core.endpoints import dead_of, endpoint, gaps_of
from tests.core.maps import at, map_of
from tests.core.strategies import template_texts

METHODS = ("GET", "HEAD", "POST", "PURGE", "OPTIONS", "WEBSOCKET", "HTTP WEBSOCKET", "MOUNT", "*")


def key_on_mount(scope_map: ScopeMap, method: str, template: str) -> str | None:
    rule = scope_map.rule_for(method, at(template), is_mount=True)
    return rule.key if rule is not None else None


@pytest.mark.parametrize(
    ("key", "template", "is_match"),
    [
        pytest.param("MOUNT /static", "/static/**", True, id="prefix"),
        pytest.param("MOUNT /", "/**", True, id="root"),
        pytest.param("MOUNT /a/b", "/a/b/**", True, id="two segments"),
        pytest.param("MOUNT /{t}/s", "/{t}/s/**", True, id="parameter"),
        pytest.param("MOUNT /{t}/s", "/{t:int}/s/**", True, id="convertor of the mount"),
        pytest.param("MOUNT /{t}/s", "/{x}/s/**", False, id="another name"),
        pytest.param("MOUNT /a/s", "/{x}/s/**", False, id="value of a parameter"),
        pytest.param("MOUNT /", "/static/**", False, id="root is not all"),
        pytest.param("MOUNT /static", "/**", False, id="below the root"),
        pytest.param("MOUNT /static", "/static/sub/**", False, id="mount below it"),
        pytest.param("MOUNT /static/", "/static/**", False, id="slash at the end"),
        pytest.param("MOUNT /static", "/static", False, id="route at the prefix"),
        pytest.param("MOUNT /static", "/static/x", False, id="route below it"),
        pytest.param("MOUNT /static", "/static/{p:path}", False, id="path parameter below it"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_mount_key_decides_at_exactly_its_prefix(
    key: str, template: str, is_match: bool, method: str
) -> None:
    assert key_on_mount(map_of(key), method, template) == (key if is_match else None)


def test_convertors_of_a_mount_key_are_left_out() -> None:
    scope_map = map_of("MOUNT /{t:int}/s")
    assert key_on_mount(scope_map, "GET", "/{t}/s/**") == "MOUNT /{t}/s"


@given(st.sampled_from(METHODS), template_texts)
def test_mount_key_decides_on_nothing_but_the_mount(method: str, template: str) -> None:
    scope_map = ScopeMap({"MOUNT /": PUBLIC, f"MOUNT {template}": PUBLIC} | {"MOUNT /a": PUBLIC})
    for text in (template, f"{template}/**", f"{template}/x", "/**", "/a/**"):
        assert scope_map.rule_for(method, at(text)) is None
    for text in (template, f"{template}/x"):
        assert scope_map.rule_for(method, at(text), is_mount=True) is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "other", ["* /s/**", "GET /s/**", "GET /**", "WEBSOCKET /s/**", "OPTIONS /**", "PURGE /*/**"]
)
def test_mount_key_wins_over_every_pattern(method: str, other: str) -> None:
    for scope_map in (map_of("MOUNT /s", other), map_of("MOUNT /s") | map_of(other)):
        assert key_on_mount(scope_map, method, "/s/**") == "MOUNT /s"


def test_rule_for_preflights_at_the_prefix_wins_for_options_alone() -> None:
    for scope_map in (
        map_of("MOUNT /s", "OPTIONS /s/**", "* /s/**"),
        map_of("OPTIONS /s/**", "* /s/**") | map_of("MOUNT /s"),
        map_of("OPTIONS /s/**")
        | ScopeMap.from_scope_mappings({"OPTIONS /*": ["i"]})
        | map_of("MOUNT /s", "* /s/**"),
    ):
        assert key_on_mount(scope_map, "OPTIONS", "/s/**") == "OPTIONS /s/**"
        for method in {*METHODS} - {"OPTIONS"}:
            assert key_on_mount(scope_map, method, "/s/**") == "MOUNT /s"
    root = map_of("MOUNT /", "OPTIONS /**")
    assert key_on_mount(root, "OPTIONS", "/**") == "OPTIONS /**"
    assert key_on_mount(map_of("MOUNT /s", "OPTIONS /**"), "OPTIONS", "/s/**") == "MOUNT /s"


@pytest.mark.parametrize("text", ["/s/*", "/*", "/s/x"], ids=["wildcard", "root", "some paths"])
def test_mount_key_wins_over_both_layers(text: str) -> None:
    imported = ScopeMap.from_scope_mappings({f"GET {text}": ["i"]})
    for scope_map in (map_of("MOUNT /s") | imported, imported | map_of("MOUNT /s")):
        assert key_on_mount(scope_map, "GET", "/s/**") == "MOUNT /s"


def test_right_side_of_a_merge_replaces_the_mount_key() -> None:
    imported = ScopeMap.from_scope_mappings({"GET /x": []})
    merged = ScopeMap({"MOUNT /s": "l"}) | imported | ScopeMap({"MOUNT /s": PUBLIC})
    rule = merged.rule_for("GET", at("/s/**"), is_mount=True)
    assert rule is not None
    assert rule.requirement == PUBLIC
    assert [each.key for each in merged.rules] == ["GET /x", "MOUNT /s"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("MOUNT /s/**", "'/s/\\*\\*' is not the prefix of a mount; write it as the mount does"),
        ("MOUNT /**", "is not the prefix of a mount"),
        ("MOUNT /*/s", "without '\\*' and '\\*\\*'"),
        ("MOUNT s", "'s' is not a path"),
        ("MOUNT /s*", "mixes '\\*' with text"),
    ],
)
def test_mount_key_that_is_no_prefix_is_a_configuration_error(key: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        map_of(key)


MOUNTED = [
    endpoint("* /m/**", Kind.MOUNT, Reach.PERIMETER),
    endpoint("GET /s/**", Kind.MOUNT, Reach.PERIMETER),
    endpoint("HEAD /s/**", Kind.MOUNT, Reach.PERIMETER),
    endpoint("GET /**", Kind.FRONTEND, Reach.PERIMETER),
]


def test_mount_keys_cover_mounts_files_and_frontends() -> None:
    coverage = cover(map_of("MOUNT /m", "MOUNT /s", "MOUNT /"), MOUNTED)
    assert coverage.problems == ()
    assert [each.rule and each.rule.key for each in coverage.endpoints] == [
        "MOUNT /m",
        "MOUNT /s",
        "MOUNT /s",
        "MOUNT /",
    ]


def test_rule_that_a_mount_key_leaves_nothing_is_dead() -> None:
    coverage = cover(map_of("MOUNT /m", "GET /m/**", "* /**", "OPTIONS /m/**"), MOUNTED)
    assert dead_of(coverage) == {"GET /m/**": ["MOUNT /m"]}


@pytest.mark.parametrize("reach", [Reach.UNREACHABLE, Reach.PERIMETER])
def test_public_mount_key_opens_what_no_dependency_reaches(reach: Reach) -> None:
    mounted = endpoint("* /m/**", Kind.MOUNT, reach)
    assert cover(ScopeMap({"MOUNT /m": PUBLIC}), [mounted]).problems == ()
    closed = cover(ScopeMap({"MOUNT /m": PUBLIC, "OPTIONS /m/**": "a"}), [mounted])
    assert bool(closed.gaps) is (reach is Reach.UNREACHABLE)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            "MOUNT /x",
            "'MOUNT /x' decides nothing: the app at '/x' is looked into; give its routes rules",
        ),
        ("MOUNT /x/{t}", "'MOUNT /x/{t}' decides nothing: the app at '/x/{t}' is looked into; "),
        ("MOUNT /", "'MOUNT /' decides nothing: the app at '/' is looked into; "),
        (
            "MOUNT /y",
            "'MOUNT /y' decides nothing: no mount is there; correct it, or take it out",
        ),
        ("MOUNT /x/{other}", "'MOUNT /x/{other}' decides nothing: no mount is there; "),
        ("MOUNT /x/{t}/z", "'MOUNT /x/{t}/z' decides nothing: no mount is there; "),
        ("MOUNT /p", "'MOUNT /p' decides nothing: the app at '/p' is looked into; "),
    ],
)
def test_mount_key_of_no_mount_says_why_and_opens_no_route(key: str, sentence: str) -> None:
    seen = [
        endpoint("GET /x/{t}/z", reach=Reach.PERIMETER),
        endpoint("* /p/**", Kind.UNKNOWN_PATHS, Reach.PERIMETER),
    ]
    coverage = cover(ScopeMap({key: PUBLIC}), seen)
    assert gaps_of(coverage) == {"GET /x/{t}/z": FindingCode.NO_RULE}
    (dead,) = map(str, coverage.dead)
    assert dead.startswith(sentence)
    assert cover(ScopeMap({key: PUBLIC}, optional=True), seen).dead == ()
