"""JSON documents of an authorization server over HTTP, within limits (RFC 8725 3.10)."""

import asyncio
import ipaddress
import os
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Final
from urllib.request import Request

import httpx

from fastapi_scopes.errors import Assignment, ConfigurationProblem

__all__ = [
    "MAX_BODY_BYTES",
    "TRANSPORT_ERRORS",
    "Document",
    "Fetch",
    "FetchError",
    "HTTPFetch",
    "client_for",
    "document_of",
    "tls_context",
    "url_problem",
]

MAX_BODY_BYTES: Final = 256 * 1024
"""The longest document that is read."""

TRANSPORT_ERRORS: Final = (
    *(httpx.HTTPError, httpx.InvalidURL, OSError),
    # ValueError: a malformed host or proxy variable; ImportError: a package for a kind of proxy.
    *(ValueError, ImportError),
)
"""The exceptions that httpx raises where a server cannot be reached."""

_URL: Final = "write one like 'https://example.com'"
_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_MAX_AGE = re.compile(r'max-age\s*=\s*"?(\d{1,10})"?', re.IGNORECASE | re.ASCII)
_AGE = re.compile(r"\d{1,10}", re.ASCII)
_NOT_KEPT = frozenset({"no-cache", "no-store"})

_contexts: dict[tuple[str | None, str | None], SSLContext] = {}
_making = threading.Lock()


class FetchError(Exception):
    """A document could not be fetched; the text says why and quotes nothing of the document."""

    def __init__(self, reason: str, *, is_absent: bool = False) -> None:
        super().__init__(reason)
        self.is_absent = is_absent
        """Whether the server says that there is no such document."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was fetched from a URL."""

    body: bytes = field(repr=False)
    max_age: float | None = None
    """The seconds for which it is fresh (RFC 9111 5.2.2.1); None where the server does not say."""


Fetch = Callable[[str], Awaitable[Document]]
"""An async function that fetches the document at a URL; any exception is a failed attempt."""


def url_problem(url: object, *, allow_http: bool) -> ConfigurationProblem | None:
    """Return why *url* may not be fetched, or None where it may."""
    try:
        parsed = httpx.URL(url if isinstance(url, str) else "")
        host = parsed.host
    except (httpx.InvalidURL, ValueError):
        return ConfigurationProblem("is no URL", _URL)
    if not host or parsed.scheme not in {"http", "https"}:
        return ConfigurationProblem("is no http or https URL", _URL)
    if parsed.userinfo or parsed.fragment:
        return ConfigurationProblem("has credentials or a fragment in it", "leave them out")
    if parsed.scheme == "https" or (allow_http and _is_loopback(host)):
        return None
    allow = Assignment("allow_http", True, rest="for a loopback address")
    return ConfigurationProblem(
        "is not https, which only loopback addresses may do without",
        "write an https URL" if allow_http else allow,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
        context = _contexts[trusted] = _contexts.get(trusted) or httpx.create_ssl_context()
    return context


def client_for(
    url: str, *, tls: SSLContext, timeout: float, connections: int = 1
) -> httpx.AsyncClient:
    """Return an HTTP client for *url*; the proxy of the environment is used for https alone."""
    # Without TLS a URL is a loopback address, and a proxy would see and answer everything.
    is_secure = httpx.URL(url).scheme == "https"
    return httpx.AsyncClient(
        verify=tls,
        timeout=timeout,
        trust_env=is_secure,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=20),
        cookies=CookieJar(_NoCookies()),
    )


class _NoCookies(DefaultCookiePolicy):
    """Stores no cookies: one caller's cookie must not be sent with another's request."""

    def set_ok(self, cookie: Cookie, request: Request) -> bool:  # noqa: ARG002
        return False


class HTTPFetch:
    """Fetches documents with httpx, a client for each, so no connection outlives its event loop.

    *timeout*, in seconds, is for each network operation; the caller limits the whole.
    """

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout

    async def __call__(self, url: str) -> Document:
        """Return the document at *url*.

        Raises:
            FetchError: there is none, or none within the limits.
        """
        try:
            tls = await tls_context()
            async with client_for(url, tls=tls, timeout=self._timeout) as client:
                return await _get(client, httpx.URL(url))
        except TRANSPORT_ERRORS as error:
            # Their text may hold a URL with a query, so the message has only their type.
            raise FetchError(f"could not be reached ({type(error).__name__})") from None


async def _get(client: httpx.AsyncClient, url: httpx.URL) -> Document:
    for _ in range(_MAX_REDIRECTS + 1):
        async with client.stream("GET", url, headers=_HEADERS, follow_redirects=False) as response:
            if response.status_code not in _REDIRECTS:
                return await document_of(response)
            location = response.headers.get("location")
        if location is None:
            raise FetchError("redirects to nowhere")
        target = url.join(location)
        if _origin_of(target) != _origin_of(url):
            raise FetchError("redirects to another host")
        url = target
    raise FetchError("redirects without end")


def _origin_of(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


async def document_of(response: httpx.Response) -> Document:
    """Return the document in *response*, read within the limits.

    Raises:
        FetchError: another status than 200, a body that is too long, or an encoded one.
    """
    status = response.status_code
    if status != 200:
        raise FetchError(f"answered {status}", is_absent=400 <= status < 500)
    # No encoding was asked for, so none is decoded: a few bytes could become gigabytes.
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("has an encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise FetchError(f"is longer than {MAX_BODY_BYTES} bytes")
    return Document(bytes(body), _max_age_of(response.headers))


def _max_age_of(headers: httpx.Headers) -> float | None:
    directives = [each.strip() for each in headers.get("cache-control", "").split(",")]
    if not _NOT_KEPT.isdisjoint(each.lower() for each in directives):
        return 0
    found = [float(match[1]) for each in directives if (match := _MAX_AGE.fullmatch(each))]
    if not found:
        return None
    # RFC 9111 4.2.1, 4.2.3: the smallest of several, minus the age in a cache on the way.
    age = headers.get("age", "0")
    return max(min(found) - (float(age) if _AGE.fullmatch(age) else 0), 0)
