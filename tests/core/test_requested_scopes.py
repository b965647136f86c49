"""The names by which clients ask for scopes: of a prefix, of a function, and of what fails."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from fastapi_scopes.core.findings import FindingCode, Severity
from fastapi_scopes.core.requested_scopes import RequestedScopes
from fastapi_scopes.errors import ConfigurationError
from tests.core.endpoints import endpoint

PREFIX = "api://app/"
RETURN = "return visible ASCII without space, quote or backslash, or None"
OWN = "give each scope a name of its own"


def problems_of(requested_as: Any, *scopes: str, **options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        RequestedScopes(requested_as, scopes, **options)
    assert {each.setting for each in caught.value.problems} == {"requested_as"}
    return list(map(str, caught.value.problems))


async def later(scope_token: str) -> str:
    return scope_token


def failing(scope_token: str) -> str:
    raise KeyError(scope_token)


class Word(str, Enum):  # noqa: UP042 - one that writes itself otherwise
    LONG = "api://app/long"


@pytest.mark.parametrize(
    ("requested_as", "names"),
    [
        pytest.param(None, ("a:read", "b"), id="nothing"),
        pytest.param(PREFIX, ("api://app/a:read", "api://app/b"), id="prefix"),
        pytest.param(str.upper, ("A:READ", "B"), id="function"),
        pytest.param({"b": "x"}.get, ("x",), id="function that knows one"),
        pytest.param({}.get, (), id="function that knows none"),
    ],
)
def test_scopes_are_asked_for_by_their_names_in_order(requested_as: Any, names: Any) -> None:
    for known in ((), ("a:read", "b")):
        requested = RequestedScopes(requested_as, known)
        assert requested.names_of(["a:read", "b"]) == names


def test_name_is_a_plain_text() -> None:
    (name,) = RequestedScopes(lambda _: Word.LONG, ["a"]).names_of(["a"])
    assert (type(name), f"{name}") == (str, "api://app/long")


@pytest.mark.parametrize("known", [("a", "b"), ()], ids=["of the map", "later"])
def test_function_is_called_once_for_each_scope(known: tuple[str, ...]) -> None:
    asked: list[str] = []
    requested = RequestedScopes(lambda each: asked.append(each) or f"x:{each}", known)
    for _ in range(3):
        assert requested.names_of(["a", "b"]) == ("x:a", "x:b")
    assert asked == ["a", "b"]


def test_function_is_not_called_again_for_what_the_check_has_seen() -> None:
    asked: list[str] = []
    requested = RequestedScopes(asked.append, ["a"])
    of_route = endpoint("GET /x", scopes=("b", "a"))
    assert [*requested.findings_on([of_route, of_route])] == []
    assert requested.names_of(["a", "b"]) == ()
    assert asked == ["a", "b"]


@pytest.mark.parametrize(
    ("requested_as", "problem"),
    [
        pytest.param("", "requested_as: '' begins no scope", id="empty"),
        pytest.param("api app", "requested_as: 'api app' begins no scope", id="blank"),
        pytest.param('a"', "requested_as: 'a\"' begins no scope", id="quote"),
        pytest.param("a\r\nX: y", "requested_as: 'a\\r\\nX: y' begins no scope", id="lines"),
        pytest.param("é", "requested_as: 'é' begins no scope", id="not ascii"),
        pytest.param(5, "requested_as is a 'int'", id="number"),
        pytest.param({"a": "b"}, "requested_as is a 'dict'", id="dict"),
        pytest.param(later, "requested_as is a 'function'", id="coroutine function"),
    ],
)
def test_what_gives_no_names_is_a_configuration_error(requested_as: Any, problem: str) -> None:
    for scopes in ((), ("a",)):
        (found,) = problems_of(requested_as, *scopes)
        assert found.partition("; ")[0] == problem


@pytest.mark.parametrize(
    ("requested_as", "problems"),
    [
        pytest.param(
            failing,
            [f"requested_as raises 'KeyError' for '{each}'; return None for it" for each in "ab"],
            id="raises",
        ),
        pytest.param(
            lambda each: 5 if each == "b" else each,
            [f"requested_as gives 'b' the name a 'int'; {RETURN}"],
            id="no text",
        ),
        pytest.param(
            {"a": "x y", "b": ""}.get,
            [
                f"requested_as gives 'a' the name 'x y'; {RETURN}",
                f"requested_as gives 'b' the name ''; {RETURN}",
            ],
            id="no scope",
        ),
        pytest.param(
            lambda _: "x",
            [f"requested_as gives 'b' the name 'x', which 'a' has; {OWN}"],
            id="one name for two",
        ),
    ],
)
def test_every_scope_without_a_name_of_its_own_is_named(
    requested_as: Any, problems: list[str]
) -> None:
    assert problems_of(requested_as, "a", "b") == problems


@pytest.mark.parametrize(
    ("requested_as", "scope_token"),
    [
        pytest.param(lambda _: "root", "a", id="function"),
        pytest.param("roo", "t", id="prefix"),
    ],
)
def test_no_scope_is_asked_for_by_the_name_of_the_admin_scope(
    requested_as: Any, scope_token: str
) -> None:
    (problem,) = problems_of(requested_as, scope_token, admin_scope="root")
    assert problem == f"requested_as gives {scope_token!r} the name 'root', which 'root' has; {OWN}"
    assert RequestedScopes(requested_as, admin_scope="root").name_of(scope_token) is None


def test_admin_scope_itself_may_have_a_name() -> None:
    requested = RequestedScopes(PREFIX, ["a", "root"], admin_scope="root")
    assert requested.names_of(["root"]) == ("api://app/root",)
    assert RequestedScopes(None, ["root"], admin_scope="root").names_of(["root"]) == ("root",)


Answers = Callable[[str], Any]

FAILING: dict[str, tuple[Answers, str]] = {
    "raises": (failing, "KeyError"),
    "no text": (lambda _: 5, "what it returns is no name"),
    "bytes": (lambda _: b"x", "what it returns is no name"),
    "empty": (lambda _: "", "what it returns is no name"),
    "blank": (lambda _: "x y", "what it returns is no name"),
    "quote": (lambda _: 'x", error="', "what it returns is no name"),
    "lines": (lambda _: "x\r\nSet-Cookie: a=b", "what it returns is no name"),
    "not ascii": (lambda _: "é", "what it returns is no name"),
    "taken": (lambda _: "of:a", "what it returns is no name"),
}


@pytest.mark.parametrize(("answers", "fault"), FAILING.values(), ids=FAILING)
def test_what_fails_at_run_time_is_logged_once_and_by_type_alone(
    answers: Answers, fault: str
) -> None:
    reported: list[str] = []
    requested = RequestedScopes(
        lambda each: "of:a" if each == "a" else answers(each), ["a"], report=reported.append
    )
    for each in ("teams:1:run", "teams:2:run", "teams:1:run"):
        assert requested.names_of([each, "a"]) == ("of:a",)
    assert reported == [fault]


@pytest.mark.parametrize("requested_as", [None, PREFIX, lambda each: each])
@pytest.mark.parametrize("text", ['teams:a"b', "teams:a b", "teams:a\r\nX: y", "teams:é"])
def test_scope_that_is_none_is_never_asked_for(requested_as: Any, text: str) -> None:
    assert RequestedScopes(requested_as).names_of([text, "teams:a"]) != ()
    assert RequestedScopes(requested_as).name_of(text) is None


def test_names_of_many_later_scopes_are_not_all_kept() -> None:
    asked: list[str] = []
    requested = RequestedScopes(lambda each: asked.append(each) or each)
    for each in [*range(2000), 0, 1999]:
        requested.name_of(f"a:{each}")
    assert (len(asked), asked[-1]) == (2001, "a:0")


def findings_on(requested_as: Any, *scopes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    requested = RequestedScopes(requested_as, ["a"])
    endpoints = [endpoint(f"GET /{n}", scopes=each) for n, each in enumerate(scopes)]
    for found in requested.findings_on(endpoints):
        assert (found.code, found.severity) == (FindingCode.REQUESTED_NAME, Severity.ERROR)
        assert found.endpoint in endpoints
        yield found.message, found.remedy


@pytest.mark.parametrize(
    ("names", "scopes", "found"),
    [
        pytest.param(
            {"a": "x", "b": "x"},
            [("a",), ("b", "a"), ("b",)],
            [("'GET /1': requested_as gives 'b' the name 'x', which 'a' has", OWN)],
            id="the name of a scope of the map",
        ),
        pytest.param(
            {"b": "x", "c": "x"},
            [("c",), ("b",)],
            [("'GET /1': requested_as gives 'b' the name 'x', which 'c' has", OWN)],
            id="the name of a scope of another route",
        ),
        pytest.param(
            {"b": "x y"},
            [("b",)],
            [("'GET /0': requested_as gives 'b' the name 'x y'", RETURN)],
            id="no scope",
        ),
        pytest.param({}, [("b",), ("c",)], [], id="no names"),
        pytest.param({"x y": "x y"}, [("x y",)], [], id="what is no scope is found elsewhere"),
    ],
)
def test_check_finds_the_scopes_of_routes_that_have_no_name_of_their_own(
    names: dict[str, str], scopes: Any, found: Any
) -> None:
    assert [*findings_on(names.get, *scopes)] == found
