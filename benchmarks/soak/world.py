"""The issuers and the Redis behind the served application, and what happens to them."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Any, Final, Self, TypeAlias

from benchmarks.soak.limits import Limits
from benchmarks.soak.served import APPS
from benchmarks.soak.timeline import KeyRecord, RedisState, Timeline
from tests.issuers.answers import Answer, Behaviour, Silence, healthy
from tests.issuers.faults import members
from tests.issuers.faulty import AUDIENCE, FaultyIssuer
from tests.issuers.redis_server import RedisServer
from tests.issuers.server import Resource
from tests.verifiers.minting import ec_key, ed25519_key, rsa_key

Step: TypeAlias = tuple[float, Callable[[], Awaitable[None]]]

# Behaviours of the metadata and of the key set; None takes no connections.
FAULTS: Final[dict[str, tuple[Behaviour, Behaviour] | None]] = {
    "refused": None,
    "hang": (Silence(), Silence()),
    "500": (Answer(500), Answer(500)),
    "HTML": (Answer.html(), Answer.html()),
    "empty key set": (healthy, members(keys=[])),
}

# Parts of a cycle. The issuers fail after the old key is retired, while the new one is
# published, or while the old one is retired; Redis fails within and without that.
_OUTAGES = ((0.55, 0.90), (0.02, 0.22), (0.32, 0.62))
_KILLED = ((0.10, 0.22), (0.45, 0.57), (0.40, 0.52))
_HUNG = ((0.70, 0.82), (0.08, 0.18), (0.75, 0.87))
_PUBLISH, _SIGN, _QUIET, _RETIRE = 0.05, 0.30, 0.45, 0.50
_ALGORITHMS = ("ES256", "ES256", "EdDSA", "RS256")
# Without settling at once: what was under way with the Redis that went ends first.
_SETTLING = 1.0


class World:
    """One issuer for each application, with the same keys, and one Redis; a context manager."""

    def __init__(self, limits: Limits, *, cycle: float, client: str) -> None:
        self.timeline = Timeline(limits)
        self._limits = limits
        self._client = client
        self.cycle = cycle
        self.issuers: dict[str, FaultyIssuer] = {}
        self.fault: str | None = None
        self.faults: list[str] = []
        """Those of the outages so far."""
        self.arrivals: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        """When each issuer was asked, by application and by what for."""
        self.redis = RedisServer()
        self.quiet_since: float | None = None
        """From when on clients must name no key that no verifier has; None lets them."""
        self.next_key: KeyRecord | None = None
        self._numbers = count(1)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for name in APPS:
                self.issuers[name] = running.enter_context(FaultyIssuer())
            running.enter_context(self.redis)
            self._running = running.pop_all()
        first = self._new_key()
        first.published_at = first.signing_since = 0
        self.timeline.keys.append(first)
        self._publish_all()
        self._behave(None)
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.redis_state is RedisState.HUNG:
            self.redis.wake()
        self._running.__exit__(*exception)

    @property
    def environment(self) -> dict[str, str]:
        """What an application under soak must know."""
        return {
            **{f"SOAK_ISSUER_{app.upper()}": each.identifier for app, each in self.issuers.items()},
            "SOAK_AUDIENCE": AUDIENCE,
            "SOAK_REDIS": self.redis.url,
            "SOAK_CLIENT": self._client,
            "SOAK_TTL": str(self._limits.ttl),
            "SOAK_COOLDOWN": str(self._limits.cooldown),
            "SOAK_TIMEOUT": str(self._limits.timeout),
        }

    @property
    def redis_state(self) -> RedisState:
        return self.timeline.redis.value

    @property
    def current_key(self) -> KeyRecord:
        """The key that the issuers sign with."""
        signing = [each for each in self.timeline.keys if each.signing_since < math.inf]
        return max(signing, key=lambda each: each.signing_since)

    def __str__(self) -> str:
        now, timeline = time.time(), self.timeline
        issuers = f"issuers {self.fault or 'up'} for {now - timeline.issuers_up.since:.1f} s"
        redis = f"Redis {self.redis_state.value} for {now - timeline.redis.since:.1f} s"
        return f"{issuers}, {redis}" + ("" if self.quiet_since is None else ", quiet")

    async def live(self, deadline: float) -> None:
        """Let everything happen, cycle after cycle, and leave everything whole at *deadline*."""
        start = time.time()
        self._mark_probed()
        for number in count():
            for part, step in self._steps(number):
                moment = start + (number + part) * self.cycle
                if moment >= deadline:
                    await asyncio.sleep(max(0, deadline - time.time()))
                    await self.mend()
                    return
                await asyncio.sleep(max(0, moment - time.time()))
                await step()

    async def mend(self) -> None:
        """Make everything whole."""
        self.quiet_since = None
        await self.heal_issuers()
        if self.redis_state is RedisState.HUNG:
            await self._wake_redis()
        if self.redis_state is RedisState.KILLED:
            await self._start_redis()

    async def break_issuers(self, fault: str) -> None:
        self.timeline.issuers_up.mark(False)
        self.timeline.probed.mark(False)
        self.fault = fault
        self.faults.append(fault)
        self._behave(FAULTS[fault])
        if FAULTS[fault] is None:
            for issuer in self.issuers.values():
                await asyncio.to_thread(issuer.stop)

    async def heal_issuers(self) -> None:
        self._behave(None)
        for issuer in self.issuers.values():
            await asyncio.to_thread(issuer.start)
        self.fault = None
        self.timeline.issuers_up.mark(True)
        self._mark_probed()

    def _steps(self, number: int) -> Iterator[Step]:
        turn = number % len(_OUTAGES)
        fault = list(FAULTS)[number % len(FAULTS)]
        steps: list[Step] = [
            (_OUTAGES[turn][0], partial(self.break_issuers, fault)),
            (_OUTAGES[turn][1], self.heal_issuers),
            (_KILLED[turn][0], self._kill_redis),
            (_KILLED[turn][1], self._start_redis),
            (_HUNG[turn][0], self._hang_redis),
            (_HUNG[turn][1], self._wake_redis),
        ]
        # Of four cycles there is one and a half in which nobody names a key that is not known,
        # so that the ttl alone has a verifier notice which one went.
        match number % 4:
            case 1:
                steps += [*self._rotation, (_QUIET, self._begin_quiet)]
            case 2:
                pass
            case _:
                steps += [*self._rotation, (0, self._end_quiet)]
        return iter(sorted(steps, key=lambda step: step[0]))

    @property
    def _rotation(self) -> list[Step]:
        return [
            (0.01, self._make_key),
            (_PUBLISH, self._publish),
            (_SIGN, self._sign),
            (_RETIRE, self._retire),
        ]

    async def _begin_quiet(self) -> None:
        self.quiet_since = time.time()
        self._mark_probed()

    async def _end_quiet(self) -> None:
        self.quiet_since = None
        self._mark_probed()

    def _mark_probed(self) -> None:
        self.timeline.probed.mark(self.quiet_since is None and self.fault is None)

    async def _make_key(self) -> None:
        self.next_key = await asyncio.to_thread(self._new_key)
        self.timeline.keys.append(self.next_key)

    async def _publish(self) -> None:
        assert self.next_key is not None
        self.next_key.published_at = time.time()
        self._publish_all()

    async def _sign(self) -> None:
        assert self.next_key is not None
        self.next_key.signing_since = time.time()
        self.next_key = None

    async def _retire(self) -> None:
        signing = self.current_key
        for key in self.timeline.keys:
            if key is not signing and key.is_published(time.time()):
                key.retired_at = time.time()
        self._publish_all()

    async def _kill_redis(self) -> None:
        self.timeline.redis.mark(RedisState.CHANGING)
        await asyncio.to_thread(self.redis.kill)
        self.timeline.redis.mark(RedisState.KILLED)

    async def _start_redis(self) -> None:
        self.timeline.redis.mark(RedisState.CHANGING)
        await asyncio.to_thread(self.redis.start)
        await self._settle()

    async def _hang_redis(self) -> None:
        self.timeline.redis.mark(RedisState.CHANGING)
        self.redis.hang()
        # A signal is not there at once.
        await asyncio.sleep(0.05)
        self.timeline.redis.mark(RedisState.HUNG)

    async def _wake_redis(self) -> None:
        self.timeline.redis.mark(RedisState.CHANGING)
        self.redis.wake()
        await self._settle()

    async def _settle(self) -> None:
        await asyncio.sleep(_SETTLING)
        self.timeline.redis.mark(RedisState.UP)

    def _new_key(self) -> KeyRecord:
        number = next(self._numbers)
        algorithm = _ALGORITHMS[number % len(_ALGORITHMS)]
        make = {"ES256": ec_key, "EdDSA": ed25519_key, "RS256": rsa_key}[algorithm]
        name = f"soak-{number}"
        private = make("ES256", name) if make is ec_key else make(name)
        issuer = self.issuers[APPS[0]]
        return KeyRecord(issuer.new_key(kid=name, private=private))

    def _publish_all(self) -> None:
        now = time.time()
        published = tuple(each.key for each in self.timeline.keys if each.is_published(now))
        for issuer in self.issuers.values():
            issuer.published = published

    def _behave(self, behaviours: tuple[Behaviour, Behaviour] | None) -> None:
        metadata, key_set = behaviours or (healthy, healthy)
        for name, issuer in self.issuers.items():
            self._switch(issuer.metadata, metadata, (name, "metadata"))
            self._switch(issuer.oauth_metadata, metadata, (name, "metadata"))
            self._switch(issuer.key_set, key_set, (name, "key set"))

    def _switch(self, resource: Resource, behaviour: Behaviour, name: tuple[str, str]) -> None:
        def noted(good: Answer) -> Any:
            self.arrivals[name].append(time.time())
            return behaviour(good) if callable(behaviour) else behaviour

        resource.switch(noted)
