"""`ScopeGuard`: the scope map as a FastAPI dependency.

This module does without postponed annotations: FastAPI reads the signature of `__call__`.
"""

import time
import types
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, cast

from fastapi import APIRouter, FastAPI
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security.base import SecurityBase
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from typing_extensions import TypeVar

from fastapi_scopes.authorization import (
    Authorizer,
    Rulebook,
    Verdict,
    remove_offers_from,
    state_of,
    verdict_of,
)
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.coverage import Coverage
from fastapi_scopes.core.requested_scopes import RequestedAs, RequestedScopes
from fastapi_scopes.core.requirements import RequirementLike
from fastapi_scopes.core.scope_map import Rule, ScopeMap
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting
from fastapi_scopes.events import Hooks
from fastapi_scopes.guard.arguments import (
    ClassSignature,
    argument_problems,
    ending_in,
    granted_by,
    published_by,
    scope_map_of,
)
from fastapi_scopes.guard.attachment import process_watch
from fastapi_scopes.guard.checking import check_app
from fastapi_scopes.guard.dependency import DependencyEdge
from fastapi_scopes.guard.documents import GuardDocuments
from fastapi_scopes.guard.enclosure import Enclosure
from fastapi_scopes.guard.explaining import Asked, explanation_of
from fastapi_scopes.guard.explanation import Explanation
from fastapi_scopes.guard.reporting import reporter_for, rollout_for
from fastapi_scopes.openapi import Documented
from fastapi_scopes.perimeter import PerimeterOptions
from fastapi_scopes.responses import AccessRefused, access_refused
from fastapi_scopes.verifiers.base import TokenVerifier

__all__ = ["AccessRefused", "ScopeGuard"]

C = TypeVar("C", bound=Claims, default=Claims)
A = TypeVar("A", bound=Starlette)
F = TypeVar("F", bound=FastAPI)


class ScopeGuard(SecurityBase, Generic[C]):
    """Guards routes by a scope map: ``Depends(guard)`` on a route, a router or the app.

    As a parameter, ``claims: Annotated[Claims, Depends(guard)]``, it gives the verified
    claims, or None where the rule is PUBLIC or an OPTIONAL one was met without a token.

    * *scope_map*: a `ScopeMap`, or a dict that makes one. *verifier*: who vouches for tokens.
    * *admin_scope* satisfies every scope that a rule asks for.
    * *realm* stands in every challenge; *challenge_scopes* in that of every 401, so they are
      published.
    * *requested_as* is how clients ask for the scopes of the map where tokens name them shorter: a
      prefix, or a function that returns the name of a scope, or None where it has none.
    * *bind* is called with the ASGI scope and the claims, once for each scope that reaches an
      endpoint with a token, right before that runs. What it raises is a refusal.
    * *resource*, an https URL, is the identifier of this resource server (RFC 9728), and
      *authorization_servers* are the issuers of its tokens.
    * *security_scheme*, one of `fastapi.security`, shows in the OpenAPI document how to get a
      token, and decides nothing. "discover" takes the URLs from the metadata of the issuer.
    * *on_decision* is called with a `DecisionEvent` for each decision: an async function in the
      event loop, any other in a thread. It delays and changes nothing. A list is several of them.
      *subject_key*, a secret, has events and log name subjects by pseudonyms.
    * *report_until*, a moment at most 30 days ahead: until then callers who lack scopes are
      reported and let through, and so are callers without credentials where one of the keys of
      *report_anonymous* matches.
    * *end_at_exp*: behind `protect`, a streamed response ends and a socket is closed when the
      token expires; `exp` itself counts, whatever the leeway. *now* is the clock of that, the
      verifier's if it has one of its own.
    """

    scheme_name: str  # What FastAPI's OpenAPI reads of a SecurityBase, beside `model`.
    __signature__: ClassVar[ClassSignature] = ClassSignature()
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
        requested_as: RequestedAs | None = None,
        resource: str | None = None,
        authorization_servers: Sequence[str] = (),
        security_scheme: SecurityBase | Literal["discover"] | None = None,
        end_at_exp: bool = False,
        on_decision: Hooks | None = None,
        subject_key: str | bytes | None = None,
        report_until: datetime | None = None,
        report_anonymous: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make a guard that enforces *scope_map* on callers whose tokens *verifier* accepts.

        Raises:
            ConfigurationError: naming everything that is wrong with the arguments.
        """
        problems: list[ConfigurationProblem] = []
        self._scope_map = scope_map_of(scope_map, problems)
        with collecting(problems):
            self._published = published_by(
                self._scope_map,
                security_scheme,
                owner=type(self),
                verifier=verifier,
                realm=realm,
                challenge_scopes=challenge_scopes,
                requested_as=requested_as,
                admin_scope=admin_scope,
                resource=resource,
                authorization_servers=authorization_servers,
            )
        problems.extend(argument_problems(verifier, bind, end_at_exp=end_at_exp, now=now))
        with collecting(problems):
            grants, admin_issuers = granted_by(verifier, admin_scope)
        with collecting(problems):
            reporter = reporter_for(on_decision, subject_key)
        with collecting(problems):
            rollout = rollout_for(report_until, report_anonymous, bind=bind, now=now)
        ConfigurationError.raise_for(problems)
        space, scheme = self._published.space, self._published.scheme
        self._authorizer = Authorizer(
            verifier, grants, space, bind, admin_issuers, reporter, rollout
        )
        self._ending = ending_in(space, now) if end_at_exp else None
        self._rules = Rulebook(self._scope_map)
        self._edge = DependencyEdge(
            self, self._rules, self._authorizer, is_guard=_is_guard, ends_streams=end_at_exp
        )
        self._documents = GuardDocuments(self, scheme, is_guard=_is_guard, rule_of_other=_rule_of)
        self.scheme_name = scheme().name
        process_watch.add(self)

    @property
    def model(self) -> SecurityBaseModel:  # type: ignore[override]
        """The security scheme, as FastAPI's OpenAPI reads it."""
        return self._published.scheme().model

    async def __call__(self, connection: HTTPConnection) -> C | None:
        """Return the verified claims of *connection*, or None where no token was looked at.

        Raises:
            AccessRefused: the map does not let the caller through.
        """
        asgi_scope = connection.scope
        found = self._edge.verdict_on(asgi_scope)
        verdict = found if isinstance(found, Verdict) else await found
        if verdict.problem is not None:
            raise access_refused(verdict.problem, asgi_scope)
        if asgi_scope["type"] == "websocket" and state_of(asgi_scope).hidden_offers is not None:
            # Who read the headers before may have a list of its own.
            remove_offers_from(connection.headers.raw)
        return cast("C | None", verdict.claims)

    # What Python says of a call without the connection begins with this name.
    __call__.__qualname__ = "write Depends(guard), not Depends(guard()): ScopeGuard.__call__"

    def claims_of(self, connection: HTTPConnection) -> C | None:
        """Return the claims with which this guard let *connection* pass, where there are any."""
        verdict = verdict_of(connection.scope, self)
        has_passed = verdict is not None and verdict.problem is None
        return cast("C | None", verdict.claims) if verdict is not None and has_passed else None

    def protect(
        self,
        app: A,
        *,
        strict: bool = True,
        docs: RequirementLike | None = None,
        hide_unknown: bool = False,
        warm_up: bool = True,
    ) -> A:
        """Return *app*, on which from now on the map decides everything, before a body is read.

        Map keys are relative to *app*, prefixes of mounts included. The app does not start
        while anything in it is without a rule; with *strict* off that is logged, and denied.
        *docs* is for the docs pages on which the map, presets aside, is silent. With *hide_unknown*
        only verified callers learn that a path or a method does not exist. With *warm_up* the start
        awaits `verifier.warm_up()`, where there is one. OpenAPI documents show the rules.

        Raises:
            ConfigurationError: *app* is no app, is protected or documented already by another
                guard, is protected with other options, or has a router that matches in its own
                way.
        """
        options = PerimeterOptions(
            strict=strict, docs=docs, hide_unknown=hide_unknown, warm_up=warm_up
        )
        documents, ending = self._documents, self._ending
        enclosure = Enclosure(self, self._scope_map, self._authorizer, documents, _is_guard, ending)
        enclosure.close(app, options)
        return app

    def document(self, app: F) -> F:
        """Return *app*, whose OpenAPI document from now on shows the rules.

        For apps on which the guard is a dependency alone; `protect` does it by itself. Operations
        on which the guard does not run stay as they are. Apps that are mounted in *app* are
        documented too, each by keys that are relative to itself.

        Raises:
            ConfigurationError: *app* is no FastAPI app, or is documented by another guard.
        """
        self._documents.show_dependencies(app, self._rules, self._edge.tree_of)
        return app

    def check(self, app: Starlette, *, raise_on_gap: bool = False) -> Coverage:
        """Return what the map covers of *app* and of the apps mounted in it.

        Raises:
            ConfigurationError: *app* is no app; a route asks for scopes where its rule is
                PUBLIC; with *raise_on_gap* also for each of the `errors` of what is returned.
        """
        coverage = check_app(app, self._scope_map, edge=self._edge, documents=self._documents)
        if raise_on_gap:
            coverage.raise_on_gap()
        coverage.raise_on_contradiction()
        return coverage

    def explain(
        self,
        app: Starlette,
        method: str,
        path: str,
        *,
        scopes: Sequence[str] | None = None,
        claims: Claims | None = None,
    ) -> Explanation:
        """Return what this guard would do with a request to *app*, and why.

        *path* is that of a client. The caller has a token with *scopes*, or with *claims*; without
        both, none. Nothing runs for it: no verifier, no `bind`, no hook, no endpoint.

        Raises:
            ConfigurationError: naming every argument that is none.
        """
        asked = Asked.of(method, path, scopes=scopes, claims=claims)
        return explanation_of(asked, app, self._edge)

    def metadata_router(self) -> APIRouter:
        """Return a router that serves the metadata of this resource server (RFC 9728).

        Include it, without a prefix, in the app that answers for the host of *resource*, and give
        its path, ``/.well-known/oauth-protected-resource`` and then that of *resource*, a rule such
        as PUBLIC. It names the scopes of the map as clients ask for them, without the admin scope.

        Raises:
            ConfigurationError: the guard was given no *resource*.
        """
        admin_scope = self._authorizer.grants.admin_scope
        return self._published.metadata_router(self._scope_map.scopes, admin_scope)


def _is_guard(call: object) -> bool:
    return isinstance(call, ScopeGuard)


def _rule_of(
    guard: object, method: str, endpoint: Documented
) -> tuple[Rule | None, RequestedScopes]:
    """Return what *guard*, a dependency of *endpoint*, asks for there, and how clients do."""
    if not isinstance(guard, ScopeGuard):
        return None, RequestedScopes()
    rules: Rulebook = guard._rules
    return rules.rule_for(method, endpoint.seen_by(guard)), guard._published.space.requested
