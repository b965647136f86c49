"""The closed perimeter: every connection of an app is decided on before its router sees it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing import (
    Endpoint,
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
    is_answering,
    is_dispatcher,
    is_not_found_patched,
    is_running_its_router,
    is_watchable,
    placed_endpoints,
    protected_endpoints_of,
    reentries_below,
    untaken_in,
)
from fastapi_scopes.authorizer import (
    Asked,
    Authorizer,
    Rules,
    Verdict,
    asked_of,
    fields_of,
    fork_state,
    is_unruly,
    method_of,
    state_of,
    with_docs,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage, covering
from fastapi_scopes.core.endpoints import Endpoint as EndpointOfApp
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.problems import UNDECIDED, Problem
from fastapi_scopes.core.requirements import AUTHENTICATED, Access, parse_requirement
from fastapi_scopes.core.scope_map import ANY_METHOD, Rule, ScopeMap
from fastapi_scopes.core.steps import drained
from fastapi_scopes.core.templates import Pattern
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.perimeter.overrides import (
    UNUSABLE,
    claims_of_override,
    override_of,
    override_problem,
)
from fastapi_scopes.perimeter.passages import Passage
from fastapi_scopes.perimeter.startup import (
    SLICE,
    Check,
    CheckedLifespan,
    PerimeterOptions,
    run_at_once,
    run_in_slices,
)
from fastapi_scopes.responses import answer, send_refusal

__all__ = ["Perimeter", "perimeter_of"]

_log = logging.getLogger("fastapi_scopes")

_CUSTOM_404_NOTICE: Final = (
    "the app's own handler answers whoever asks for an unknown path or method; pass "
    "hide_unknown=True where that is not for everyone"
)
_PATCHED_404_NOTICE: Final = (
    "not_found of the framework's routers was replaced; whatever it is by now answers whoever asks "
    "for an unknown path"
)
_ASYNCIO_ALONE: Final = (
    "end_at_exp=True ends no stream and closes no socket on another event loop than that of "
    "asyncio; serve on asyncio, or leave end_at_exp out"
)
_ANONYMOUS: Final = frozenset({Access.PUBLIC, Access.OPTIONAL})
_ANY_AUTHENTICATED: Final = Rule(ANY_METHOD, Pattern.parse("/**"), parse_requirement(AUTHENTICATED))


@dataclass(eq=False, slots=True)
class _Entrance:
    """Where a perimeter decides: right before the matching of a router that its app has or had.

    INVARIANT: it decides by the routes of that router, also where the app has another one by now
    (attacks/test_gates.py).
    """

    perimeter: "Perimeter"
    tree: RouteTree
    problems: tuple[str, ...] | None = None
    """What keeps the app from serving with that router; None where nobody has looked yet."""
    override_problem: str | None = None
    """The same of what stands in for the guard, which may be taken out again."""
    is_checking: bool = False

    @property
    def app(self) -> Starlette:
        """The protected app."""
        return self.perimeter.app

    async def enter(self, scope: Scope, receive: Receive, send: Send) -> Passages:
        """Decide on a connection of the app."""
        if self.problems is None:
            await self._check_late()
        if self.override_problem is not None:
            self.override_problem = await override_problem(self.app, self.perimeter.guard)
        if self.problems or self.override_problem:
            await answer(UNDECIDED, scope, receive, send)
            return None
        return await self.perimeter.decide([self.tree.resolve], answer, scope, receive, send)

    async def _check_late(self) -> None:
        # No lifespan ran.
        while self.problems is None:
            if self.is_checking:
                await anyio.sleep(SLICE)
                continue
            self.is_checking = True
            try:
                problems = await self.perimeter.problems_of(self, run_in_slices)
            finally:
                self.is_checking = False
            for problem in problems:
                _log.error("%s", problem)


class Perimeter:
    """Decides on every connection of one app, right before its router looks for the route.

    *ending* makes of an app one that streams no longer than to a time.

    Raises:
        ConfigurationError: the app's router does not match as the framework's do; *options*
            ask of docs pages what cannot be asked.
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
        ending: Callable[[ASGIApp, float], ASGIApp] | None = None,
    ) -> None:
        """Enclose *app*; *on_app_found* is told of every app mounted in it, once or more often."""
        options.require_docs()
        self.app = app
        self.guard = guard
        self.options = options
        self._scope_map = scope_map
        self._authorizer = authorizer
        self._is_guard = is_guard
        self._on_app_found = on_app_found
        self._ending = ending
        self.rules: Rules = Rules(scope_map, options.docs)
        self._served: _Entrance = self._install(app.router)
        if hides_its_router(app) or not is_running_its_router(app):
            # It serves already, maybe by a router that it had before: from now on by this one.
            app.middleware_stack = None
        self._build: Callable[[], ASGIApp] = app.build_middleware_stack
        app.build_middleware_stack = self._build_stack  # type: ignore[method-assign]

    # Where it stands.

    def entrance(self) -> _Entrance:
        """Stand right before the matching of the router that the app has now.

        INVARIANT: neither another router nor another stack of it leaves the app open
        (attacks/test_late_replacements.py, attacks/test_gates.py).

        Raises:
            ConfigurationError: the router does not match as the framework's do.
        """
        entrance = entrances_of(self.app.router).get(self)
        return entrance if isinstance(entrance, _Entrance) else self._install(self.app.router)

    def tree(self) -> RouteTree:
        """Return the routes of the app as it is now."""
        return self.entrance().tree

    def _install(self, router: Router) -> _Entrance:
        """Put the gate before *router*, the app's own."""
        view = PerimeterView(self, self._find_router)
        # What leads to routes in its own way is one endpoint, as a whole.
        front = front_of(router) if is_dispatcher(router) else router
        is_guard = self._is_guard
        tree = RouteTree(self.app, self.guard, is_guard=is_guard, view=view, router=front)
        entrance = _Entrance(self, tree)
        if front is None or not (is_watchable(front) and install_gate(front, self, entrance)):
            raise ConfigurationError(
                f"the router of the app ({type(router).__name__!r}) keeps its routes in its own "
                "way, or behind middleware of its own; use a plain Router or APIRouter, and give "
                "middleware to the app"
            )
        lifespan: Any = router.lifespan_context
        if not isinstance(lifespan, CheckedLifespan) or lifespan.perimeter is not self:
            router.lifespan_context = CheckedLifespan(self, lifespan)
        return entrance

    def _find_router(self, inner: InnerRouter) -> None:
        if isinstance(inner.app, Starlette):
            self._on_app_found(inner.app)

    def find_apps(self) -> None:
        """Tell of the protected app and of all that are mounted, before anything was read."""
        self._on_app_found(self.app)
        self.tree().first_look()

    def _find_apps_in(self, tree: RouteTree) -> None:
        for index in tree.indexes():
            if isinstance(index.app, Starlette):
                self._on_app_found(index.app)

    def _build_stack(self) -> ASGIApp:
        self._served = self.entrance()
        return self._build()

    def _trees(self) -> list[RouteTree]:
        """Return the routes of the app as it has them now, and as it still serves them."""
        entrance, served = self.entrance(), self._served
        is_other = served is not entrance and self.app.middleware_stack is not None
        return [entrance.tree, served.tree] if is_other else [entrance.tree]

    # What it finds at the start.

    def check(self) -> Coverage:
        """Return what the map covers of the app, as the perimeter enforces it.

        Raises:
            ConfigurationError: the perimeter cannot stand before the app's router any more.
        """
        return drained(self._covering(self.entrance().tree))

    def _covering(self, tree: RouteTree) -> Generator[None, None, Coverage]:
        yield from tree.refreshing(anew=True)
        endpoints: list[EndpointOfApp] = []
        for endpoint in protected_endpoints_of(tree, self.guard):
            endpoints.append(endpoint)
            yield
        self._find_apps_in(tree)
        docs = dict.fromkeys(each.template for each in endpoints if each.kind is Kind.DOCS)
        docs_map = with_docs(self._scope_map, self.options.docs, docs)
        coverage = yield from covering(self._scope_map, endpoints, docs_map=docs_map)
        return replace(coverage, notices=(*coverage.notices, *self._notices(tree)))

    def _notices(self, tree: RouteTree) -> Iterable[str]:
        yield from untaken_in(placed_endpoints(tree.root), self._is_guard)
        yield from reentries_below(tree.root, self.app)
        if not self.options.hide_unknown and is_answering(self.app):
            yield _CUSTOM_404_NOTICE
        if not self.options.hide_unknown and is_not_found_patched(self.app.router):
            yield _PATCHED_404_NOTICE

    async def problems_at_start(self) -> tuple[str, ...]:
        """Return what keeps the app from starting; log what does not."""
        try:
            # That the app is open is nothing to be denied by a rule that is not there.
            return await self.problems_of(self.entrance(), run_at_once)
        except ConfigurationError as error:
            return error.problems

    async def problems_of(
        self, entrance: _Entrance, run: Callable[[Check], Awaitable[tuple[str, ...]]]
    ) -> tuple[str, ...]:
        """Return what keeps the app from serving at *entrance*; log what does not."""
        entrance.tree.start_serving()
        found = await run(self._check(entrance))
        override = await override_problem(self.app, self.guard)
        if self._ending is not None and not _is_on_asyncio():
            found += (_ASYNCIO_ALONE,)
        entrance.problems, entrance.override_problem = found, override
        return found if override is None else (*found, override)

    def _check(self, entrance: _Entrance) -> Check:
        found: list[str] = []
        with collecting(found):
            coverage = yield from self._covering(entrance.tree)
            found.extend(coverage.problems)
            for each in coverage.shadowed:
                _log.warning("%s", each)
            for notice in coverage.notices:
                _log.info("%s", notice)
        if override_of(self.app, self.guard) is not self.guard:
            _log.warning("dependency_overrides stands in for the guard; take it out in production")
        if not self.options.strict:
            for problem in found:
                _log.warning("%s", problem)
            found.clear()
        return tuple(found)

    # What it decides.

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
            verdict = await self._verdict_on(match, scope)
            if verdict.problem is not None:
                if self.options.hide_unknown and match.endpoint is not None:
                    match.look_for_nothing()
                self._leave(verdict, scope)
                await refuse(verdict.problem, scope, *channels)
                return None
            passage = passage or self._passage(verdict, match)
        if passage is None:
            return ()
        state = self._leave(passage.verdict, scope)
        state.passages[self] = passage
        return (passage,)

    def _passage(self, verdict: Verdict, match: RouteMatch) -> Passage:
        # Without routers to come, what was decided on runs now.
        is_spent = not match.steps
        ending = self._ending
        return Passage(self.guard, self._authorizer, verdict, match, ending, is_spent=is_spent)

    def _leave(self, verdict: Verdict, scope: Scope) -> Any:
        state = state_of(scope)
        state.verdicts[self.guard] = verdict
        return state

    async def _verdict_on(self, match: RouteMatch, scope: Scope) -> Verdict:
        fork_state(scope)
        is_unknown = match.route is None and not match.is_refused
        if is_unknown and not self.options.hide_unknown:
            # Nothing runs: the router says so itself.
            asked = Asked(None, method_of(scope), scope["path"], (), looks_at_credentials=False)
            return Verdict(asked)
        rule = _ANY_AUTHENTICATED if is_unknown else self._rule_for(match, scope)
        return await self._authorize(match.route, rule, scope)

    async def _authorize(
        self, route: ResolvedRoute | None, rule: Rule | None, scope: Scope
    ) -> Verdict:
        override, stand_in = override_of(self.app, self.guard), None
        if override is not self.guard:
            stand_in = await self._stand_in(override)
            if stand_in is None:
                rule = None
        asked = asked_of(scope, route, rule)
        return await self._authorizer.judge(asked, rule, scope, stand_in=stand_in)

    async def _stand_in(self, override: Any) -> Claims | None:
        claims = await claims_of_override(override)
        if claims is None:
            _log.error("%s", UNUSABLE)
        return claims

    def _rule_for(self, match: RouteMatch, scope: Scope) -> Rule | None:
        method = method_of(scope)
        rule = self.rules.rule_for(method, match.route)
        if rule is not None or match.route is None or match.redirected is None:
            return rule
        # Other code could answer before the router redirects: it takes who may go there.
        target = self.rules.rule_for(method, match.redirected)
        is_open = target is not None and target.requirement.access in _ANONYMOUS
        # That the target is open to all says nothing of the path that was asked for.
        return _ANY_AUTHENTICATED if is_open else target

    # What it holds to that.

    async def hold(self, router: Router, scope: Scope, receive: Receive, send: Send) -> Passages:
        """Return what was decided on before a connection came to *router*."""
        passage = self._passage_in(scope)
        if passage is None or not passage.is_on_its_way:
            return ()
        if passage.is_met_by(router, scope):
            return (passage,)
        await self._refuse(scope, receive, send)
        return None

    async def decide_at(
        self, router: Router, apps: Sequence[object], scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *router* by another way than through the app.

        Where *apps* were decided on as protected themselves, their verdict is enough, but for
        those that are in this app.
        """
        indexes = [(tree, each) for tree in self._trees() for each in tree.indexes_of(router)]
        passage = self._passage_in(scope)
        if not indexes and passage is not None and _is_led_elsewhere(passage, is_reached=False):
            await self._refuse(scope, receive, send)
            return None
        if apps:
            indexes = [each for each in indexes if any(each[1].app is app for app in apps)]

        def resolver_of(tree: RouteTree, index: RouteIndex) -> Callable[[Scope], RouteMatch]:
            return lambda asgi_scope: tree.resolve(asgi_scope, index)

        resolvers = [resolver_of(*each) for each in indexes]
        return await self.decide(resolvers, send_refusal, scope, receive, send)

    def open(self, endpoint: Endpoint, scope: Scope) -> Sequence[Passage]:
        """Return what lets a connection have *endpoint*, right before that runs."""
        passage = self._passage_in(scope)
        is_open = passage is not None and passage.open(endpoint, scope)
        return (passage,) if passage is not None and is_open else ()

    async def decide_on(
        self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *endpoint* by a way that nobody decided on."""

        def resolver_of(route: ResolvedRoute) -> Callable[[Scope], RouteMatch]:
            return lambda _: RouteMatch(route, endpoint)

        passage = self._passage_in(scope)
        if passage is not None and passage.goes_by(endpoint):
            # A mount that is one endpoint no more; the router behind it has a gate.
            return ()
        places = [each for tree in self._trees() for each in tree.places_of(endpoint)]
        if passage is not None and _is_led_elsewhere(passage, is_reached=bool(places)):
            await self._refuse(scope, receive, send)
            return None
        resolvers = [resolver_of(place.route) for place in places]
        return await self.decide(resolvers, send_refusal, scope, receive, send)

    def _passage_in(self, scope: Scope) -> Passage | None:
        """Return what this perimeter decided on a connection that came through it."""
        passage = state_of(scope).passages.get(self)
        return passage if isinstance(passage, Passage) else None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a connection that is led elsewhere than was decided."""
        verdict = await self._authorize(None, None, scope)
        if verdict.problem is not None:
            await send_refusal(verdict.problem, scope, receive, send)


def _is_led_elsewhere(passage: Passage, *, is_reached: bool) -> bool:
    """Tell whether a connection has come to another endpoint than was decided on.

    That may be one that no router leads to any more: a mount that was one may be on the way,
    and what is behind the one that runs is not ruled.
    """
    if passage.is_over:
        return False
    if is_reached:
        return passage.is_on_its_way
    return passage.has_arrived and not passage.is_running


def _is_on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def perimeter_of(app: Starlette) -> Perimeter | None:
    """Return the perimeter of *app*, or None where it has none."""
    # The first keeps the app closed where its gate was taken away.
    owners = (getattr(app.build_middleware_stack, "__self__", None), *entrances_of(app.router))
    return next((each for each in owners if isinstance(each, Perimeter) and each.app is app), None)
