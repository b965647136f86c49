"""Errors: whose fault, and what they may say."""

import pytest

from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable


@pytest.mark.parametrize(
    ("seconds", "retry_after"),
    [(0, 1), (-5, 1), (1, 1), (2.1, 3), (float("inf"), 1), (float("nan"), 1)],
)
def test_retry_after_is_whole_seconds_and_at_least_one(seconds: float, retry_after: int) -> None:
    assert VerifierUnavailable(seconds).retry_after == retry_after


def test_all_problems_stand_in_one_error_a_line_each() -> None:
    with pytest.raises(ConfigurationError, match=r"^a\nb$") as raised:
        ConfigurationError.raise_for(["a", "b"])
    assert raised.value.problems == ("a", "b")
    ConfigurationError.raise_for([])
