"""Swagger UI in a browser, and a real authorization server: who signs in, and what that opens."""

import base64
import hashlib
import json

import pytest
from playwright.sync_api import expect

from tests.browser.bundle_files import PUBLIC_CLIENT
from tests.browser.conftest import OpenDocs
from tests.browser.shop import ALL_SCOPES, API, PRESELECTED


def problem_of(body: str) -> dict[str, object]:
    problem: dict[str, object] = json.loads(body)
    return problem


def test_authorize_dialog_lists_every_scope_with_its_description(
    shop: str, open_docs: OpenDocs
) -> None:
    assert open_docs(shop).open_authorize().scopes() == ALL_SCOPES


@pytest.mark.parametrize(
    ("method", "path", "scopes"),
    [
        ("GET", "/orders", {"orders:read"}),
        ("POST", "/orders", {"orders:read", "orders:write"}),
        # Of alternatives Swagger UI shows the first.
        ("GET", "/reports", {"reports:read"}),
    ],
)
def test_padlock_shows_the_scopes_of_its_operation(
    shop: str, open_docs: OpenDocs, method: str, path: str, scopes: set[str]
) -> None:
    dialog = open_docs(shop).operation(method, path).open_padlock()
    assert dialog.scopes() == {name: ALL_SCOPES[name] for name in scopes}


def test_public_operation_has_no_padlock(shop: str, open_docs: OpenDocs) -> None:
    docs = open_docs(shop)
    expect(docs.operation("GET", "/orders").padlock).to_have_count(1)
    expect(docs.operation("GET", "/health").frame).to_have_count(1)
    expect(docs.operation("GET", "/health").padlock).to_have_count(0)


def test_person_signs_in_by_code_and_pkce_for_the_preselected_scopes(
    shop: str, open_docs: OpenDocs
) -> None:
    dialog = open_docs(shop).open_authorize()
    assert dialog.selected() == PRESELECTED
    sign_in = dialog.sign_in("alice")
    asked, redeemed = sign_in.asked, sign_in.redeemed
    assert (asked["response_type"], asked["client_id"]) == ("code", PUBLIC_CLIENT)
    assert (asked["scope"].split(), asked["resource"]) == (PRESELECTED, API)
    # RFC 7636 4.2: the challenge says nothing of what only this page can show.
    digest = hashlib.sha256(redeemed["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert asked["code_challenge_method"] == "S256"
    assert redeemed["grant_type"] == "authorization_code"
    assert "client_secret" not in redeemed


def test_call_with_its_scope_succeeds(shop: str, open_docs: OpenDocs) -> None:
    docs = open_docs(shop)
    docs.sign_in("alice")
    orders = docs.operation("GET", "/orders")
    expect(orders.padlock).to_have_accessible_name("authorization button locked")
    answer = orders.execute()
    assert (answer.status, json.loads(answer.body)[0]) == ("200", "a book")


def test_call_without_a_scope_shows_the_challenge_and_the_problem(
    shop: str, open_docs: OpenDocs
) -> None:
    docs = open_docs(shop)
    docs.sign_in("alice")
    answer = docs.operation("POST", "/orders").execute(thing="tea")
    assert answer.status == "403"
    # Swagger UI shows no blank after a comma of a field.
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="shop",error="insufficient_scope",'
        'error_description="the access token lacks a required scope",'
        'scope="orders:read orders:write"'
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem_of(answer.body)["required"] == [["orders:read", "orders:write"]]


def test_person_who_asks_for_more_scopes_may_do_more(shop: str, open_docs: OpenDocs) -> None:
    docs = open_docs(shop)
    docs.sign_in("alice")
    dialog = docs.open_authorize()
    dialog.log_out()
    dialog.select_all()
    dialog.sign_in("alice")
    dialog.close()
    assert docs.operation("POST", "/orders").execute(thing="tea").status == "200"


def test_call_of_someone_who_has_not_signed_in_is_challenged(
    shop: str, open_docs: OpenDocs
) -> None:
    answer = open_docs(shop).operation("GET", "/orders").execute()
    assert (answer.status, answer.headers["www-authenticate"]) == ("401", 'Bearer realm="shop"')
    assert problem_of(answer.body)["code"] == "missing_credentials"
    assert answer.headers["cache-control"] == "no-store"
