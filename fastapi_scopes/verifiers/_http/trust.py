"""TLS: the certificate authorities that servers are checked against, and how much they may send.

What the HTTP client reads is counted once it is decrypted (`metering`), so a handshake is not, nor
are messages of TLS itself. OpenSSL reads some of them without end: HelloRequests, for one, also
before it has seen a certificate. In three seconds that was 600 MB.
"""

import asyncio
import functools
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from ssl import MemoryBIO, SSLContext, SSLObject
from typing import Any, Final, ParamSpec, TypeVar

import httpx

from fastapi_scopes.errors import ConfigurationProblem
from fastapi_scopes.verifiers._http.documents import FetchError

__all__ = ["ca_file_problems", "certificate_fault", "context_for", "tls_context"]

P = ParamSpec("P")
T = TypeVar("T")

_EXPIRED: Final = 10
_OTHER_HOST: Final = frozenset({62, 64})
"""Of X509_V_ERR_*: a certificate for another host name, or IP address."""

# The client reads up to 64 KiB at once, and a record of 16 KiB that is not whole yet counts twice.
_MAX_HIDDEN_BYTES: Final = 128 * 1024
"""The most that is read of a connection without a byte for the client in it."""

_contexts: dict[tuple[str | None, str | None], SSLContext] = {}
_making = threading.Lock()


async def tls_context() -> SSLContext:
    """Return the TLS settings of this process, made when they are first asked for.

    The certificate authorities are those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` then. They are
    read in a thread: that takes some 20 ms, in which the event loop serves others.

    Raises:
        OSError: they cannot be read.
    """
    trusted = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    known = _contexts.get(trusted)
    if known is not None:
        return known
    try:
        return await asyncio.to_thread(_make_context, trusted)
    except RuntimeError:
        # No thread is to be had, as at the end of a process.
        return _make_context(trusted)


def _make_context(trusted: tuple[str | None, str | None]) -> SSLContext:
    with _making:
        # Whoever waited here may find it made.
        context = _contexts.get(trusted) or _bounded(httpx.create_ssl_context())
        _contexts[trusted] = context
    return context


def _bounded(context: SSLContext) -> SSLContext:
    """Return *context*, of which no connection reads many bytes that the client never sees."""
    wrap = context.wrap_bio

    def wrap_bio(incoming: MemoryBIO, *args: Any, **options: Any) -> SSLObject:
        connection = wrap(incoming, *args, **options)
        hidden = 0

        def counted(step: Callable[P, T]) -> Callable[P, T]:
            def take(*args: P.args, **options: P.kwargs) -> T:
                nonlocal hidden
                # It is called for what has come in since it last asked for more.
                hidden += incoming.pending
                if hidden > _MAX_HIDDEN_BYTES:
                    raise FetchError(f"sends more than {_MAX_HIDDEN_BYTES} bytes for TLS alone")
                taken = step(*args, **options)
                hidden = 0
                return taken

            return take

        connection.do_handshake = counted(connection.do_handshake)  # type: ignore[method-assign]
        connection.read = counted(connection.read)  # type: ignore[method-assign]
        return connection

    context.wrap_bio = wrap_bio  # type: ignore[method-assign]
    return context


def context_for(ca_file: str | Path | None) -> SSLContext | None:
    """Return TLS settings that trust the authorities in *ca_file* alone, or None without a file.

    They are made once for each file as it is then.

    Raises:
        OSError, ValueError: it cannot be read, or is no file of certificates in PEM.
    """
    if ca_file is None:
        return None
    path = Path(ca_file)
    return _context_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _context_of(path: Path, modified: int) -> SSLContext:  # noqa: ARG001 - part of the key
    context = ssl.create_default_context(cafile=path)
    if not context.cert_store_stats()["x509"]:
        raise ValueError("no certificate")
    return _bounded(context)


def ca_file_problems(ca_file: object, *, fetch: object = None) -> Iterator[ConfigurationProblem]:
    """Yield the problems of *ca_file*, which *fetch* would not use."""
    if ca_file is None:
        return
    if not isinstance(ca_file, str | Path):
        yield ConfigurationProblem(
            f"is no path but a {type(ca_file).__name__!r}",
            "name a file of certificates in PEM",
            setting="ca_file",
        )
        return
    if fetch is not None:
        yield ConfigurationProblem(
            "has no effect beside fetch", "let fetch trust the authority", setting="ca_file"
        )
    try:
        context_for(ca_file)
    except (OSError, ValueError):
        yield ConfigurationProblem(
            "is no file of certificates in PEM, or cannot be read",
            "name the file of your certificate authority",
            setting="ca_file",
        )


def certificate_fault(error: BaseException) -> tuple[str, str] | None:
    """Return what is wrong with a certificate, and the way out; None where it is not the cause.

    *error* is what the attempt to connect has raised.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    if cause.verify_code == _EXPIRED:
        return "has a certificate that has expired", "tell the issuer"
    if cause.verify_code in _OTHER_HOST:
        return "has a certificate for another host", "correct the address"
    return "has a certificate that is not trusted", "pass ca_file= with your certificate authority"
