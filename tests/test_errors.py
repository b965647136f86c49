"""Errors: whose fault, and what they may say."""

import json
from collections.abc import Callable

import pytest

from fastapi_scopes.errors import (
    Assignment,
    ConfigurationError,
    ConfigurationProblem,
    VerifierUnavailable,
    type_and_place_of,
)


@pytest.mark.parametrize(
    ("seconds", "retry_after"),
    [(0, 1), (-5, 1), (1, 1), (2.1, 3), (float("inf"), 1), (float("nan"), 1)],
)
def test_retry_after_is_whole_seconds_and_at_least_one(seconds: float, retry_after: int) -> None:
    assert VerifierUnavailable(seconds).retry_after == retry_after


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (ConfigurationProblem("the app is odd"), "the app is odd"),
        (ConfigurationProblem("'x' is odd", "write 'y'"), "'x' is odd; write 'y'"),
        (ConfigurationProblem("is odd", "mend it", setting="leeway"), "leeway is odd; mend it"),
        (ConfigurationProblem("'x' is odd", setting="realm"), "realm: 'x' is odd"),
        (ConfigurationProblem("is odd").of("keys[0]"), "keys[0] is odd"),
        (
            ConfigurationProblem("'x' is odd", "mend it").at("'GET /a'"),
            "'GET /a': 'x' is odd; mend it",
        ),
        (ConfigurationProblem("is odd", Assignment("leeway", 60)), "is odd; write leeway=60"),
        (ConfigurationProblem("is odd", Assignment("x", "a")), "is odd; write x='a'"),
        (
            ConfigurationProblem("is odd", Assignment("jwks_uri", lead="set", rest="to it")),
            "is odd; set jwks_uri= to it",
        ),
    ],
)
def test_problem_says_what_is_wrong_and_then_the_way_out(
    problem: ConfigurationProblem, said: str
) -> None:
    assert str(problem) == said
    assert str(ConfigurationError(problem)) == said


def test_all_problems_stand_in_one_error_a_line_each() -> None:
    with pytest.raises(ConfigurationError, match=r"^a\nb$") as raised:
        ConfigurationError.raise_for(map(ConfigurationProblem, ["a", "b"]))
    assert raised.value.problems == (ConfigurationProblem("a"), ConfigurationProblem("b"))
    ConfigurationError.raise_for([])


def fail() -> None:
    raise KeyError("canary")


def fail_in_a_library() -> None:
    json.loads("canary")


def fail_in_a_callback_of_a_library() -> None:
    json.loads("{}", object_hook=lambda _: fail())


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except (KeyError, json.JSONDecodeError) as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "kind", "place"),
    [
        (fail, "KeyError", fail),
        (fail_in_a_library, "JSONDecodeError", fail_in_a_library),
        (fail_in_a_callback_of_a_library, "KeyError", fail),
    ],
)
def test_error_of_the_application_is_told_by_its_type_and_the_line_of_its_code(
    function: Callable[[], None], kind: str, place: Callable[[], None]
) -> None:
    line = place.__code__.co_firstlineno + 1
    assert type_and_place_of(caught(function)) == f"{kind} at test_errors.py:{line}"


def test_error_of_no_code_of_the_application_is_told_by_its_type() -> None:
    assert type_and_place_of(KeyError("canary")) == "KeyError"


def test_error_of_an_installed_application_has_a_place_too() -> None:
    error = caught(lambda: json.loads("canary"))
    # As if the outermost frame, which is that of this file, were not there.
    while (
        error.__traceback__ is not None
        and "tests" in error.__traceback__.tb_frame.f_code.co_filename
    ):
        error.__traceback__ = error.__traceback__.tb_next
    assert type_and_place_of(error).startswith("JSONDecodeError at decoder.py:")
