"""An issuer, or whoever stands in for it, wants the event loop of those who ask it."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fastapi_scopes.verifiers._http import MAX_BODY_BYTES, metering
from tests.issuers.answers import Answer
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching
from tests.verifiers.introspecting import make_introspecting
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import looped, outcome_of

MAX_HOLD = 0.05
TRIES = 10
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OVERHEAD = "sends more than 32768 bytes around a document"
AROUND_A_PART = "sends more than 2048 bytes around a part of a document"
FILLED = "fills its headers with blanks"
BLANKS = b" " * 30_000 + b"\0\r\n\r\n"
TOO_LONG = "is longer than 262144 bytes"


@pytest.fixture(autouse=True)
def little_garbage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other tests have left is not collected here, and loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        yield issuer


@dataclass
class Raw:
    """A head, then a piece again and again: without end, or that many times."""

    head: bytes = b""
    piece: bytes = b""
    times: int | None = None
    pause: float = 0

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(self.head)
        sent = 0
        while sent != self.times:
            writer.write(self.piece)
            await writer.drain()
            await asyncio.sleep(self.pause)
            sent += 1
        # The connection stays open.
        await asyncio.sleep(60)
        return False


ENDLESS: Mapping[str, tuple[Raw, str]] = {
    "one-byte-chunks": (Raw(CHUNKED, b"1\r\n \r\n" * 10_000), OVERHEAD),
    "big-chunks": (Raw(CHUNKED, b"4000\r\n" + b" " * 16_384 + b"\r\n"), TOO_LONG),
    "early-hints": (Raw(b"", b"HTTP/1.1 103 x\r\n\r\n" * 4_000), OVERHEAD),
    "continue": (Raw(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000), OVERHEAD),
    "hints-with-headers": (Raw(b"", b"HTTP/1.1 103 x\r\n" + b"a:\r\n" * 90 + b"\r\n"), OVERHEAD),
    "status-line": (Raw(b"HTTP/1.1 200 ", b"x" * 65_536), OVERHEAD),
    "no-http": (Raw(b"", b"\r\n" * 30_000), "RemoteProtocolError"),
    "short-headers": (Raw(b"HTTP/1.1 200 OK\r\n", b"a:\n" * 20_000), OVERHEAD),
    "long-header": (Raw(b"HTTP/1.1 200 OK\r\na:", b"x" * 65_536), OVERHEAD),
    "folded-header": (Raw(b"HTTP/1.1 200 OK\r\na:b\r\n", b" c\r\n" * 20_000), OVERHEAD),
    "chunk-extension": (Raw(CHUNKED + b"1;", b"x" * 65_536), AROUND_A_PART),
    "chunk-extensions": (Raw(CHUNKED, b"1;" + b"x" * 90 + b"\r\n \r\n"), OVERHEAD),
    "trailers": (Raw(CHUNKED + b"0\r\n", b"a:\n" * 20_000), AROUND_A_PART),
    # To see whether a value ends there, the parser takes the square of their number.
    "blanks": (Raw(b"HTTP/1.1 200 OK\r\na:" + BLANKS, times=0), FILLED),
    "tabs": (Raw(b"HTTP/1.1 200 OK\r\na:" + BLANKS.replace(b" ", b"\t"), times=0), FILLED),
    "blanks-of-hints": (Raw(b"HTTP/1.1 103 x\r\na:" + BLANKS, times=0), FILLED),
    "blanks-in-trailers": (Raw(CHUNKED + b"0\r\na:" + BLANKS, times=0), AROUND_A_PART),
    "blanks-after-a-chunk": (Raw(CHUNKED + b"1\r\n{\r\n0\r\na:" + BLANKS, times=0), AROUND_A_PART),
    "body-until-the-end": (Raw(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65_536), TOO_LONG),
}

DRIBBLED: Mapping[str, Raw] = {
    "nothing": Raw(times=0),
    "head": Raw(b"HTTP/1.1 200 OK\r\na: ", b"x", pause=0.05),
    "status": Raw(b"HTTP/1.1 2", b"0", pause=0.05),
    "hints": Raw(b"", b"HTTP/1.1 103 x\r\n\r\n", pause=0.05),
    "chunks": Raw(CHUNKED, b"1\r\n \r\n", pause=0.05),
    "body": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ", pause=0.05),
    "trailers": Raw(CHUNKED + b"2\r\n{}\r\n0\r\n", b"a:b\r\n", pause=0.05),
    "end-that-never-comes": Raw(b"HTTP/1.1 200 OK\r\n\r\n{}", times=0),
}


async def longest_hold(asking: Awaitable[Any]) -> tuple[Any, float]:
    """What *asking* gives, and the most CPU seconds in which this loop served nobody else."""
    task, longest, began = asyncio.ensure_future(asking), 0.0, time.thread_time()
    while not task.done():
        # Of this thread alone: how busy the machine is makes no difference.
        await asyncio.sleep(0)
        longest, began = max(longest, time.thread_time() - began), time.thread_time()
    return await task, longest


async def ask_for_keys(issuer: FaultyIssuer, seconds: float) -> tuple[list[str], float]:
    verifier = make_fetching(issuer, jwks_uri=issuer.key_set.url, timeout=seconds)
    found, hold = await longest_hold(outcome_of(verifier, issuer.mint()))
    return [found], hold


async def ask_at_once(
    issuer: FaultyIssuer, seconds: float, *, count: int
) -> tuple[list[str], float]:
    verifier = make_introspecting(issuer, timeout=seconds)
    tokens = [f"token-{number}" for number in range(count)]
    async with contextlib.aclosing(verifier):
        asking = asyncio.gather(*(outcome_of(verifier, each) for each in tokens))
        return await longest_hold(asking)


Door = Callable[[FaultyIssuer, float], Awaitable[tuple[list[str], float]]]

DOORS: Mapping[str, Door] = {
    "key-set": ask_for_keys,
    "one-question": lambda issuer, seconds: ask_at_once(issuer, seconds, count=1),
    "forty-questions": lambda issuer, seconds: ask_at_once(issuer, seconds, count=40),
}


async def shortest(hold: float, door: Door, issuer: FaultyIssuer, seconds: float) -> float:
    """*hold*, or the shortest of `TRIES`: a busy machine makes one long, an issuer makes all."""
    for _ in range(TRIES - 1):
        if hold >= MAX_HOLD:
            hold = min(hold, (await door(issuer, seconds))[1])
    return hold


def answer_everywhere(issuer: FaultyIssuer, answer: Any) -> None:
    issuer.key_set.switch(answer)
    issuer.introspection.switch(answer)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(("endless", "reason"), ENDLESS.values(), ids=ENDLESS)
@looped
async def test_endless_answer_is_cut_by_its_bytes_and_holds_nobody_up(
    endless: Raw,
    reason: str,
    door: Door,
    issuer: FaultyIssuer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer_everywhere(issuer, endless)

    # So long a timeout that it ends nothing here.
    found, hold = await door(issuer, 120)
    assert set(found) == {UNAVAILABLE}
    assert all(reason in each for each in caplog.messages)
    assert len(caplog.messages) == len(found)
    assert await shortest(hold, door, issuer, 120) < MAX_HOLD


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("dribbled", DRIBBLED.values(), ids=DRIBBLED)
@looped
async def test_answer_that_dribbles_is_cut_at_the_timeout(
    dribbled: Raw,
    door: Door,
    issuer: FaultyIssuer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer_everywhere(issuer, dribbled)

    found, hold = await door(issuer, 0.4)
    assert set(found) == {UNAVAILABLE}
    assert all("Timeout" in each or "in time" in each for each in caplog.messages)
    assert len(caplog.messages) == len(found)
    assert await shortest(hold, door, issuer, 0.4) < MAX_HOLD


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@looped
async def test_cookies_of_an_issuer_are_not_read(door: Door, issuer: FaultyIssuer) -> None:
    old = b"Set-Cookie: a=b\r\nSet-Cookie2: " + b"a," * 15_000
    head = b"HTTP/1.1 200 OK\r\n" + old + b"\r\nContent-Length: 2\r\n\r\n{}"
    answer_everywhere(issuer, Raw(head, times=0))

    _, hold = await door(issuer, 120)
    assert await shortest(hold, door, issuer, 120) < MAX_HOLD


def test_event_loop_in_which_issuers_were_asked_at_once_is_forgotten(issuer: FaultyIssuer) -> None:
    answer_everywhere(issuer, Answer(body=b"{}"))
    asyncio.run(ask_at_once(issuer, 60, count=10))

    assert metering._turns == {}


def filled(value: bytes) -> bytes:
    """A document as long as is read, full of *value*."""
    head = b'{"active":true,"exp":%d,"scope":"a","keys":[' % (NOW + 60)
    return head + value * ((MAX_BODY_BYTES - len(head) - 3) // len(value)) + b"0]}"


BODIES: Mapping[str, bytes] = {
    "arrays": filled(b"[],"),
    "objects": filled(b"{},"),
    "members": filled(b'{"":0},'),
    "nested": filled(b"[" * 60 + b"]" * 60 + b","),
    "floats": filled(b"1.0,"),
    "as-many-floats-as-are-read": filled(b"1.%b," % (b"0" * 14)),
    "as-many-objects-as-are-read": filled(b'{"":0, "a":0, "b":0},'.ljust(85)),
    "as-deep-as-is-read": filled(b"[" * 60 + b"]" * 60 + b"," + b" " * 1_900),
    "integers": filled(b"1" * 4_300 + b","),
    "texts": filled(b'"",'),
    "escapes": filled(b'"\\ud83d\\ude00",'),
    "quotes": filled(b'"\\"\\\\",'),
    "few": filled(b'{"n": "%b"},' % (b"A" * 2_000)),
    "keys": filled(b'{"kty":"RSA","e":"AQAB","n":"%b","alg":"RS256"},' % (b"_" * 342)),
    "spaces": filled(b" " * 64),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@looped
async def test_document_full_of_odd_json_holds_nobody_up(
    body: bytes,
    door: Door,
    issuer: FaultyIssuer,
) -> None:
    answer_everywhere(issuer, Answer(body=body))

    _, hold = await door(issuer, 120)
    assert await shortest(hold, door, issuer, 120) < MAX_HOLD


@looped
async def test_good_answer_in_many_pieces_is_read(issuer: FaultyIssuer) -> None:
    def in_pieces(good: Answer) -> Raw:
        body = good.body.ljust(MAX_BODY_BYTES)
        pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
        return Raw(b"HTTP/1.1 103 x\r\n\r\n" * 20 + CHUNKED, sent + b"0\r\n\r\n", times=1)

    issuer.key_set.switch(in_pieces)
    found, _ = await ask_for_keys(issuer, 120)
    assert found == ["accept"]


@looped
async def test_connection_that_stays_open_behind_its_answer_keeps_nobody(
    issuer: FaultyIssuer,
) -> None:
    def kept_open(good: Answer) -> Raw:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(good.body)
        return Raw(head + good.body, times=0)

    issuer.key_set.switch(kept_open)
    found, _ = await ask_for_keys(issuer, 120)
    assert found == ["accept"]
