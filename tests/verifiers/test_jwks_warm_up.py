"""`warm_up`: keys are there before the first token, and a fault of the issuer is said early."""

import asyncio
import logging
import time
from typing import Any

import pytest

from fastapi_scopes.verifiers import Document, WarmableVerifier
from fastapi_scopes.verifiers._http import FetchError
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import make_fetching
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    PATIENCE,
    Issuer,
    in_threads,
    looped,
    outcome_of,
    settled,
)

UNAVAILABLE = "verifier_unavailable"


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


@looped
async def test_first_token_finds_the_keys_of_the_warm_up() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    assert isinstance(verifier, WarmableVerifier)
    assert await verifier.warm_up() is None
    issuer.error = ConnectionError()

    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.fetches == 1


@looped
async def test_keys_of_a_warm_up_are_refreshed_while_nobody_asks() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(ttl=0.01, timeout=0.01)
    await verifier.warm_up()
    issuer.clock.move(300)

    await issuer.wait_for_fetches(2)


@looped
async def test_fresh_keys_are_not_asked_for_again() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())
    await verifier.warm_up()
    await asyncio.gather(verifier.warm_up(), verifier.warm_up())

    assert issuer.fetches == 1


def test_next_event_loop_has_the_keys_at_hand_after_its_warm_up() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    token = issuer.mint()
    asyncio.run(verifier.verify(token))

    async def warm() -> bool:
        await verifier.warm_up()
        return not asyncio.iscoroutine(verifier.verify_shared(token))

    assert asyncio.run(warm())
    assert issuer.fetches == 1


@looped
async def test_all_who_come_meanwhile_share_the_attempt() -> None:
    issuer = Issuer()
    issuer.hold()
    verifier = issuer.verifier()
    waiting = [asyncio.create_task(verifier.warm_up()) for _ in range(3)]
    asked = [asyncio.create_task(outcome_of(verifier, issuer.mint())) for _ in range(3)]
    await issuer.wait_for_fetches(1)
    issuer.release()
    await asyncio.gather(*waiting)

    assert await asyncio.gather(*asked) == ["accept"] * 3
    assert issuer.fetches == 1


def test_warm_ups_in_several_threads_are_one_attempt() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    in_threads(verifier.warm_up, verifier.warm_up, verifier.warm_up)

    assert issuer.fetches == 1


@looped
async def test_first_token_asks_again_at_once_after_a_warm_up_that_failed() -> None:
    issuer = Issuer()
    issuer.error = ConnectionError()
    verifier = issuer.verifier()
    await verifier.warm_up()
    issuer.error = None

    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.fetches == 2


@looped
async def test_token_that_came_during_a_warm_up_that_fails_asks_again() -> None:
    issuer = Issuer()
    issuer.hold()
    issuer.error = ConnectionError()
    verifier = issuer.verifier()
    warming = asyncio.create_task(verifier.warm_up())
    await issuer.wait_for_fetches(1)
    asked = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    await asyncio.sleep(0)
    issuer.error = None
    issuer.release()
    await warming

    assert await asked == "accept"
    assert issuer.fetches == 2


@looped
async def test_tokens_after_a_warm_up_that_failed_begin_one_attempt_a_cooldown() -> None:
    issuer = Issuer()
    issuer.error = ConnectionError()
    verifier = issuer.verifier()
    await verifier.warm_up()

    for _ in range(5):
        assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert issuer.fetches == 2


@looped
async def test_warm_up_asks_within_the_cooldown_and_leaves_it_as_it_is() -> None:
    issuer = Issuer()
    issuer.error = ConnectionError()
    verifier = issuer.verifier()
    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    await verifier.warm_up()
    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert issuer.fetches == 2

    issuer.error = None
    await verifier.warm_up()
    assert await outcome_of(verifier, issuer.mint()) == "accept"


@looped
async def test_stale_keys_go_on_serving_where_a_warm_up_fails() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())
    issuer.clock.move(300)
    issuer.error = ConnectionError()
    await verifier.warm_up()

    assert await outcome_of(verifier, issuer.mint(jti="2")) == "accept"
    await settled()


async def never(url: str) -> Document:
    await asyncio.Event().wait()
    raise AssertionError


async def stubborn(url: str) -> Document:
    while True:
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            break
    return Document(b"{}")


@pytest.mark.parametrize("fetch", [never, stubborn])
@looped
async def test_issuer_that_hangs_is_an_error_within_the_timeout(
    fetch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = Issuer().verifier(fetch=fetch, timeout=0.1)
    began = time.monotonic()
    await verifier.warm_up()

    assert time.monotonic() - began < PATIENCE / 2
    (said,) = errors_in(caplog)
    assert said.startswith(f"no keys of {ISSUER}: ")


@looped
async def test_timeout_says_which_address_gave_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    await Issuer().verifier(fetch=never, timeout=0.05).warm_up()

    assert errors_in(caplog) == [
        f"no keys of {ISSUER}: {JWKS_URI} gave no answer in time; if that address is wrong, "
        "correct jwks_uri="
    ]


@looped
async def test_cancelled_warm_up_leaves_the_attempt_to_others() -> None:
    issuer = Issuer()
    issuer.hold()
    verifier = issuer.verifier()
    warming = asyncio.create_task(verifier.warm_up())
    await issuer.wait_for_fetches(1)
    warming.cancel()
    await asyncio.wait([warming])
    issuer.release()

    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.fetches == 1


@looped
async def test_fault_that_a_running_attempt_meets_stays_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer = Issuer()
    issuer.hold()
    issuer.error = FetchError("answered 500")
    verifier = issuer.verifier()
    asked = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    await issuer.wait_for_fetches(1)
    warming = asyncio.create_task(verifier.warm_up())
    await asyncio.sleep(0)
    issuer.release()
    await asyncio.gather(warming, asked)

    assert [each.levelname for each in caplog.records] == ["WARNING"]


def test_issuer_is_warmed_up_over_http(issuer: FaultyIssuer) -> None:
    verifier = make_fetching(issuer)
    asyncio.run(verifier.warm_up())
    issuer.stop()

    assert asyncio.run(outcome_of(verifier, issuer.mint())) == "accept"


def test_server_that_is_not_there_is_one_error(
    issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.stop()
    asyncio.run(make_fetching(issuer).warm_up())

    (said,) = errors_in(caplog)
    assert f"no keys of {issuer.identifier}: " in said
    assert "could not be reached (ConnectError); if that address is wrong, correct issuer=" in said
