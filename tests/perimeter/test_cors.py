"""What scripts in a browser learn from a protected app that has CORSMiddleware (Fetch 3.2)."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from fastapi_scopes import DENY, PUBLIC, Claims, ScopeGuard
from fastapi_scopes.errors import VerifierUnavailable
from tests.apps import MakeHeaders, bearer, make_guard

UI = "https://ui.example"
RESOURCE = "https://api.example"
PATH = "/.well-known/oauth-protected-resource"
RULES = {
    "GET /x": "a:1",
    "POST /x": DENY,
    "GET /below/plain": "a:1",
    f"GET {PATH}": PUBLIC,
}
CORS: dict[str, Any] = {
    "allow_origins": [UI],
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["Authorization"],
    "expose_headers": ["WWW-Authenticate"],
}


async def answer() -> str:
    return "ran"


async def plain(request: object) -> PlainTextResponse:
    return PlainTextResponse("ran")


def make_client(*, is_protected_first: bool = False, **options: Any) -> TestClient:
    guard: ScopeGuard[Any] = make_guard(
        RULES, resource=RESOURCE, authorization_servers=["https://login.example"], **options
    )
    app = FastAPI(openapi_url=None)
    if is_protected_first:
        guard.protect(app)
    app.add_middleware(CORSMiddleware, **CORS)
    app.add_api_route("/x", answer, methods=["GET", "POST"])
    app.router.routes.append(Mount("/below", routes=[Route("/plain", plain)]))
    app.include_router(guard.metadata_router())
    return TestClient(guard.protect(app), headers={"Origin": UI})


class Unreachable:
    async def verify(self, token: str) -> Claims:
        raise VerifierUnavailable(1)


REFUSALS: dict[str, tuple[str, str, MakeHeaders, int]] = {
    "anonymous": ("GET", "/x", dict, 401),
    "anonymous-plain": ("GET", "/below/plain", dict, 401),
    "malformed": ("GET", "/x", lambda: {"Authorization": "Bearer"}, 400),
    "invalid": ("GET", "/x", lambda: {"Authorization": "Bearer a.b.c"}, 401),
    "lacking": ("GET", "/x", lambda: bearer("b:2"), 403),
    "lacking-plain": ("GET", "/below/plain", lambda: bearer("b:2"), 403),
    "denied-anonymous": ("POST", "/x", dict, 401),
}


@pytest.mark.parametrize("is_protected_first", [False, True], ids=["cors-first", "protected-first"])
@pytest.mark.parametrize(
    ("method", "path", "make_headers", "status"), REFUSALS.values(), ids=REFUSALS
)
def test_challenge_is_exposed_to_scripts(
    method: str,
    path: str,
    make_headers: MakeHeaders,
    status: int,
    *,
    is_protected_first: bool,
) -> None:
    client = make_client(is_protected_first=is_protected_first)
    refused = client.request(method, path, headers=make_headers())
    assert refused.status_code == status
    assert refused.headers["www-authenticate"].startswith('Bearer realm="api"')
    assert refused.headers["access-control-allow-origin"] == UI
    assert refused.headers["access-control-expose-headers"] == "WWW-Authenticate"


@pytest.mark.parametrize("path", ["/x", "/below/plain", PATH])
def test_preflight_needs_no_token_and_no_rule(path: str) -> None:
    wanted = {"Access-Control-Request-Method": "GET"}
    asked = wanted | {"Access-Control-Request-Headers": "authorization"}
    response = make_client().options(path, headers=asked)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == UI
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert "www-authenticate" not in response.headers


@pytest.mark.parametrize("path", ["/x", "/below/plain"])
def test_what_only_looks_like_a_preflight_is_refused(path: str) -> None:
    # Without the method that is asked for it is an OPTIONS request like any other.
    response = make_client().options(path)
    assert response.status_code in {401, 405}
    assert response.text != "ran"


def test_preflight_of_another_origin_opens_nothing() -> None:
    wanted = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    response = make_client().options("/x", headers=wanted)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


def test_scripts_read_the_metadata_and_that_the_issuer_is_out() -> None:
    found = make_client().get(PATH)
    assert found.headers["access-control-allow-origin"] == UI
    assert found.json()["resource"] == RESOURCE
    refused = make_client(verifier=Unreachable()).get("/x", headers=bearer())
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (503, UI)
