"""The verifier for JWT access tokens whose keys are known at start-up."""

from collections.abc import Sequence
from typing import Generic, Unpack

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.verifiers.base import (
    Origin,
    SharedClaimsOrAwaitable,
    awaited_claims,
    copies_from,
)
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.keys.ring import read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource
from fastapi_scopes.verifiers.options import AlgorithmName, JWTOptions, ResolvedOptions
from fastapi_scopes.verifiers.tokens.claims import claims_of
from fastapi_scopes.verifiers.tokens.compact import parse_compact_jws, signing_key_of
from fastapi_scopes.verifiers.tokens.profile import TokenProfile
from fastapi_scopes.verifiers.tokens.vetted import VettedClaims

__all__ = ["JWTVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)


class JWTVerifier(Generic[ClaimsT]):
    """Verifies JWT access tokens with the keys that it was given.

    * *keys*, oldest to newest: str (a secret, PEM, OpenSSH), bytes (a secret, DER), dict (JWK
      or JWK set), Path (a PEM or JWK set file). A str or bytes is a secret where *algorithms*
      are HS*.
    * *issuer* and *audience*: one str or several, of which a token must match one exactly;
      None asks for neither, and is then your decision.
    * The other options are those of `JWTOptions`.

    Safe for concurrent use.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(
        self,
        *,
        keys: Sequence[KeySource],
        algorithms: Sequence[AlgorithmName],
        issuer: str | Sequence[str] | None,
        audience: str | Sequence[str] | None,
        **options: Unpack[JWTOptions[ClaimsT]],
    ) -> None:
        told = ResolvedOptions[ClaimsT].of(
            type(self), options, known=JWTOptions.__annotations__, issuer=issuer, audience=audience
        )
        verification_keys, key_problems = read_keys(keys, algorithms)
        problems = [*key_problems]
        with collecting(problems):
            self._profile = TokenProfile(told)
        ConfigurationError.raise_for(problems)
        self._keys = verification_keys
        self._cache: TokenCache[VettedClaims[ClaimsT]] = TokenCache(
            ttl=told.cache_ttl, size=told.cache_size, max_chars=told.max_token_chars
        )
        self._now = told.now

    def __repr__(self) -> str:
        return f"<JWTVerifier with {self._keys!r}>"

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuers of which a token must name one; None accepts any."""
        return self._profile.issuers

    @property
    def algorithms(self) -> frozenset[str]:
        """The names of the algorithms that a token may have."""
        return self._keys.algorithms

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

    def verify_shared(self, token: str) -> SharedClaimsOrAwaitable[ClaimsT]:
        """Return the claims of *token* as they are kept, without a copy."""
        now, key = self._now(), self._cache.key_of(token)
        vetted = self._cache.get_by(key, now)
        # INVARIANT: what is kept holds *now*: it was valid when it was kept, and is not kept beyond
        # its end (attacks/test_cached_tokens.py).
        if vetted is None:
            vetted = self._vetted(token, now)
            self._cache.put_by(key, vetted, now, until=vetted.expires_at)
        return vetted.claims_at_hand or self._profile.admit(vetted, token, now)

    @copies_from(verify_shared)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: whether it was revoked cannot be told.
        """
        return (await awaited_claims(self.verify_shared(token))).copy()

    def _vetted(self, token: str, now: float) -> VettedClaims[ClaimsT]:
        unverified = parse_compact_jws(
            token, self._keys.algorithms, max_chars=self._profile.max_token_chars
        )
        self._profile.require_type(unverified.header)
        key = signing_key_of(unverified, self._keys)
        claims, header = claims_of(unverified.payload), unverified.header
        vetted = self._profile.vet(claims, now, header=header, key_issuers=key.issuers)
        return self._profile.model(vetted)
