"""One verifier for the tokens of several issuers, each with keys and scope limits of its own."""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, cast

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, TokenError, TokenFault
from fastapi_scopes.verifiers.base import (
    SharedClaims,
    SharedClaimsOrAwaitable,
    awaited_claims,
    copies_from,
    shared_claims_of,
)
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.keys.ring import elements_of
from fastapi_scopes.verifiers.tokens.compact import unverified_issuer_of
from fastapi_scopes.verifiers.warm_ups import timeout_of, warm_up

__all__ = ["IssuersVerifier", "SingleIssuerVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)


_REMEMBERED: Final = 300
"""Seconds for which the verifier of a token is remembered."""


class SingleIssuerVerifier(Protocol[ClaimsT_co]):
    """A verifier for the tokens of one issuer, such as `JWTVerifier` or `JWKSVerifier`."""

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuer that a token must name, in a set."""
        ...

    def grants_by_name(self, scope: str) -> bool:
        """Tell whether *scope* is written out in *allowed_scopes*; a wildcard does not count."""
        ...

    async def verify(self, token: str) -> ClaimsT_co:
        """Return the claims of *token*, every one of them verified."""
        ...


class IssuersVerifier(Generic[ClaimsT]):
    """Verifies the tokens of several issuers, with one verifier for each issuer.

    The `iss` of a token, not verified yet, only says which of *verifiers* is asked; that one
    then checks it with the rest, so a key of one issuer never verifies a token of another.

    The admin scope of a guard counts only from issuers whose verifier has it in its
    *allowed_scopes*, written out: no wildcard and no missing limit yields it.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(self, verifiers: Sequence[SingleIssuerVerifier[ClaimsT]]) -> None:
        ConfigurationError.raise_for(_problems(verifiers))
        self._by_issuer = {
            issuer: verifier for verifier in verifiers for issuer in verifier.issuers or ()
        }
        self.max_token_chars: int = max(
            getattr(each, "max_token_chars", MAX_TOKEN_CHARS) for each in verifiers
        )
        """The longest token that is read, in characters."""
        self._verifier_of_token: TokenCache[SingleIssuerVerifier[ClaimsT]] = TokenCache(
            ttl=_REMEMBERED, size=1024, max_chars=self.max_token_chars
        )

    def __repr__(self) -> str:
        return f"<IssuersVerifier of {', '.join(self._by_issuer)}>"

    @property
    def issuers(self) -> frozenset[str]:
        """The issuers, of which a token must name one."""
        return frozenset(self._by_issuer)

    def issuers_granting(self, scope: str) -> frozenset[str]:
        """Return the issuers that may grant *scope*, listed by name in *allowed_scopes*."""
        return frozenset(
            issuer for issuer, each in self._by_issuer.items() if each.grants_by_name(scope)
        )

    @property
    def timeout(self) -> float:
        """The seconds that `warm_up` takes at most: the longest `timeout` of a member."""
        return max(map(timeout_of, self._by_issuer.values()))

    async def warm_up(self) -> None:
        """Warm up all members that can be, at once; it raises nothing, what fails is logged."""
        await asyncio.gather(*map(warm_up, self._by_issuer.values()))

    def verify_shared(self, token: str) -> SharedClaimsOrAwaitable[ClaimsT]:
        """Return the claims of *token* as the verifier of its issuer keeps them, without a copy."""
        verifier = self._verifier_of_token.get(token, time.monotonic())
        return self._verify_anew(token) if verifier is None else shared_claims_of(verifier, token)

    async def _verify_anew(self, token: str) -> SharedClaims[ClaimsT]:
        issuer = unverified_issuer_of(token, max_chars=self.max_token_chars)
        verifier = self._by_issuer.get(issuer)
        if verifier is None:
            raise TokenError(TokenFault.ISSUER)
        shared = await awaited_claims(shared_claims_of(verifier, token))
        # A token that was valid a moment ago is not parsed again to find its verifier.
        self._verifier_of_token.put(token, verifier, time.monotonic(), until=math.inf)
        return shared

    @copies_from(verify_shared)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: its issuer cannot be reached.
        """
        return (await awaited_claims(self.verify_shared(token))).copy()


def _problems(verifiers: object) -> Iterator[ConfigurationProblem]:
    members = elements_of(verifiers)
    if not members:
        yield ConfigurationProblem(
            "is no list, or an empty one",
            "write IssuersVerifier([JWKSVerifier(...)])",
            setting="verifiers",
        )
    known: dict[str, int] = {}
    for position, member in enumerate(members):
        place = f"verifiers[{position}]"
        issuers = cast("frozenset[str] | None", getattr(member, "issuers", None))
        if isinstance(member, type) or not callable(getattr(member, "grants_by_name", None)):
            # By its type, never by value: where arguments are swapped it may be a secret.
            kind = member.__name__ if isinstance(member, type) else type(member).__name__
            yield ConfigurationProblem(
                f"is a {kind!r}", "pass a JWTVerifier or JWKSVerifier for one issuer", setting=place
            )
        elif issuers is None:
            yield ConfigurationProblem(
                "is for tokens of any issuer", "give it issuer=", setting=place
            )
        elif len(issuers) != 1:
            yield ConfigurationProblem(
                f"is for {len(issuers)} issuers", "give each its own verifier", setting=place
            )
        else:
            (issuer,) = issuers
            first = known.setdefault(issuer, position)
            if first != position:
                yield ConfigurationProblem(
                    f"is for {issuer!r}, and so is verifiers[{first}]", "keep one", setting=place
                )
