from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.templates import NearMisses, Pattern, PatternIndex, RouteTemplate
from fastapi_scopes.errors import ConfigurationError
from tests.core.maps import at
from tests.core.plain_map import is_match, rank
from tests.core.strategies import convertors, pattern_texts, patterns_of, template_texts

MATCHES = [
    pytest.param("/", "/", id="root"),
    pytest.param("/agents", "/agents", id="literal"),
    pytest.param("/agents/", "/agents/", id="literal with a slash at the end"),
    pytest.param("/a/{id}", "/a/{id}", id="parameter of that name"),
    pytest.param("/a/{id}", "/a/{id:int}", id="convertor of the route does not matter"),
    pytest.param("/a/{id:int}", "/a/{id}", id="convertor of the key does not matter"),
    pytest.param("/a/{p}", "/a/{p:path}", id="name on a path convertor"),
    pytest.param("/a/*", "/a/{p:path}", id="star on a path convertor"),
    pytest.param("/a/*", "/a/{x:own}", id="star on a convertor of the app's own"),
    pytest.param("/a/*", "/a/{id}", id="star on a parameter"),
    pytest.param("/a/*", "/a/b", id="star on a literal"),
    pytest.param("/*/*", "/{a}/{b}", id="two stars"),
    pytest.param("/a/{x}.json", "/a/{x}.json", id="mixed segment as the route has it"),
    pytest.param("/a/{x}.json", "/a/{x:int}.json", id="mixed segment, convertors left out"),
    pytest.param("/a/*", "/a/{x}.json", id="star on a mixed segment"),
    pytest.param("/a/{x}-{y}", "/a/{x}-{y}", id="two parameters in a segment"),
    pytest.param("/a/{x}{y}", "/a/{x}{y}", id="two parameters side by side"),
    pytest.param("/**", "/", id="rest on the root"),
    pytest.param("/**", "/a/{b}/c", id="rest on everything"),
    pytest.param("/a/**", "/a", id="rest on nothing"),
    pytest.param("/a/**", "/a/", id="rest on an empty segment"),
    pytest.param("/a/**", "/a/b/{c}/d", id="rest on many"),
    pytest.param("/a/*/**", "/a/{b}", id="star and rest"),
    pytest.param("/{a}/**", "/{a}/b", id="rest after a parameter"),
]

NO_MATCHES = [
    pytest.param("/agents", "/agents/", id="slash at the end of the route alone"),
    pytest.param("/agents/", "/agents", id="slash at the end of the key alone"),
    pytest.param("/agents", "/Agents", id="case counts"),
    pytest.param("/a/{id}", "/a/{other}", id="another name"),
    pytest.param("/a/{id}", "/a/id", id="parameter on a literal"),
    pytest.param("/a/me", "/a/{id}", id="literal never matches a parameter"),
    pytest.param("/a/7", "/a/{id:int}", id="nor a value of an int"),
    pytest.param("/a/b/c", "/a/{p:path}", id="nor a path inside a path parameter"),
    pytest.param("/a/*/c", "/a/{p:path}", id="star is one segment of a path parameter"),
    pytest.param("/a/*", "/a", id="star is not nothing"),
    pytest.param("/a/*", "/a/", id="star is no empty segment"),
    pytest.param("/a/*", "/a/{b}/{c}", id="star is not two segments"),
    pytest.param("/*", "/", id="star is not the root"),
    pytest.param("/a/{x}", "/a/{x}.json", id="parameter is not a mixed segment"),
    pytest.param("/a/{x}.json", "/a/{x}", id="mixed segment is not a parameter"),
    pytest.param("/a/{x}.json", "/a/b.json", id="mixed segment is a literal of the route"),
    pytest.param("/a/{x}.json", "/a/{y}.json", id="mixed segment of another name"),
    pytest.param("/a/**", "/", id="rest of another place"),
    pytest.param("/a/**", "/ab", id="rest is whole segments"),
    pytest.param("/a/*/**", "/a", id="star and rest need one"),
    pytest.param("/a/b", "/a", id="longer"),
]


def matching(patterns: Sequence[str], template: RouteTemplate) -> list[str]:
    """Those of *patterns* that match *template*, the most specific first."""
    index: PatternIndex[str] = PatternIndex()
    for pattern in patterns:
        index.add(Pattern.parse(pattern), "GET", pattern)
    return [text for found in index.matches(template) for text in found.values()]


@pytest.mark.parametrize(("pattern", "template"), MATCHES)
def test_pattern_matches_the_template(pattern: str, template: str) -> None:
    assert matching([pattern], at(template)) == [pattern]


@pytest.mark.parametrize(("pattern", "template"), NO_MATCHES)
def test_pattern_leaves_the_template_alone(pattern: str, template: str) -> None:
    assert matching([pattern], at(template)) == []


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        ("/mcp/**", True),
        ("/**", True),
        ("/*/**", True),
        ("/mcp", False),
        ("/mcp/*", False),
        ("/mcp/tools/**", False),
        ("/mcp/*/**", False),
        ("/other/**", False),
    ],
)
def test_only_a_final_rest_matches_what_is_under_a_mount(pattern: str, is_match: bool) -> None:
    assert bool(matching([pattern], at("/mcp/**"))) is is_match


def test_template_of_a_mount_says_all_paths_below_it() -> None:
    below = RouteTemplate.below("/mcp")
    assert str(below) == "/mcp/**"
    assert below.language == "/mcp/{path:path}"


@pytest.mark.parametrize(
    ("template", "in_order"),
    [
        ("/a", ["/a", "/a/**", "/*", "/*/**", "/**"]),
        ("/{x}", ["/{x}", "/{x}/**", "/*", "/*/**", "/**"]),
        ("/a/{x}", ["/a/{x}", "/a/{x}/**", "/a/*", "/a/*/**", "/a/**", "/*/{x}", "/*/*", "/**"]),
        ("/a/b", ["/a/b", "/a/*", "/a/**", "/*/b", "/*/b/**", "/*/*", "/*/**"]),
        ("/{x}/{y}/z", ["/{x}/{y}/z", "/{x}/*/z", "/{x}/**", "/*/{y}/z", "/*/*/z", "/**"]),
        ("/a/", ["/a/", "/a/**", "/*/", "/*/**", "/**"]),
    ],
)
def test_more_specific_is_decided_from_the_left(template: str, in_order: list[str]) -> None:
    assert matching(in_order, at(template)) == in_order
    assert matching(in_order[::-1], at(template)) == in_order


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is not a path; begin with '/'", id="empty"),
        pytest.param("agents", "is not a path", id="without a slash"),
        pytest.param("*", "is not a path", id="star alone"),
        pytest.param("http://x/agents", "is not a path", id="URL"),
        pytest.param("/a b", "without space", id="space"),
        pytest.param("/a\n", "is not a path", id="newline"),
        pytest.param("/a\x00", "is not a path", id="NUL"),
        pytest.param("/a\x7f", "is not a path", id="DEL"),
        pytest.param("/a?b=c", "without space, query or fragment", id="query"),
        pytest.param("/a#b", "is not a path", id="fragment"),
        pytest.param("/**/a", "only stand at the end", id="rest first"),
        pytest.param("/a/**/b", "only stand at the end", id="rest inside"),
        pytest.param("/**/**", "only stand at the end", id="rest twice"),
        pytest.param("/**/", "only stand at the end", id="slash after the rest"),
        pytest.param("/a*", "mixes '\\*' with text", id="star after text"),
        pytest.param("/*.json", "mixes '\\*' with text", id="star before text"),
        pytest.param("/***", "mixes '\\*' with text", id="three stars"),
        pytest.param("/{*}", "mixes '\\*' with text", id="star in braces"),
        pytest.param("/{}", "is not a parameter", id="no name"),
        pytest.param("/{a", "is not a parameter", id="open brace"),
        pytest.param("/a}", "is not a parameter", id="closing brace"),
        pytest.param("/{a-b}", "is not a parameter", id="hyphen in a name"),
        pytest.param("/{1a}", "is not a parameter", id="digit first"),
        pytest.param("/{a:}", "is not a parameter", id="no convertor"),
        pytest.param("/{a:int:int}", "is not a parameter", id="two convertors"),
        pytest.param("/{{a}}", "is not a parameter", id="doubled braces"),
        pytest.param("/{\u00e9}", "is not a parameter", id="name outside ASCII"),
    ],
)
def test_unknown_syntax_is_a_configuration_error(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Pattern.parse(text)


@pytest.mark.parametrize(
    ("pattern", "template", "is_near"),
    [
        ("/a/{id}", "/a/{agent_id}", True),
        ("/a/me", "/a/{id}", True),
        ("/*/{id}", "/a/{agent_id}", True),
        ("/a/{id}", "/a/me", False),
        ("/a/{id}", "/b/{id}", False),
        ("/a/{id}", "/a/{id}/b", False),
        ("/a/*/b", "/a/{id}/c", False),
        ("/*/{id}/", "/a/{agent_id}/", True),
        ("/*/*/{x}", "/a//{y}", False),
        ("/{tenant}/**", "/{t}/**", True),
        ("/{tenant}/**", "/{t}/{x}", False),
    ],
)
def test_near_miss_is_a_parameter_by_another_name(
    pattern: str, template: str, is_near: bool
) -> None:
    nearest = NearMisses([at("/nowhere/else"), at(template)]).first(Pattern.parse(pattern))
    assert nearest == (at(template) if is_near else None)


@given(pattern_texts())
def test_pattern_is_spelled_as_it_was_written(text: str) -> None:
    assert str(Pattern.parse(text)) == text


_free = st.characters(blacklist_characters="/*{}?#\x7f ", min_codepoint=0x21)


@given(st.lists(st.text(_free, max_size=5), min_size=1, max_size=4))
def test_any_other_text_is_a_literal_that_matches_itself_alone(segments: list[str]) -> None:
    text = "/" + "/".join(segments)
    assert str(Pattern.parse(text)) == text
    assert matching([text], RouteTemplate.parse(text)) == [text]
    assert matching([text], RouteTemplate.parse(text + "x")) == []


@given(template_texts, convertors)
def test_convertors_change_nothing_about_a_pattern(text: str, convertor: str) -> None:
    with_convertors = text.replace("}", convertor + "}")
    pattern = Pattern.parse(with_convertors)
    assert pattern == Pattern.parse(text) == Pattern.parse(str(pattern))


@given(pattern_texts(), template_texts)
def test_match_agrees_with_the_table_of_segments(pattern: str, template: str) -> None:
    assert bool(matching([pattern], at(template))) is is_match(pattern, template)


@given(st.data(), template_texts)
def test_specificity_is_a_total_order_over_the_patterns_of_a_template(
    data: st.DataObject, text: str
) -> None:
    texts = data.draw(st.lists(patterns_of(text), min_size=2, max_size=6, unique=True))
    assert matching(texts, at(text)) == sorted(texts, key=rank, reverse=True)
