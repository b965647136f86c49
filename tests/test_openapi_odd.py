"""Documents of others that are odd: they are served, and say what they said."""

import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate

from tests.apps import make_guard

EVENT = "#/components/pathItems/Event"


def protected(change: Any) -> Any:
    """The `openapi` of a protected app whose own document was changed by *change*."""
    app = FastAPI()
    app.add_api_route("/a", lambda: "ran")
    native = app.openapi

    def custom() -> Any:
        return change(json.loads(json.dumps(native())))

    app.openapi = custom  # type: ignore[method-assign]
    make_guard({"GET /a": "a"}).protect(app, strict=False)
    return app.openapi


def with_event(document: dict[str, Any]) -> dict[str, Any]:
    again = {"{$request.body#/url}": {"$ref": EVENT}}
    post = {"responses": {"200": {"description": "ok"}}, "callbacks": {"next": again}}
    document.setdefault("components", {})["pathItems"] = {"Event": {"post": post}}
    return document


def by_webhook(document: dict[str, Any]) -> dict[str, Any]:
    return {**with_event(document), "webhooks": {"w": {"$ref": EVENT}}}


def by_callback(document: dict[str, Any]) -> dict[str, Any]:
    with_event(document)["paths"]["/a"]["get"]["callbacks"] = {"c": {"{$u}": {"$ref": EVENT}}}
    return document


@pytest.mark.parametrize("change", [by_webhook, by_callback])
def test_callback_that_leads_back_to_itself_is_looked_at_once(change: Any) -> None:
    document = protected(change)()
    validate(document)
    assert document["components"]["pathItems"] == with_event({})["components"]["pathItems"]
    assert document["paths"]["/a"]["get"]["security"] == [{"ScopeGuard": ["a"]}]


def test_root_security_is_that_of_a_webhook_that_is_elsewhere() -> None:
    document = protected(lambda d: {**by_webhook(d), "security": []})()
    assert document["components"]["pathItems"]["Event"]["post"]["security"] == []


def test_version_may_be_a_number() -> None:
    document = protected(lambda d: {**d, "openapi": 3.1})()
    assert document["paths"]["/a"]["get"]["security"] == [{"ScopeGuard": ["a"]}]


def test_scopes_that_are_no_texts_are_none() -> None:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        document["paths"]["/a"]["get"]["security"] = [{"other": [{}, "b"]}]
        return document

    document = protected(change)()
    assert document["paths"]["/a"]["get"]["security"] == [{"ScopeGuard": ["a"], "other": ["b"]}]


@pytest.mark.parametrize("said", [None, [], "no document", {}, {"openapi": "3.1.0"}])
def test_what_is_no_document_is_passed_on(said: Any) -> None:
    assert protected(lambda _: said)() == said


def test_path_item_in_another_document_stays_where_it_is() -> None:
    there = {"$ref": "https://api.example/others.json#/a"}
    document = protected(lambda d: {**d, "paths": {**d["paths"], "/b": there}})()
    assert document["paths"]["/b"] == there


class Fixed(FastAPI):
    @property
    def openapi(self) -> Any:  # type: ignore[override]
        return lambda: {"openapi": "3.1.0"}


def test_document_that_cannot_be_replaced_is_named_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Fixed(openapi_url=None)
    with caplog.at_level(logging.WARNING, "fastapi_scopes"):
        make_guard({}).protect(app)
    assert caplog.messages[0] == "the document of Fixed cannot show the rules"
    assert app.openapi() == {"openapi": "3.1.0"}
