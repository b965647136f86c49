"""The verifier for JWT access tokens whose keys an issuer publishes."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Unpack

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import (
    ConfigurationError,
    TokenError,
    collecting,
)
from fastapi_scopes.verifiers._clocks import age_clock_for
from fastapi_scopes.verifiers._http import (
    Fetch,
    HTTPFetch,
    allow_http_problems,
    ca_file_problems,
    context_for,
    warn_of_hosts,
    without_query,
)
from fastapi_scopes.verifiers._jose import BoundKey
from fastapi_scopes.verifiers._settings import seconds_problems
from fastapi_scopes.verifiers.base import (
    IssuerEndpoints,
    Origin,
    SharedClaims,
    SharedClaimsOrAwaitable,
    awaited_claims,
    copies_from,
)
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.jwks.issuer_keys import IssuerKeys, KeyGeneration
from fastapi_scopes.verifiers.jwks.option_problems import (
    fetch_problems,
    place_problems,
    published_algorithm_problems,
)
from fastapi_scopes.verifiers.jwks.source import JWKSSource
from fastapi_scopes.verifiers.keys.ring import algorithms_of
from fastapi_scopes.verifiers.keyset import Held, Schedule
from fastapi_scopes.verifiers.options import (
    PUBLISHED_ALGORITHMS,
    AlgorithmName,
    JWTOptions,
    ResolvedOptions,
)
from fastapi_scopes.verifiers.tokens.claims import claims_of
from fastapi_scopes.verifiers.tokens.compact import (
    UnverifiedJWS,
    parse_compact_jws,
    signing_key_of,
)
from fastapi_scopes.verifiers.tokens.profile import TokenProfile
from fastapi_scopes.verifiers.tokens.vetted import VettedClaims

__all__ = ["JWKSVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)


class JWKSVerifier(Generic[ClaimsT]):
    """Verifies JWT access tokens with the keys that *issuer* publishes.

    * *issuer*: a URL; its metadata (OpenID Connect Discovery, RFC 8414) names the JWK set. With
      *jwks_uri* that is asked right away, and None then asks for no issuer.
    * *algorithms*: none of them HS*.
    * *allow_http*: do without TLS at loopback addresses, or also at the hosts in this list. Each of
      these is a WARNING. The metadata of an https issuer leads to none of them.
    * *ca_file*: certificate authorities in PEM, trusted in place of those of the system.
    * *ttl*: seconds for which keys are fresh, where the issuer's Cache-Control does not say.
    * *cooldown*: seconds between two attempts after a failed one, and between two for a key
      that is not known.
    * *max_age*: seconds for which the last good keys are used in an outage.
    * *timeout*: seconds for one attempt.
    * *fetch*: fetches a document; any exception is a failed attempt. Which hosts it asks without
      TLS is its own business. Default: httpx, no redirect to another host, at most 256 KiB.

    The other options are those of `JWTOptions`. Once there are keys, only a request whose token
    names an unknown key waits for new ones. Safe for concurrent use by tasks, event loops and
    threads, and after a fork.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        issuer: str | None,
        audience: str | Sequence[str] | None,
        jwks_uri: str | None = None,
        algorithms: Sequence[AlgorithmName] = PUBLISHED_ALGORITHMS,
        allow_http: bool | Sequence[str] = False,
        ca_file: str | Path | None = None,
        ttl: float = 300,
        cooldown: float = 10,
        max_age: float = 24 * 60 * 60,
        timeout: float = 5,
        fetch: Fetch | None = None,
        **options: Unpack[JWTOptions[ClaimsT]],
    ) -> None:
        told = ResolvedOptions[ClaimsT].of(
            type(self), options, known=JWTOptions.__annotations__, issuer=issuer, audience=audience
        )
        problems = [
            *place_problems(issuer, jwks_uri, allow_http=allow_http, fetch=fetch),
            *published_algorithm_problems(algorithms),
            *seconds_problems(ttl=ttl, cooldown=cooldown, max_age=max_age, timeout=timeout),
            *allow_http_problems(allow_http),
            *ca_file_problems(ca_file, fetch=fetch),
            *fetch_problems(fetch),
        ]
        with collecting(problems):
            self._profile = TokenProfile(told)
        ConfigurationError.raise_for(problems)
        warn_of_hosts(allow_http)
        self._name = issuer or without_query(jwks_uri)
        self._now = told.now
        self._algorithms = frozenset(each.name for each in algorithms_of(algorithms))
        self._schedule = Schedule(ttl, cooldown, max_age, timeout)
        self._has_metadata = issuer is not None and not any(
            place_problems(issuer, None, allow_http=allow_http, fetch=fetch)
        )
        self._source = JWKSSource(
            issuer=issuer,
            jwks_uri=jwks_uri,
            algorithms=algorithms_of(algorithms),
            allow_http=allow_http,
            fetch=fetch or HTTPFetch(timeout=timeout, tls=context_for(ca_file)),
            needs_tls=fetch is None,
        )
        self._keys = IssuerKeys(
            self._source.ask,
            schedule=self._schedule,
            new_cache=lambda: TokenCache(
                ttl=told.cache_ttl, size=told.cache_size, max_chars=told.max_token_chars
            ),
            name=self._name,
            now=age_clock_for(told.now),
        )

    def __repr__(self) -> str:
        return f"<JWKSVerifier of {self._name}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuer that a token must name, in a set; None accepts any."""
        return self._profile.issuers

    @property
    def algorithms(self) -> frozenset[str]:
        """The names of the algorithms that a token may have."""
        return self._algorithms

    @property
    def origin(self) -> Origin:
        """What tells the claims of this verifier from those of any other."""
        return self._profile

    @property
    def max_token_chars(self) -> int:
        """The longest token that is read, in characters."""
        return self._profile.max_token_chars

    def grants_by_name(self, scope: str) -> bool:
        """Tell whether *scope* is written out in *allowed_scopes*; a wildcard does not count."""
        return self._profile.is_listed(scope)

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that may grant *scope*, listed by name; None is every issuer."""
        return None if self._profile.may_grant(scope) else frozenset()

    async def warm_up(self) -> None:
        """Ask the issuer for its keys now, so that the first request finds them.

        The issuer has *timeout* seconds to answer. Its faults are not raised but logged, as errors
        that say what to write; the first token then asks again at once.
        """
        finding = self._source.find_endpoints(self.timeout)
        await asyncio.gather(self._keys.warm_up(), finding)

    @property
    def timeout(self) -> float:
        """The seconds that the issuer has to answer."""
        return self._schedule.timeout

    def discover_endpoints(self) -> Callable[[], IssuerEndpoints | None]:
        """Have `warm_up` read the endpoints of the issuer; return what tells them once known.

        Raises:
            ConfigurationError: *issuer* is no URL at which metadata could be.
        """
        if not self._has_metadata:
            raise ConfigurationError.of(
                "needs a verifier with an issuer= that is a URL with metadata",
                "pass OAuth2AuthorizationCodeBearer(...)",
            )
        endpoints = self._source.endpoints
        endpoints.is_wanted = True
        return lambda: endpoints.found

    def verify_shared(self, token: str) -> SharedClaimsOrAwaitable[ClaimsT]:
        """Return the claims of *token* as they are kept, without a copy."""
        held = self._keys.at_hand()
        vetted = held.value.cache.get(token, self._now()) if held is not None else None
        if vetted is not None and vetted.claims_at_hand is not None:
            return vetted.claims_at_hand
        return self._verify_waiting(token)

    async def _verify_waiting(self, token: str) -> SharedClaims[ClaimsT]:
        seen = self._keys.attempts
        held = await self._keys.current()
        vetted = held.value.cache.get(token, self._now())
        if vetted is None:
            vetted = await self._vetted(token, held, seen)
        return await self._profile.admit(vetted, token, self._now())

    @copies_from(verify_shared)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: there are no keys, or whether it was revoked cannot be told.
        """
        return (await awaited_claims(self.verify_shared(token))).copy()

    async def _vetted(self, token: str, held: Held[KeyGeneration], seen: int) -> VettedClaims[Any]:
        unverified = parse_compact_jws(
            token, self._algorithms, max_chars=self._profile.max_token_chars
        )
        self._profile.require_type(unverified.header)
        held, key = await self._signing_key_of(unverified, held, seen)
        now = self._now()
        claims, header = claims_of(unverified.payload), unverified.header
        vetted = self._profile.vet(claims, now, header=header, key_issuers=key.issuers)
        self._profile.model(vetted)
        held.value.cache.put(token, vetted, now, until=vetted.expires_at)
        return vetted

    async def _signing_key_of(
        self, unverified: UnverifiedJWS, held: Held[KeyGeneration], seen: int
    ) -> tuple[Held[KeyGeneration], BoundKey]:
        """Return the key that has signed *unverified*, after the keys that it is one of."""
        while True:
            try:
                return held, signing_key_of(unverified, held.value.keys)
            except TokenError:
                # A known key refused it. Where no key has that name, one may have it by now.
                if held.value.keys.has_kid(unverified.kid):
                    raise
                newer = await self._keys.newer_than(held, seen)
                if newer is None:
                    raise
                held = newer
