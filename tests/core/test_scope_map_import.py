from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import decide
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    any_of,
    parse_requirement,
)
from fastapi_scopes.core.scope_map import Rule, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.core.maps import at, requirement_for
from tests.core.strategies import (
    SCOPES,
    glob_texts,
    templates_with_paths,
)


@pytest.mark.parametrize(
    ("mapping", "template", "requirement"),
    [
        pytest.param({"GET /a": ["s"]}, "/a", "s", id="literal"),
        pytest.param({"GET /a": []}, "/a", AUTHENTICATED, id="[] is AUTHENTICATED"),
        pytest.param({"GET /a/*": ["s"]}, "/a/{x}/b", "s", id="star spans segments"),
        pytest.param({"GET /a/{x}": ["s"]}, "/a/{y}/b", "s", id="{x} spans segments"),
        pytest.param({"GET /a/*": ["s"]}, "/a/{p:path}", "s", id="star on a path"),
        pytest.param({"GET /a/*": ["s"], "GET /a/b": ["t"]}, "/a/b", "t", id="exact key wins"),
        pytest.param({"GET /*": ["s"], "GET /a/*": ["t"]}, "/a/{x}", "s", id="first in order"),
        pytest.param({"GET /a/*": ["t"], "GET /*": ["s"]}, "/a/{x}", "t", id="the other order"),
        pytest.param({"GET /a/me": ["s"]}, "/a/{x}", None, id="none certain"),
        pytest.param({"GET /a/m*": ["s"], "GET /a/*z": ["t"]}, "/a/{x}", None, id="still none"),
        pytest.param(
            {"GET /a/m*": ["s"], "GET /a/*": ["t"]}, "/a/{x}", ["s", "t"], id="all candidates"
        ),
        pytest.param(
            {"GET /a/*": ["t"], "GET /a/m*": ["s"]}, "/a/{x}", "t", id="up to the first certain"
        ),
        pytest.param(
            {"GET /a/*": ["t"], "GET /a/me": ["s"]}, "/a/{x}", ["s", "t"], id="exact is before it"
        ),
        pytest.param(
            {"GET /a/m*": PUBLIC, "GET /a/*": ["t"]}, "/a/{x}", "t", id="PUBLIC does not weaken"
        ),
        pytest.param(
            {"GET /a/m*": ["s"], "GET /a/*": PUBLIC}, "/a/{x}", "s", id="PUBLIC as the certain one"
        ),
        pytest.param(
            {"GET /a/m*": DENY, "GET /a/*": ["t"]}, "/a/{x}", DENY, id="DENY for some is for all"
        ),
        pytest.param(
            {"GET /a/m*": any_of("s", "u"), "GET /a/*": ["t"]},
            "/a/{x}",
            any_of(["s", "t"], ["u", "t"]),
            id="any_of joins",
        ),
        pytest.param({"GET /a/me": ["s"]}, "/a/{x:int}", None, id="text that is no value"),
        pytest.param(
            {"GET /a/me": ["s"], "GET /a/*": ["t"]}, "/a/{x:int}", "t", id="is no candidate"
        ),
        pytest.param({"GET /m/*": ["s"]}, "/m/**", "s", id="everything under a mount"),
        pytest.param({"GET /m/x": ["s"]}, "/m/**", None, id="one path under a mount"),
        pytest.param({"POST /a": ["s"]}, "/a", None, id="another method"),
        pytest.param(
            {"GET /a{}*": ["s"], "GET /a{}": ["t"]}, "/a{}", "t", id="exact key with bare braces"
        ),
    ],
)
def test_imported_key_binds_where_it_is_certain(
    mapping: dict[str, object], template: str, requirement: object
) -> None:
    found = requirement_for(ScopeMap.from_scope_mappings(mapping), "GET", template)  # type: ignore[arg-type]
    expected = None if requirement is None else parse_requirement(requirement)
    assert found == expected


@pytest.mark.parametrize(
    ("mapping", "method", "requirement"),
    [
        pytest.param({"GET /a": ["g"]}, "HEAD", "g", id="HEAD may use GET"),
        pytest.param({"GET /a": ["g"], "HEAD /a": ["h"]}, "HEAD", "h", id="HEAD first"),
        pytest.param({"GET /*": ["g"]}, "OPTIONS", None, id="GET is not OPTIONS"),
        pytest.param({"OPTIONS /*": ["o"]}, "OPTIONS", "o", id="OPTIONS is"),
        pytest.param({"GET /*": ["g"]}, "WEBSOCKET", None, id="GET is not WEBSOCKET"),
        pytest.param({"WEBSOCKET /*": ["w"]}, "WEBSOCKET", "w", id="WEBSOCKET is"),
    ],
)
def test_imported_rules_are_those_of_their_method(
    mapping: dict[str, list[str]], method: str, requirement: str | None
) -> None:
    found = requirement_for(ScopeMap.from_scope_mappings(mapping), method, "/a")
    assert found == (None if requirement is None else parse_requirement(requirement))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("GET /a?", "are wildcards of one character"),
        ("GET /[ab]", "are wildcards of one character"),
        ("GET a", "is not a path"),
        ("* /a", "'\\*' is not a method"),
        (
            "MOUNT /a",
            "'MOUNT' is not a method; .* or WEBSOCKET; an imported map has no '\\*' and no MOUNT",
        ),
    ],
)
def test_imported_key_that_has_no_exact_meaning_is_a_configuration_error(
    key: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ScopeMap.from_scope_mappings({key: ["s"]})


def test_imported_keys_that_normalise_to_the_same_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"'GET /a/{x}' and 'GET /a/\*' are the same rule"):
        ScopeMap.from_scope_mappings({"GET /a/{x}": ["s"], "GET /a/*": ["s"]})


def test_imported_rules_may_be_optional() -> None:
    assert ScopeMap.from_scope_mappings({"GET /a": []}, optional=True).rules[0].optional
    assert not ScopeMap.from_scope_mappings({"GET /a": []}).rules[0].optional


def test_every_candidate_wins_and_what_comes_after_the_certain_one_loses() -> None:
    imported = ScopeMap.from_scope_mappings(
        {"GET /a/m*": ["s"], "GET /a/*": ["t"], "GET /*": ["u"], "GET /a/me": ["v"], "GET /b": []}
    )
    found = imported.resolve("GET", at("/a/{x}"))
    assert [rule.key for rule in found.winners] == ["GET /a/me", "GET /a/m*", "GET /a/*"]
    assert [rule.key for rule in found.losers] == ["GET /*"]
    assert found.rule is not None
    assert found.rule.key == "GET /a/*"


IMPORTED_VALUES = st.sampled_from(
    [[], ["a"], ["b"], ["a", "b"], any_of("a", "c"), PUBLIC, OPTIONAL, DENY]
)
IMPORTED = st.dictionaries(
    glob_texts.map(
        lambda text: "GET " + ScopeMap.from_scope_mappings({f"GET {text}": []}).rules[0].key[4:]
    ),
    IMPORTED_VALUES,
    max_size=5,
)


def middleware_answer(mapping: Mapping[str, object], path: str) -> object | None:
    """What a path-matching middleware finds: the exact key, then the first match in order."""
    keys = [key.removeprefix("GET ") for key in mapping]
    exact = [key for key in keys if "*" not in key and key == path]
    found = next((key for key in [*exact, *keys] if fnmatchcase(path, key)), None)
    return None if found is None else mapping[f"GET {found}"]


@given(IMPORTED, templates_with_paths())
def test_imported_map_never_asks_for_less_than_the_middleware_does(
    mapping: dict[str, object], drawn: tuple[str, list[str]]
) -> None:
    template, paths = drawn
    ours = ScopeMap.from_scope_mappings(mapping).rule_for("GET", at(template))  # type: ignore[arg-type]
    if ours is None:
        return
    for path in paths:
        answer = middleware_answer(mapping, path)
        assert answer is not None, path
        theirs = Rule(ours.method, ours.path, parse_requirement(answer))
        for claims in CALLERS:
            if decide(ours, claims, Grants()).allowed:
                assert decide(theirs, claims, Grants()).allowed, (path, claims)


CALLERS = [
    None,
    *(
        Claims(exp=1, scopes=frozenset(s for n, s in enumerate(SCOPES[:3]) if bits >> n & 1))
        for bits in range(8)
    ),
]


@given(IMPORTED, IMPORTED, templates_with_paths(paths=0))
def test_merged_imports_are_the_import_of_the_merged_dict(
    left: dict[str, object], right: dict[str, object], drawn: tuple[str, list[str]]
) -> None:
    read = ScopeMap.from_scope_mappings
    merged = read(left) | read(right)  # type: ignore[arg-type]
    at_once = read({**left, **right})  # type: ignore[arg-type]
    assert [rule.key for rule in merged.rules] == [rule.key for rule in at_once.rules]
    assert requirement_for(merged, "GET", drawn[0]) == requirement_for(at_once, "GET", drawn[0])


def test_candidates_that_come_to_too_many_alternatives_are_named() -> None:
    some, more = (any_of(*(f"{side}{n}" for n in range(6))) for side in "lr")
    imported = ScopeMap.from_scope_mappings({"GET /a/m*": some, "GET /a/*": more})
    with pytest.raises(ConfigurationError, match="more than 32 alternatives") as caught:
        imported.resolve("GET", at("/a/{x}"))
    assert "'GET /a/m*'" in str(caught.value)
    assert "'GET /a/*'" in str(caught.value)
