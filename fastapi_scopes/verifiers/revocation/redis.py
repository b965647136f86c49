"""A revocation list for several processes and machines, in Redis."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import Enum, auto
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, VerifierUnavailable
from fastapi_scopes.verifiers._settings import flag_problems, seconds_problems
from fastapi_scopes.verifiers.revocation.entries import KEPT_BEYOND_EXP, key_of, require_entry
from fastapi_scopes.verifiers.revocation.failures import Failures, told
from fastapi_scopes.verifiers.revocation.probing import Probe

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRevocationList"]

_log = logging.getLogger("fastapi_scopes")

_STALE_CONNECTIONS = 2
# Fewer than the connections of any pool that redis-py makes by itself.
_AT_ONCE = 50
_LATE_LOOPS = 3
# The delay, in seconds, of a loop that is not late.
_SLACK = 0.1

# The server may be no Redis, and answer anything. RuntimeError: the client belongs to another
# event loop, or to a closed one.
_UNEXPECTED: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(RuntimeError, TypeError, ValueError),
)


class _State(Enum):
    """What the last command showed of Redis."""

    ANSWERS = auto()
    AWAY = auto()
    REFUSES = auto()
    """Something is set up wrongly: a password, a permission, or what answers is no Redis."""


class _OverloadError(Exception):
    """This process is too busy to ask; Redis itself may be well."""


class RedisRevocationList:
    """A revocation list in Redis, under *prefix*; Redis drops an entry after its token expired.

    *client* is a ``redis.asyncio.Redis``; it belongs to one event loop, as redis-py says. In an
    outage (no connection, a lost one, no answer within *timeout* seconds, a server that loads or is
    busy) every token is refused (`VerifierUnavailable`), or, with *fail_open*, taken for not
    revoked, which is logged. A wrong password, a missing permission and an answer without sense
    are no outage: every token is refused, also with *fail_open*. What a timeout hides is found by a
    connection beside those of *client*, which tries nothing again.

    At most 50 commands run at once. Where this process itself is too busy to ask, for want of a
    connection or of time in its event loop, every token is refused, also with *fail_open*.

    A Redis that loses keys forgets revocations: it must persist them and evict none. Needs the
    extra ``redis``.

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
        self._failures = Failures(exceptions)
        problems: list[ConfigurationProblem] = []
        if not isinstance(client, clients):
            problems.append(
                ConfigurationProblem(
                    f"is a {type(client).__name__!r}",
                    "pass a redis.asyncio.Redis",
                    setting="client",
                )
            )
        if not isinstance(prefix, str) or not prefix:  # pyright: ignore[reportUnnecessaryIsInstance]
            problems.append(
                ConfigurationProblem(
                    "is no text, or an empty one", "write one like 'revoked:'", setting="prefix"
                )
            )
        problems.extend((*seconds_problems(timeout=timeout), *flag_problems(fail_open=fail_open)))
        ConfigurationError.raise_for(problems)
        self._client = client
        self._prefix = prefix
        self._timeout = timeout
        self._fail_open = fail_open
        self._slots = asyncio.Semaphore(min(_AT_ONCE, _connections_of(client)))
        self._state = _State.ANSWERS
        self._probe = Probe(client, pause=timeout, learn=self._learn)

    def __repr__(self) -> str:
        return f"<RedisRevocationList under {self._prefix!r}>"

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        """Tell whether the token *jti* of *issuer* was revoked.

        Raises:
            VerifierUnavailable: Redis gives no answer.
        """
        key = self._prefix + key_of(issuer, jti)
        try:
            answer = await self._ask(lambda: self._client.exists(key))
        except self._failures.all as error:
            cause = await self._cause_of(error, key)
            _log.error("the revocation list cannot be asked: %s", told(cause))
            is_open = self._fail_open and self._state is _State.AWAY
        except (_OverloadError, *_UNEXPECTED) as error:
            _log.error("the revocation list is not asked: %s", _said(error))
            is_open = False
        else:
            # False and 0.0 are equal to 0, and no answers of Redis.
            return type(answer) is not int or answer != 0
        if is_open:
            return False
        raise VerifierUnavailable

    async def revoke(self, issuer: str | None, jti: str, *, exp: float) -> None:
        """Refuse the token *jti* of *issuer*, which expires at *exp*, from now on.

        Raises:
            ConfigurationError: an argument is none that a token could have.
            VerifierUnavailable: Redis does not take it; the token is not revoked.
        """
        require_entry(issuer, jti, exp)
        until = math.ceil(exp) + KEPT_BEYOND_EXP
        key = self._prefix + key_of(issuer, jti)
        failures: tuple[type[Exception], ...] = (
            _OverloadError,
            *self._failures.all,
            *_UNEXPECTED,
        )
        try:
            await self._ask(lambda: self._client.set(key, b"", exat=until))
        except failures as error:
            _log.error("the revocation list takes no entry: %s", _said(error))
        else:
            return
        raise VerifierUnavailable

    def _learn(self, cause: BaseException) -> None:
        """Keep what *cause*, a failure that is no mere timeout, shows of Redis."""
        self._state = _State.AWAY if self._failures.is_outage(cause) else _State.REFUSES

    async def _cause_of(self, error: BaseException, key: str) -> BaseException:
        """Return why there was no answer about *key*, and keep what that shows of Redis."""
        cause = self._failures.cause_of(error)
        if type(cause) is not TimeoutError:
            self._learn(cause)
            return cause
        if not self._fail_open:
            return cause
        probe = self._probe.begin(key)
        if self._state is not _State.AWAY:
            # Nobody has to wait for more than is known in an outage.
            await asyncio.wait([probe], timeout=self._timeout)
        found = probe.result() if probe.done() and not probe.cancelled() else None
        if found is not None and not isinstance(found, TimeoutError):
            return found
        # Many that try a wrong password at once may take longer than the timeout.
        if self._state is not _State.REFUSES:
            self._state = _State.AWAY
        return cause

    async def _ask(self, command: Callable[[], Awaitable[object]]) -> object:
        """Return the answer of Redis to *command*.

        Raises:
            _OverloadError: this process was too busy to ask.
        """
        async with self._slot():
            answer = await self._answer(command)
        self._state = _State.ANSWERS
        return answer

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        """Hold one of the slots for commands that run at once."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            # INVARIANT: a queue in this process is no outage of Redis, so fail_open opens nothing
            # (test_crowd_that_takes_too_long_opens_nothing).
            if self._state is _State.AWAY:
                raise
            raise _OverloadError("too many ask at once") from None
        try:
            yield
        except self._failures.exhausted:
            raise _OverloadError("the client has no connection left") from None
        finally:
            self._slots.release()

    async def _answer(self, command: Callable[[], Awaitable[object]]) -> object:
        loop = asyncio.get_running_loop()
        for _ in range(_LATE_LOOPS):
            deadline = loop.time() + self._timeout
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._sent(command)
            except TimeoutError:
                # INVARIANT: where the loop itself was late the answer may be there, unread; that
                # is no outage of Redis (test_loop_that_is_busy_opens_nothing).
                if loop.time() < deadline + _SLACK:
                    raise
        raise _OverloadError("the event loop is too busy")

    async def _sent(self, command: Callable[[], Awaitable[object]]) -> object:
        # A connection that a restart of Redis has broken shows that only when it is used.
        for _ in range(_STALE_CONNECTIONS):
            try:
                return await command()
            except self._failures.broken as error:
                if type(error) is not self._failures.broken:
                    raise
        return await command()


def _said(error: Exception) -> str:
    """Return a text about *error* for the log: of foreign errors the type alone."""
    if isinstance(error, _OverloadError):
        return str(error)
    if isinstance(error, RuntimeError):
        return f"{told(error)}; a client belongs to the event loop that it is first used in"
    return told(error)


def _connections_of(client: "Redis") -> int:
    """Return how many connections *client* may have; a cluster does not say."""
    most: object = getattr(getattr(client, "connection_pool", None), "max_connections", None)
    return most if isinstance(most, int) and most > 0 else _AT_ONCE


def _redis_classes() -> tuple[ModuleType, tuple[type, ...]]:
    """Return the module of redis-py's exceptions, and its client classes."""
    try:
        asynchronous, exceptions = import_module("redis.asyncio"), import_module("redis.exceptions")
    except ImportError:
        raise ConfigurationError.of(
            "redis-py is not installed", "pip install 'fastapi-scopes[redis]'"
        ) from None
    return exceptions, (asynchronous.Redis, asynchronous.RedisCluster)
