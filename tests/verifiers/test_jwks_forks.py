"""A process that forks takes its keys along, and nothing of what was under way."""

import asyncio
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.verifiers.publishing import (
    PATIENCE,
    Clock,
    Issuer,
    in_thread,
    looped,
    outcome_of,
    settled,
    until,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="there is no fork on Windows, so nothing to inherit"
)


def in_child(work: Callable[[], Coroutine[Any, Any, str]]) -> str:
    """What *work* returns in a fork of this process, and in an event loop of its own."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        # To fork beside other threads is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _report(work, writable)
    os.close(writable)
    try:
        is_answered = bool(select.select([readable], [], [], PATIENCE)[0])
        return os.read(readable, 1000).decode() if is_answered else "stuck"
    finally:
        _bury(child)
        os.close(readable)


def _bury(child: int) -> None:
    """Let *child* end by itself, so that what it ran is counted, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _report(work: Callable[[], Coroutine[Any, Any, str]], writable: int) -> None:
    # Nothing of the parent's may run here: no handler, no fixture, no other test.
    try:
        outcome = asyncio.run(work())
    except BaseException as error:  # noqa: BLE001 - the parent is told, whatever it is
        outcome = repr(error)
    os.write(writable, outcome.encode())
    os._exit(0)


def test_child_has_the_keys_of_its_parent() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    asyncio.run(verifier.verify(issuer.mint()))
    issuer.error = ConnectionError()

    assert in_child(lambda: outcome_of(verifier, issuer.mint(jti="in the child"))) == "accept"


def test_child_has_the_keys_of_its_parent_s_warm_up() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    asyncio.run(verifier.warm_up())
    issuer.error = ConnectionError()

    assert in_child(lambda: outcome_of(verifier, issuer.mint())) == "accept"


@looped
async def test_child_waits_for_no_warm_up_of_its_parent() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    issuer.hold()
    warming = asyncio.create_task(verifier.warm_up())
    await issuer.wait_for_fetches(1)

    async def ask() -> str:
        issuer.release()
        await verifier.warm_up()
        return await outcome_of(verifier, issuer.mint())

    assert in_child(ask) == "accept"
    issuer.release()
    await warming


def test_child_of_a_cold_parent_fetches_for_itself() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()

    assert in_child(lambda: outcome_of(verifier, issuer.mint())) == "accept"
    assert issuer.fetches == 0
    assert asyncio.run(outcome_of(verifier, issuer.mint())) == "accept"


@pytest.mark.parametrize("kid", ["k1", "k2"], ids=["cold", "unknown-key"])
@looped
async def test_child_waits_for_no_fetch_of_its_parent(kid: str) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    if kid == "k2":
        await verifier.verify(issuer.mint("k1"))
        issuer.publish("k1", "k2")
    before = issuer.fetches
    issuer.hold()
    waiting = asyncio.create_task(outcome_of(verifier, issuer.mint(kid)))
    await issuer.wait_for_fetches(before + 1)

    async def ask() -> str:
        issuer.release()
        outcome = await outcome_of(verifier, issuer.mint(kid, jti="in the child"))
        return f"{outcome} after {issuer.fetches - before} fetches"

    assert in_child(ask) == "accept after 2 fetches"
    assert not waiting.done()
    issuer.release()
    assert await waiting == "accept"
    assert issuer.fetches == before + 1


@looped
async def test_child_refreshes_what_its_parent_was_refreshing() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint("k1"))
    issuer.clock.move(300)
    issuer.publish("k2")
    issuer.hold()
    await verifier.verify(issuer.mint("k1", jti="due"))
    await issuer.wait_for_fetches(2)

    async def ask() -> str:
        issuer.release()
        first = await outcome_of(verifier, issuer.mint("k1", jti="in the child"))
        await settled()
        return f"{first}, then {await outcome_of(verifier, issuer.mint('k2'))}"

    # As everywhere: who is warm is served at once, and the refresh goes on beside it.
    assert in_child(ask) == "accept, then accept"
    issuer.release()


class HeldClock(Clock):
    """A clock at which a thread of the parent is kept at one of its looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks_left = 0
        self.parent = os.getpid()
        self.is_reached = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self) -> float:
        self.looks_left -= 1
        if self.looks_left == 0 and os.getpid() == self.parent:
            self.is_reached.set()
            self.may_go_on.wait(PATIENCE)
        return self.now


async def forked(issuer: Issuer, kid: str, looks: int) -> str | None:
    """The outcome in a child that forks while a thread is kept at its *looks*-th look.

    None where a verification does not look at the clock that often.
    """
    clock = HeldClock()
    verifier, token = issuer.verifier(now=clock), issuer.mint(kid)
    if kid == "k2":
        await verifier.verify(issuer.mint("k1"))
        issuer.publish("k1", "k2")
    clock.looks_left = looks
    thread = in_thread(lambda: outcome_of(verifier, token))
    await until(lambda: clock.is_reached.is_set() or thread.done())
    if not clock.is_reached.is_set():
        return None
    outcome = in_child(lambda: outcome_of(verifier, token))
    clock.may_go_on.set()
    await until(thread.done)
    assert thread.result() == "accept"
    return outcome


@pytest.mark.parametrize("kid", ["k1", "k2"], ids=["cold", "unknown-key"])
@looped
async def test_child_is_not_kept_by_what_another_thread_held_at_the_fork(kid: str) -> None:
    outcomes = [await forked(Issuer("k1"), kid, looks) for looks in range(1, 20)]
    reached = [each for each in outcomes if each is not None]

    # Wherever in a verification that thread is: also where it decides to begin a fetch.
    assert 3 <= len(reached) < len(outcomes)
    assert set(reached) == {"accept"}
