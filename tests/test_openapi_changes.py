"""When a document is made anew, and who may have a say in it."""

import copy
import json
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.applications import Starlette

from fastapi_scopes import PUBLIC, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from tests.apps import make_guard
from tests.documents import security_of

S = "ScopeGuard"
RULES = {"GET /x": "x", "GET /late": "late", "GET /{any}": "any", "GET /sub/late": "sub"}


async def answer() -> str:
    return "ran"


def by_dependency(guard: ScopeGuard[Any], app: FastAPI) -> FastAPI:
    app.router.dependencies.append(Depends(guard))
    return guard.document(app)


def by_perimeter(guard: ScopeGuard[Any], app: FastAPI) -> FastAPI:
    return guard.protect(app, strict=False)


@pytest.fixture(params=[by_dependency, by_perimeter], ids=["dependency", "perimeter"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    app: FastAPI = request.param(make_guard(RULES), FastAPI())
    app.add_api_route("/x", answer)
    assert security_of(app.openapi()) == {"GET /x": [{S: ["x"]}]}
    return app


def test_same_object_while_nothing_changed(app: FastAPI) -> None:
    assert app.openapi() is app.openapi()


def test_late_route_is_shown(app: FastAPI) -> None:
    app.add_api_route("/late", answer)
    assert security_of(app.openapi())["GET /late"] == [{S: ["late"]}]


def test_late_inclusion_and_what_comes_into_it_later_is_shown(app: FastAPI) -> None:
    router = APIRouter()
    app.include_router(router)
    assert "GET /late" not in security_of(app.openapi())
    router.add_api_route("/late", answer)
    assert security_of(app.openapi())["GET /late"] == [{S: ["late"]}]


def test_route_that_was_appended_to_the_list_is_shown(app: FastAPI) -> None:
    before = app.openapi()
    dependencies = app.router.dependencies
    app.router.routes.append(APIRoute("/late", answer, dependencies=dependencies))
    assert app.openapi() is not before
    assert security_of(app.openapi())["GET /late"] == [{S: ["late"]}]


def test_route_that_is_gone_is_not_shown(app: FastAPI) -> None:
    app.router.routes[:] = [each for each in app.router.routes if each.path != "/x"]  # type: ignore[attr-defined]
    assert security_of(app.openapi()) == {}


def test_route_that_moved_before_another_is_shown_there(app: FastAPI) -> None:
    app.add_api_route("/{any}", answer)
    assert security_of(app.openapi())["GET /x"] == [{S: ["x"]}]
    app.router.routes.insert(0, app.router.routes.pop())
    assert security_of(app.openapi())["GET /x"] == [{S: ["any", "x"]}]


def test_what_was_written_into_fastapis_document_is_shown(app: FastAPI) -> None:
    assert app.openapi_schema is not None
    app.openapi_schema["info"]["title"] = "Changed"
    assert app.openapi()["info"]["title"] == "Changed"


def test_document_that_was_set_by_hand_stays_through_a_change(app: FastAPI) -> None:
    mine = {"openapi": "3.1.0", "info": {"title": "Mine"}, "paths": {"/x": {"get": {}}}}
    app.openapi_schema = mine
    app._openapi_routes_version = app.router._get_routes_version()
    assert app.openapi()["info"] == {"title": "Mine"}
    app.router.routes.insert(0, APIRoute("/late", answer))
    assert app.openapi()["info"] == {"title": "Mine"}
    assert app.openapi_schema is mine


def test_document_of_fastapi_itself_is_never_changed(app: FastAPI) -> None:
    app.openapi_schema = None
    app.openapi()
    by_fastapi = FastAPI()
    by_fastapi.add_api_route("/x", answer)
    plain = json.dumps(by_fastapi.openapi()["paths"]["/x"]["get"]["responses"])
    schema: Any = app.openapi_schema
    assert json.dumps(schema["paths"]["/x"]["get"]["responses"]) == plain
    kept = copy.deepcopy(schema)
    document = app.openapi()
    document["paths"]["/x"]["get"]["responses"]["401"]["description"] = "changed"
    document["components"].clear()
    assert schema == kept


def test_documents_of_two_apps_share_nothing() -> None:
    first, second = (by_perimeter(make_guard(RULES), FastAPI()) for _ in range(2))
    for app in (first, second):
        app.add_api_route("/x", answer)
    schemas = first.openapi()["components"]["schemas"]
    schemas["AccessRefused"]["properties"]["code"]["enum"].clear()
    field = "WWW-Authenticate"
    first.openapi()["paths"]["/x"]["get"]["responses"]["401"]["headers"][field].clear()
    assert second.openapi()["components"]["schemas"] != schemas
    assert second.openapi()["paths"]["/x"]["get"]["responses"]["401"]["headers"][field]


def test_openapi_of_ones_own_is_asked() -> None:
    app = FastAPI()

    def mine() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = get_openapi(title="Mine", version="1", routes=app.routes)
        return app.openapi_schema

    app.openapi = mine  # type: ignore[method-assign]
    by_perimeter(make_guard(RULES), app)
    app.add_api_route("/x", answer)
    assert (app.openapi()["info"]["title"], len(app.openapi()["paths"])) == ("Mine", 1)
    # What keeps its document for ever is told to make another one.
    app.add_api_route("/late", answer)
    assert (app.openapi()["info"]["title"], len(app.openapi()["paths"])) == ("Mine", 2)


def test_document_is_built_once_for_many_requests() -> None:
    served = make_guard({"GET /x": "x"}).protect(FastAPI(), strict=False, docs=PUBLIC)
    served.add_api_route("/x", answer)
    client = TestClient(served)
    first = client.get("/openapi.json").json()
    document = served.openapi()
    assert client.get("/openapi.json").json() == first == document
    assert served.openapi() is document


def test_document_and_protect_may_be_called_again() -> None:
    guard = make_guard({"GET /x": "x"})
    app = FastAPI(dependencies=[Depends(guard)])
    app.add_api_route("/x", answer)
    for _ in range(2):
        assert guard.document(app) is app
    document = app.openapi()
    assert guard.document(app).openapi() is document
    for _ in range(2):
        guard.protect(app, strict=False)
        guard.document(app)
    assert security_of(app.openapi()) == {"GET /x": [{S: ["x"]}]}


def test_protect_decides_the_keys_of_a_mounted_app_that_was_documented_before() -> None:
    guard = make_guard({"GET /x": "local", "GET /sub/x": "prefixed"})
    outer, sub = FastAPI(), FastAPI(dependencies=[Depends(guard)])
    sub.add_api_route("/x", answer)
    outer.mount("/sub", sub)
    guard.document(sub)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["local"]}]}
    guard.protect(outer, strict=False)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["prefixed"]}]}


MESSAGE = "the app is documented by another guard; keep one of the two"


def test_second_guard_is_an_error() -> None:
    first, second = make_guard(RULES), make_guard(RULES)
    documented, protected = first.document(FastAPI()), first.protect(FastAPI())
    for call, app in (
        (second.document, documented),
        (second.protect, documented),
        (second.document, protected),
    ):
        with pytest.raises(ConfigurationError) as raised:
            call(app)  # type: ignore[operator]
        assert str(raised.value) == MESSAGE
    with pytest.raises(ConfigurationError, match="protected by another guard"):
        second.protect(protected)
    # What was refused changed nothing.
    first.protect(documented)


@pytest.mark.parametrize(
    "app", [Starlette(), APIRouter(), None, "app"], ids=lambda a: type(a).__name__
)
def test_only_a_fastapi_app_has_a_document(app: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"document\(\) takes a FastAPI app, not"):
        make_guard(RULES).document(app)


@pytest.mark.parametrize("door", [by_dependency, by_perimeter])
def test_route_in_the_place_of_one_that_looks_alike_is_shown(door: Any) -> None:
    guard = make_guard({"GET /x": "x"})
    app = FastAPI(openapi_url=None)
    door(guard, app)
    for scopes in (["first"], ["second"]):
        dependencies = [Security(guard, scopes=scopes)]
        app.router.routes[:] = [APIRoute("/x", answer, dependencies=dependencies)]
        assert security_of(app.openapi()) == {"GET /x": [{S: sorted([*scopes, "x"])}]}
