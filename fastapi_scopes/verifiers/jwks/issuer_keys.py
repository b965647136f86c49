"""The published keys of one issuer, refreshed in the background, one attempt at a time.

An attempt to fetch keys is a task of the event loop that began it. Other tasks, loops and threads
wait for its end; cancelling one of them does not cancel the attempt.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers._http import FetchError
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.jwks.source import PublishedKeys
from fastapi_scopes.verifiers.keys.ring import VerificationKeys
from fastapi_scopes.verifiers.keyset import Attempt, Held, KeySet, Schedule
from fastapi_scopes.verifiers.tokens.vetted import VettedClaims

__all__ = ["IssuerKeys", "KeyGeneration"]

_log = logging.getLogger("fastapi_scopes")

# A timer that goes off a moment too early would find nothing due.
_SLACK: Final = 0.05


@dataclass(frozen=True, slots=True)
class KeyGeneration:
    """The keys of an issuer, and the cache of tokens that were verified with them."""

    keys: VerificationKeys
    cache: TokenCache[VettedClaims[Any]] = field(repr=False)


class _Pending:
    """A running attempt, and the futures of all who wait for its end, in any event loop."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.task: asyncio.Task[PublishedKeys] | None = None
        self._lock = threading.Lock()
        self._waiting: list[asyncio.Future[None]] | None = []

    async def wait(self) -> None:
        """Wait for the end of the attempt; cancelling one wait does not end the others."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._waiting is None:
                return
            self._waiting.append(future)
        await future

    def release(self) -> None:
        """Wake all who wait for the end of the attempt."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
        for future in waiting:
            # Nobody waits in a loop that is closed by now.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass(eq=False, slots=True)
class _ProcessState:
    """The state of one process: after a fork the locks and tasks of the parent mean nothing."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: _Pending | None = None


class IssuerKeys:
    """The keys of one issuer: held keys are returned at once, fresh ones fetched meanwhile."""

    def __init__(
        self,
        ask: Callable[[float], Coroutine[Any, Any, PublishedKeys]],
        *,
        schedule: Schedule,
        new_cache: Callable[[], TokenCache[VettedClaims[Any]]],
        name: str,
        now: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._state: KeySet[KeyGeneration] = KeySet(schedule)
        self._schedule = schedule
        self._new_cache = new_cache
        self._name = name
        self._now = now
        self._process_state = _ProcessState()
        self._timers: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}

    @property
    def attempts(self) -> int:
        """How many attempts have begun so far."""
        return self._state.attempts

    async def warm_up(self) -> None:
        """Ask for the keys now, where none are fresh; an issuer that gives none is logged."""
        await self._wait_for(self._begin(self._state.begin_warm_up))
        self._keep_fresh()

    def at_hand(self) -> Held[KeyGeneration] | None:
        """Return the keys that hold now, or None where anything has to be done for them first."""
        held = self._state.fresh(self._now())
        return held if asyncio.get_running_loop() in self._timers else None

    async def current(self) -> Held[KeyGeneration]:
        """Return the keys that hold now, and begin to fetch fresh ones where they are due.

        Raises:
            VerifierUnavailable: no keys are held, and the issuer gives none.
        """
        now = self._now()
        held = self._state.usable(now)
        if held is None:
            return await self._wait_for_first()
        if self._state.is_overdue(now):
            # INVARIANT: after a time without refreshes a withdrawn key verifies no token, not even
            # until the issuer has answered. Held by test_key_that_went_while_nobody_asked_is_gone.
            await self._wait_for(self._begin(self._state.begin))
            return self._state.usable(self._now()) or await self._wait_for_first()
        if self._state.is_due(now):
            self._begin(self._state.begin)
        else:
            self._keep_fresh()
        return held

    async def newer_than(self, held: Held[KeyGeneration], seen: int) -> Held[KeyGeneration] | None:
        """Return keys that came after *held*, or None where there are none, or it is too soon.

        For a token that names a key which is not in *held*. When the token came, *seen* attempts
        had begun: the keys of any later attempt are new enough.
        """
        await self._wait_for(self._current_process().pending)
        newer = self._after(held)
        # Twice, as in `_wait_for_first`.
        for _ in range(2):
            if newer is None and held.number <= seen:
                await self._wait_for(self._begin(self._state.begin_for_unknown_key))
                newer = self._after(held)
        return newer

    def _after(self, held: Held[KeyGeneration]) -> Held[KeyGeneration] | None:
        usable = self._state.usable(self._now())
        return usable if usable is not None and usable.number > held.number else None

    async def _wait_for_first(self) -> Held[KeyGeneration]:
        # Twice: an attempt ends without an answer where the loop that it runs in is closed.
        for _ in range(2):
            await self._wait_for(self._begin(self._state.begin))
            held = self._state.usable(self._now())
            if held is not None:
                return held
        raise VerifierUnavailable(self._state.retry_after(self._now()))

    async def _wait_for(self, pending: _Pending | None) -> None:
        if pending is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._schedule.patience):
                await pending.wait()

    def _current_process(self) -> _ProcessState:
        if self._process_state.pid != os.getpid():
            self._state.abandon()
            self._process_state = _ProcessState()
        return self._process_state

    def _begin(self, begin: Callable[[float], Attempt | None]) -> _Pending | None:
        """Return the running attempt, a new one where *begin* allows that, or None."""
        process = self._current_process()
        with process.lock:
            attempt = begin(self._now())
            if attempt is None:
                return process.pending
            pending = process.pending = _Pending(attempt)
        # In an empty context: it serves many requests and belongs to none.
        pending.task = asyncio.get_running_loop().create_task(
            self._ask(self._schedule.timeout), context=contextvars.Context()
        )
        pending.task.add_done_callback(lambda task: self._finish(pending, task))
        return pending

    def _finish(self, pending: _Pending, task: asyncio.Task[PublishedKeys]) -> None:
        process = self._current_process()
        with process.lock:
            failure = self._record(pending.attempt, task)
            if process.pending is pending:
                process.pending = None
        pending.release()
        self._schedule_refresh()
        if failure is not None:
            # Last, so that nobody waits for a slow log handler.
            level = logging.ERROR if pending.attempt.is_warm_up else logging.WARNING
            _log.log(level, "no keys of %s: %s", self._name, failure)

    def _record(self, attempt: Attempt, task: asyncio.Task[PublishedKeys]) -> str | None:
        """Hold the keys that *attempt* brought, or return the reason why it brought none."""
        now = self._now()
        if task.cancelled():
            # The event loop that began it is closing, which is no fault of the issuer.
            self._state.abandon(attempt)
            return None
        error = task.exception()
        if error is None:
            found = task.result()
            generation = self._generation_of(found.keys)
            self._state.succeed(attempt, generation, now, lifetime=found.max_age)
            return None
        self._state.fail(attempt, now)
        # The text of a foreign error may hold anything.
        return str(error) if isinstance(error, FetchError) else type(error).__name__

    def _generation_of(self, keys: VerificationKeys) -> KeyGeneration:
        """Return *keys* with the present cache, or a new one where a held key is not among them."""
        held = self._state.held
        if held is not None and keys.includes(held.value.keys):
            return KeyGeneration(keys, held.value.cache)
        # INVARIANT: a new cache, never a cleared one: a verification that is under way with the
        # old keys still writes to the old one.
        # Held by test_token_verified_while_its_key_goes_is_not_kept.
        return KeyGeneration(keys, self._new_cache())

    def _keep_fresh(self) -> None:
        if asyncio.get_running_loop() not in self._timers:
            self._schedule_refresh()

    def _schedule_refresh(self) -> None:
        """Set a timer that refreshes the keys when they are due, also where no request comes.

        Without it a withdrawn key would verify the first token after a quiet time.
        """
        seconds = self._state.next_due(self._now())
        if seconds is None:
            return
        loop = asyncio.get_running_loop()
        for closed in [each for each in [*self._timers] if each.is_closed()]:
            self._timers.pop(closed, None)
        if loop in self._timers:
            self._timers[loop].cancel()
        self._timers[loop] = loop.call_later(seconds + _SLACK, _refresher_of(self))

    def refresh(self) -> None:
        """Begin to fetch fresh keys where they are due, and set the next timer."""
        if self._state.is_due(self._now()):
            self._begin(self._state.begin)
        self._schedule_refresh()


def _refresher_of(keys: IssuerKeys) -> Callable[[], None]:
    # A weak reference: a timer must not keep alive what its application has dropped.
    reference = weakref.ref(keys)

    def refresh() -> None:
        alive = reference()
        if alive is not None:
            alive.refresh()

    return refresh
