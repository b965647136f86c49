"""What a guard is given, looked at before it is one."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import NamedTuple, NoReturn

from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.types import ASGIApp

from fastapi_scopes.core.grants import Grants, grants_of
from fastapi_scopes.core.problems import (
    ProtectionSpace,
    problem_of,
    require_challenge_scopes,
    require_realm,
)
from fastapi_scopes.core.requested_scopes import RequestedAs, RequestedScopes
from fastapi_scopes.core.requirements import Alternative, RequirementLike
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.errors import (
    Assignment,
    ConfigurationError,
    ConfigurationProblem,
    TokenError,
    TokenFault,
    collecting,
)
from fastapi_scopes.guard.attachment import process_watch
from fastapi_scopes.metadata import ProtectedResource, metadata_router, parse_resource
from fastapi_scopes.openapi import CurrentScheme, current_scheme
from fastapi_scopes.perimeter import end_at_expiry
from fastapi_scopes.verifiers.base import GrantingIssuers, ScopeLimitedVerifier

__all__ = [
    "ClassSignature",
    "argument_problems",
    "ending_in",
    "granted_by",
    "published_by",
    "required_app",
    "scope_map_of",
]

_log = logging.getLogger("fastapi_scopes")


class ClassSignature:
    """Refuses the class where an instance is meant.

    With ``Depends(ScopeGuard)`` FastAPI would build a guard for every request, out of what
    the request says, and never call it. It asks for the signature first.
    """

    def __get__(self, instance: object | None, owner: type) -> NoReturn:
        if instance is not None:
            # FastAPI has the instance as a dependency, and looks at its parameters.
            process_watch.drop(instance)
            raise AttributeError("__signature__")
        raise ConfigurationError.of(
            f"Depends({owner.__name__}) was given the class, which guards nothing",
            (
                f"pass an instance: guard = {owner.__name__}(scope_map, verifier=verifier), "
                "then Depends(guard)"
            ),
        )


def scope_map_of(
    given: ScopeMap | Mapping[str, RequirementLike], problems: list[ConfigurationProblem]
) -> ScopeMap:
    """Return the scope map that was *given*; an empty one, and *problems*, where it is none."""
    with collecting(problems):
        return given if isinstance(given, ScopeMap) else ScopeMap(given)
    return ScopeMap({})


def required_app(app: object, call: str) -> Starlette:
    """Return *app*, with which *call* was made.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(app, Starlette):
        raise ConfigurationError.of(
            f"{call} looks at an app, not at {type(app).__name__!r}", "pass the FastAPI app"
        )
    return app


def argument_problems(
    verifier: object, bind: object, *, end_at_exp: object, now: object
) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with the verifier, with the functions and with the switch."""
    verify = getattr(verifier, "verify", None)
    if isinstance(verifier, type) or not iscoroutinefunction(verify):
        # By its type alone: who confuses the arguments has a secret here.
        kind = type(verifier).__name__
        yield ConfigurationProblem(
            f"is a {kind!r} without 'async def verify(token)'",
            "pass a JWTVerifier(...)",
            setting="verifier",
        )
    if bind is not None and (not callable(bind) or iscoroutinefunction(bind)):
        yield ConfigurationProblem(
            f"is a {type(bind).__name__!r}",
            "pass a function, not a coroutine function",
            setting="bind",
        )
    if not isinstance(end_at_exp, bool):
        kind = type(end_at_exp).__name__
        yield ConfigurationProblem(
            f"is a {kind!r}", "write end_at_exp=True, or leave it out", setting="end_at_exp"
        )
    if not callable(now):
        yield ConfigurationProblem(
            f"is a {type(now).__name__!r}", "pass a function, such as time.time", setting="now"
        )


def granted_by(verifier: object, admin_scope: str | None) -> tuple[Grants, GrantingIssuers | None]:
    """Return how scopes grant, and the issuers from which *admin_scope* counts.

    None is whomever *verifier* verifies.

    Raises:
        ConfigurationError: *admin_scope* is no scope, or counts from no issuer.
    """
    grants = grants_of(admin_scope)
    if (
        admin_scope is None
        or isinstance(verifier, type)
        or not isinstance(verifier, ScopeLimitedVerifier)
    ):
        return grants, None
    listing = verifier.issuers_granting(admin_scope)
    if listing is None:
        return grants, None
    if not isinstance(listing, GrantingIssuers):
        listing = GrantingIssuers(listing)
    if not listing and not listing.origins:
        raise ConfigurationError.of(
            f"{admin_scope!r} counts from no issuer",
            Assignment(
                "allowed_scopes", lead="write it out in", rest="where the issuer may grant it"
            ),
            setting="admin_scope",
        )
    return grants, listing


class Published(NamedTuple):
    """What a guard publishes: its metadata, what is in its challenges, and its OpenAPI scheme."""

    resource: ProtectedResource | None
    space: ProtectionSpace
    scheme: CurrentScheme

    def metadata_router(self, scopes: Sequence[str], admin_scope: str | None) -> APIRouter:
        """Return a router that serves the metadata, with *scopes* but for *admin_scope*.

        Raises:
            ConfigurationError: there is no resource.
        """
        if self.resource is None:
            raise ConfigurationError.of(
                "metadata_router() is for a guard that knows its resource",
                "pass it resource= and authorization_servers=",
            )
        requested = self.space.requested
        return metadata_router(self.resource, scopes, admin_scope=admin_scope, requested=requested)


def published_by(  # noqa: PLR0913 - one keyword for each setting
    scope_map: ScopeMap,
    security_scheme: object,
    *,
    owner: type,
    verifier: object,
    realm: str,
    challenge_scopes: Sequence[str],
    requested_as: RequestedAs | None,
    admin_scope: str | None,
    resource: str | None,
    authorization_servers: Sequence[str],
) -> Published:
    """Return what a guard of the class *owner* publishes.

    Raises:
        ConfigurationError: naming every argument that cannot be published.
    """
    problems: list[ConfigurationProblem] = []
    requested, scopes = RequestedScopes(), Alternative()
    served: ProtectedResource | None = None
    with collecting(problems):
        requested = _requested_by(requested_as, scope_map, admin_scope)
    with collecting(problems, setting="security_scheme"):
        scheme = current_scheme(
            security_scheme, scope_map, requested, owner=owner, verifier=verifier
        )
    with collecting(problems):
        require_realm(realm)
    with collecting(problems):
        scopes = _challenged(challenge_scopes, admin_scope)
    with collecting(problems):
        served = parse_resource(resource, authorization_servers)
    ConfigurationError.raise_for(problems)
    metadata_url = served.metadata_url if served is not None else None
    return Published(served, ProtectionSpace(realm, scopes, metadata_url, requested), scheme)


def _challenged(challenge_scopes: Sequence[str], admin_scope: str | None) -> Alternative:
    scopes = require_challenge_scopes(challenge_scopes)
    if admin_scope is not None and admin_scope in scopes:
        raise ConfigurationError.of(
            f"{admin_scope!r} is the admin scope, which clients would ask for by default",
            "leave it out",
            setting="challenge_scopes",
        )
    return scopes


def _requested_by(
    requested_as: RequestedAs | None, scope_map: ScopeMap, admin_scope: str | None
) -> RequestedScopes:
    """Return how clients ask for the scopes of *scope_map*, those with a description included."""
    report = partial(_log.error, "requested_as fails, challenges leave out the scope: %s")
    named = (*scope_map.scopes, *scope_map.descriptions)
    return RequestedScopes(requested_as, named, admin_scope=admin_scope, report=report)


def ending_in(
    space: ProtectionSpace, now: Callable[[], float]
) -> Callable[[ASGIApp, float], ASGIApp]:
    """Return a function that wraps an app, so that its streams end at a given time of *now*."""
    return partial(
        end_at_expiry, refusal=problem_of(TokenError(TokenFault.EXPIRED, "by now"), space), now=now
    )
