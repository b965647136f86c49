"""Each answer puts on the wire what its name says."""

import gzip
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.issuers.answers import Answer, Framing, HangUp, Raw, Silence
from tests.issuers.asking import get
from tests.issuers.faulty import FaultyIssuer
from tests.issuers.server import Resource

GOOD = Answer.json({"keys": [1, 2, 3]})


@pytest.fixture
def resource() -> Iterator[Resource]:
    with FaultyIssuer() as issuer:
        yield issuer.key_set


def bytes_from(resource: Resource, *, count: int | None = None) -> tuple[bytes, bool]:
    """What a bare socket reads, and whether the server then closes the connection.

    After *count* bytes a short silence is enough to tell that it does not.
    """
    url = httpx.URL(resource.url)
    received = b""
    with socket.create_connection((url.host, url.port or 0), 5) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: issuer\r\n\r\n" % url.raw_path)
        while True:
            if count is not None and len(received) >= count:
                connection.settimeout(0.05)
            try:
                piece = connection.recv(2**16)
            except TimeoutError:
                return received, False
            if not piece:
                return received, True
            received += piece


def test_whole_answer_leaves_the_connection_open(resource: Resource) -> None:
    resource.switch(GOOD.cached("max-age=5", "no-store"))
    expected = (
        b"HTTP/1.1 200 \r\nContent-Type: application/json\r\nCache-Control: max-age=5\r\n"
        b'Cache-Control: no-store\r\nContent-Length: 19\r\n\r\n{"keys": [1, 2, 3]}'
    )

    assert bytes_from(resource, count=len(expected)) == (expected, False)


def test_one_connection_carries_many_requests(resource: Resource) -> None:
    resource.switch(GOOD)
    url = httpx.URL(resource.url)
    with socket.create_connection((url.host, url.port or 0), 5) as connection:
        stream = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(b"GET /jwks HTTP/1.1\r\nHost: issuer\r\n\r\n")
            assert stream.readline() == b"HTTP/1.1 200 \r\n"
            assert stream.read(73).endswith(GOOD.body)
        stream.close()


@pytest.mark.parametrize(
    ("answer", "body", "closed"),
    [
        (GOOD.framed(Framing.CLOSE), GOOD.body, True),
        (GOOD.framed(Framing.CHUNKED), b"13\r\n%b\r\n0\r\n\r\n" % GOOD.body, False),
        (GOOD.framed(Framing.CHUNKED).cut(2), b'2\r\n{"\r\n', True),
        (GOOD.cut(2), b'{"', True),
        (GOOD.cut(0), b"", True),
        (GOOD.stalled(2), b'{"', False),
        (GOOD.declaring(99), GOOD.body, True),
        (GOOD.encoded("utf-8-sig"), b"\xef\xbb\xbf" + GOOD.body, False),
        (GOOD.encoded("utf-16"), GOOD.body.decode().encode("utf-16"), False),
        (GOOD.padded(30), GOOD.body + b" " * 11, False),
    ],
    ids=[
        *("until-close", "chunked", "cut-chunked", "cut", "cut-before-the-body", "stalled"),
        *("declaring", "byte-order-mark", "utf-16", "padded"),
    ],
)
def test_body_on_the_wire(resource: Resource, answer: Answer, body: bytes, closed: bool) -> None:
    resource.switch(answer)
    head = answer.head()
    received, was_closed = bytes_from(resource, count=len(head) + len(body))

    assert received.partition(b"\r\n\r\n")[2] == body
    assert was_closed is closed


@pytest.mark.parametrize("length", [99, 2, "many", -1], ids=str)
def test_declared_length_is_sent_as_it_is(resource: Resource, length: object) -> None:
    resource.switch(GOOD.declaring(length))

    assert f"\r\nContent-Length: {length}\r\n".encode() in bytes_from(resource)[0]


def test_silence_keeps_the_connection_and_says_nothing(resource: Resource) -> None:
    resource.switch(Silence())

    assert bytes_from(resource, count=0) == (b"", False)


def test_hang_up_closes_without_an_answer(resource: Resource) -> None:
    resource.switch(HangUp())

    assert bytes_from(resource) == (b"", True)


def test_reset_is_a_reset(resource: Resource) -> None:
    resource.switch(HangUp(reset=True))

    with pytest.raises(ConnectionResetError):
        bytes_from(resource)


def test_raw_bytes_are_all_that_is_sent(resource: Resource) -> None:
    resource.switch(Raw(b"SSH-2.0\r\n"))

    assert bytes_from(resource) == (b"SSH-2.0\r\n", True)


def test_late_answer_sends_nothing_before_its_time(resource: Resource) -> None:
    resource.switch(GOOD.late(0.1))
    started = time.monotonic()

    assert get(resource.url).content == GOOD.body
    assert time.monotonic() - started >= 0.1


def test_dripping_body_pauses_before_each_byte_but_the_first(resource: Resource) -> None:
    resource.switch(GOOD.dripping(0.01))
    started = time.monotonic()

    assert get(resource.url).content == GOOD.body
    assert time.monotonic() - started >= 0.01 * (len(GOOD.body) - 1)


def test_dripping_body_comes_in_single_bytes(resource: Resource) -> None:
    answer = GOOD.dripping(60)
    resource.switch(answer)
    head = answer.head()

    assert bytes_from(resource, count=len(head) + 1) == (head + b"{", False)


@pytest.mark.parametrize("framing", Framing, ids=[each.name for each in Framing])
def test_large_body_arrives_whole(resource: Resource, framing: Framing) -> None:
    resource.switch(GOOD.padded(10_000_000).framed(framing))
    answer = get(resource.url)

    assert len(answer.content) == 10_000_000
    assert answer.json() == GOOD.document
    assert ("content-length" in answer.headers) is (framing is Framing.LENGTH)


def test_gzip_bomb_is_small_on_the_wire(resource: Resource) -> None:
    resource.switch(GOOD.padded(10_000_000).gzipped().framed(Framing.CLOSE))
    sent = bytes_from(resource)[0].partition(b"\r\n\r\n")[2]

    assert len(sent) < 20_000
    assert len(gzip.decompress(sent)) == 10_000_000
    assert get(resource.url).json() == GOOD.document


def test_answers_are_made_from_answers_and_leave_them_alone(resource: Resource) -> None:
    made = GOOD.typed("text/html").with_status(418).with_document({"error": "x"}).cached("a")
    resource.switch(made)
    answer = get(resource.url)

    assert (answer.status_code, answer.json()) == (418, {"error": "x"})
    assert answer.headers["content-type"] == "text/html"
    assert json.loads(GOOD.body) == {"keys": [1, 2, 3]}
    assert GOOD.status == 200
