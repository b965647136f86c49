"""Small apps, and what a test can see of them from within."""

from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from fastapi_scopes import Claims
from tests.apps import bearer, make_verifier

MALFORMED = {"Authorization": "Bearer"}


def forged() -> dict[str, str]:
    """Return what a caller sends whose token would do, had the issuer signed it."""
    return bearer("a", secret="of-someone-else-0123456789-0123456789")


async def answer() -> str:
    return "ran"


async def plain(request: Request) -> Response:
    return PlainTextResponse("ran")


async def opaque(asgi_scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ran")(asgi_scope, receive, send)


def make_app(*paths: str, **options: Any) -> FastAPI:
    """Return an app with a route at each of *paths*, and without docs pages."""
    app = FastAPI(openapi_url=None, **options)
    for path in paths:
        app.add_api_route(path, answer)
    return app


class CountingVerifier:
    """Verifies, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.verified = 0
        self._verifier = make_verifier()

    async def verify(self, token: str) -> Claims:
        self.verified += 1
        claims: Claims = await self._verifier.verify(token)
        return claims


class Lifespan:
    """A lifespan that notes what becomes of it."""

    def __init__(self, state: dict[str, Any] | None = None, *, swallows: bool = False) -> None:
        self.seen: list[str] = []
        self._state = state
        self._swallows = swallows

    @asynccontextmanager
    async def __call__(self, app: Any) -> Any:
        self.seen.append("entered")
        try:
            yield self._state
        except BaseException:
            if not self._swallows:
                raise
        finally:
            self.seen.append("left")
