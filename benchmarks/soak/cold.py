"""An application that starts while its issuers are away: 503 until they are back, then not."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final

import httpx

from benchmarks.soak.credentials import Credential, Kind, Standing
from benchmarks.soak.limits import Limits, most_in
from benchmarks.soak.oracle import ROUTES, Access, Route
from benchmarks.soak.processes import Output, ServedApp
from benchmarks.soak.served import APPS
from benchmarks.soak.tally import Tally, flaw_of
from benchmarks.soak.wallet import Wallet
from benchmarks.soak.world import World

_KINDS: Final = (
    Kind.CURRENT,
    Kind.EXPIRED,
    Kind.FORGED,
    Kind.UNKNOWN_KID,
    Kind.ALG_NONE,
    Kind.LACKING,
    Kind.NO_TOKEN,
    Kind.MALFORMED,
)
_CLIENTS: Final = 8
_PAUSE: Final = 0.1


@dataclass(slots=True)
class ColdOutage:
    """What became of one."""

    fault: str
    output: Output
    recovered_within: dict[str, float] = field(default_factory=dict)
    """Seconds from when the issuers were back until a valid token passed, by application."""
    most_fetches: int = 0
    """Within any cooldown."""


async def cold_outage(world: World, tally: Tally, limits: Limits, *, fault: str) -> ColdOutage:
    """Start an application of its own while the issuers have that fault, and heal them later."""
    await world.break_issuers(fault)
    began = time.time()
    served = ServedApp(world.environment)
    result = ColdOutage(fault, served.output)
    async with served, httpx.AsyncClient(base_url=served.origin, trust_env=False) as client:
        client.timeout = httpx.Timeout(2 * limits.timeout + 10)
        asking = _Asking(world, tally, client)
        until = time.time() + limits.recovery + 1
        async with asyncio.TaskGroup() as tasks:
            for number in range(_CLIENTS):
                tasks.create_task(asking.until(until, APPS[number % len(APPS)]))
        await world.heal_issuers()
        for app in APPS:
            result.recovered_within[app] = await asking.recovery_of(app, limits)
    for (app, _), moments in world.arrivals.items():
        counted = most_in((each for each in moments if each > began), limits.cooldown - 0.25)
        result.most_fetches = max(result.most_fetches, counted)
        if counted > 2:
            tally.add_wrong("cold outage", app, f"{counted} fetches in a cooldown", right="2")
    return result


class _Asking:
    def __init__(self, world: World, tally: Tally, client: httpx.AsyncClient) -> None:
        self._world = world
        self._tally = tally
        self._client = client
        rng = random.Random("cold")  # noqa: S311 - no secret comes of it
        self._rng = rng
        self._wallets = {app: Wallet(world, app, rng) for app in APPS}

    async def until(self, deadline: float, app: str) -> None:
        while time.time() < deadline:
            for kind in _KINDS:
                credential = self._wallets[app].draw(kind)
                assert credential is not None
                route = self._rng.choice(ROUTES)
                response = await self._ask(credential, route)
                self._judge(credential, route, response)
            await asyncio.sleep(_PAUSE)

    async def recovery_of(self, app: str, limits: Limits) -> float:
        """Seconds until a valid token passes, from when the issuers were back."""
        (back, _) = [*self._world.timeline.issuers_up.spans(True)][-1]
        route = ROUTES[0]
        while time.time() < back + limits.recovery + limits.grace:
            credential = self._wallets[app].mint(Kind.CURRENT)
            response = await self._ask(credential, route)
            if response.status_code != 503:
                break
            self._note_unavailable(response)
            await asyncio.sleep(_PAUSE)
        if response.status_code != 200:
            status = str(response.status_code)
            self._tally.add_wrong("after a cold outage", app, status, right="200")
        return time.time() - back

    async def _ask(self, credential: Credential, route: Route) -> httpx.Response:
        url = f"/{credential.app}{route.path}"
        return await self._client.get(url, headers=list(credential.headers))

    def _judge(self, credential: Credential, route: Route, response: httpx.Response) -> None:
        right = _right_status(credential, route)
        got = response.status_code
        if got >= 500:
            self._note_unavailable(response)
        where = f"/{credential.app}{route.path} in a cold outage"
        if got != right:
            self._tally.add_wrong(credential.kind.value, where, str(got), right=str(right))
        elif got != 200 and (flaw := flaw_of(response, credential, route)) is not None:
            self._tally.add_wrong(credential.kind.value, where, flaw, right=str(right))

    def _note_unavailable(self, response: httpx.Response) -> None:
        self._tally.server_errors[f"{response.status_code}: cold outage"] += 1


def _right_status(credential: Credential, route: Route) -> int:
    if route.access is Access.PUBLIC:
        return 200
    match credential.standing:
        case Standing.ABSENT:
            return 401
        case Standing.MALFORMED:
            return 400
        case _:
            # Without keys nothing can be said of a token, not even that it is forged.
            return 503
