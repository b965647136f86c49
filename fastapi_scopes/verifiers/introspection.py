"""The verifier for tokens that only their issuer can read (RFC 7662)."""

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from ssl import SSLContext
from typing import Generic
from urllib.parse import quote_plus

import httpx
from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import is_bearer_token
from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
    collecting,
)
from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._http import (
    TRANSPORT_ERRORS,
    Document,
    FetchError,
    client_for,
    document_of,
    url_problem,
)
from fastapi_scopes.verifiers._settings import seconds_problems
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList
from fastapi_scopes.verifiers.cache import TokenCache, cache_problems
from fastapi_scopes.verifiers.tokens.compact import MAX_TOKEN_CHARS
from fastapi_scopes.verifiers.tokens.profile import AccessTokenProfile, VettedClaims

__all__ = ["IntrospectionVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

# What os.environ makes of bytes that are no text.
_SURROGATE = re.compile("[\ud800-\udfff]")


class IntrospectionVerifier(Generic[ClaimsT]):
    """Verifies opaque tokens by asking the issuer's introspection *endpoint* about each.

    * *endpoint*: a URL; https, or with *allow_http* a loopback address.
    * *client_id* and *client_secret*: what this resource server authenticates with there, in
      HTTP Basic (RFC 6749 2.3.1).
    * *cache_ttl*, seconds, and *cache_size*: for how long, and of how many tokens, an answer is
      kept, a refusal as well. A token that the issuer revokes passes for that long. 0 keeps none.
    * *timeout*: seconds for one answer.

    The others are those of `JWTVerifier`, and the answer is judged as the payload of a JWT is:
    one without `exp` is refused. Safe for concurrent use by tasks, event loops and threads.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        endpoint: str,
        client_id: str,
        client_secret: str,
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        scopes_claim: str = "scope",
        # Where nothing is passed ClaimsT is Claims, its default.
        claims_model: type[ClaimsT] = Claims,  # type: ignore[assignment]
        leeway: float = 0,
        allowed_scopes: Sequence[str] | None = None,
        revocations: RevocationList | None = None,
        proof: ProofChecker | None = None,
        cache_ttl: float = 10,
        cache_size: int = 1024,
        allow_http: bool = False,
        timeout: float = 5,
        now: Callable[[], float] = time.time,
    ) -> None:
        problems = [
            *_client_problems(client_id, client_secret),
            *seconds_problems(timeout=timeout),
            *cache_problems(cache_ttl, cache_size),
        ]
        unfit = url_problem(endpoint, allow_http=allow_http)
        if unfit is not None:
            problems.append(f"endpoint {unfit}")
        with collecting(problems):
            self._profile = AccessTokenProfile(
                issuer=issuer,
                audience=audience,
                scopes_claim=scopes_claim,
                claims_model=claims_model,
                leeway=leeway,
                strict=False,
                allowed_scopes=allowed_scopes,
                revocations=revocations,
                proof=proof,
                now=now,
            )
        ConfigurationError.raise_for(problems)
        self._endpoint = endpoint
        # A query may be nobody's business.
        self._name = str(endpoint).partition("?")[0]
        # RFC 6749 2.3.1: both are form-urlencoded before they are put together.
        self._auth = httpx.BasicAuth(quote_plus(client_id), quote_plus(client_secret))
        self._timeout = timeout
        self._now = now
        self._active: TokenCache[VettedClaims] = TokenCache(ttl=cache_ttl, size=cache_size)
        # Apart, so that no flood of invented tokens drives the good ones out.
        self._refused: TokenCache[TokenFault] = TokenCache(ttl=cache_ttl, size=cache_size)
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<IntrospectionVerifier at {self._name}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which an answer must name one; None asks for none."""
        return self._profile.issuers

    def issuers_listing(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that *scope* is listed for by name; None is all that it verifies."""
        return None if self._profile.may_grant(scope) else frozenset()

    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, as the issuer tells them.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: the issuer does not answer, or not as RFC 7662 says.
        """
        if not is_bearer_token(token):
            raise TokenError(TokenFault.MALFORMED)
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError(TokenFault.TOO_LARGE)
        now = self._now()
        vetted = self._active.get(token, now)
        if vetted is None:
            vetted = await self._vetted(token, now)
        return await self._profile.admit(vetted, token, self._now())

    async def aclose(self) -> None:
        """Close the connections that this event loop holds."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _vetted(self, token: str, asked_at: float) -> VettedClaims:
        refused = self._refused.get(token, asked_at)
        if refused is not None:
            raise TokenError(refused)
        body = await self._answer_for(token)
        now = self._now()
        try:
            _require_active(body)
            vetted = self._profile.vet(body, now)
        except TokenError as error:
            # One that is only too new will be good in a moment.
            if error.code != TokenFault.NOT_YET_VALID:
                self._refused.put(token, TokenFault(error.code), now, until=math.inf)
            raise
        # As old as the question: what the issuer revokes while it answers is not in the answer.
        self._active.put(token, vetted, asked_at, until=vetted.expires_at)
        return vetted

    async def _answer_for(self, token: str) -> bytes:
        try:
            async with asyncio.timeout(self._timeout), self._lent_client() as client:
                return (await self._exchange(client, token)).body
        except (FetchError, *TRANSPORT_ERRORS) as error:
            # Of an error that is not ours the text may hold anything.
            reason = str(error) if isinstance(error, FetchError) else type(error).__name__
            _log.warning("no introspection at %s: %s", self._name, reason)
        raise VerifierUnavailable

    async def _exchange(self, client: httpx.AsyncClient, token: str) -> Document:
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with client.stream(
            "POST", self._endpoint, data=form, headers=headers, auth=self._auth
        ) as response:
            return await document_of(response)

    @asynccontextmanager
    async def _lent_client(self) -> AsyncGenerator[httpx.AsyncClient]:
        client = self._client()
        is_sound = False
        try:
            yield client
            is_sound = True
        except FetchError:
            is_sound = True
            raise
        finally:
            # INVARIANT: a request that was broken off may keep its place in the pool for good.
            # Held by test_requests_that_are_broken_off_use_up_no_connections.
            if not is_sound:
                self._retire(client)

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # A connection belongs to its event loop; of loops that are gone nothing is left.
            for gone in [each for each in [*self._clients] if each.is_closed()]:
                self._clients.pop(gone, None)
            client = client_for(self._endpoint, tls=self._tls, timeout=self._timeout)
            self._clients[loop] = client
        return client

    def _retire(self, client: httpx.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        if self._clients.get(loop) is not client:
            return
        del self._clients[loop]

        def close() -> None:
            closing = loop.create_task(client.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

        # By then whoever still has it has had an answer, or none.
        loop.call_later(2 * self._timeout, close)

    @cached_property
    def _tls(self) -> SSLContext:
        return httpx.create_ssl_context()


def _require_active(body: bytes) -> None:
    try:
        answer = parse_json_object(body)
    except ValueError:
        _log.warning("an introspection answer is no strict JSON object")
        raise VerifierUnavailable from None
    # RFC 7662 2.2: a boolean; "true" and 1 are none.
    if answer.get("active") is not True:
        raise TokenError(TokenFault.INACTIVE)


def _client_problems(client_id: object, client_secret: object) -> Iterator[str]:
    for name, value in (("client_id", client_id), ("client_secret", client_secret)):
        if not isinstance(value, str) or not value or _SURROGATE.search(value):
            yield f"{name} is no text, or an empty one; it is what this server is known by there"
