"""Attack: `Depends` gets the class, so that the caller's request would configure the guard."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.testclient import TestClient

from fastapi_scopes import Claims, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard, make_verifier


class OwnGuard(ScopeGuard[Claims]):
    """A guard with nothing of its own."""


MESSAGE = r"guard = (ScopeGuard|OwnGuard)\(scope_map, verifier=verifier\), then Depends\(guard\)"


async def answer() -> str:
    return "ran"


@pytest.mark.parametrize("declared", [Depends, Security])
@pytest.mark.parametrize(
    "guard", [ScopeGuard, ScopeGuard[Claims], OwnGuard], ids=["class", "alias", "subclass"]
)
def test_class_in_place_of_an_instance_fails_when_declared(guard: Any, declared: Any) -> None:
    with pytest.raises(ConfigurationError, match=MESSAGE):
        FastAPI().add_api_route("/x", answer, dependencies=[declared(guard)])
    with pytest.raises(ConfigurationError, match=MESSAGE):
        APIRouter(dependencies=[declared(guard)]).add_api_route("/x", answer)
    with pytest.raises(ConfigurationError, match=MESSAGE):
        FastAPI(dependencies=[declared(guard)]).add_api_route("/x", answer)


def test_class_as_the_type_of_a_parameter_fails_when_declared() -> None:
    async def endpoint(guard: Annotated[ScopeGuard[Claims], Depends()]) -> str:
        return "ran"

    with pytest.raises(ConfigurationError, match=MESSAGE):
        FastAPI().add_api_route("/x", endpoint)


@pytest.mark.parametrize(
    "guard", [ScopeGuard, ScopeGuard[Claims], OwnGuard], ids=["class", "alias", "subclass"]
)
def test_class_on_an_inclusion_fails_at_the_check_and_never_opens(guard: Any) -> None:
    router = APIRouter()
    router.add_api_route("/x", answer)
    app = FastAPI()
    app.include_router(router, dependencies=[Depends(guard)])
    with pytest.raises(ConfigurationError, match=MESSAGE):
        make_guard({}).check(app)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/x?scope_map=x&verifier=x").status_code == 500


@pytest.mark.parametrize("kind", [ScopeGuard, OwnGuard], ids=["guard", "subclass"])
def test_guard_that_is_called_in_place_of_passed_says_what_to_write(kind: Any) -> None:
    guard = kind({"GET /x": "a"}, verifier=make_verifier())
    with pytest.raises(TypeError, match=r"write Depends\(guard\), not Depends\(guard\(\)\)"):
        Depends(guard())


def test_instance_of_a_subclass_guards() -> None:
    app = FastAPI(dependencies=[Depends(OwnGuard({"GET /x": "a"}, verifier=make_verifier()))])
    app.add_api_route("/x", answer)
    assert TestClient(app).get("/x", headers=bearer()).status_code == 403
    assert TestClient(app).get("/x", headers=bearer("a")).status_code == 200
