"""Processes that look at one list of revoked tokens, each with a connection of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from redis.asyncio import Redis

from fastapi_scopes.verifiers import RedisRevocationList
from tests.issuers.redis_server import RedisServer
from tests.verifiers.kinds import KINDS
from tests.verifiers.minting import mint
from tests.verifiers.publishing import outcome_of

ISSUER = "https://as.example"


class Station:
    """One process that looks at a list, with a connection and a verifier of its own."""

    def __init__(self, server: RedisServer, client: dict[str, Any], settings: dict[str, Any]):
        self.client = Redis(**{"host": "127.0.0.1", "port": server.port, **client})
        self.list = RedisRevocationList(self.client, **settings)
        self.verifier = KINDS["given-keys"](revocations=self.list, now=time.time)

    async def revoke(self, jti: str, *, issuer: str | None = ISSUER, lasts: float = 600) -> None:
        await self.list.revoke(issuer, jti, exp=time.time() + lasts)

    async def ask(self, *names: str) -> list[str]:
        return await asyncio.gather(*(outcome_of(self.verifier, token(each)) for each in names))


def token(jti: str) -> str:
    return mint(jti=jti, iss=ISSUER, exp=time.time() + 600, algorithm="ES256")


def at_stations(
    server: RedisServer,
    test: Callable[..., Awaitable[None]],
    count: int = 1,
    *,
    client: Mapping[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Run *test* with so many stations, and close their connections."""

    async def run() -> None:
        stations = [Station(server, dict(client or {}), settings) for _ in range(count)]
        try:
            await test(*stations)
        finally:
            for each in stations:
                await each.client.aclose()

    asyncio.run(run())
