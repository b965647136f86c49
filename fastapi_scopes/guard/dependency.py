"""The guard as a dependency: verdicts on connections that have come to an endpoint."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, cast

from starlette.applications import Starlette

from fastapi_scopes._routing import DependencyRoutes, ResolvedRoute, RouteTree, is_running
from fastapi_scopes.authorization import (
    AccessRequest,
    Authorizer,
    ConnectionState,
    Rulebook,
    Verdict,
    access_request_of,
    awaited_verdict,
    fork_state,
    has_method_and_credentials_of,
    known_state_of,
    method_of,
    state_of,
    usable_method_of,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.guard.attachment import process_watch

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
        self.guard = guard
        self.rules: Rulebook = rules
        self.authorizer: Authorizer = authorizer
        self.is_guard: Callable[[object], bool] = is_guard
        self.ends_streams: bool = ends_streams
        self._warns_of_endless_streams = ends_streams
        self._is_heard = bool(authorizer.reporter.deliveries)

    def verdict_on(self, asgi_scope: MutableMapping[str, Any]) -> Verdict | Awaitable[Verdict]:
        """Return the verdict on a connection, by the endpoint that the framework chose for it.

        It is to be awaited while the verifier waits for something.
        """
        before = known_state_of(asgi_scope)
        running = before.running if before is not None else None
        verdict = running.verdicts.get(self.guard) if running is not None else None
        if running is None or verdict is None or not is_running(running.route, asgi_scope):
            return self._authorize(asgi_scope, before)
        return self._verdict_again(verdict, asgi_scope)

    def verdict_for(
        self,
        route: ResolvedRoute | None,
        asgi_scope: MutableMapping[str, Any],
        claims: Claims | None,
    ) -> Verdict:
        """Return the verdict on a caller with *claims* on *route*, at which the guard runs.

        *asgi_scope* has no credentials; nothing is asked, told or awaited.
        """
        method = usable_method_of(asgi_scope)
        known = route if method is not None else None
        request, rule = self._request_on(known, method or method_of(asgi_scope), asgi_scope)
        authorize = self.authorizer.authorize
        return cast("Verdict", authorize(request, rule, asgi_scope, override_claims=claims))

    def _request_on(
        self, route: ResolvedRoute | None, method: str, asgi_scope: MutableMapping[str, Any]
    ) -> tuple[AccessRequest, Rule | None]:
        if route is not None and route.awaited is not None:
            # INVARIANT: code that awaits the guard by itself asks for the scopes of Security too
            # (attacks/test_awaited_guards.py).
            route = route.awaited
        rule = self.rules.rule_for(method, route)
        return access_request_of(asgi_scope, route, rule, method=method), rule

    def tree_of(self, app: Starlette) -> RouteTree:
        """Return the routes of *app* on which the guard may run as a dependency."""
        return self._routes_of(app).tree

    def _verdict_again(
        self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]
    ) -> Verdict | Awaitable[Verdict]:
        """Return *verdict*, by which the perimeter let this endpoint run, where it still holds."""
        if not has_method_and_credentials_of(verdict.request, asgi_scope):
            return self._authorize_again(access_request_of(asgi_scope, None), None, asgi_scope)
        route = cast("ResolvedRoute | None", verdict.request.route)
        if route is None or route.awaited is None:
            return verdict
        # Code that awaits the guard by itself asks for more scopes than the perimeter knew of.
        rule = self.rules.rule_for(method_of(asgi_scope), route.awaited)
        request = access_request_of(asgi_scope, route.awaited, rule)
        return self._authorize_again(request, rule, asgi_scope)

    async def _authorize_again(
        self, request: AccessRequest, rule: Rule | None, asgi_scope: MutableMapping[str, Any]
    ) -> Verdict:
        verdict = await awaited_verdict(self.authorizer.authorize(request, rule, asgi_scope))
        self.authorizer.reporter.tell(verdict)
        return verdict

    def _authorize(
        self, asgi_scope: MutableMapping[str, Any], before: ConnectionState | None
    ) -> Verdict | Awaitable[Verdict]:
        """Return the verdict on a connection that no perimeter led to this endpoint.

        *before* is what guards have found on the connection so far.
        """
        if self._warns_of_endless_streams:
            self._warns_of_endless_streams = False
            _log.warning("%s", ENDLESS)
        method = usable_method_of(asgi_scope)
        app, route = asgi_scope.get("app"), None
        if method is not None and isinstance(app, Starlette):
            route = self._routes_of(app).find(asgi_scope)
        request, rule = self._request_on(route, method or method_of(asgi_scope), asgi_scope)
        if before is not None:
            known = before.verdicts.get(self.guard)
            if known is not None and known.request == request and before.is_of(asgi_scope):
                return known
        state = fork_state(asgi_scope)
        verdict = self.authorizer.authorize(request, rule, asgi_scope)
        if not isinstance(verdict, Verdict):
            return self._bound_later(verdict, state, asgi_scope)
        return self._bound(verdict, state, asgi_scope)

    async def _bound_later(
        self,
        verdict: Awaitable[Verdict],
        state: ConnectionState,
        asgi_scope: MutableMapping[str, Any],
    ) -> Verdict:
        return self._bound(await verdict, state, asgi_scope)

    def _bound(
        self, verdict: Verdict, state: ConnectionState, asgi_scope: MutableMapping[str, Any]
    ) -> Verdict:
        """Bind the claims of an allowing *verdict*, keep it in *state*, and tell of it.

        Return it, or the refusal of `bind`.
        """
        if verdict.problem is None:
            verdict = self.authorizer.bind_to(verdict, asgi_scope)
        if verdict.problem is None:
            state.verdicts[self.guard] = verdict
            if not self._is_heard and not verdict.reported:
                return verdict
        self.authorizer.reporter.tell(verdict)
        return verdict

    def _routes_of(self, app: Starlette) -> DependencyRoutes:
        # Kept on the app, to which they refer, so that they are freed with it.
        known: dict[object, DependencyRoutes] = vars(app).setdefault(_ROUTES, {})
        routes = known.get(self.guard)
        if routes is None:
            process_watch.drop(self.guard)
            routes = DependencyRoutes(app, self.guard, is_guard=self.is_guard)
            known[self.guard] = routes
        return routes
