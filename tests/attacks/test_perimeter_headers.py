"""Attacks on the credentials, as raw bytes on real servers."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, WebSocket
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fastapi_scopes import PUBLIC
from tests.apps import make_guard, mint
from tests.perimeter.outcomes import REFUSED
from tests.perimeter.serving import SERVERS, NoAnswerError, Served, request_of, serve

RAN = "ran"
MISSING, MALFORMED, INVALID = "missing_credentials", "invalid_request", "invalid_token"
INSUFFICIENT = "insufficient_scope"
STATUSES = {MISSING: 401, MALFORMED: 400, INVALID: 401, INSUFFICIENT: 403}
TOKEN, OTHER = mint("x"), mint("other")
FOLD = len(TOKEN) // 2


def make_app() -> FastAPI:
    async def answer() -> str:
        return RAN

    async def echo(text: Annotated[str, Body()]) -> str:
        return text

    async def plain(request: Request) -> Response:
        return PlainTextResponse(RAN)

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    rules = {"GET /x": "x", "POST /x": "x", "GET /plain": "x", "WEBSOCKET /ws": "x"}
    guard = make_guard({**rules, "GET /open": PUBLIC})
    app = FastAPI(openapi_url=None)
    app.add_api_route("/x", answer)
    app.add_api_route("/x", echo, methods=["POST"], dependencies=[Depends(guard)])
    app.add_api_route("/open", answer)
    app.router.routes.append(Route("/plain", plain))
    app.add_api_websocket_route("/ws", talk)
    return guard.protect(app)


@pytest.fixture(scope="module", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(make_app(), http=request.param) as served:
        yield served


def outcome_of(served: Served, data: bytes) -> str:
    """Return what becomes of a request: the endpoint ran, or the code of the refusal."""
    try:
        answer = served.exchange(data)
    except NoAnswerError:
        return REFUSED
    if answer.is_of_the_server:
        return REFUSED
    if answer.status in {101, 200}:
        return RAN
    code = str(answer.json()["code"])
    assert answer.status == STATUSES[code]
    challenge = answer.field("www-authenticate") or ""
    assert challenge.startswith('Bearer realm="api"')
    assert (f'error="{code}"' in challenge) == (code != MISSING)
    return code


def get(target: str, *fields: str | bytes) -> bytes:
    return request_of("GET", target, *fields)


@pytest.mark.parametrize("target", ["/x", "/plain"])
@pytest.mark.parametrize(
    ("fields", "outcomes"),
    [
        pytest.param([f"Bearer {TOKEN}"], {RAN}, id="as it should be"),
        pytest.param([f"bearer {TOKEN}"], {RAN}, id="lower-case scheme"),
        pytest.param([f"BEARER   {TOKEN}"], {RAN}, id="spaces within"),
        pytest.param([f"\tBearer {TOKEN} \t"], {RAN}, id="white space around"),
        pytest.param([f"Bearer {OTHER}"], {INSUFFICIENT}, id="another scope"),
        pytest.param([f"Bearer {TOKEN}"] * 2, {MALFORMED}, id="doubled"),
        pytest.param([f"Bearer {TOKEN}", f"Bearer {OTHER}"], {MALFORMED}, id="two tokens"),
        pytest.param([f"Bearer {OTHER}", f"Bearer {TOKEN}"], {MALFORMED}, id="two, the other way"),
        pytest.param([f"Bearer {TOKEN}", "Basic eDp5"], {MALFORMED}, id="and another scheme"),
        pytest.param(["Basic eDp5", f"Bearer {TOKEN}"], {MALFORMED}, id="behind another scheme"),
        pytest.param([f"Bearer {TOKEN}", ""], {MALFORMED}, id="and an empty one"),
        pytest.param([f"Bearer {OTHER}, Bearer {TOKEN}"], {MALFORMED}, id="list"),
        pytest.param([f"Bearer {TOKEN},"], {MALFORMED}, id="list of one"),
        pytest.param([f"Bearer {OTHER} {TOKEN}"], {MALFORMED}, id="two in one"),
        pytest.param([f"Bearer Bearer {TOKEN}"], {MALFORMED}, id="scheme twice"),
        pytest.param([f'Bearer token="{TOKEN}"'], {MALFORMED}, id="parameter"),
        pytest.param([f'Bearer "{TOKEN}"'], {MALFORMED}, id="quoted"),
        pytest.param(["Bearer"], {MALFORMED}, id="bare Bearer"),
        pytest.param(["Bearer "], {MALFORMED}, id="bare Bearer and a space"),
        pytest.param([""], {MALFORMED}, id="empty"),
        pytest.param([f"Bearer\t{TOKEN}"], {MALFORMED}, id="tab for the space"),
        pytest.param([b"Bearer\xa0" + TOKEN.encode()], {MALFORMED}, id="no-break space for it"),
        pytest.param([b"Bearer \xe9"], {MALFORMED}, id="latin-1"),
        pytest.param([b"B\xe9arer x"], {MALFORMED}, id="latin-1 in the scheme"),
        pytest.param(["Bearer é".encode()], {MALFORMED}, id="UTF-8"),
        pytest.param([b"Bearer \xff\xfe"], {MALFORMED}, id="no UTF-8"),
        pytest.param([f"Bearer {TOKEN}\x1b"], {MALFORMED, REFUSED}, id="escape"),
        pytest.param([f"Bearer {TOKEN}\x7f"], {MALFORMED, REFUSED}, id="DEL"),
        pytest.param([f"Bearer {TOKEN}\x00"], {REFUSED}, id="NUL"),
        pytest.param([f"Bearer {TOKEN}\rX: y"], {REFUSED}, id="CR"),
        pytest.param([f"Bearer\r\n {TOKEN}"], {RAN, REFUSED}, id="folded at the space"),
        pytest.param(
            [f"Bearer {TOKEN[:FOLD]}\r\n {TOKEN[FOLD:]}"], {MALFORMED, REFUSED}, id="folded within"
        ),
        pytest.param(
            [f"Bearer {OTHER}\r\n Bearer {TOKEN}"], {MALFORMED, REFUSED}, id="another folded in"
        ),
        pytest.param(["Basic eDp5"], {MISSING}, id="another scheme"),
        pytest.param([f"Token {TOKEN}"], {MISSING}, id="token in another scheme"),
        pytest.param([f"Bearer%20{TOKEN[:20]}"], {MISSING}, id="encoded space"),
        pytest.param(["Bearer null"], {INVALID}, id="null"),
        pytest.param([f"Bearer {TOKEN}="], {INVALID}, id="padded"),
        pytest.param(["Bearer " + "." * 5000], {INVALID}, id="dots"),
        pytest.param(["Bearer " + "a" * 20_000], {INVALID}, id="20 KB"),
        pytest.param(["Bearer " + "a" * 70_000], {INVALID, REFUSED}, id="70 KB"),
        pytest.param(["Bearer " + "a" * 1_000_000], {INVALID, REFUSED}, id="1 MB"),
    ],
)
def test_only_one_bearer_credential_is_a_credential(
    served: Served, target: str, fields: list[str | bytes], outcomes: set[str]
) -> None:
    values = [each if isinstance(each, bytes) else each.encode("latin-1") for each in fields]
    data = get(target, *(b"Authorization: " + value for value in values))
    assert outcome_of(served, data) in outcomes


def test_other_spelling_of_the_name_is_the_same_field(served: Served) -> None:
    field = f"AUTHORIZATION: Bearer {TOKEN}"
    assert outcome_of(served, get("/x", field)) == RAN
    assert outcome_of(served, get("/x", field, f"authorization: Bearer {TOKEN}")) == MALFORMED


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(f"Authorization_: Bearer {TOKEN}", id="underscore"),
        pytest.param(f"Authorization : Bearer {TOKEN}", id="space before the colon"),
        pytest.param(f"X: y\r\n Authorization: Bearer {TOKEN}", id="folded into another"),
        pytest.param(f"Proxy-Authorization: Bearer {TOKEN}", id="of a proxy"),
        pytest.param(f"X-Authorization: Bearer {TOKEN}", id="X-Authorization"),
        pytest.param(f"X-Forwarded-Authorization: Bearer {TOKEN}", id="forwarded"),
        pytest.param(f"X-Forwarded-Access-Token: {TOKEN}", id="token, forwarded"),
        pytest.param(f"X-Original-Authorization: Bearer {TOKEN}", id="original"),
        pytest.param(f"Cookie: access_token={TOKEN}; Authorization=Bearer {TOKEN}", id="cookie"),
        pytest.param(f"Sec-WebSocket-Protocol: bearer, {TOKEN}", id="subprotocol"),
    ],
)
def test_token_in_another_field_is_not_read(served: Served, field: str) -> None:
    assert outcome_of(served, get("/x", field)) in {MISSING, REFUSED}


def test_token_in_the_query_is_not_read(served: Served) -> None:
    for name in ["access_token", "token", "Authorization"]:
        assert outcome_of(served, get(f"/x?{name}={TOKEN}")) == MISSING
        assert served.handshake(f"/ws?{name}={TOKEN}").status == 401


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("Authorization: Bearer", id="bare Bearer"),
        pytest.param(b"Authorization: Bearer \xe9", id="latin-1"),
        pytest.param(f"Authorization: Bearer {TOKEN}\r\nAuthorization: Basic x", id="doubled"),
        pytest.param("Authorization: Bearer " + "a" * 20_000, id="20 KB"),
    ],
)
def test_credentials_break_no_public_route(served: Served, field: str | bytes) -> None:
    assert outcome_of(served, get("/open", field)) == RAN


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param([], 401, id="none"),
        pytest.param([f"Authorization: Bearer {TOKEN}"], 101, id="as it should be"),
        pytest.param([f"Authorization: Bearer {OTHER}"], 403, id="another scope"),
        pytest.param([f"Authorization: Bearer {TOKEN}"] * 2, 400, id="doubled"),
        pytest.param([f"Authorization: Bearer {OTHER}, Bearer {TOKEN}"], 400, id="list"),
        pytest.param(["Authorization: Bearer"], 400, id="bare Bearer"),
        pytest.param([b"Authorization: Bearer \xe9"], 400, id="latin-1"),
        pytest.param(["Authorization: Bearer null"], 401, id="null"),
        pytest.param([f"Sec-WebSocket-Protocol: bearer, {TOKEN}"], 401, id="subprotocol"),
        pytest.param([f"Cookie: access_token={TOKEN}"], 401, id="cookie"),
    ],
)
def test_socket_is_opened_by_one_bearer_credential_alone(
    served: Served, fields: list[str | bytes], status: int
) -> None:
    answer = served.handshake("/ws", *fields)
    assert (answer.status, answer.is_of_the_server) == (status, False)


@pytest.mark.parametrize(
    ("fields", "token", "outcomes"),
    [
        # What a server adds to the fields may be read; it opens what its own token opens.
        pytest.param([], OTHER, {MISSING, INSUFFICIENT}, id="no token, and one without the scope"),
        pytest.param([], "null", {MISSING, INVALID}, id="no token, and an invalid one"),
        pytest.param([TOKEN], OTHER, {RAN, MALFORMED}, id="a token, and another"),
        pytest.param([OTHER], TOKEN, {INSUFFICIENT, MALFORMED}, id="another, and the token"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "late"])
def test_trailer_adds_no_right(
    served: Served, fields: list[str], token: str, outcomes: set[str], is_late: bool
) -> None:
    head = [f"Authorization: Bearer {each}" for each in fields]
    kind = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    data = request_of("POST", "/x", *kind, *head) + b'3\r\n"y"\r\n'
    trailer = f"0\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    with served.connect() as connection:
        for part in [data, trailer] if is_late else [data + trailer]:
            connection.send(part)
        answer = connection.receive()
    assert (RAN if answer.status == 200 else answer.json()["code"]) in outcomes


def test_requests_on_one_connection_share_no_right(served: Served) -> None:
    tokens = [TOKEN, OTHER, None, TOKEN, None]
    fields = [[f"Authorization: Bearer {token}"] if token else [] for token in tokens]
    with served.connect() as connection:
        connection.send(b"".join(get("/x", *each) for each in fields))
        statuses = [connection.receive().status for _ in fields]
    assert statuses == [200, 403, 401, 200, 401]


def test_body_that_was_not_read_is_not_taken_for_the_next_request(served: Served) -> None:
    hidden = get("/x", f"Authorization: Bearer {TOKEN}")
    with served.connect() as connection:
        connection.send(request_of("POST", "/x", body=hidden) + get("/plain"))
        statuses = [connection.receive().status for _ in range(2)]
    assert statuses == [401, 401]
