"""Globs are compared with what a path-matching middleware does: fnmatch on one path."""

import re
from fnmatch import translate
from functools import cache
from itertools import product

import pytest
from hypothesis import given

from fastapi_scopes.core.templates import Glob, GlobMatch, RouteTemplate
from fastapi_scopes.errors import ConfigurationError
from tests.core.strategies import glob_texts, templates_with_paths

ALWAYS, SOMETIMES, NEVER = GlobMatch.ALWAYS, GlobMatch.SOMETIMES, GlobMatch.NEVER


@pytest.mark.parametrize(
    ("glob", "template", "match"),
    [
        pytest.param("/agents", "/agents", ALWAYS, id="literal"),
        pytest.param("/agents", "/agents/", NEVER, id="slash at the end"),
        pytest.param("/agents", "/Agents", NEVER, id="case counts"),
        pytest.param("/agents/*", "/agents/{id}", ALWAYS, id="star on a parameter"),
        pytest.param("/agents/*", "/agents/{id}/runs", ALWAYS, id="star spans segments"),
        pytest.param("/agents/*", "/agents/", ALWAYS, id="star is nothing too"),
        pytest.param("/agents/*", "/agents", NEVER, id="the slash is there"),
        pytest.param("/agents*", "/agents", ALWAYS, id="star after text"),
        pytest.param("/agents*", "/agents-of/{x}", ALWAYS, id="star inside a segment"),
        pytest.param("/agents/{x}", "/agents/{id}/runs", ALWAYS, id="{x} is a star"),
        pytest.param("/agents/{x}/runs", "/agents/{id}/runs", ALWAYS, id="{x} in the middle"),
        pytest.param("/agents/*/runs", "/agents/{id}/runs", ALWAYS, id="star in the middle"),
        pytest.param("/agents/*/runs", "/agents/{id}", NEVER, id="a str holds no slash"),
        pytest.param("/agents/*/runs", "/agents/{p:path}", SOMETIMES, id="a path may"),
        pytest.param("/agents/me", "/agents/{id}", SOMETIMES, id="one value of a parameter"),
        pytest.param("/agents/a*", "/agents/{id}", SOMETIMES, id="some values of a parameter"),
        pytest.param("/agents/me", "/agents/{id:int}", NEVER, id="no int is spelled so"),
        pytest.param("/agents/7", "/agents/{id:int}", SOMETIMES, id="one int is"),
        pytest.param("/agents/7.5", "/agents/{x:float}", SOMETIMES, id="one float"),
        pytest.param("/agents/*.*", "/agents/{x:int}", NEVER, id="no int has a point"),
        pytest.param("/agents/*.*", "/agents/{x:float}", SOMETIMES, id="some floats have"),
        pytest.param("/a/*-*", "/a/{x:uuid}", SOMETIMES, id="hyphens of a uuid are optional"),
        pytest.param("/a/*/*", "/a/{x:uuid}", NEVER, id="no uuid has a slash"),
        pytest.param("/a/*g*", "/a/{x:uuid}", NEVER, id="no uuid has a g"),
        pytest.param("/a/*", "/a/{x:uuid}", ALWAYS, id="star on a uuid"),
        pytest.param("/a/*b*/*", "/a/{x:own}", SOMETIMES, id="another convertor takes anything"),
        pytest.param("/a", "/a/{p:path}", NEVER, id="path after a slash"),
        pytest.param("/a/", "/a/{p:path}", SOMETIMES, id="path that is empty"),
        pytest.param("/a/", "/a/{x}", NEVER, id="a str is not empty"),
        pytest.param("/*", "/{a}/{b}", ALWAYS, id="one star over all"),
        pytest.param("/*/*", "/{a}", NEVER, id="two segments and one"),
        pytest.param("/*/*", "/{a}/{b}", ALWAYS, id="two segments and two"),
        pytest.param("/a/{x}.json", "/a/{y}.json", ALWAYS, id="mixed segment"),
        pytest.param("/a/{x}.json", "/a/{y}", SOMETIMES, id="mixed on a parameter"),
        pytest.param("/a/**", "/a/{y}", ALWAYS, id="two stars are one"),
        pytest.param("/a/{x}*{y}", "/a/{z}", ALWAYS, id="stars side by side are one"),
        pytest.param("/*a*", "/{x}a", ALWAYS, id="text that the template spells"),
        pytest.param("/*a", "/a{x}", SOMETIMES, id="text at the other end"),
    ],
)
def test_glob_meets_every_some_or_no_path_of_a_template(
    glob: str, template: str, match: GlobMatch
) -> None:
    assert Glob.parse(glob).match(RouteTemplate.parse(template)) is match


@pytest.mark.parametrize(
    ("glob", "match"),
    [
        ("/mcp/*", ALWAYS),
        ("/mcp*", ALWAYS),
        ("/*", ALWAYS),
        ("/mcp/tools", SOMETIMES),
        ("/mcp", NEVER),
        ("/other/*", NEVER),
    ],
)
def test_glob_on_a_mount_is_judged_by_all_paths_below(glob: str, match: GlobMatch) -> None:
    assert Glob.parse(glob).match(RouteTemplate.below("/mcp")) is match


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("/a?", "'\\?' and '\\[' in '/a\\?' are wildcards", id="question mark"),
        pytest.param("/[ab]", "are wildcards of one character", id="bracket"),
        pytest.param("/a[", "are wildcards of one character", id="bracket alone"),
        pytest.param("a", "is not a path; begin with '/'", id="without a slash"),
        pytest.param("*", "is not a path", id="star alone"),
        pytest.param("", "is not a path", id="empty"),
        pytest.param("/a b", "without space", id="space"),
        pytest.param("/a\n", "is not a path", id="newline"),
        pytest.param("/\x7f", "is not a path", id="DEL"),
    ],
)
def test_glob_that_cannot_be_read_exactly_is_a_configuration_error(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Glob.parse(text)


@pytest.mark.parametrize(
    ("text", "spelled", "is_literal"),
    [
        ("/a", "/a", True),
        ("/a/{x}", "/a/*", False),
        ("/a/{x:path}", "/a/*", False),
        ("/a/***", "/a/*", False),
        ("/a/{}", "/a/{}", True),
        ("/a/{x", "/a/{x", True),
    ],
)
def test_glob_is_spelled_with_single_stars(text: str, spelled: str, is_literal: bool) -> None:
    glob = Glob.parse(text)
    assert str(glob) == spelled
    assert glob.is_literal is is_literal
    assert Glob.parse(spelled) == glob


def test_no_character_of_a_key_stands_for_the_others() -> None:
    for code in (*range(0x80, 0x100), 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF):
        glob = Glob.parse(f"/{chr(code)}*")
        assert glob.match(RouteTemplate.parse("/{x}")) is SOMETIMES, hex(code)


@cache
def _middleware(glob: str) -> re.Pattern[str]:
    return re.compile(translate(re.sub(r"\{[^}]+\}", "*", glob)))


@given(glob_texts, templates_with_paths())
def test_glob_agrees_with_fnmatch_on_every_drawn_path(
    text: str, drawn: tuple[str, list[str]]
) -> None:
    template, paths = drawn
    match = Glob.parse(text).match(RouteTemplate.parse(template))
    answers = {_middleware(text).match(path) is not None for path in paths}
    if match is ALWAYS:
        assert answers == {True}
    if match is NEVER:
        assert answers == {False}


# Paths that are long enough for a witness of everything that these globs can tell apart.
_ALPHABETS = {"": "az", ":path": "az/", ":own": "az/", ":int": "01", ":float": "01."}
_FLOAT = re.compile(r"[0-9]+(\.[0-9]+)?")


def _values(convertor: str) -> list[str]:
    lengths = range(0 if convertor in {":path", ":own"} else 1, 6)
    texts = ["".join(each) for n in lengths for each in product(_ALPHABETS[convertor], repeat=n)]
    return [text for text in texts if convertor != ":float" or _FLOAT.fullmatch(text)]


_GLOBS = {
    "": ["/" + "".join(each) for n in range(5) for each in product("a/*", repeat=n)],
    ":float": ["/" + "".join(each) for n in range(5) for each in product("0.*", repeat=n)],
}


@pytest.mark.parametrize("convertor", _ALPHABETS)
@pytest.mark.parametrize("template", ["/{}", "/a{}", "/{}a", "/a/{}", "/{}/a", "/a/{}/a"])
def test_glob_agrees_with_brute_force(template: str, convertor: str) -> None:
    route = RouteTemplate.parse(template.format(f"{{p{convertor}}}"))
    paths = [template.format(value) for value in _values(convertor)]
    for text in _GLOBS[":float" if convertor in {":int", ":float"} else ""]:
        answers = {_middleware(text).match(path) is not None for path in paths}
        expected = SOMETIMES if len(answers) == 2 else ALWAYS if True in answers else NEVER
        assert Glob.parse(text).match(route) is expected, (text, route.text)
