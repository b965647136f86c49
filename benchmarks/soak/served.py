"""The application under soak, as uvicorn serves it: one Redis fails closed, one fails open.

This module does without postponed annotations: FastAPI reads the signatures in it.
"""

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI
from redis.asyncio import Redis

from fastapi_scopes import AUTHENTICATED, DENY, PUBLIC, Claims, JWKSVerifier, ScopeGuard
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.verifiers import RedisRevocationList

APPS = ("closed", "open")
RULES: dict[str, RequirementLike] = {
    "GET /scoped": "soak:read",
    "GET /both": ["soak:read", "soak:write"],
    "GET /me": AUTHENTICATED,
    "GET /public": PUBLIC,
    "GET /denied": DENY,
}


def make_app() -> FastAPI:
    """Return both applications in one; it ends with the standard input."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    # All that anything says, since none of it may hold a token.
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
    clients = {name: _client() for name in APPS}
    apps = {name: _protected(name, client) for name, client in clients.items()}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in APPS:
                stack.push_async_callback(clients[name].aclose)
                # A mounted app's lifespan is nobody else's to run, and the check is in it.
                await stack.enter_async_context(apps[name].router.lifespan_context(apps[name]))
            yield

    served = FastAPI(lifespan=lifespan, openapi_url=None)
    for name, app in apps.items():
        served.mount(f"/{name}", app)
    return served


def _client() -> Redis:
    url = os.environ["SOAK_REDIS"]
    if os.environ["SOAK_CLIENT"] == "url":
        # redis-py makes no second attempt where a client is made of a URL, else up to ten.
        return Redis.from_url(url)
    parsed = urlsplit(url)
    return Redis(host=parsed.hostname or "", port=parsed.port or 0)


def _protected(name: str, client: Redis) -> FastAPI:
    verifier = JWKSVerifier(
        issuer=os.environ[f"SOAK_ISSUER_{name.upper()}"],
        audience=os.environ["SOAK_AUDIENCE"],
        revocations=RedisRevocationList(client, fail_open=name == "open"),
        allow_http=True,
        ttl=float(os.environ["SOAK_TTL"]),
        cooldown=float(os.environ["SOAK_COOLDOWN"]),
        timeout=float(os.environ["SOAK_TIMEOUT"]),
    )
    guard = ScopeGuard(RULES, verifier=verifier)
    app = FastAPI(openapi_url=None)

    @app.get("/scoped")
    @app.get("/both")
    @app.get("/me")
    async def whose(claims: Annotated[Claims, Depends(guard)]) -> dict[str, str | None]:
        return {"jti": claims.jti}

    @app.get("/public")
    @app.get("/denied")
    async def nobody() -> dict[str, None]:
        return {"jti": None}

    return guard.protect(app)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
