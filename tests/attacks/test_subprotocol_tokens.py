"""Attacks on tokens that come as a subprotocol of a WebSocket handshake (RFC 6455 11.3.4)."""

import asyncio
import contextlib
import importlib.util
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from fastapi_scopes import AUTHENTICATED, OPTIONAL, PUBLIC, Claims, ScopeGuard
from fastapi_scopes.guard import AccessRefused
from tests.apps import make_guard, make_verifier, mint, with_tokens
from tests.doors import DOORS, Door
from tests.perimeter.serving import NoAnswerError, Served, serve

RULES = {
    "WEBSOCKET /ws": "x",
    "WEBSOCKET /open": PUBLIC,
    "WEBSOCKET /maybe": OPTIONAL,
    "GET /x": "x",
    "GET /maybe": OPTIONAL,
}
BROKEN = 0
"""Servers themselves break on bytes that are no ASCII, before they call an application."""
SERVERS = [("h11", "websockets"), ("httptools", "websockets-sansio"), ("h11", "wsproto")]

# The older implementation of the server says that it is old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

each_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


def make_app(door: Door, rules: dict[str, Any] = RULES, **options: Any) -> FastAPI:
    guard = make_guard(rules, **options)
    app = door(guard)

    async def talk(websocket: WebSocket) -> None:
        # The application's answer is its first own subprotocol; then it tells what it sees.
        offered = websocket.scope["subprotocols"]
        await websocket.accept(offered[0] if offered else None)
        await websocket.send_text(repr((websocket.scope, websocket.headers.raw)))
        await websocket.close()

    async def answer(request: Request) -> str:
        claims = guard.claims_of(request)
        return claims.sub or "nobody" if claims else "nobody"

    for path in ["/ws", "/open", "/maybe"]:
        app.add_api_websocket_route(path, talk)
    for path in ["/x", "/maybe"]:
        app.add_api_route(path, answer)
    return app


@dataclass(frozen=True)
class Handshake:
    """What a server knows of a handshake, and what it is told to answer."""

    sent: list[Message]
    asgi_scope: Scope

    @property
    def status(self) -> int:
        first = self.sent[0]
        return 101 if first["type"] == "websocket.accept" else int(first.get("status", 403))

    @property
    def subprotocol(self) -> str | None:
        return str(found) if (found := self.sent[0].get("subprotocol")) else None

    @property
    def told(self) -> str:
        """What the application says that it sees."""
        return str(self.sent[1]["text"])


def shake(
    app: ASGIApp,
    subprotocols: Sequence[str] | None,
    fields: Sequence[str | bytes] | None = None,
    *,
    path: str = "/ws",
    authorization: Sequence[str] = (),
) -> Handshake:
    """Return what *app* does with a handshake, its *fields* by default as its subprotocols are."""
    if fields is None:
        fields = [", ".join(subprotocols)] if subprotocols else []
    raw = [each.encode("latin-1") if isinstance(each, str) else each for each in fields]
    asgi_scope: Scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"testserver"),
            *((b"sec-websocket-protocol", each) for each in raw),
            *((b"authorization", each.encode()) for each in authorization),
        ],
        "client": ("192.0.2.1", 4711),
        "server": ("testserver", 80),
        "extensions": {"websocket.http.response": {}},
    }
    if subprotocols is not None:
        asgi_scope["subprotocols"] = list(subprotocols)
    return Handshake(asyncio.run(_exchange(app, asgi_scope)), asgi_scope)


async def _exchange(app: ASGIApp, asgi_scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(asgi_scope, receive, send)
    return sent


def text_of(handshake: Handshake) -> str:
    return repr((handshake.sent, handshake.asgi_scope))


@each_door
def test_offer_opens_what_its_token_opens(door: Door) -> None:
    app = make_app(door)
    assert shake(app, ["chat"]).status == 401
    assert shake(app, [f"bearer.{mint('other')}", "chat"]).status == 403
    assert shake(app, ["bearer.forged", "chat"]).status == 401
    opened = shake(app, [f"bearer.{mint('x')}", "chat"])
    assert (opened.status, opened.subprotocol) == (101, "chat")


@each_door
@pytest.mark.parametrize("path", ["/ws", "/maybe"])
def test_application_never_sees_the_token(door: Door, path: str) -> None:
    token = mint("x")
    offer = f"bearer.{token}"
    for offered in [[offer, "chat"], ["chat", offer], [offer]]:
        opened = shake(make_app(door), offered, path=path)
        assert opened.status == 101
        assert token not in text_of(opened)
        assert "bearer" not in opened.told.lower()
        assert opened.subprotocol == ("chat" if "chat" in offered else None)


@each_door
def test_field_that_held_the_offer_alone_is_gone(door: Door) -> None:
    opened = shake(make_app(door), [f"bearer.{mint('x')}"])
    assert "sec-websocket-protocol" not in opened.told
    assert opened.asgi_scope["subprotocols"] == []


def test_headers_that_were_read_before_lose_the_token_too() -> None:
    token = mint("x")

    async def read(websocket: WebSocket) -> None:
        assert token in websocket.headers["sec-websocket-protocol"]

    guard = make_guard({"WEBSOCKET /ws": "x"})
    app = FastAPI(dependencies=[Depends(read), Depends(guard)])

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(repr(websocket.headers.raw))

    assert token not in shake(app, [f"bearer.{token}", "chat"]).told


@each_door
def test_scope_of_tuples_loses_the_token_too(door: Door) -> None:
    token = mint("x")

    class OfTuples:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
            names = ("headers", "subprotocols")
            tuples = {name: tuple(asgi_scope[name]) for name in names}
            await self.app({**asgi_scope, **tuples}, receive, send)

    app = make_app(door)
    app.add_middleware(OfTuples)
    opened = shake(app, [f"bearer.{token}", "chat"])
    assert (opened.status, opened.subprotocol) == (101, "chat")
    assert token not in opened.told


@each_door
@pytest.mark.parametrize(
    ("subprotocols", "authorization"),
    [
        pytest.param(["bearer.{token}"], ["Bearer {token}"], id="and the same token in the field"),
        pytest.param(["bearer.{other}"], ["Bearer {token}"], id="and another in the field"),
        pytest.param(["bearer.{token}"], ["Basic eDp5"], id="and another scheme in the field"),
        pytest.param(["bearer.{token}"], [""], id="and an empty field"),
        pytest.param(["bearer.{token}", "bearer.{token}"], [], id="doubled"),
        pytest.param(["bearer.{token}", "bearer.{other}"], [], id="two tokens"),
        pytest.param(
            ["bearer.{other}", "chat", "bearer.{token}"], [], id="two tokens around another"
        ),
        pytest.param(["bearer.{token}", "bearer."], [], id="and one without a token"),
        pytest.param(["bearer."], [], id="without a token"),
        pytest.param(["bearer.{token}="], [], id="padding"),
        pytest.param(["bearer.{token} x"], [], id="two words"),
        pytest.param(["bearer.{token};q=1"], [], id="parameter"),
        pytest.param(["bearer. {token}"], [], id="space within"),
        pytest.param(["bearer.{token}\xe9"], [], id="latin-1"),
    ],
)
def test_anything_but_one_credential_in_all_is_malformed(
    door: Door, subprotocols: list[str], authorization: list[str]
) -> None:
    token = mint("x")
    sent, fields = with_tokens(subprotocols, token), with_tokens(authorization, token)
    refused = shake(make_app(door), sent, authorization=fields)
    doubled = shake(make_app(door), [], authorization=[f"Bearer {token}"] * 2)
    assert refused.status == 400
    assert refused.sent == doubled.sent


@each_door
@pytest.mark.parametrize("spelling", ["Bearer.", "BEARER.", "bEARER."])
def test_offer_in_another_spelling_is_refused_and_withheld(door: Door, spelling: str) -> None:
    token, other = mint("x"), mint("other")
    for path in ["/ws", "/maybe"]:
        refused = shake(make_app(door), [spelling + token, "chat"], path=path)
        assert refused.status == 400
        assert token not in text_of(refused)
    assert shake(make_app(door), [f"bearer.{token}", spelling + other]).status == 400


@each_door
@pytest.mark.parametrize(
    ("subprotocols", "fields", "status"),
    [
        pytest.param(["bearer.{token}", "chat"], [], 101, id="a server without the field"),
        pytest.param(["chat", "bearer.{token}"], ["chat", "bearer.{token}"], 101, id="two fields"),
        pytest.param(["", "bearer.{token}"], [",\tbearer.{token} "], 101, id="empty element"),
        pytest.param(["bearer.{token}"], ["bearer.{other}"], 400, id="another in the field"),
        pytest.param(["bearer.{other}"], ["bearer.{token}"], 400, id="another in the list"),
        pytest.param([], ["bearer.{token}"], 400, id="none in the list"),
        pytest.param(None, ["bearer.{token}"], 400, id="no list"),
        pytest.param(["bearer.{token}"], ["chat"], 400, id="none in the field"),
        pytest.param(
            ["bearer.{token}"], ["bearer.{token}", "bearer.{token}"], 400, id="more in the fields"
        ),
        pytest.param(
            ["bearer.{token}", "bearer.{token}"], ["bearer.{token}"], 400, id="more in the list"
        ),
        pytest.param(
            ["bearer.{token}"], ["bearer.{token}\xa0"], 400, id="read without white space"
        ),
        pytest.param(["chat"], ["talk"], 401, id="none at all"),
        pytest.param(None, [], 401, id="nothing"),
    ],
)
def test_server_and_field_that_disagree_are_no_credential(
    door: Door, subprotocols: list[str] | None, fields: list[str | bytes], status: int
) -> None:
    token = mint("x")
    listed = None if subprotocols is None else with_tokens(subprotocols, token)
    found = shake(make_app(door), listed, with_tokens(fields, token))
    assert found.status == status
    assert token not in text_of(found)


@each_door
def test_token_is_not_looked_at_on_a_public_rule(door: Door) -> None:
    offer = f"bearer.{mint('x')}"
    for offered in [[offer, "chat"], ["bearer.", "chat"], [offer, offer], ["Bearer.x"]]:
        opened = shake(make_app(door), offered, path="/open")
        assert (opened.status, opened.subprotocol) == (101, offered[0])
        assert opened.asgi_scope["subprotocols"] == offered
        assert dict(opened.asgi_scope["headers"])[b"sec-websocket-protocol"] == (
            ", ".join(offered).encode()
        )


@each_door
def test_bearer_as_a_subprotocol_of_its_own_is_left_to_the_application(door: Door) -> None:
    opened = shake(make_app(door), ["bearer", "chat"], path="/maybe")
    assert (opened.status, opened.subprotocol) == (101, "bearer")
    assert shake(make_app(door), ["bearer", mint("x")]).status == 401


@each_door
def test_field_means_nothing_on_a_request(door: Door) -> None:
    token = mint("x")
    client = TestClient(make_app(door))
    fields = {"Sec-WebSocket-Protocol": f"bearer.{token}"}
    assert client.get("/x", headers=fields).status_code == 401
    assert client.get("/maybe", headers=fields).json() == "nobody"
    doubled = {**fields, "Authorization": f"Bearer {token}"}
    assert client.get("/x", headers=doubled).json() == "alice"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert client.get("/x", headers={**fields, **upgrade}).status_code == 401


@each_door
@pytest.mark.parametrize("name", ["access_token", "token", "bearer", "Sec-WebSocket-Protocol"])
def test_token_is_never_read_from_the_url(door: Door, name: str) -> None:
    token = mint("x")

    class Querying:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
            asgi_scope["query_string"] = f"{name}=bearer.{token}&{name}={token}".encode()
            await self.app(asgi_scope, receive, send)

    app = make_app(door)
    app.add_middleware(Querying)
    assert shake(app, ["chat"]).status == 401
    assert shake(app, [f"bearer.{token}", "chat"]).status == 101


def counting(sub: str) -> Any:
    """Return a verifier that counts, and knows a token under another name."""

    class Counting:
        calls = 0

        async def verify(self, token: str) -> Claims:
            self.calls += 1
            claims = await make_verifier().verify(token)
            return claims.model_copy(update={"sub": sub})

    return Counting()


def test_dependency_behind_a_perimeter_agrees_with_the_verdict() -> None:
    verifier = counting("alice")
    guard = ScopeGuard({"WEBSOCKET /ws": "x"}, verifier=verifier)
    app = FastAPI(openapi_url=None)

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, claims: Annotated[Claims, Depends(guard)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{claims.sub} {guard.claims_of(websocket)!r}")

    guard.protect(app)
    assert shake(app, [f"bearer.{mint('x')}"]).told.startswith("alice ")
    assert verifier.calls == 1
    assert shake(app, [f"bearer.{mint('other')}"]).status == 403


@each_door
def test_second_guard_reads_the_same_credential(door: Door) -> None:
    offer = f"bearer.{mint('x')}"
    second = make_guard({"WEBSOCKET /ws": "y"}, verifier=counting("bob"))
    third = make_guard({"WEBSOCKET /ws": AUTHENTICATED}, verifier=counting("carol"))
    first = make_guard({"WEBSOCKET /ws": "x"})
    app = door(first)

    @app.websocket("/ws")
    async def talk(
        websocket: WebSocket,
        bob: Annotated[Claims, Depends(second)],
        carol: Annotated[Claims, Depends(third)],
    ) -> None:
        await websocket.accept()
        await websocket.send_text(f"{bob.sub} {carol.sub}")

    both = mint("x", "y")
    assert shake(app, [f"bearer.{both}", "chat"]).told == "bob carol"
    assert shake(app, [offer, "chat"]).status == 403
    assert shake(app, [offer, "chat"], authorization=[f"Bearer {both}"]).status == 400


@each_door
def test_guard_of_a_mounted_app_reads_the_same_credential(door: Door) -> None:
    inner = make_guard({"WEBSOCKET /ws": "y", "WEBSOCKET /sub/ws": "y"})
    outer = make_guard({"WEBSOCKET /sub/ws": "x"})
    mounted = FastAPI(openapi_url=None, dependencies=[Depends(inner)])

    @mounted.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(repr(websocket.scope))

    app = door(outer)
    app.mount("/sub", mounted)
    both = mint("x", "y")
    opened = shake(app, [f"bearer.{both}"], path="/sub/ws")
    assert opened.status == 101
    assert both not in opened.told
    assert shake(app, [f"bearer.{mint('x')}"], path="/sub/ws").status == 403


def test_protected_app_in_a_protected_app_reads_the_same_credential() -> None:
    inner = make_app(DOORS["perimeter"], {**RULES, "WEBSOCKET /ws": "y"})
    outer = FastAPI(openapi_url=None)
    outer.mount("/sub", inner)
    make_guard({"* /sub/**": "x"}).protect(outer)
    assert shake(outer, [f"bearer.{mint('x', 'y')}"], path="/sub/ws").status == 101
    assert shake(outer, [f"bearer.{mint('x')}"], path="/sub/ws").status == 403


@pytest.mark.parametrize("added", ["list", "field", "both", "authorization"])
def test_credential_that_middleware_adds_is_one_too_many(added: str) -> None:
    class Adding:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
            headers, subprotocols = list(asgi_scope["headers"]), asgi_scope["subprotocols"]
            offer = f"bearer.{mint('x', 'y')}"
            if added in {"list", "both"}:
                subprotocols = [*subprotocols, offer]
            if added in {"field", "both"}:
                headers.append((b"sec-websocket-protocol", offer.encode()))
            if added == "authorization":
                headers.append((b"authorization", f"Bearer {mint('x', 'y')}".encode()))
            scope = {**asgi_scope, "headers": headers, "subprotocols": subprotocols}
            await self.app(scope, receive, send)

    inner = FastAPI(openapi_url=None, dependencies=[Depends(make_guard({"WEBSOCKET /ws": "y"}))])

    @inner.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    inner.add_middleware(Adding)
    outer = FastAPI(openapi_url=None)
    outer.mount("/sub", inner)
    make_guard({"* /sub/**": "x"}).protect(outer)
    assert shake(outer, [f"bearer.{mint('x')}"], path="/sub/ws").status == 400


def test_override_of_a_test_withholds_the_token_as_well() -> None:
    token = mint("x")
    guard = make_guard({"WEBSOCKET /ws": "x"})
    app = FastAPI(openapi_url=None)

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(repr(websocket.scope))

    guard.protect(app)
    app.dependency_overrides[guard] = lambda: Claims(exp=1, scopes=frozenset({"x"}))
    assert token not in shake(app, [f"bearer.{token}"]).told


@each_door
def test_no_refusal_names_a_subprotocol_or_the_token(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(door)
    seen: list[str] = []

    @app.exception_handler(AccessRefused)
    async def render(request: HTTPConnection, refused: AccessRefused) -> JSONResponse:
        seen.append(repr((request.scope, refused, refused.problem, request.headers.raw)))
        return JSONResponse({}, refused.problem.status)

    own = make_app(door)
    other = mint("other", jti="other")
    offers = [f"bearer.{other}", f"bearer.{other}x", f"bearer.{other}=", f"Bearer.{other}"]
    with caplog.at_level(logging.DEBUG):
        found = [
            shake(each, [offer, "chat"], path=path)
            for each in (app, own)
            for offer in offers
            for path in ("/ws", "/nothing")
        ]
    assert {each.status for each in found} <= {400, 401, 403}
    for each in found:
        names = [name.lower() for name, _ in each.sent[0].get("headers", [])]
        assert b"sec-websocket-protocol" not in names
    if door is DOORS["perimeter"]:
        assert len(seen) == len(offers)
    answered = "".join(repr(each.sent) for each in found)
    assert other not in caplog.text + answered + "".join(seen)


@pytest.fixture(scope="module", params=SERVERS, ids="-".join)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    http, ws = request.param
    if importlib.util.find_spec(ws.partition("-")[0]) is None:
        pytest.skip(f"{ws} is not installed")
    with serve(make_app(DOORS["perimeter"]), http=http, ws=ws) as served:
        yield served


def dial(served: Served, subprotocols: Sequence[str], path: str = "/ws") -> ClientConnection:
    # On a socket of our own, as the environment may name a proxy.
    return connect(
        f"ws://testserver{path}",
        sock=socket.create_connection(("127.0.0.1", served.port)),
        subprotocols=[Subprotocol(each) for each in subprotocols],
    )


def test_client_gets_the_subprotocol_of_the_application(served: Served) -> None:
    token = mint("x")
    with dial(served, [f"bearer.{token}", "chat"]) as client:
        assert client.subprotocol == "chat"
        assert token not in str(client.recv())


def test_client_that_offers_its_token_alone_gets_no_subprotocol(served: Served) -> None:
    with dial(served, [f"bearer.{mint('x')}"]) as client:
        assert client.subprotocol is None
        # A browser fails the connection here, which offered something and got nothing.
        response = client.response
        assert response is not None
        assert "Sec-WebSocket-Protocol" not in response.headers


@pytest.mark.parametrize(
    ("offered", "status"),
    [
        pytest.param(["chat"], 401, id="none"),
        pytest.param(["bearer.{other}", "chat"], 403, id="another scope"),
        pytest.param(["bearer.x", "chat"], 401, id="invalid"),
        pytest.param(["bearer.{token}", "bearer.{other}"], 400, id="two"),
        pytest.param(["Bearer.{token}"], 400, id="another spelling"),
        pytest.param(["bearer."], 400, id="empty"),
    ],
)
def test_client_is_refused_before_it_is_accepted(
    served: Served, offered: list[str], status: int
) -> None:
    token = mint("x")
    sent = with_tokens(offered, token)
    with pytest.raises(InvalidStatus) as caught, dial(served, sent):
        pass
    response = caught.value.response
    assert response.status_code == status
    assert "Sec-WebSocket-Protocol" not in response.headers
    assert token.encode() not in (response.body or b"")


@pytest.mark.parametrize(
    ("fields", "statuses"),
    [
        pytest.param(["Sec-WebSocket-Protocol: bearer.{token}, chat"], {101}, id="one field"),
        pytest.param(
            ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: bearer.{token}"],
            {101},
            id="two fields",
        ),
        pytest.param(["sec-websocket-protocol:\tbearer.{token} ,, "], {101, 400}, id="white space"),
        pytest.param(
            ["Sec-WebSocket-Protocol: bearer.{token},bearer.{token}"], {400}, id="doubled"
        ),
        pytest.param(["Sec-WebSocket-Protocol: bearer.{token}"] * 2, {400}, id="doubled field"),
        pytest.param(
            ["Sec-WebSocket-Protocol: bearer.{token}", "Authorization: Bearer {token}"],
            {400},
            id="and Authorization",
        ),
        pytest.param(['Sec-WebSocket-Protocol: "bearer.{token}"'], {400, 401}, id="quoted"),
        pytest.param(["Sec-WebSocket-Protocol: bearer, {token}"], {401}, id="two elements"),
        pytest.param(["Sec-WebSocket-Protocol: bearer.{token}\xa0"], {400, BROKEN}, id="NBSP"),
        pytest.param(
            ["Sec-WebSocket-Protocol: \xa0bearer.{token}"], {400, BROKEN}, id="NBSP before"
        ),
        pytest.param([b"Sec-WebSocket-Protocol: bearer.\xe9"], {400, BROKEN}, id="latin-1"),
        pytest.param(
            ["Sec-WebSocket-Protocol: bearer.{token}\r\n , chat"], {101, 400}, id="folded"
        ),
        pytest.param(["Sec-WebSocket-Protocol: bearer." + "a" * 6_000], {401}, id="6 KB"),
    ],
)
def test_socket_is_opened_by_one_offer_alone(
    served: Served, fields: list[str | bytes], statuses: set[int]
) -> None:
    try:
        status = served.handshake("/ws", *with_tokens(fields)).status
    except NoAnswerError:
        status = BROKEN
    assert (BROKEN if status == 500 else status) in statuses


def test_servers_do_not_write_the_token_to_their_access_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    token = mint("x")
    offer = f"bearer.{token}"
    with caplog.at_level(logging.INFO):
        with dial(served, [offer, "chat"]) as client:
            client.recv()
        with contextlib.suppress(InvalidStatus):
            dial(served, [offer, offer])
    assert token not in caplog.text
