"""What is fetched over HTTP: from one origin, within limits of size and time, and nothing else."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from fastapi_scopes.verifiers._http import MAX_BODY_BYTES, FetchError, HTTPFetch
from tests.issuers import faults
from tests.issuers.answers import Answer
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching, outcomes
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import looped


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy a machine is set up with, loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        yield issuer


@pytest.fixture
def other() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(now=lambda: NOW) as other:
        yield other


@pytest.mark.parametrize("code", faults.REDIRECTS)
@pytest.mark.parametrize("name", ["metadata", "key_set"])
def test_redirect_to_another_origin_is_not_followed(
    name: str, code: int, issuer: FaultyIssuer, other: FaultyIssuer
) -> None:
    target = other.resource("/stolen", lambda _: issuer.key_set_answer())
    getattr(issuer, name).switch(faults.redirect(target.url, code=code))

    assert outcomes(make_fetching(issuer), issuer.mint()) == [UNAVAILABLE]
    assert target.count == 0


LOCATIONS = {
    "other-name-of-the-host": "http://localhost:{port}/moved",
    "other-scheme": "https://127.0.0.1:{port}/moved",
    "scheme-relative": "//localhost:{port}/moved",
    "default-port": "http://127.0.0.1/moved",
    "link-local": faults.LINK_LOCAL,
    "file": "file:///etc/passwd",
    "script": "javascript:alert(1)",
    "data": 'data:application/json,{{"keys":[]}}',
    "no-url": "http://[::1/moved",
    "bad-port": "http://127.0.0.1:port/moved",
    "with-user": "http://127.0.0.1:{port}@localhost/moved",
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_redirect_elsewhere_is_not_followed(location: str, issuer: FaultyIssuer) -> None:
    moved = issuer.resource("/moved", lambda _: issuer.key_set_answer())
    port = issuer.origin.rpartition(":")[2]
    issuer.key_set.switch(faults.redirect(location.format(port=port)))

    assert outcomes(make_fetching(issuer), issuer.mint()) == [UNAVAILABLE]
    assert (issuer.key_set.count, moved.count) == (1, 0)


@pytest.mark.parametrize("code", faults.REDIRECTS)
@pytest.mark.parametrize("location", ["/moved", "moved", "{origin}/moved", "?v=2"])
def test_redirect_within_the_origin_is_followed(
    location: str, code: int, issuer: FaultyIssuer
) -> None:
    issuer.resource("/moved", lambda _: issuer.key_set_answer())
    target = location.format(origin=issuer.origin)
    issuer.key_set.switch(faults.redirect(target, code=code), lambda good: good)

    assert outcomes(make_fetching(issuer), issuer.mint()) == ["accept"]


@pytest.mark.parametrize(
    ("hops", "expected"), [(3, "accept"), (4, UNAVAILABLE), (10**6, UNAVAILABLE)]
)
def test_redirects_end_soon(hops: int, expected: str, issuer: FaultyIssuer) -> None:
    on = faults.redirect(issuer.key_set.url)
    issuer.key_set.switch(*[on] * min(hops, 10), *([] if hops > 10 else [lambda good: good]))

    assert outcomes(make_fetching(issuer), issuer.mint()) == [expected]
    assert issuer.key_set.count == 4


def test_request_tells_the_issuer_nothing_of_the_caller(issuer: FaultyIssuer) -> None:
    issuer.metadata.switch(lambda good: good.with_header("Set-Cookie", "a=b; Path=/"))
    token = issuer.mint("a:read")
    assert outcomes(make_fetching(issuer), token) == ["accept"]

    for request in (*issuer.metadata.requests, *issuer.key_set.requests):
        assert (request.method, request.body) == ("GET", b"")
        assert request.values_of("accept") == ["application/json"]
        assert request.values_of("authorization") == request.values_of("cookie") == []
        assert token not in repr(request)


@dataclass
class Endless:
    """An answer that never ends, and how much of it was sent."""

    head: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    piece: bytes = b" " * 65_536
    sent: int = field(default=0)

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(self.head)
        while True:
            writer.write(self.piece)
            await writer.drain()
            self.sent += len(self.piece)


ENDLESS = {
    "body": Endless(),
    "chunks": Endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4000\r\n" + b" " * 16_384 + b"\r\n",
    ),
    "head": Endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 16_384 + b"\r\n"),
    "chunk-extension": Endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 16_384
    ),
    "interim-answers": Endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "error": Endless(b"HTTP/1.1 500 Oops\r\n\r\n"),
    "redirect": Endless(b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n\r\n"),
}


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_endless_answer_ends_soon(endless: Endless, issuer: FaultyIssuer) -> None:
    issuer.key_set.switch(endless)

    began = time.monotonic()
    verifier = make_fetching(issuer, timeout=1)
    assert outcomes(verifier, issuer.mint()) == [UNAVAILABLE]
    assert time.monotonic() - began < 20
    issuer.key_set.wait_until_idle()
    # Far more than is read, since what the sockets hold counts as sent.
    assert endless.sent < 100 * MAX_BODY_BYTES


@looped
async def test_document_is_what_was_sent_and_its_repr_is_not() -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(lambda good: good.cached("max-age=120"))
        document = await HTTPFetch(timeout=5)(issuer.key_set.url)

        assert document.body == issuer.key_set_answer().body
        assert document.max_age == 120
        assert "keys" not in repr(document)


REASONS = {
    "status": (Answer.html(status=503), "answered 503"),
    "length": (Answer(body=b"x" * (MAX_BODY_BYTES + 1)), "is longer than 262144 bytes"),
    "encoding": (Answer().with_header("Content-Encoding", "gzip"), "was not asked for"),
    "redirect": (Answer(302, (("Location", "http://localhost/canary"),)), "another host"),
    "location": (Answer(302, (("Location", "http://canary:port"),)), "could not be reached"),
}


@pytest.mark.parametrize(("answer", "reason"), REASONS.values(), ids=REASONS)
@looped
async def test_failure_says_why_and_quotes_nothing(answer: Answer, reason: str) -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(answer)
        with pytest.raises(FetchError, match=reason) as caught:
            await HTTPFetch(timeout=5)(f"{issuer.key_set.url}?key=canary")

        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("code", "is_absent"), [(404, True), (403, True), (500, False), (300, False)]
)
@looped
async def test_only_a_refusal_says_that_there_is_no_such_document(
    code: int, is_absent: bool
) -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(Answer(code))
        with pytest.raises(FetchError) as caught:
            await HTTPFetch(timeout=5)(issuer.key_set.url)

        assert caught.value.is_absent is is_absent
