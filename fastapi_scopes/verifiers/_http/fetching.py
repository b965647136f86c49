"""Documents fetched with httpx, a client for each attempt."""

import importlib
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from http.cookiejar import CookieJar
from ssl import SSLContext
from typing import Final

import httpx

from fastapi_scopes.verifiers._http.documents import Document, FetchError
from fastapi_scopes.verifiers._http.metering import Meter, metered, watch
from fastapi_scopes.verifiers._http.trust import certificate_fault, tls_context

__all__ = ["TRANSPORT_ERRORS", "Client", "HTTPFetch", "answer_to", "client_for", "load_client"]

TRANSPORT_ERRORS: Final = (
    *(httpx.HTTPError, httpx.InvalidURL, OSError),
    # ValueError: a malformed host or proxy variable; ImportError: a package for a kind of proxy.
    *(ValueError, ImportError),
)
"""The exceptions that httpx raises where a server cannot be reached."""

Client = httpx.AsyncClient

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_MAX_AGE = re.compile(r'max-age\s*=\s*"?(\d{1,10})"?', re.IGNORECASE | re.ASCII)
_AGE = re.compile(r"\d{1,10}", re.ASCII)
_NOT_KEPT = frozenset({"no-cache", "no-store"})


def load_client() -> None:
    """Import what httpx otherwise imports for the first request, in the event loop."""
    importlib.import_module("httpcore")


def client_for(
    url: str,
    *,
    tls: SSLContext,
    timeout: float,
    connections: int = 1,
    credentials: tuple[str, str] | None = None,
) -> Client:
    """Return an HTTP client for *url*, which sends *credentials* by HTTP Basic.

    The proxy of the environment is used for https alone.
    """
    # Without TLS a proxy would see and answer everything.
    is_secure = httpx.URL(url).scheme == "https"
    return Client(
        auth=credentials,
        verify=tls,
        timeout=timeout,
        trust_env=is_secure,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=20),
        cookies=_NoCookies(),
    )


class _NoCookies(CookieJar):
    """Reads and stores no cookies: one caller's cookie must not be sent with another's request.

    To parse them takes the square of the length of their header.
    """

    def extract_cookies(self, response: object, request: object) -> None:
        pass


class HTTPFetch:
    """Fetches documents with httpx, a client for each, so no connection outlives its event loop.

    *timeout*, in seconds, is for each network operation; the caller limits the whole. Without *tls*
    the authorities of this process are trusted.
    """

    def __init__(self, *, timeout: float, tls: SSLContext | None = None) -> None:
        self._timeout = timeout
        self._tls = tls
        load_client()

    async def __call__(self, url: str) -> Document:
        """Return the document at *url*.

        Raises:
            FetchError: there is none, or none within the limits.
        """
        try:
            tls = self._tls or await tls_context()
            with metered() as meter:
                async with client_for(url, tls=tls, timeout=self._timeout) as client:
                    return await _get(client, httpx.URL(url), meter)
        except TRANSPORT_ERRORS as error:
            # Their text may hold a URL with a query, so the message has only their type.
            unreachable = f"could not be reached ({type(error).__name__})", ""
            raise FetchError(*certificate_fault(error) or unreachable) from None


async def answer_to(client: Client, url: str, form: Mapping[str, str]) -> Document:
    """Return the document with which the server at *url* answers *form*, sent by POST.

    Raises:
        FetchError: there is none, or none within the limits.
    """
    with metered() as meter:
        async with _sent(client, "POST", httpx.URL(url), form) as response:
            return await _document_of(response, meter)


async def _get(client: Client, url: httpx.URL, meter: Meter) -> Document:
    for _ in range(_MAX_REDIRECTS + 1):
        async with _sent(client, "GET", url) as response:
            if response.status_code not in _REDIRECTS:
                return await _document_of(response, meter)
            location = response.headers.get("location")
        if location is None:
            raise FetchError("redirects to nowhere")
        target = url.join(location)
        if _origin_of(target) != _origin_of(url):
            raise FetchError("redirects to another host")
        url = target
    raise FetchError("redirects without end")


def _sent(
    client: Client, method: str, url: httpx.URL, form: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[httpx.Response]:
    return client.stream(
        method,
        url,
        data=form,
        headers=_HEADERS,
        follow_redirects=False,
        extensions={"trace": watch},
    )


def _origin_of(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


async def _document_of(response: httpx.Response, meter: Meter) -> Document:
    meter.end_head()
    status = response.status_code
    if status != 200:
        raise FetchError(f"answered {status}", is_absent=400 <= status < 500)
    # No encoding was asked for, so none is decoded: a few bytes could become gigabytes.
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("has an encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        meter.count_body(chunk)
        body += chunk
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
