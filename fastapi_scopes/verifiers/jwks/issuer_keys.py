"""The keys of one issuer, kept fresh beside the requests: one attempt at a time, whoever asks.

An attempt is a task of the event loop that began it. Others, in other tasks, loops and threads,
wait for its end; none of them, when cancelled, takes the attempt with it.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers._http import FetchError
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.jwks.source import PublishedKeys
from fastapi_scopes.verifiers.keys.ring import VerificationKeys
from fastapi_scopes.verifiers.keyset import Attempt, Held, KeySet, Schedule
from fastapi_scopes.verifiers.tokens.profile import VettedClaims

__all__ = ["Generation", "IssuerKeys"]

_log = logging.getLogger("fastapi_scopes")

# A timer that goes off a moment too early would find nothing due.
_SLACK: Final = 0.05


@dataclass(frozen=True, slots=True)
class Generation:
    """Keys, and what was verified while each of them held."""

    keys: VerificationKeys
    cache: TokenCache[VettedClaims[Any]] = field(repr=False)


class _Pending:
    """An attempt that is under way, and those who wait for its end, each in its own loop."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.task: asyncio.Task[PublishedKeys] | None = None
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[None]] | None = []

    async def ended(self) -> None:
        """Return when it has ended. Who is cancelled meanwhile ends nobody else's wait."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._waiting is None:
                return
            self._waiting.append(future)
        await future

    def end(self) -> None:
        """Tell everybody who waits that it has ended."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
        for future in waiting:
            # A loop that is closed by now has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass(eq=False, slots=True)
class _OfProcess:
    """What belongs to one process: after a fork its parent's locks and tasks mean nothing."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: _Pending | None = None


class IssuerKeys:
    """Who has keys gets them at once; fresh ones are fetched in the background."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[PublishedKeys]],
        *,
        schedule: Schedule,
        new_cache: Callable[[], TokenCache[VettedClaims[Any]]],
        name: str,
        now: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._state: KeySet[Generation] = KeySet(schedule)
        self._schedule = schedule
        self._new_cache = new_cache
        self._name = name
        self._now = now
        self._of_process = _OfProcess()
        self._alarms: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}

    @property
    def attempts(self) -> int:
        """How many attempts have begun so far."""
        return self._state.attempts

    async def current(self) -> Held[Generation]:
        """Return the keys that hold now, and see to it that they are fresh.

        Raises:
            VerifierUnavailable: there are none, and the issuer gives none.
        """
        now = self._now()
        held = self._state.usable(now)
        if held is None:
            return await self._first()
        if self._state.is_overdue(now):
            # INVARIANT: a key that went while nobody asked serves nobody who comes then, not
            # even until the answer is here. Held by test_key_that_went_while_nobody_asked_is_gone.
            await self._ended(self._begin(self._state.begin))
            return self._state.usable(self._now()) or await self._first()
        if self._state.is_due(now):
            self._begin(self._state.begin)
        elif asyncio.get_running_loop() not in self._alarms:
            self._remind()
        return held

    async def newer_than(self, held: Held[Generation], seen: int) -> Held[Generation] | None:
        """Return keys that came after *held*, or None where there are none, or it is too soon.

        For a token that names a key which *held* has not, and that came when *seen* attempts
        had begun: what was asked for after that is new enough.
        """
        await self._ended(self._here().pending)
        newer = self._after(held)
        # Twice, as in `_first`.
        for _ in range(2):
            if newer is None and held.number <= seen:
                await self._ended(self._begin(self._state.begin_for_unknown_key))
                newer = self._after(held)
        return newer

    def _after(self, held: Held[Generation]) -> Held[Generation] | None:
        usable = self._state.usable(self._now())
        return usable if usable is not None and usable.number > held.number else None

    async def _first(self) -> Held[Generation]:
        # Twice: an attempt may end without an answer because the loop that it runs in does.
        for _ in range(2):
            await self._ended(self._begin(self._state.begin))
            held = self._state.usable(self._now())
            if held is not None:
                return held
        raise VerifierUnavailable(self._state.retry_after(self._now()))

    async def _ended(self, pending: _Pending | None) -> None:
        if pending is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._schedule.patience):
                await pending.ended()

    def _here(self) -> _OfProcess:
        if self._of_process.pid != os.getpid():
            self._state.abandon()
            self._of_process = _OfProcess()
        return self._of_process

    def _begin(self, begin: Callable[[float], Attempt | None]) -> _Pending | None:
        """Return the attempt that is under way, a new one where *begin* allows, or None."""
        of_process = self._here()
        with of_process.lock:
            attempt = begin(self._now())
            if attempt is None:
                return of_process.pending
            pending = of_process.pending = _Pending(attempt)
        # In a context of its own: it is nobody's request.
        pending.task = asyncio.get_running_loop().create_task(
            self._asked(), context=contextvars.Context()
        )
        pending.task.add_done_callback(lambda task: self._end(pending, task))
        return pending

    async def _asked(self) -> PublishedKeys:
        async with asyncio.timeout(self._schedule.timeout):
            return await self._ask()

    def _end(self, pending: _Pending, task: asyncio.Task[PublishedKeys]) -> None:
        of_process = self._here()
        with of_process.lock:
            failure = self._note(pending.attempt, task)
            if of_process.pending is pending:
                of_process.pending = None
        pending.end()
        self._remind()
        if failure is not None:
            # Last: whatever a log handler does, nobody waits for it.
            _log.warning("no keys of %s: %s", self._name, failure)

    def _note(self, attempt: Attempt, task: asyncio.Task[PublishedKeys]) -> str | None:
        """Take over what an attempt brought, or return why it brought nothing."""
        now = self._now()
        if task.cancelled():
            if task.cancelling():
                # The loop of whoever began it is closing, which says nothing of the issuer.
                self._state.abandon(attempt)
                return None
            self._state.fail(attempt, now)
            return "CancelledError"
        error = task.exception()
        if error is None:
            found = task.result()
            generation = self._generation_of(found.keys)
            self._state.succeed(attempt, generation, now, lifetime=found.max_age)
            return None
        self._state.fail(attempt, now)
        # Of an error that is not ours the text may hold anything.
        return str(error) if isinstance(error, FetchError) else type(error).__name__

    def _generation_of(self, keys: VerificationKeys) -> Generation:
        """Return *keys* with what was verified so far, where none that verified it has gone."""
        held = self._state.held
        if held is not None and keys.includes(held.value.keys):
            return Generation(keys, held.value.cache)
        # INVARIANT: a new cache, never a cleared one: a verification that is under way with the
        # old keys still writes to the old one.
        # Held by test_token_verified_while_its_key_goes_is_not_kept.
        return Generation(keys, self._new_cache())

    def _remind(self) -> None:
        """Ask again when fresh keys are due, also if no request comes that would.

        Else a key that is gone would still serve whoever comes first after a quiet time.
        """
        seconds = self._state.next_due(self._now())
        if seconds is None:
            return
        loop = asyncio.get_running_loop()
        for gone in [each for each in [*self._alarms] if each.is_closed()]:
            self._alarms.pop(gone, None)
        if loop in self._alarms:
            self._alarms[loop].cancel()
        self._alarms[loop] = loop.call_later(seconds + _SLACK, _refresher_of(self))

    def refresh(self) -> None:
        """Begin to ask for fresh keys where they are due, and see to it that this goes on."""
        if self._state.is_due(self._now()):
            self._begin(self._state.begin)
        self._remind()


def _refresher_of(keys: IssuerKeys) -> Callable[[], None]:
    # Weakly: a timer keeps nothing alive that its application has dropped.
    reference = weakref.ref(keys)

    def refresh() -> None:
        kept = reference()
        if kept is not None:
            kept.refresh()

    return refresh
