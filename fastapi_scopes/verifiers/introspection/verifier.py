"""The verifier for tokens that only their issuer can read (RFC 7662)."""

import asyncio
import contextvars
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeAlias
from weakref import WeakKeyDictionary

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
from fastapi_scopes.verifiers._http import url_problem
from fastapi_scopes.verifiers._settings import flag_problems, seconds_problems
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList, Vouched, vouches_by
from fastapi_scopes.verifiers.cache import MAX_TTL, TokenCache, cache_problems
from fastapi_scopes.verifiers.introspection.endpoint import IntrospectionEndpoint
from fastapi_scopes.verifiers.tokens.compact import MAX_TOKEN_CHARS
from fastapi_scopes.verifiers.tokens.profile import AccessTokenProfile, VettedClaims

__all__ = ["IntrospectionVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

# Questions under way at once in one event loop, and more for tokens that were good a while ago.
_PLACES: Final = 100
_RESERVED: Final = 20

_Questions: TypeAlias = "dict[object, asyncio.Task[VettedClaims[Any]]]"

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
            *flag_problems(allow_http=allow_http),
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
        self._endpoint = IntrospectionEndpoint(
            endpoint,
            client_id=client_id,
            client_secret=client_secret,
            timeout=timeout,
            connections=_PLACES + _RESERVED,
        )
        self._now = now
        self._is_keeping = cache_ttl > 0 and cache_size > 0
        self._active: TokenCache[VettedClaims[Any]] = TokenCache(ttl=cache_ttl, size=cache_size)
        # Apart, so that no flood of invented tokens drives the good ones out.
        self._refused: TokenCache[TokenFault] = TokenCache(ttl=cache_ttl, size=cache_size)
        self._seen: TokenCache[bool] = TokenCache(ttl=MAX_TTL, size=max(cache_size, _PLACES))
        """The tokens that were good a while ago."""
        self._questions: WeakKeyDictionary[asyncio.AbstractEventLoop, _Questions] = (
            WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"<IntrospectionVerifier at {self._endpoint.name}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which an answer must name one; None asks for none."""
        return self._profile.issuers

    def issuers_listing(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that *scope* is listed for by name; None is all that it verifies."""
        return None if self._profile.may_grant(scope) else frozenset()

    async def vouch(self, token: str) -> Vouched[ClaimsT]:
        """Return the same as `verify`, without a copy."""
        if not is_bearer_token(token):
            raise TokenError(TokenFault.MALFORMED)
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError(TokenFault.TOO_LARGE)
        now = self._now()
        vetted = self._active.get(token, now)
        if vetted is None:
            refused = self._refused.get(token, now)
            if refused is not None:
                raise TokenError(refused)
            # Who goes away takes the question of the others not along.
            vetted = await asyncio.shield(self._asking(token, now))
        if vetted.vouched is None:
            # Here, and not where the question is asked: that is in nobody's context.
            self._profile.model(vetted)
        return await self._profile.admit(vetted, token, self._now())

    @vouches_by(vouch)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, as the issuer tells them.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: the issuer does not answer, or not as RFC 7662 says.
        """
        return (await self.vouch(token)).copy()

    async def aclose(self) -> None:
        """Close the connections that this event loop holds."""
        await self._endpoint.aclose()

    def _asking(self, token: str, now: float) -> "asyncio.Task[VettedClaims[Any]]":
        """Return the question about *token* that is under way, a new one where there is none.

        Raises:
            VerifierUnavailable: too many are.
        """
        under_way = self._questions.setdefault(asyncio.get_running_loop(), {})
        # Where nothing may be kept, who comes later wants to hear what is true later.
        key: object = token if self._is_keeping else object()
        question = under_way.get(key)
        if question is not None:
            return question
        # INVARIANT: no flood of invented tokens takes the last places of those that were good a
        # while ago. Held by test_flood_of_invented_tokens_leaves_places_for_those_that_were_good.
        places = _PLACES + (_RESERVED if self._seen.get(token, now) else 0)
        if len(under_way) >= places:
            _log.warning("too many introspections at %s at once", self._endpoint.name)
            raise VerifierUnavailable
        # In a context of its own: it is nobody's request.
        question = asyncio.get_running_loop().create_task(
            self._vetted(token, now), context=contextvars.Context()
        )
        under_way[key] = question
        question.add_done_callback(lambda _: _answered(under_way, key))
        return question

    async def _vetted(self, token: str, asked_at: float) -> VettedClaims[Any]:
        body = await self._endpoint.ask(token)
        now = self._now()
        try:
            _require_active_access_token(body)
            vetted = self._profile.vet(body, now)
        except TokenError as error:
            # One that is only too new will be good in a moment.
            if error.code != TokenFault.NOT_YET_VALID:
                self._refused.put(token, TokenFault(error.code), now, until=math.inf)
            raise
        # As old as the question: what the issuer revokes while it answers is not in the answer.
        self._active.put(token, vetted, asked_at, until=vetted.expires_at)
        self._seen.put(token, True, asked_at, until=vetted.expires_at)
        return vetted


def _answered(under_way: _Questions, key: object) -> None:
    question = under_way.pop(key)
    # That nobody waits for it any more is no error of anybody's.
    if not question.cancelled():
        question.exception()


def _require_active_access_token(body: bytes) -> None:
    try:
        answer = parse_json_object(body)
    except ValueError:
        _log.warning("an introspection answer is no strict JSON object")
        raise VerifierUnavailable from None
    # RFC 7662 2.2: a boolean; "true" and 1 are none.
    if answer.get("active") is not True:
        raise TokenError(TokenFault.INACTIVE)
    # RFC 7662 2.1: the hint that an access token is meant is no more than that, and RFC 6749 5.1
    # gives each kind of access token a name.
    kind = answer.get("token_type", "Bearer")
    known = ("bearer", "dpop") if "cnf" in answer else ("bearer",)
    if not isinstance(kind, str) or kind.lower() not in known:
        raise TokenError(TokenFault.TYPE)


def _client_problems(client_id: object, client_secret: object) -> Iterator[str]:
    for name, value in (("client_id", client_id), ("client_secret", client_secret)):
        if not isinstance(value, str) or not value or _SURROGATE.search(value):
            yield f"{name} is no text, or an empty one; it is what this server is known by there"
