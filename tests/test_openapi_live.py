"""The document of a rich app: it is valid, pinned, and says what the app does."""

import json
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from fastapi_scopes import Claims
from fastapi_scopes.errors import VerifierUnavailable
from tests.apps import make_guard, mint
from tests.documents import lies_of, operations_of, security_of
from tests.openapi_app import SNAPSHOT, by_dependency, by_perimeter

DOORS = {"dependency": by_dependency, "perimeter": by_perimeter}
KEY = {"X-Key": "k"}

Build = Callable[[], tuple[FastAPI, FastAPI]]


@pytest.fixture(params=DOORS.values(), ids=DOORS.keys())
def build(request: pytest.FixtureRequest) -> Build:
    found: Build = request.param
    return found


def test_document_is_valid(build: Build) -> None:
    for app in build():
        validate(app.openapi())


def test_document_is_that_of_the_snapshot() -> None:
    assert by_perimeter()[0].openapi() == json.loads(SNAPSHOT.read_text())


def test_both_doors_say_the_same(build: Build) -> None:
    assert [security_of(app.openapi()) for app in build()] == [
        security_of(app.openapi()) for app in by_perimeter()
    ]


def test_live_app_does_what_the_document_says(build: Build) -> None:
    app, sub = build()
    assert len(list(operations_of(app.openapi()))) == 16
    client = TestClient(app)
    assert lies_of(app.openapi(), client, mint, others=KEY) == []
    assert lies_of(sub.openapi(), client, mint, others=KEY, prefix="/sub") == []


def test_walk_finds_a_document_that_is_too_open_or_too_strict(build: Build) -> None:
    app, _ = build()
    client, document = TestClient(app), json.loads(json.dumps(app.openapi()))
    get, me = document["paths"]["/items"]["get"], document["paths"]["/me"]["get"]
    get["security"], me["security"] = [{"ScopeGuard": []}], [{"ScopeGuard": ["a"]}]
    document["paths"]["/health"]["get"]["security"] = [{"ScopeGuard": []}]
    document["paths"]["/unruled"]["get"].pop("x-denied")
    found = [lie.split(" answers ")[0] for lie in lies_of(document, client, mint, others=KEY)]
    assert sorted(found) == ["GET /health", "GET /items", "GET /me", "GET /unruled"]


class Unavailable:
    async def verify(self, token: str) -> Claims:
        raise VerifierUnavailable


def test_walk_finds_a_guard_that_refuses_good_tokens_otherwise() -> None:
    guard = make_guard({"GET /x": "a"}, verifier=Unavailable())
    app = FastAPI()
    app.add_api_route("/x", lambda: "ran")
    client = TestClient(guard.protect(app, strict=False))
    unavailable = lies_of(app.openapi(), client, mint)
    malformed = lies_of(app.openapi(), client, lambda *_: "two words")
    for found, status in [(unavailable, 503), (malformed, 400)]:
        assert found == [f"GET /x answers {status} to ['a']", f"GET /x answers {status} to []"]


def test_served_document_is_the_same(build: Build) -> None:
    app, _ = build()
    assert TestClient(app).get("/openapi.json").json() == app.openapi()
