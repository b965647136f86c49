"""Rules are found by an index; the answers are those of a scan over all of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import Glob, Pattern, RouteTemplate
from tests.core import plain_map
from tests.core.maps import at
from tests.core.strategies import (
    convertors,
    glob_texts,
    pattern_texts,
    patterns_of,
    template_texts,
)

# What maps of both kinds often hold, as it means the same in both, or does not.
SHARED = st.sampled_from(["/a", "/a/b", "/a/*", "/*"])
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PURGE", "WEBSOCKET")


@st.composite
def maps(draw: st.DrawFn, template: str) -> tuple[bool, list[str]]:
    """Whether a map is imported, and its keys, many of which match *template*."""
    prefix = template.removesuffix("/**") or "/"
    is_imported = draw(st.booleans())
    if is_imported:
        globs = SHARED | glob_texts | patterns_of(prefix)
        texts = draw(st.lists(st.tuples(st.sampled_from(METHODS), globs), max_size=6))
        return True, list(dict.fromkeys(f"{each} {Glob.parse(path)}" for each, path in texts))
    paths = SHARED | pattern_texts() | patterns_of(prefix)
    keys = st.builds("{} {}".format, st.sampled_from((*METHODS, "*")), paths)
    mounts = st.sampled_from([f"MOUNT {prefix}", f"OPTIONS {template}", "MOUNT /", "MOUNT /a"])
    return False, draw(st.lists(keys | mounts, max_size=6, unique=True))


templates = template_texts | template_texts.map(lambda text: text + "/**") | st.just("/**")


@given(st.data(), templates, st.booleans())
def test_index_answers_exactly_as_a_scan_over_all_rules(
    data: st.DataObject, template: str, is_mount: bool
) -> None:
    drawn = data.draw(st.lists(maps(template), min_size=1, max_size=4))
    scope_map, layers = _built(drawn)
    assert [rule.key for rule in scope_map.rules] == [key for each in layers for key in each.keys]
    for method in (*METHODS, "*", "MOUNT", "LINK"):
        found = scope_map.resolve(method, at(template), is_mount=is_mount)
        expected = plain_map.resolve(layers, method, at(template), is_mount=is_mount)
        assert _keys(found.winners) == expected.winners, method
        assert _keys(found.losers) == expected.losers, method
        assert _keys(found.uncertain) == expected.uncertain, method
        assert (found.rule is None) is (not expected.winners)
        if found.rule is not None:
            assert found.rule.key == expected.winners[-1]
            asked = {name for rule in found.winners for name in rule.requirement.alternatives[0]}
            assert found.rule.requirement.alternatives == (tuple(sorted(asked)),)


def _built(
    drawn: Sequence[tuple[bool, list[str]]],
) -> tuple[ScopeMap, list[plain_map.Layer]]:
    maps: list[ScopeMap] = []
    for number, (is_imported, keys) in enumerate(drawn):
        rules: dict[str, Any] = {key: f"s{number}.{n}" for n, key in enumerate(keys)}
        maps.append(ScopeMap.from_scope_mappings(rules) if is_imported else ScopeMap(rules))
    scope_map, *others = maps
    layers = [plain_map.Layer(drawn[0][0], tuple(drawn[0][1]))]
    for other, (is_imported, keys) in zip(others, drawn[1:], strict=True):
        scope_map |= other
        layers = plain_map.merged(layers, plain_map.Layer(is_imported, tuple(keys)))
    return scope_map, layers


def _keys(rules: Any) -> tuple[str, ...]:
    return tuple(rule.key for rule in rules)


@given(st.lists(glob_texts, max_size=6), template_texts, convertors)
def test_imported_keys_are_found_whatever_the_convertors(
    globs: list[str], template: str, convertor: str
) -> None:
    keys = tuple(dict.fromkeys(f"GET {Glob.parse(text)}" for text in globs))
    there = RouteTemplate.parse(template.replace("}", convertor + "}"))
    found = ScopeMap.from_scope_mappings(dict.fromkeys(keys, "a")).resolve("GET", there)
    expected = plain_map.resolve([plain_map.Layer(True, keys)], "GET", there, is_mount=False)
    assert _keys(found.winners) == expected.winners
    assert _keys(found.losers) == expected.losers
    assert _keys(found.uncertain) == expected.uncertain


def test_pattern_may_have_more_segments_than_there_are_calls() -> None:
    path = "/a" * 5000
    assert ScopeMap({f"GET {path}": "a"}).rule_for("GET", RouteTemplate.parse(path)) is not None
    assert str(Pattern.parse(path)) == path


@pytest.mark.parametrize("is_imported", [False, True], ids=["written", "imported"])
def test_rule_of_another_method_is_not_looked_at(is_imported: bool) -> None:
    build = ScopeMap.from_scope_mappings if is_imported else ScopeMap
    assert build({"POST /a": "a"}).resolve("GET", RouteTemplate.parse("/a")).rule is None
