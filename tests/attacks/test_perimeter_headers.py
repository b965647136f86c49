"""Attacks on the credentials, as raw bytes on real servers."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, WebSocket
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fastapi_scopes import PUBLIC
from tests.apps import make_guard, mint, with_tokens
from tests.perimeter.outcomes import REFUSED
from tests.perimeter.serving import SERVERS, NoAnswerError, Served, request_of, serve

RAN = "ran"
MISSING, MALFORMED, INVALID = "missing_credentials", "invalid_request", "invalid_token"
INSUFFICIENT = "insufficient_scope"
STATUSES = {MISSING: 401, MALFORMED: 400, INVALID: 401, INSUFFICIENT: 403}


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
        pytest.param(["Bearer {token}"], {RAN}, id="as it should be"),
        pytest.param(["bearer {token}"], {RAN}, id="lower-case scheme"),
        pytest.param(["BEARER   {token}"], {RAN}, id="spaces within"),
        pytest.param(["\tBearer {token} \t"], {RAN}, id="white space around"),
        pytest.param(["Bearer {other}"], {INSUFFICIENT}, id="another scope"),
        pytest.param(["Bearer {token}"] * 2, {MALFORMED}, id="doubled"),
        pytest.param(["Bearer {token}", "Bearer {other}"], {MALFORMED}, id="two tokens"),
        pytest.param(["Bearer {other}", "Bearer {token}"], {MALFORMED}, id="two, the other way"),
        pytest.param(["Bearer {token}", "Basic eDp5"], {MALFORMED}, id="and another scheme"),
        pytest.param(["Basic eDp5", "Bearer {token}"], {MALFORMED}, id="behind another scheme"),
        pytest.param(["Bearer {token}", ""], {MALFORMED}, id="and an empty one"),
        pytest.param(["Bearer {other}, Bearer {token}"], {MALFORMED}, id="list"),
        pytest.param(["Bearer {token},"], {MALFORMED}, id="list of one"),
        pytest.param(["Bearer {other} {token}"], {MALFORMED}, id="two in one"),
        pytest.param(["Bearer Bearer {token}"], {MALFORMED}, id="scheme twice"),
        pytest.param(['Bearer token="{token}"'], {MALFORMED}, id="parameter"),
        pytest.param(['Bearer "{token}"'], {MALFORMED}, id="quoted"),
        pytest.param(["Bearer"], {MALFORMED}, id="bare Bearer"),
        pytest.param(["Bearer "], {MALFORMED}, id="bare Bearer and a space"),
        pytest.param([""], {MALFORMED}, id="empty"),
        pytest.param(["Bearer\t{token}"], {MALFORMED}, id="tab for the space"),
        pytest.param(["Bearer\xa0{token}"], {MALFORMED}, id="no-break space for it"),
        pytest.param([b"Bearer \xe9"], {MALFORMED}, id="latin-1"),
        pytest.param([b"B\xe9arer x"], {MALFORMED}, id="latin-1 in the scheme"),
        pytest.param(["Bearer é".encode()], {MALFORMED}, id="UTF-8"),
        pytest.param([b"Bearer \xff\xfe"], {MALFORMED}, id="no UTF-8"),
        pytest.param(["Bearer {token}\x1b"], {MALFORMED, REFUSED}, id="escape"),
        pytest.param(["Bearer {token}\x7f"], {MALFORMED, REFUSED}, id="DEL"),
        pytest.param(["Bearer {token}\x00"], {REFUSED}, id="NUL"),
        pytest.param(["Bearer {token}\rX: y"], {REFUSED}, id="CR"),
        pytest.param(["Bearer\r\n {token}"], {RAN, REFUSED}, id="folded at the space"),
        pytest.param(["Bearer {start}\r\n {end}"], {MALFORMED, REFUSED}, id="folded within"),
        pytest.param(
            ["Bearer {other}\r\n Bearer {token}"], {MALFORMED, REFUSED}, id="another folded in"
        ),
        pytest.param(["Basic eDp5"], {MISSING}, id="another scheme"),
        pytest.param(["Token {token}"], {MISSING}, id="token in another scheme"),
        pytest.param(["Bearer%20{token:.20}"], {MISSING}, id="encoded space"),
        pytest.param(["Bearer null"], {INVALID}, id="null"),
        pytest.param(["Bearer {token}="], {INVALID}, id="padded"),
        pytest.param(["Bearer " + "." * 5000], {INVALID}, id="dots"),
        pytest.param(["Bearer " + "a" * 20_000], {INVALID}, id="20 KB"),
        pytest.param(["Bearer " + "a" * 70_000], {INVALID, REFUSED}, id="70 KB"),
        pytest.param(["Bearer " + "a" * 1_000_000], {INVALID, REFUSED}, id="1 MB"),
    ],
)
def test_only_one_bearer_credential_is_a_credential(
    served: Served, target: str, fields: list[str | bytes], outcomes: set[str]
) -> None:
    sent = with_tokens(fields)
    values = [each if isinstance(each, bytes) else each.encode("latin-1") for each in sent]
    data = get(target, *(b"Authorization: " + value for value in values))
    assert outcome_of(served, data) in outcomes


def test_other_spelling_of_the_name_is_the_same_field(served: Served) -> None:
    token = mint("x")
    field = f"AUTHORIZATION: Bearer {token}"
    assert outcome_of(served, get("/x", field)) == RAN
    assert outcome_of(served, get("/x", field, f"authorization: Bearer {token}")) == MALFORMED


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("Authorization_: Bearer {token}", id="underscore"),
        pytest.param("Authorization : Bearer {token}", id="space before the colon"),
        pytest.param("X: y\r\n Authorization: Bearer {token}", id="folded into another"),
        pytest.param("Proxy-Authorization: Bearer {token}", id="of a proxy"),
        pytest.param("X-Authorization: Bearer {token}", id="X-Authorization"),
        pytest.param("X-Forwarded-Authorization: Bearer {token}", id="forwarded"),
        pytest.param("X-Forwarded-Access-Token: {token}", id="token, forwarded"),
        pytest.param("X-Original-Authorization: Bearer {token}", id="original"),
        pytest.param("Cookie: access_token={token}; Authorization=Bearer {token}", id="cookie"),
        pytest.param("Sec-WebSocket-Protocol: bearer, {token}", id="subprotocol"),
    ],
)
def test_token_in_another_field_is_not_read(served: Served, field: str) -> None:
    assert outcome_of(served, get("/x", *with_tokens([field]))) in {MISSING, REFUSED}


def test_token_in_the_query_is_not_read(served: Served) -> None:
    token = mint("x")
    for name in ["access_token", "token", "Authorization"]:
        assert outcome_of(served, get(f"/x?{name}={token}")) == MISSING
        assert served.handshake(f"/ws?{name}={token}").status == 401


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("Authorization: Bearer", id="bare Bearer"),
        pytest.param(b"Authorization: Bearer \xe9", id="latin-1"),
        pytest.param("Authorization: Bearer {token}\r\nAuthorization: Basic x", id="doubled"),
        pytest.param("Authorization: Bearer " + "a" * 20_000, id="20 KB"),
    ],
)
def test_credentials_break_no_public_route(served: Served, field: str | bytes) -> None:
    assert outcome_of(served, get("/open", *with_tokens([field]))) == RAN


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param([], 401, id="none"),
        pytest.param(["Authorization: Bearer {token}"], 101, id="as it should be"),
        pytest.param(["Authorization: Bearer {other}"], 403, id="another scope"),
        pytest.param(["Authorization: Bearer {token}"] * 2, 400, id="doubled"),
        pytest.param(["Authorization: Bearer {other}, Bearer {token}"], 400, id="list"),
        pytest.param(["Authorization: Bearer"], 400, id="bare Bearer"),
        pytest.param([b"Authorization: Bearer \xe9"], 400, id="latin-1"),
        pytest.param(["Authorization: Bearer null"], 401, id="null"),
        pytest.param(["Sec-WebSocket-Protocol: bearer, {token}"], 401, id="subprotocol"),
        pytest.param(["Cookie: access_token={token}"], 401, id="cookie"),
    ],
)
def test_socket_is_opened_by_one_bearer_credential_alone(
    served: Served, fields: list[str | bytes], status: int
) -> None:
    answer = served.handshake("/ws", *with_tokens(fields))
    assert (answer.status, answer.is_of_the_server) == (status, False)


@pytest.mark.parametrize(
    ("tokens", "added", "outcomes"),
    [
        # What a server adds to the fields may be read; it opens what its own token opens.
        pytest.param(
            [], "{other}", {MISSING, INSUFFICIENT}, id="no token, and one without the scope"
        ),
        pytest.param([], "null", {MISSING, INVALID}, id="no token, and an invalid one"),
        pytest.param(["{token}"], "{other}", {RAN, MALFORMED}, id="a token, and another"),
        pytest.param(
            ["{other}"], "{token}", {INSUFFICIENT, MALFORMED}, id="another, and the token"
        ),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "late"])
def test_trailer_adds_no_right(
    served: Served, tokens: list[str], added: str, outcomes: set[str], is_late: bool
) -> None:
    *head, field = with_tokens(f"Authorization: Bearer {each}" for each in [*tokens, added])
    kind = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    data = request_of("POST", "/x", *kind, *head) + b'3\r\n"y"\r\n'
    trailer = f"0\r\n{field}\r\n\r\n".encode()
    with served.connect() as connection:
        for part in [data, trailer] if is_late else [data + trailer]:
            connection.send(part)
        answer = connection.receive()
    assert (RAN if answer.status == 200 else answer.json()["code"]) in outcomes


def test_requests_on_one_connection_share_no_right(served: Served) -> None:
    token, other = mint("x"), mint("other")
    tokens = [token, other, None, token, None]
    fields = [[f"Authorization: Bearer {each}"] if each else [] for each in tokens]
    with served.connect() as connection:
        connection.send(b"".join(get("/x", *each) for each in fields))
        statuses = [connection.receive().status for _ in fields]
    assert statuses == [200, 403, 401, 200, 401]


def test_body_that_was_not_read_is_not_taken_for_the_next_request(served: Served) -> None:
    hidden = get("/x", f"Authorization: Bearer {mint('x')}")
    with served.connect() as connection:
        connection.send(request_of("POST", "/x", body=hidden) + get("/plain"))
        statuses = [connection.receive().status for _ in range(2)]
    assert statuses == [401, 401]
