"""Whatever a real issuer answers: cold is unavailable, warm serves on, and nothing else escapes."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping

import pytest

from fastapi_scopes.errors import TokenFault
from tests.issuers import faults
from tests.issuers.answers import Behaviour, Raw
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching, outcomes
from tests.verifiers.publishing import Clock, until


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy a machine is set up with, loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> Iterator[FaultyIssuer]:
    with FaultyIssuer(now=clock) as issuer:
        yield issuer


TRANSPORT: Mapping[str, Behaviour] = {
    **faults.BROKEN_CONNECTIONS,
    **faults.HUGE,
    "huge-head": Raw(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 1_000_000),
    "endless-interim-answers": Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000),
    "unknown-encoding": lambda good: good.with_header("Content-Encoding", "br"),
    "two-encodings": lambda good: good.gzipped().with_header("Content-Encoding", "gzip, gzip"),
}
KEY_SET_FAULTS: Mapping[str, Behaviour] = {
    **TRANSPORT,
    **faults.REFUSED_STATUSES,
    **faults.BROKEN_DOCUMENTS,
    **faults.BROKEN_KEY_SETS,
}
# A page with a status of 200 is what an app in the browser answers where there is nothing.
ABSENT = ("status-400", "status-403", "status-404", "status-410", "html-404", "html")
ANSWERS = {**faults.BROKEN_DOCUMENTS, **faults.REFUSED_STATUSES}
METADATA_FAULTS: Mapping[str, Behaviour] = {
    **TRANSPORT,
    **faults.BROKEN_METADATA,
    **{
        name: fault
        for name, fault in ANSWERS.items()
        if not name.startswith(("status-4", "html-4")) and name != "html"
    },
}


@pytest.mark.parametrize("fault", KEY_SET_FAULTS.values(), ids=KEY_SET_FAULTS)
def test_cold_verifier_is_unavailable_and_asks_once(
    fault: Behaviour, issuer: FaultyIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.key_set.switch(fault)
    token = issuer.mint("a:read")
    with caplog.at_level(logging.DEBUG):
        assert outcomes(make_fetching(issuer), *[token] * 3) == [UNAVAILABLE] * 3

    assert (issuer.metadata.count, issuer.oauth_metadata.count) == (1, 0)
    assert issuer.key_set.count == 1
    assert_nothing_was_quoted(caplog, issuer, token)


def assert_nothing_was_quoted(
    caplog: pytest.LogCaptureFixture, issuer: FaultyIssuer, *tokens: str
) -> None:
    own = [each.getMessage() for each in caplog.records if each.name == "fastapi_scopes"]
    # What is published and should not be is told beside it.
    assert len([each for each in own if each.startswith("no keys of ")]) == 1
    assert len(own) <= 2
    for secret in (*tokens, issuer.signing_key.jwk["x"], "Sign in", "error", "canary"):
        assert not any(secret in each for each in own)
    for token in tokens:
        assert token not in caplog.text


@pytest.mark.parametrize("fault", KEY_SET_FAULTS.values(), ids=KEY_SET_FAULTS)
def test_warm_verifier_serves_on_and_recovers(
    fault: Behaviour,
    issuer: FaultyIssuer,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier = make_fetching(issuer)
    assert outcomes(verifier, issuer.mint("a:read")) == ["accept"]
    issuer.key_set.switch(fault)
    clock.move(300)
    tokens = [issuer.mint("a:read") for _ in range(3)]
    with caplog.at_level(logging.DEBUG):
        assert outcomes(verifier, *tokens) == ["accept"] * 3
        assert outcomes(verifier, issuer.mint(kid="x")) == [TokenFault.UNKNOWN_KEY]
    assert_nothing_was_quoted(caplog, issuer, *tokens)

    issuer.key_set.heal()
    issuer.rotate(overlap=False)
    clock.move(10)
    assert outcomes(verifier, tokens[0], issuer.mint("a:read")) == ["accept"] * 2
    assert outcomes(verifier, tokens[0]) == [TokenFault.UNKNOWN_KEY]


@pytest.mark.parametrize("fault", METADATA_FAULTS.values(), ids=METADATA_FAULTS)
def test_faulty_metadata_leads_to_no_key_set(fault: Behaviour, issuer: FaultyIssuer) -> None:
    issuer.metadata.switch(fault)

    assert outcomes(make_fetching(issuer), issuer.mint("a:read")) == [UNAVAILABLE]
    assert (issuer.oauth_metadata.count, issuer.key_set.count) == (0, 0)


@pytest.mark.parametrize("path", ["", "/tenant"])
@pytest.mark.parametrize("absent", ABSENT)
def test_metadata_of_rfc_8414_is_asked_where_there_is_no_other(
    absent: str, path: str, clock: Clock
) -> None:
    with FaultyIssuer(path, now=clock) as issuer:
        issuer.metadata.switch(ANSWERS[absent])

        assert outcomes(make_fetching(issuer), issuer.mint("a:read")) == ["accept"]
        assert (issuer.metadata.count, issuer.oauth_metadata.count) == (1, 1)


@pytest.mark.parametrize(
    "fault",
    [*METADATA_FAULTS.values(), ANSWERS["html"]],
    ids=[*METADATA_FAULTS, "html"],
)
def test_faulty_metadata_of_rfc_8414_leads_to_no_key_set(
    fault: Behaviour, issuer: FaultyIssuer
) -> None:
    issuer.metadata.switch(faults.status(404))
    issuer.oauth_metadata.switch(fault)

    assert outcomes(make_fetching(issuer), issuer.mint("a:read")) == [UNAVAILABLE]
    assert issuer.key_set.count == 0


@pytest.mark.parametrize("sound", faults.SOUND_KEY_SETS.values(), ids=faults.SOUND_KEY_SETS)
def test_sound_key_set_verifies(sound: Behaviour, issuer: FaultyIssuer) -> None:
    issuer.key_set.switch(sound)

    assert outcomes(make_fetching(issuer), issuer.mint("a:read")) == ["accept"]


@pytest.mark.parametrize("slow", faults.SLOW.values(), ids=faults.SLOW)
@pytest.mark.parametrize("name", ["metadata", "key_set"])
def test_slow_answer_costs_no_more_than_the_timeout(
    name: str, slow: Behaviour, issuer: FaultyIssuer
) -> None:
    resource = getattr(issuer, name)
    resource.switch(slow)
    verifier = make_fetching(issuer, timeout=1)

    began = time.monotonic()
    assert outcomes(verifier, *[issuer.mint("a:read") for _ in range(3)]) == [UNAVAILABLE] * 3
    assert 0.9 < time.monotonic() - began < 20
    # The connection is given up with the attempt.
    resource.wait_until_idle()
    assert resource.count == 1


@pytest.mark.parametrize("slow", faults.SLOW.values(), ids=faults.SLOW)
def test_slow_answer_delays_no_warm_request(
    slow: Behaviour, issuer: FaultyIssuer, clock: Clock
) -> None:
    verifier = make_fetching(issuer)
    assert outcomes(verifier, issuer.mint("a:read")) == ["accept"]
    issuer.key_set.switch(slow)
    clock.move(300)

    async def ask() -> None:
        for _ in range(20):
            await asyncio.wait_for(verifier.verify(issuer.mint("a:read")), 20)
        # What is looked for in the background comes when it comes.
        await until(lambda: issuer.key_set.count == 2)

    asyncio.run(ask())
    assert issuer.key_set.count == 2


def test_issuer_that_is_down_is_found_again(issuer: FaultyIssuer, clock: Clock) -> None:
    issuer.stop()
    verifier = make_fetching(issuer)
    assert outcomes(verifier, *[issuer.mint("a:read")] * 2) == [UNAVAILABLE] * 2
    issuer.start()
    assert outcomes(verifier, issuer.mint("a:read")) == [UNAVAILABLE]
    clock.move(10)
    assert outcomes(verifier, issuer.mint("a:read")) == ["accept"]

    issuer.stop()
    clock.move(300)
    assert outcomes(verifier, *[issuer.mint("a:read") for _ in range(3)]) == ["accept"] * 3
    assert outcomes(verifier, issuer.mint(kid="x")) == [TokenFault.UNKNOWN_KEY]
    assert issuer.key_set.count == 1


LIFETIMES = {
    **dict.fromkeys(["none", "garbage", "negative", "fraction", "longer-than-any-number"], 300),
    **dict.fromkeys(["two-minutes", "quoted", "capitals", "shared"], 120),
    **dict.fromkeys(["short", "zero", "no-store", "no-store-with-age"], 60),
    **dict.fromkeys(["two-headers", "twice-in-one"], 60),
    "beyond-measure": 86_400,
}


@pytest.mark.parametrize("name", faults.CACHE_CONTROLS)
def test_cache_control_says_within_limits_how_long_keys_are_fresh(
    name: str, issuer: FaultyIssuer, clock: Clock
) -> None:
    issuer.key_set.switch(faults.cached(*faults.CACHE_CONTROLS[name]))
    verifier = make_fetching(issuer, max_age=10**6)
    outcomes(verifier, issuer.mint("a:read"))

    for seconds, count in ((LIFETIMES[name] - 0.1, 1), (0.1, 2)):
        clock.move(seconds)
        assert outcomes(verifier, issuer.mint("a:read")) == ["accept"]
        assert issuer.key_set.count == count
