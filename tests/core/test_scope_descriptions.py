"""Texts for scopes, and the scopes that a map names."""

from typing import Any

import pytest

from fastapi_scopes.core.requirements import AUTHENTICATED, DENY, PUBLIC, all_of, any_of
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError

RULES = {
    "GET /a": any_of("b:read", all_of("a:read", "a:list")),
    "POST /a": ["a:write", "a:read"],
    "GET /me": AUTHENTICATED,
    "GET /health": PUBLIC,
    "DELETE /a": DENY,
}
READERS = [ScopeMap, ScopeMap.from_scope_mappings]


@pytest.mark.parametrize("read", READERS, ids=["map", "imported"])
def test_scopes_are_all_that_rules_name(read: Any) -> None:
    assert read(RULES).scopes == ("a:list", "a:read", "a:write", "b:read")


def test_scopes_of_a_rule_that_was_replaced_are_gone() -> None:
    merged = ScopeMap({"GET /a": "old", "GET /b": "kept"}) | {"GET /a": "new"}
    assert merged.scopes == ("kept", "new")


def test_map_without_rules_names_no_scope() -> None:
    assert ScopeMap({}).scopes == ()
    assert dict(ScopeMap({}).descriptions) == {}


@pytest.mark.parametrize("read", READERS, ids=["map", "imported"])
def test_description_is_kept_also_of_a_scope_that_no_rule_names(read: Any) -> None:
    texts = {"a:read": "Read", "unused": 'With "quotes", \\ and é'}
    scope_map = read(RULES, descriptions=texts)
    assert dict(scope_map.descriptions) == texts
    assert "unused" not in scope_map.scopes


def test_descriptions_cannot_be_changed() -> None:
    texts = {"a:read": "Read"}
    scope_map = ScopeMap(RULES, descriptions=texts)
    texts["a:read"] = "changed"
    descriptions: Any = scope_map.descriptions
    assert dict(descriptions) == {"a:read": "Read"}
    with pytest.raises(TypeError):
        descriptions["a:read"] = "changed"


@pytest.mark.parametrize("left", READERS, ids=["map", "imported"])
@pytest.mark.parametrize("right", READERS, ids=["map", "imported"])
def test_merge_keeps_the_descriptions_of_both_and_those_of_the_right_win(
    left: Any, right: Any
) -> None:
    merged = left({}, descriptions={"a": "left", "l": "l"}) | right(
        {}, descriptions={"a": "right", "r": "r"}
    )
    assert dict(merged.descriptions) == {"a": "right", "l": "l", "r": "r"}


def test_merge_with_a_dict_keeps_the_descriptions() -> None:
    described = ScopeMap({"GET /a": "a"}, descriptions={"a": "text"})
    assert dict((described | {"GET /b": "b"}).descriptions) == {"a": "text"}
    assert dict(({"GET /b": "b"} | described).descriptions) == {"a": "text"}


@pytest.mark.parametrize("read", READERS, ids=["map", "imported"])
def test_everything_that_is_wrong_with_descriptions_is_named_with_the_rules(read: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(
            {"get /x": "a"},
            descriptions={"two words": "x", "a": 1, "b": " ", "c": None, 7: "x", "fine": "x"},
        )
    wrong_rule, *problems = map(str, raised.value.problems)
    assert "'get'" in wrong_rule
    assert problems == [
        "descriptions: 'two words' is not a scope; write visible ASCII without space, quote or "
        "backslash",
        "descriptions: 'a' is described by 1; write a text, or leave it out",
        "descriptions: 'b' is described by ' '; write a text, or leave it out",
        "descriptions: 'c' is described by None; write a text, or leave it out",
        "descriptions: 7 is not a scope; write visible ASCII without space, quote or backslash",
    ]


@pytest.mark.parametrize("descriptions", [["a"], "a", 1, ()])
def test_descriptions_are_a_mapping(descriptions: Any) -> None:
    with pytest.raises(ConfigurationError, match="descriptions is a"):
        ScopeMap({}, descriptions=descriptions)


def test_maps_with_other_descriptions_are_not_equal() -> None:
    plain, described = ScopeMap({"GET /a": "a"}), ScopeMap({"GET /a": "a"}, descriptions={"a": "x"})
    assert plain == ScopeMap({"GET /a": "a"})
    assert plain != described
    assert len({plain, described}) == 2
