"""Whoever reads the log of the HTTP client wants the secrets that its requests carry."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from tests.issuers.answers import Answer
from tests.issuers.faults import redirect
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import make_fetching
from tests.verifiers.introspecting import make_introspecting
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import looped, outcome_of

CANARY = "canary-0123456789"
LEVELS = (1, logging.DEBUG, logging.INFO, logging.WARNING)
CLIENT_LOGGERS = ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "h11", "asyncio")


@pytest.fixture(params=LEVELS, ids=logging.getLevelName)
def records(
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], list[str]]:
    """What is logged by anybody from a level on."""
    monkeypatch.setenv("no_proxy", "*")
    for name in CLIENT_LOGGERS:
        caplog.set_level(request.param, logger=name)
    caplog.set_level(request.param)
    return lambda: [f"{each.name} {each.getMessage()} {each.args!r}" for each in caplog.records]


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        yield issuer


async def ask_for_keys(issuer: FaultyIssuer) -> None:
    verifier = make_fetching(issuer, jwks_uri=f"{issuer.key_set.url}?key={CANARY}")
    await outcome_of(verifier, issuer.mint())


async def introspect(issuer: FaultyIssuer) -> None:
    verifier = make_introspecting(
        issuer,
        endpoint=f"{issuer.introspection.url}?key={CANARY}",
        client_id=CANARY,
        client_secret=CANARY,
    )
    async with aclosing(verifier):
        await asyncio.gather(*(outcome_of(verifier, f"{CANARY}-{each}") for each in range(3)))


ANSWERS: Mapping[str, Any] = {
    "good": lambda good: good,
    "redirect": redirect(f"?again={CANARY}"),
    "redirect-elsewhere": redirect(f"http://localhost:1/?again={CANARY}"),
    "refusal": Answer(401, (("WWW-Authenticate", f'Basic realm="{CANARY}"'),)),
    "no-http": Answer(body=CANARY.encode(), declared="x"),
    "cookie": lambda good: good.with_header("Set-Cookie", f"a={CANARY}"),
}
BASIC = "Y2FuYXJ5LTAxMjM0NTY3ODk6"  # The client of `introspect`, as HTTP Basic writes it.


@pytest.mark.parametrize("ask", [ask_for_keys, introspect])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@looped
async def test_no_logger_tells_what_a_request_carries(
    answer: Any,
    ask: Callable[[FaultyIssuer], Awaitable[None]],
    issuer: FaultyIssuer,
    records: Callable[[], list[str]],
) -> None:
    issuer.key_set.switch(answer)
    issuer.introspection.switch(answer)

    await ask(issuer)
    assert issuer.key_set.count + issuer.introspection.count > 0
    for line in records():
        assert CANARY not in line
        assert BASIC not in line


@looped
async def test_application_logs_its_own_requests_as_before(
    issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    for name in ("httpx", "httpcore.http11"):
        caplog.set_level(logging.DEBUG, logger=name)

    async def ask_itself() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(f"{issuer.key_set.url}?own=1")

    await asyncio.gather(ask_for_keys(issuer), ask_itself(), introspect(issuer))
    lines = [each for each in caplog.records if each.name == "httpx"]
    assert [str(each.args and each.args[1]) for each in lines] == [f"{issuer.key_set.url}?own=1"]
    assert any(each.name == "httpcore.http11" for each in caplog.records)
    assert CANARY not in caplog.text
