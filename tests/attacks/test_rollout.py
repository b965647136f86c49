"""A rollout that reports some refusals opens nothing else, and nothing for longer."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.testclient import TestClient

from fastapi_scopes import DENY, PUBLIC, Claims, JWTVerifier, ScopeGuard
from fastapi_scopes.verifiers import IssuersVerifier
from tests.apps import SECRET, bearer, make_guard, make_verifier
from tests.perimeter.calling import running

RULES = {
    "GET /scoped": "a",
    "GET /old/{name}": "a",
    "GET /old/denied": DENY,
    "GET /me": [],
    "GET /denied": DENY,
}
FORGOTTEN = ["/forgotten", "/old/x/forgotten"]
PATHS = ["/scoped", "/old/denied", "/old/{name}", "/me", "/denied", *FORGOTTEN]


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(params=[True, False], ids=["perimeter", "dependency"])
def protects(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def client_of(guard: ScopeGuard[Any], *, protects: bool) -> TestClient:
    app = FastAPI(openapi_url=None, dependencies=[] if protects else [Depends(guard)])
    for path in PATHS:
        app.add_api_route(path, running(path))
    if protects:
        guard.protect(app, strict=False)
    return TestClient(app)


@pytest.fixture
def client(protects: bool) -> Iterator[TestClient]:
    guard = make_guard(RULES, report_until=soon(), report_anonymous=["GET /old/**"])
    with client_of(guard, protects=protects) as client:
        yield client


def statuses_of(client: TestClient, headers: dict[str, str]) -> dict[str, int]:
    paths = ["/scoped", "/old/1", "/old/denied", "/me", "/denied", *FORGOTTEN]
    return {path: client.get(path, headers=headers).status_code for path in paths}


def test_missing_scopes_pass_and_no_more(client: TestClient) -> None:
    assert statuses_of(client, bearer("other")) == {
        "/scoped": 200,
        "/old/1": 200,
        "/old/denied": 403,
        "/me": 200,
        "/denied": 403,
        "/forgotten": 403,
        "/old/x/forgotten": 403,
    }


def test_callers_without_credentials_pass_where_a_key_says_so_and_no_more(
    client: TestClient,
) -> None:
    assert statuses_of(client, {}) == {
        "/scoped": 401,
        "/old/1": 200,
        "/old/denied": 401,
        "/me": 401,
        "/denied": 401,
        "/forgotten": 401,
        "/old/x/forgotten": 401,
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (lambda: {"Authorization": "Bearer"}, 400),
        (lambda: {"Authorization": "Bearer a b"}, 400),
        (lambda: {"Authorization": "Bearer garbage"}, 401),
        (lambda: bearer("a", exp=time.time() - 9), 401),
        (lambda: bearer("a", secret="another-secret-0123456789-0123456789"), 401),
        (lambda: bearer("a", nbf=time.time() + 900), 401),
    ],
    ids=["bare", "two", "garbage", "expired", "forged", "early"],
)
def test_bad_credentials_are_refused_as_always(
    headers: Any, status: int, client: TestClient
) -> None:
    assert {*statuses_of(client, headers()).values()} == {status}


@pytest.mark.parametrize("value", ["Basic YTpi", "Digest x", "Token x"])
def test_another_scheme_is_no_credentials(value: str, client: TestClient) -> None:
    assert client.get("/old/1", headers={"Authorization": value}).status_code == 200
    assert client.get("/scoped", headers={"Authorization": value}).status_code == 401


def test_nobody_passes_by_a_method_that_no_key_names(protects: bool) -> None:
    guard = make_guard({"* /old/{name}": "a"}, report_until=soon(), report_anonymous=["GET /old/*"])
    app = FastAPI(openapi_url=None, dependencies=[] if protects else [Depends(guard)])
    methods = ("GET", "POST", "DELETE")
    for method in methods:
        app.add_api_route("/old/{name}", running(method), methods=[method])
    if protects:
        guard.protect(app)
    with TestClient(app) as client:
        answers = {
            each: client.request(each, "/old/1").status_code for each in ("GET", "POST", "DELETE")
        }
    assert answers == {"GET": 200, "POST": 401, "DELETE": 401}


def test_scopes_of_the_route_itself_are_reported_as_those_of_the_map(protects: bool) -> None:
    guard = make_guard({"GET /a": "a"}, report_until=soon())
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"), dependencies=[Security(guard, scopes=["b"])])
    if protects:
        guard.protect(app)
    with TestClient(app) as client:
        assert client.get("/a", headers=bearer("a")).status_code == 200
        assert client.get("/a").status_code == 401


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def test_at_the_moment_itself_the_guard_enforces(protects: bool) -> None:
    clock = Clock()
    until = datetime.fromtimestamp(clock.now + 100, UTC)
    options: dict[str, Any] = {"report_until": until, "report_anonymous": ["GET /old/**"]}
    guard = make_guard(RULES, now=clock, **options)
    begin = until.timestamp()
    with client_of(guard, protects=protects) as client:
        for moment, passes in (
            (begin - 100, True),
            (math.nextafter(begin, 0), True),
            (begin, False),
            (math.nextafter(begin, math.inf), False),
            (begin + 1e9, False),
            (math.nan, False),
        ):
            clock.now = moment
            assert client.get("/scoped", headers=bearer()).status_code == (200 if passes else 403)
            assert client.get("/old/1").status_code == (200 if passes else 401)
            assert client.get("/scoped", headers=bearer("a")).status_code == 200


def test_guard_that_starts_after_the_moment_enforces(protects: bool) -> None:
    guard = make_guard(RULES, report_until=datetime(2026, 1, 1, tzinfo=UTC))
    with client_of(guard, protects=protects) as client:
        assert client.get("/scoped", headers=bearer()).status_code == 403


def limited(**options: Any) -> JWTVerifier[Any]:
    return make_verifier(allowed_scopes=["a", "b"], **options)


class Wrapper:
    """A verifier of the application around a limited one."""

    def __init__(self, verifier: Any) -> None:
        self._verifier = verifier

    async def verify(self, token: str) -> Claims:
        claims: Claims = await self._verifier.verify(token)
        return claims

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        found: frozenset[str] | None = self._verifier.issuers_granting(scope)
        return found


class Inheriting(JWTVerifier[Any]):
    async def verify(self, token: str) -> Claims:
        claims: Claims = await super().verify(token)
        return claims


VERIFIERS: dict[str, tuple[Any, bool]] = {
    "limited": (limited, True),
    "limited-to-nothing": (lambda: make_verifier(allowed_scopes=[]), True),
    "limited-by-pattern": (lambda: make_verifier(allowed_scopes=["a:*", "a"]), True),
    "unlimited": (make_verifier, False),
    "wrapped": (lambda: Wrapper(limited()), True),
    # What it limits, nobody knows.
    "wrapped-unlimited": (lambda: Wrapper(make_verifier()), True),
    "inherited": (
        lambda: Inheriting(
            keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None, allowed_scopes=["b"]
        ),
        True,
    ),
    "inherited-unlimited": (
        lambda: Inheriting(keys=[SECRET], algorithms=["HS256"], issuer=None, audience=None),
        False,
    ),
    "member": (
        lambda: IssuersVerifier(
            [limited(issuer="https://one"), make_verifier(issuer="https://two")]
        ),
        True,
    ),
    "other-member": (
        lambda: IssuersVerifier(
            [limited(issuer="https://two"), make_verifier(issuer="https://one")]
        ),
        False,
    ),
}


@pytest.mark.parametrize(("make", "is_limited"), VERIFIERS.values(), ids=VERIFIERS)
def test_token_of_a_limited_issuer_is_never_let_through(
    make: Any, is_limited: bool, protects: bool
) -> None:
    guard: ScopeGuard[Any] = ScopeGuard(RULES, verifier=make(), report_until=soon())
    with client_of(guard, protects=protects) as client:
        answer = client.get("/scoped", headers=bearer(iss="https://one"))
    assert answer.status_code == (403 if is_limited else 200)


def test_limited_issuer_that_lists_the_admin_scope_is_limited(protects: bool) -> None:
    verifier = make_verifier(allowed_scopes=["admin"], issuer="https://one")
    other = make_verifier(issuer="https://two")
    guard: ScopeGuard[Any] = ScopeGuard(
        {"GET /scoped": "a"},
        verifier=IssuersVerifier([verifier, other]),
        admin_scope="admin",
        report_until=soon(),
    )
    with client_of(guard, protects=protects) as client:
        answers = {
            (issuer, each): client.get("/scoped", headers=bearer(each, iss=issuer)).status_code
            for issuer in ("https://one", "https://two")
            for each in ("x", "admin")
        }
    assert answers == {
        ("https://one", "x"): 403,
        ("https://one", "admin"): 200,
        # Reported: the admin scope counts not from there, and no limit is known.
        ("https://two", "x"): 200,
        ("https://two", "admin"): 200,
    }


def test_handler_learns_who_is_let_through_and_of_nobody_else(protects: bool) -> None:
    guard = make_guard({"GET /a": "a"}, report_until=soon(), report_anonymous=["GET /a"])
    app = FastAPI(openapi_url=None)

    @app.get("/a")
    async def answer(claims: Annotated[Claims | None, Depends(guard)]) -> Any:
        return claims and [claims.sub, sorted(claims.scopes)]

    if protects:
        guard.protect(app)
    with TestClient(app) as client:
        assert client.get("/a", headers=bearer("x")).json() == ["alice", ["x"]]
        assert client.get("/a").json() is None


def test_bound_claims_of_who_is_let_through_are_those_of_the_token(protects: bool) -> None:
    seen: list[Claims] = []

    def bind(asgi_scope: Any, claims: Claims) -> None:
        seen.append(claims)

    guard = make_guard({"GET /scoped": "a"}, report_until=soon(), bind=bind)
    with client_of(guard, protects=protects) as client:
        assert client.get("/scoped", headers=bearer("x")).status_code == 200
    assert [each.scopes for each in seen] == [{"x"}]


def test_public_route_and_admin_stay_what_they_are(protects: bool) -> None:
    guard = make_guard(
        {"GET /me": PUBLIC, "GET /scoped": "a"}, admin_scope="root", report_until=soon()
    )
    with client_of(guard, protects=protects) as client:
        assert client.get("/me", headers={"Authorization": "Bearer x"}).status_code == 200
        assert client.get("/scoped", headers=bearer("root")).status_code == 200
        assert client.get("/denied", headers=bearer("root")).status_code == 403


def test_another_token_on_one_connection_is_refused_for_itself() -> None:
    guard = make_guard({"GET /scoped": "a"}, report_until=soon())
    with client_of(guard, protects=True) as client:
        assert client.get("/scoped", headers=bearer("x")).status_code == 200
        forged = bearer("a", secret="another-secret-0123456789-0123456789")
        assert client.get("/scoped", headers=forged).status_code == 401
