"""The issuer cannot be asked, or answers what is of no use: who gets what, and when again."""

import asyncio
import logging
import math
import time
from typing import Any

import pytest

from fastapi_scopes.errors import TokenFault, VerifierUnavailable
from fastapi_scopes.verifiers import Document
from tests.verifiers.minting import SECRET, ec_key, jwk
from tests.verifiers.publishing import (
    JWKS_URI,
    Issuer,
    key_set_of,
    looped,
    outcome_of,
    refreshed,
    settled,
)

UNAVAILABLE = "verifier_unavailable"
DOWN = ConnectionError("canary: no route to host")


async def wait_asked_for(verifier: Any, token: str) -> int:
    """The seconds after which whoever brings *token* should come again."""
    with pytest.raises(VerifierUnavailable) as caught:
        await verifier.verify(token)
    return caught.value.retry_after


BAD_ANSWERS: dict[str, Any] = {
    "down": DOWN,
    "timeout": TimeoutError(),
    "bug-in-fetch": KeyError("canary"),
    "group-of-errors": ExceptionGroup("canary", [DOWN]),
    "cancelled-by-itself": asyncio.CancelledError(),
    "nothing": Document(b""),
    "page": Document(b"<!doctype html><title>canary</title>"),
    "list": Document(b"[]"),
    "not-utf-8": Document(b'{"keys": "\xff"}'),
    "error-document": Document(b'{"error": "canary"}'),
    "keys-null": Document(b'{"keys": null}'),
    "no-keys": Document(key_set_of()),
    "no-objects": Document(key_set_of(None, "canary", 1, [])),
    "secret": Document(key_set_of(jwk(SECRET, kid="k1"))),
    "for-encryption": Document(key_set_of(jwk(ec_key(), kid="k1", use="enc"))),
    "65-keys": Document(key_set_of(*[jwk(ec_key(), kid=str(each)) for each in range(65)])),
    "17-keys-without-kid": Document(key_set_of(*[jwk(ec_key(name=str(n))) for n in range(17)])),
    "too-long": Document(key_set_of(jwk(ec_key(), kid="k1")).ljust(256 * 1024 + 1)),
    "nobodys-type": {"keys": []},
    "text-for-bytes": Document('{"keys": []}'),  # type: ignore[arg-type]
    "age-is-text": Document(key_set_of(jwk(ec_key(name="k1"), kid="k1")), "60"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@looped
async def test_cold_verifier_is_unavailable_and_asks_again_after_the_cooldown(answer: Any) -> None:
    issuer = Issuer()
    issuer.documents[JWKS_URI] = answer
    verifier = issuer.verifier(timeout=0.5)

    for seconds, fetches in ((0, 1), (0, 1), (9.9, 1), (0.1, 2)):
        issuer.clock.move(seconds)
        assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
        assert issuer.fetches == fetches


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@looped
async def test_warm_verifier_serves_its_last_good_keys(answer: Any) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(timeout=0.5)
    token = issuer.mint()
    await verifier.verify(token)
    issuer.documents[JWKS_URI] = answer

    await refreshed(issuer, verifier)
    assert issuer.fetches == 2
    for seconds, fetches in ((0, 2), (9.9, 2), (0.1, 3)):
        issuer.clock.move(seconds)
        assert await outcome_of(verifier, token) == "accept"
        await settled()
        assert issuer.fetches == fetches


@looped
async def test_last_good_keys_serve_up_to_their_age() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(max_age=3600)
    token = issuer.mint()
    await verifier.verify(token)
    issuer.error = DOWN

    issuer.clock.move(3599.9)
    assert await outcome_of(verifier, token) == "accept"
    await settled()
    issuer.clock.move(0.1)
    assert await wait_asked_for(verifier, token) == 10
    issuer.clock.move(9.9)
    assert await wait_asked_for(verifier, token) == 10
    assert issuer.fetches == 3


@looped
async def test_who_comes_within_the_cooldown_learns_what_is_left_of_it() -> None:
    issuer = Issuer()
    issuer.error = DOWN
    verifier = issuer.verifier(cooldown=30)

    waits = []
    for seconds in (0, 10, 10, 9.5):
        issuer.clock.move(seconds)
        waits.append(await wait_asked_for(verifier, issuer.mint()))

    assert waits == [30, 20, 10, 1]
    assert issuer.fetches == 1


@looped
async def test_cold_verifier_recovers_after_the_cooldown() -> None:
    issuer = Issuer()
    issuer.error = DOWN
    verifier = issuer.verifier()
    await outcome_of(verifier, issuer.mint())
    issuer.error = None

    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    issuer.clock.move(10)
    assert await outcome_of(verifier, issuer.mint()) == "accept"


@looped
async def test_outage_beyond_the_age_ends_with_the_next_attempt() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(max_age=3600)
    await verifier.verify(issuer.mint())
    issuer.error = DOWN
    issuer.clock.move(3600)
    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    issuer.error = None

    issuer.clock.move(10)
    assert await outcome_of(verifier, issuer.mint()) == "accept"
    await refreshed(issuer, verifier)
    assert issuer.fetches == 4


@looped
async def test_unknown_key_in_an_outage_is_the_callers_fault() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.mint())
    issuer.error = DOWN

    for fetches in (2, 2):
        assert await outcome_of(verifier, issuer.mint("x")) == TokenFault.UNKNOWN_KEY
        assert issuer.fetches == fetches
    # And costs nobody else their access.
    assert await outcome_of(verifier, issuer.mint()) == "accept"


@looped
async def test_unknown_key_beyond_the_age_is_not_judged() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(max_age=3600)
    await verifier.verify(issuer.mint())
    issuer.error = DOWN
    issuer.clock.move(3600)

    assert await outcome_of(verifier, issuer.mint("x")) == UNAVAILABLE


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@looped
async def test_attempt_ends_after_its_timeout(is_warm: bool) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(timeout=0.05)
    if is_warm:
        await verifier.verify(issuer.mint())
    issuer.hold()

    began = time.monotonic()
    expected = TokenFault.UNKNOWN_KEY if is_warm else UNAVAILABLE
    assert await outcome_of(verifier, issuer.mint("x")) == expected
    assert 0.04 < time.monotonic() - began < 20
    issuer.release()
    assert await outcome_of(verifier, issuer.mint("x")) == expected


@looped
async def test_timeout_is_for_discovery_and_key_set_together() -> None:
    issuer = Issuer()

    async def slow(url: str) -> Document:
        await asyncio.sleep(0.6)
        return await issuer.fetch(url)

    verifier = issuer.verifier(jwks_uri=None, fetch=slow, timeout=1)
    metadata = b'{"issuer": "https://issuer.example", "jwks_uri": "https://issuer.example/jwks"}'
    issuer.documents[f"{JWKS_URI[:-5]}/.well-known/openid-configuration"] = metadata

    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert len(issuer.urls) <= 1


@looped
async def test_fetch_that_cannot_be_stopped_keeps_nobody_for_long() -> None:
    issuer = Issuer()
    may_end = asyncio.Event()

    async def stubborn(url: str) -> Document:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        return await issuer.fetch(url)

    verifier = issuer.verifier(fetch=stubborn, timeout=0.02)
    began = time.monotonic()
    assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert time.monotonic() - began < 20
    may_end.set()
    await settled()


@looped
async def test_lifetime_that_is_no_number_asks_no_more_often() -> None:
    issuer = Issuer()
    issuer.max_age = math.nan
    verifier = issuer.verifier()
    for _ in range(10):
        await outcome_of(verifier, issuer.mint())
        await settled()

    assert issuer.fetches == 1


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@looped
async def test_failed_attempt_is_logged_once_without_what_was_fetched(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    issuer, uri = Issuer(), f"{JWKS_URI}?key=canary"
    issuer.documents[uri] = answer
    verifier = issuer.verifier(jwks_uri=uri, issuer=None, timeout=0.5)
    token = issuer.mint(sub="canary")
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            await outcome_of(verifier, token)

    logged = [each for each in caplog.records if each.name == "fastapi_scopes"]
    told = ["ERROR"] if answer is BAD_ANSWERS["secret"] else []
    assert [each.levelname for each in logged] == [*told, "WARNING"]
    assert JWKS_URI in caplog.text
    assert "canary" not in caplog.text
    assert token not in caplog.text
