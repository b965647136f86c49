"""What a document says of answers beside those of the guard, which have the same statuses."""

from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from pydantic import BaseModel

from fastapi_scopes import AUTHENTICATED, OPTIONAL, PUBLIC
from tests.apps import bearer, make_guard
from tests.documents import operation_of

OURS = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/AccessRefused"}}}
THEIRS = {"application/json": {"schema": {"$ref": "#/components/schemas/ApplicationError"}}}
STATUSES = ["400", "401", "403", "503"]


class Reason(BaseModel):
    reason: str


async def answer() -> str:
    return "ran"


def document_by(rule: Any, **route: Any) -> dict[str, Any]:
    app = FastAPI()
    app.add_api_route("/x", answer, **route)
    document: dict[str, Any] = make_guard({"GET /x": rule}).protect(app, strict=False).openapi()
    validate(document)
    return document


def contents_of(document: dict[str, Any]) -> dict[str, Any]:
    responses = operation_of(document, "GET /x")["responses"]
    return {status: each.get("content") for status, each in responses.items() if status != "200"}


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [("a", STATUSES), (AUTHENTICATED, ["400", "401", "503"]), (OPTIONAL, ["400", "401", "503"])],
    ids=["scopes", "authenticated", "optional"],
)
def test_answers_of_the_application_stand_beside_those_of_the_guard(
    rule: Any, statuses: list[str]
) -> None:
    found = contents_of(document_by(rule))
    assert found == {status: {**OURS, **THEIRS} for status in statuses}
    # Readers who take the first take what is exact.
    assert [next(iter(each)) for each in found.values()] == [*OURS] * len(statuses)


def test_public_operation_shows_no_answers_but_its_own() -> None:
    assert contents_of(document_by(PUBLIC)) == {}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        pytest.param({"description": "No"}, {**OURS, **THEIRS}, id="no content"),
        pytest.param(
            {"description": "No", "content": {}}, {**OURS, **THEIRS}, id="an empty content"
        ),
        pytest.param(
            {"model": Reason},
            {"application/json": {"schema": {"$ref": "#/components/schemas/Reason"}}, **OURS},
            id="JSON",
        ),
        pytest.param(
            {"description": "No", "content": {"text/plain": {"schema": {"type": "string"}}}},
            {"text/plain": {"schema": {"type": "string"}}, **OURS},
            id="text",
        ),
    ],
)
@pytest.mark.parametrize("status", [403, "4XX", "default"])
def test_what_the_application_declares_is_not_widened(
    status: Any, declared: Any, expected: Any
) -> None:
    document = document_by("a", responses={status: declared})
    assert contents_of(document)["403"] == expected


def test_schema_of_the_guard_alone_is_that_of_its_own_media_type() -> None:
    schemas = document_by("a")["components"]["schemas"]
    assert set(schemas) == {"AccessRefused", "ApplicationError"}
    # Any JSON is allowed: handlers of the application's may render errors in their own way.
    assert not schemas["ApplicationError"].keys() & {"type", "required", "enum"}
    assert schemas["ApplicationError"]["properties"] == {"detail": {}}


def test_schema_of_the_application_that_is_named_alike_keeps_its_name() -> None:
    named = type("ApplicationError", (Reason,), {"__module__": __name__})
    document = document_by("a", responses={409: {"model": named}})
    assert "reason" in document["components"]["schemas"]["ApplicationError"]["properties"]
    theirs = {"schema": {"$ref": "#/components/schemas/ApplicationError2"}}
    assert contents_of(document)["403"]["application/json"] == theirs


def test_schema_is_left_out_where_the_application_declares_everything() -> None:
    document = document_by("a", responses={each: {"model": Reason} for each in STATUSES})
    assert set(document["components"]["schemas"]) == {"AccessRefused", "Reason"}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("way", ["raise", "detail of a dict", "list"])
def test_answer_that_no_route_declares_is_one_of_the_document(status: str, way: str) -> None:
    app = FastAPI()

    @app.get("/x")
    async def fail() -> JSONResponse:
        if way == "list":
            return JSONResponse(["not available"], int(status))
        raise HTTPException(int(status), "not available" if way == "raise" else {"code": 7})

    client = TestClient(make_guard({"GET /x": "a"}).protect(app, strict=False))
    content = contents_of(app.openapi())[status]
    of_the_application = client.get("/x", headers=bearer("a"))
    assert of_the_application.status_code == int(status)
    assert of_the_application.headers["content-type"] in content
    of_the_guard = client.get("/x", headers=bearer("b"))
    assert of_the_guard.headers["content-type"] in content
