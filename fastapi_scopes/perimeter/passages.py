"""What a perimeter decided on one connection, held on its way from router to router."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing import Endpoint, RouteMatch, Shown, router_of_nothing
from fastapi_scopes.authorization import (
    Authorizer,
    Running,
    Verdict,
    is_still_asked,
    state_of,
)
from fastapi_scopes.responses import send_refusal

__all__ = ["Passage"]

_NOWHERE: Final = RouteMatch()


@dataclass(slots=True, eq=False)
class Passage:
    """Leads one connection to the one endpoint that was decided on, once."""

    guard: object
    authorizer: Authorizer
    verdict: Verdict
    match: RouteMatch
    ending: Callable[[ASGIApp, float], ASGIApp] | None = None
    """Makes of an app one that streams no longer than to a time."""
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
        is_next = step.router is router and step.is_met_by(asgi_scope)
        return is_next and is_still_asked(self.verdict.request, asgi_scope)

    def show(self, router: Router, asgi_scope: Scope) -> Shown:
        """Go on to *router*; return what tells apart what it is shown, and its copy that has that.

        INVARIANT: nothing is awaited between this look and the router's
        (attacks/test_late_verdicts.py): what is no longer what was decided on is not shown.
        """
        step = self.match.steps[self.passed]
        is_met = not step.has_moved and self.is_met_by(router, asgi_scope)
        self.passed += 1
        return (step.key, step.pinned) if is_met else (None, router_of_nothing(router))

    def open(self, endpoint: Endpoint, asgi_scope: Scope) -> bool:
        """Let *endpoint* run, once, as it is called in *asgi_scope*; tell whether it may.

        INVARIANT: what a route makes of a connection while it matches is looked at, too
        (attacks/test_overriding_routes.py).
        """
        if self.is_spent or not self.has_arrived:
            return False
        self.is_spent = True
        self.is_running = (
            self.match.endpoint is endpoint
            and self.match.steps[-1].leads_to(asgi_scope, self.match.path_params)
            and is_still_asked(self.verdict.request, asgi_scope)
        )
        return self.is_running

    def close(self) -> None:
        """Note that what was opened has run: what comes now is no part of it."""
        self.is_running = False

    async def begin(self, scope: Scope, receive: Receive, send: Send, route: Any = None) -> bool:
        """Tell the application who the caller is; *route* is what runs now, if it asks.

        False is returned where the caller got an answer instead.
        """
        state = state_of(scope)
        if route is not None:
            if state.running is None or state.running.route is not route:
                state.running = Running(route)
            # Where a guard decided twice, on the way, the last verdict is the nearest.
            state.running.verdicts[self.guard] = state.verdicts.get(self.guard, self.verdict)
        if self.authorizer.bind is None or not self.verdict.has_claims:
            return True
        if any(each.is_bound_to(scope, self.guard) for each in state.passages.values()):
            return True
        self.bound = scope
        problem = self.authorizer.bind_to(self.verdict, scope)
        if problem is not None:
            await send_refusal(problem, scope, receive, send)
        return problem is None

    def is_bound_to(self, asgi_scope: Scope, guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        is_told = self.guard is guard and self.verdict.has_claims
        return is_told and self.bound is asgi_scope

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, which streams no longer than the caller's token holds, if that is asked."""
        if self.ending is None or self.verdict.expires_at is None:
            return app
        return self.ending(app, self.verdict.expires_at)

    def end(self) -> None:
        """Let nothing pass any more."""
        self.is_over = self.is_spent = True
        # They lead back to the connection's scope, which only the garbage collector would free.
        self.bound, self.match = None, _NOWHERE
