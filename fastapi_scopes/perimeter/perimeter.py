"""The closed perimeter: every connection of an app is decided on before its router sees it."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing import (
    EnforcedEndpoint,
    InnerRouter,
    Passages,
    PerimeterView,
    ResolvedRoute,
    RouteIndex,
    RouteMatch,
    RouteTree,
    entrances_of,
    front_of,
    hides_its_router,
    install_gate,
    is_dispatcher,
    is_running_its_router,
    start_counting,
)
from fastapi_scopes.authorization import (
    Authorizer,
    Rulebook,
    Verdict,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.steps import drained
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.perimeter.checking import AppCheck
from fastapi_scopes.perimeter.deciding import Decider
from fastapi_scopes.perimeter.entrance import Entrance
from fastapi_scopes.perimeter.overrides import override_of
from fastapi_scopes.perimeter.passages import Passage, PassageContext
from fastapi_scopes.perimeter.startup import (
    CheckedLifespan,
    PerimeterOptions,
    Problems,
    is_on_asyncio,
    run_at_once,
)
from fastapi_scopes.responses import send_refusal
from fastapi_scopes.verifiers.warm_ups import warm_up_in_time

__all__ = ["Perimeter", "perimeter_of"]


class Perimeter:
    """Decides on every connection of one app, right before its router looks for the route.

    *end_at_expiry* ends the streams of an app at a given time.

    Raises:
        ConfigurationError: the app's router does not match as the framework's do; the requirement
            for docs pages in *options* is not valid.
    """

    def __init__(
        self,
        app: Starlette,
        guard: object,
        *,
        scope_map: ScopeMap,
        authorizer: Authorizer,
        options: PerimeterOptions,
        is_guard: Callable[[object], bool],
        on_app_found: Callable[[Starlette], None],
        end_at_expiry: Callable[[ASGIApp, float], ASGIApp] | None = None,
    ) -> None:
        """Enclose *app*; *on_app_found* is called for each app mounted in it, once or more."""
        options.require_docs()
        self.app = app
        self.guard = guard
        self.options = options
        self.rules: Rulebook = Rulebook(scope_map, options.docs)
        self._verifier = authorizer.verifier
        self._reporter = authorizer.reporter
        self._is_guard = is_guard
        self._on_app_found = on_app_found
        context = PassageContext(guard, authorizer, end_at_expiry)
        self._decider = Decider(app, self.rules, context, hides_unknown=options.hide_unknown)
        self._check = AppCheck(
            app,
            guard,
            scope_map=scope_map,
            authorizer=authorizer,
            options=options,
            is_guard=is_guard,
            on_app_found=on_app_found,
            ends_streams=end_at_expiry is not None,
        )
        self._serving_entrance: Entrance = self._install(app.router)
        if hides_its_router(app) or not is_running_its_router(app):
            # The app serves already, maybe by an earlier router: from now on by this one.
            app.middleware_stack = None
        self._build: Callable[[], ASGIApp] = app.build_middleware_stack
        app.build_middleware_stack = self._build_stack  # type: ignore[method-assign]

    def entrance(self) -> Entrance:
        """Return the entrance before the router that the app has now, which may be a new one.

        INVARIANT: neither another router nor another stack of it leaves the app open
        (attacks/test_late_replacements.py, attacks/test_gates.py).

        Raises:
            ConfigurationError: the router does not match as the framework's do.
        """
        entrance = entrances_of(self.app.router).get(self)
        return entrance if isinstance(entrance, Entrance) else self._install(self.app.router)

    def tree(self) -> RouteTree:
        """Return the tree of the routes that the app has now."""
        return self.entrance().tree

    def _install(self, router: Router) -> Entrance:
        """Put a gate with an entrance before *router*, the app's own."""
        view = PerimeterView(self, self._report_app)
        # A router that matches in its own way is one endpoint, as a whole.
        front = front_of(router) if is_dispatcher(router) else router
        is_guard = self._is_guard
        tree = RouteTree(self.app, self.guard, is_guard=is_guard, view=view, router=front)
        entrance = Entrance(self.app, self.guard, tree, self._decider, self._check)
        if front is None or not (start_counting(front) and install_gate(front, self, entrance)):
            raise ConfigurationError.of(
                f"the router of the app ({type(router).__name__!r}) keeps its routes in its "
                "own way, or behind middleware of its own",
                "use a plain Router or APIRouter, and give middleware to the app",
            )
        lifespan: Any = router.lifespan_context
        if not isinstance(lifespan, CheckedLifespan) or lifespan.perimeter is not self:
            router.lifespan_context = CheckedLifespan(self, lifespan)
        return entrance

    def _report_app(self, inner: InnerRouter) -> None:
        if isinstance(inner.app, Starlette):
            self._on_app_found(inner.app)

    def find_apps(self) -> None:
        """Call *on_app_found* for the protected app and all mounted apps, before any is read."""
        self._on_app_found(self.app)
        self.tree().first_look()

    def _build_stack(self) -> ASGIApp:
        self._serving_entrance = self.entrance()
        return self._build()

    def _trees(self) -> list[RouteTree]:
        """Return the trees of the router that the app has, and of one that it still serves by."""
        entrance, serving = self.entrance(), self._serving_entrance
        is_other = serving is not entrance and self.app.middleware_stack is not None
        return [entrance.tree, serving.tree] if is_other else [entrance.tree]

    def check(self) -> Coverage:
        """Return what the map covers of the app, as the perimeter enforces it.

        Raises:
            ConfigurationError: the perimeter cannot stand before the app's router any more.
        """
        return drained(self._check.covering(self.entrance().tree))

    def verdict_for(self, asgi_scope: Scope, claims: Claims | None) -> tuple[RouteMatch, Verdict]:
        """Return where a connection of the app leads, and the verdict on a caller with *claims*.

        *asgi_scope* has no credentials; nothing is asked, told or awaited.
        """
        return self._decider.verdict_for(self.tree().preview, asgi_scope, claims)

    async def problems_at_start(self) -> Problems:
        """Check the app; return what keeps it from starting, and log what does not."""
        try:
            # An app without a gate is open, so it does not start, strict or not.
            return await self.entrance().find_problems(run_at_once)
        except ConfigurationError as error:
            return error.problems

    async def warm_up(self) -> None:
        """Have the verifier ask for its keys; what goes wrong keeps nothing from starting."""
        has_override = override_of(self.app, self.guard) is not self.guard
        if self.options.warm_up and not has_override and is_on_asyncio():
            await warm_up_in_time(self._verifier)

    async def flush(self) -> None:
        """Have the log and the hook learn of all decisions, before the app ends."""
        await self._reporter.flush()

    async def check_passage(
        self, router: Router, asgi_scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Return the passage of a connection that has come to *router*, if it still holds.

        Empty without a passage on its way; None where the connection is not as decided, and was
        refused.
        """
        passage = self._decider.passage_in(asgi_scope)
        if passage is None or not passage.is_on_its_way:
            return ()
        if passage.holds_at(router, asgi_scope):
            return (passage,)
        await self._decider.refuse(asgi_scope, receive, send)
        return None

    async def decide_at_router(
        self,
        router: Router,
        apps: Sequence[object],
        asgi_scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Passages:
        """Decide on a connection that comes to *router* by another way than through the app.

        *apps* are protected themselves, and were decided on: that is enough, except for those that
        are in this app.
        """
        indexes = [(tree, each) for tree in self._trees() for each in tree.indexes_of(router)]
        passage = self._decider.passage_in(asgi_scope)
        if (
            not indexes
            and passage is not None
            and _is_at_another_endpoint(passage, is_in_app=False)
        ):
            await self._decider.refuse(asgi_scope, receive, send)
            return None
        if apps:
            indexes = [each for each in indexes if any(each[1].app is app for app in apps)]

        def resolver_of(tree: RouteTree, index: RouteIndex) -> Callable[[Scope], RouteMatch]:
            return lambda asgi_scope: tree.resolve(asgi_scope, index)

        resolvers = [resolver_of(*each) for each in indexes]
        return await self._decider.decide(resolvers, send_refusal, asgi_scope, receive, send)

    def use_passage(self, endpoint: EnforcedEndpoint, asgi_scope: Scope) -> Passage | None:
        """Return the passage by which *endpoint* may run now, used up by that, or None."""
        passage = self._decider.passage_in(asgi_scope)
        return passage if passage is not None and passage.use(endpoint, asgi_scope) else None

    async def decide_at_endpoint(
        self, endpoint: EnforcedEndpoint, asgi_scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *endpoint* without a passage."""

        def resolver_of(route: ResolvedRoute) -> Callable[[Scope], RouteMatch]:
            return lambda _: RouteMatch.at(route, endpoint)

        passage = self._decider.passage_in(asgi_scope)
        if passage is not None and passage.passes_through(endpoint):
            # The mount is no endpoint any more; the router behind it has a gate.
            return ()
        places = [each for tree in self._trees() for each in tree.places_of(endpoint)]
        if passage is not None and _is_at_another_endpoint(passage, is_in_app=bool(places)):
            await self._decider.refuse(asgi_scope, receive, send)
            return None
        resolvers = [resolver_of(place.route) for place in places]
        return await self._decider.decide(resolvers, send_refusal, asgi_scope, receive, send)


def _is_at_another_endpoint(passage: Passage, *, is_in_app: bool) -> bool:
    """Tell whether a connection has come to another endpoint than was decided on.

    *is_in_app* tells whether the app has the endpoint to which it has come. Any other endpoint may
    only be called by the one that was decided on, while that runs.
    """
    if passage.is_closed:
        return False
    if is_in_app:
        return passage.is_on_its_way
    return not passage.is_running


def perimeter_of(app: Starlette) -> Perimeter | None:
    """Return the perimeter of *app*, or None where it has none."""
    # The builder of the stack first: it keeps the app closed where its gate was taken away.
    owners = (getattr(app.build_middleware_stack, "__self__", None), *entrances_of(app.router))
    return next((each for each in owners if isinstance(each, Perimeter) and each.app is app), None)
