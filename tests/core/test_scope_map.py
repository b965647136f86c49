import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.methods import METHODS, not_a_method
from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    DENY,
    OPTIONAL,
    PUBLIC,
    Requirement,
    all_of,
    any_of,
)
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.core.maps import at, key_for, map_of
from tests.core.strategies import (
    pattern_texts,
    patterns_of,
    template_texts,
)

# The HTTP Method Registry of IANA, copied by hand, and QUERY.
REGISTRY = [
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE"),
    *("GET", "HEAD", "LABEL", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL"),
    *("MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS", "ORDERPATCH", "PATCH", "POST", "PRI"),
    *("PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE", "UNBIND"),
    *("UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"),
]


@pytest.mark.parametrize(
    ("keys", "method", "winner"),
    [
        pytest.param(["GET /a"], "GET", "GET /a", id="the method itself"),
        pytest.param(["GET /a"], "POST", None, id="another method has no rule"),
        pytest.param(["* /a"], "POST", "* /a", id="star is any method"),
        pytest.param(["* /a"], "QUERY", "* /a", id="star is QUERY too"),
        pytest.param(["* /a"], "FOO", "* /a", id="star is a method that no one knows"),
        pytest.param(["* /a"], "WEBSOCKET", "* /a", id="star is WEBSOCKET"),
        pytest.param(["* /a"], "OPTIONS", None, id="star is not OPTIONS"),
        pytest.param(["* /**"], "OPTIONS", None, id="nor is everything"),
        pytest.param(["OPTIONS /a"], "OPTIONS", "OPTIONS /a", id="OPTIONS is"),
        pytest.param(["* /a", "OPTIONS /**"], "OPTIONS", "OPTIONS /**", id="and wins unrivalled"),
        pytest.param(["GET /a"], "get", None, id="methods are compared exactly"),
        pytest.param(["GET /a", "* /a"], "GET", "GET /a", id="method over star"),
        pytest.param(["GET /**", "* /a"], "GET", "* /a", id="path over method"),
        pytest.param(["GET /*", "* /a"], "GET", "* /a", id="path over method, star segment"),
        pytest.param(["GET /a"], "HEAD", "GET /a", id="HEAD may use GET"),
        pytest.param(["* /a"], "HEAD", "* /a", id="HEAD may use star"),
        pytest.param(["HEAD /a", "GET /a", "* /a"], "HEAD", "HEAD /a", id="HEAD first"),
        pytest.param(["GET /a", "* /a"], "HEAD", "GET /a", id="GET before star for HEAD"),
        pytest.param(["HEAD /**", "GET /*", "* /a"], "HEAD", "* /a", id="HEAD: path first"),
        pytest.param(["HEAD /**", "GET /*"], "HEAD", "GET /*", id="HEAD: path before HEAD"),
        pytest.param(["HEAD /a"], "GET", None, id="GET may not use HEAD"),
        pytest.param(["POST /a"], "HEAD", None, id="HEAD may not use POST"),
        pytest.param(["GET /a"], "WEBSOCKET", None, id="a socket may not use GET"),
        pytest.param(["WEBSOCKET /a"], "GET", None, id="GET may not use WEBSOCKET"),
        pytest.param(["WEBSOCKET /a", "* /a"], "WEBSOCKET", "WEBSOCKET /a", id="WEBSOCKET first"),
        pytest.param(["GET /a"], "*", None, id="one method does not rule any method"),
        pytest.param(["* /a"], "*", "* /a", id="star rules any method"),
    ],
)
def test_request_uses_the_rules_of_its_method(
    keys: list[str], method: str, winner: str | None
) -> None:
    assert key_for(map_of(*keys), method, "/a") == winner
    assert key_for(map_of(*reversed(keys)), method, "/a") == winner


@pytest.mark.parametrize("method", [*REGISTRY, "WEBSOCKET"])
def test_key_takes_every_registered_method(method: str) -> None:
    assert key_for(map_of(f"{method} /a"), method, "/a") == f"{method} /a"
    imported = ScopeMap.from_scope_mappings({f"{method} /a": "a"})
    assert key_for(imported, method, "/a") == f"{method} /a"


def test_registry_of_methods_has_no_other() -> None:
    assert sorted(METHODS) == REGISTRY


@pytest.mark.parametrize("method", ["PURGE", "FOO", "WEBSOCKETS", "M-SEARCH", "X2", "NOTIFY"])
def test_key_takes_a_method_that_a_route_may_declare(method: str) -> None:
    for scope_map in (map_of(f"{method} /a"), ScopeMap.from_scope_mappings({f"{method} /a": "a"})):
        assert key_for(scope_map, method, "/a") == f"{method} /a"
        assert key_for(scope_map, "GET", "/a") is None


@pytest.mark.parametrize("method", ["TOOL", "PROMPT", "RESOURCE", "MOUNT", "NOSUCH", ""])
def test_method_that_no_key_names_is_ruled_by_star_alone(method: str) -> None:
    scope_map = map_of("* /**", "PURGE /a", "WEBSOCKET /a", "MOUNT /a", "GET /a")
    assert key_for(scope_map, method, "/a") == "* /**"


def test_map_knows_every_method_that_its_rules_name() -> None:
    written = map_of("GET /a", "HEAD /a", "* /a", "MOUNT /a", "WEBSOCKET /a", "PURGE /a")
    imported = ScopeMap.from_scope_mappings({"POST /a": []})
    assert written.methods == {"GET", "HEAD", "WEBSOCKET", "PURGE"}
    assert (written | imported).methods == written.methods | {"POST"}


@pytest.mark.parametrize(
    ("keys", "template", "winner"),
    [
        pytest.param(["GET /**"], "/a/{x}", "GET /**", id="rest"),
        pytest.param(["GET /a/{x}", "GET /a/*"], "/a/{x}", "GET /a/{x}", id="{name} over star"),
        pytest.param(["GET /a/*", "GET /*/b"], "/a/b", "GET /a/*", id="from the left"),
        pytest.param(["GET /a/*", "GET /a/**"], "/a/{x}", "GET /a/*", id="star over rest"),
        pytest.param(["GET /a", "GET /a/**"], "/a", "GET /a", id="nothing over rest"),
        pytest.param(["GET /a/*/**", "GET /a/**"], "/a/{x}", "GET /a/*/**", id="longer over rest"),
        pytest.param(["GET /a/**", "GET /*/{x}"], "/a/{x}", "GET /a/**", id="left over length"),
        pytest.param(["GET /a/me", "GET /a/*"], "/a/{x}", "GET /a/*", id="literal never matches"),
        pytest.param(["GET /a/me", "GET /a/{x}"], "/a/me", "GET /a/me", id="literal route"),
        pytest.param(["GET /a"], "/b", None, id="silence"),
        pytest.param([], "/a", None, id="empty map"),
        pytest.param(["* /mcp/**", "* /**"], "/mcp/**", "* /mcp/**", id="under a mount"),
        pytest.param(["* /mcp/tools/**"], "/mcp/**", None, id="a part of a mount"),
    ],
)
def test_most_specific_rule_wins_whatever_the_order(
    keys: list[str], template: str, winner: str | None
) -> None:
    method = "GET"
    assert key_for(map_of(*keys), method, template) == winner
    assert key_for(map_of(*reversed(keys)), method, template) == winner


def test_losers_are_named_from_the_most_specific_on() -> None:
    found = map_of("GET /**", "* /a", "GET /a", "GET /*", "POST /a").resolve("GET", at("/a"))
    assert [rule.key for rule in found.winners] == ["GET /a"]
    assert [rule.key for rule in found.losers] == ["* /a", "GET /*", "GET /**"]


@given(st.data(), template_texts, st.randoms())
def test_order_of_writing_never_matters(
    data: st.DataObject, template: str, shuffled: random.Random
) -> None:
    methods = st.sampled_from(["GET", "HEAD", "*", "OPTIONS", "WEBSOCKET"])
    keys = st.builds("{} {}".format, methods, patterns_of(template))
    rules = [(key, f"s{n}") for n, key in enumerate(data.draw(st.lists(keys, unique=True)))]
    once = ScopeMap(dict(rules))
    shuffled.shuffle(rules)
    again = ScopeMap(dict(rules))
    for method in ("GET", "HEAD", "OPTIONS", "WEBSOCKET", "*"):
        first, second = (each.resolve(method, at(template)) for each in (once, again))
        assert first == second


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        pytest.param({"/a": "a"}, "'METHOD /template'; write one space", id="no method"),
        pytest.param({"GET": "a"}, "'METHOD /template'", id="no path"),
        pytest.param({"": "a"}, "'METHOD /template'", id="empty key"),
        pytest.param({"GET  /a": "a"}, "write one space between", id="two spaces"),
        pytest.param({"GET /a ": "a"}, "write one space between", id="space at the end"),
        pytest.param({"GET /a b": "a"}, "write one space between", id="space in the path"),
        pytest.param({"GET\t/a": "a"}, "write one space between", id="tab"),
        pytest.param({("GET", "/a"): "a"}, "a key is 'METHOD /template'", id="tuple"),
        pytest.param({None: "a"}, "a key is 'METHOD /template'", id="None"),
        pytest.param({"get /a": "a"}, "'get' is not a method; did you mean 'GET'", id="lower case"),
        pytest.param({"Purge /a": "a"}, "'Purge' is not a method", id="mixed case"),
        pytest.param({"PUR_GE /a": "a"}, "'PUR_GE' is not a method", id="underscore"),
        pytest.param({"2X /a": "a"}, "'2X' is not a method", id="digit first"),
        pytest.param({"\u00c9 /a": "a"}, "is not a method", id="letter outside ASCII"),
        pytest.param({"TOOL /a": "a"}, "'TOOL' is not a method; write GET", id="TOOL"),
        pytest.param({"PROMPT /a": "a"}, "'PROMPT' is not a method", id="PROMPT"),
        pytest.param({"RESOURCE /a": "a"}, "'RESOURCE' is not a method", id="RESOURCE"),
        pytest.param({"ANY /a": "a"}, "'ANY' is not a method", id="ANY"),
        pytest.param({"websocket /a": "a"}, "is not a method", id="lower-case socket"),
        pytest.param({"GET,POST /a": "a"}, "is not a method", id="two methods"),
        pytest.param({" /a": "a"}, "'' is not a method", id="empty method"),
        pytest.param({"** /a": "a"}, "'\\*\\*' is not a method", id="two stars"),
        pytest.param({"GET a": "a"}, "'a' is not a path", id="relative path"),
        pytest.param({"GET /a": None}, "None asks for nothing", id="None"),
        pytest.param({"GET /a": ["a", PUBLIC]}, "PUBLIC stands alone", id="mix"),
        pytest.param({"GET /a/{id}": "a:{id}"}, "this version cannot do", id="bound parameter"),
        pytest.param({"GET /a": ""}, "'' is not a scope", id="empty scope"),
        pytest.param([("GET /a", "a")], "is not a scope map; write {'GET", id="list"),
        pytest.param(None, "None is not a scope map", id="None as map"),
        pytest.param("GET /a", "is not a scope map", id="str as map"),
    ],
)
def test_what_is_no_rule_is_a_configuration_error(rules: Mapping[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ScopeMap(rules)
    with pytest.raises(ConfigurationError, match=message):
        ScopeMap.from_scope_mappings(rules)


def test_everything_wrong_with_a_map_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ScopeMap({"get /a": "a", "GET b": "", "GET /c": "c", "GET /d": all_of("d"), "X": "x"})
    assert [str(problem).split(":")[0] for problem in caught.value.problems] == [
        "'get /a'",
        "'GET b'",
        "'GET b'",
        "'X'",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("GET /a/{x}", "GET /a/{x:int}", id="convertor"),
        pytest.param("GET /a/{x:int}", "GET /a/{x:path}", id="two convertors"),
        pytest.param("GET /a/{x}.json", "GET /a/{x:int}.json", id="convertor in a mixed segment"),
    ],
)
def test_two_keys_that_normalise_to_the_same_are_an_error(first: str, second: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ScopeMap({first: "a", second: "a"})
    assert tuple(map(str, caught.value.problems)) == (
        f"{first!r} and {second!r} are the same rule; keep one",
    )


@given(st.sampled_from([*REGISTRY, "WEBSOCKET", "*"]), pattern_texts())
def test_key_of_a_rule_is_the_key_as_written(method: str, pattern: str) -> None:
    key = f"{method} {pattern}"
    (rule,) = map_of(key).rules
    assert rule.key == str(rule) == key
    assert map_of(rule.key).rules == (rule,)


def test_map_knows_every_scope_that_its_rules_ask_for() -> None:
    rules = {"GET /a": any_of(["c", "b"], "a"), "GET /b": "b", "GET /c": PUBLIC, "GET /d": DENY}
    imported = ScopeMap.from_scope_mappings({"GET /e": ["d"]}, optional=True)
    assert (ScopeMap(rules) | imported).scopes == ("a", "b", "c", "d")
    assert (ScopeMap(rules) | {"GET /a": OPTIONAL, "GET /b": AUTHENTICATED}).scopes == ()


def test_map_shows_how_many_rules_it_has() -> None:
    assert repr(map_of("GET /a", "GET /b")) == "ScopeMap(2 rules)"


@pytest.mark.parametrize(
    ("requirement", "asked"),
    [
        pytest.param("a", all_of("a", "b", "c"), id="added to a scope"),
        pytest.param(any_of("x", "y"), all_of(any_of("x", "y"), "b", "c"), id="added to any_of"),
        pytest.param(AUTHENTICATED, all_of("b", "c"), id="added to a valid token"),
        pytest.param(OPTIONAL, all_of("b", "c"), id="added to OPTIONAL: a token is needed"),
        pytest.param(DENY, DENY, id="DENY stays DENY"),
    ],
)
def test_scopes_of_the_route_are_added_to_the_rule(
    requirement: Requirement, asked: Requirement
) -> None:
    rule = ScopeMap({"GET /a": requirement}).rule_for("GET", at("/a"), scopes=("b", "c"))
    assert rule is not None
    assert rule.requirement == asked
    assert rule.key == "GET /a"


def test_scopes_of_the_route_never_stand_in_for_a_rule() -> None:
    assert ScopeMap({}).rule_for("GET", at("/a"), scopes=("b",)) is None


def test_scopes_of_the_route_on_a_public_rule_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ScopeMap({"* /**": PUBLIC}).rule_for("GET", at("/a"), scopes=("b", "c"))
    assert tuple(map(str, caught.value.problems)) == (
        "'GET /a' asks for 'b', 'c', yet '* /**' is PUBLIC; drop the scopes or the PUBLIC",
    )


def test_bad_scope_of_a_route_is_named_with_the_route() -> None:
    scope_map = ScopeMap({"GET /a": "a"})
    with pytest.raises(ConfigurationError, match=r"'GET /a': 'a b' is not a scope"):
        scope_map.rule_for("GET", at("/a"), scopes=("a b",))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("GTE", "GET"), ("get", "GET"), ("POTS", "POST"), ("OPTION", "OPTIONS"), ("*GET", "GET")),
        *((each, "WEBSOCKET") for each in ("WS", "WSS", "ws", "SOCKET", "WEBSOCKETS", "websocket")),
        *(("MOUNTS", "MOUNT"), ("mount", "MOUNT"), ("STATIC", "MOUNT")),
        *(("ANY", "*"), ("ALL", "*"), ("**", "*")),
    ],
)
def test_word_that_is_no_method_names_the_one_that_was_meant(written: str, meant: str) -> None:
    assert not_a_method(written, is_imported=False).remedy == f"did you mean {meant!r}"
    imported = not_a_method(written, is_imported=True).remedy
    if meant in {"MOUNT", "*"}:
        assert str(imported).endswith("an imported map has no '*' and no MOUNT")
    else:
        assert imported == f"did you mean {meant!r}"


@pytest.mark.parametrize("written", ["PURGE", "TOOL", "PROMPT", "RESOURCE", "", "\u00c9"])
def test_word_that_is_like_no_method_names_those_that_there_are(written: str) -> None:
    remedy = not_a_method(written, is_imported=False).remedy
    assert remedy == "write GET, POST, ... in upper case, WEBSOCKET, MOUNT or '*'"


def test_two_methods_want_two_keys() -> None:
    assert not_a_method("GET,POST", is_imported=False).remedy == "write a key for each"
