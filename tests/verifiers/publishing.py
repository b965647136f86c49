"""An issuer as the `fetch` of a verifier sees it, and how the tests wait for what goes on there."""

import asyncio
import functools
import json
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from fastapi_scopes.errors import ConfigurationError, TokenError, VerifierUnavailable
from fastapi_scopes.verifiers import Document, JWKSVerifier
from tests.verifiers import minting
from tests.verifiers.minting import NOW, ec_key, jwk

ISSUER = "https://issuer.example"
JWKS_URI = f"{ISSUER}/jwks"
PATIENCE = 60.0
"""Seconds after which a test takes something for stuck."""

P = ParamSpec("P")
T = TypeVar("T")


def looped(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test, run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class Issuer:
    """Publishes the public halves of its keys, by `kid`; None publishes a key without one.

    `documents` says what else is to be found where: bytes, a Document, or an exception that is
    raised. Threads and loops may share it.
    """

    def __init__(self, *kids: str | None) -> None:
        self.clock = Clock()
        self.keys: dict[str | None, Any] = {kid: ec_key(name=str(kid)) for kid in kids or ("k1",)}
        self.documents: dict[str, Any] = {}
        self.max_age: float | None = None
        self.error: BaseException | None = None
        """Raised instead of any answer."""
        self.urls: list[str] = []
        self._gate = threading.Event()
        self._gate.set()

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return self.urls.count(JWKS_URI)

    def publish(self, *kids: str | None, **others: Any) -> None:
        """Publish exactly these keys from now on; *others* are keys that a test made itself."""
        self.keys = {kid: ec_key(name=str(kid)) for kid in kids} | others

    def hold(self) -> None:
        """Keep every answer back until `release`; it is made when it is asked for."""
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    async def fetch(self, url: str) -> Document:
        found = self.error or self.documents.get(url, Document(self.key_set(), self.max_age))
        self.urls.append(url)
        await until(self._gate.is_set)
        if isinstance(found, BaseException):
            raise found
        return Document(found) if isinstance(found, bytes) else found

    def key_set(self) -> bytes:
        names = {kid: {} if kid is None else {"kid": kid} for kid in self.keys}
        return key_set_of(*(jwk(key, **names[kid]) for kid, key in self.keys.items()))

    def mint(self, kid: str | None = "k1", *, key: Any = None, **claims: Any) -> str:
        """A token that outlives every test, signed by the key of that name wherever it is."""
        header = {} if kid is None else {"kid": kid}
        key = ec_key(name=str(kid)) if key is None else key
        claims = {"iss": ISSUER, "exp": NOW + 10**9, **claims}
        return minting.mint(claims, algorithm="ES256", key=key, header=header)

    def verifier(self, **settings: Any) -> Any:
        """A verifier of this issuer that asks for the key set right away."""
        return make_jwks_verifier(
            **{"jwks_uri": JWKS_URI, "fetch": self.fetch, "now": self.clock, **settings}
        )

    async def wait_for_fetches(self, count: int) -> None:
        """Return when the key set was asked for that often, here or in another loop."""
        await until(lambda: self.fetches >= count)


async def refreshed(issuer: Issuer, verifier: Any) -> None:
    """Return when the keys were refreshed that were fetched a ttl ago."""
    issuer.clock.move(300)
    await outcome_of(verifier, "no.token.")
    await settled()


def running_clock() -> Callable[[], float]:
    """A clock that runs like the real one, from NOW on."""
    start = time.monotonic()
    return lambda: NOW + time.monotonic() - start


def key_set_of(*jwks: Any) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def make_jwks_verifier(**settings: Any) -> Any:
    return JWKSVerifier(**{"issuer": ISSUER, "audience": None, **settings})


def problems_of(**settings: Any) -> tuple[str, ...]:
    """The problems of a configuration, none where it is good."""
    try:
        make_jwks_verifier(**settings)
    except ConfigurationError as error:
        return tuple(map(str, error.problems))
    return ()


async def outcome_of(verifier: Any, token: Any) -> str:
    """`accept`, or the code of what was raised; anything that is no promise escapes."""
    try:
        await verifier.verify(token)
    except (TokenError, VerifierUnavailable) as error:
        return str(error.code)
    return "accept"


def in_threads(*works: Callable[[], Coroutine[Any, Any, T]]) -> list[T]:
    """What each of *works* returns, each in a thread and an event loop of its own."""
    results = [in_thread(work) for work in works]
    return [each.result(PATIENCE) for each in results]


def in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
    """What *work* returns some time, run in a thread and an event loop of its own."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            result.set_exception(error)

    # No test that fails because a thread is stuck should be stuck itself.
    threading.Thread(target=run, daemon=True).start()
    return result


async def settled() -> None:
    """Return when nothing else goes on in this loop, timers aside."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
