"""`Depends(guard)` behind the perimeter of the same guard."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Security, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.testclient import WebSocketDenialResponse

from fastapi_scopes import OPTIONAL, PUBLIC, Claims, RouterFactory, ScopeGuard
from fastapi_scopes.errors import TokenError, TokenFault
from tests.apps import bearer, make_guard, mint
from tests.perimeter.small import CountingVerifier, answer, forged, make_app

RULES = {
    "GET /a": "a",
    "GET /open": PUBLIC,
    "GET /feed": OPTIONAL,
    "GET /v1/r": "one",
    "GET /v2/{org}/r": "two",
    "GET /v3/r": PUBLIC,
    "WEBSOCKET /v1/ws": "one",
    "WEBSOCKET /v2/{org}/ws": "two",
    "WEBSOCKET /v3/ws": PUBLIC,
    "GET /sub/x": "a",
    "GET /sub/inc/r": "two",
    "GET /ui/**": "a",
}


class Seen:
    """An app with the guard everywhere, and what was asked of its seams."""

    def __init__(self, directory: Path) -> None:
        self.verifier = CountingVerifier()
        self.bound: list[str | None] = []
        self.guard: ScopeGuard[Any] = make_guard(
            RULES, verifier=self.verifier, bind=lambda _, claims: self.bound.append(claims.sub)
        )
        (directory / "page.txt").write_text("page")
        self.app = self._make_app(directory)
        self.client = TestClient(self.guard.protect(self.app))

    def _make_app(self, directory: Path) -> FastAPI:
        guard = self.guard
        app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
        router = APIRouter(dependencies=[Depends(guard)])

        async def inner(claims: Annotated[Claims | None, Depends(guard)]) -> Claims | None:
            return claims

        async def endpoint(
            request: Request,
            first: Annotated[Claims | None, Depends(guard)],
            second: Annotated[Claims | None, Depends(guard, use_cache=False)],
            third: Annotated[Claims | None, Depends(inner)],
        ) -> str:
            assert first is second is third is guard.claims_of(request)
            return f"ran for {first.sub if first else None}"

        async def socket(
            websocket: WebSocket, claims: Annotated[Claims | None, Depends(guard)]
        ) -> None:
            assert claims is guard.claims_of(websocket)
            await websocket.accept()
            await websocket.send_text(f"ran for {claims.sub if claims else None}")
            await websocket.close()

        for path in ("/a", "/open", "/feed"):
            app.add_api_route(path, endpoint)
        router.add_api_route("/r", endpoint)
        router.add_api_websocket_route("/ws", socket)
        for prefix in ("/v1", "/v2/{org}", "/v3"):
            app.include_router(router, prefix=prefix, dependencies=[Depends(guard)])
        sub = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
        sub.add_api_route("/x", endpoint)
        inner_router = APIRouter()
        inner_router.add_api_route("/r", endpoint)
        sub.include_router(inner_router, prefix="/inc")
        app.mount("/sub", sub)
        app.frontend("/ui", directory=directory)
        return app

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, str, int, list[str | None]]:
        """Return status, text, how often a token was verified, and what was bound."""
        self.verifier.verified, self.bound[:] = 0, []
        if path.endswith("/ws"):
            status, text = self._connect(path, headers)
        else:
            response = self.client.get(path, headers=headers)
            status, text = response.status_code, response.text.strip('"')
        return status, text if status == 200 else "", self.verifier.verified, list(self.bound)

    def _connect(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        try:
            with self.client.websocket_connect(path, headers=headers) as websocket:
                return 200, websocket.receive_text()
        except WebSocketDenialResponse as refused:
            return refused.status_code, ""


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


ALICE = "ran for alice"
GUARDED = [
    pytest.param("/a", "a", ALICE, id="route"),
    pytest.param("/feed", "any", ALICE, id="optional"),
    pytest.param("/v1/r", "one", ALICE, id="included"),
    pytest.param("/v2/acme/r", "two", ALICE, id="included again"),
    pytest.param("/v1/ws", "one", ALICE, id="socket, included"),
    pytest.param("/v2/acme/ws", "two", ALICE, id="socket, included again"),
    pytest.param("/sub/x", "a", ALICE, id="in a mounted app"),
    pytest.param("/sub/inc/r", "two", ALICE, id="included in a mounted app"),
    pytest.param("/ui/page.txt", "a", "page", id="frontend"),
]


@pytest.mark.parametrize(("path", "held", "text"), GUARDED)
def test_token_is_verified_and_claims_are_bound_once_for_all_dependencies(
    seen: Seen, path: str, held: str, text: str
) -> None:
    assert seen.ask(path, bearer(held)) == (200, text, 1, ["alice"])


@pytest.mark.parametrize(("path", "held", "text"), GUARDED)
def test_refused_caller_is_bound_to_nothing(seen: Seen, path: str, held: str, text: str) -> None:
    anonymous = (200, "ran for None") if held == "any" else (401, "")
    assert seen.ask(path, {}) == (*anonymous, 0, [])
    assert seen.ask(path, forged()) == (401, "", 1, [])
    if held != "any":
        assert seen.ask(path, bearer("none")) == (403, "", 1, [])
        others = {"a", "one", "two"} - {held}
        assert seen.ask(path, bearer(*others)) == (403, "", 1, [])


@pytest.mark.parametrize("path", ["/open", "/v3/r", "/v3/ws"])
def test_public_route_has_no_claims_and_looks_at_no_token(seen: Seen, path: str) -> None:
    for headers in ({}, forged(), bearer("a")):
        assert seen.ask(path, headers) == (200, "ran for None", 0, [])


@pytest.mark.parametrize("name", ["fastapi_scopes", "Fastapi-Scopes", "X-Fastapi-Scopes"])
def test_state_of_a_connection_is_not_the_clients_to_write(seen: Seen, name: str) -> None:
    verdict = '{"verdicts": {}, "claims": {"sub": "mallory", "scopes": ["a"]}, "problem": null}'
    fields = {name: verdict, "Cookie": f"{name}={mint('a')}"}
    assert seen.ask(f"/a?{name}={mint('a')}", fields)[:1] == (401,)
    assert seen.ask("/a", fields | bearer("none"))[:1] == (403,)
    assert seen.ask("/a", fields | bearer("a")) == (200, ALICE, 1, ["alice"])


class Overwriting:
    """Middleware of someone who uses the same name for other things."""

    def __init__(self, app: Any, value: Any) -> None:
        self.app, self.value = app, value

    async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
        asgi_scope["fastapi_scopes"] = self.value
        await self.app(asgi_scope, receive, send)


@pytest.mark.parametrize("value", [None, {}, {"verdicts": {}}, "alice"], ids=str)
def test_what_others_keep_under_the_name_of_the_state_opens_nothing(seen: Seen, value: Any) -> None:
    seen.app.add_middleware(Overwriting, value=value)
    assert seen.ask("/a", {})[0] == 401
    assert seen.ask("/a", bearer("a")) == (200, ALICE, 1, ["alice"])


JSON = {"Content-Type": "application/json"}


class Document(BaseModel):
    text: str


def make_deep(guard: ScopeGuard[Any]) -> FastAPI:
    async def current(claims: Annotated[Claims, Depends(guard)]) -> Claims:
        return claims

    async def outer(claims: Annotated[Claims, Security(current, scopes=["b"])]) -> Claims:
        return claims

    async def take(document: Document) -> str:
        return "taken"

    app = make_app()
    router = APIRouter()
    router.add_api_route(
        "/deep", take, methods=["POST"], dependencies=[Security(outer, scopes=["c"])]
    )
    app.include_router(router, prefix="/v1", dependencies=[Security(guard, scopes=["d"])])
    return app


@pytest.mark.parametrize("body", [b"", b"{", b'{"no text": 1}', b'{"text": "x"}'], ids=repr)
def test_scopes_at_any_depth_are_asked_for_before_the_body(body: bytes) -> None:
    guard = make_guard({"POST /v1/deep": "a"})
    with TestClient(guard.protect(make_deep(guard))) as client:
        assert client.post("/v1/deep", content=body, headers=JSON).status_code == 401
        for held in (("a",), ("b", "c", "d"), ("a", "b", "c"), ("a", "b", "d")):
            refused = client.post("/v1/deep", content=body, headers=JSON | bearer(*held))
            assert (refused.status_code, refused.json()["required"]) == (
                403,
                [["a", "b", "c", "d"]],
            )
        accepted = client.post("/v1/deep", content=body, headers=JSON | bearer("a", "b", "c", "d"))
        assert accepted.status_code == (200 if b'"text": "x"' in body else 422)


def test_check_names_the_scopes_that_routes_ask_for() -> None:
    guard = make_guard({"POST /v1/deep": "a"})
    (deep,) = guard.check(guard.protect(make_deep(guard))).endpoints
    assert set(deep.endpoint.scopes) == {"b", "c", "d"}
    assert deep.requirement is not None
    assert str(deep.requirement) == "a & b & c & d"


def test_bind_that_refuses_is_a_refusal_for_all_that_is_behind() -> None:
    def refuse(asgi_scope: Any, claims: Claims) -> None:
        raise TokenError(TokenFault.CLAIMS)

    guard = make_guard({"GET /a": "a"}, bind=refuse)
    app = guard.protect(make_app("/a", dependencies=[Depends(guard)]))
    response = TestClient(app).get("/a", headers=bearer("a"))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


def test_wrapped_router_keeps_its_keys_behind_the_perimeter() -> None:
    guard = make_guard({"GET /v1/r": "a"})
    app, router = make_app(), APIRouter()
    router.add_api_route("/r", answer)
    app.include_router(RouterFactory(guard).wrap(router, prefix="/v1"))
    with TestClient(guard.protect(app)) as client:
        assert client.get("/v1/r").status_code == 401
        assert client.get("/v1/r", headers=bearer("a")).status_code == 200
