"""What `explain` says of the map of AgentOS is what a request gets, by both ways in."""

import csv
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from fastapi_scopes import DENY, agentos
from tests.apps import make_guard
from tests.doors import DOORS
from tests.test_explain_alike import ask, assert_alike

with (Path(__file__).parent / "seed_matrix.csv").open(newline="") as file:
    AGENTOS = [(row["method"], row["template"]) for row in csv.DictReader(file)]
CUSTOM = {
    "GET /agents/*": ["app:read"],
    "POST /agents/*/runs": ["app:run", "app:execute"],
    "GET /sessions/*": ["app:read", "sessions:read"],
    "DELETE /sessions": DENY,
}


@pytest.mark.parametrize("door", DOORS)
def test_map_of_agentos_is_explained_as_it_is_enforced(door: str) -> None:
    guard = make_guard(agentos.scope_map(CUSTOM), admin_scope="app:root")
    app = DOORS[door](guard)

    async def answer() -> str:
        return "ran"

    for method, template in AGENTOS:
        app.add_api_route(template, answer, methods=[method])
    if door == "perimeter":
        guard.check(app)
    client = TestClient(app)
    reasons = set()
    callers = (None, [], ["agents:read", "app:read"], ["app:run", "sessions:read"], ["app:root"])
    for method, template in AGENTOS:
        path = re.sub(r"\{[^}]*\}", "x1", template)
        for scopes in callers:
            told = guard.explain(app, method, path, scopes=scopes)
            assert told.template == template
            assert_alike(told, ask(client, method, path, scopes))
            reasons.add(told.reason)
    assert {"public", "granted", "insufficient_scope", "missing_credentials", "denied"} <= reasons
