"""Events come to a hook in order, and whatever the hook does, nothing else feels it."""

import asyncio
import functools
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.events import DecisionEvent, Delivery
from fastapi_scopes.events.delivery import MAX_QUEUED
from tests.apps import make_guard
from tests.verifiers.publishing import PATIENCE

NOW = datetime(2026, 12, 1, tzinfo=UTC)
FAILS = "on_decision fails, and nothing else does: "


def event(number: int = 0) -> DecisionEvent:
    return DecisionEvent(allowed=True, reason="granted", method="GET", jti=str(number), moment=NOW)


def numbers_of(seen: list[DecisionEvent]) -> list[int]:
    return [int(each.jti or "-1") for each in seen]


async def flushed(delivery: Delivery) -> None:
    await delivery.flush(PATIENCE)


def test_function_gets_events_in_order_in_one_thread() -> None:
    seen: list[DecisionEvent] = []
    threads: set[int] = set()

    def hook(event: DecisionEvent) -> None:
        threads.add(threading.get_ident())
        seen.append(event)

    delivery = Delivery(hook)
    for number in range(1_000):
        delivery.send(event(number))
    asyncio.run(flushed(delivery))
    assert numbers_of(seen) == [*range(1_000)]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_async_function_gets_events_in_order_on_the_loop_that_decided() -> None:
    seen: list[tuple[object, DecisionEvent]] = []

    async def hook(event: DecisionEvent) -> None:
        await asyncio.sleep(0)
        seen.append((asyncio.get_running_loop(), event))

    delivery = Delivery(hook)

    async def serve(first: int) -> object:
        for number in range(first, first + 300):
            delivery.send(event(number))
        await flushed(delivery)
        return asyncio.get_running_loop()

    loops = [asyncio.run(serve(0)), asyncio.run(serve(300))]
    assert numbers_of([each for _, each in seen]) == [*range(600)]
    assert [place for place, _ in seen] == [loops[0]] * 300 + [loops[1]] * 300


def kind_of(value: object) -> str:
    return type(value).__name__


class Called:
    def __init__(self) -> None:
        self.seen: list[DecisionEvent] = []

    async def __call__(self, event: DecisionEvent) -> None:
        self.seen.append(event)

    async def method(self, event: DecisionEvent) -> None:
        self.seen.append(event)

    async def with_more(self, more: int, event: DecisionEvent) -> None:
        self.seen.append(event)


@pytest.mark.parametrize(
    "hook_of",
    [
        lambda called: called,
        lambda called: called.method,
        lambda called: functools.partial(called.with_more, 1),
    ],
    ids=["object", "method", "partial"],
)
def test_whatever_is_async_is_awaited(hook_of: Callable[[Called], Any]) -> None:
    called = Called()
    delivery = Delivery(hook_of(called))

    async def serve() -> None:
        delivery.send(event(7))
        await flushed(delivery)

    asyncio.run(serve())
    assert numbers_of(called.seen) == [7]


class GoneError(Exception):
    def __str__(self) -> str:
        return "the canary of a secret"


@pytest.mark.parametrize(
    "error",
    [GoneError(), SystemExit(1), asyncio.CancelledError()],
    ids=kind_of,
)
def test_function_that_raises_gets_the_next_event_all_the_same(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[DecisionEvent] = []

    def hook(event: DecisionEvent) -> None:
        seen.append(event)
        raise error

    delivery = Delivery(hook)
    for number in range(5):
        delivery.send(event(number))
    asyncio.run(flushed(delivery))
    assert numbers_of(seen) == [*range(5)]
    # Once in a minute.
    (line,) = caplog.messages
    assert line.startswith(f"{FAILS}it raised {type(error).__name__} at test_delivery.py:")
    assert "canary" not in caplog.text


@pytest.mark.parametrize("error", [GoneError(), asyncio.CancelledError()], ids=kind_of)
def test_async_function_that_raises_gets_the_next_event_all_the_same(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[DecisionEvent] = []

    async def hook(event: DecisionEvent) -> None:
        seen.append(event)
        raise error

    async def serve() -> None:
        for number in range(5):
            delivery.send(event(number))
        await flushed(delivery)

    delivery = Delivery(hook)
    asyncio.run(serve())
    assert numbers_of(seen) == [*range(5)]
    (line,) = caplog.messages
    assert line.startswith(f"{FAILS}it raised {type(error).__name__}")
    assert "canary" not in caplog.text


def test_function_that_returns_a_coroutine_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def later(event: DecisionEvent) -> None:
        raise AssertionError

    def hook(event: DecisionEvent) -> Any:
        return later(event)

    delivery = Delivery(hook)
    delivery.send(event())
    asyncio.run(flushed(delivery))
    gc.collect()
    assert caplog.messages == [f"{FAILS}it returns a coroutine that nobody awaits; write async def"]


def test_function_that_blocks_delays_nobody_and_loses_what_is_too_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[DecisionEvent] = []
    may_go_on, is_called = threading.Event(), threading.Event()

    def hook(event: DecisionEvent) -> None:
        is_called.set()
        may_go_on.wait(PATIENCE)
        seen.append(event)

    delivery = Delivery(hook)
    for number in range(MAX_QUEUED + 100):
        delivery.send(event(number))
    assert is_called.wait(PATIENCE)
    assert seen == []
    may_go_on.set()
    asyncio.run(flushed(delivery))
    assert numbers_of(seen) == [*range(MAX_QUEUED)]
    assert caplog.messages == [
        f"{FAILS}it is too slow: 1024 events wait for it, new ones are dropped",
        "on_decision: 100 events were dropped in all",
    ]


def test_async_function_that_never_ends_keeps_the_end_of_an_app_for_a_while_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hook(event: DecisionEvent) -> None:
        await asyncio.Event().wait()

    async def serve() -> None:
        for number in range(3):
            delivery.send(event(number))
        await delivery.flush(0.1)

    delivery = Delivery(hook)
    asyncio.run(serve())
    assert caplog.messages == ["on_decision: 3 events are lost, it is too slow"]


def test_async_function_that_does_not_wait_leaves_turns_to_the_loop() -> None:
    turns = 0

    async def hook(event: DecisionEvent) -> None:
        seen.append(turns)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def serve() -> None:
        counting = asyncio.create_task(count())
        for number in range(100):
            delivery.send(event(number))
        await flushed(delivery)
        counting.cancel()

    seen: list[int] = []
    delivery = Delivery(hook)
    asyncio.run(serve())
    assert len(set(seen)) == len(seen) == 100


def test_worker_that_somebody_cancels_is_followed_by_another() -> None:
    seen: list[DecisionEvent] = []

    async def hook(event: DecisionEvent) -> None:
        seen.append(event)
        await asyncio.sleep(0)

    async def serve() -> None:
        before = asyncio.all_tasks()
        delivery.send(event(0))
        (worker,) = asyncio.all_tasks() - before
        await asyncio.sleep(0)
        worker.cancel()
        await asyncio.wait([worker])
        delivery.send(event(1))
        await flushed(delivery)

    delivery = Delivery(hook)
    asyncio.run(serve())
    assert numbers_of(seen) == [0, 1]


def test_events_of_a_loop_that_was_closed_wait_for_nobody() -> None:
    async def hook(event: DecisionEvent) -> None:
        seen.append(event)

    seen: list[DecisionEvent] = []
    delivery = Delivery(hook)
    loop = asyncio.new_event_loop()

    async def decide(number: int) -> None:
        delivery.send(event(number))

    for number in range(3):
        # Stopped before the worker has a turn.
        loop.run_until_complete(decide(number))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def serve() -> None:
        delivery.send(event(9))
        await delivery.flush(PATIENCE)

    asyncio.run(serve())
    assert numbers_of(seen)[-1] == 9


def test_async_function_on_another_event_loop_is_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hook(event: DecisionEvent) -> None:
        raise AssertionError

    async def serve() -> None:
        delivery.send(event())
        await delivery.flush()

    delivery = Delivery(hook)
    anyio.run(serve, backend="trio")
    assert caplog.messages == [f"{FAILS}it is async, and runs on the event loop of asyncio alone"]


def test_function_on_another_event_loop_gets_its_events() -> None:
    seen: list[DecisionEvent] = []
    delivery = Delivery(seen.append)

    async def serve() -> None:
        delivery.send(event(4))
        await flushed(delivery)

    anyio.run(serve, backend="trio")
    assert numbers_of(seen) == [4]


class Immediate:
    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[DecisionEvent] = []
        self.error = error

    def tell(self, event: DecisionEvent) -> None:
        self.seen.append(event)
        if self.error is not None:
            raise self.error


def test_immediate_hook_is_called_within_the_request(caplog: pytest.LogCaptureFixture) -> None:
    hook = Immediate(GoneError())
    delivery = Delivery(hook)
    delivery.send(event(1))
    delivery.send(event(2))
    assert numbers_of(hook.seen) == [1, 2]
    (line,) = caplog.messages
    assert line.startswith(f"{FAILS}it raised GoneError at test_delivery.py:")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thread_of_the_parent_is_not_waited_for_after_a_fork() -> None:
    reading, writing = os.pipe()

    def hook(event: DecisionEvent) -> None:
        os.write(writing, b"%d:%s " % (os.getpid(), str(event.jti).encode()))

    delivery = Delivery(hook)
    delivery.send(event(1))
    asyncio.run(flushed(delivery))
    child = os.fork()
    if child == 0:
        delivery.send(event(2))
        asyncio.run(flushed(delivery))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    delivery.send(event(3))
    asyncio.run(flushed(delivery))
    os.close(writing)
    own = os.getpid()
    with os.fdopen(reading, "rb") as written:
        assert written.read() == b"%d:1 %d:2 %d:3 " % (own, child, own)


def test_events_are_sent_by_many_threads_and_none_is_lost() -> None:
    seen: list[DecisionEvent] = []
    delivery = Delivery(seen.append)

    def send(first: int) -> None:
        for number in range(first, first + 100):
            delivery.send(event(number))

    threads = [threading.Thread(target=send, args=[first]) for first in range(0, 800, 100)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    asyncio.run(flushed(delivery))
    assert sorted(numbers_of(seen)) == [*range(800)]


def test_function_that_was_left_alone_gets_the_next_event() -> None:
    seen: list[DecisionEvent] = []
    delivery = Delivery(seen.append, idle=0.01)
    for number in range(3):
        before = threading.active_count()
        delivery.send(event(number))
        asyncio.run(flushed(delivery))
        deadline = time.monotonic() + PATIENCE
        while threading.active_count() > before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert numbers_of(seen) == [0, 1, 2]


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (7, "on_decision is a 'int'; pass a function of one DecisionEvent"),
        ("audit", "on_decision is a 'str'; pass a function of one DecisionEvent"),
        (Immediate, "on_decision is a class; pass an instance"),
    ],
    ids=["number", "text", "class"],
)
def test_what_is_no_hook_is_refused(hook: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_guard({"GET /a": "a"}, on_decision=hook)
    assert [*map(str, caught.value.problems)] == [said]


def test_faults_are_logged_again_after_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "fastapi_scopes")
    times = iter([1.0, 2.0, 60.9, 61.0, 70.0])
    delivery = Delivery(Immediate(GoneError()), now=lambda: next(times))
    for _ in range(5):
        delivery.send(event())
    assert len(caplog.messages) == 2
