"""What a perimeter decided on one connection, held on its way from router to router."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from starlette.routing import Router
from starlette.types import ASGIApp, Scope

from fastapi_scopes._routing import Endpoint, RouteMatch, Shown, router_of_nothing
from fastapi_scopes.authorization import (
    Authorizer,
    Running,
    Verdict,
    has_credentials_of,
    state_of,
)
from fastapi_scopes.responses import send_refusal

__all__ = ["Passage", "Terms"]

_NOWHERE: Final = RouteMatch()


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What is the same for all connections that one perimeter lets pass."""

    guard: object
    authorizer: Authorizer
    ending: Callable[[ASGIApp, float], ASGIApp] | None = None
    """Makes of an app one that streams no longer than to a time."""


@dataclass(slots=True, eq=False)
class Passage:
    """Leads one connection to the one endpoint that was decided on, once."""

    terms: Terms
    verdict: Verdict
    match: RouteMatch
    passed: int = 0
    """How many routers were shown what was decided on."""
    is_spent: bool = False
    """Whether the endpoint ran, was not found where it was, or may run no longer."""
    is_running: bool = False
    """Whether it runs now."""
    is_over: bool = False
    """Whether the connection has ended for whoever decided."""
    bound: Scope | None = field(default=None, repr=False)
    """The scope in which the claims were made known to the application."""

    @property
    def has_arrived(self) -> bool:
        """Whether the last router on the way was shown it."""
        return self.passed >= len(self.match.steps)

    @property
    def is_on_its_way(self) -> bool:
        """Whether there is a router to come that is to be shown it."""
        return not self.is_over and not self.has_arrived

    def goes_by(self, endpoint: Endpoint) -> bool:
        """Tell whether what the last router was shown is *endpoint*, and leads on."""
        is_shown = self.passed > 0 and self.is_on_its_way
        return is_shown and self.match.steps[self.passed - 1].goes_by(endpoint)

    def is_met_by(self, router: Router, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether *router* is the next on the way, and gets what was decided on."""
        step = self.match.steps[self.passed]
        is_next = step.pin.router is router and step.is_met_by(asgi_scope)
        return is_next and has_credentials_of(self.verdict.request, asgi_scope)

    def show(self, router: Router, asgi_scope: Scope) -> Shown:
        """Go on to *router*; return what tells apart what it is shown, and its copy that has that.

        INVARIANT: nothing is awaited between this look and the router's
        (attacks/test_late_verdicts.py): what is no longer what was decided on is not shown.
        """
        step = self.match.steps[self.passed]
        is_met = not step.has_moved and self.is_met_by(router, asgi_scope)
        self.passed += 1
        return (step.pin.key, step.pin.shown) if is_met else (None, router_of_nothing(router))

    def open(self, endpoint: Endpoint, asgi_scope: Scope) -> bool:
        """Let *endpoint* run, once, as it is called in *asgi_scope*; tell whether it may.

        INVARIANT: what a route makes of a connection while it matches is looked at, too
        (attacks/test_overriding_routes.py).
        """
        match = self.match
        if self.is_spent or self.passed < len(match.steps):
            return False
        self.is_spent = True
        self.is_running = (
            match.endpoint is endpoint
            and match.steps[-1].leads_to(asgi_scope, match.path_params)
            and has_credentials_of(self.verdict.request, asgi_scope)
        )
        return self.is_running

    def lead(self, router: Router, asgi_scope: Scope) -> ASGIApp:
        """Return what runs before the matching of *router*, where nobody else decided."""
        refusal = self.begin(asgi_scope)
        return refusal or self.around(self.show(router, asgi_scope)[1].app)

    def begin(self, asgi_scope: Scope, route: Any = None) -> ASGIApp | None:
        """Tell the application who the caller is; *route* is what runs now, if it asks.

        Return what answers in its place where it must not run.
        """
        guard, authorizer = self.terms.guard, self.terms.authorizer
        if route is not None:
            state = state_of(asgi_scope)
            # Where a guard decided twice, on the way, the last verdict is the nearest.
            verdict = state.verdicts.get(guard, self.verdict)
            if state.running is None or state.running.route is not route:
                state.running = Running(route, {guard: verdict})
            else:
                state.running.verdicts[guard] = verdict
        if authorizer.bind is None or not self.verdict.has_claims:
            return None
        passages = state_of(asgi_scope).passages.values()
        if any(each.is_bound_to(asgi_scope, guard) for each in passages):
            return None
        self.bound = asgi_scope
        problem = authorizer.bind_to(self.verdict, asgi_scope)
        return partial(send_refusal, problem) if problem is not None else None

    def is_bound_to(self, asgi_scope: Scope, guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        is_told = self.terms.guard is guard and self.verdict.has_claims
        return is_told and self.bound is asgi_scope

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, which streams no longer than the caller's token holds, if that is asked."""
        ending = self.terms.ending
        if ending is None or self.verdict.expires_at is None:
            return app
        return ending(app, self.verdict.expires_at)

    def end(self) -> None:
        """Let nothing pass any more."""
        self.is_over = self.is_spent = True
        # They lead back to the connection's scope, which only the garbage collector would free.
        self.bound, self.match = None, _NOWHERE
