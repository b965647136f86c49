"""Several issuers behind one verifier, each with its own keys and its own reach."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, cast

from typing_extensions import TypeVar

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.verifiers.base import Vouched, vouched_by, vouches_by
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.keys.ring import elements_of
from fastapi_scopes.verifiers.tokens.compact import unverified_issuer_of

__all__ = ["IssuersVerifier", "OneIssuer"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)


_REMEMBERED: Final = 300
"""For how many seconds it is remembered whom to ask about a token."""


class OneIssuer(Protocol[ClaimsT_co]):
    """What `IssuersVerifier` is made of: a `JWTVerifier` or a `JWKSVerifier` for one issuer."""

    @property
    def issuers(self) -> frozenset[str] | None:
        """The issuer that a token must name, in a set."""
        ...

    def is_listed(self, scope: str) -> bool:
        """Tell whether the issuer is limited to scopes, and *scope* is by name one of them."""
        ...

    async def verify(self, token: str) -> ClaimsT_co:
        """Return the claims of *token*, every one of them verified."""
        ...


class IssuersVerifier(Generic[ClaimsT]):
    """Verifies the tokens of several issuers, each with the verifier that is for it alone.

    The `iss` of a token, not verified yet, only says which of *verifiers* is asked; that one
    then checks it with the rest, so a key of one issuer never verifies a token of another.

    The admin scope of a guard counts only from issuers whose verifier has it in its
    *allowed_scopes*, written out: no wildcard and no missing limit yields it.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(self, verifiers: Sequence[OneIssuer[ClaimsT]]) -> None:
        ConfigurationError.raise_for(_problems(verifiers))
        self._by_issuer = {
            issuer: verifier for verifier in verifiers for issuer in verifier.issuers or ()
        }
        self._asked: TokenCache[OneIssuer[ClaimsT]] = TokenCache(ttl=_REMEMBERED, size=1024)

    def __repr__(self) -> str:
        return f"<IssuersVerifier of {', '.join(self._by_issuer)}>"

    @property
    def issuers(self) -> frozenset[str]:
        """The issuers, of which a token must name one."""
        return frozenset(self._by_issuer)

    def issuers_listing(self, scope: str) -> frozenset[str]:
        """Return the issuers that *scope* is listed for by name."""
        return frozenset(
            issuer for issuer, each in self._by_issuer.items() if each.is_listed(scope)
        )

    async def vouch(self, token: str) -> Vouched[ClaimsT]:
        """Return the same as `verify`, without a copy."""
        now = time.monotonic()
        verifier = self._asked.get(token, now)
        if verifier is None:
            verifier = self._by_issuer.get(unverified_issuer_of(token))
        if verifier is None:
            raise TokenError(TokenFault.ISSUER)
        vouched: Vouched[ClaimsT] = await vouched_by(verifier, token)
        # A token that was good is not read again only to find out whom to ask.
        self._asked.put(token, verifier, now, until=math.inf)
        return vouched

    @vouches_by(vouch)
    async def verify(self, token: str) -> ClaimsT:
        """Return the claims of *token*, every one of them verified.

        Raises:
            TokenError: the token is not valid here; its `code` says why.
            VerifierUnavailable: its issuer cannot be reached.
        """
        return (await self.vouch(token)).copy()


def _problems(verifiers: object) -> Iterator[str]:
    members = elements_of(verifiers)
    if not members:
        yield "verifiers is no list, or an empty one; write IssuersVerifier([JWKSVerifier(...)])"
    known: dict[str, int] = {}
    for position, member in enumerate(members):
        place = f"verifiers[{position}]"
        issuers = cast("frozenset[str] | None", getattr(member, "issuers", None))
        if isinstance(member, type) or not callable(getattr(member, "is_listed", None)):
            # By its type alone: who confuses the arguments has a secret here.
            kind = member.__name__ if isinstance(member, type) else type(member).__name__
            yield f"{place} is a {kind!r}; pass a JWTVerifier or JWKSVerifier for one issuer"
        elif issuers is None:
            yield f"{place} is for tokens of any issuer; give it issuer="
        elif len(issuers) != 1:
            yield f"{place} is for {len(issuers)} issuers; give each its own verifier"
        else:
            (issuer,) = issuers
            first = known.setdefault(issuer, position)
            if first != position:
                yield f"verifiers[{first}] and {place} are both for {issuer!r}; keep one"
