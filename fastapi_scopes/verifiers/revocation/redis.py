"""A revocation list for several processes and machines, in Redis."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING

from fastapi_scopes.errors import ConfigurationError, VerifierUnavailable
from fastapi_scopes.verifiers._settings import seconds_problems
from fastapi_scopes.verifiers.revocation.entries import KEPT_BEYOND_EXP, key_of, require_entry

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRevocationList"]

_log = logging.getLogger("fastapi_scopes")

_STALE_CONNECTIONS = 2


class RedisRevocationList:
    """Revoked tokens in Redis, under *prefix*, each until it has expired anyway.

    *client* is a ``redis.asyncio.Redis``; it belongs to one event loop, as redis-py says. No
    answer within *timeout* seconds is an outage: then nobody passes (`VerifierUnavailable`),
    or, with *fail_open*, whoever was not known to be revoked, and that is logged.

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
        self._outages, clients = _redis_classes()
        self._broken = self._outages[0]
        problems: list[str] = []
        if not isinstance(client, clients):
            problems.append(f"client is a {type(client).__name__!r}; pass a redis.asyncio.Redis")
        if not isinstance(prefix, str) or not prefix:  # pyright: ignore[reportUnnecessaryIsInstance]
            problems.append("prefix is no text, or an empty one")
        problems.extend(seconds_problems(timeout=timeout))
        ConfigurationError.raise_for(problems)
        self._client = client
        self._prefix = prefix
        self._timeout = timeout
        self._fail_open = fail_open

    def __repr__(self) -> str:
        return f"<RedisRevocationList under {self._prefix!r}>"

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked.

        Raises:
            VerifierUnavailable: Redis does not say.
        """
        try:
            async with asyncio.timeout(self._timeout):
                key = self._prefix + key_of(issuer, jti)
                return await self._answer(lambda: self._client.exists(key)) != 0
        except self._outages as error:
            # Its text may name a host and a user.
            _log.error("the revocation list cannot be asked: %s", type(error).__name__)
        if self._fail_open:
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
        try:
            async with asyncio.timeout(self._timeout):
                key = self._prefix + key_of(issuer, jti)
                await self._answer(lambda: self._client.set(key, b"", exat=until))
        except self._outages as error:
            _log.error("the revocation list takes no entry: %s", type(error).__name__)
        else:
            return
        raise VerifierUnavailable

    async def _answer(self, command: Callable[[], Awaitable[object]]) -> object:
        # A connection of before Redis was restarted shows only when it is used.
        for _ in range(_STALE_CONNECTIONS):
            with contextlib.suppress(self._broken):
                return await command()
        return await command()


def _redis_classes() -> tuple[tuple[type[Exception], ...], tuple[type, ...]]:
    """Return what redis-py raises in an outage, a broken connection first, and its clients."""
    try:
        asynchronous, exceptions = import_module("redis.asyncio"), import_module("redis.exceptions")
    except ImportError:
        raise ConfigurationError(
            "redis-py is not installed; pip install 'fastapi-scopes[redis]'"
        ) from None
    # ValueError and RecursionError: what answers may be no Redis. RuntimeError: a client of
    # another event loop, or of one that is closed.
    outages = (
        *(exceptions.ConnectionError, exceptions.RedisError, OSError, TimeoutError),
        *(ValueError, RuntimeError),
    )
    return outages, (asynchronous.Redis, asynchronous.RedisCluster)
