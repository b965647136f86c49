from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    DENY,
    MAX_ALTERNATIVES,
    OPTIONAL,
    PUBLIC,
    Access,
    Requirement,
    all_of,
    any_of,
    conjunction_of,
    parse_requirement,
)
from fastapi_scopes.errors import ConfigurationError
from tests.core.strategies import held_scopes, requirement_likes

FOUR = [
    pytest.param(PUBLIC, id="PUBLIC"),
    pytest.param(OPTIONAL, id="OPTIONAL"),
    pytest.param(AUTHENTICATED, id="AUTHENTICATED"),
    pytest.param(DENY, id="DENY"),
]


@pytest.mark.parametrize(
    ("value", "alternatives"),
    [
        pytest.param("a", [("a",)], id="str"),
        pytest.param(["b", "a"], [("a", "b")], id="list is all, sorted"),
        pytest.param(("a", "b"), [("a", "b")], id="tuple is all"),
        pytest.param(["a", "a"], [("a",)], id="repetition falls away"),
        pytest.param(all_of("a", "b"), [("a", "b")], id="all_of"),
        pytest.param(all_of(["a", "b"], "c"), [("a", "b", "c")], id="list in all_of"),
        pytest.param(any_of("b", "a"), [("b",), ("a",)], id="any_of, in the order written"),
        pytest.param(any_of("a", "b", "a"), [("a",), ("b",)], id="an alternative stands once"),
        pytest.param(any_of(["a", "b"], "c"), [("a", "b"), ("c",)], id="list in any_of is all"),
        pytest.param(any_of(["b", "a"], ["a", "b"]), [("a", "b")], id="equal once sorted"),
        pytest.param(
            all_of(any_of("a", "b"), any_of("c", "d")),
            [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")],
            id="multiplied out, in the order written",
        ),
        pytest.param(["a", any_of("b", "c")], [("a", "b"), ("a", "c")], id="any_of in a list"),
        pytest.param([["a"], [["b"]]], [("a", "b")], id="nested lists"),
        pytest.param(any_of(any_of("a", "b"), "c"), [("a",), ("b",), ("c",)], id="nested any_of"),
        pytest.param(all_of("a") & "b", [("a", "b")], id="requirement & str"),
        pytest.param("a" & all_of("b"), [("a", "b")], id="str & requirement"),
        pytest.param(all_of("a") & ["b", "c"], [("a", "b", "c")], id="requirement & list"),
        pytest.param(["b"] & all_of("a"), [("a", "b")], id="list & requirement"),
        pytest.param(all_of("a") | "b", [("a",), ("b",)], id="requirement | str"),
        pytest.param("a" | all_of("b"), [("a",), ("b",)], id="str | requirement"),
        pytest.param(["a", "b"] | all_of("c"), [("a", "b"), ("c",)], id="list | requirement"),
        pytest.param(
            all_of("a") | all_of("b") & all_of("c"), [("a",), ("b", "c")], id="& binds tighter"
        ),
    ],
)
def test_requirement_is_the_alternatives_that_are_enough(
    value: object, alternatives: list[tuple[str, ...]]
) -> None:
    requirement = parse_requirement(value)
    assert requirement.access is Access.SCOPES
    assert list(requirement.alternatives) == alternatives


@pytest.mark.parametrize("empty", [[], ()])
def test_empty_list_asks_for_a_valid_token(empty: object) -> None:
    assert parse_requirement(empty) is AUTHENTICATED


@pytest.mark.parametrize("requirement", FOUR)
def test_the_four_stand_alone(requirement: Requirement) -> None:
    assert parse_requirement(requirement) is requirement
    assert str(requirement) == requirement.access.value


@pytest.mark.parametrize("stands_alone", [*FOUR, pytest.param([], id="[]")])
@pytest.mark.parametrize(
    "mix",
    [
        pytest.param(lambda four: all_of("a", four), id="all_of"),
        pytest.param(lambda four: any_of("a", four), id="any_of"),
        pytest.param(any_of, id="any_of it alone"),
        pytest.param(lambda four: parse_requirement(["a", four]), id="list"),
        pytest.param(lambda four: parse_requirement([four]), id="list of it alone"),
        pytest.param(lambda four: parse_requirement(["a", ["b", four]]), id="nested"),
        pytest.param(lambda four: all_of("a") & four, id="&"),
        pytest.param(lambda four: all_of("a") | four, id="|"),
        pytest.param(lambda four: four & all_of("a"), id="reflected &"),
        pytest.param(lambda four: four | all_of("a"), id="reflected |"),
    ],
)
def test_a_mix_with_the_four_is_a_configuration_error(
    mix: Callable[[object], object], stands_alone: object
) -> None:
    with pytest.raises(ConfigurationError, match="stands alone; map the key to it, without a list"):
        mix(stands_alone)


@pytest.mark.parametrize("four", [PUBLIC, OPTIONAL, AUTHENTICATED, DENY], ids=str)
@pytest.mark.parametrize(
    "join",
    [
        pytest.param(lambda four: four & "a", id="& a scope"),
        pytest.param(lambda four: "a" & four, id="a scope &"),
        pytest.param(lambda four: four | "a", id="| a scope"),
        pytest.param(lambda four: "a" | four, id="a scope |"),
        pytest.param(lambda four: ["a"] | four, id="a list |"),
        pytest.param(lambda four: four + "a", id="+ a scope"),
        pytest.param(lambda four: "a" + four, id="a scope +"),
        pytest.param(lambda four: four + ["a"], id="+ a list"),  # noqa: RUF005
        pytest.param(lambda four: ["a"] + four, id="a list +"),  # noqa: RUF005
        pytest.param(lambda four: four + four, id="itself +"),
    ],
)
def test_operator_on_one_of_the_four_says_that_it_stands_alone(
    join: Callable[[Any], object], four: Requirement
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{four} stands alone; map the key to it"):
        join(four)


@pytest.mark.parametrize(
    "add",
    [
        lambda: any_of("a") + "b",
        lambda: "b" + any_of("a"),
        lambda: any_of("a") + ["b"],  # noqa: RUF005
        lambda: ["b"] + any_of("a"),  # noqa: RUF005
        lambda: all_of("a") + all_of("b"),
    ],
)
def test_sum_of_requirements_says_how_to_ask_for_all(add: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"is added to .*; write a list, or '&'"):
        add()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("a:read a:write", "write ['a:read', 'a:write'] for all of them, any_of() for one"),
        ("a, b,c", "write ['a', 'b', 'c'] for all of them, any_of() for one"),
        ("a\tb", "write ['a', 'b'] for all of them, any_of() for one"),
        (" a", "write 'a'"),
        ("a é", "write visible ASCII without space, quote or backslash"),
        ("", "write visible ASCII without space, quote or backslash"),
    ],
)
@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a list"])
def test_text_that_is_no_scope_names_the_list_that_it_may_mean(
    text: str, remedy: str, within: bool
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_requirement(["x", text] if within else text)
    (problem,) = caught.value.problems
    assert (problem.text, problem.remedy) == (f"{text!r} is not a scope", remedy)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        pytest.param(lambda: parse_requirement(None), "None asks for nothing", id="None"),
        pytest.param(lambda: parse_requirement([None]), "None asks for nothing", id="[None]"),
        pytest.param(lambda: any_of(None), "None asks for nothing", id="any_of(None)"),  # type: ignore[arg-type]
        pytest.param(any_of, r"any_of\(\) asks for nothing", id="any_of()"),
        pytest.param(all_of, r"all_of\(\) asks for nothing", id="all_of()"),
        pytest.param(lambda: parse_requirement(""), "'' is not a scope", id="empty text"),
        pytest.param(lambda: parse_requirement("a b"), "'a b' is not a scope", id="space"),
        pytest.param(lambda: parse_requirement(['a"']), "is not a scope", id="quote in a list"),
        pytest.param(lambda: any_of("a", "\\"), "is not a scope", id="backslash in any_of"),
        pytest.param(lambda: parse_requirement("a:{id}:b"), "cannot do", id="bound parameter"),
        pytest.param(lambda: any_of("a", "x:{id}"), "cannot do", id="bound in any_of"),
        pytest.param(lambda: parse_requirement("a{"), "cannot do", id="open brace"),
        pytest.param(lambda: parse_requirement("a}"), "cannot do", id="closing brace"),
        pytest.param(lambda: parse_requirement({"a"}), "is not a requirement", id="set"),
        pytest.param(lambda: parse_requirement({"a": 1}), "is not a requirement", id="dict"),
        pytest.param(lambda: parse_requirement(b"a"), "is not a requirement", id="bytes"),
        pytest.param(lambda: parse_requirement(True), "is not a requirement", id="True"),
        pytest.param(lambda: parse_requirement(False), "is not a requirement", id="False"),
        pytest.param(lambda: parse_requirement(0), "is not a requirement", id="zero"),
        pytest.param(lambda: parse_requirement(any_of), "is not a requirement", id="any_of itself"),
        pytest.param(lambda: Requirement(Access.SCOPES), "go with", id="scopes without any"),
        pytest.param(lambda: Requirement(Access.PUBLIC, (("a",),)), "go with", id="PUBLIC and one"),
    ],
)
def test_what_asks_for_nothing_or_is_no_scope_is_a_configuration_error(
    ask: Callable[[], object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ask()


def test_every_value_that_stands_alone_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        all_of(PUBLIC, "a", DENY)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("build", "is_allowed"),
    [
        pytest.param(lambda: any_of(*map(str, range(32))), True, id="32 in any_of"),
        pytest.param(lambda: any_of(*map(str, range(33))), False, id="33 in any_of"),
        pytest.param(lambda: any_of(*["a"] * 100), True, id="100 times the same"),
        pytest.param(lambda: all_of(*pairs(5)), True, id="2 ** 5 multiplied"),
        pytest.param(lambda: all_of(*pairs(6)), False, id="2 ** 6 multiplied"),
        pytest.param(lambda: all_of(*pairs(10_000)), False, id="2 ** 10000 at once"),
        pytest.param(lambda: parse_requirement(list(pairs(6))), False, id="in a list"),
    ],
)
def test_a_requirement_comes_to_at_most_32_alternatives(
    build: Callable[[], Requirement], is_allowed: bool
) -> None:
    assert MAX_ALTERNATIVES == 32
    if is_allowed:
        assert len(build().alternatives) <= 32
    else:
        with pytest.raises(ConfigurationError, match="more than 32 alternatives; split"):
            build()


def pairs(count: int) -> list[Requirement]:
    return [any_of(f"l{number}", f"r{number}") for number in range(count)]


def test_requirement_reads_as_it_is_asked() -> None:
    assert str(any_of(["b", "a"], "c")) == "a & b | c"


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        pytest.param([PUBLIC], PUBLIC, id="one"),
        pytest.param([PUBLIC, OPTIONAL], OPTIONAL, id="OPTIONAL over PUBLIC"),
        pytest.param([AUTHENTICATED, OPTIONAL], AUTHENTICATED, id="AUTHENTICATED over OPTIONAL"),
        pytest.param([all_of("a"), AUTHENTICATED], all_of("a"), id="scopes over AUTHENTICATED"),
        pytest.param([PUBLIC, all_of("a")], all_of("a"), id="scopes over PUBLIC"),
        pytest.param([all_of("a"), DENY, PUBLIC], DENY, id="DENY over all"),
        pytest.param([all_of("a"), PUBLIC, all_of("b")], all_of("a", "b"), id="scopes add up"),
        pytest.param(
            [any_of("a", "b"), all_of("c")], any_of(["a", "c"], ["b", "c"]), id="any_of and one"
        ),
    ],
)
def test_rules_that_hold_together_ask_for_all_of_it(
    parts: list[Requirement], joined: Requirement
) -> None:
    assert conjunction_of(parts) == joined
    assert set(conjunction_of(parts[::-1]).alternatives) == set(joined.alternatives)
    assert conjunction_of(parts[::-1]).access is joined.access


@given(st.data(), held_scopes)
def test_alternatives_say_what_the_written_requirement_says(
    data: st.DataObject, held: frozenset[str]
) -> None:
    left, right = data.draw(requirement_likes), data.draw(requirement_likes)
    lets_left, lets_right = lets_in(left, held), lets_in(right, held)
    assert lets_in(all_of(left, right), held) == (lets_left and lets_right)
    assert lets_in(any_of(left, right), held) == (lets_left or lets_right)
    assert lets_in([left, right], held) == (lets_left and lets_right)


def lets_in(value: object, held: frozenset[str]) -> bool:
    return any(held.issuperset(each) for each in parse_requirement(value).alternatives)
