"""An issuer is believed under https alone: the certificate has to hold, and TLS to stay."""

import asyncio
import datetime
import os
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import Document, IntrospectionVerifier
from fastapi_scopes.verifiers._http import context_for, tls_context
from tests.issuers import faults
from tests.issuers.faults import members
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching
from tests.verifiers.introspecting import SETTINGS, make_introspecting, make_issuer
from tests.verifiers.minting import ec_key
from tests.verifiers.publishing import looped, outcome_of, problems_of, settled

DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy a machine is set up with, loopback is asked directly."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer() as issuer:
        yield issuer


def make_certificate(
    folder: Path, *, host: str = "localhost", days: int = 1, key: str = "tls"
) -> Path:
    """A certificate that vouches for itself, and its key, in one file."""
    private, today = ec_key(name=key), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - 30 * DAY)
        .not_valid_after(today + days * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private_pem(private))
    return path


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


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


async def asked_under_tls(issuer: FaultyIssuer, certificate: Path, **settings: Any) -> str:
    async with tls_before(issuer, certificate) as origin:
        settings = {"jwks_uri": f"{origin}/jwks", "allow_http": False, **settings}
        verifier = make_fetching(issuer, **settings)
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


@pytest.mark.parametrize("as_text", [True, False], ids=["str", "path"])
@looped
async def test_issuer_is_believed_by_the_authority_of_a_file(
    as_text: bool, issuer: FaultyIssuer, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    settings = {"ca_file": str(certificate) if as_text else certificate}

    assert await asked_under_tls(issuer, certificate, **settings) == "accept"


@looped
async def test_endpoint_is_believed_by_the_authority_of_a_file(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with make_issuer() as issuer:
        async with tls_before(issuer, certificate) as origin:
            settings = {"endpoint": f"{origin}/introspect", "allow_http": False}
            verifier = make_introspecting(issuer, ca_file=certificate, **settings)
            async with aclosing(verifier):
                assert await outcome_of(verifier, issuer.mint_opaque("a")) == "accept"
            # The server before the issuer closes what it has open there.
            await settled()


@looped
async def test_file_of_authorities_takes_the_place_of_the_others(
    issuer: FaultyIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    other = make_certificate(tmp_path, host="other.example", key="other")

    assert await asked_under_tls(issuer, certificate, ca_file=other) == UNAVAILABLE


def test_file_of_authorities_is_read_once_until_it_changes(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    first = context_for(certificate)
    assert context_for(str(certificate)) is first

    os.utime(certificate, ns=(0, 0))
    assert context_for(certificate) is not first


BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NO_AUTHORITIES: dict[str, bytes | None] = {
    "absent": None,
    "empty": b"",
    "no-pem": b"\x30\x82",
    "html": b"<!doctype html>",
    "broken": BROKEN,
    "public-key": BROKEN.replace(b"CERTIFICATE", b"PUBLIC KEY"),
}
NO_FILE = (
    "ca_file is no file of certificates in PEM, or cannot be read; "
    "name the file of your certificate authority"
)


@pytest.mark.parametrize("content", NO_AUTHORITIES.values(), ids=NO_AUTHORITIES)
def test_file_without_authorities_is_named_by_the_constructor(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    assert problems_of(ca_file=path) == (NO_FILE,)
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionVerifier(**{**SETTINGS, "ca_file": path})
    assert str(caught.value) == NO_FILE


Written = Callable[[bytes], bytes]

NO_PEM: dict[str, Written] = {
    "private-key-alone": lambda _: private_pem(ec_key(name="tls")),
    "binary": lambda pem: ssl.PEM_cert_to_DER_cert(pem.decode()),
    "utf-16": lambda pem: pem.decode().encode("utf-16"),
    "one-line": lambda pem: pem.replace(b"\n", b"\\n"),
    "cut-off": lambda pem: pem + pem[:100],
    "one-of-two-broken": lambda pem: pem + BROKEN,
}
PEM: dict[str, Written] = {
    "crlf": lambda pem: pem.replace(b"\n", b"\r\n"),
    "text-around": lambda pem: b"Our authority\n\n" + pem + b"\nEnd\n",
    "no-line-break-at-the-end": lambda pem: pem.rstrip(),
    "private-key-before-it": lambda pem: private_pem(ec_key(name="tls")) + pem,
    "twice": lambda pem: pem * 2,
}


def written_anew(written: Written, certificate: Path) -> Path:
    """A file with *certificate*, without its key, as it is *written*."""
    pem, _, _ = certificate.read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")
    path = certificate.with_name("written.pem")
    path.write_bytes(written(pem))
    return path


@pytest.mark.parametrize("written", NO_PEM.values(), ids=NO_PEM)
def test_file_that_is_not_whole_pem_of_certificates_is_refused(
    written: Written, tmp_path: Path
) -> None:
    assert problems_of(ca_file=written_anew(written, make_certificate(tmp_path))) == (NO_FILE,)


@pytest.mark.parametrize("written", PEM.values(), ids=PEM)
@looped
async def test_authority_is_found_however_its_file_is_written(
    written: Written, issuer: FaultyIssuer, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    path = written_anew(written, certificate)

    assert await asked_under_tls(issuer, certificate, ca_file=path) == "accept"


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop.pem"
    loop.symlink_to(loop)
    below = make_certificate(tmp_path) / "ca.pem"
    hidden = make_certificate(tmp_path, host="hidden.example")
    hidden.chmod(0)
    # A superuser reads everything.
    hidden_or_loop = loop if os.access(hidden, os.R_OK) else hidden
    for path in (loop, below, hidden_or_loop):
        assert problems_of(ca_file=path) == (NO_FILE,)


@looped
async def test_issuer_without_tls_may_name_a_key_set_under_that_of_the_authority(
    issuer: FaultyIssuer, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    # What has no TLS needs no authority, and one is no error: a setting for all environments.
    plain = make_fetching(issuer, ca_file=certificate)
    assert await outcome_of(plain, issuer.mint()) == "accept"
    async with tls_before(issuer, certificate) as origin:
        issuer.metadata.switch(members(jwks_uri=f"{origin}/jwks"))
        believing = make_fetching(issuer, ca_file=certificate)
        assert await outcome_of(believing, issuer.mint()) == "accept"
        assert await outcome_of(make_fetching(issuer), issuer.mint()) == UNAVAILABLE


def test_revocations_alone_are_no_authorities(tmp_path: Path) -> None:
    key, now = ec_key(name="tls"), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name)
    revocations = builder.last_update(now).next_update(now + DAY).sign(key, hashes.SHA256())
    path = tmp_path / "crl.pem"
    path.write_bytes(revocations.public_bytes(Encoding.PEM))

    assert problems_of(ca_file=path) == (NO_FILE,)


BAD_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "folder": ({"ca_file": "."}, NO_FILE),
    "no-text": ({"ca_file": ""}, NO_FILE),
    "nul": ({"ca_file": "\0"}, NO_FILE),
    "bool": ({"ca_file": True}, "ca_file is no path but a 'bool'; name a file of certificates"),
    "bytes": ({"ca_file": b"ca.pem"}, "ca_file is no path but a 'bytes'"),
}


@pytest.mark.parametrize(("setting", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_what_is_no_file_of_authorities_is_said(setting: dict[str, Any], said: str) -> None:
    (problem,) = problems_of(**setting)
    assert problem.startswith(said)


def test_file_of_authorities_that_fetch_would_not_use_is_an_error(tmp_path: Path) -> None:
    async def fetch(url: str) -> Document:
        raise NotImplementedError

    said = "ca_file has no effect beside fetch; let fetch trust the authority"
    assert problems_of(ca_file=make_certificate(tmp_path), fetch=fetch) == (said,)


TRUSTED_IN_VAIN: dict[str, tuple[dict[str, Any], str]] = {
    "of-another-host": (
        {"host": "other.example"},
        "has a certificate for another host; correct the address",
    ),
    "expired": ({"days": -1}, "has a certificate that has expired; tell the issuer"),
    "not-trusted": (
        {},
        "has a certificate that is not trusted; pass ca_file= with your certificate authority",
    ),
}


@pytest.mark.parametrize(("fault", "said"), TRUSTED_IN_VAIN.values(), ids=TRUSTED_IN_VAIN)
@looped
async def test_log_says_what_is_wrong_with_a_certificate(
    fault: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path, **fault)
    settings = {"ca_file": certificate} if fault else {}
    with make_issuer() as issuer:
        async with tls_before(issuer, certificate) as origin:
            published = make_fetching(issuer, jwks_uri=f"{origin}/jwks", **settings)
            assert await outcome_of(published, issuer.mint()) == UNAVAILABLE
            place = f"{origin}/introspect"
            opaque = make_introspecting(issuer, endpoint=place, **settings)
            assert await outcome_of(opaque, "a-token") == UNAVAILABLE
            await opaque.aclose()

    assert caplog.messages == [
        f"no keys of {issuer.identifier}: {origin}/jwks {said}",
        f"no introspection at {place}: {said}",
    ]


@looped
async def test_what_comes_under_tls_is_counted(
    issuer: FaultyIssuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hints = b"HTTP/1.1 103 x\r\n\r\n" * 4000

    async def send(writer: asyncio.StreamWriter) -> bool:
        while True:
            writer.write(hints)
            await writer.drain()

    issuer.key_set.switch(SimpleNamespace(send=send))
    certificate = make_certificate(tmp_path)

    assert await asked_under_tls(issuer, certificate, ca_file=certificate, timeout=120) == (
        UNAVAILABLE
    )
    assert "/jwks sends more than 32768 bytes around a document; if that" in caplog.messages[0]


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
