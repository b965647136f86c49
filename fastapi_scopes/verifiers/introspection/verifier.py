"""The verifier for tokens that only their issuer can read (RFC 7662)."""

import asyncio
import contextvars
import logging
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, Unpack
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import is_bearer_token
from fastapi_scopes.errors import (
    ConfigurationError,
    ConfigurationProblem,
    TokenError,
    TokenFault,
    VerifierUnavailable,
    collecting,
)
from fastapi_scopes.verifiers._encodings import parse_json_object
from fastapi_scopes.verifiers._http import (
    allow_http_problems,
    ca_file_problems,
    context_for,
    host_problems,
    warn_of_hosts,
)
from fastapi_scopes.verifiers._settings import flag_problems, seconds_problems
from fastapi_scopes.verifiers.base import SharedClaims, copies_from
from fastapi_scopes.verifiers.cache import MAX_TTL, TokenCache
from fastapi_scopes.verifiers.introspection.endpoint import IntrospectionEndpoint
from fastapi_scopes.verifiers.introspection.kept import MAX_KEPT_BYTES, KeptAnswer
from fastapi_scopes.verifiers.options import ResolvedOptions, TokenOptions
from fastapi_scopes.verifiers.tokens.profile import TokenProfile

__all__ = ["IntrospectionVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

# Requests at once in one event loop, and some more for tokens that were active a while ago.
_MAX_REQUESTS: Final = 100
_RESERVED_REQUESTS: Final = 20

_ENDLESS: Final = "there is no 'exp'; allow_no_exp=True takes such tokens"

_Running: TypeAlias = "dict[object, asyncio.Task[KeptAnswer[Any]]]"

# os.environ has these in the place of bytes that are no text.
_SURROGATE = re.compile("[\ud800-\udfff]")


class IntrospectionVerifier(Generic[ClaimsT]):
    """Verifies opaque tokens by asking the issuer's introspection *endpoint* about each.

    * *endpoint*: an https URL.
    * *allow_http*: do without TLS at loopback addresses, or also at the hosts in this list. Each of
      these is a WARNING.
    * *ca_file*: certificate authorities in PEM, trusted in place of those of the system.
    * *client_id* and *client_secret*: what this resource server authenticates with there, in
      HTTP Basic (RFC 6749 2.3.1).
    * *cache_ttl*, by default 10: for how many seconds an answer is kept, a refusal as well. A token
      that the issuer revokes passes for that long.
    * *timeout*: seconds for one answer.

    An answer of more than 8 KiB is not kept: the issuer is asked about that token each time.
    The other options are those of `TokenOptions`, and the answer is checked as the payload of a JWT
    is: one without `exp` is refused. Safe for concurrent use by tasks, event loops and threads.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    _has_warned: bool = False

    def __init__(  # noqa: PLR0913
        self,
        *,
        endpoint: str,
        client_id: str,
        client_secret: str,
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        allow_http: bool | Sequence[str] = False,
        ca_file: str | Path | None = None,
        allow_no_exp: bool = False,
        timeout: float = 5,
        **options: Unpack[TokenOptions[ClaimsT]],
    ) -> None:
        told = ResolvedOptions[ClaimsT].of(
            type(self),
            {"cache_ttl": 10, **options},
            known=TokenOptions.__annotations__,
            issuer=issuer,
            audience=audience,
        )
        problems = [
            *_client_problems(client_id, client_secret),
            *flag_problems(allow_no_exp=allow_no_exp),
            *_place_problems(endpoint, timeout, allow_http=allow_http, ca_file=ca_file),
        ]
        with collecting(problems):
            lifetime = told.cache_ttl if allow_no_exp else None
            self._profile = TokenProfile(told, lifetime=lifetime, endless=_ENDLESS)
        ConfigurationError.raise_for(problems)
        warn_of_hosts(allow_http)
        self._endpoint = IntrospectionEndpoint(
            endpoint,
            client_id=client_id,
            client_secret=client_secret,
            timeout=timeout,
            connections=_MAX_REQUESTS + _RESERVED_REQUESTS,
            tls=context_for(ca_file),
        )
        self._now = told.now
        ttl, size = told.cache_ttl, told.cache_size
        self._is_keeping = ttl > 0 and size > 0
        self._active: TokenCache[KeptAnswer[Any]] = TokenCache(
            ttl=ttl, size=size, max_chars=told.max_token_chars
        )
        # A cache of its own, so that a flood of invented tokens displaces no active one.
        self._refused: TokenCache[tuple[TokenFault, str]] = TokenCache(
            ttl=ttl, size=size, max_chars=told.max_token_chars
        )
        self._recent: TokenCache[bool] = TokenCache(
            ttl=MAX_TTL, size=max(size, _MAX_REQUESTS), max_chars=told.max_token_chars
        )
        """Tokens that were active a while ago."""
        self._running: WeakKeyDictionary[asyncio.AbstractEventLoop, _Running] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<IntrospectionVerifier at {self._endpoint.name}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which an answer must name one; None accepts any."""
        return self._profile.issuers

    @property
    def max_token_chars(self) -> int:
        """The longest token that is read, in characters."""
        return self._profile.max_token_chars

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that may grant *scope*, listed by name; None is every issuer."""
        return None if self._profile.may_grant(scope) else frozenset()

    async def verify_shared(self, token: str) -> SharedClaims[ClaimsT]:
        """Return the claims of *token* as they are kept, without a copy."""
        # First of all: everything else takes longer with a longer token.
        if isinstance(token, str) and len(token) > self._profile.max_token_chars:  # pyright: ignore[reportUnnecessaryIsInstance]
            limit = f"of more than {self._profile.max_token_chars} characters"
            raise TokenError(TokenFault.TOO_LARGE, limit)
        if not is_bearer_token(token):
            raise TokenError(TokenFault.MALFORMED, "it is no bearer token")
        now = self._now()
        answer = self._active.get(token, now)
        if answer is None:
            refused = self._refused.get(token, now)
            if refused is not None:
                raise TokenError(*refused)
            # A caller that is cancelled must not cancel the request that others wait for.
            answer = await asyncio.shield(self._request_about(token, now))
        # In the context of this caller; the task that asks the issuer has an empty one.
        vetted = answer.modelled_by(self._profile)
        return await self._profile.admit(vetted, token, self._now())

    @copies_from(verify_shared)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, as the issuer answers them.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: the issuer does not answer, or not as RFC 7662 says.
        """
        return (await self.verify_shared(token)).copy()

    async def aclose(self) -> None:
        """Close the connections that this event loop holds."""
        await self._endpoint.aclose()

    def _request_about(self, token: str, now: float) -> "asyncio.Task[KeptAnswer[Any]]":
        """Return the running request about *token*, a new one where there is none.

        Raises:
            VerifierUnavailable: too many are running.
        """
        running = self._running.setdefault(asyncio.get_running_loop(), {})
        # Without a cache requests are not shared: an earlier answer may be out of date.
        key: object = token if self._is_keeping else object()
        request = running.get(key)
        if request is not None:
            return request
        # INVARIANT: a flood of invented tokens leaves requests for tokens that were active a while
        # ago. Held by test_flood_of_invented_tokens_leaves_places_for_those_that_were_good.
        reserved = _RESERVED_REQUESTS if self._recent.get(token, now) else 0
        if len(running) >= _MAX_REQUESTS + reserved:
            _log.warning("too many introspections at %s at once", self._endpoint.name)
            raise VerifierUnavailable
        # In an empty context: it serves several callers and belongs to none.
        request = asyncio.get_running_loop().create_task(
            self._answer_about(token, now), context=contextvars.Context()
        )
        running[key] = request
        request.add_done_callback(lambda _: _forget(running, key))
        return request

    async def _answer_about(self, token: str, asked_at: float) -> KeptAnswer[Any]:
        body = await self._endpoint.ask(token)
        now = self._now()
        try:
            answer = _active_answer_of(body)
            # The answer itself becomes the claims.
            kept = KeptAnswer(self._profile.vet(answer, now), answer)
        except TokenError as error:
            # A token that is not valid yet will be valid in a moment.
            if error.code != TokenFault.NOT_YET_VALID:
                self._refused.put(token, (error.code, error.detail), now, until=math.inf)
            raise
        # As old as the question: a token revoked while the issuer answers may be active in it.
        if kept.may_be_kept:
            self._active.put(token, kept, asked_at, until=kept.expires_at)
        elif self._is_keeping and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "introspection answers at %s of more than %d bytes are not kept",
                self._endpoint.name,
                MAX_KEPT_BYTES,
            )
        self._recent.put(token, True, asked_at, until=kept.expires_at)
        return kept


def _forget(running: _Running, key: object) -> None:
    request = running.pop(key)
    # Read here, so that asyncio reports no exception where nobody waits any more.
    if not request.cancelled():
        request.exception()


def _active_answer_of(body: bytes) -> dict[str, object]:
    try:
        # Servers write null for what they have no value of.
        answer = {
            name: value for name, value in parse_json_object(body).items() if value is not None
        }
    except ValueError:
        _log.warning("an introspection answer is no strict JSON object")
        raise VerifierUnavailable from None
    # RFC 7662 2.2: a boolean; "true" and 1 are none.
    if answer.get("active") is not True:
        raise TokenError(TokenFault.INACTIVE, "the introspection endpoint says so")
    # RFC 7662 2.1: the hint that an access token is meant is no more than that, and RFC 6749 5.1
    # gives each kind of access token a name.
    kind = answer.get("token_type", "Bearer")
    # Older servers write access_token.
    known = ("bearer", "access_token", *(["dpop"] if "cnf" in answer else ()))
    if not isinstance(kind, str) or kind.lower() not in known:
        raise TokenError(TokenFault.TYPE, "by 'token_type'")
    return answer


def _place_problems(
    endpoint: object, timeout: object, *, allow_http: object, ca_file: object
) -> Iterator[ConfigurationProblem]:
    yield from seconds_problems(timeout=timeout)
    yield from allow_http_problems(allow_http)
    yield from ca_file_problems(ca_file)
    yield from host_problems("endpoint", endpoint, allow_http=allow_http)


def _client_problems(client_id: object, client_secret: object) -> Iterator[ConfigurationProblem]:
    for name, value in (("client_id", client_id), ("client_secret", client_secret)):
        if not isinstance(value, str) or not value or _SURROGATE.search(value):
            yield ConfigurationProblem(
                "is no text, or an empty one",
                "pass what this server is known by there",
                setting=name,
            )
