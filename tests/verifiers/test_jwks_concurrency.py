"""Many wait for one fetch, in tasks, event loops and threads: who goes takes nobody along."""

import asyncio
import gc
import logging
import threading
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from fastapi_scopes.errors import TokenFault
from tests.verifiers.publishing import (
    Issuer,
    in_thread,
    in_threads,
    looped,
    outcome_of,
    running_clock,
    settled,
    until,
)


async def started(verifier: Any, token: str) -> "asyncio.Task[str]":
    """A verification that is under way as far as it comes by itself."""
    task = asyncio.create_task(outcome_of(verifier, token))
    await asyncio.sleep(0.01)
    return task


async def cancelled(task: "asyncio.Task[str]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("goes", [0, 1, 2], ids=["first", "second", "last"])
@pytest.mark.parametrize("kid", ["k1", "k2"], ids=["cold", "unknown-key"])
@looped
async def test_who_stops_waiting_takes_no_fetch_along(kid: str, goes: int) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    if kid == "k2":
        await verifier.verify(issuer.mint("k1"))
        issuer.publish("k1", "k2")
    before = issuer.fetches
    issuer.hold()
    waiting = [await started(verifier, issuer.mint(kid, jti=str(n))) for n in range(3)]

    await cancelled(waiting.pop(goes))
    issuer.release()
    assert await asyncio.gather(*waiting) == ["accept", "accept"]
    assert issuer.fetches == before + 1


@looped
async def test_fetch_that_everybody_stopped_waiting_for_still_counts() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    issuer.hold()
    for number in range(3):
        await cancelled(await started(verifier, issuer.mint(jti=str(number))))
    issuer.release()
    await settled()

    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.fetches == 1


def begun_in_a_thread(
    issuer: Issuer, verifier: Any, token: str
) -> tuple[Future[None], threading.Event]:
    """A loop that begins a fetch, and what lets it close, which takes the fetch along."""
    may_close = threading.Event()

    async def begin() -> None:
        before = issuer.fetches
        waiting = asyncio.create_task(verifier.verify(token))
        await issuer.wait_for_fetches(before + 1)
        await until(may_close.is_set)
        waiting.cancel()

    return in_thread(begin), may_close


@pytest.mark.parametrize("kid", ["k1", "k2"], ids=["cold", "unknown-key"])
@looped
async def test_loop_that_closes_in_mid_flight_fails_no_other(kid: str) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    if kid == "k2":
        await verifier.verify(issuer.mint("k1"))
        issuer.publish("k1", "k2")
    before = issuer.fetches
    issuer.hold()
    closed, may_close = begun_in_a_thread(issuer, verifier, issuer.mint(kid))
    await issuer.wait_for_fetches(before + 1)
    waiting = [await started(verifier, issuer.mint(kid, jti=str(n))) for n in range(3)]

    may_close.set()
    await until(closed.done)
    issuer.release()
    assert await asyncio.gather(*waiting) == ["accept"] * 3
    assert issuer.fetches == before + 2


@pytest.mark.parametrize("kid", ["k1", "k2"], ids=["cold", "unknown-key"])
@looped
async def test_next_request_after_a_loop_closed_in_mid_flight_is_served(kid: str) -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    if kid == "k2":
        await verifier.verify(issuer.mint("k1"))
        issuer.publish("k1", "k2")
    issuer.hold()
    closed, may_close = begun_in_a_thread(issuer, verifier, issuer.mint(kid))
    may_close.set()
    await until(closed.done)
    issuer.release()

    assert await outcome_of(verifier, issuer.mint(kid, jti="next")) == "accept"


def wait_in_a_loop_that_closes(issuer: Issuer, verifier: Any) -> None:
    """Ask with *verifier*, and close the loop without a word while the issuer is silent."""
    issuer.hold()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(outcome_of(verifier, issuer.mint()))
    loop.run_until_complete(issuer.wait_for_fetches(1))
    loop.close()
    issuer.release()
    assert not waiting.done()


# The tasks that die with their loop say so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_loop_that_is_closed_without_a_word_is_given_up_after_a_while() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(timeout=0.1, now=running_clock())
    wait_in_a_loop_that_closes(issuer, verifier)

    async def eventually_served() -> None:
        while await outcome_of(verifier, issuer.mint()) != "accept":
            pass

    asyncio.run(asyncio.wait_for(eventually_served(), 60))
    assert issuer.fetches == 2
    # Here, and not in whichever test comes next.
    gc.collect()


@looped
async def test_waiting_loop_that_closes_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    issuer.hold()
    waiting = await started(verifier, issuer.mint())

    async def give_up() -> None:
        await cancelled(await started(verifier, issuer.mint(jti="other")))

    await until(in_thread(give_up).done)
    with caplog.at_level(logging.DEBUG):
        issuer.release()
        assert await waiting == "accept"
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


def test_threads_wait_for_one_fetch() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    issuer.hold()
    threads = [
        in_thread(lambda n=n: outcome_of(verifier, issuer.mint(jti=str(n)))) for n in range(8)
    ]
    asyncio.run(issuer.wait_for_fetches(1))
    issuer.release()

    assert [each.result(60) for each in threads] == ["accept"] * 8
    assert issuer.fetches == 1


def test_threads_agree_through_rotations() -> None:
    issuer = Issuer("k0")
    verifier = issuer.verifier(cooldown=0.001, now=running_clock())
    tokens = {f"k{number}": issuer.mint(f"k{number}") for number in range(6)}

    outcomes: set[tuple[str, str]] = set()
    is_over = threading.Event()

    async def client() -> None:
        while not is_over.is_set():
            for kid, token in tokens.items():
                outcomes.add((kid, await outcome_of(verifier, token)))

    async def rotate() -> None:
        for number in range(1, 6):
            issuer.publish(f"k{number - 1}", f"k{number}")
            await until(lambda: (f"k{number}", "accept") in outcomes)  # noqa: B023 - at once
        is_over.set()

    in_threads(client, client, client, rotate)
    assert {code for _, code in outcomes} == {"accept", TokenFault.UNKNOWN_KEY}
    # However the threads raced: what is published last is what counts.
    last = [asyncio.run(outcome_of(verifier, token)) for token in tokens.values()]
    assert last == [TokenFault.UNKNOWN_KEY] * 4 + ["accept"] * 2


def test_loop_after_loop_shares_what_was_fetched() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    for number in range(5):
        assert asyncio.run(outcome_of(verifier, issuer.mint(jti=str(number)))) == "accept"

    assert issuer.fetches == 1


def test_refresh_that_its_loop_did_not_live_to_see_is_made_by_the_next() -> None:
    issuer = Issuer("k1")
    verifier = issuer.verifier()
    asyncio.run(outcome_of(verifier, issuer.mint("k1")))
    issuer.publish("k2")
    issuer.clock.move(300)
    issuer.hold()
    # The request is served with the old keys and its loop closes: the refresh ends with it.
    assert asyncio.run(outcome_of(verifier, issuer.mint("k1", jti="due"))) == "accept"
    issuer.release()

    async def served_and_refreshed() -> str:
        outcome = await outcome_of(verifier, issuer.mint("k1", jti="next"))
        await settled()
        return outcome

    assert asyncio.run(served_and_refreshed()) == "accept"
    last = issuer.mint("k1", jti="last")
    assert asyncio.run(outcome_of(verifier, last)) == TokenFault.UNKNOWN_KEY


def is_gone(verifier: "weakref.ref[Any]") -> bool:
    gc.collect()
    return verifier() is None


@looped
async def test_verifier_that_nobody_has_any_more_is_gone_in_spite_of_its_timer() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(ttl=0.05, now=running_clock())
    await verifier.verify(issuer.mint())
    await issuer.wait_for_fetches(3)
    await settled()
    fetches, dropped = issuer.fetches, weakref.ref(verifier)

    del verifier
    assert is_gone(dropped)
    await asyncio.sleep(0.2)
    assert issuer.fetches == fetches


@looped
async def test_verifier_that_is_dropped_in_mid_flight_is_gone_when_it_has_landed() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    issuer.hold()
    await cancelled(await started(verifier, issuer.mint()))
    dropped = weakref.ref(verifier)

    del verifier
    issuer.release()
    await settled()
    assert is_gone(dropped)
