"""The closed perimeter: every connection of an app is decided on before the app sees it."""

import inspect
import logging
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routes import (
    Resolver,
    Way,
    deciders_of,
    install_gate,
    is_answering,
    is_rest_of,
    is_watchable,
    protected_endpoints_of,
)
from fastapi_scopes.authorizer import (
    Asked,
    Authorizer,
    ConnectionState,
    Rules,
    Verdict,
    asked_of,
    client_of,
    is_unruly,
    renewed_state,
    state_of,
    with_docs,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage, Kind, cover
from fastapi_scopes.core.problems import UNDECIDED
from fastapi_scopes.core.requirements import (
    AUTHENTICATED,
    Access,
    RequirementLike,
    parse_requirement,
)
from fastapi_scopes.core.scope_map import ANY_METHOD, Rule, ScopeMap
from fastapi_scopes.core.templates import Pattern
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.responses import answer

__all__ = ["Perimeter", "PerimeterOptions", "perimeter_of"]

_log = logging.getLogger("fastapi_scopes")


@dataclass(slots=True)
class _Passed:
    """A connection that a perimeter let pass."""

    state: ConnectionState | None
    """None when it is over: what it leaves behind, and what begins in that, is not of it."""
    client: object


_passed: Final[ContextVar[_Passed | None]] = ContextVar("fastapi_scopes", default=None)


def _state_around(asgi_scope: Scope) -> ConnectionState | None:
    """Return the state of the connection that a perimeter let pass, where this is still that one.

    INVARIANT: a scope that was made anew does not shake off its verdict; a call from within the
    process has another client (attacks/test_shared_connections.py).
    """
    passed, client = _passed.get(), client_of(asgi_scope)
    if passed is None or (None not in (passed.client, client) and passed.client != client):
        return None
    return passed.state


def _call_of(asgi_scope: Scope) -> tuple[object, ...]:
    """Return what routers and rules go by; routes that go by more are told what they said."""
    fields = [each for each in asgi_scope["headers"] if each[0] in {b"authorization", b"host"}]
    names = ("type", "method", "path", "root_path")
    return *(asgi_scope.get(name) for name in names), fields


# Routes that change while a verdict is found make it void; an app that never stops is shut.
_ATTEMPTS: Final = 3
_ANSWERED: Final = (
    "the app's own handler answers whoever asks for an unknown path or method; pass "
    "hide_unknown=True where that is not for everyone"
)
_ANONYMOUS: Final = frozenset({Access.PUBLIC, Access.OPTIONAL})
_ANYWHERE: Final = Rule(ANY_METHOD, Pattern.parse("/**"), parse_requirement(AUTHENTICATED))


@dataclass(frozen=True, slots=True)
class PerimeterOptions:
    """How a perimeter treats what the map alone does not say."""

    strict: bool = True
    """Whether a gap keeps the app from starting."""
    docs: RequirementLike | None = None
    """What the docs pages ask for that no rule of the map, presets aside, is about."""
    hide_unknown: bool = False
    """Whether only verified callers learn that there is no such route."""


@dataclass(eq=False, slots=True)
class _Post:
    """Where a perimeter stands: right before the matching of a router that its app has or had.

    INVARIANT: it decides by the routes of that router, also where the app has another one by now
    (attacks/test_gates.py).
    """

    perimeter: "Perimeter"
    resolver: Resolver
    problems: tuple[str, ...] | None = None
    """What keeps the app from serving with that router; None where nobody has looked yet."""

    async def __call__(self, app: ASGIApp, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        await self.perimeter.decide(self, app, asgi_scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A lifespan that is left again at once where the app has a gap."""

    perimeter: "Perimeter"
    lifespan: Callable[[Any], AbstractAsyncContextManager[Any]]

    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[Any]:
        # The error is raised when the app's own lifespan is left: that cannot swallow it.
        async with self.lifespan(app) as state:
            problems = self.perimeter.problems_at_start()
            if not problems:
                yield state
        ConfigurationError.raise_for(problems)


class Perimeter:
    """Decides on every connection of one app, right before its router looks for the route.

    *until* makes of an app one that streams no longer than to a time.

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
        meets: Callable[[Starlette], None],
        ending: Callable[[ASGIApp, float], ASGIApp] | None = None,
    ) -> None:
        """Enclose *app*; *meets* is told of every app that is mounted in it, once or more often."""
        if options.docs is not None:
            problems: list[str] = []
            with collecting(problems, prefix="docs: "):
                parse_requirement(options.docs)
            ConfigurationError.raise_for(problems)
        self.app = app
        self.guard = guard
        self.options = options
        self._scope_map = scope_map
        self._authorizer = authorizer
        self._meets = meets
        self._ending = ending
        self.rules: Rules = Rules(scope_map, options.docs)
        self._enclose(app.router)
        self._build: Callable[[], ASGIApp] = app.build_middleware_stack
        app.build_middleware_stack = self._build_stack  # type: ignore[method-assign]

    def resolver(self) -> Resolver:
        """Return what finds endpoints in the app as it is now."""
        return self.stand().resolver

    def meet_all(self) -> None:
        """Tell of every app that is mounted now, and of the protected one."""
        self._meet_all_in(self.stand())

    def _meet_all_in(self, post: _Post) -> None:
        for table in post.resolver.tables():
            self._meet(table.app)

    def check(self) -> Coverage:
        """Return what the map covers of the app, as the perimeter enforces it.

        Raises:
            ConfigurationError: the perimeter cannot stand before the app's router any more.
        """
        return self._coverage(self.stand())

    def _coverage(self, post: _Post) -> Coverage:
        endpoints = list(protected_endpoints_of(post.resolver, self.guard))
        self._meet_all_in(post)
        docs = dict.fromkeys(each.template for each in endpoints if each.kind is Kind.DOCS)
        docs_map = with_docs(self._scope_map, self.options.docs, docs)
        coverage = cover(self._scope_map, endpoints, docs_map=docs_map)
        if self.options.hide_unknown or not is_answering(self.app):
            return coverage
        return replace(coverage, notices=(*coverage.notices, _ANSWERED))

    def stand(self) -> _Post:
        """Stand right before the matching of the router that the app has now.

        INVARIANT: neither another router nor another stack of it leaves the app open
        (attacks/test_late_replacements.py, attacks/test_gates.py).

        Raises:
            ConfigurationError: the router does not match as the framework's do.
        """
        post = deciders_of(self.app.router).get(self)
        return post if isinstance(post, _Post) else self._enclose(self.app.router)

    def _enclose(self, router: Router) -> _Post:
        """Put the gate before *router*, the app's own."""
        resolver = Resolver(
            self.app, self.guard, admits=self._admits, meets=lambda inner: self._meet(inner.app)
        )
        post = _Post(self, resolver)
        if not is_watchable(router) or not install_gate(router, self, post):
            raise ConfigurationError(
                f"the router of the app ({type(router).__name__!r}) keeps or matches its routes in "
                "its own way, or behind middleware of its own; use a plain Router or APIRouter, "
                "and give middleware to the app"
            )
        lifespan: Any = router.lifespan_context
        if not isinstance(lifespan, _Checked) or lifespan.perimeter is not self:
            router.lifespan_context = _Checked(self, lifespan)
        return post

    def _meet(self, app: object) -> None:
        if isinstance(app, Starlette):
            self._meets(app)

    def _build_stack(self) -> ASGIApp:
        self.stand()
        return self._build()

    def problems_at_start(self) -> tuple[str, ...]:
        """Return what keeps the app from starting; log what does not."""
        found: list[str] = []
        with collecting(found):
            # That the app is open is nothing to be denied by a rule that is not there.
            return self._find_problems(self.stand())
        return tuple(found)

    def _find_problems(self, post: _Post) -> tuple[str, ...]:
        """Return what keeps the app from serving; log what does not."""
        found: list[str] = []
        with collecting(found):
            coverage = self._coverage(post)
            found.extend(coverage.problems)
            for each in coverage.shadowed:
                _log.warning("%s", each)
            for notice in coverage.notices:
                _log.info("%s", notice)
        if self._override() is not self.guard:
            _log.warning("dependency_overrides stands in for the guard; take it out in production")
        if not self.options.strict:
            for problem in found:
                _log.warning("%s", problem)
            found.clear()
        post.problems = tuple(found)
        return post.problems

    async def decide(
        self, post: _Post, app: ASGIApp, asgi_scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass a connection on to *app* where it may, its verdict left in its scope."""
        if post.problems is None:
            # No lifespan ran.
            for problem in self._find_problems(post):
                _log.error("%s", problem)
        if post.problems:
            await answer(UNDECIDED, asgi_scope, receive, send)
            return
        around = _state_around(asgi_scope)
        state = renewed_state(asgi_scope, around.ways if around is not None else None)
        way, verdict = await self._judge(post.resolver, asgi_scope)
        state.ways[self] = way
        state.verdicts[self.guard] = verdict
        if verdict.problem is not None:
            await answer(verdict.problem, asgi_scope, receive, send)
            return
        if self._ending is not None and verdict.claims is not None:
            app = self._ending(app, verdict.claims.exp)
        passed = _Passed(state, client_of(asgi_scope))
        token = _passed.set(passed)
        try:
            await app(asgi_scope, receive, send)
        finally:
            _passed.reset(token)
            passed.state = None

    async def _judge(self, resolver: Resolver, asgi_scope: Scope) -> tuple[Way, Verdict]:
        for _ in range(_ATTEMPTS):
            way, call = resolver.resolve(asgi_scope), _call_of(asgi_scope)
            verdict = await self._verdict_on(way, asgi_scope)
            if way.is_current() and _call_of(asgi_scope) == call:
                bound = self._authorizer.bound(verdict, asgi_scope)
                # INVARIANT: nothing is awaited between this look at the routes and the router's
                # (attacks/test_late_verdicts.py).
                if self._authorizer.bind is None or (
                    way.is_current() and _call_of(asgi_scope) == call
                ):
                    return way, bound
                break
        way = resolver.resolve(asgi_scope)
        return way, await self._refuse(asgi_scope, way)

    async def _verdict_on(self, way: Way, asgi_scope: Scope) -> Verdict:
        asked = asked_of(asgi_scope, way.route)
        override = self._override()
        stand_in: Claims | None = None
        if override is not self.guard:
            stand_in = await _claims_of(override)
            if stand_in is None:
                return await self._refuse(asgi_scope, way)
        is_unknown = way.route is None and not way.is_refused and not is_unruly(asgi_scope)
        if is_unknown and not self.options.hide_unknown:
            # Nothing runs: the router says so itself.
            return Verdict(asked, way=way)
        rule = _ANYWHERE if is_unknown else self._rule_for(asked, way)
        return await self._authorizer.judge(asked, rule, asgi_scope, stand_in=stand_in, way=way)

    def _rule_for(self, asked: Asked, way: Way) -> Rule | None:
        rule = self.rules.rule_for(asked.method, asked.route)
        if rule is not None or asked.route is None or way.redirected is None:
            return rule
        # Other code could answer before the router redirects: it takes who may go there.
        target = self.rules.rule_for(asked.method, way.redirected)
        is_open = target is not None and target.requirement.access in _ANONYMOUS
        # That the target is open to all says nothing of the path that was asked for.
        return _ANYWHERE if is_open else target

    async def _refuse(self, asgi_scope: Scope, way: Way) -> Verdict:
        """Return the verdict on a connection for which there is no rule."""
        asked: Asked = asked_of(asgi_scope, None)
        return await self._authorizer.judge(asked, None, asgi_scope, way=way)

    def _override(self) -> object:
        """Return what stands in for the guard, or the guard itself."""
        overrides: MutableMapping[Any, Any] = getattr(self.app, "dependency_overrides", {})
        return overrides.get(self.guard, self.guard)

    def _admits(self, router: Router) -> bool:
        return install_gate(router, self)

    async def holds(self, router: Router, scope: Scope, receive: Receive, send: Send) -> bool:
        """Tell whether a connection that *router* is to match keeps to its way, or refuse it."""
        way = state_of(scope).ways.get(self)
        around = _state_around(scope) if way is None else None
        if around is not None:
            way = around.ways.get(self)
        # Without a verdict of this perimeter it came by another way than through the app.
        if not isinstance(way, Way) or is_rest_of(way, router, scope):
            return True
        refusal = await self._refuse(scope, way)
        if refusal.problem is not None:
            await answer(refusal.problem, scope, receive, send)
        return False


async def _claims_of(override: Any) -> Claims | None:
    """Return the claims that *override* stands for, or None where it is no such thing."""
    if callable(override) and _takes_nothing(override):
        result = override()
        claims = await result if inspect.isawaitable(result) else result
        if isinstance(claims, Claims):
            return claims
    _log.error(
        "the override of the guard in dependency_overrides lets nothing through the perimeter; "
        "give a callable without parameters that returns Claims"
    )
    return None


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):
        # Some functions that are not written in Python have none.
        return False


def perimeter_of(app: Starlette) -> Perimeter | None:
    """Return the perimeter of *app*, or None where it has none."""
    # The first keeps the app closed where its gate was taken away.
    owners = (getattr(app.build_middleware_stack, "__self__", None), *deciders_of(app.router))
    return next((each for each in owners if isinstance(each, Perimeter) and each.app is app), None)
