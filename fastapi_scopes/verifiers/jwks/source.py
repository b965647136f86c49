"""Fetches the JWK set of an issuer, at the URL that its metadata (RFC 8414) names."""

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import cast

import httpx

from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._http import MAX_BODY_BYTES, Document, Fetch, FetchError, url_problem
from fastapi_scopes.verifiers._jose import Algorithm
from fastapi_scopes.verifiers._settings import is_number_within
from fastapi_scopes.verifiers.keys.material import KeyRefusedError
from fastapi_scopes.verifiers.keys.published import read_published_keys
from fastapi_scopes.verifiers.keys.ring import VerificationKeys
from fastapi_scopes.verifiers.tokens.expected_issuers import metadata_issuer_of

__all__ = ["JWKSSource", "PublishedKeys", "metadata_urls"]


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The keys that an issuer publishes, and for how many seconds they are fresh."""

    keys: VerificationKeys
    max_age: float | None


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return the URLs at which the metadata of *issuer* may be, in the order of asking.

    OpenID Connect Discovery 4 appends to the path of the issuer, RFC 8414 3.1 goes before it.
    """
    url = httpx.URL(issuer)
    # The path as it is sent: decoded, an encoded slash would be a slash.
    path = url.raw_path.decode("ascii").rstrip("/")
    origin = str(url.copy_with(raw_path=b"/")).rstrip("/")
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


class JWKSSource:
    """Fetches the keys of one issuer; each call of `ask` is one attempt."""

    def __init__(
        self,
        *,
        issuer: str | None,
        jwks_uri: str | None,
        algorithms: Sequence[Algorithm],
        allow_http: bool,
        fetch: Fetch,
    ) -> None:
        self._issuer = issuer
        self._configured_uri = jwks_uri
        self._discovered_uri: str | None = None
        self._algorithms = algorithms
        self._allow_http = allow_http
        self._fetch = fetch

    async def ask(self) -> PublishedKeys:
        """Return the keys that the issuer publishes now.

        Raises:
            FetchError: there are no usable ones. Anything that `fetch` raises passes through.
        """
        uri = self._configured_uri or self._discovered_uri or await self._discover()
        # Kept only after a success: else the next attempt discovers it anew, it may have moved.
        self._discovered_uri = None
        document = await self._fetched(uri)
        try:
            keys = read_published_keys(document.body, self._algorithms)
        except KeyRefusedError as refused:
            raise FetchError(f"what is at {_without_query(uri)} {refused}") from None
        self._discovered_uri = uri
        return PublishedKeys(keys, document.max_age)

    async def _discover(self) -> str:
        openid_url, oauth_url = metadata_urls(metadata_issuer_of(self._issuer or ""))
        try:
            return self._jwks_uri_of(await self._fetched(openid_url), openid_url)
        except FetchError as error:
            if not error.is_absent:
                raise
        return self._jwks_uri_of(await self._fetched(oauth_url), oauth_url)

    async def _fetched(self, url: str) -> Document:
        try:
            return _within_limits(await _answer_of(self._fetch(url)))
        except FetchError as error:
            raise FetchError(f"{_without_query(url)} {error}", is_absent=error.is_absent) from None

    def _jwks_uri_of(self, document: Document, url: str) -> str:
        place = f"the metadata at {_without_query(url)}"
        try:
            metadata = parse_json_object(document.body)
        except ValueError:
            raise FetchError(f"{place} is no strict JSON object") from None
        # RFC 8414 3.3: other metadata than that issuer's must not be used.
        if metadata.get("issuer") != self._issuer:
            raise FetchError(f"{place} has another 'issuer'; it must be equal, to the last slash")
        uri = metadata.get("jwks_uri")
        if not isinstance(uri, str) or url_problem(uri, allow_http=self._allow_http) is not None:
            raise FetchError(f"{place} names no JWK set that may be fetched")
        return uri


async def _answer_of(answering: object) -> object:
    if not isinstance(answering, Awaitable):
        raise FetchError("is not fetched: fetch= is no async function")
    return await cast("Awaitable[object]", answering)


def _within_limits(document: object) -> Document:
    if not isinstance(document, Document):
        raise FetchError(f"is not fetched: fetch= returned a {type(document).__name__!r}")
    if len(document.body) > MAX_BODY_BYTES:
        raise FetchError(f"is longer than {MAX_BODY_BYTES} bytes")
    max_age: object = document.max_age
    if max_age is not None and not is_number_within(max_age, 0, math.inf):
        raise FetchError("has an age that is no number of seconds")
    return document


def _without_query(url: str) -> str:
    # A query may hold a secret, so it is never logged.
    return url.partition("?")[0]
