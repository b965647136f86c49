from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError, TokenError
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.verifying import load

SUITES = {
    "json_web_key": ("wycheproof/json_web_key_test.json", 26),
    "json_web_crypto": ("wycheproof/json_web_crypto_test.json", 49),
}

# tcId of a suite -> why our answer differs from the one of the suite. There is none.
DEVIATIONS: dict[tuple[str, int], str] = {}


def jws_tests(suite: str) -> Iterator[Any]:
    for group in load(SUITES[suite][0])["testGroups"]:
        for test in group["tests"]:
            if "jws" in test:
                yield suite, group.get("public", group["private"]), test


def rows() -> list[Any]:
    return [
        pytest.param(*row, id=f"{suite}-{row[2]['tcId']}-{row[2]['comment']}")
        for suite in SUITES
        for row in jws_tests(suite)
    ]


def algorithms_of(key_set: Any) -> list[str]:
    # One suite gives key sets, the other single keys.
    return list(dict.fromkeys(each["alg"] for each in key_set.get("keys", [key_set])))


def answer_to(key_set: Any, algorithms: list[str], jws: Any) -> str:
    try:
        verify_compact_jws(jws, keys=[key_set], algorithms=algorithms)
    except (TokenError, ConfigurationError):
        return "invalid"
    return "valid"


@pytest.mark.parametrize(("suite", "key_set", "test"), rows())
def test_wycheproof_agrees(suite: str, key_set: Any, test: Any) -> None:
    answer = answer_to(key_set, algorithms_of(key_set), test["jws"])

    assert (answer == test["result"]) is ((suite, test["tcId"]) not in DEVIATIONS)


# Where the key names an algorithm that does not exist the row above is refused for that alone;
# here the verifier wants what the token says, and the key must be refused.
@pytest.mark.parametrize(("suite", "key_set", "test"), rows())
@pytest.mark.parametrize("algorithms", [["HS256", "HS384", "HS512"], ["ES256"], ["RS256"]])
def test_wycheproof_invalid_stays_invalid_under_other_algorithms(
    suite: str, key_set: Any, test: Any, algorithms: list[str]
) -> None:
    answer = answer_to(key_set, algorithms, test["jws"])

    assert test["result"] == "valid" or answer == "invalid"


@pytest.mark.parametrize("suite", SUITES)
def test_wycheproof_suite_is_run_whole(suite: str) -> None:
    assert len(list(jws_tests(suite))) == SUITES[suite][1]
