"""A server, or whoever is on the way to it, sends without end what TLS itself swallows."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.issuers.answers import Answer
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching
from tests.verifiers.introspecting import make_introspecting, make_issuer
from tests.verifiers.publishing import PATIENCE, looped, outcome_of
from tests.verifiers.test_jwks_tls import make_certificate, tls_before

HIDDEN = "sends more than 131072 bytes for TLS alone"

# RFC 5246 7.4.1.1: a client that is in a handshake ignores them. Each is four zeros.
FLOODS: Mapping[str, bytes] = {
    "hello-requests": b"\x16\x03\x03\x40\x00" + bytes(16_384),
    "a-record-each": (b"\x16\x03\x03\x00\x04" + bytes(4)) * 4_000,
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy a machine is set up with, loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")


class Flood:
    """A server that sends a piece again and again, to whoever says anything."""

    def __init__(self, piece: bytes | None) -> None:
        self.piece = piece
        self.sent = 0

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(1)
            while self.piece is not None:
                writer.write(self.piece)
                await writer.drain()
                self.sent += len(self.piece)
            await reader.read()
        writer.close()

    @asynccontextmanager
    async def origin(self, **options: Any) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._send, "127.0.0.1", **options) as server:
            yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


def fetching(issuer: FaultyIssuer, origin: str, **settings: Any) -> Any:
    return make_fetching(
        issuer, jwks_uri=f"{origin}/jwks", allow_http=False, timeout=PATIENCE, **settings
    )


@pytest.mark.parametrize("piece", FLOODS.values(), ids=FLOODS)
@looped
async def test_handshake_without_end_is_cut_by_its_bytes(
    piece: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    flood = Flood(piece)
    with make_issuer() as issuer:
        async with flood.origin() as origin:
            assert await outcome_of(fetching(issuer, origin), issuer.mint()) == UNAVAILABLE
            settings = {"endpoint": f"{origin}/x", "allow_http": False, "timeout": PATIENCE}
            async with aclosing(make_introspecting(issuer, **settings)) as verifier:
                assert await outcome_of(verifier, "a-token") == UNAVAILABLE

    assert [HIDDEN in each for each in caplog.messages] == [True, True]
    # What is beyond the 128 KiB is in the buffers of the sockets.
    assert flood.sent < 64 * 1024 * 1024


@looped
async def test_tickets_without_end_are_cut_by_their_bytes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # Each is a message that the client of HTTP never sees.
    context.num_tickets = 2_000
    with make_issuer() as issuer:
        async with Flood(None).origin(ssl=context) as origin:
            verifier = fetching(issuer, origin, ca_file=certificate)
            assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE

    (said,) = caplog.messages
    assert HIDDEN in said


@looped
async def test_long_document_is_read(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with make_issuer() as issuer:
        padded = Answer.json({**issuer.key_set_answer().document, "x": "a" * 200_000})
        issuer.key_set.switch(padded)
        async with tls_before(issuer, certificate) as origin:
            verifier = fetching(issuer, origin, ca_file=certificate)
            assert await outcome_of(verifier, issuer.mint()) == "accept"
