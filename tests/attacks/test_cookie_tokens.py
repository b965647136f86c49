"""Attacks on tokens in cookies, which docs/cookies.md moves into the Authorization field."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message

from fastapi_scopes import OPTIONAL, PUBLIC
from tests.apps import make_guard, make_verifier, mint, with_tokens
from tests.pages import DOCS, run_python
from tests.perimeter.serving import Served, serve

TokenFromCookie = run_python(DOCS / "cookies.md", blocks=1)["TokenFromCookie"]

HOST = "https://app.example.com"
OURS, THEIRS = f"Origin: {HOST}", "Origin: https://evil.example"
COOKIE = "Cookie: __Host-token={token}"
RULES = {
    "GET /x": "x",
    "POST /x": "x",
    "OPTIONS /x": "x",
    "GET /maybe": OPTIONAL,
    "GET /open": PUBLIC,
    "POST /open": PUBLIC,
    "WEBSOCKET /ws": "x",
}
SERVERS = [("h11", "wsproto"), ("httptools", "websockets-sansio")]


def make_app(**options: Any) -> FastAPI:
    """Return an app whose endpoints say who calls."""
    guard = make_guard(RULES, **options)
    app = FastAPI(openapi_url=None)

    async def answer(request: Request) -> str:
        claims = guard.claims_of(request)
        return (claims.sub or "") if claims else "nobody"

    for path in ("/x", "/maybe", "/open"):
        methods = [key.split()[0] for key in RULES if key.endswith(path)]
        app.add_api_route(path, answer, methods=methods)

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept(next(iter(websocket.scope["subprotocols"]), None))
        await websocket.close()

    return guard.protect(app)


def around() -> ASGIApp:
    middleware: ASGIApp = TokenFromCookie(make_app(), origin=HOST)
    return middleware


def added() -> ASGIApp:
    app = make_app()
    app.add_middleware(TokenFromCookie, origin=HOST)
    return app


FORMS: dict[str, Callable[[], ASGIApp]] = {"around": around, "add_middleware": added}

each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@pytest.fixture(
    scope="module",
    params=[(form, *server) for form in FORMS for server in SERVERS],
    ids="-".join,
)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    form, http, ws = request.param
    with serve(FORMS[form](), http=http, ws=ws) as served:
        yield served


def status_of(served: Served, method: str, target: str, *fields: str | bytes) -> int:
    answer = served.request(method, target, *with_tokens(fields))
    assert not answer.is_of_the_server
    return answer.status


BESIDE = [
    pytest.param("a/b=1", id="a name that is none"),
    pytest.param("=", id="nothing but an equals sign"),
    pytest.param(";;", id="nothing between semicolons"),
    pytest.param("a", id="a name alone"),
    pytest.param('a="', id="a quote that never ends"),
    pytest.param('a="\\073', id="an escape"),
    pytest.param("a=b=c", id="two equals signs"),
    pytest.param("$Version=1", id="RFC 2965"),
    pytest.param("é=ü", id="no ASCII"),
    pytest.param("expires=Thu, 01 Jan 1970 00:00:00 GMT", id="an attribute"),
    pytest.param("__Host-token", id="its name alone"),
    pytest.param("__host-token=invented", id="its name in other letters"),
    pytest.param("x__Host-token=invented", id="a longer name"),
    pytest.param("__Host-token2=invented", id="another name"),
    pytest.param("a=__Host-token=invented", id="its name in a value"),
    # What some parsers take for blanks, so that a cookie of another host counts as this one.
    pytest.param("\xa0__Host-token=invented", id="a no-break space before its name"),
    pytest.param("__Host-token\x85=invented", id="a next line after its name"),
]


@pytest.mark.parametrize("other", BESIDE)
def test_odd_cookie_neither_breaks_nor_counts(served: Served, other: str) -> None:
    assert status_of(served, "GET", "/x", f"Cookie: {other}") == 401
    assert status_of(served, "GET", "/maybe", f"Cookie: {other}") == 200
    assert status_of(served, "POST", "/x", f"Cookie: {other}", OURS) == 401
    assert served.handshake("/ws", f"Cookie: {other}", OURS).status == 401


@pytest.mark.parametrize("other", BESIDE)
def test_odd_cookie_hides_no_token(served: Served, other: str) -> None:
    for fields in (
        [f"Cookie: {other}; __Host-token={{token}}"],
        [f"Cookie: __Host-token={{token}}; {other}"],
        [f"Cookie: {other};__Host-token={{token}};{other}"],
        [f"Cookie: {other}", COOKIE],
        [COOKIE, f"Cookie: {other}"],
    ):
        assert status_of(served, "GET", "/x", *fields) == 200, fields


@pytest.mark.parametrize(
    "cookies",
    [
        pytest.param("__Host-token={token}; __Host-token={other}", id="two"),
        pytest.param("__Host-token={other}; __Host-token={token}", id="two, turned round"),
        pytest.param("__Host-token={token}; __Host-token={token}", id="one twice"),
        pytest.param("__Host-token={token}; __Host-token=", id="an empty one beside it"),
        pytest.param("__Host-token={token}\r\nCookie: __Host-token={other}", id="in two fields"),
        pytest.param("__Host-token=", id="empty"),
        pytest.param('__Host-token=""', id="empty, in quotes"),
        pytest.param("__Host-token={token} x", id="a blank"),
        pytest.param("__Host-token={token}, x", id="a comma"),
        pytest.param("__Host-token={token}, Bearer {token}", id="a list"),
        pytest.param("__Host-token=Bearer {token}", id="with the scheme"),
        pytest.param("__Host-token={start}\t{end}", id="a tab"),
        pytest.param("__Host-token={token}é", id="no ASCII"),
        pytest.param("__Host-token={token}%20", id="percent-encoded"),
        pytest.param('__Host-token={start}"{end}', id="a quote"),
        pytest.param("__Host-token={token}\\073", id="an escape"),
    ],
)
def test_anything_but_one_token_is_malformed(served: Served, cookies: str) -> None:
    field = f"Cookie: {cookies}"
    for target in ("/x", "/maybe"):
        assert status_of(served, "GET", target, field) == 400
    assert status_of(served, "GET", "/open", field) == 200
    assert served.handshake("/ws", *with_tokens([field]), OURS).status == 400


@pytest.mark.parametrize(
    "origins",
    [
        pytest.param([THEIRS], id="another"),
        pytest.param(["Origin: null"], id="null"),
        pytest.param(["Origin:"], id="empty"),
        pytest.param(["Origin: http://app.example.com"], id="another scheme"),
        pytest.param([f"{OURS}:8443"], id="another port"),
        pytest.param([f"{OURS}.evil.example"], id="a longer host"),
        pytest.param(["Origin: https://x.app.example.com"], id="a host below"),
        pytest.param([f"{OURS}/"], id="with a slash"),
        pytest.param([f"{OURS} https://evil.example"], id="a list"),
        pytest.param([OURS, THEIRS], id="two fields, ours first"),
        pytest.param([THEIRS, OURS], id="two fields, theirs first"),
        pytest.param([OURS, OURS], id="ours twice"),
    ],
)
def test_another_site_is_refused(served: Served, origins: Sequence[str]) -> None:
    fields = with_tokens([COOKIE, *origins])
    for method, target in (("GET", "/x"), ("POST", "/x"), ("OPTIONS", "/x"), ("POST", "/open")):
        assert status_of(served, method, target, *fields) == 403
    # One of the servers itself refuses two, with 400.
    refusals = {403} if len(origins) == 1 else {400, 403}
    assert served.handshake("/ws", *fields).status in refusals


def test_origin_is_asked_for_but_by_get_and_head(served: Served) -> None:
    fields = with_tokens([COOKIE])
    assert status_of(served, "GET", "/x", *fields) == 200
    assert served.request("HEAD", "/x", *fields).status == 405
    for method in ("POST", "OPTIONS", "PUT", "PATCH"):
        assert status_of(served, method, "/x", *fields) == 403
    assert served.handshake("/ws", *fields).status == 403


def test_own_site_is_let_in(served: Served) -> None:
    fields = with_tokens([COOKIE, OURS])
    for method in ("GET", "POST", "OPTIONS"):
        answer = served.request(method, "/x", *fields)
        assert (answer.status, answer.json()) == (200, "alice")
    assert served.handshake("/ws", *fields).status == 101


def test_another_scope_in_a_cookie_is_another_scope(served: Served) -> None:
    fields = with_tokens(["Cookie: __Host-token={other}", OURS])
    assert status_of(served, "POST", "/x", *fields) == 403
    assert served.request("POST", "/x", *fields).field("www-authenticate") is not None


def test_request_without_the_cookie_is_of_any_site(served: Served) -> None:
    """Scripts and servers that send the field need no origin, and nobody's login is shut."""
    assert status_of(served, "POST", "/x", "Authorization: Bearer {token}", THEIRS) == 200
    assert status_of(served, "POST", "/open", THEIRS) == 200
    assert status_of(served, "POST", "/x", THEIRS) == 401
    assert status_of(served, "OPTIONS", "/x", THEIRS) == 401


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(["Authorization: Bearer {token}"], 200, id="good"),
        pytest.param(["Authorization: Bearer invented"], 401, id="invented"),
        pytest.param(["Authorization: Basic YTpi"], 401, id="another scheme"),
        pytest.param(["Authorization: Bearer"], 400, id="malformed"),
        pytest.param(["Authorization:"], 400, id="empty"),
        pytest.param(["Authorization: Bearer {token}"] * 2, 400, id="doubled"),
    ],
)
def test_field_is_what_counts_beside_a_cookie(
    served: Served, fields: Sequence[str], status: int
) -> None:
    assert status_of(served, "GET", "/x", COOKIE, *fields) == status
    assert status_of(served, "POST", "/x", *fields, COOKIE, THEIRS) == status


@pytest.mark.parametrize(
    ("offered", "status"),
    [
        pytest.param("bearer.{token}, chat", 101, id="good"),
        pytest.param("chat, bearer.{token}", 101, id="second"),
        pytest.param("bearer.invented", 401, id="invented"),
        pytest.param("bearer.", 400, id="empty"),
        pytest.param("bearer.{token}, bearer.{token}", 400, id="doubled"),
    ],
)
def test_subprotocol_is_what_counts_beside_a_cookie(
    served: Served, offered: str, status: int
) -> None:
    """The browser sends the cookie along with a token that a script offers."""
    fields = with_tokens([f"Sec-WebSocket-Protocol: {offered}", COOKIE])
    for origin in (OURS, THEIRS):
        assert served.handshake("/ws", *fields, origin).status == status


@pytest.mark.parametrize("offered", ["chat", "bearer", "bearer-x, chat"])
def test_cookie_counts_beside_subprotocols_that_are_no_token(served: Served, offered: str) -> None:
    fields = with_tokens([f"Sec-WebSocket-Protocol: {offered}", COOKIE])
    assert served.handshake("/ws", *fields, OURS).status == 101
    assert served.handshake("/ws", *fields, THEIRS).status == 403


@pytest.mark.parametrize("token", ["abc", "a/b+c~d==", "a.b-c_d"])
def test_cookie_of_the_framework_is_read_as_it_was_set(token: str) -> None:
    """The framework writes a token with `/` or `=` in quotes."""
    response = Response()
    response.set_cookie("__Host-token", token, secure=True, httponly=True, samesite="strict")
    cookie = response.headers["set-cookie"].partition(";")[0]
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = Request(scope).headers
        seen.extend([*headers.getlist("authorization"), headers["cookie"]])
        await Response()(scope, receive, send)

    TestClient(TokenFromCookie(app, origin=HOST)).get("/", headers={"Cookie": cookie})
    assert seen == [f"Bearer {token}", cookie]


def answer_to(app: ASGIApp, kind: str, *fields: tuple[bytes, bytes], **members: Any) -> Message:
    """Return the first message of *app* for a connection that no server has looked at."""
    sent: list[Message] = []
    scope = {
        "type": kind,
        "method": "GET",
        "path": "/x" if kind == "http" else "/ws",
        "raw_path": b"",
        "query_string": b"",
        "headers": list(fields),
        **members,
    }

    async def receive() -> Message:
        return {"type": "http.request"} if kind == "http" else {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]


@each_form
@pytest.mark.parametrize("between", [b"\r\n", b"\n", b"\r", b"\x00", b"\x7f", b"\xff"])
def test_bytes_that_servers_stop_break_nothing(form: Callable[[], ASGIApp], between: bytes) -> None:
    token = mint("x").encode()
    cookie = (b"cookie", b"__Host-token=" + token + between + b"x: y")
    assert answer_to(form(), "http", cookie)["status"] == 400


@each_form
@pytest.mark.parametrize("members", [{}, {"extensions": None}, {"extensions": {}}])
def test_socket_of_another_site_is_closed_where_a_server_sends_no_answer(
    form: Callable[[], ASGIApp], members: dict[str, Any]
) -> None:
    cookie = (b"cookie", b"__Host-token=" + mint("x").encode())
    ours, theirs = (b"origin", HOST.encode()), (b"origin", b"https://evil.example")
    for origins in ([], [theirs], [ours, theirs], [theirs, ours]):
        closed = answer_to(form(), "websocket", cookie, *origins, **members)
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)


def test_lifespan_passes() -> None:
    with TestClient(around()) as client:
        assert client.get("/open").status_code == 200


def test_verifier_sees_the_token_of_the_cookie_alone() -> None:
    """What the guard is given is the token, whatever else the browser sends."""
    verifier = make_verifier()
    asked: list[str] = []

    class Asked:
        async def verify(self, token: str) -> Any:
            asked.append(token)
            return await verifier.verify(token)

    token = mint("x")
    app = TokenFromCookie(make_app(verifier=Asked()), origin=HOST)
    with TestClient(app) as client:
        client.get("/x", headers={"Cookie": f"a=b; __Host-token={token}; c/d=e"})
    assert asked == [token]
