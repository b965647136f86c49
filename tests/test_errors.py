"""Errors: whose fault, and what they may say."""

import pytest

from fastapi_scopes.errors import (
    Assignment,
    ConfigurationError,
    ConfigurationProblem,
    VerifierUnavailable,
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
