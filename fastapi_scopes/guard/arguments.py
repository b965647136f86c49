"""What a guard is given, looked at before it is one."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import NoReturn

from starlette.types import ASGIApp

from fastapi_scopes.core.problems import (
    ProtectionSpace,
    problem_of,
    require_challenge_scopes,
    require_realm,
)
from fastapi_scopes.errors import (
    Assignment,
    ConfigurationError,
    ConfigurationProblem,
    TokenError,
    TokenFault,
    collecting,
)
from fastapi_scopes.metadata import ProtectedResource, parse_resource
from fastapi_scopes.perimeter import end_at_expiry
from fastapi_scopes.verifiers.base import ScopeLimitedVerifier

__all__ = [
    "ClassSignature",
    "argument_problems",
    "ending_in",
    "issuers_listing",
    "published_by",
]


class ClassSignature:
    """Refuses the class where an instance is meant.

    With ``Depends(ScopeGuard)`` FastAPI would build a guard for every request, out of what
    the request says, and never call it. It asks for the signature first.
    """

    def __get__(self, instance: object | None, owner: type) -> NoReturn:
        if instance is not None:
            raise AttributeError("__signature__")
        raise ConfigurationError.of(
            f"Depends({owner.__name__}) was given the class, which guards nothing",
            (
                f"pass an instance: guard = {owner.__name__}(scope_map, verifier=verifier), "
                "then Depends(guard)"
            ),
        )


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


def issuers_listing(verifier: object, admin_scope: str | None) -> frozenset[str] | None:
    """Return the issuers from which *admin_scope* counts; None is whomever *verifier* verifies.

    Raises:
        ConfigurationError: there are none.
    """
    if (
        admin_scope is None
        or isinstance(verifier, type)
        or not isinstance(verifier, ScopeLimitedVerifier)
    ):
        return None
    listing = verifier.issuers_granting(admin_scope)
    if listing is not None and not listing:
        raise ConfigurationError.of(
            f"{admin_scope!r} counts from no issuer",
            Assignment(
                "allowed_scopes", lead="write it out in", rest="where the issuer may grant it"
            ),
            setting="admin_scope",
        )
    return listing


def published_by(
    realm: str,
    challenge_scopes: Sequence[str],
    *,
    admin_scope: str | None,
    resource: str | None,
    authorization_servers: Sequence[str],
) -> tuple[ProtectionSpace, ProtectedResource | None]:
    """Return what a guard publishes: what is in its challenges, and the metadata it serves.

    Raises:
        ConfigurationError: naming every argument that cannot be published.
    """
    problems: list[ConfigurationProblem] = []
    scopes: tuple[str, ...] = ()
    served: ProtectedResource | None = None
    with collecting(problems):
        require_realm(realm)
    with collecting(problems):
        scopes = require_challenge_scopes(challenge_scopes)
    if admin_scope is not None and admin_scope in scopes:
        problems.append(
            ConfigurationProblem(
                f"{admin_scope!r} is the admin scope, which clients would ask for by default",
                "leave it out",
                setting="challenge_scopes",
            )
        )
    with collecting(problems):
        served = parse_resource(resource, authorization_servers)
    ConfigurationError.raise_for(problems)
    metadata_url = served.metadata_url if served is not None else None
    return ProtectionSpace(realm, scopes, metadata_url), served


def ending_in(
    space: ProtectionSpace, now: Callable[[], float]
) -> Callable[[ASGIApp, float], ASGIApp]:
    """Return a function that wraps an app, so that its streams end at a given time of *now*."""
    return partial(
        end_at_expiry, refusal=problem_of(TokenError(TokenFault.EXPIRED), space), now=now
    )
