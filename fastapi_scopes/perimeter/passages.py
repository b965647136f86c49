"""The passage of one connection: its verdict, on the way through the routers to the endpoint."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from starlette.routing import Router
from starlette.types import ASGIApp, Scope

from fastapi_scopes._routing import (
    EnforcedEndpoint,
    PinnedCopy,
    RouteMatch,
    router_of_nothing,
)
from fastapi_scopes.authorization import (
    Authorizer,
    RunningEndpoint,
    Verdict,
    has_credentials_of,
    state_of,
)
from fastapi_scopes.responses import send_refusal

__all__ = ["Passage", "PassageContext"]

_NOWHERE: Final = RouteMatch()


@dataclass(frozen=True, slots=True, eq=False)
class PassageContext:
    """What all passages of one perimeter share."""

    guard: object
    authorizer: Authorizer
    end_at_expiry: Callable[[ASGIApp, float], ASGIApp] | None = None
    """Ends the streams of an app at a given time; None where streams do not end."""
    is_heard: bool = field(init=False)
    """Whether a hook of the application is told of every decision."""

    def __post_init__(self) -> None:
        """Ask once whether anybody listens."""
        object.__setattr__(self, "is_heard", bool(self.authorizer.reporter.deliveries))


class Passage:
    """Leads one connection to the one endpoint that its verdict allows, once."""

    # Not a dataclass: defaults stay on the class, so that a request pays for no attribute that it
    # does not set.
    routers_passed: int = 0
    """How many of the routers on the way the connection has come to."""
    is_running: bool = False
    """Whether the endpoint runs now."""
    is_closed: bool = False
    """Whether the connection has ended for the perimeter."""
    is_untold: bool = False
    """Whether nobody was told of the verdict yet, because `bind` has the last word."""
    bound_scope: Scope | None = None
    """The scope in which the claims were made known to the application."""

    def __init__(self, context: PassageContext, verdict: Verdict, match: RouteMatch) -> None:
        self.context: PassageContext = context
        self.verdict: Verdict = verdict
        self.match: RouteMatch = match
        self.is_used: bool = not match.steps
        """Whether the endpoint has run, or may not run any more.

        Without routers on the way, the endpoint itself asked, and runs now.
        """

    def __repr__(self) -> str:
        return f"<Passage by {self.verdict!r}>"

    @property
    def has_arrived(self) -> bool:
        """Whether the connection has come to the last router on the way."""
        return self.routers_passed >= len(self.match.steps)

    @property
    def is_on_its_way(self) -> bool:
        """Whether the connection has yet to come to a router on the way."""
        return not self.is_closed and not self.has_arrived

    def passes_through(self, endpoint: EnforcedEndpoint) -> bool:
        """Tell whether *endpoint* is the route at the last router, and leads to another now."""
        has_passed_one = self.routers_passed > 0 and self.is_on_its_way
        return has_passed_one and self.match.steps[self.routers_passed - 1].was_endpoint(endpoint)

    def holds_at(self, router: Router, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether *router* is the next on the way, and the connection is as decided."""
        step = self.match.steps[self.routers_passed]
        if step.pin.router is not router or not step.holds_for(asgi_scope):
            return False
        request = self.verdict.request
        return not request.looks_at_credentials or has_credentials_of(request, asgi_scope)

    def pin_router(self, router: Router, asgi_scope: Scope) -> PinnedCopy:
        """Note that the connection comes to *router*; return the key of its route, and its copy.

        Where the connection is not as decided, the copy has no routes.

        INVARIANT: nothing is awaited between this look and that of the router
        (attacks/test_late_verdicts.py).
        """
        step = self.match.steps[self.routers_passed]
        holds = not step.has_moved and self.holds_at(router, asgi_scope)
        self.routers_passed += 1
        return (step.pin.key, step.pin.pinned_copy) if holds else (None, router_of_nothing(router))

    def use(self, endpoint: EnforcedEndpoint, asgi_scope: Scope) -> bool:
        """Tell whether *endpoint* may run now, called with *asgi_scope*; it may do so once.

        INVARIANT: what a route makes of a connection while it matches is looked at, too
        (attacks/test_overriding_routes.py).
        """
        if self.is_used or not self.has_arrived:
            return False
        match = self.match
        self.is_used = True
        self.is_running = (
            match.endpoint is endpoint
            and match.steps[-1].runs_as_decided(asgi_scope, match.path_params)
            and has_credentials_of(self.verdict.request, asgi_scope)
        )
        return self.is_running

    def app_for(self, router: Router, asgi_scope: Scope) -> ASGIApp:
        """Return the app to run in place of the matching of *router*, where nobody else decided.

        It is the endpoint where the way to it is known, else the pinned copy, with the claims
        bound; or a refusal.
        """
        context = self.context
        # Not called where there is nothing to do: this is the way of every request.
        refusal = self.bind_claims(asgi_scope) if context.authorizer.bind is not None else None
        if refusal is not None:
            return refusal
        app = self._direct_app(router, asgi_scope) or self.pin_router(router, asgi_scope)[1].app
        return app if context.end_at_expiry is None else self.with_expiry(app)

    def _direct_app(self, router: Router, asgi_scope: Scope) -> ASGIApp | None:
        """Return the app that runs the endpoint without *router*, where that has nothing to add."""
        match = self.match
        if len(match.steps) != 1 or match.endpoint is None or match.path_params is None:
            return None
        pin = match.steps[0].pin
        direct_run = pin.direct_run_to(match.endpoint, asgi_scope, match.path_params)
        # INVARIANT: the connection is looked at last. Any code may have run since the decision,
        # that of a convertor or of a claims model without waiting (attacks/test_late_code.py).
        if direct_run is None or not self.holds_at(router, asgi_scope):
            return None
        self.routers_passed = 1
        self.is_used = self.is_running = True
        verdicts = {self.context.guard: self.verdict}
        state_of(asgi_scope).running = RunningEndpoint(direct_run.route, verdicts)
        return direct_run.app_in(asgi_scope, match.path_params)

    def bind_claims(self, asgi_scope: Scope, route: Any = None) -> ASGIApp | None:
        """Make the claims of the caller known to the application, in *asgi_scope*.

        *route* is the route that is about to run, where a route asks. Return the app that refuses
        the connection instead where the application refuses the claims, else None.
        """
        guard, authorizer = self.context.guard, self.context.authorizer
        if route is not None:
            state = state_of(asgi_scope)
            # Where the guard has decided on the way again, its last verdict counts.
            verdict = state.verdicts.get(guard, self.verdict)
            if state.running is None or state.running.route is not route:
                state.running = RunningEndpoint(route, {guard: verdict})
            else:
                state.running.verdicts[guard] = verdict
        if authorizer.bind is None or not self.verdict.has_claims:
            return None
        passages = state_of(asgi_scope).passages.values()
        if any(each.has_bound_claims_in(asgi_scope, guard) for each in passages):
            return None
        self.bound_scope = asgi_scope
        verdict = authorizer.bind_to(self.verdict, asgi_scope)
        if self.is_untold or verdict.problem is not None:
            self.is_untold = False
            authorizer.reporter.tell(verdict)
        if verdict.problem is None:
            return None
        # Whoever asks for claims afterwards learns of nobody who was let pass.
        state_of(asgi_scope).verdicts[guard] = verdict
        return partial(send_refusal, verdict.problem)

    def tell_of_verdict(self) -> None:
        """Tell the log and the hook of the verdict, now or when `bind` has said its word."""
        authorizer = self.context.authorizer
        if authorizer.bind is not None and self.verdict.has_claims:
            self.is_untold = True
        else:
            authorizer.reporter.tell(self.verdict)

    def has_bound_claims_in(self, asgi_scope: Scope, guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        is_for_guard = self.context.guard is guard and self.verdict.has_claims
        return is_for_guard and self.bound_scope is asgi_scope

    def with_expiry(self, app: ASGIApp) -> ASGIApp:
        """Return *app*, with streams that end when the caller's token expires, if so configured."""
        end_at_expiry = self.context.end_at_expiry
        if end_at_expiry is None or self.verdict.expires_at is None:
            return app
        return end_at_expiry(app, self.verdict.expires_at)

    def close(self) -> None:
        """End the passage: nothing runs by it any more."""
        if self.is_untold:
            self.is_untold = False
            self.context.authorizer.reporter.tell(self.verdict)
        self.is_closed, self.is_used, self.is_running = True, True, False
        # Both refer to the connection's scope: a cycle that only the garbage collector frees.
        self.bound_scope, self.match = None, _NOWHERE
