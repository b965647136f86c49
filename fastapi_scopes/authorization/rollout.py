"""The rollout of a guard: until a moment some refusals are reported only."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fastapi_scopes.authorization.access import AccessRequest
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision, Reason
from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.methods import ANY_METHOD
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.verifiers.base import Origin, ScopeLimitedVerifier, SharedClaims

__all__ = ["Rollout"]


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """Tells which refusals are reported, and let through, until a moment.

    Those for missing scopes; and on some routes those of callers without credentials.
    """

    until: float
    """The moment from which on all is enforced, in seconds since the epoch."""
    anonymous: ScopeMap
    """Its keys are the routes on which callers without credentials pass; the values count not."""
    now: Callable[[], float]

    def reports(
        self,
        decision: Decision,
        request: AccessRequest,
        *,
        shared: SharedClaims[Claims] | None,
        verifier: object,
    ) -> bool:
        """Tell whether the refusal by *decision* is reported only, at this moment.

        *shared* are the claims that *verifier* returned.

        INVARIANT: DENY, a route without a rule, and scopes that an issuer may not grant are
        enforced, whatever the moment (attacks/test_rollout.py).
        """
        # Written so that a clock that answers NaN enforces.
        if not self.now() < self.until:
            return False
        if decision.reason is Reason.INSUFFICIENT_SCOPE:
            return shared is not None and not _is_limited(shared, verifier)
        rule, route = decision.rule, request.route
        if decision.reason is not Reason.MISSING_CREDENTIALS or rule is None or route is None:
            return False
        if rule.requirement.access is Access.DENY:
            return False
        is_mount = route.kind.is_mount
        return (
            self.anonymous.resolve(request.method, route.template, is_mount=is_mount).rule
            is not None
        )

    def findings_on(self, endpoints: Iterable[Endpoint]) -> Iterator[Finding]:
        """Yield an error for each key of *anonymous* that matches none of *endpoints*."""
        left = {rule.key: rule for rule in self.anonymous.rules}
        for each in endpoints:
            # What answers any method answers each that a key names.
            methods = self.anonymous.methods if each.method == ANY_METHOD else ()
            for method in (each.method, *methods):
                found = self.anonymous.resolve(method, each.template, is_mount=each.kind.is_mount)
                for rule in (*found.winners, *found.losers):
                    left.pop(rule.key, None)
        for key, rule in left.items():
            yield Finding(
                FindingCode.MATCHES_NOTHING,
                Severity.ERROR,
                None,
                rule,
                f"report_anonymous: {key!r} matches no endpoint",
                "write the template of a route as its app has it, or take it out",
            )


def _is_limited(shared: SharedClaims[Claims], verifier: object) -> bool:
    """Tell whether the issuer of the claims is limited in the scopes that it may grant."""
    origin: object = shared.origin or getattr(verifier, "origin", None)
    if isinstance(origin, Origin):
        return origin.is_limited
    # What a verifier of the application limits, nobody knows.
    return isinstance(verifier, ScopeLimitedVerifier)
