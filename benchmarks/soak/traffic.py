"""Clients that ask all the time, and one that revokes."""

import asyncio
import random
import ssl
import time
from dataclasses import replace
from typing import Final

import httpx
from redis.asyncio import Redis

from benchmarks.soak.credentials import Credential, Kind
from benchmarks.soak.oracle import ROUTES, Route
from benchmarks.soak.served import APPS
from benchmarks.soak.tally import Tally
from benchmarks.soak.timeline import RedisState
from benchmarks.soak.wallet import Wallet
from benchmarks.soak.world import World
from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import RedisRevocationList

# By how often each is drawn. A request that names a key which is not known waits for the
# issuer: the clients that send these are others, so that the rest goes on meanwhile.
STEADY: Final = {
    Kind.CURRENT: 20,
    Kind.PREVIOUS: 8,
    Kind.CACHED: 15,
    Kind.SHORT_LIVED: 8,
    Kind.LACKING: 6,
    Kind.EXPIRED: 6,
    Kind.NOT_YET_VALID: 4,
    Kind.FORGED: 8,
    Kind.OTHER_ISSUER: 4,
    Kind.OTHER_AUDIENCE: 4,
    Kind.ALG_NONE: 3,
    Kind.ALG_HS256: 3,
    Kind.NO_TOKEN: 4,
    Kind.MALFORMED: 4,
    Kind.REVOKED: 12,
}
WAITING: Final = {
    Kind.UNKNOWN_KID: 6,
    Kind.NO_KID: 3,
    Kind.RETIRED: 4,
    Kind.EARLY: 2,
    Kind.CURRENT: 1,
}
_ROUTE_WEIGHTS: Final = (6, 3, 4, 1, 1)
# Nothing here is encrypted, and to read the usual authorities takes long.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PATIENCE: Final = 60.0
_REVOCATIONS_A_SECOND: Final = 10
_IDLE: Final = 0.02


class Traffic:
    """All clients of one served application."""

    def __init__(self, world: World, tally: Tally, *, origin: str, seed: str) -> None:
        self._world = world
        self._tally = tally
        self._seed = seed
        self._origin = origin
        self._wallets = {app: Wallet(world, app, self._random(app)) for app in APPS}

    async def flow(self, deadline: float, *, workers: int) -> None:
        """Ask until *deadline*, *workers* requests at a time."""
        waiting = max(2, workers // 3)
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                kinds = WAITING if number < waiting else STEADY
                tasks.create_task(self._work(kinds, self._random(number), deadline))
            for app in APPS:
                tasks.create_task(self._revoke(app, deadline))

    def _client(self) -> httpx.AsyncClient:
        # One for each client here: what httpx does for a request grows with its connections.
        return httpx.AsyncClient(
            base_url=self._origin,
            trust_env=False,
            verify=_NO_TLS,
            timeout=_PATIENCE,
            limits=httpx.Limits(keepalive_expiry=_PATIENCE),
        )

    def _random(self, name: object) -> random.Random:
        return random.Random(f"{self._seed}-{name}")  # noqa: S311 - no secret comes of it

    async def _work(self, kinds: dict[Kind, int], rng: random.Random, deadline: float) -> None:
        async with self._client() as client:
            while time.time() < deadline:
                wallet = self._wallets[rng.choice(APPS)]
                (kind,) = rng.choices([*kinds], [*kinds.values()])
                (route,) = rng.choices(ROUTES, _ROUTE_WEIGHTS)
                credential = wallet.draw(kind)
                if credential is None:
                    await asyncio.sleep(_IDLE)
                else:
                    await self._ask(client, credential, route)

    async def _ask(self, client: httpx.AsyncClient, credential: Credential, route: Route) -> None:
        url = f"/{credential.app}{route.path}"
        start = time.time()
        try:
            response = await client.get(url, headers=list(credential.headers))
        except httpx.TransportError as error:
            got = f"no answer ({type(error).__name__})"
            self._tally.add_wrong(credential.kind.value, url, got, right="an answer")
            return
        self._tally.note(credential, route, response, start=start, end=time.time())

    async def _revoke(self, app: str, deadline: float) -> None:
        """Revoke tokens of *app*, of which half were used before."""
        wallet, rng = self._wallets[app], self._random(f"{app}-revoked")
        issuer = self._world.issuers[app].identifier
        async with Redis.from_url(self._world.redis.url) as redis, self._client() as client:
            revocations = RedisRevocationList(redis)
            while time.time() < deadline:
                await asyncio.sleep(1 / _REVOCATIONS_A_SECOND)
                credential = wallet.mint(Kind.CURRENT)
                if rng.random() < 0.5:
                    await self._ask(client, credential, ROUTES[0])
                start = time.time()
                try:
                    await revocations.revoke(issuer, credential.jti, exp=credential.expires)
                except VerifierUnavailable:
                    self._note_failure(app, start)
                else:
                    revoked = replace(credential, kind=Kind.REVOKED, is_revoked=True)
                    wallet.revoked.append(revoked)

    def _note_failure(self, app: str, start: float) -> None:
        if self._world.timeline.redis.between(start, time.time()) == {RedisState.UP}:
            self._tally.add_wrong("to revoke", app, "VerifierUnavailable", right="done")
