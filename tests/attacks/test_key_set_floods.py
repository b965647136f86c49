"""Whoever can send tokens makes no server ask its issuer often, and keeps nobody else waiting."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fastapi_scopes.errors import TokenFault
from tests.verifiers.minting import b64, ec_key
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    Issuer,
    in_threads,
    looped,
    outcome_of,
    settled,
)

UNAVAILABLE = "verifier_unavailable"
UNKNOWN = TokenFault.UNKNOWN_KEY


def unknown_kids(issuer: Issuer) -> Iterator[str]:
    """Tokens that each name another key that nobody has; signed, though not for that header."""
    _, payload, signature = issuer.mint().split(".")
    for number in itertools.count():
        header = json.dumps({"alg": "ES256", "kid": f"nobodys-{number}"})
        yield f"{b64(header)}.{payload}.{signature}"


async def flood(verifier: Any, tokens: Sequence[str], *, tasks: int = 50) -> Counter[str]:
    """What becomes of *tokens*, brought by that many clients, each one after the other."""

    async def client(number: int) -> list[str]:
        return [await outcome_of(verifier, token) for token in tokens[number::tasks]]

    outcomes = await asyncio.gather(*map(client, range(tasks)))
    return Counter(itertools.chain(*outcomes))


def taken(tokens: Iterator[str], count: int) -> list[str]:
    return list(itertools.islice(tokens, count))


async def warm(issuer: Issuer, **settings: Any) -> Any:
    verifier = issuer.verifier(**settings)
    await verifier.verify(issuer.mint())
    return verifier


@looped
async def test_ten_thousand_unknown_kids_cost_one_fetch() -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    tokens = unknown_kids(issuer)

    assert await flood(verifier, taken(tokens, 10_000)) == {UNKNOWN: 10_000}
    assert issuer.fetches == 2
    issuer.clock.move(9.9)
    assert await flood(verifier, taken(tokens, 1_000)) == {UNKNOWN: 1_000}
    assert issuer.fetches == 2
    issuer.clock.move(0.1)
    assert await flood(verifier, taken(tokens, 1_000)) == {UNKNOWN: 1_000}
    assert issuer.fetches == 3


def test_ten_thousand_unknown_kids_over_four_loops_cost_one_fetch() -> None:
    issuer = Issuer()
    verifier = asyncio.run(warm(issuer))
    tokens = taken(unknown_kids(issuer), 10_000)

    outcomes = in_threads(
        *(lambda part=tokens[part::4]: flood(verifier, part) for part in range(4))
    )
    assert outcomes == [{UNKNOWN: 2_500}] * 4
    assert issuer.fetches == 2


@looped
async def test_two_hundred_at_once_warm_a_verifier_with_one_fetch() -> None:
    issuer = Issuer()
    place = f"{ISSUER}/.well-known/openid-configuration"
    issuer.documents[place] = json.dumps({"issuer": ISSUER, "jwks_uri": JWKS_URI}).encode()
    verifier = issuer.verifier(jwks_uri=None)
    tokens = [issuer.mint(jti=str(number)) for number in range(200)]

    assert await flood(verifier, tokens, tasks=200) == {"accept": 200}
    assert issuer.urls == [place, JWKS_URI]


def test_four_loops_at_once_warm_a_verifier_with_one_fetch() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    tokens = [issuer.mint(jti=str(number)) for number in range(50)]

    outcomes = in_threads(*[lambda: flood(verifier, tokens)] * 4)
    assert outcomes == [{"accept": 50}] * 4
    assert issuer.fetches == 1


@looped
async def test_cold_flood_of_unknown_kids_costs_two_fetches() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    tokens = taken(unknown_kids(issuer), 1_000)

    # Who came after the first fetch began may name a key that was published since.
    assert await flood(verifier, tokens) == {UNKNOWN: 1_000}
    assert issuer.fetches == 2


@looped
async def test_flood_at_the_moment_a_refresh_is_due_costs_one_fetch() -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    issuer.clock.move(300)
    tokens = [issuer.mint(jti=str(number)) for number in range(500)]

    assert await flood(verifier, tokens, tasks=500) == {"accept": 500}
    await settled()
    assert issuer.fetches == 2


@looped
async def test_unknown_kids_neither_delay_nor_fail_a_good_token() -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    issuer.publish("k1", "k2")
    issuer.hold()
    flooding = asyncio.create_task(flood(verifier, taken(unknown_kids(issuer), 500)))
    rotated = asyncio.create_task(outcome_of(verifier, issuer.mint("k2")))
    await issuer.wait_for_fetches(2)

    # The fetch is held, so whatever ends now has not waited for it.
    tokens = [issuer.mint(jti=str(number)) for number in range(100)]
    assert await flood(verifier, tokens) == {"accept": 100}
    assert not flooding.done()
    assert not rotated.done()

    issuer.release()
    assert await flooding == {UNKNOWN: 500}
    assert await rotated == "accept"
    # The one that the flood caused came back with the new key: the rotated token needs no other.
    assert issuer.fetches == 2


@looped
async def test_hanging_issuer_delays_unknown_kids_once() -> None:
    issuer = Issuer()
    verifier = await warm(issuer, timeout=1)
    issuer.hold()

    began = time.monotonic()
    tokens = taken(unknown_kids(issuer), 1_000)
    assert await flood(verifier, tokens) == {UNKNOWN: 1_000}
    # Each of the clients sent 20 tokens, and waited for the first alone.
    assert time.monotonic() - began < 15
    assert issuer.fetches == 2
    issuer.release()


def every_sort(issuer: Issuer) -> dict[str, str]:
    """Tokens of every sort, by what becomes of them where `k1` is known."""
    return {
        "accept": issuer.mint(),
        TokenFault.UNKNOWN_KEY: next(unknown_kids(issuer)),
        TokenFault.SIGNATURE: issuer.mint(key=ec_key(name="forger")),
        TokenFault.EXPIRED: issuer.mint(exp=1),
        TokenFault.ISSUER: issuer.mint(iss="https://other.example"),
        TokenFault.MALFORMED: "no token",
        TokenFault.TYPE: issuer.mint(at_hash="x"),
    }


def repeated(sorts: dict[str, str]) -> list[str]:
    return [*sorts.values()] * (1_001 // len(sorts))


@looped
async def test_cold_outage_is_asked_once_whatever_is_sent() -> None:
    issuer = Issuer()
    issuer.error = ConnectionError()
    verifier = issuer.verifier()
    tokens = repeated(every_sort(issuer))

    for seconds, fetches in ((0, 1), (9.9, 1), (0.1, 2)):
        issuer.clock.move(seconds)
        assert await flood(verifier, tokens) == {UNAVAILABLE: 1_001}
        assert issuer.fetches == fetches


@looped
async def test_warm_outage_is_asked_once_whatever_is_sent() -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    issuer.error = ConnectionError()
    issuer.clock.move(300)
    sorts = every_sort(issuer)

    for seconds, fetches in ((0, 2), (9.9, 2), (0.1, 3)):
        issuer.clock.move(seconds)
        outcomes = await flood(verifier, repeated(sorts))
        await settled()
        assert outcomes == dict.fromkeys(sorts, 143)
        assert issuer.fetches == fetches


@looped
async def test_failure_that_unknown_kids_caused_is_not_repeated() -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    issuer.error = ConnectionError()
    tokens = unknown_kids(issuer)

    assert await flood(verifier, taken(tokens, 500)) == {UNKNOWN: 500}
    issuer.clock.move(9.9)
    assert await flood(verifier, taken(tokens, 500)) == {UNKNOWN: 500}
    assert issuer.fetches == 2


@pytest.mark.parametrize("kid", [None, "", "k1\x00", "K1", "k1 ", "k" * 256], ids=repr)
@looped
async def test_odd_kid_is_one_unknown_kid_among_others(kid: str | None) -> None:
    issuer = Issuer()
    verifier = await warm(issuer)
    forged = [issuer.mint(kid, key=ec_key(name="forger"), jti=str(n)) for n in range(20)]

    refused = TokenFault.SIGNATURE if kid is None else UNKNOWN
    assert await flood(verifier, forged) == {refused: 20}
    assert issuer.fetches == 2
