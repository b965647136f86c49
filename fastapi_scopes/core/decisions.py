"""The decision: may this caller pass, and the one reason why."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.requirements import Access, Alternative
from fastapi_scopes.core.scope_map import Rule

__all__ = ["Decision", "Reason", "decide"]


class Reason(Enum):
    """Why a caller passes or does not; every decision has exactly one."""

    PUBLIC = "public"
    ANONYMOUS = "anonymous"
    AUTHENTICATED = "authenticated"
    GRANTED = "granted"
    MISSING_CREDENTIALS = "missing_credentials"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    NO_RULE = "no_rule"
    DENIED = "denied"


# A tuple, the usual reason first: a set would hash the reason of every request.
_ALLOWING: Final = (Reason.GRANTED, Reason.AUTHENTICATED, Reason.PUBLIC, Reason.ANONYMOUS)


@dataclass(slots=True, unsafe_hash=True)
class Decision:
    """Whether a caller may pass, why, and by which rule.

    Nobody changes one; that it is not frozen is for the time that this takes at every request.
    """

    reason: Reason
    rule: Rule | None = None
    claims: Claims | None = field(default=None, repr=False)
    missing: tuple[str, ...] = ()
    """On insufficient scope: the scopes of `nearest` that the caller lacks."""
    nearest: Alternative = ()
    """On insufficient scope: the alternative of which the fewest scopes are missing."""

    @property
    def allowed(self) -> bool:
        """True where the caller may pass."""
        return self.reason in _ALLOWING


def decide(rule: Rule | None, claims: Claims | None, grants: Grants) -> Decision:
    """Return the decision on a caller with *claims* (None: without a token) under *rule*.

    Where there is no rule, or the rule is DENY, an anonymous caller is asked for credentials: a
    caller who is not known does not learn that the route is closed.
    """
    access = rule.requirement.access if rule is not None else None
    if access is Access.PUBLIC:
        return Decision(Reason.PUBLIC, rule)
    if claims is None:
        is_optional = access is Access.OPTIONAL
        return Decision(Reason.ANONYMOUS if is_optional else Reason.MISSING_CREDENTIALS, rule)
    if rule is not None and access is Access.SCOPES:
        return _decide_on_scopes(rule, claims, grants)
    if access is Access.OPTIONAL or access is Access.AUTHENTICATED:
        return Decision(Reason.AUTHENTICATED, rule, claims)
    return Decision(Reason.NO_RULE if rule is None else Reason.DENIED, rule, claims)


def _decide_on_scopes(rule: Rule, claims: Claims, grants: Grants) -> Decision:
    nearest: Alternative | None = None
    missing: tuple[str, ...] = ()
    # The alternative of which the fewest are missing, the first on a tie.
    for each in rule.requirement.alternatives:
        lacking = grants.missing(claims.scopes, each)
        if not lacking:
            return Decision(Reason.GRANTED, rule, claims)
        if nearest is None or len(lacking) < len(missing):
            nearest, missing = each, lacking
    return Decision(Reason.INSUFFICIENT_SCOPE, rule, claims, missing, nearest or ())
