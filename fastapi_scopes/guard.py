"""`ScopeGuard`: the scope map as a FastAPI dependency.

This module does without postponed annotations: FastAPI reads the signature of `__call__`.
"""

import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, cast
from weakref import WeakKeyDictionary

from fastapi import APIRouter
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from typing_extensions import TypeVar

from fastapi_scopes._routes import (
    LocatedRoute,
    RouteTable,
    Way,
    endpoints_of,
    is_run_by,
    untold_in,
)
from fastapi_scopes.authorizer import (
    Authorizer,
    Rules,
    Verdict,
    asked_of,
    is_unruly,
    renewed_state,
    state_of,
    verdict_of,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage, cover
from fastapi_scopes.core.grants import grants_of
from fastapi_scopes.core.problems import (
    ProtectionSpace,
    require_challenge_scopes,
    require_realm,
)
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import ConfigurationError, collecting
from fastapi_scopes.metadata import ProtectedResource, metadata_router, parse_resource
from fastapi_scopes.perimeter import Perimeter, PerimeterOptions, perimeter_of
from fastapi_scopes.responses import AccessRefused, refused
from fastapi_scopes.verifiers.base import IssuerLimits, TokenVerifier

__all__ = ["AccessRefused", "ScopeGuard", "admin_scope_of"]

C = TypeVar("C", bound=Claims, default=Claims)
A = TypeVar("A", bound=Starlette)


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


def admin_scope_of(asgi_scope: MutableMapping[str, Any]) -> str | None:
    """Return the admin scope of the guard that is letting a connection pass; for `bind`."""
    return state_of(asgi_scope).admin_scope


def _argument_problems(verifier: object, bind: object) -> Iterator[str]:
    verify = getattr(verifier, "verify", None)
    if isinstance(verifier, type) or not iscoroutinefunction(verify):
        # By its type alone: who confuses the arguments has a secret here.
        kind = type(verifier).__name__
        yield f"verifier= is a {kind!r} without 'async def verify(token)'; pass a JWTVerifier(...)"
    if bind is not None and (not callable(bind) or iscoroutinefunction(bind)):
        yield f"bind= is a {type(bind).__name__!r}; pass a function, not a coroutine function"


def _issuers_listing(verifier: object, admin_scope: str | None) -> frozenset[str] | None:
    if admin_scope is None or isinstance(verifier, type) or not isinstance(verifier, IssuerLimits):
        return None
    return verifier.issuers_listing(admin_scope)


def _published(
    realm: str,
    challenge_scopes: Sequence[str],
    *,
    resource: str | None,
    authorization_servers: Sequence[str],
) -> tuple[ProtectionSpace, ProtectedResource | None]:
    """Return what a guard says of itself to whoever asks."""
    problems: list[str] = []
    scopes: tuple[str, ...] = ()
    served: ProtectedResource | None = None
    with collecting(problems):
        require_realm(realm)
    with collecting(problems):
        scopes = require_challenge_scopes(challenge_scopes)
    with collecting(problems):
        served = parse_resource(resource, authorization_servers)
    ConfigurationError.raise_for(problems)
    metadata_url = served.metadata_url if served is not None else None
    return ProtectionSpace(realm, scopes, metadata_url), served


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

    def __init__(  # noqa: PLR0913 - one keyword for each setting
        self,
        scope_map: ScopeMap | Mapping[str, RequirementLike],
        *,
        verifier: TokenVerifier[C],
        admin_scope: str | None = None,
        realm: str = "api",
        bind: Callable[[MutableMapping[str, Any], C], None] | None = None,
        challenge_scopes: Sequence[str] = (),
        resource: str | None = None,
        authorization_servers: Sequence[str] = (),
        implies: Mapping[str, Sequence[str]] | None = None,
        grants: object | None = None,
    ) -> None:
        """Guard by *scope_map* whoever *verifier* vouches for.

        *admin_scope* satisfies every scope that a rule asks for. *realm* stands in every
        challenge. *bind* is called with the ASGI scope and the claims, once for every
        connection that is let through with a token. *challenge_scopes* are told to whoever
        comes without a valid token, on every route alike, so they are published. *resource* is
        the identifier of this resource server (RFC 9728), an https URL, which its tokens have for
        an audience; *authorization_servers* are the issuers of these. *implies* and *grants* are
        refused by this version.

        Raises:
            ConfigurationError: naming everything that is wrong with the arguments.
        """
        problems: list[str] = []
        with collecting(problems):
            self._scope_map = scope_map if isinstance(scope_map, ScopeMap) else ScopeMap(scope_map)
        with collecting(problems):
            admitted = grants_of(admin_scope, implies=implies, grants=grants)
        with collecting(problems):
            space, self._resource = _published(
                realm,
                challenge_scopes,
                resource=resource,
                authorization_servers=authorization_servers,
            )
        problems.extend(_argument_problems(verifier, bind))
        admin_issuers = _issuers_listing(verifier, admin_scope)
        if admin_issuers is not None and not admin_issuers:
            problems.append(
                f"admin_scope {admin_scope!r} counts from no issuer; write it out in the"
                " allowed_scopes= of each verifier whose issuer may grant it"
            )
        ConfigurationError.raise_for(problems)
        self._authorizer = Authorizer(verifier, admitted, space, bind, admin_issuers)
        self._rules = Rules(self._scope_map)
        self._tables: WeakKeyDictionary[Starlette, RouteTable] = WeakKeyDictionary()
        # What FastAPI's OpenAPI reads of a SecurityBase.
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = type(self).__name__

    async def __call__(self, connection: HTTPConnection) -> C | None:
        """Return the verified claims of *connection*, or None where no token was looked at.

        Raises:
            AccessRefused: the map does not let the caller through.
        """
        asgi_scope = connection.scope
        known = verdict_of(asgi_scope, self)
        if known is not None and known.way is not None:
            verdict = await self._confirmed(known, asgi_scope)
        else:
            verdict = await self._judged(known, asgi_scope)
        if verdict.problem is not None:
            raise refused(verdict.problem, asgi_scope)
        return cast("C | None", verdict.claims)

    def claims_of(self, connection: HTTPConnection) -> C | None:
        """Return the claims with which this guard let *connection* pass, where there are any."""
        verdict = verdict_of(connection.scope, self)
        return cast("C | None", verdict.claims) if verdict is not None else None

    def protect(
        self,
        app: A,
        *,
        strict: bool = True,
        docs: RequirementLike | None = None,
        hide_unknown: bool = False,
    ) -> A:
        """Return *app*, on which from now on the map decides everything, before a body is read.

        Map keys are relative to *app*, prefixes of mounts included. The app does not start
        while anything in it is without a rule; with *strict* off that is logged, and denied.
        *docs* is for the docs pages on which the map, presets aside, is silent. With *hide_unknown*
        only verified callers learn that a path or a method does not exist.

        Raises:
            ConfigurationError: *app* is no app, is protected already by another guard or with
                other options, or has a router that matches in its own way.
        """
        if not isinstance(app, Starlette):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"protect() takes a FastAPI or Starlette app, not {type(app).__name__!r}; protect "
                "the app inside, or mount this one in an app and protect that"
            )
        options = PerimeterOptions(strict=strict, docs=docs, hide_unknown=hide_unknown)
        known = perimeter_of(app)
        if known is None:
            Perimeter(
                app, self, scope_map=self._scope_map, authorizer=self._authorizer, options=options
            )
        elif known.guard is not self:
            raise ConfigurationError("the app is protected by another guard; keep one of the two")
        elif known.options != options:
            raise ConfigurationError("the app is protected with other options; call protect() once")
        else:
            known.stand()
        return app

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
        perimeter = perimeter_of(app)
        if perimeter is not None and perimeter.guard is self:
            coverage = perimeter.check()
        else:
            self._tables.clear()
            endpoints = endpoints_of(app, self, is_guard=lambda call: isinstance(call, ScopeGuard))
            coverage = cover(self._scope_map, endpoints)
            coverage = replace(coverage, notices=(*coverage.notices, *untold_in(app)))
        if raise_on_gap:
            coverage.raise_on_gap()
        ConfigurationError.raise_for(coverage.contradictions)
        return coverage

    def metadata_router(self) -> APIRouter:
        """Return a router that serves the metadata of this resource server (RFC 9728).

        Include it, without a prefix, in the app that answers for the host of *resource*. Its
        path, ``/.well-known/oauth-protected-resource`` and then that of *resource*, needs a
        rule like any other; PUBLIC lets clients read it before they have a token. It names the
        scopes of the map, without the admin scope and ``offline_access``.

        Raises:
            ConfigurationError: the guard was given no *resource*.
        """
        if self._resource is None:
            raise ConfigurationError(
                "metadata_router() is for a guard that knows its resource; pass it resource= and "
                "authorization_servers="
            )
        # What opens everything is nothing to ask for by default, and the other is no scope of a
        # resource but between a client and its authorization server (OpenID Connect Core 11).
        unlisted = {self._authorizer.grants.admin_scope, "offline_access"}
        scopes = [each for each in self._scope_map.scopes if each not in unlisted]
        return metadata_router(self._resource, scopes)

    async def _confirmed(self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]) -> Verdict:
        """Return the perimeter's *verdict*, where what runs is what it was given for."""
        way = verdict.way
        is_same_call = asked_of(asgi_scope, verdict.asked.route) == verdict.asked
        if is_same_call and isinstance(way, Way) and is_run_by(way, asgi_scope):
            return verdict
        asked = asked_of(asgi_scope, None)
        return await self._authorizer.judge(asked, None, state_of(asgi_scope).verified, way=way)

    async def _judged(self, known: Verdict | None, asgi_scope: MutableMapping[str, Any]) -> Verdict:
        """Return the verdict on a connection that came by no perimeter."""
        asked = asked_of(asgi_scope, self._located(asgi_scope))
        if known is not None and known.asked == asked:
            return known
        rule = self._rules.rule_for(asked.method, asked.route)
        state = renewed_state(asgi_scope)
        verdict = await self._authorizer.judge(asked, rule, state.verified)
        verdict = self._authorizer.bound(verdict, asgi_scope)
        if verdict.problem is None:
            state.verdicts[self] = verdict
        return verdict

    def _located(self, asgi_scope: MutableMapping[str, Any]) -> LocatedRoute | None:
        app = asgi_scope.get("app")
        if not isinstance(app, Starlette) or is_unruly(asgi_scope):
            return None
        table = self._tables.get(app)
        if table is None:
            table = self._tables[app] = RouteTable(app, self)
        return table.find(asgi_scope)
