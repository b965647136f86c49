"""The verdicts of a perimeter, on connections that come to a router or an endpoint of its app."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from fastapi_scopes._routing import (
    Passages,
    RouteMatch,
)
from fastapi_scopes.authorization import (
    AccessRequest,
    Rulebook,
    Verdict,
    access_request_of,
    fields_of,
    fork_state,
    has_unusable_target,
    method_of,
    state_of,
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

        Each of *resolvers* finds a route to which the connection leads; the verdicts on all of them
        must allow. Verdict and passage are left in the state of the connection.
        """
        passage: Passage | None = None
        guard = self.context.guard
        # An iterator of headers is made a list before anybody reads it.
        fields_of(asgi_scope)
        for resolve in resolvers:
            # No rule can hold for such a target, so no route is looked up for it.
            is_usable = not has_unusable_target(asgi_scope)
            match = resolve(asgi_scope) if is_usable else RouteMatch(is_unroutable=True)
            fork_state(asgi_scope)
            route, method = match.route, method_of(asgi_scope)
            verdict = route.constant_verdicts.get(method) if route is not None else None
            override = override_of(self.app, guard)
            if verdict is None or override is not guard:
                verdict = await self._verdict_on(match, method, asgi_scope, override)
            if verdict.problem is not None:
                if self.hides_unknown and match.endpoint is not None:
                    match.equalize_timing()
                state_of(asgi_scope).verdicts[guard] = verdict
                await refuse(verdict.problem, asgi_scope, *channels)
                return None
            if passage is None:
                # Without routers on the way, the endpoint itself asked, and runs now.
                passage = Passage(self.context, verdict, match, is_used=not match.steps)
        if passage is None:
            return ()
        state = state_of(asgi_scope)
        state.verdicts[guard] = passage.verdict
        state.passages[self] = passage
        return (passage,)

    async def _verdict_on(
        self, match: RouteMatch, method: str, asgi_scope: Scope, override: object
    ) -> Verdict:
        route = match.route
        is_unknown = route is None and not match.is_unroutable
        if is_unknown and not self.hides_unknown:
            # Nothing runs: the router itself answers 404 or 405.
            return Verdict(AccessRequest(None, method, looks_at_credentials=False))
        rule = _ANY_AUTHENTICATED if is_unknown else self._rule_for(match, method)
        override_claims: Claims | None = None
        if override is not self.context.guard:
            override_claims = await self._claims_of_override(override)
            if override_claims is None:
                rule = None
        request = access_request_of(asgi_scope, route, rule)
        verdict = await self.context.authorizer.authorize(
            request, rule, asgi_scope, override_claims=override_claims
        )
        # INVARIANT: only what rests on nothing of a caller is kept, and so on no override
        # (perimeter/test_overrides.py); no more of it than there are rules, whatever methods
        # clients send (attacks/test_method_names.py).
        is_constant = verdict.problem is None and not request.looks_at_credentials
        if route is not None and is_constant and method in route.rules_by_method:
            route.constant_verdicts[method] = verdict
        return verdict

    async def _claims_of_override(self, override: Any) -> Claims | None:
        claims = await claims_of_override(override)
        if claims is None:
            _log.error("%s", UNUSABLE)
        return claims

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
        match, method = RouteMatch(is_unroutable=True), method_of(asgi_scope)
        override = override_of(self.app, self.context.guard)
        verdict = await self._verdict_on(match, method, asgi_scope, override)
        if verdict.problem is not None:
            await send_refusal(verdict.problem, asgi_scope, receive, send)
