"""The verdicts of a perimeter, and the passages that rest on them."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

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
    fields_of,
    fork_state,
    is_unruly,
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
from fastapi_scopes.perimeter.passages import Passage, Terms
from fastapi_scopes.responses import send_refusal

__all__ = ["Decider"]

_log = logging.getLogger("fastapi_scopes")

_ANONYMOUS: Final = frozenset({Access.PUBLIC, Access.OPTIONAL})
_ANY_AUTHENTICATED: Final = Rule(ANY_METHOD, Pattern.parse("/**"), parse_requirement(AUTHENTICATED))


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """Decides on connections of one protected app, wherever they come to what that rules."""

    app: Starlette
    rules: Rulebook
    terms: Terms
    hides_unknown: bool

    async def decide(
        self,
        resolvers: Iterable[Callable[[Scope], RouteMatch]],
        refuse: Callable[[Problem, Scope, Receive, Send], Awaitable[None]],
        scope: Scope,
        *channels: Any,
    ) -> Passages:
        """Return what lets a connection pass, its verdict left in its scope, or *refuse* it.

        Each of *resolvers* says where it leads; all must allow.
        """
        passage: Passage | None = None
        # What can be read once is read once.
        fields_of(scope)
        for resolve in resolvers:
            # What no rule can hold for leads nowhere: nothing is looked up for it.
            match = RouteMatch(is_refused=True) if is_unruly(scope) else resolve(scope)
            fork_state(scope)
            verdict = self._settled(match, scope)
            if verdict is None:
                verdict = await self._verdict_on(match, scope)
            if verdict.problem is not None:
                if self.hides_unknown and match.endpoint is not None:
                    match.look_for_nothing()
                state_of(scope).verdicts[self.terms.guard] = verdict
                await refuse(verdict.problem, scope, *channels)
                return None
            if passage is None:
                # Without routers to come, what was decided on runs now.
                passage = Passage(self.terms, verdict, match, is_spent=not match.steps)
        if passage is None:
            return ()
        state = state_of(scope)
        state.verdicts[self.terms.guard] = passage.verdict
        state.passages[self] = passage
        return (passage,)

    def _settled(self, match: RouteMatch, scope: Scope) -> Verdict | None:
        """Return the verdict where it is the same for every caller, and was given before."""
        if match.route is None or override_of(self.app, self.terms.guard) is not self.terms.guard:
            return None
        return match.route.settled.get(method_of(scope))

    async def _verdict_on(self, match: RouteMatch, scope: Scope) -> Verdict:
        method = method_of(scope)
        is_unknown = match.route is None and not match.is_refused
        if is_unknown and not self.hides_unknown:
            # Nothing runs: the router says so itself.
            return Verdict(AccessRequest(None, method, looks_at_credentials=False))
        rule = _ANY_AUTHENTICATED if is_unknown else self._rule_for(match, method)
        verdict = await self._authorize(match.route, rule, scope)
        is_public = rule is not None and rule.requirement.access is Access.PUBLIC
        # INVARIANT: no more than there are rules, however many methods clients think of
        # (attacks/test_method_names.py).
        if match.route is not None and is_public and method in match.route.bound:
            match.route.settled[method] = verdict
        return verdict

    async def _authorize(
        self, route: ResolvedRoute | None, rule: Rule | None, scope: Scope
    ) -> Verdict:
        override, stand_in = override_of(self.app, self.terms.guard), None
        if override is not self.terms.guard:
            stand_in = await self._stand_in(override)
            if stand_in is None:
                rule = None
        request = access_request_of(scope, route, rule)
        return await self.terms.authorizer.authorize(request, rule, scope, stand_in=stand_in)

    async def _stand_in(self, override: Any) -> Claims | None:
        claims = await claims_of_override(override)
        if claims is None:
            _log.error("%s", UNUSABLE)
        return claims

    def _rule_for(self, match: RouteMatch, method: str) -> Rule | None:
        rule = self.rules.rule_for(method, match.route)
        if rule is not None or match.route is None or match.redirected is None:
            return rule
        # Other code could answer before the router redirects: it takes who may go there.
        target = self.rules.rule_for(method, match.redirected)
        is_open = target is not None and target.requirement.access in _ANONYMOUS
        # That the target is open to all says nothing of the path that was asked for.
        return _ANY_AUTHENTICATED if is_open else target

    def passage_in(self, scope: Scope) -> Passage | None:
        """Return what this perimeter decided on a connection that came through it."""
        passage = state_of(scope).passages.get(self)
        return passage if isinstance(passage, Passage) else None

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a connection that is led elsewhere than was decided."""
        verdict = await self._authorize(None, None, scope)
        if verdict.problem is not None:
            await send_refusal(verdict.problem, scope, receive, send)
