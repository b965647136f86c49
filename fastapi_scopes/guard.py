"""`ScopeGuard`: the scope map as a FastAPI dependency.

This module does without postponed annotations: FastAPI reads the signature of `__call__`.
"""

import logging
import re
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NoReturn, cast
from weakref import WeakKeyDictionary

from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp
from typing_extensions import TypeVar

from fastapi_scopes._routes import LocatedRoute, RouteTable, asked_scopes, endpoints_of
from fastapi_scopes.authorizer import Authorizer, VerifiedTokens
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage, cover
from fastapi_scopes.core.decisions import Decision
from fastapi_scopes.core.grants import grants_of
from fastapi_scopes.core.problems import Problem, problem_of, require_realm
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import ANY_METHOD, WEBSOCKET, Rule, ScopeMap
from fastapi_scopes.errors import (
    ConfigurationError,
    CredentialsError,
    TokenError,
    VerifierUnavailable,
    collecting,
)
from fastapi_scopes.responses import refusal_of
from fastapi_scopes.verifiers.base import TokenVerifier

__all__ = ["AccessRefused", "ScopeGuard", "admin_scope_of"]

C = TypeVar("C", bound=Claims, default=Claims)

_log = logging.getLogger("fastapi_scopes")

# Routers match decoded paths with regular expressions whose `$` also matches before a
# trailing newline: what is matched there and what runs need not be what was written.
_CONTROL: Final = re.compile(r"[\x00-\x1F\x7F]")
_STATE: Final = "fastapi_scopes"


class AccessRefused(Exception):  # noqa: N818 - says what happened to the caller, not what broke
    """The guard refuses a request; a handler for this class may render it otherwise.

    Deliberately no HTTPException: an application's handler for status codes would come first
    and strip the challenge.
    """

    problem: Problem
    """What the caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


async def _render(connection: HTTPConnection, refused: AccessRefused) -> ASGIApp:
    return refusal_of(refused.problem, connection)


class _ClassSignature:
    """Refuses the class where an instance is meant.

    With ``Depends(ScopeGuard)`` FastAPI would build a guard for every request, out of what
    the request says, and never call it. It asks for the signature first.
    """

    def __get__(self, instance: object | None, owner: type) -> NoReturn:
        if instance is not None:
            raise AttributeError("__signature__")
        raise ConfigurationError(
            f"Depends({owner.__name__}) was given the class, which guards nothing; pass an "
            f"instance: guard = {owner.__name__}(scope_map, verifier=verifier), then Depends(guard)"
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a guard's answer rests on; another of these needs another answer."""

    route: LocatedRoute | None
    method: str
    path: str
    authorization: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class _ConnectionState:
    """What guards found on one connection."""

    verified: VerifiedTokens = field(default_factory=VerifiedTokens)
    passed: dict[object, tuple[_Asked, Claims | None]] = field(default_factory=dict)
    """Per guard, which is equal to itself alone: what it answered, and to what."""
    admin_scope: str | None = None


def _state_of(asgi_scope: MutableMapping[str, Any]) -> _ConnectionState:
    state = asgi_scope.get(_STATE)
    if not isinstance(state, _ConnectionState):
        state = asgi_scope[_STATE] = _ConnectionState()
    return state


def admin_scope_of(asgi_scope: MutableMapping[str, Any]) -> str | None:
    """Return the admin scope of the guard that is letting a connection pass; for `bind`."""
    return _state_of(asgi_scope).admin_scope


class _GuardedApp:
    """The rules of one guard on the routes of one app, each bound when it is first asked for."""

    def __init__(self, app: Starlette, guard: object, scope_map: ScopeMap) -> None:
        self._table = RouteTable(app)
        self._guard = guard
        self._scope_map = scope_map
        self._bound: WeakKeyDictionary[LocatedRoute, dict[str, Rule | None]] = WeakKeyDictionary()

    def locate(self, asgi_scope: MutableMapping[str, Any]) -> LocatedRoute | None:
        """Return the route of a connection, or None where the framework does not say which."""
        return self._table.find(asgi_scope)

    def rule_for(self, method: str, route: LocatedRoute) -> Rule | None:
        """Return the rule that holds for *method* on *route*, or None: no one passes there."""
        rules = self._bound.setdefault(route, {})
        if method in rules:
            return rules[method]
        rule = self._bind(method, route)
        if method in route.methods:
            # Any other is the client's word: a route that answers all would keep them all.
            rules[method] = rule
        return rule

    def _bind(self, method: str, route: LocatedRoute) -> Rule | None:
        scopes = asked_scopes(route.dependant, self._guard)
        try:
            return self._scope_map.rule_for(method, route.template, scopes=scopes)
        except ConfigurationError as error:
            # `check` raises this at start-up; without it the route stays shut.
            _log.error("%s", error)
            return None


def _argument_problems(verifier: object, bind: object) -> Iterator[str]:
    verify = getattr(verifier, "verify", None)
    if isinstance(verifier, type) or not iscoroutinefunction(verify):
        # By its type alone: who confuses the arguments has a secret here.
        kind = type(verifier).__name__
        yield f"verifier= is a {kind!r} without 'async def verify(token)'; pass a JWTVerifier(...)"
    if bind is not None and (not callable(bind) or iscoroutinefunction(bind)):
        yield f"bind= is a {type(bind).__name__!r}; pass a function, not a coroutine function"


class ScopeGuard(SecurityBase, Generic[C]):
    """Guards routes by a scope map: ``Depends(guard)`` on a route, a router or the app.

    As a parameter, ``claims: Annotated[Claims, Depends(guard)]``, it gives the verified
    claims, or None where the rule is PUBLIC or an OPTIONAL one was met without a token.
    """

    model: SecurityBaseModel
    scheme_name: str
    __signature__: ClassVar[_ClassSignature] = _ClassSignature()
    if not TYPE_CHECKING:
        # typing's own alias hides `__signature__`, and Depends(ScopeGuard[X]) would be open.
        __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(
        self,
        scope_map: ScopeMap | Mapping[str, RequirementLike],
        *,
        verifier: TokenVerifier[C],
        admin_scope: str | None = None,
        realm: str = "api",
        bind: Callable[[MutableMapping[str, Any], C], None] | None = None,
        implies: Mapping[str, Sequence[str]] | None = None,
        grants: object | None = None,
    ) -> None:
        """Guard by *scope_map* whoever *verifier* vouches for.

        *admin_scope* satisfies every scope that a rule asks for. *realm* stands in every
        challenge. *bind* is called with the ASGI scope and the claims, once for every
        connection that is let through with a token. *implies* and *grants* are refused by
        this version.

        Raises:
            ConfigurationError: naming everything that is wrong with the arguments.
        """
        problems: list[str] = []
        with collecting(problems):
            self._scope_map = scope_map if isinstance(scope_map, ScopeMap) else ScopeMap(scope_map)
        with collecting(problems):
            admitted = grants_of(admin_scope, implies=implies, grants=grants)
        with collecting(problems):
            self._realm = require_realm(realm)
        problems.extend(_argument_problems(verifier, bind))
        ConfigurationError.raise_for(problems)
        self._authorizer = Authorizer(verifier, admitted)
        self._bind = bind
        self._apps: WeakKeyDictionary[Starlette, _GuardedApp] = WeakKeyDictionary()
        # What FastAPI's OpenAPI reads of a SecurityBase.
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = type(self).__name__

    async def __call__(self, connection: HTTPConnection) -> C | None:
        """Return the verified claims of *connection*, or None where no token was looked at.

        Raises:
            AccessRefused: the map does not let the caller through.
        """
        asgi_scope = connection.scope
        state = _state_of(asgi_scope)
        asked = self._asked(asgi_scope)
        known = state.passed.get(self)
        if known is None or known[0] != asked:
            claims = await self._admit(asked, asgi_scope, state)
            known = state.passed[self] = (asked, claims)
        return cast("C | None", known[1])

    def claims_of(self, connection: HTTPConnection) -> C | None:
        """Return the claims with which this guard let *connection* pass, where there are any."""
        known = _state_of(connection.scope).passed.get(self)
        return cast("C | None", known[1]) if known is not None else None

    def check(self, app: Starlette, *, raise_on_gap: bool = False) -> Coverage:
        """Return what the map covers of *app* and of the apps mounted in it.

        Without *raise_on_gap* the gaps are only named in what is returned.

        Raises:
            ConfigurationError: *app* is no app; a route asks for scopes where its rule is
                PUBLIC; with *raise_on_gap* also for every endpoint that is not ruled or not
                enforced, and for every rule that decides nothing.
        """
        if not isinstance(app, Starlette):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"check() looks at an app, not at {type(app).__name__!r}")
        self._apps.clear()
        endpoints = endpoints_of(app, self, is_guard=lambda call: isinstance(call, ScopeGuard))
        coverage = cover(self._scope_map, endpoints)
        if raise_on_gap:
            coverage.raise_on_gap()
        return coverage

    def _asked(self, asgi_scope: MutableMapping[str, Any]) -> _Asked:
        route, path = self._located(asgi_scope), asgi_scope["path"]
        is_socket = asgi_scope["type"] == "websocket"
        fields = tuple(value for name, value in asgi_scope["headers"] if name == b"authorization")
        return _Asked(route, WEBSOCKET if is_socket else asgi_scope["method"], path, fields)

    def _located(self, asgi_scope: MutableMapping[str, Any]) -> LocatedRoute | None:
        app = asgi_scope.get("app")
        if not isinstance(app, Starlette) or _CONTROL.search(asgi_scope["path"]):
            return None
        if asgi_scope["type"] == "http" and asgi_scope["method"] in {WEBSOCKET, ANY_METHOD}:
            # An HTTP method of that name is not what the rules mean by it.
            return None
        return self._guarded(app).locate(asgi_scope)

    def _guarded(self, app: Starlette) -> _GuardedApp:
        guarded = self._apps.get(app)
        if guarded is None:
            guarded = self._apps[app] = _GuardedApp(app, self, self._scope_map)
        return guarded

    async def _admit(
        self, asked: _Asked, asgi_scope: MutableMapping[str, Any], state: _ConnectionState
    ) -> C | None:
        """Return the claims of a caller who may pass, bound to the connection."""
        rule = None
        if asked.route is not None:
            rule = self._guarded(asgi_scope["app"]).rule_for(asked.method, asked.route)
        try:
            decision = await self._authorizer.authorize(rule, asked.authorization, state.verified)
            if not decision.allowed:
                raise self._refused(decision, asgi_scope)
            if decision.claims is None:
                return None
            # What `decide` read stays out of the reach of whoever gets the claims.
            claims = cast("C", decision.claims.model_copy())
            if self._bind is not None:
                state.admin_scope = self._authorizer.grants.admin_scope
                self._bind(asgi_scope, claims)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            # The path is the client's text; the template is ours. The caller learns no code.
            where = asked.route.template if asked.route is not None else "an unknown route"
            _log.info("refused %s on %s: %s", asked.method, where, error.code)
            raise self._refused(error, asgi_scope) from None
        return claims

    def _refused(
        self,
        refusal: Decision | CredentialsError | TokenError | VerifierUnavailable,
        asgi_scope: MutableMapping[str, Any],
    ) -> AccessRefused:
        """Return the refusal to raise, known to be rendered by the app it is raised in."""
        handlers: tuple[dict[Any, Any], dict[Any, Any]] | None
        handlers = asgi_scope.get("starlette.exception_handlers")
        if handlers is not None:
            handlers[0].setdefault(AccessRefused, _render)
        return AccessRefused(problem_of(refusal, self._realm))
