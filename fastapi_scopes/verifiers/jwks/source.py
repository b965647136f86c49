"""Fetches the JWK set of an issuer, at the URL that its metadata (RFC 8414) names."""

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._http import (
    MAX_BODY_BYTES,
    Document,
    Fetch,
    FetchError,
    is_plain_http,
    malformed_url_problem,
    metadata_urls,
    url_problem,
    without_query,
)
from fastapi_scopes.verifiers._interruptions import is_interruption
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers._settings import is_number_within
from fastapi_scopes.verifiers.jwks.diagnosis import is_page, mistake_in
from fastapi_scopes.verifiers.jwks.endpoints import DiscoveredEndpoints
from fastapi_scopes.verifiers.keys.material import KeyRefusedError
from fastapi_scopes.verifiers.keys.published import KeySetReader
from fastapi_scopes.verifiers.keys.ring import VerificationKeys
from fastapi_scopes.verifiers.tokens.expected_issuers import metadata_issuer_of

__all__ = ["JWKSSource", "PublishedKeys"]


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The keys that an issuer publishes, and for how many seconds they are fresh."""

    keys: VerificationKeys
    max_age: float | None


class JWKSSource:
    """Fetches the keys of one issuer; each call of `ask` is one attempt."""

    def __init__(
        self,
        *,
        issuer: str | None,
        jwks_uri: str | None,
        algorithms: Sequence[Algorithm],
        allow_http: bool | Sequence[str],
        fetch: Fetch,
        needs_tls: bool,
    ) -> None:
        self._issuer = issuer
        self._configured_uri = jwks_uri
        self._discovered_uri: str | None = None
        self._reader = KeySetReader(algorithms)
        # What an https issuer names must not fall back to a host that is listed for http.
        self._allow_http = allow_http if is_plain_http(issuer) else allow_http is True
        self._needs_tls = needs_tls or not is_plain_http(issuer)
        self._fetch = fetch
        self.endpoints: DiscoveredEndpoints = DiscoveredEndpoints(
            str(issuer), allow_http=self._allow_http
        )
        """Where clients of the issuer get tokens, as its metadata says."""
        self._is_finding = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, seconds: float) -> PublishedKeys:
        """Return the keys that the issuer publishes now, asked for within *seconds*.

        Raises:
            FetchError: there are no usable ones; the text says what to do about it.
        """
        if self._lacks_endpoints():
            # Beside the keys, for which nobody waits any longer than without it.
            task = asyncio.create_task(self.find_endpoints(seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await self._published(_deadline_in(seconds))
        except FetchError as error:
            settings = "jwks_uri=" if self._configured_uri else "issuer=, or pass jwks_uri="
            raise error.or_else(f"if that address is wrong, correct {settings}") from None

    async def find_endpoints(self, seconds: float) -> None:
        """Read the metadata within *seconds*, where that is for the endpoints alone."""
        if not self._lacks_endpoints() or self._is_finding:
            return
        self._is_finding = True
        try:
            await self._metadata(_deadline_in(seconds))
        except FetchError as error:
            self.endpoints.miss(error)
        finally:
            self._is_finding = False

    def _lacks_endpoints(self) -> bool:
        # Else the metadata is read for the address of the keys, too.
        is_apart = self._configured_uri is not None
        return is_apart and self.endpoints.is_wanted and self.endpoints.found is None

    async def _published(self, deadline: float) -> PublishedKeys:
        uri = self._configured_uri or self._discovered_uri or await self._discover(deadline)
        # Kept only after a success: else the next attempt discovers it anew, it may have moved.
        self._discovered_uri = None
        document = await self._fetched(uri, deadline)
        try:
            keys = self._reader.read(document.body, without_query(uri))
        except KeyRefusedError as refused:
            found, remedy = mistake_in(document.body, uri) or (
                refused.problem.text,
                refused.problem.remedy,
            )
            raise FetchError(f"what is at {without_query(uri)} {found}", remedy) from None
        self._discovered_uri = uri
        return PublishedKeys(keys, document.max_age)

    async def _discover(self, deadline: float) -> str:
        metadata, place = await self._metadata(deadline)
        uri = metadata.get("jwks_uri")
        if not isinstance(uri, str) or not self._may_ask(uri):
            raise FetchError(
                f"{place} names no JWK set that may be fetched",
                "pass jwks_uri=, or allow_http= where it has no TLS",
            )
        return uri

    async def _metadata(self, deadline: float) -> tuple[Mapping[str, object], str]:
        openid_url, oauth_url = metadata_urls(metadata_issuer_of(self._issuer or ""))
        try:
            return self._metadata_in(await self._fetched(openid_url, deadline), openid_url)
        except FetchError as error:
            if not error.is_absent:
                raise
            absent = error
        try:
            return self._metadata_in(await self._fetched(oauth_url, deadline), oauth_url)
        except FetchError as error:
            if not error.is_absent:
                raise
            raise FetchError(f"{absent.reason}, and {error.reason}") from None

    async def _fetched(self, url: str, deadline: float) -> Document:
        try:
            async with asyncio.timeout_at(deadline):
                return _within_limits(await _answer_of(self._fetch(url)))
        except TimeoutError:
            raise FetchError(f"{without_query(url)} gave no answer in time") from None
        except FetchError as error:
            raise error.at(without_query(url)) from None
        except BaseException as error:  # fetch= is the developer's code
            if is_interruption(error):
                raise
            # The text of a foreign error may hold anything.
            name = type(error).__name__
            raise FetchError(f"{without_query(url)} is not fetched: {name}") from None

    def _metadata_in(self, document: Document, url: str) -> tuple[Mapping[str, object], str]:
        """Return the metadata in *document*, and how an error names its place."""
        if is_page(document.body):
            # An app in the browser often answers every path with its one page.
            raise FetchError(f"{url} is an HTML page", is_absent=True)
        place = f"the metadata at {url}"
        try:
            metadata = parse_json_object(document.body)
        except ValueError:
            raise FetchError(f"{place} is no strict JSON object") from None
        # RFC 8414 3.3: other metadata than that issuer's must not be used.
        if metadata.get("issuer") != self._issuer:
            raise FetchError(
                f"{place} has another 'issuer'",
                "it must be equal, to the last slash: "
                f"{self._issuer_to_write(metadata.get('issuer'))}",
            )
        self.endpoints.note(metadata)
        return metadata, place

    def _issuer_to_write(self, stated: object) -> str:
        # Of what the document says nothing is quoted, so a slash alone is told.
        bare = (self._issuer or "").rstrip("/")
        near = next((each for each in (bare, f"{bare}/") if each == stated), None)
        return "write issuer= as it stands there" if near is None else f"write issuer={near!r}"

    def _may_ask(self, uri: str) -> bool:
        if self._needs_tls:
            return url_problem(uri, allow_http=self._allow_http) is None
        return malformed_url_problem(uri) is None


def _deadline_in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def _answer_of(answering: object) -> object:
    if not isinstance(answering, Awaitable):
        raise FetchError(
            "is not fetched: fetch= is no async function", "write async def fetch(url) -> Document"
        )
    return await cast("Awaitable[object]", answering)


def _within_limits(document: object) -> Document:
    if not isinstance(document, Document):
        kind = type(document).__name__
        raise FetchError(f"is not fetched: fetch= returned a {kind!r}", "return a Document")
    body = document.body
    if not isinstance(body, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(body).__name__
        raise FetchError(
            f"is not fetched: fetch= returned a Document with a body of type {kind!r}",
            "return its bytes, as in Document(response.content)",
        )
    if len(body) > MAX_BODY_BYTES:
        raise FetchError(f"is longer than {MAX_BODY_BYTES} bytes")
    max_age: object = document.max_age
    if max_age is not None and not is_number_within(max_age, 0, math.inf):
        raise FetchError("has an age that is no number of seconds")
    return document
