"""Verifies the token of an access request, and decides."""

import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi_scopes.authorization.access import AccessRequest, Verdict, refusing
from fastapi_scopes.authorization.connection import ConnectionState, state_of
from fastapi_scopes.authorization.reporting import DecisionReporter
from fastapi_scopes.authorization.rollout import Rollout
from fastapi_scopes.authorization.subprotocols import hide_offers
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import MAX_TOKEN_CHARS, parse_credentials
from fastapi_scopes.core.decisions import decide
from fastapi_scopes.core.endpoints import Endpoint
from fastapi_scopes.core.findings import Finding
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.problems import ProtectionSpace, problem_of
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.errors import (
    CredentialsError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
    type_and_place_of,
)
from fastapi_scopes.verifiers.base import (
    GrantingIssuers,
    SharedClaims,
    TokenVerifier,
    shared_claims_of,
)

__all__ = ["Authorizer"]

_log = logging.getLogger("fastapi_scopes")

_SILENT: Final = DecisionReporter()


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Gives verdicts on access requests, with one verifier and one way in which scopes grant."""

    verifier: TokenVerifier[Any]
    grants: Grants
    space: ProtectionSpace
    bind: Callable[[MutableMapping[str, Any], Any], None] | None = None
    admin_issuers: GrantingIssuers | None = None
    """Where the admin scope counts from; None is every issuer that is verified."""
    reporter: DecisionReporter = _SILENT
    rollout: Rollout | None = None
    """Which refusals are reported only; None is none of them."""
    max_token_chars: int = field(init=False, default=MAX_TOKEN_CHARS)
    """The longest token that the verifier reads, where it says so."""

    def __post_init__(self) -> None:
        """Ask the verifier once how long its tokens may be."""
        longest: object = getattr(self.verifier, "max_token_chars", None)
        if isinstance(longest, int):
            object.__setattr__(self, "max_token_chars", longest)

    def findings_on(self, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
        """Yield what is wrong with the names of scopes, and with the rollout, on *endpoints*."""
        yield from self.space.requested.findings_on(endpoints)
        if self.rollout is not None:
            yield from self.rollout.findings_on(endpoints)

    def authorize(
        self,
        request: AccessRequest,
        rule: Rule | None,
        asgi_scope: MutableMapping[str, Any],
        *,
        override_claims: Claims | None = None,
    ) -> Verdict | Awaitable[Verdict]:
        """Return the verdict on *request* under *rule*.

        It is to be awaited while the verifier waits for something. *override_claims* take the
        place of what the verifier would return. Tokens among the subprotocols of a WebSocket are
        taken out of *asgi_scope*.
        """
        if rule is not None and rule.requirement.access is Access.PUBLIC:
            # No token is looked at, so an issuer's outage cannot close a public route.
            return self._decide(request, rule, None)
        if asgi_scope["type"] == "websocket":
            hide_offers(request.offers, asgi_scope)
        if override_claims is not None:
            return self._decide(request, rule, SharedClaims(override_claims, is_flat=True))
        try:
            credentials = parse_credentials(
                request.authorization, request.offers, max_chars=self.max_token_chars
            )
            if credentials is None:
                return self._decide(request, rule, None)
            # Verified on this connection before, or now.
            token, state = credentials.token, state_of(asgi_scope)
            found = state.claims_by(self.verifier, token) or shared_claims_of(self.verifier, token)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(request, rule, error)
        if isinstance(found, SharedClaims):
            state.keep_claims(self.verifier, token, found)
            return self._decide(request, rule, found)
        return self._authorize_later(request, rule, found, token, state)

    async def _authorize_later(
        self,
        request: AccessRequest,
        rule: Rule | None,
        claims: Awaitable[SharedClaims[Claims]],
        token: str,
        state: ConnectionState,
    ) -> Verdict:
        try:
            shared = await claims
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(request, rule, error)
        state.keep_claims(self.verifier, token, shared)
        return self._decide(request, rule, shared)

    def _decide(
        self, request: AccessRequest, rule: Rule | None, shared: SharedClaims[Claims] | None
    ) -> Verdict:
        if shared is not None and self.admin_issuers is not None:
            shared = self._without_foreign_admin_scope(shared, self.admin_issuers)
        decision = decide(rule, shared.original if shared is not None else None, self.grants)
        if not decision.allowed:
            if self.rollout is not None and self.rollout.reports(
                decision, request, shared=shared, verifier=self.verifier
            ):
                verdict = Verdict(request, rule, decision, shared)
                verdict.reported = True
                return verdict
            return refusing(request, rule, decision, problem_of(decision, self.space))
        return Verdict(request, rule, decision, shared if decision.claims is not None else None)

    def bind_to(self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]) -> Verdict:
        """Make the claims of *verdict* known by `bind`; return it, or the refusal of `bind`."""
        if self.bind is None or verdict.claims is None:
            return verdict
        state_of(asgi_scope).admin_scope = self.grants.admin_scope
        try:
            self.bind(asgi_scope, verdict.claims)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return verdict.refused(error, problem_of(error, self.space))
        except Exception as error:  # noqa: BLE001 - the developer's code, on a caller's claims
            # INVARIANT: a caller whose claims `bind` did not take is refused, and nothing of the
            # caller's is logged (attacks/test_claims.py).
            _log.error("bind failed, the caller is refused: %s", type_and_place_of(error))
            fault = TokenError(TokenFault.CLAIMS, "bind did not take them")
            return verdict.refused(fault, problem_of(fault, self.space))
        return verdict

    def _without_foreign_admin_scope(
        self, shared: SharedClaims[Claims], admin_issuers: GrantingIssuers
    ) -> SharedClaims[Claims]:
        """Return *shared* without the admin scope, where it does not count from their verifier."""
        admin_scope, claims = self.grants.admin_scope, shared.original
        # Claims that a verifier of the application returned have no origin, but an issuer.
        if (
            admin_scope is None
            or shared.origin in admin_issuers.origins
            or claims.iss in admin_issuers
        ):
            return shared
        scopes = claims.scopes - {admin_scope}
        limited = SharedClaims(shared.copy().model_copy(update={"scopes": scopes}), is_flat=True)
        limited.origin = shared.origin
        return limited

    def _refusal(
        self,
        request: AccessRequest,
        rule: Rule | None,
        error: CredentialsError | TokenError | VerifierUnavailable,
    ) -> Verdict:
        return refusing(request, rule, error, problem_of(error, self.space))
