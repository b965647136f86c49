from typing import Any

import pytest

from fastapi_scopes.core.coverage import cover
from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    PUBLIC,
    all_of,
    any_of,
    parse_requirement,
)
from fastapi_scopes.core.scope_map import ScopeMap
from tests.core.endpoints import endpoint
from tests.core.maps import at, map_of, requirement_for


@pytest.mark.parametrize(
    ("left", "right", "template", "requirement"),
    [
        pytest.param({"GET /a": "l"}, {"GET /a": "r"}, "/a", "r", id="right replaces"),
        pytest.param({"GET /a/{x}": "l"}, {"GET /a/{x:int}": "r"}, "/a/{x}", "r", id="normalised"),
        pytest.param({"GET /a": "l"}, {"GET /**": "r"}, "/a", "l", id="specificity over side"),
        pytest.param({"GET /**": "l"}, {"GET /a": "r"}, "/a", "r", id="right more specific"),
        pytest.param({"GET /a": "l"}, {"* /a": "r"}, "/a", "l", id="method over star over side"),
        pytest.param({"GET /a": "l"}, {}, "/a", "l", id="nothing to merge"),
        pytest.param({}, {"GET /a": "r"}, "/a", "r", id="nothing to merge into"),
    ],
)
def test_right_side_of_a_merge_replaces_equal_keys_alone(
    left: dict[str, str], right: dict[str, str], template: str, requirement: str
) -> None:
    expected = parse_requirement(requirement)
    for merged in (
        ScopeMap(left) | ScopeMap(right),
        ScopeMap(left) | right,
        left | ScopeMap(right),
    ):
        assert requirement_for(merged, "GET", template) == expected


def test_merge_leaves_both_maps_as_they_were() -> None:
    left, right = ScopeMap({"GET /a": "l"}), ScopeMap({"GET /a": "r"})
    _ = left | right
    assert requirement_for(left, "GET", "/a") == all_of("l")
    assert right.rules[0].generation == 0


def test_optional_is_kept_per_rule_through_a_merge_and_never_inherited() -> None:
    preset = ScopeMap({"GET /a": "p", "GET /b": "p"}, optional=True)
    merged = preset | {"GET /a": "own", "GET /c": "own"}
    assert {rule.key: rule.optional for rule in merged.rules} == {
        "GET /a": False,
        "GET /b": True,
        "GET /c": False,
    }
    merged = ScopeMap({"GET /a": "own"}) | preset
    assert {rule.key: rule.optional for rule in merged.rules} == {"GET /a": True, "GET /b": True}


def test_later_merges_are_newer() -> None:
    one, two, three = map_of("GET /1"), map_of("GET /2"), map_of("GET /3")
    for merged in ((one | two) | three, one | (two | three)):
        assert [rule.key for rule in sorted(merged.rules, key=lambda rule: rule.generation)] == [
            "GET /1",
            "GET /2",
            "GET /3",
        ]
        assert len({rule.generation for rule in merged.rules}) == 3


IMPORTED_SIDE = ScopeMap.from_scope_mappings({"GET /a/*": ["i"], "GET /b": ["i"]})
WRITTEN_SIDE = ScopeMap({"GET /a/{x}": "w", "GET /b": "w", "GET /c": "w"})


@pytest.mark.parametrize(
    ("merged", "template", "requirement"),
    [
        pytest.param(IMPORTED_SIDE | WRITTEN_SIDE, "/a/{x}", "w", id="written on the right"),
        pytest.param(WRITTEN_SIDE | IMPORTED_SIDE, "/a/{x}", "i", id="imported on the right"),
        pytest.param(WRITTEN_SIDE | IMPORTED_SIDE, "/c", "w", id="silence leaves it to the left"),
        pytest.param(IMPORTED_SIDE | WRITTEN_SIDE, "/a/{x}/b", "i", id="silence, other way round"),
        pytest.param(IMPORTED_SIDE | WRITTEN_SIDE, "/b", "w", id="equal key, written wins"),
        pytest.param(WRITTEN_SIDE | IMPORTED_SIDE, "/b", "i", id="equal key, imported wins"),
        pytest.param(WRITTEN_SIDE | IMPORTED_SIDE, "/d", None, id="both silent"),
        pytest.param(
            WRITTEN_SIDE | ScopeMap.from_scope_mappings({"GET /c*e": ["i"], "GET /*d": ["i"]}),
            "/c",
            "w",
            id="no match is silence",
        ),
        pytest.param(
            WRITTEN_SIDE | IMPORTED_SIDE | {"GET /b": "v"}, "/b", "v", id="three layers, top"
        ),
        pytest.param(
            WRITTEN_SIDE | IMPORTED_SIDE | {"GET /b": "v"}, "/c", "w", id="three layers, bottom"
        ),
    ],
)
def test_merged_maps_of_two_kinds_ask_the_right_side_first(
    merged: ScopeMap, template: str, requirement: str | None
) -> None:
    expected = None if requirement is None else parse_requirement(requirement)
    assert requirement_for(merged, "GET", template) == expected


@pytest.mark.parametrize(
    ("below", "alternatives"),
    [("w", (("i", "w"),)), (PUBLIC, (("i",),)), (any_of("v", "w"), (("i", "v"), ("i", "w")))],
    ids=["scope", "PUBLIC", "any of"],
)
def test_uncertain_rule_is_asked_for_on_top_of_the_layer_below(
    below: Any, alternatives: object
) -> None:
    uncertain = ScopeMap.from_scope_mappings({"GET /a/me": ["i"]})
    rule = (ScopeMap({"GET /a/{x}": below}) | uncertain).rule_for("GET", at("/a/{x}"))
    assert rule is not None
    assert rule.requirement.alternatives == alternatives
    # With nothing certain below, no rule holds.
    assert (ScopeMap({"GET /b": below}) | uncertain).rule_for("GET", at("/a/{x}")) is None


def test_imported_literal_replaces_the_same_key_of_a_written_map() -> None:
    merged = WRITTEN_SIDE | IMPORTED_SIDE
    assert [rule.key for rule in merged.rules] == ["GET /a/{x}", "GET /c", "GET /a/*", "GET /b"]


def test_written_literal_leaves_what_an_imported_one_asks_for_elsewhere() -> None:
    imported = ScopeMap.from_scope_mappings({"GET /a/admin": ["admin"], "GET /a/*": ["read"]})
    merged = imported | ScopeMap({"GET /a/admin": PUBLIC}, optional=True)
    assert requirement_for(merged, "GET", "/a/{x}") == all_of("admin", "read")
    assert requirement_for(merged, "GET", "/a/admin") == PUBLIC


def test_key_that_is_written_again_in_the_other_kind_is_not_dead() -> None:
    merged = ScopeMap.from_scope_mappings({"GET /b": ["i"]}) | {"GET /b": "w"}
    coverage = cover(merged, [endpoint("GET /b")])
    assert coverage.problems == ()


def test_uncertain_head_rule_is_asked_for_on_top_of_the_get_rule() -> None:
    imported = ScopeMap.from_scope_mappings({"HEAD /a/b*": ["weak"], "GET /a/{x}": ["admin"]})
    assert requirement_for(imported, "HEAD", "/a/{x}") == all_of("admin", "weak")
    merged = ScopeMap({"GET /a/{x}": AUTHENTICATED}) | imported
    assert requirement_for(merged, "HEAD", "/a/{x}") == all_of("admin", "weak")
    assert requirement_for(merged, "GET", "/a/{x}") == all_of("admin")


def test_key_with_a_wildcard_is_another_key_in_a_map_of_the_other_kind() -> None:
    merged = IMPORTED_SIDE | ScopeMap({"GET /a/*": "w"})
    assert requirement_for(merged, "GET", "/a/{x}") == all_of("w")
    assert requirement_for(merged, "GET", "/a/{x}/b") == all_of("i")


def test_later_map_replaces_literal_keys_in_every_layer_below() -> None:
    top = ScopeMap.from_scope_mappings({"GET /b": ["v"], "GET /c": ["v"]})
    merged = IMPORTED_SIDE | ScopeMap({"GET /c": "w", "GET /d": "w"}) | top
    assert [rule.key for rule in merged.rules] == ["GET /a/*", "GET /d", "GET /b", "GET /c"]
    assert requirement_for(merged, "GET", "/b") == all_of("v")


def test_losers_of_lower_layers_are_named() -> None:
    found = (WRITTEN_SIDE | IMPORTED_SIDE).resolve("GET", at("/a/{x}"))
    assert [rule.key for rule in found.winners] == ["GET /a/*"]
    assert [rule.key for rule in found.losers] == ["GET /a/{x}"]
