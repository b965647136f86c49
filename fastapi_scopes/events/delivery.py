"""The way of decision events to hooks of the application, which delay and change nothing.

A hook is a function, which is called in a thread, or an async function, which is called in the
event loop that decided. It gets the events in order, from a queue of 1,024.
"""

import asyncio
import atexit
import contextvars
import inspect
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import anyio

from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, type_and_place_of
from fastapi_scopes.events.event import DecisionEvent

__all__ = ["MAX_QUEUED", "Delivery", "Hook", "Hooks", "ImmediateHook", "deliveries_to"]

MAX_QUEUED: Final = 1_024
"""The most events that wait for a hook."""

FLUSH_SECONDS: Final = 5.0
"""For how long the end of an app waits for a hook."""

IDLE_SECONDS: Final = 30.0
_MINUTE: Final = 60.0

_log = logging.getLogger("fastapi_scopes")

Hook = Callable[[DecisionEvent], Awaitable[None] | None]
"""What an application does with decision events."""


@runtime_checkable
class ImmediateHook(Protocol):
    """A hook that runs within the request, before that is answered; it must not wait."""

    def tell(self, event: DecisionEvent) -> None:
        """Take note of *event*."""
        ...


Hooks = Hook | ImmediateHook | Sequence[Hook | ImmediateHook]
"""One hook, or several."""


def _hook_problems(hook: object, setting: str) -> Iterator[ConfigurationProblem]:
    is_immediate = isinstance(hook, ImmediateHook)
    if isinstance(hook, type):
        yield ConfigurationProblem("is a class", "pass an instance", setting=setting)
    elif not is_immediate and not callable(hook):
        yield ConfigurationProblem(
            f"is a {type(hook).__name__!r}", "pass a function of one DecisionEvent", setting=setting
        )
    elif is_immediate and inspect.iscoroutinefunction(getattr(hook, "tell", None)):
        yield ConfigurationProblem(
            "has an async tell()", "pass an async function instead", setting=setting
        )


def _is_async(hook: Any) -> bool:
    # A function, a method, a partial of one, or an object that is called like one.
    called = getattr(hook, "__call__", None)  # noqa: B004 - asks what is called, not whether
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(called)


_Place = asyncio.AbstractEventLoop | None
"""Where a hook runs: an event loop, or, as None, the thread."""


@dataclass(slots=True)
class _ProcessState:
    """What one process has: after a fork the locks, threads and loops of the parent are gone."""

    pid: int = field(default_factory=os.getpid)
    changed: threading.Condition = field(default_factory=threading.Condition)
    queues: dict[_Place, deque[DecisionEvent]] = field(default_factory=dict)
    workers: set[_Place] = field(default_factory=set)
    """The places in which somebody empties the queue."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def waiting(self) -> int:
        """How many events the hook has not had to the end."""
        return sum(map(len, self.queues.values()))


_living: "weakref.WeakSet[Delivery]" = weakref.WeakSet()


class Delivery:
    """Brings events to one hook; safe for use by threads and event loops, and after a fork."""

    def __init__(
        self,
        hook: Any,
        *,
        name: str = "on_decision",
        now: Callable[[], float] = time.monotonic,
        idle: float = IDLE_SECONDS,
    ) -> None:
        """Make the way to *hook*, which the log calls *name*.

        *now* is a clock in seconds, for how often faults are logged. After *idle* seconds without
        an event its thread ends.
        """
        self._idle = idle
        self._hook = hook
        self._name = name
        self._is_immediate = isinstance(hook, ImmediateHook)
        self._is_async = _is_async(hook)
        self._now = now
        self._faults: dict[str, float] = {}
        self._dropped = 0
        self._state = _ProcessState()
        _living.add(self)

    def send(self, event: DecisionEvent) -> None:
        """Have the hook get *event*: at once where it is immediate, else as soon as it can."""
        if self._is_immediate:
            self._call_now(event)
            return
        place = _running_loop() if self._is_async else None
        if self._is_async and place is None:
            self._report("it is async, and runs on the event loop of asyncio alone")
            return
        state = self._process_state()
        with state.changed:
            is_full = state.waiting >= MAX_QUEUED
            if is_full:
                self._dropped += 1
            else:
                state.queues.setdefault(place, deque()).append(event)
                if place not in state.workers:
                    state.workers.add(place)
                    self._start_worker(state, place)
                state.changed.notify_all()
        if is_full:
            self._report(f"it is too slow: {MAX_QUEUED} events wait for it, new ones are dropped")

    async def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until the hook has had all events, or for *seconds*."""
        state, deadline = self._process_state(), time.monotonic() + seconds
        # Threads and other event loops empty their queues too.
        while state.waiting and time.monotonic() < deadline:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        if state.waiting:
            _log.warning("%s: %d events are lost, it is too slow", self._name, state.waiting)
        if self._dropped:
            _log.warning("%s: %d events were dropped in all", self._name, self._dropped)

    def flush_thread(self, deadline: float) -> None:
        """Wait until the thread has had all events, or until *deadline* of `time.monotonic`."""
        state = self._process_state()
        with state.changed:
            state.changed.wait_for(
                lambda: not state.queues.get(None), max(0, deadline - time.monotonic())
            )

    def _process_state(self) -> _ProcessState:
        if self._state.pid != os.getpid():
            self._state = _ProcessState()
        return self._state

    def _call_now(self, event: DecisionEvent) -> None:
        try:
            self._hook.tell(event)
        except Exception as error:  # noqa: BLE001 - a hook changes no answer
            self._report(f"it raised {type_and_place_of(error)}")

    def _start_worker(self, state: _ProcessState, place: _Place) -> None:
        if place is None:
            run = threading.Thread(target=self._work, args=[state], daemon=True)
            run.name = f"fastapi_scopes-{self._name}"
            try:
                run.start()
            except RuntimeError:
                # The next event tries again.
                state.workers.discard(place)
                self._report("no thread can be started for it")
            return
        for closed in [each for each in state.queues if each is not None and each.is_closed()]:
            state.queues.pop(closed)
            state.workers.discard(closed)
        # In an empty context: it serves many requests and belongs to none.
        task = place.create_task(self._work_in(state, place), context=contextvars.Context())
        state.tasks.add(task)
        task.add_done_callback(state.tasks.discard)

    def _work(self, state: _ProcessState) -> None:
        """Empty the queue of the thread, until nothing has come for a while."""
        while (event := self._next(state, None, self._idle)) is not None:
            try:
                found = self._hook(event)
                if inspect.iscoroutine(found):
                    found.close()
                    self._report("it returns a coroutine that nobody awaits; write async def")
            except BaseException as error:  # noqa: BLE001 - it is the thread's only work
                self._report(f"it raised {type_and_place_of(error)}")
            finally:
                self._take(state, None)

    async def _work_in(self, state: _ProcessState, loop: asyncio.AbstractEventLoop) -> None:
        """Empty the queue of *loop*."""
        task = asyncio.current_task()
        try:
            while (event := self._next(state, loop)) is not None:
                try:
                    await self._hook(event)
                except Exception as error:  # noqa: BLE001 - a hook changes no answer
                    self._report(f"it raised {type_and_place_of(error)}")
                except asyncio.CancelledError:
                    if task is not None and task.cancelling():
                        raise
                    self._report("it raised CancelledError")
                finally:
                    self._take(state, loop)
                # One that never waits must not keep the loop.
                await asyncio.sleep(0)
        finally:
            # Whoever has cancelled it: the next event begins another.
            state.workers.discard(loop)

    def _next(
        self, state: _ProcessState, place: _Place, patience: float = 0
    ) -> DecisionEvent | None:
        """Return the next event in *place*; None where there is none for *patience* seconds.

        Then the worker of the place is at its end.
        """
        with state.changed:
            if not state.changed.wait_for(lambda: state.queues.get(place), patience):
                state.workers.discard(place)
                return None
            return state.queues[place][0]

    def _take(self, state: _ProcessState, place: _Place) -> None:
        # After the hook has had it: who flushes waits for that.
        with state.changed:
            queue = state.queues.get(place)
            if queue:
                queue.popleft()
            if not queue:
                state.queues.pop(place, None)
                state.changed.notify_all()

    def _report(self, fault: str) -> None:
        """Log *fault*, at most once in a minute."""
        now = self._now()
        if now - self._faults.get(fault, -_MINUTE) >= _MINUTE:
            self._faults[fault] = now
            _log.error("%s fails, and nothing else does: %s", self._name, fault)


def deliveries_to(hooks: object) -> tuple[Delivery, ...]:
    """Return one way to each of *hooks*: one hook, a sequence of hooks, or None.

    Raises:
        ConfigurationError: naming each that cannot be used.
    """
    named: dict[str, object] = {} if hooks is None else {"on_decision": hooks}
    if isinstance(hooks, Sequence) and not isinstance(hooks, str | bytes):
        named = {f"on_decision[{place}]": hook for place, hook in enumerate(hooks)}
    ConfigurationError.raise_for(
        problem for name, hook in named.items() for problem in _hook_problems(hook, name)
    )
    return tuple(Delivery(hook, name=name) for name, hook in named.items())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _flush_threads() -> None:
    # For apps without a lifespan of ours; a thread ends with the process, wherever it is.
    deadline = time.monotonic() + FLUSH_SECONDS
    for each in [*_living]:
        each.flush_thread(deadline)


atexit.register(_flush_threads)
