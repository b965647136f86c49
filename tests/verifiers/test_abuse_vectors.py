import base64
from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError
from tests.verifiers.verifying import load, make_verifier, verdict

SUITE = load("abuse/jwt_abuse_vectors.json")


def key_of(case: dict[str, Any]) -> Any:
    key = SUITE["keys"][case["key"]]
    return base64.b64decode(key["value"]) if key["form"] == "base64-bytes" else key["value"]


def answer_to(case: dict[str, Any]) -> str:
    try:
        verifier = make_verifier(
            key_of(case),
            # None means "left out" to the helper and "written so" in the case.
            algorithms=case["algorithms"] or "",
            issuer=case["issuer"],
            audience=case["audience"],
            now=lambda: SUITE["clock"],
        )
    except ConfigurationError:
        return "reject"
    return "accept" if verdict(verifier, case["token"]) == "accept" else "reject"


@pytest.mark.parametrize(
    "case", SUITE["cases"], ids=[f"{each['id']}-{each['name']}" for each in SUITE["cases"]]
)
def test_abuse_case_is_answered_as_wanted(case: dict[str, Any]) -> None:
    answer = answer_to(case)

    assert case["expect"] in (answer, "policy")


def test_abuse_suite_is_run_whole() -> None:
    assert len(SUITE["cases"]) == 134
