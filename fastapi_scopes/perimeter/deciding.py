"""The verdicts of a perimeter, on connections that come to a router or an endpoint of its app."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from fastapi_scopes._routing import (
    Passages,
    ResolvedRoute,
    RouteMatch,
)
from fastapi_scopes.authorization import (
    AccessRequest,
    Rulebook,
    Verdict,
    access_request_of,
    awaited_verdict,
    fields_of,
    fork_state,
    method_of,
    state_of,
    usable_method_of,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.problems import Problem
from fastapi_scopes.core.requirements import AUTHENTICATED, Access, parse_requirement
from fastapi_scopes.core.scope_map import ANY_METHOD, Rule
from fastapi_scopes.core.templates import Pattern
from fastapi_scopes.perimeter.overrides import (
    UNUSABLE,
    claims_of_override,
    override_of,
)
from fastapi_scopes.perimeter.passages import Passage, PassageContext
from fastapi_scopes.responses import send_refusal

__all__ = ["Decider"]

_log = logging.getLogger("fastapi_scopes")

_ANONYMOUS: Final = frozenset({Access.PUBLIC, Access.OPTIONAL})
_ANY_AUTHENTICATED: Final = Rule(ANY_METHOD, Pattern.parse("/**"), parse_requirement(AUTHENTICATED))


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """Decides on connections of one protected app, wherever they come to what the app rules."""

    app: Starlette
    rules: Rulebook
    context: PassageContext
    hides_unknown: bool

    async def decide(
        self,
        resolvers: Iterable[Callable[[Scope], RouteMatch]],
        refuse: Callable[[Problem, Scope, Receive, Send], Awaitable[None]],
        asgi_scope: Scope,
        *channels: Any,
    ) -> Passages:
        """Return the passage of a connection that may pass, or None after *refuse* has refused it.

        Each of *resolvers* finds a route, and the verdicts on all of them must allow. Verdict and
        passage are left in the state of the connection.
        """
        passage: Passage | None = None
        guard = self.context.guard
        if type(asgi_scope.get("headers")) is not list:
            # An iterator is made a list before anybody reads it.
            fields_of(asgi_scope)
        for resolve in resolvers:
            method = usable_method_of(asgi_scope)
            match = resolve(asgi_scope) if method is not None else RouteMatch.unroutable()
            method = method or method_of(asgi_scope)
            fork_state(asgi_scope)
            known = match.route.constant_verdicts if match.route is not None else {}
            override = override_of(self.app, guard)
            found = known.get(method) if override is guard else None
            found = found or self._verdict_on(match, method, asgi_scope, override)
            verdict = found if isinstance(found, Verdict) else await found
            if verdict.problem is not None:
                self._keep_refusal(verdict, match, asgi_scope)
                await refuse(verdict.problem, asgi_scope, *channels)
                return None
            passage = passage or Passage(self.context, verdict, match)
        if passage is None:
            return ()
        # Not called where there is nothing to do: this is the way of every request.
        if self.context.is_heard or passage.verdict.reported:
            passage.tell_of_verdict()
        state = state_of(asgi_scope)
        state.verdicts[guard], state.passages[self] = passage.verdict, passage
        return (passage,)

    def _keep_refusal(self, verdict: Verdict, match: RouteMatch, asgi_scope: Scope) -> None:
        if self.hides_unknown and match.endpoint is not None:
            match.equalize_timing()
        match.show_in(asgi_scope)
        state_of(asgi_scope).verdicts[self.context.guard] = verdict
        self.context.authorizer.reporter.tell(verdict)

    def verdict_for(
        self, resolve: Callable[[Scope], RouteMatch], asgi_scope: Scope, claims: Claims | None
    ) -> tuple[RouteMatch, Verdict]:
        """Return where a connection leads, and the verdict on a caller with *claims*, or none.

        *asgi_scope* has no credentials; nothing is asked, told or awaited.
        """
        match, method = _match_of(resolve, asgi_scope)
        verdict = self._verdict_on(match, method, asgi_scope, self.context.guard, claims=claims)
        return match, cast("Verdict", verdict)

    def _verdict_on(
        self,
        match: RouteMatch,
        method: str,
        asgi_scope: Scope,
        override: object,
        *,
        claims: Claims | None = None,
    ) -> Verdict | Awaitable[Verdict]:
        """Return the verdict on a connection that leads to *match*.

        *override* stands in for the guard, unless it is that, and *claims* for what the verifier
        would return.
        """
        route = match.route
        rule = route.rules_by_method.get(method) if route is not None else None
        if rule is None:
            is_unknown = route is None and not match.is_unroutable
            if is_unknown and not self.hides_unknown:
                # Nothing runs: the router itself answers 404 or 405.
                return Verdict(AccessRequest(None, method, looks_at_credentials=False))
            rule = _ANY_AUTHENTICATED if is_unknown else self._rule_for(match, method)
        if override is not self.context.guard:
            return self._verdict_by_override(override, route, rule, asgi_scope)
        request = access_request_of(asgi_scope, route, rule, method=method)
        authorize = self.context.authorizer.authorize
        verdict = authorize(request, rule, asgi_scope, override_claims=claims)
        # INVARIANT: only what rests on nothing of a caller is kept, and so on no override
        # (perimeter/test_overrides.py); no more of it than there are rules, whatever methods
        # clients send (attacks/test_method_names.py).
        is_constant = not request.looks_at_credentials and isinstance(verdict, Verdict)
        if is_constant and route is not None and method in route.rules_by_method:
            route.constant_verdicts[method] = verdict
        return verdict

    async def _verdict_by_override(
        self, override: object, route: ResolvedRoute | None, rule: Rule | None, asgi_scope: Scope
    ) -> Verdict:
        claims = await claims_of_override(override)
        if claims is None:
            _log.error("%s", UNUSABLE)
            rule = None
        request = access_request_of(asgi_scope, route, rule)
        return await awaited_verdict(
            self.context.authorizer.authorize(request, rule, asgi_scope, override_claims=claims)
        )

    def _rule_for(self, match: RouteMatch, method: str) -> Rule | None:
        rule = self.rules.rule_for(method, match.route)
        if rule is not None or match.route is None or match.redirected is None:
            return rule
        # Other code could answer before the router redirects, so the rule of the target holds.
        target = self.rules.rule_for(method, match.redirected)
        is_open = target is not None and target.requirement.access in _ANONYMOUS
        # A target that is open to all does not open the path that was asked for.
        return _ANY_AUTHENTICATED if is_open else target

    def passage_in(self, asgi_scope: Scope) -> Passage | None:
        """Return the passage that this perimeter left in the state of a connection, or None."""
        passage = state_of(asgi_scope).passages.get(self)
        return passage if isinstance(passage, Passage) else None

    async def refuse(self, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a connection that has come elsewhere than was decided."""
        match, method = RouteMatch.unroutable(), method_of(asgi_scope)
        override = override_of(self.app, self.context.guard)
        verdict = await awaited_verdict(self._verdict_on(match, method, asgi_scope, override))
        if verdict.problem is not None:
            self.context.authorizer.reporter.tell(verdict)
            await send_refusal(verdict.problem, asgi_scope, receive, send)


def _match_of(resolve: Callable[[Scope], RouteMatch], asgi_scope: Scope) -> tuple[RouteMatch, str]:
    """Return where a connection leads, and its method as rules name it.

    `Decider.decide` does the same without a call, for speed.
    """
    # No rule can hold for an unusable target, so no route is looked up for it.
    method = usable_method_of(asgi_scope)
    match = resolve(asgi_scope) if method is not None else RouteMatch.unroutable()
    return match, method or method_of(asgi_scope)
