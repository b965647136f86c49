"""The guard as a dependency: verdicts on connections that have come to an endpoint."""

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Final, cast

from starlette.applications import Starlette

from fastapi_scopes._routing import DependencyRoutes, ResolvedRoute, RouteTree, is_running
from fastapi_scopes.authorization import (
    Authorizer,
    Rulebook,
    Verdict,
    access_request_of,
    fork_state,
    has_method_and_credentials_of,
    has_unusable_target,
    known_state_of,
    method_of,
    state_of,
)
from fastapi_scopes.core.findings import Finding, FindingCode, Severity

__all__ = ["ENDLESS", "DependencyEdge", "admin_scope_of"]

_log = logging.getLogger("fastapi_scopes")

_ROUTES: Final = "__fastapi_scopes_routes__"
ENDLESS: Final = Finding(
    FindingCode.OPTION_WITHOUT_EFFECT,
    Severity.ERROR,
    None,
    None,
    "end_at_exp=True ends no stream and closes no socket of an app that the guard does not protect",
    "call protect() on the app, or leave end_at_exp out",
)


def admin_scope_of(asgi_scope: MutableMapping[str, Any]) -> str | None:
    """Return the admin scope of the guard that is letting a connection pass; for `bind`."""
    return state_of(asgi_scope).admin_scope


class DependencyEdge:
    """Finds the rule for an endpoint that runs *guard* as a dependency, and authorizes by it.

    Where a perimeter of the same guard let the endpoint run, the verdict of that stands.
    """

    def __init__(
        self,
        guard: object,
        rules: Rulebook,
        authorizer: Authorizer,
        *,
        is_guard: Callable[[object], bool],
        ends_streams: bool,
    ) -> None:
        self._guard = guard
        self._rules = rules
        self._authorizer = authorizer
        self._is_guard = is_guard
        self._warns_of_endless_streams = ends_streams

    async def verdict_on(self, asgi_scope: MutableMapping[str, Any]) -> Verdict:
        """Return the verdict on a connection, by the endpoint that the framework chose for it."""
        return await self._perimeter_verdict(asgi_scope) or await self._authorize(asgi_scope)

    def tree_of(self, app: Starlette) -> RouteTree:
        """Return the routes of *app* on which the guard may run as a dependency."""
        return self._routes_of(app).tree

    async def _perimeter_verdict(self, asgi_scope: MutableMapping[str, Any]) -> Verdict | None:
        """Return the verdict of the perimeter by which this endpoint runs, or None without one."""
        state = known_state_of(asgi_scope)
        running = state.running if state is not None else None
        verdict = running.verdicts.get(self._guard) if running is not None else None
        if running is None or verdict is None or not is_running(running.route, asgi_scope):
            return None
        if not has_method_and_credentials_of(verdict.request, asgi_scope):
            return await self._authorizer.authorize(
                access_request_of(asgi_scope, None), None, asgi_scope
            )
        route = cast("ResolvedRoute | None", verdict.request.route)
        if route is None or route.awaited is None:
            return verdict
        # Code that awaits the guard by itself asks for more scopes than the perimeter knew of.
        rule = self._rules.rule_for(method_of(asgi_scope), route.awaited)
        request = access_request_of(asgi_scope, route.awaited, rule)
        return await self._authorizer.authorize(request, rule, asgi_scope)

    async def _authorize(self, asgi_scope: MutableMapping[str, Any]) -> Verdict:
        """Return the verdict on a connection that no perimeter led to this endpoint."""
        if self._warns_of_endless_streams:
            self._warns_of_endless_streams = False
            _log.warning("%s", ENDLESS)
        route = self._route_of(asgi_scope)
        if route is not None and route.awaited is not None:
            # INVARIANT: code that awaits the guard by itself asks for the scopes of Security too
            # (attacks/test_awaited_guards.py).
            route = route.awaited
        rule = self._rules.rule_for(method_of(asgi_scope), route)
        request = access_request_of(asgi_scope, route, rule)
        before = known_state_of(asgi_scope)
        known = before.verdicts.get(self._guard) if before is not None else None
        is_same_connection = before is not None and before.is_of(asgi_scope)
        if known is not None and known.request == request and is_same_connection:
            return known
        state = fork_state(asgi_scope)
        verdict = await self._authorizer.authorize(request, rule, asgi_scope)
        if verdict.problem is None:
            problem = self._authorizer.bind_to(verdict, asgi_scope)
            verdict = verdict.with_problem(problem) if problem is not None else verdict
        if verdict.problem is None:
            state.verdicts[self._guard] = verdict
        return verdict

    def _route_of(self, asgi_scope: MutableMapping[str, Any]) -> ResolvedRoute | None:
        app = asgi_scope.get("app")
        if not isinstance(app, Starlette) or has_unusable_target(asgi_scope):
            return None
        return self._routes_of(app).find(asgi_scope)

    def _routes_of(self, app: Starlette) -> DependencyRoutes:
        # Kept on the app, to which they refer, so that they are freed with it.
        known: dict[object, DependencyRoutes] = vars(app).setdefault(_ROUTES, {})
        if self._guard not in known:
            known[self._guard] = DependencyRoutes(app, self._guard, is_guard=self._is_guard)
        return known[self._guard]
