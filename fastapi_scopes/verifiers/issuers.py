"""One verifier for the tokens of several issuers, each with keys and scope limits of its own."""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import combinations
from typing import Any, Final, Generic, Protocol, cast

from typing_extensions import TypeVar

from fastapi_scopes._lines import listed
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, TokenError, TokenFault
from fastapi_scopes.verifiers._settings import elements_of
from fastapi_scopes.verifiers.base import (
    GrantingIssuers,
    Origin,
    SharedClaims,
    SharedClaimsOrAwaitable,
    awaited_claims,
    copies_from,
    shared_claims_of,
)
from fastapi_scopes.verifiers.cache import TokenCache
from fastapi_scopes.verifiers.tokens.compact import unverified_algorithm_of, unverified_issuer_of
from fastapi_scopes.verifiers.tokens.expected_issuers import is_family, is_of_family
from fastapi_scopes.verifiers.warm_ups import timeout_of, warm_up

__all__ = ["IssuersVerifier", "SingleIssuerVerifier"]

ClaimsT = TypeVar("ClaimsT", bound=Claims, default=Claims)
ClaimsT_co = TypeVar("ClaimsT_co", bound=Claims, covariant=True, default=Claims)


_REMEMBERED: Final = 300
"""Seconds for which the verifier of a token is remembered."""


class SingleIssuerVerifier(Protocol[ClaimsT_co]):
    """A verifier for the tokens of one issuer, such as `JWTVerifier` or `JWKSVerifier`.

    To share its issuer with another one it also needs a property `algorithms`, a set of the values
    of `alg` that it takes, such as ``frozenset({"ES256"})``.
    """

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
    then checks it with the rest, so a key of one issuer never verifies a token of another. An
    issuer of its own goes before a family that includes it (`{tenantid}`), and takes its tenant
    away from it, in whatever case a token writes the GUID.

    One issuer may have several verifiers with no algorithm in common, as while its tokens move
    from HS256 to ES256: the `alg` of a token then says which of them is asked.

    The admin scope of a guard counts only from verifiers that have it in their
    *allowed_scopes*, written out: no wildcard and no missing limit yields it.

    Raises:
        ConfigurationError: from the constructor, every problem at once.
    """

    def __init__(self, verifiers: Sequence[SingleIssuerVerifier[ClaimsT]]) -> None:
        ConfigurationError.raise_for(_problems(verifiers))
        self._members = tuple(verifiers)
        self._by_issuer: dict[str, list[SingleIssuerVerifier[ClaimsT]]] = {}
        self._by_algorithm: dict[tuple[str, str], SingleIssuerVerifier[ClaimsT]] = {}
        for each in verifiers:
            for issuer in each.issuers or ():
                self._by_issuer.setdefault(issuer, []).append(each)
                self._by_algorithm |= {(issuer, name): each for name in _algorithms_of(each)}
        self._families = tuple(filter(is_family, self._by_issuer))
        self._tenants = {
            each.lower(): each
            for each in self._by_issuer
            if any(is_of_family(each, family) for family in self._families)
        }
        """The issuers of their own that a family includes, by their text in lower case."""
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
        """Return the issuers all of whose verifiers list *scope* by name in *allowed_scopes*.

        It also says which verifiers do, since another one of the same issuer may not.
        """
        granting = [each for each in self._members if each.grants_by_name(scope)]
        others = [each for each in self._members if not each.grants_by_name(scope)]
        issuers = _issuers_of(granting) - _issuers_of(others)
        return GrantingIssuers(issuers, _origins_of(granting))

    @property
    def timeout(self) -> float:
        """The seconds that `warm_up` takes at most: the longest `timeout` of a member."""
        return max(map(timeout_of, self._members))

    async def warm_up(self) -> None:
        """Warm up all members that can be, at once; it raises nothing, what fails is logged."""
        await asyncio.gather(*map(warm_up, self._members))

    def verify_shared(self, token: str) -> SharedClaimsOrAwaitable[ClaimsT]:
        """Return the claims of *token* as the verifier of its issuer keeps them, without a copy."""
        verifier = self._verifier_of_token.get(token, time.monotonic())
        return self._verify_anew(token) if verifier is None else shared_claims_of(verifier, token)

    async def _verify_anew(self, token: str) -> SharedClaims[ClaimsT]:
        verifier = self._verifier_for(token)
        shared = await awaited_claims(shared_claims_of(verifier, token))
        # A token that was valid a moment ago is not parsed again to find its verifier.
        self._verifier_of_token.put(token, verifier, time.monotonic(), until=math.inf)
        return shared

    def _verifier_for(self, token: str) -> SingleIssuerVerifier[ClaimsT]:
        """Return the verifier of the issuer and the algorithm that *token* names.

        INVARIANT: they choose, and decide nothing: the verifier checks both again
        (attacks/test_shared_issuers.py).
        """
        named, header_segment = unverified_issuer_of(token, max_chars=self.max_token_chars)
        issuer = named if named in self._by_issuer else self._issuer_including(named)
        members = self._by_issuer[issuer]
        if len(members) == 1:
            return members[0]
        verifier = self._by_algorithm.get((issuer, unverified_algorithm_of(header_segment)))
        if verifier is None:
            raise TokenError(TokenFault.ALGORITHM, "no verifier of its issuer takes it")
        return verifier

    def _issuer_including(self, issuer: str) -> str:
        for family in self._families:
            if is_of_family(issuer, family):
                # INVARIANT: a tenant with a member of its own is its alone, in whatever case its
                # GUID is written (test_tenant_escapes_its_own_limits_in_no_spelling).
                return self._tenants.get(issuer.lower(), family)
        raise TokenError(TokenFault.ISSUER, f"it is not {listed(sorted(self._by_issuer))}")

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
    known: dict[str, list[int]] = {}
    for position, member in enumerate(members):
        issuers = cast("frozenset[str] | None", getattr(member, "issuers", None))
        if isinstance(member, type) or not callable(getattr(member, "grants_by_name", None)):
            # By its type, never by value: where arguments are swapped it may be a secret.
            kind = member.__name__ if isinstance(member, type) else type(member).__name__
            text, remedy = f"is a {kind!r}", "pass a JWTVerifier or JWKSVerifier for one issuer"
        elif issuers is None:
            text, remedy = "is for tokens of any issuer", "give it issuer="
        elif len(issuers) != 1:
            text, remedy = f"is for {len(issuers)} issuers", "give each its own verifier"
        else:
            (issuer,) = issuers
            known.setdefault(issuer, []).append(position)
            continue
        yield ConfigurationProblem(text, remedy, setting=f"verifiers[{position}]")
    for issuer, positions in known.items():
        yield from _sharing_problems(issuer, {each: members[each] for each in positions})


def _sharing_problems(issuer: str, members: Mapping[int, object]) -> Iterator[ConfigurationProblem]:
    """Yield what keeps *members*, by position, from being verifiers of one issuer."""
    names = {position: _algorithms_of(member) for position, member in members.items()}
    for first, second in combinations(names, 2):
        shared = ", ".join(sorted(map(repr, names[first] & names[second])))
        if shared:
            yield ConfigurationProblem(
                f"takes {shared} of {issuer!r}, and so does verifiers[{first}]",
                "keep one, or give them no algorithm in common",
                setting=f"verifiers[{second}]",
            )
    for position, algorithms in names.items():
        if len(names) > 1 and not algorithms:
            others = " and ".join(f"verifiers[{each}]" for each in names if each != position)
            yield ConfigurationProblem(
                f"does not say its algorithms, and is for {issuer!r}, as {others}",
                "keep one, or give it a property 'algorithms', such as frozenset({'ES256'})",
                setting=f"verifiers[{position}]",
            )


def _algorithms_of(member: object) -> frozenset[str]:
    """Return the algorithms that *member* says it takes; none where it does not say."""
    names: object = getattr(member, "algorithms", None)
    return frozenset(cast("Set[str]", names)) if isinstance(names, Set) else frozenset()


def _issuers_of(members: Iterable[SingleIssuerVerifier[Any]]) -> frozenset[str]:
    return frozenset(issuer for each in members for issuer in each.issuers or ())


def _origins_of(members: Iterable[object]) -> frozenset[Origin]:
    origins = (getattr(each, "origin", None) for each in members)
    # Another class may mean something else by that name.
    return frozenset(each for each in origins if isinstance(each, Origin))
