"""`app.dependency_overrides[guard]`: who is asking is replaced, what the map says is not."""

import functools
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.routing import Route
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import AUTHENTICATED, DENY, OPTIONAL, PUBLIC, Claims, ScopeGuard, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from tests.apps import MakeHeaders, bearer, make_guard
from tests.perimeter.small import MALFORMED, CountingVerifier, forged, make_app, plain

RULES: dict[str, Any] = {
    "GET /a": "a",
    "GET /b": "b",
    "GET /any": AUTHENTICATED,
    "GET /open": PUBLIC,
    "GET /feed": OPTIONAL,
    "GET /shut": DENY,
    "GET /plain": "a",
    "WEBSOCKET /ws": "a",
}
REFUSES = "the override of the guard in dependency_overrides lets nothing through the perimeter"
WARNS = "dependency_overrides stands in for the guard"


def bob(*scopes: str) -> Claims:
    return Claims(sub="bob", exp=1, scopes=frozenset(scopes))


def bob_with(scope_held: str) -> Claims:
    return bob(scope_held)


def scopeless() -> Claims:
    return bob()


def make_overridden(override: Any, **options: Any) -> TestClient:
    """Return a client of an app whose endpoints say as whom they see the caller."""
    guard: ScopeGuard[Any] = make_guard(ScopeMap(RULES, optional=True), **options)
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])

    async def who(
        request: Request, claims: Annotated[Claims | None, Depends(guard)]
    ) -> list[str | None]:
        return [each.sub if each else None for each in (claims, guard.claims_of(request))]

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        claims = guard.claims_of(websocket)
        await websocket.send_text(str(claims.sub if claims else None))
        await websocket.close()

    for path in ("/a", "/b", "/any", "/open", "/feed", "/shut", "/unruled"):
        app.add_api_route(path, who)
    app.router.routes.append(Route("/plain", plain, methods=["GET"]))
    app.add_api_websocket_route("/ws", greet)
    guard.protect(app, strict=False)
    app.dependency_overrides[guard] = override
    return TestClient(app, raise_server_exceptions=False)


async def bob_later() -> Claims:
    return bob("a")


class Bob:
    def __call__(self) -> Claims:
        return bob("a")

    def method(self) -> Claims:
        return bob("a")

    async def method_later(self) -> Claims:
        return bob("a")


class MyClaims(Claims):
    tenant: str = "acme"


def bob_of_a_tenant() -> MyClaims:
    return MyClaims(sub="bob", exp=1, scopes=frozenset({"a"}))


HONOURED = [
    pytest.param(lambda: bob("a"), id="lambda"),
    pytest.param(bob_later, id="async function"),
    pytest.param(functools.partial(bob_with, "a"), id="partial"),
    pytest.param(Bob(), id="instance"),
    pytest.param(Bob().method, id="method"),
    pytest.param(Bob().method_later, id="async method"),
    pytest.param(bob_of_a_tenant, id="claims model of one's own"),
]


@pytest.mark.parametrize("override", HONOURED)
@pytest.mark.parametrize(
    "make_headers",
    [dict, lambda: MALFORMED, forged, bearer, lambda: bearer("a", "b")],
    ids=["anonymous", "malformed", "forged", "no scope", "every scope"],
)
def test_claims_of_the_override_stand_in_and_the_map_decides(
    override: Any, make_headers: MakeHeaders
) -> None:
    verifier, headers = CountingVerifier(), make_headers()
    client = make_overridden(override, verifier=verifier)
    assert client.get("/a", headers=headers).json() == ["bob", "bob"]
    assert client.get("/any", headers=headers).json() == ["bob", "bob"]
    assert client.get("/feed", headers=headers).json() == ["bob", "bob"]
    assert client.get("/plain", headers=headers).text == "ran"
    assert client.get("/b", headers=headers).json()["required"] == [["b"]]
    for path in ("/shut", "/unruled"):
        response = client.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    with client.websocket_connect("/ws", headers=headers) as websocket:
        assert websocket.receive_text() == "bob"
    assert verifier.verified == 0


def test_public_route_stays_public_under_an_override() -> None:
    client = make_overridden(scopeless)
    assert client.get("/open").status_code == 200
    assert client.get("/nope").status_code == 404


def test_admin_scope_counts_in_claims_of_the_override() -> None:
    client = make_overridden(lambda: bob("root"), admin_scope="root")
    assert client.get("/b").json() == ["bob", "bob"]
    assert client.get("/shut").status_code == 403


def test_claims_of_the_override_are_bound_once_where_they_pass() -> None:
    bound: list[str | None] = []
    client = make_overridden(lambda: bob("a"), bind=lambda _, claims: bound.append(claims.sub))
    for path in ("/open", "/b", "/shut", "/unruled", "/nope"):
        client.get(path)
    assert bound == []
    client.get("/a")
    assert bound == ["bob"]


def _yielding() -> Iterator[Claims]:
    yield bob("a")


async def _yielding_later() -> AsyncIterator[Claims]:
    yield bob("a")


async def _none_later() -> None: ...


def _asking(request: Request) -> Claims:
    return bob("a")


def _with_default(scopes: str = "a") -> Claims:
    return bob(scopes)


OTHER = [
    pytest.param(lambda: None, id="returns None"),
    pytest.param(_none_later, id="returns None later"),
    pytest.param(lambda: True, id="returns True"),
    pytest.param(lambda: {"sub": "bob", "scopes": ["a"]}, id="returns a dict"),
    pytest.param(lambda: Claims, id="returns the class"),
    pytest.param(_yielding, id="yields"),
    pytest.param(_yielding_later, id="yields later"),
    pytest.param(_asking, id="takes the request"),
    pytest.param(_with_default, id="takes what has a default"),
    pytest.param(bob, id="takes any number"),
    pytest.param(bob("a"), id="claims themselves"),
    pytest.param(Claims, id="claims model"),
    pytest.param(object, id="class"),
    pytest.param(dict, id="class without a signature"),
    pytest.param("bob", id="text"),
    pytest.param(None, id="None"),
]
EVERYWHERE = ("/a", "/b", "/any", "/open", "/feed", "/shut", "/unruled", "/plain", "/nope")


def replace_override(client: TestClient, override: Any) -> None:
    overrides = client.app.dependency_overrides  # type: ignore[attr-defined]
    overrides.update(dict.fromkeys(overrides, override))


@pytest.mark.parametrize("override", OTHER)
def test_any_other_override_is_an_error_at_the_start_that_says_the_way_out(override: Any) -> None:
    client = make_overridden(override)
    assert client.get("/open").status_code == 503
    with pytest.raises(ConfigurationError, match="returns Claims, such as lambda"), client:
        pass


@pytest.mark.parametrize("override", OTHER)
def test_any_other_override_lets_nothing_through_and_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture, override: Any
) -> None:
    client = make_overridden(scopeless)
    assert client.get("/open").status_code == 200
    replace_override(client, override)
    assert client.get("/nope").status_code == 404
    for path in EVERYWHERE[:-1]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "fastapi_scopes"):
            refused = client.get(path, headers=bearer("a", "b"))
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
        assert any(message.startswith(REFUSES) for message in caplog.messages)
        for headers, status in (({}, 401), (MALFORMED, 400), (forged(), 401)):
            assert client.get(path, headers=headers).status_code == status, path
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        client.websocket_connect("/ws", headers=bearer("a")),
    ):
        pass
    assert denied.value.status_code == 403


@pytest.mark.parametrize(
    "error", [HTTPException(418), RuntimeError("broken")], ids=["HTTPException", "RuntimeError"]
)
def test_override_that_raises_lets_nothing_through(error: Exception) -> None:
    def raising() -> Claims:
        raise error

    client = make_overridden(scopeless)
    assert client.get("/open").status_code == 200
    replace_override(client, raising)
    for path in EVERYWHERE:
        assert client.get(path, headers=bearer("a", "b")).status_code >= 400
    with pytest.raises(ConfigurationError, match=type(error).__name__), client:
        pass


@pytest.mark.parametrize("make_headers", [dict, lambda: bearer("a"), forged])
def test_override_that_lets_nothing_through_leaves_nothing_behind(make_headers: Any) -> None:
    guard = make_guard({"GET /open": PUBLIC})
    app = guard.protect(make_app("/open"))
    with TestClient(app) as client:
        app.dependency_overrides[guard] = lambda: None
        assert client.get("/open", headers=make_headers()).status_code in {401, 403}
        app.dependency_overrides.clear()
        assert client.get("/open").status_code == 200


def test_override_counts_from_the_next_request_on_and_no_longer_than_it_is_there() -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"))
    with TestClient(app) as client:
        assert client.get("/a").status_code == 401
        app.dependency_overrides[guard] = lambda: bob("a")
        assert client.get("/a").status_code == 200
        app.dependency_overrides = {guard: scopeless}
        assert client.get("/a").status_code == 403
        app.dependency_overrides.clear()
        assert client.get("/a").status_code == 401


@pytest.mark.parametrize("starts", [True, False], ids=["lifespan", "no lifespan"])
@pytest.mark.parametrize("override", [lambda: bob("a"), lambda: None], ids=["honoured", "other"])
def test_override_that_is_there_at_the_start_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, starts: bool, override: Any
) -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"))
    app.dependency_overrides[guard] = override
    client = TestClient(app)
    with caplog.at_level(logging.WARNING, "fastapi_scopes"):
        if starts:
            with suppress(ConfigurationError), client:
                client.get("/a")
        else:
            client.get("/a")
            client.get("/a")
    warned = [each for each in caplog.records if each.getMessage().startswith(WARNS)]
    assert [each.levelname for each in warned] == ["WARNING"]


def test_no_override_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    app = make_guard({"GET /a": "a"}).protect(make_app("/a"))
    with caplog.at_level(logging.WARNING, "fastapi_scopes"), TestClient(app) as client:
        client.get("/a")
    assert [each for each in caplog.messages if not each.startswith("refused ")] == []


def test_override_hides_no_gap() -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a", "/forgotten"))
    app.dependency_overrides[guard] = lambda: bob("a")
    assert TestClient(app).get("/a").status_code == 503


def test_override_of_another_guard_or_of_a_mounted_app_counts_there_alone() -> None:
    guard, other = make_guard({"GET /a": "a", "GET /sub/x": "a"}), make_guard({"GET /a": "a"})
    app = make_app("/a")
    sub = make_app("/x", dependencies=[Depends(guard)])
    app.mount("/sub", sub)
    guard.protect(app)
    app.dependency_overrides[other] = lambda: bob("a")
    sub.dependency_overrides[guard] = lambda: bob("a")
    client = TestClient(app)
    for path in ("/a", "/sub/x"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer("b")).status_code == 403
        assert client.get(path, headers=bearer("a")).status_code == 200


def test_override_lets_unknown_paths_be_seen_where_they_are_hidden() -> None:
    guard = make_guard({"GET /a": "a"})
    app = guard.protect(make_app("/a"), hide_unknown=True)
    client = TestClient(app)
    assert client.get("/nope").status_code == 401
    app.dependency_overrides[guard] = scopeless
    assert client.get("/nope").status_code == 404


def test_handler_that_changes_claims_of_an_override_changes_no_later_decision() -> None:
    shared = bob("a")
    guard = make_guard({"GET /a": "a", "GET /b": "b"})
    app = make_app("/b")

    @app.get("/a")
    async def greedy(request: Request) -> None:
        vars(guard.claims_of(request))["scopes"] = frozenset({"a", "b"})

    guard.protect(app)
    app.dependency_overrides[guard] = lambda: shared
    client = TestClient(app)
    assert client.get("/a").status_code == 200
    assert client.get("/b").status_code == 403
