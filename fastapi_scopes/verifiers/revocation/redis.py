"""A revocation list for several processes and machines, in Redis."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable
from fastapi_scopes.verifiers._settings import flag_problems, seconds_problems
from fastapi_scopes.verifiers.revocation.entries import KEPT_BEYOND_EXP, key_of, require_entry

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRevocationList"]

_log = logging.getLogger("fastapi_scopes")

_STALE_CONNECTIONS = 2
# Fewer than the connections of any pool that redis-py makes by itself.
_AT_ONCE = 50
_LATE_LOOPS = 3
# What the loop takes for itself when it is not late.
_SLACK = 0.1

# What answers may be no Redis. RuntimeError: a client of another event loop, or of one that is
# closed.
_ODD: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(RuntimeError, TypeError, ValueError),
)


class _OverloadError(Exception):
    """This process cannot ask now, which says nothing of Redis."""


class RedisRevocationList:
    """Revoked tokens in Redis, under *prefix*, each until it has expired anyway.

    *client* is a ``redis.asyncio.Redis``; it belongs to one event loop, as redis-py says. No
    answer within *timeout* seconds is an outage: then nobody passes (`VerifierUnavailable`),
    or, with *fail_open*, whoever was not known to be revoked, and that is logged. At most 50
    questions are asked at once. Where it is this process that cannot ask, for want of a
    connection or since its event loop is too busy, nobody passes in either case.

    A Redis that forgets its keys forgets who was revoked: it must persist them, and must not
    evict any. Needs the extra ``redis``.

    Raises:
        ConfigurationError: from the constructor, also where redis-py is not installed.
    """

    def __init__(
        self,
        client: "Redis",
        *,
        prefix: str = "fastapi-scopes:revoked:",
        timeout: float = 1,
        fail_open: bool = False,
    ) -> None:
        exceptions, clients = _redis_classes()
        self._broken = exceptions.ConnectionError
        self._exhausted = exceptions.MaxConnectionsError
        self._outages = (exceptions.RedisError, OSError, TimeoutError)
        problems: list[str] = []
        if not isinstance(client, clients):
            problems.append(f"client is a {type(client).__name__!r}; pass a redis.asyncio.Redis")
        if not isinstance(prefix, str) or not prefix:  # pyright: ignore[reportUnnecessaryIsInstance]
            problems.append("prefix is no text, or an empty one")
        problems.extend((*seconds_problems(timeout=timeout), *flag_problems(fail_open=fail_open)))
        ConfigurationError.raise_for(problems)
        self._client = client
        self._prefix = prefix
        self._timeout = timeout
        self._fail_open = fail_open
        self._places = asyncio.Semaphore(min(_AT_ONCE, _connections_of(client)))
        self._is_out = False
        """Whether the last question that was asked found Redis away."""

    def __repr__(self) -> str:
        return f"<RedisRevocationList under {self._prefix!r}>"

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked.

        Raises:
            VerifierUnavailable: Redis does not say.
        """
        key = self._prefix + key_of(issuer, jti)
        try:
            return await self._ask(lambda: self._client.exists(key)) != 0
        except self._outages as error:
            # Its text may name a host and a user.
            _log.error("the revocation list cannot be asked: %s", type(error).__name__)
            is_open = self._fail_open
        except (_OverloadError, *_ODD) as error:
            _log.error("the revocation list is not asked: %s", _reason_of(error))
            is_open = False
        if is_open:
            return False
        raise VerifierUnavailable

    async def revoke(self, issuer: str | None, jti: str, *, exp: float) -> None:
        """Refuse the token *jti* of *issuer*, which expires at *exp*, from now on.

        Raises:
            ConfigurationError: that names no token.
            VerifierUnavailable: Redis does not take it; the token is not revoked.
        """
        require_entry(issuer, jti, exp)
        until = math.ceil(exp) + KEPT_BEYOND_EXP
        key = self._prefix + key_of(issuer, jti)
        try:
            await self._ask(lambda: self._client.set(key, b"", exat=until))
        except (_OverloadError, *self._outages, *_ODD) as error:
            _log.error("the revocation list takes no entry: %s", _reason_of(error))
        else:
            return
        raise VerifierUnavailable

    async def _ask(self, command: Callable[[], Awaitable[object]]) -> object:
        """Return what Redis answers to *command*.

        Raises:
            _OverloadError: it was not asked, for a reason that is not its own.
        """
        async with self._place():
            answer = await self._answer(command)
        self._is_out = False
        return answer

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        """Hold one of the places of those who ask at once."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            # INVARIANT: a crowd here is no outage there, and opens nothing
            # (test_crowd_that_takes_too_long_opens_nothing).
            if self._is_out:
                raise
            raise _OverloadError("too many ask at once") from None
        try:
            yield
        except self._exhausted:
            raise _OverloadError("the client has no connection left") from None
        except self._outages:
            self._is_out = True
            raise
        finally:
            self._places.release()

    async def _answer(self, command: Callable[[], Awaitable[object]]) -> object:
        loop = asyncio.get_running_loop()
        for _ in range(_LATE_LOOPS):
            deadline = loop.time() + self._timeout
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._sent(command)
            except TimeoutError:
                # INVARIANT: a deadline that this loop missed itself says nothing of Redis: the
                # answer may be there, unread (test_loop_that_is_busy_opens_nothing).
                if loop.time() < deadline + _SLACK:
                    raise
        raise _OverloadError("the event loop is too busy")

    async def _sent(self, command: Callable[[], Awaitable[object]]) -> object:
        # A connection of before Redis was restarted shows only when it is used.
        for _ in range(_STALE_CONNECTIONS):
            with contextlib.suppress(self._broken):
                return await command()
        return await command()


def _reason_of(error: Exception) -> str:
    """Return what a log may say of *error*: of one that is not ours, no text."""
    if isinstance(error, _OverloadError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, RuntimeError):
        return f"{kind}; a client belongs to the event loop that it is first used in"
    return kind


def _connections_of(client: "Redis") -> int:
    """Return how many connections *client* may have; a cluster does not say."""
    most: object = getattr(getattr(client, "connection_pool", None), "max_connections", None)
    return most if isinstance(most, int) and most > 0 else _AT_ONCE


def _redis_classes() -> tuple[ModuleType, tuple[type, ...]]:
    """Return the exceptions of redis-py, and its clients."""
    try:
        asynchronous, exceptions = import_module("redis.asyncio"), import_module("redis.exceptions")
    except ImportError:
        raise ConfigurationError(
            "redis-py is not installed; pip install 'fastapi-scopes[redis]'"
        ) from None
    return exceptions, (asynchronous.Redis, asynchronous.RedisCluster)
