"""Attacks on whose claims a guard decides."""

import base64
import logging
from typing import Annotated, Any, cast

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import Claims, ScopeGuard, TokenVerifier
from fastapi_scopes.errors import TokenError
from tests.apps import bearer, make_guard, make_verifier, mint

FORGED_SECRET = "a-secret-of-the-attacker-0123456789-0123456789"


async def answer() -> str:
    return "ran"


def test_strict_inner_guard_does_not_see_the_claims_of_a_lax_outer_one() -> None:
    lax = make_guard({"GET /x": []}, verifier=make_verifier(keys=[FORGED_SECRET]))
    strict = make_guard({"GET /x": "admin"})
    app = FastAPI(dependencies=[Depends(lax)])
    app.add_api_route("/x", answer, dependencies=[Depends(strict)])
    forged = {"Authorization": f"Bearer {mint('admin', secret=FORGED_SECRET)}"}
    response = TestClient(app).get("/x", headers=forged)
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"


class Counting:
    def __init__(self, verifier: TokenVerifier[Claims]) -> None:
        self.verifier, self.verified = verifier, 0

    async def verify(self, token: str) -> Claims:
        self.verified += 1
        return await self.verifier.verify(token)


def test_token_is_verified_once_per_connection_and_verifier() -> None:
    verifier = Counting(make_verifier())
    first = make_guard({"GET /x": []}, verifier=verifier)
    second = make_guard({"GET /x": "a"}, verifier=verifier)
    app = FastAPI(dependencies=[Depends(first), Depends(second)])
    app.add_api_route("/x", answer, dependencies=[Depends(first, use_cache=False)])
    client = TestClient(app)
    assert client.get("/x", headers=bearer("a")).status_code == 200
    assert verifier.verified == 1
    assert client.get("/x", headers=bearer()).status_code == 403
    assert verifier.verified == 2


class Wordy:
    async def verify(self, token: str) -> Claims:
        raise TokenError("a reason of its own")  # type: ignore[arg-type]  # pyright: ignore


def test_verifier_that_names_a_reason_of_its_own_refuses_all_the_same() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": []}, verifier=Wordy()))])
    app.add_api_route("/x", answer)
    response = TestClient(app).get("/x", headers=bearer("a"))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


def test_forged_token_learns_no_scope() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": "a:secret-name"}))])
    app.add_api_route("/x", answer)
    for secret in (FORGED_SECRET, FORGED_SECRET[::-1]):
        forged = {"Authorization": f"Bearer {mint(secret=secret)}"}
        response = TestClient(app).get("/x", headers=forged)
        assert response.status_code == 401
        assert "secret-name" not in f"{response.headers}{response.text}"


class Empty:
    async def verify(self, token: str) -> Claims:
        return cast("Claims", None)


def test_verifier_without_claims_lets_no_one_in() -> None:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": []}, verifier=Empty()))])
    app.add_api_route("/x", answer)
    assert TestClient(app).get("/x", headers=bearer()).status_code == 401


def test_handler_that_mutates_its_claims_changes_no_later_decision() -> None:
    shared = make_verifier()
    outer = ScopeGuard({"GET /x": []}, verifier=shared)
    inner = ScopeGuard({"GET /x": "admin"}, verifier=shared)

    async def greedy(claims: Annotated[Claims, Depends(outer)]) -> None:
        claims.__dict__["scopes"] = frozenset({"admin"})

    app = FastAPI(dependencies=[Depends(greedy), Depends(inner)])
    app.add_api_route("/x", answer)
    client = TestClient(app)
    assert client.get("/x", headers=bearer()).status_code == 403
    assert client.get("/x", headers=bearer("admin")).status_code == 200


def test_no_token_reaches_a_log_an_exception_or_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": "admin"}))])
    app.add_api_route("/x", answer)
    client = TestClient(app)
    canary = mint("other", canary="c" * 40)
    for credentials in (f"Bearer {canary}", f"Bearer {canary[:-6]}", f"Bearer {canary} {canary}"):
        response = client.get("/x", headers={"Authorization": credentials})
        assert response.status_code >= 400
        assert canary[:40] not in f"{response.headers}{response.text}"
    assert canary[:40] not in caplog.text
    # A developer learns why, by a constant and the route's own template.
    assert "refused GET on /x: malformed, a part of it is no base64url (401 inv" in caplog.text
    assert "refused GET on /x: malformed_credentials" in caplog.text


def odd_credentials() -> dict[str, Any]:
    def part(text: bytes) -> bytes:
        return base64.urlsafe_b64encode(text).rstrip(b"=")

    deep = part(b'{"alg":"HS256","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    return {
        "header nested 100,000 deep": b"Bearer " + deep + b".e30.AAAA",
        "lone surrogate in the header": b"Bearer " + part(b'{"alg":"\\ud800"}') + b".e30.AAAA",
        "5,000 digits in the header": b"Bearer "
        + part(b'{"alg":' + b"1" * 5000 + b"}")
        + b".e30.A",
        "1 MiB": b"Bearer " + b"A" * 1024 * 1024,
        "latin-1": "Bearer é".encode("latin-1"),
        "utf-8": "Bearer é".encode(),
        "NUL": b"Bearer a\x00b",
        "list": b"Bearer a, Bearer b",
        "tab": b"Bearer\ta.b.c",
        "empty": b"",
        "blank": b"   ",
        "dots": b"Bearer " + b"." * 10_000,
        "no scheme": b"=",
    }


@pytest.mark.parametrize("name", odd_credentials())
@pytest.mark.anyio
async def test_odd_credentials_never_answer_422_or_500(name: str) -> None:
    assert await _status_for([odd_credentials()[name]]) in {400, 401}


@pytest.mark.parametrize(
    "fields",
    [[b"Bearer a", b"Bearer a"], [b"Basic YTpi", b"Bearer a"], [b"Bearer a", b"Basic YTpi"]],
)
@pytest.mark.anyio
async def test_two_authorization_fields_are_refused(fields: list[bytes]) -> None:
    valid = f"Bearer {mint()}".encode()
    assert await _status_for([valid]) == 200
    assert await _status_for(fields) == 400
    assert await _status_for([valid, *fields]) == 400


@pytest.mark.anyio
async def test_token_in_the_query_is_not_read() -> None:
    assert await _status_for([], query=f"access_token={mint()}".encode()) == 401


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _status_for(fields: list[bytes], *, query: bytes = b"") -> int:
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": []}))])
    app.add_api_route("/x", answer)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", field) for field in fields]
    asgi_scope = {"type": "http", "method": "GET", "path": "/x", "headers": headers}
    await app({**asgi_scope, "query_string": query}, receive, send)
    return int(sent[0]["status"])
