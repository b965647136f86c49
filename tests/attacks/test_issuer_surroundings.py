"""What stands around an issuer: caches and proxies, clocks, logs, callers that go away."""

import asyncio
import logging
import random
import time
from typing import Any

import pytest

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.issuers.answers import Silence
from tests.issuers.faulty import AUDIENCE, FaultyIssuer
from tests.issuers.server import Server
from tests.verifiers import minting
from tests.verifiers.introspecting import UNAVAILABLE, answer_to, make_introspecting, make_issuer
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import (
    ISSUER,
    Issuer,
    looped,
    make_jwks_verifier,
    outcome_of,
    settled,
    until,
)

TROUBLES = {
    "silence": Silence(),
    "stalled": lambda good: good.stalled(len(good.body) // 2),
    "late": lambda good: good.late(0.25),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@looped
async def test_requests_that_are_broken_off_use_up_no_connections(trouble: Any) -> None:
    chance = random.Random(0)  # noqa: S311
    with make_issuer() as issuer:
        verifier = make_introspecting(issuer, timeout=0.3)
        issuer.introspection.switch(trouble)
        asking = [
            asyncio.create_task(outcome_of(verifier, f"invented-{number}")) for number in range(250)
        ]
        for task in asking:
            if chance.random() < 0.5:
                asyncio.get_running_loop().call_later(chance.random() * 0.3, task.cancel)
        await asyncio.gather(*asking, return_exceptions=True)

        issuer.introspection.heal()
        assert await outcome_of(verifier, issuer.mint_opaque("a:read")) == "accept"
        await verifier.aclose()


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_proxy_of_the_environment_sees_nothing_that_has_no_tls(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as proxy, make_issuer() as issuer:
        monkeypatch.setenv(variable, proxy.resource("/").url)
        opaque = make_introspecting(issuer)
        assert answer_to(opaque, issuer.mint_opaque("a:read")) == "accept"
        published = make_jwks_verifier(
            issuer=issuer.identifier, audience=AUDIENCE, allow_http=True, now=lambda: NOW
        )
        assert asyncio.run(outcome_of(published, issuer.mint("a:read"))) == "accept"
        assert proxy.resource("/").count == 0


@pytest.mark.parametrize("variable", ["https_proxy", "all_proxy"])
@pytest.mark.parametrize("value", ["socks9://127.0.0.1:1", "http://[::1"])
def test_malformed_proxy_of_the_environment_is_an_outage(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with make_issuer() as issuer:
        verifier = make_introspecting(issuer, endpoint="https://127.0.0.1:1/introspect")
        assert answer_to(verifier, "opaque") == UNAVAILABLE


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("max-age=3600", None, 3600),
        ("max-age=3600", "3000", 600),
        ("max-age=3600", "9999999", 60),
        ("max-age=3600", "text", 3600),
        ("max-age=3600, max-age=120", "20", 100),
    ],
)
@looped
async def test_time_that_keys_spent_in_a_cache_is_no_time_of_theirs(
    cache_control: str, age: str | None, seconds: int
) -> None:
    now = [float(NOW)]
    with FaultyIssuer(now=lambda: now[0]) as issuer:

        def cached(good: Any) -> Any:
            answer = good.cached(cache_control)
            return answer if age is None else answer.with_header("Age", age)

        issuer.key_set.switch(cached)
        verifier = make_jwks_verifier(
            issuer=issuer.identifier,
            audience=AUDIENCE,
            jwks_uri=issuer.key_set.url,
            allow_http=True,
            now=lambda: now[0],
        )
        token = issuer.mint("a:read", exp=NOW + 10**6)
        assert await outcome_of(verifier, token) == "accept"
        now[0] += seconds - 1
        assert await outcome_of(verifier, token) == "accept"
        await settled()
        assert issuer.key_set.count == 1
        now[0] += 1
        assert await outcome_of(verifier, token) == "accept"
        await until(lambda: issuer.key_set.count == 2)


@looped
async def test_token_that_could_not_be_revoked_is_refused() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(revocations=MemoryRevocationList(now=issuer.clock))
    assert await outcome_of(verifier, issuer.mint(jti="1")) == "accept"
    for token in (issuer.mint(jti=""), issuer.mint()):
        assert await outcome_of(verifier, token) == "claims"


class Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


class Saying:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def check(self, token: str, confirmation: Any) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [False, 0, 1, "", "yes", [], Odd(), Any])
@looped
async def test_checker_that_says_anything_but_yes_instead_of_raising_refuses(
    answer: object,
) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(proof=Saying(answer))
    assert await outcome_of(verifier, issuer.mint(cnf={"jkt": "x"})) == "confirmation"


@looped
async def test_clock_that_steps_back_ends_no_refresh() -> None:
    issuer, began, step = Issuer("old"), time.time(), [0.0]
    verifier = issuer.verifier(
        ttl=0.4, cooldown=0.1, now=lambda: NOW + time.time() - began + step[0]
    )
    token = issuer.mint("old")
    assert await outcome_of(verifier, token) == "accept"
    issuer.publish("new")
    step[0] = -0.2
    await until(lambda: issuer.fetches >= 3)
    await settled()
    assert await outcome_of(verifier, token) == "unknown_key"


@looped
async def test_refresh_by_a_loop_that_ends_leaves_the_timer_of_another() -> None:
    issuer, began = Issuer("old"), time.time()
    verifier = issuer.verifier(ttl=0.4, cooldown=0.1, now=lambda: NOW + time.time() - began)
    token = issuer.mint("old")
    assert await outcome_of(verifier, token) == "accept"
    before = issuer.fetches
    async with asyncio.timeout(60):
        # Not while it cools down.
        while issuer.fetches == before:
            await asyncio.to_thread(
                lambda: asyncio.run(outcome_of(verifier, issuer.mint("invented")))
            )
    issuer.publish("new")
    published = issuer.fetches
    await until(lambda: issuer.fetches >= published + 2)
    await settled()
    assert await outcome_of(verifier, token) == "unknown_key"


class Failing(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("no disk")


@looped
async def test_log_that_fails_keeps_nobody_waiting() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    issuer, broken = Issuer(), Failing()
    issuer.error = OSError()
    logger = logging.getLogger("fastapi_scopes")
    logger.addFilter(broken)
    try:
        began = time.monotonic()
        with pytest.raises(VerifierUnavailable):
            await issuer.verifier(timeout=60).verify(issuer.mint())
        assert time.monotonic() - began < 30
    finally:
        logger.removeFilter(broken)


@looped
async def test_fetch_that_cancels_itself_is_a_failed_attempt() -> None:
    issuer = Issuer()
    issuer.error = asyncio.CancelledError()
    verifier = issuer.verifier()
    for _ in range(100):
        assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert issuer.fetches == 1


@looped
async def test_who_waits_in_a_loop_that_ends_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer = Issuer()
    issuer.hold()
    verifier = issuer.verifier()
    waiting = asyncio.create_task(outcome_of(verifier, issuer.mint()))
    await issuer.wait_for_fetches(1)

    async def short() -> None:
        task = asyncio.create_task(outcome_of(verifier, issuer.mint()))
        await asyncio.sleep(0.05)
        assert not task.done()

    await asyncio.to_thread(lambda: asyncio.run(short()))
    issuer.release()
    assert await waiting == "accept"
    assert caplog.records == []


@looped
async def test_deeply_nested_claims_are_refused_and_raise_nothing() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    for depth in (500, 900, 5000):
        payload = f'{{"iss":"{ISSUER}","exp":{NOW + 60},"x":{"[" * depth}{"]" * depth}}}'
        token = minting.mint(
            payload, algorithm="ES256", key=issuer.keys["k1"], header={"kid": "k1"}
        )
        for _ in range(2):
            assert await outcome_of(verifier, token) in {"accept", "payload"}
