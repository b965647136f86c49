"""The guard in the OpenAPI document."""

from fastapi import APIRouter, Depends, FastAPI, Security

from fastapi_scopes import PUBLIC
from tests.apps import make_guard


async def answer() -> str:
    return "ran"


def test_guard_is_a_bearer_scheme_of_every_guarded_operation() -> None:
    guard = make_guard({"GET /v1/x": [], "GET /y": "a", "GET /open": PUBLIC})
    router = APIRouter()
    router.add_api_route("/x", answer)
    app = FastAPI()
    app.include_router(router, prefix="/v1", dependencies=[Depends(guard)])
    app.add_api_route("/y", answer, dependencies=[Security(guard, scopes=["b"])])
    app.add_api_route("/open", answer)
    document = app.openapi()
    assert document["components"]["securitySchemes"] == {
        "ScopeGuard": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert document["paths"]["/v1/x"]["get"]["security"] == [{"ScopeGuard": []}]
    assert document["paths"]["/y"]["get"]["security"] == [{"ScopeGuard": ["b"]}]
    assert "security" not in document["paths"]["/open"]["get"]


def test_guard_adds_no_parameter_to_an_operation() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({}))])
    app.add_api_route("/x", answer)
    operation = app.openapi()["paths"]["/x"]["get"]
    assert "parameters" not in operation
    assert "requestBody" not in operation
