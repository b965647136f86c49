"""The document of the example's AgentOS, held against what it does: every operation of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from fastapi_scopes import ScopeGuard, agentos
from tests.agentos.systems import make_agent_os, make_everything
from tests.agentos.test_example import CUSTOM_SCOPES, example
from tests.apps import SECRET, make_guard, make_verifier
from tests.documents import lies_of, operation_of, operations_of

PUBLIC_OPERATIONS = {"GET /health", "GET /info"}


def make_example_guard(admin_scope: str = example.ADMIN_SCOPE) -> ScopeGuard[Any]:
    return make_guard(
        agentos.scope_map(CUSTOM_SCOPES),
        verifier=make_verifier(scopes_claim="scopes"),
        admin_scope=admin_scope,
        bind=agentos.bind_principal,
    )


def the_example(folder: Path) -> FastAPI:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", f"sqlite:///{folder / 'example.db'}")
        environment.setenv(example.SECRET_VARIABLE, SECRET)
        environment.setenv("OPENAI_API_KEY", "")
        return example.create_app()


def documented(folder: Path) -> FastAPI:
    guard = make_example_guard()
    base_app = FastAPI(dependencies=[Depends(guard)])
    return guard.document(make_agent_os(folder, base_app).get_app())


def everything(folder: Path) -> FastAPI:
    # Some routes ask the application as well whether the caller is an admin.
    return make_example_guard("agent_os:admin").protect(make_everything(folder, mcp=True).get_app())


SYSTEMS: dict[str, Callable[[Path], FastAPI]] = {
    "example": the_example,
    "documented": documented,
    "everything": everything,
}


@pytest.fixture(scope="module", params=SYSTEMS.values(), ids=SYSTEMS.keys())
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    app = request.param(tmp_path_factory.mktemp("agentos"))
    # The MCP server answers to names of this machine alone.
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def document_of(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def mint(*scopes: str) -> str:
    return example.mint(SECRET, "someone", list(scopes))


def test_document_is_valid(client: TestClient) -> None:
    document = document_of(client)
    for number, each in enumerate(operations_of(document)):
        # With everything switched on, AgentOS has one operationId twice.
        each.value["operationId"] = f"operation-{number}"
    validate(document)


def test_scheme_of_the_guard_is_the_only_one(client: TestClient) -> None:
    document = document_of(client)
    schemes = document["components"]["securitySchemes"]
    scopes = schemes["ScopeGuard"].pop("x-scopes")
    assert schemes == {"ScopeGuard": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    alternatives = [each.alternatives("ScopeGuard") for each in operations_of(document)]
    asked = {scope for found in alternatives for each in found for scope in each}
    assert len(asked) > 1
    assert asked <= set(scopes)
    assert "HTTPBearer" not in str([each.security for each in operations_of(document)])


def test_public_operations_are_the_only_open_ones(client: TestClient) -> None:
    operations = list(operations_of(document_of(client)))
    assert len(operations) > 110
    found = {str(each) for each in operations if each.security == []}
    assert found - {"GET /mcp/server-card"} == PUBLIC_OPERATIONS
    assert all(each.security == [] or not each.is_open("ScopeGuard") for each in operations)


def test_custom_scopes_are_those_of_the_operation(client: TestClient) -> None:
    run = operation_of(document_of(client), "POST /agents/{agent_id}/runs")
    assert run["security"] == [{"ScopeGuard": ["app:execute", "app:run"]}]
    assert run["x-required-scopes"] == [["app:execute", "app:run"]]


def test_agentos_does_what_its_document_says(client: TestClient) -> None:
    assert lies_of(document_of(client), client, mint) == []
