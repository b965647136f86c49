"""The perimeter decides before a byte of the body is read."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, File, UploadFile
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.apps import make_guard, mint
from tests.perimeter.serving import SERVERS, RawConnection, Served, request_of, serve

MIB = 1 << 20
HUGE = 64 * MIB
MISSING = 'Bearer realm="api"'
MULTIPART = "Content-Type: multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


@dataclass(slots=True)
class Counted:
    """How much of the bodies an app read."""

    count: int = 0

    def take(self) -> int:
        taken, self.count = self.count, 0
        return taken


class Counting:
    """Stands inside the app, where the perimeter and every endpoint read through it."""

    def __init__(self, app: Any, counted: Counted) -> None:
        self.app, self.counted = app, counted

    async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
        async def counting() -> Any:
            message = await receive()
            self.counted.count += len(message.get("body", b""))
            return message

        await self.app(asgi_scope, counting, send)


class Document(BaseModel):
    text: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A route that takes bodies: its target, how a client says what it sends, and a small one."""

    target: str
    content_type: str
    body: bytes
    head: bytes = field(default=b"", repr=False)
    """The beginning of a body of any size."""


UPLOADS = [
    pytest.param(
        Upload("/json", "Content-Type: application/json", b'{"text":"x"}', b'{"text":"'), id="JSON"
    ),
    pytest.param(
        Upload("/form", MULTIPART, PART + b"x\r\n--b--\r\n", PART),
        id="multipart",
    ),
    pytest.param(
        Upload("/plain", "Content-Type: application/octet-stream", b"x", b""), id="plain route"
    ),
    pytest.param(
        Upload("/sub/json", "Content-Type: application/json", b'{"text":"x"}', b'{"text":"'),
        id="JSON in a mounted app",
    ),
]
each_upload = pytest.mark.parametrize("upload", UPLOADS)


async def take_json(document: Document) -> str:
    return "taken"


async def take_form(file: Annotated[UploadFile, File()]) -> str:
    return "taken"


async def take_plain(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("taken")


def make_app(counted: Counted) -> FastAPI:
    guard = make_guard(
        {
            "POST /json": "w",
            "POST /form": "w",
            "POST /plain": "w",
            "POST /sub/json": "w",
        }
    )
    # The dependency alone would be asked after the body.
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    sub = FastAPI(openapi_url=None)
    sub.add_api_route("/json", take_json, methods=["POST"])
    app.add_api_route("/json", take_json, methods=["POST"])
    app.add_api_route("/form", take_form, methods=["POST"])
    app.router.routes.append(Route("/plain", take_plain, methods=["POST"]))
    app.mount("/sub", sub)
    app.add_middleware(Counting, counted=counted)
    return guard.protect(app)


@pytest.fixture(scope="module")
def module_counted() -> Counted:
    return Counted()


@pytest.fixture
def counted(module_counted: Counted) -> Counted:
    module_counted.take()
    return module_counted


@pytest.fixture(scope="module", params=SERVERS)
def served(module_counted: Counted, request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(make_app(module_counted), http=request.param) as served:
        yield served


@contextlib.contextmanager
def started(served: Served, upload: Upload, *fields: str) -> Iterator[RawConnection]:
    """Send the head of a request and nothing of its body."""
    with served.connect() as connection:
        connection.send(request_of("POST", upload.target, upload.content_type, *fields))
        yield connection


@each_upload
def test_huge_anonymous_body_is_not_read(served: Served, counted: Counted, upload: Upload) -> None:
    with started(served, upload, f"Content-Length: {HUGE}") as connection:
        connection.send(upload.head)
        filler = b"x" * MIB
        for _ in range(HUGE // MIB - 1):
            connection.send(filler)
        connection.send(filler[len(upload.head) :])
        answer = connection.receive()
    assert (answer.status, answer.field("www-authenticate")) == (401, MISSING)
    assert counted.take() == 0


@each_upload
def test_refusal_comes_before_a_body_that_is_only_announced(
    served: Served, counted: Counted, upload: Upload
) -> None:
    with started(served, upload, f"Content-Length: {HUGE}") as connection:
        assert connection.receive().status == 401
    with started(served, upload, "Transfer-Encoding: chunked") as connection:
        assert connection.receive().status == 401
    unscoped = f"Authorization: Bearer {mint('other')}"
    with started(served, upload, f"Content-Length: {HUGE}", unscoped) as connection:
        assert connection.receive().status == 403
    assert counted.take() == 0


@each_upload
def test_refused_client_is_not_told_to_go_on(served: Served, upload: Upload) -> None:
    fields = (f"Content-Length: {len(upload.body)}", "Expect: 100-continue")
    with started(served, upload, *fields) as connection:
        assert connection.receive_head().status == 401
    writer = f"Authorization: Bearer {mint('w')}"
    with started(served, upload, *fields, writer) as connection:
        assert connection.receive_head().status == 100
        connection.send(upload.body)
        assert connection.receive().status == 200


@each_upload
def test_body_is_read_once_the_caller_may_pass(
    served: Served, counted: Counted, upload: Upload
) -> None:
    writer = f"Authorization: Bearer {mint('w')}"
    answer = served.request("POST", upload.target, upload.content_type, writer, body=upload.body)
    assert answer.status == 200
    assert counted.take() == len(upload.body)


MALFORMED = [
    pytest.param("/json", "application/json", b'{"text": ', 422, id="JSON cut short"),
    pytest.param("/json", "application/json", b"[" * 20_000, 400, id="deep JSON"),
    pytest.param("/json", "application/json", b'{"text":"\xff"}', 400, id="no UTF-8"),
    pytest.param("/json", "application/json", b'{"no text": 1}', 422, id="JSON of another shape"),
    pytest.param("/form", "application/json", b"{}", 422, id="JSON instead of a form"),
    pytest.param("/form", "multipart/form-data; boundary=b", b"--b\r\n:::", 400, id="no form"),
    pytest.param("/sub/json", "application/json", b'{"text": ', 422, id="in a mounted app"),
]


@pytest.mark.parametrize(("target", "content_type", "body", "status"), MALFORMED)
def test_malformed_body_is_looked_at_for_nobody_else(
    served: Served, counted: Counted, target: str, content_type: str, body: bytes, status: int
) -> None:
    kind = f"Content-Type: {content_type}"
    for token, refusal in [((), 401), ((f"Authorization: Bearer {mint('other')}",), 403)]:
        answer = served.request("POST", target, kind, *token, body=body)
        assert answer.status == refusal
        assert answer.field("content-type") == "application/problem+json"
    assert counted.take() == 0
    writer = f"Authorization: Bearer {mint('w')}"
    assert served.request("POST", target, kind, writer, body=body).status == status
