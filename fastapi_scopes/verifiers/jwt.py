"""The verifier for JWT access tokens whose keys are known at start-up."""

import time
from collections.abc import Callable, Sequence
from typing import Generic

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.verifiers.base import ProofChecker, RevocationList, Vouched, vouches_by
from fastapi_scopes.verifiers.cache import TokenCache, cache_problems
from fastapi_scopes.verifiers.keys.ring import read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource
from fastapi_scopes.verifiers.tokens.compact import parse_compact_jws, verify_signature
from fastapi_scopes.verifiers.tokens.profile import AccessTokenProfile, VettedClaims

__all__ = ["JWTVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)


class JWTVerifier(Generic[ClaimsT]):
    """Verifies JWT access tokens with the keys that it was given.

    * *keys*, oldest to newest: str (a secret, PEM, OpenSSH), bytes (a secret, DER), dict (JWK
      or JWK set), Path (a PEM or JWK set file). A str or bytes is a secret where *algorithms*
      are HS*.
    * *issuer* and *audience*: one str or several, of which a token must match one exactly;
      None asks for neither, and is then your decision.
    * *scopes_claim*: the one claim that holds scopes, "scope", "scp", "realm_access.roles".
    * *claims_model*: a subclass of `Claims` for claims of your own.
    * *leeway*: seconds that the issuer's clock may be off by, 0 to 300.
    * *strict*: ask for the type and the claims of RFC 9068.
    * *allowed_scopes*: the scopes that the issuer may grant, by name or as "prefix:*"; others
      are dropped. None is all of them.
    * *revocations*: asked for every request; a token without `jti` is then refused.
    * *proof*: asked for every request with a token that is bound to a key (`cnf`); without it
      such a token is refused.
    * *cache_ttl*, seconds, and *cache_size*: for how long, and of how many tokens, the verified
      claims are kept. What depends on the moment is looked at all the same. 0 keeps none.

    Safe for concurrent use.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        keys: Sequence[KeySource],
        algorithms: Sequence[str],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        scopes_claim: str = "scope",
        # Where nothing is passed ClaimsT is Claims, its default.
        claims_model: type[ClaimsT] = Claims,  # type: ignore[assignment]
        leeway: float = 0,
        strict: bool = False,
        allowed_scopes: Sequence[str] | None = None,
        revocations: RevocationList | None = None,
        proof: ProofChecker | None = None,
        cache_ttl: float = 60,
        cache_size: int = 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        verification_keys, key_problems = read_keys(keys, algorithms)
        problems = [*key_problems]
        with collecting(problems):
            self._profile = AccessTokenProfile(
                issuer=issuer,
                audience=audience,
                scopes_claim=scopes_claim,
                claims_model=claims_model,
                leeway=leeway,
                strict=strict,
                allowed_scopes=allowed_scopes,
                revocations=revocations,
                proof=proof,
                now=now,
            )
        ConfigurationError.raise_for((*problems, *cache_problems(cache_ttl, cache_size)))
        self._keys = verification_keys
        self._cache: TokenCache[VettedClaims[ClaimsT]] = TokenCache(ttl=cache_ttl, size=cache_size)
        self._now = now

    def __repr__(self) -> str:
        return f"<JWTVerifier with {self._keys!r}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which a token must name one; None accepts any."""
        return self._profile.issuers

    def grants_by_name(self, scope: str) -> bool:
        """Tell whether *scope* is written out in *allowed_scopes*; a wildcard does not count."""
        return self._profile.is_listed(scope)

    def issuers_granting(self, scope: str) -> frozenset[str] | None:
        """Return the issuers that may grant *scope*, listed by name; None is every issuer."""
        return None if self._profile.may_grant(scope) else frozenset()

    async def vouch(self, token: str) -> Vouched[ClaimsT]:
        """Return the claims of *token* as they are kept, without a copy."""
        now = self._now()
        vetted = self._cache.get(token, now)
        if vetted is None:
            vetted = self._vetted(token, now)
            self._cache.put(token, vetted, now, until=vetted.expires_at)
        return await self._profile.admit(vetted, token, now)

    @vouches_by(vouch)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: whether it was revoked cannot be told.
        """
        return (await self.vouch(token)).copy()

    def _vetted(self, token: str, now: float) -> VettedClaims[ClaimsT]:
        unverified = parse_compact_jws(token, self._keys.algorithms)
        self._profile.require_type(unverified.header)
        verified = verify_signature(unverified, self._keys)
        return self._profile.model(self._profile.vet(verified.payload, now))
