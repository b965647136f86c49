"""What schemathesis makes of the example's document, with a token of each kind.

Only answers of the guard are judged: what AgentOS says of itself is its own.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from tests.agentos.test_example import CALLERS, example
from tests.agentos.test_openapi import the_example
from tests.apps import SECRET

CONFORMANCE = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
load_all_checks()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = the_example(tmp_path_factory.mktemp("schemathesis"))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def headers_of(caller: str) -> dict[str, str] | None:
    tokens = {name: example.mint(SECRET, *who) for name, who in example.CALLERS.items()}
    if caller == "none":
        # Schemathesis makes up credentials where it is given none.
        return None
    return {"Authorization": f"Bearer {tokens.get(caller, 'x.y.z')}"}


BOUNDS = settings(
    max_examples=2,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("caller", ["none", "garbage", *CALLERS])
def test_answers_of_the_guard_are_those_of_the_document(schema: Any, caller: str) -> None:
    headers, checks = headers_of(caller), CHECKS.get_by_names(CONFORMANCE)
    statuses: set[int] = set()
    faults: list[str] = []

    def judge(case: Any) -> None:
        response = case.call(headers=headers)
        if "urn:fastapi-scopes:problem:" not in response.text:
            return
        statuses.add(response.status_code)
        try:
            case.validate_response(response, checks=checks, headers=headers)
        except FailureGroup as group:
            faults.extend(f"{case.operation.label}: {each}" for each in group.exceptions)

    for found in schema.get_all_operations():
        BOUNDS(given(case=found.ok().as_strategy())(judge))()
    assert faults == []
    expected = {"none": {400, 401}, "garbage": {401}}.get(caller, {403})
    assert statuses == expected
