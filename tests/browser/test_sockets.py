"""The JavaScript of docs/sockets.md in a browser: what a script sees of a guarded socket."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket
from playwright.sync_api import Browser

from fastapi_scopes import Claims
from tests.apps import make_guard, make_verifier, mint
from tests.browser.docs_page import PATIENCE_MS
from tests.browser.network import LOOPBACK, Network
from tests.perimeter.serving import SERVERS, serve

PAGE = (Path(__file__).parents[2] / "docs" / "sockets.md").read_text()
[LINE] = re.findall(r"^```js\n(.*)\n```$", PAGE, re.MULTILINE)
URL, CREDENTIAL = "wss://api.example.com/chat", '"bearer." + token, '
LIFE = 2.0
# The line, and what its socket tells until it is closed.
SCRIPT = """async token => {
    %s
    const seen = [];
    socket.onopen = () => seen.push("open " + socket.protocol);
    socket.onmessage = event => seen.push("message " + event.data);
    socket.onerror = () => seen.push("error");
    const closed = await new Promise(resolve => {
        socket.onclose = resolve;
        setTimeout(resolve, 20000, {code: "not yet", reason: ""});
    });
    return [...seen, "close " + closed.code + " " + closed.reason];
}"""


class Renewing:
    """Verifies tokens that live for LIFE from then on, however long a handshake takes."""

    async def verify(self, token: str) -> Claims:
        claims: Claims = await make_verifier().verify(token)
        return claims.model_copy(update={"exp": time.time() + LIFE})


async def chat(websocket: WebSocket) -> None:
    await websocket.accept("chat")
    await websocket.send_text("welcome")
    await websocket.receive_text()


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a socket that ends with its token."""
    app = FastAPI(openapi_url=None)
    app.add_api_websocket_route("/chat", chat)
    guard = make_guard({"WEBSOCKET /chat": "chat:join"}, verifier=Renewing(), end_at_exp=True)
    with serve(guard.protect(app), http=request.param) as served:
        yield f"ws://{LOOPBACK}:{served.port}/chat"


def seen_by(browser: Browser, line: str, token: str) -> list[str]:
    """Return what a script sees of the socket that *line* opens, from first to last."""
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_MS)
        network = Network(context)
        seen: list[str] = context.new_page().evaluate(SCRIPT % line, token)
    assert network.refused == []
    return seen


def test_script_talks_in_its_own_subprotocol_until_the_token_ends(
    browser: Browser, url: str
) -> None:
    begin = time.monotonic()
    seen = seen_by(browser, LINE.replace(URL, url), mint("chat:join"))
    assert seen == ["open chat", "message welcome", "close 1008 Invalid token"]
    assert time.monotonic() - begin >= LIFE * 0.7


@pytest.mark.parametrize(
    ("left_out", "make_token"),
    [
        pytest.param(CREDENTIAL, lambda: "", id="no token"),
        pytest.param("", lambda: "", id="empty token"),
        pytest.param("", lambda: "x.y.z", id="bad token"),
        pytest.param("", lambda: mint("other"), id="token without the scope"),
    ],
)
def test_script_sees_no_reason_of_a_refusal(
    browser: Browser, url: str, left_out: str, make_token: Callable[[], str]
) -> None:
    line = LINE.replace(URL, url)
    assert left_out in line
    seen = seen_by(browser, line.replace(left_out, ""), make_token())
    assert seen == ["error", "close 1006 "]
