"""An issuer is believed under https alone: the certificate has to hold, and TLS to stay."""

import asyncio
import datetime
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fastapi_scopes.verifiers._http import tls_context
from tests.issuers import faults
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching
from tests.verifiers.minting import ec_key
from tests.verifiers.publishing import looped, outcome_of

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy a machine is set up with, loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer() as issuer:
        yield issuer


def make_certificate(folder: Path, *, host: str = "localhost", days: int = 1) -> Path:
    """A certificate that vouches for itself, and its key, in one file."""
    key, today = ec_key(name="tls"), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - 30 * DAY)
        .not_valid_after(today + days * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


@asynccontextmanager
async def tls_before(issuer: FaultyIssuer, certificate: Path) -> AsyncIterator[str]:
    """The origin of a server that ends TLS and passes what it gets on to *issuer*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    host, port = issuer.origin.removeprefix("http://").split(":")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, behind_writer), copy(behind_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", ssl=context) as server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def asked_under_tls(issuer: FaultyIssuer, certificate: Path) -> str:
    async with tls_before(issuer, certificate) as origin:
        verifier = make_fetching(issuer, jwks_uri=f"{origin}/jwks", allow_http=False)
        return await outcome_of(verifier, issuer.mint())


@looped
async def test_issuer_with_a_trusted_certificate_is_believed(
    issuer: FaultyIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert await asked_under_tls(issuer, certificate) == "accept"


@looped
async def test_authorities_are_read_once_and_not_in_the_event_loop(
    issuer: FaultyIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    readers: list[int] = []
    read = httpx.create_ssl_context

    def reading() -> ssl.SSLContext:
        readers.append(threading.get_ident())
        return read()

    monkeypatch.setattr(httpx, "create_ssl_context", reading)

    assert await asked_under_tls(issuer, certificate) == "accept"
    assert await asked_under_tls(issuer, certificate) == "accept"
    assert len(readers) == 1
    assert readers != [threading.get_ident()]


@looped
async def test_authorities_are_read_also_where_no_thread_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path)))
    await asyncio.get_running_loop().shutdown_default_executor()

    assert len((await tls_context()).get_ca_certs()) == 1


@looped
async def test_issuer_with_a_certificate_of_its_own_is_not_believed(
    issuer: FaultyIssuer, tmp_path: Path
) -> None:
    assert await asked_under_tls(issuer, make_certificate(tmp_path)) == UNAVAILABLE
    assert issuer.key_set.count == 0


@pytest.mark.parametrize(
    "fault", [{"host": "other.example"}, {"days": -1}], ids=["of-another-host", "expired"]
)
@looped
async def test_trusted_certificate_has_to_fit(
    fault: dict[str, str | int],
    issuer: FaultyIssuer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate = make_certificate(tmp_path, **fault)  # type: ignore[arg-type]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert await asked_under_tls(issuer, certificate) == UNAVAILABLE
    assert issuer.key_set.count == 0


@pytest.mark.parametrize("allow_http", [False, True], ids=["https-only", "http-allowed"])
@looped
async def test_redirect_out_of_tls_is_not_followed(
    allow_http: bool,
    issuer: FaultyIssuer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    moved = issuer.resource("/moved", lambda _: issuer.key_set_answer())
    issuer.key_set.switch(faults.redirect(moved.url))

    async with tls_before(issuer, certificate) as origin:
        settings = {"jwks_uri": f"{origin}/jwks", "allow_http": allow_http}
        verifier = make_fetching(issuer, **settings)
        assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
    assert (issuer.key_set.count, moved.count) == (1, 0)


@looped
async def test_redirect_within_tls_is_followed(
    issuer: FaultyIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    issuer.resource("/moved", lambda _: issuer.key_set_answer())
    issuer.key_set.switch(faults.redirect("/moved"))

    assert await asked_under_tls(issuer, certificate) == "accept"


@looped
async def test_server_without_tls_is_not_believed_under_https(issuer: FaultyIssuer) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = issuer.key_set_answer().body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        verifier = make_fetching(issuer, jwks_uri=f"https://127.0.0.1:{port}/jwks")
        assert await outcome_of(verifier, issuer.mint()) == UNAVAILABLE
