"""One event for each decision, and one line for each refusal, through both ways in."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

from fastapi_scopes import DENY, OPTIONAL, PUBLIC, Claims, ScopeGuard
from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from fastapi_scopes.events import DecisionEvent
from fastapi_scopes.guard import AccessRefused
from tests.apps import bearer, make_guard, make_verifier, mint
from tests.perimeter.calling import running

RULES = {
    "GET /public": PUBLIC,
    "GET /optional": OPTIONAL,
    "GET /me": [],
    "POST /agents/*/runs": ["app:run", "app:execute"],
    "GET /denied": DENY,
    "WEBSOCKET /ws": "w",
}


class Notes:
    """An immediate hook that notes what it is told."""

    def __init__(self) -> None:
        self.events: list[DecisionEvent] = []

    def tell(self, event: DecisionEvent) -> None:
        self.events.append(event)

    @property
    def told(self) -> list[tuple[bool, str]]:
        return [(each.allowed, each.reason) for each in self.events]


def make_app(guard: ScopeGuard[Any], *, protects: bool) -> FastAPI:
    app = FastAPI(openapi_url=None, dependencies=[] if protects else [Depends(guard)])

    @app.get("/public")
    @app.get("/optional")
    @app.get("/me")
    @app.get("/denied")
    @app.get("/forgotten")
    @app.post("/agents/{agent_id}/runs")
    async def answer() -> str:
        return "ran"

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    if protects:
        guard.protect(app, strict=False)
    return app


Ask = Callable[..., int]


@pytest.fixture(params=[True, False], ids=["perimeter", "dependency"])
def protects(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def client(protects: bool, notes: Notes) -> Iterator[TestClient]:
    guard = make_guard(RULES, on_decision=notes)
    with TestClient(make_app(guard, protects=protects)) as client:
        yield client


ANSWERS: dict[str, tuple[str, str, Callable[[], dict[str, str]], int, str, dict[str, Any]]] = {
    "public": ("GET", "/public", lambda: bearer("x"), 200, "public", {"rule": "GET /public"}),
    "anonymous": ("GET", "/optional", dict, 200, "anonymous", {"subject": None}),
    "authenticated": ("GET", "/me", bearer, 200, "authenticated", {"subject": "alice"}),
    "granted": (
        *("POST", "/agents/a1/runs", lambda: bearer("app:run", "app:execute", jti="t1")),
        *(200, "granted"),
        {"template": "/agents/{agent_id}/runs", "rule": "POST /agents/*/runs", "jti": "t1"},
    ),
    "missing": (
        *("POST", "/agents/a1/runs", lambda: bearer("app:run", client_id="web")),
        *(403, "insufficient_scope"),
        {"missing": ("app:execute",), "client": "web", "subject": "alice"},
    ),
    "no credentials": ("GET", "/me", dict, 401, "missing_credentials", {"rule": "GET /me"}),
    "malformed": (
        *("GET", "/me", lambda: {"Authorization": "Bearer"}),
        *(400, "malformed_credentials", {"subject": None}),
    ),
    "expired": (
        *("GET", "/me", lambda: bearer(exp=time.time() - 5, jti="t2")),
        *(401, "expired", {"subject": None, "jti": None, "rule": "GET /me"}),
    ),
    "forged": (
        *("GET", "/me", lambda: bearer(secret="another-secret-0123456789-0123456789")),
        *(401, "signature", {"subject": None}),
    ),
    "denied": ("GET", "/denied", bearer, 403, "denied", {"rule": "GET /denied"}),
    "no rule": ("GET", "/forgotten", bearer, 403, "no_rule", {"rule": None}),
    "actor": (
        "GET",
        "/me",
        lambda: bearer(act={"sub": "robot"}),
        200,
        "authenticated",
        {"actor": "robot"},
    ),
    "odd actor": ("GET", "/me", lambda: bearer(act=["x"]), 200, "authenticated", {"actor": None}),
    "azp": ("GET", "/me", lambda: bearer(azp="web"), 200, "authenticated", {"client": "web"}),
}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "reason", "parts"), ANSWERS.values(), ids=ANSWERS
)
def test_each_decision_is_one_event(
    method: str,
    path: str,
    headers: Callable[[], dict[str, str]],
    status: int,
    reason: str,
    parts: dict[str, Any],
    client: TestClient,
    notes: Notes,
) -> None:
    before = datetime.now(UTC)
    answer = client.request(method, path, headers=headers())
    assert answer.status_code == status
    (event,) = notes.events
    assert (event.allowed, event.reason, event.method) == (status == 200, reason, method)
    assert event.status == (None if status == 200 else status)
    assert event.code == (None if status == 200 else answer.json()["code"])
    assert {name: getattr(event, name) for name in parts} == parts
    assert before <= event.moment <= datetime.now(UTC)
    assert not event.reported


def test_refused_socket_is_one_event(client: TestClient, notes: Notes) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws"):
        pass
    with client.websocket_connect("/ws", headers=bearer("w")):
        pass
    assert notes.told == [(False, "missing_credentials"), (True, "granted")]
    assert {each.method for each in notes.events} == {"WEBSOCKET"}
    assert {each.template for each in notes.events} == {"/ws"}


def test_unknown_path_is_no_decision(client: TestClient, notes: Notes) -> None:
    assert client.get("/nowhere").status_code == 404
    assert client.put("/me").status_code == 405
    assert notes.events == []


def test_dependency_behind_the_perimeter_decides_nothing_more(notes: Notes) -> None:
    guard = make_guard({"GET /a": "a"}, on_decision=notes)
    app = FastAPI(openapi_url=None)

    @app.get("/a")
    async def answer(
        claims: Annotated[Claims, Depends(guard)], again: Annotated[Claims, Security(guard)]
    ) -> str | None:
        return claims.sub

    with TestClient(guard.protect(app)) as client:
        assert client.get("/a", headers=bearer("a")).json() == "alice"
    assert notes.told == [(True, "granted")]


def test_guard_on_app_router_and_route_is_one_decision(notes: Notes) -> None:
    guard = make_guard({"GET /r/a": "a"}, on_decision=notes)
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    router = APIRouter(dependencies=[Depends(guard)])

    @router.get("/a", dependencies=[Depends(guard)])
    async def answer() -> str:
        return "ran"

    app.include_router(router, prefix="/r")
    assert TestClient(app).get("/r/a", headers=bearer("a")).status_code == 200
    assert notes.told == [(True, "granted")]


@pytest.mark.parametrize("has_bind", [True, False])
def test_what_bind_refuses_is_a_refusal_and_nothing_else(
    protects: bool, notes: Notes, has_bind: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def bind(asgi_scope: Any, claims: Claims) -> None:
        if claims.sub == "mallory":
            raise KeyError("canary")

    guard = make_guard(RULES, on_decision=notes, bind=bind if has_bind else None)
    with TestClient(make_app(guard, protects=protects)) as client:
        status = client.get("/me", headers=bearer(sub="mallory")).status_code
        assert client.get("/me", headers=bearer()).status_code == 200
        assert client.get("/public").status_code == 200
    assert status == (401 if has_bind else 200)
    first = (False, "claims") if has_bind else (True, "authenticated")
    assert notes.told == [first, (True, "authenticated"), (True, "public")]
    assert [each.subject for each in notes.events] == ["mallory", "alice", None]
    assert "canary" not in caplog.text


def test_outage_is_a_refusal(protects: bool, notes: Notes) -> None:
    class Down:
        async def verify(self, token: str) -> Claims:
            raise VerifierUnavailable

    guard: ScopeGuard[Any] = ScopeGuard(RULES, verifier=Down(), on_decision=notes)
    with TestClient(make_app(guard, protects=protects)) as client:
        assert client.get("/me", headers=bearer()).status_code == 503
    assert notes.told == [(False, "verifier_unavailable")]


def test_subjects_have_pseudonyms_in_event_and_log(
    protects: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def subjects(key: str | bytes) -> set[str | None]:
        notes = Notes()
        guard = make_guard(RULES, on_decision=notes, subject_key=key)
        with TestClient(make_app(guard, protects=protects)) as client:
            client.get("/me", headers=bearer(act={"sub": "alice"}))
            client.get("/denied", headers=bearer())
        return {each.subject for each in notes.events} | {notes.events[0].actor}

    caplog.set_level(logging.INFO, "fastapi_scopes")
    (first,) = subjects("a-key-of-the-tests-0123456789")
    (again,) = subjects(b"a-key-of-the-tests-0123456789")
    (other,) = subjects("another-key-of-the-tests-0123456789")
    assert first == again != other
    assert first is not None
    assert len(first) == 32
    assert first in caplog.text
    assert "alice" not in caplog.text
    assert "a-key" not in caplog.text


@pytest.mark.parametrize("key", ["short", b"", 7, ["x" * 40]])
def test_key_for_pseudonyms_is_a_secret(key: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_guard(RULES, subject_key=key)
    (problem,) = caught.value.problems
    assert problem.setting == "subject_key"
    assert "short" not in str(problem)


def test_hook_changes_no_answer_and_none_waits_for_it(protects: bool) -> None:
    def fails(event: DecisionEvent) -> None:
        raise RuntimeError("no")

    async def refuses(event: DecisionEvent) -> None:
        raise AccessRefused(None)  # type: ignore[arg-type]

    for hook in (fails, refuses):
        guard = make_guard(RULES, on_decision=hook)
        with TestClient(make_app(guard, protects=protects)) as client:
            assert client.get("/me", headers=bearer()).status_code == 200
            assert client.get("/me").status_code == 401
            assert client.get("/public").status_code == 200


def test_events_are_frozen(client: TestClient, notes: Notes) -> None:
    client.get("/public")
    with pytest.raises(AttributeError):
        notes.events[0].allowed = False  # type: ignore[misc]


def test_end_of_the_lifespan_waits_for_the_hook() -> None:
    seen: list[DecisionEvent] = []

    def slow(event: DecisionEvent) -> None:
        time.sleep(0.01)
        seen.append(event)

    async def patient(event: DecisionEvent) -> None:
        seen.append(event)

    for hook in (slow, patient):
        seen.clear()
        guard = make_guard(RULES, on_decision=hook)
        with TestClient(make_app(guard, protects=True)) as client:
            for _ in range(20):
                client.get("/public")
        assert len(seen) == 20


def test_events_come_before_the_lifespan_of_the_app_ends() -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        yield
        order.append("left")

    def slow(event: DecisionEvent) -> None:
        time.sleep(0.05)
        order.append("event")

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.add_api_route("/a", running("a"))
    guard = make_guard({"GET /a": PUBLIC}, on_decision=slow)
    with TestClient(guard.protect(app)) as client:
        client.get("/a")
    assert order == ["event", "left"]


def test_no_token_is_in_an_event_or_a_line(
    client: TestClient, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fastapi_scopes")
    for token in (mint(), mint(exp=time.time() - 9), mint(secret="x" * 40), "garbage-canary"):
        client.get("/denied", headers={"Authorization": f"Bearer {token}"})
        for part in token.split("."):
            assert part not in caplog.text
            assert part not in repr(notes.events)


def test_path_of_a_client_is_in_no_event_or_line(
    client: TestClient, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    client.post("/agents/canary/runs?q=canary")
    client.get("/me/canary", headers=bearer())
    client.get("/me%0Acanary", headers=bearer())
    lines = [each.getMessage() for each in caplog.records if each.name == "fastapi_scopes"]
    assert lines
    assert "canary" not in f"{notes.events}{lines}"


def test_every_refusal_is_a_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    for _ in range(3):
        client.post("/agents/a/runs", headers=bearer("app:run", jti="t1"))
    client.get("/public")
    lines = [each for each in caplog.records if each.getMessage().startswith("refused ")]
    assert [each.levelname for each in lines] == ["WARNING", "INFO", "INFO"]
    assert lines[1].getMessage() == (
        "refused POST on /agents/{agent_id}/runs: insufficient_scope, missing 'app:execute' "
        "(403, rule 'POST /agents/*/runs', sub 'alice', jti 't1')"
    )


class OddClaims(Claims):
    """Claims whose class has code of its own."""

    @property
    def azp(self) -> str:
        raise RuntimeError("canary")

    def __getattribute__(self, name: str) -> Any:
        if name in {"act", "azp"}:
            raise RuntimeError("canary")
        return super().__getattribute__(name)


def test_code_of_a_claims_model_ends_no_request(protects: bool, notes: Notes) -> None:
    verifier = make_verifier(claims_model=OddClaims)
    guard = make_guard(RULES, verifier=verifier, on_decision=notes)
    with TestClient(make_app(guard, protects=protects)) as client:
        assert client.get("/me", headers=bearer(act={"sub": "x"})).status_code == 200
        assert client.get("/denied", headers=bearer()).status_code == 403
    assert [each.subject for each in notes.events] == ["alice", "alice"]


class OddError(TokenError):
    def __init__(self) -> None:
        super().__init__(TokenFault.CLAIMS, "a\nb\x1b[2J" + "x" * 10_000)
        self.code = f"canary {id(self)}"  # type: ignore[assignment]


def test_errors_of_the_application_fill_neither_log_nor_memory(
    protects: bool, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        async def verify(self, token: str) -> Claims:
            raise OddError

    caplog.set_level(logging.INFO, "fastapi_scopes")
    guard: ScopeGuard[Any] = ScopeGuard(RULES, verifier=Odd(), on_decision=notes)
    with TestClient(make_app(guard, protects=protects)) as client:
        for _ in range(5):
            assert client.get("/me", headers=bearer()).status_code == 401
    lines = [each for each in caplog.messages if each.startswith("refused GET on /me")]
    assert len(lines) == 5
    assert all(each.isprintable() and len(each) < 500 for each in lines)
    assert {each.reason for each in notes.events} == {"claims"}


def test_refused_request_carries_its_route() -> None:
    seen: dict[str, object] = {}

    class Metrics:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                seen[scope["path"]] = getattr(scope.get("route"), "path", None)

    app = FastAPI(openapi_url=None)
    router = APIRouter()
    router.add_api_route("/things/{thing}", running("thing"))
    app.include_router(router, prefix="/v1")
    app.add_api_route("/items/{item}", running("item"))
    app.router.routes.append(Route("/plain/{name}", running("plain")))
    app.router.routes.append(Mount("/m", routes=[Route("/inner/{x}", running("inner"))]))
    app.add_middleware(Metrics)
    guard = make_guard({"* /**": "a"})
    paths = ["/items/1", "/plain/1", "/v1/things/1", "/m/inner/1"]
    with TestClient(guard.protect(app, strict=False)) as client:
        for path in paths:
            assert client.get(path).status_code == 401
        refused = dict(seen)
        for path in paths:
            assert client.get(path, headers=bearer("a")).status_code == 200
    assert refused.pop("/plain/1") == "/plain/{name}"
    # What is there where the request passes; for plain routes the framework names none.
    assert refused == {path: seen[path] for path in refused}
    assert all(refused.values())
    assert client.get("/nowhere").status_code == 404
    assert seen["/nowhere"] is None


def test_own_handler_of_refusals_and_hidden_paths_are_told_too(notes: Notes) -> None:
    guard = make_guard({"GET /a": "a"}, on_decision=notes)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"))
    with TestClient(guard.protect(app, hide_unknown=True)) as client:
        assert client.get("/nowhere").status_code == 401
        assert client.get("/nowhere", headers=bearer()).status_code == 404
    assert notes.told == [(False, "missing_credentials"), (True, "authenticated")]
    assert [each.template for each in notes.events] == [None, None]


def test_credentials_that_change_behind_the_perimeter_are_another_decision(notes: Notes) -> None:
    guard = make_guard({"GET /a": "a"}, on_decision=notes)

    async def swap(connection: HTTPConnection) -> None:
        connection.scope["headers"] = []

    app = FastAPI(openapi_url=None)

    @app.get("/a", dependencies=[Depends(swap), Depends(guard)])
    async def answer() -> str:
        return "ran"

    with TestClient(guard.protect(app)) as client:
        assert client.get("/a", headers=bearer("a")).status_code == 401
    assert notes.told == [(True, "granted"), (False, "missing_credentials")]


def test_report_is_told_as_such(protects: bool, notes: Notes) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    guard = make_guard(RULES, on_decision=notes, report_until=until)
    with TestClient(make_app(guard, protects=protects)) as client:
        assert client.post("/agents/a/runs", headers=bearer("app:run")).status_code == 200
    (event,) = notes.events
    assert (event.allowed, event.reported, event.reason) == (True, True, "insufficient_scope")
    assert event.missing == ("app:execute",)
    assert event.status is None
