"""``end_at_exp=True`` on an event loop other than asyncio's."""

from collections.abc import AsyncIterator

import anyio
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from fastapi_scopes import PUBLIC
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.small import make_app

pytest.importorskip("trio")

SAID = "end_at_exp=True ends no stream and closes no socket on another event loop"


def streaming_app() -> FastAPI:
    app = make_app("/open")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    @app.get("/x")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    return app


def enter(app: FastAPI, backend: str) -> None:
    async def run() -> None:
        async with app.router.lifespan_context(app):
            pass

    anyio.run(run, backend=backend)


def rules() -> dict[str, object]:
    return {"GET /x": "x", "GET /open": PUBLIC}


def test_app_says_at_the_start_that_it_ends_nothing_there() -> None:
    app = make_guard(rules(), end_at_exp=True).protect(streaming_app())
    enter(app, "asyncio")
    with pytest.raises(ConfigurationError, match=SAID):
        enter(app, "trio")


@pytest.mark.parametrize("strict", [True, False])
def test_it_is_no_gap_that_may_be_left(strict: bool) -> None:
    app = make_guard(rules(), end_at_exp=True).protect(streaming_app(), strict=strict)
    with pytest.raises(ConfigurationError, match=SAID), TestClient(app, backend="trio"):
        pass


def test_app_that_had_no_start_serves_nothing_there() -> None:
    app = make_guard(rules(), end_at_exp=True).protect(streaming_app())
    client = TestClient(app, backend="trio")
    for path in ("/x", "/open"):
        assert client.get(path, headers=bearer("x")).status_code == 503


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_app_without_it_is_ruled_there_like_anywhere(backend: str) -> None:
    app = make_guard(rules()).protect(streaming_app())
    with TestClient(app, backend=backend) as client:  # type: ignore[arg-type]
        assert client.get("/open").text == '"ran"'
        assert client.get("/x").status_code == 401
        assert client.get("/x", headers=bearer("other")).status_code == 403
        assert client.get("/x", headers=bearer("x")).text == "one two"
