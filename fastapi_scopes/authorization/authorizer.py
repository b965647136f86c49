"""Verifies the token of an access request, and decides."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi_scopes.authorization.access import AccessRequest, Verdict
from fastapi_scopes.authorization.connection import state_of
from fastapi_scopes.authorization.subprotocols import hide_offers
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import parse_credentials
from fastapi_scopes.core.decisions import decide
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.problems import Problem, ProtectionSpace, problem_of
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.errors import (
    CredentialsError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from fastapi_scopes.verifiers.base import (
    SharedClaims,
    SharedClaimsOrAwaitable,
    TokenVerifier,
    shared_claims_of,
)

__all__ = ["Authorizer"]

_log = logging.getLogger("fastapi_scopes")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Gives verdicts on access requests, with one verifier and one way in which scopes grant."""

    verifier: TokenVerifier[Any]
    grants: Grants
    space: ProtectionSpace
    bind: Callable[[MutableMapping[str, Any], Any], None] | None = None
    admin_issuers: frozenset[str] | None = None
    """The issuers from which the admin scope counts; None is every issuer that is verified."""

    async def authorize(
        self,
        request: AccessRequest,
        rule: Rule | None,
        asgi_scope: MutableMapping[str, Any],
        *,
        override_claims: Claims | None = None,
    ) -> Verdict:
        """Return the verdict on *request* under *rule*.

        *override_claims* take the place of what the verifier would return. Tokens among the
        subprotocols of a WebSocket are taken out of *asgi_scope*.
        """
        shared: SharedClaims[Claims] | None = None
        # No token is looked at for a public route, so an issuer's outage cannot close that.
        if rule is None or rule.requirement.access is not Access.PUBLIC:
            if asgi_scope["type"] == "websocket":
                hide_offers(request.offers, asgi_scope)
            try:
                if override_claims is not None:
                    shared = SharedClaims(override_claims, is_flat=True)
                else:
                    found = self._claims_of(request, asgi_scope)
                    shared = found if found is None or type(found) is SharedClaims else await found
            except (CredentialsError, TokenError, VerifierUnavailable) as error:
                return self._refusal(request, error)
        decision = decide(rule, shared.original if shared is not None else None, self.grants)
        if not decision.allowed:
            return Verdict(request, problem=problem_of(decision, self.space))
        return Verdict(request, shared if decision.claims is not None else None)

    def bind_to(self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]) -> Problem | None:
        """Make the claims of *verdict* known by `bind`; return the problem where that fails."""
        claims = verdict.claims if self.bind is not None else None
        if self.bind is None or claims is None:
            return None
        state_of(asgi_scope).admin_scope = self.grants.admin_scope
        try:
            self.bind(asgi_scope, claims)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(verdict.request, error).problem
        except Exception as error:  # noqa: BLE001 - the developer's code, on a caller's claims
            # INVARIANT: a caller whose claims `bind` did not take is refused, and nothing of the
            # caller's is logged (attacks/test_claims.py).
            _log.error("bind failed, the caller is refused: %s", type(error).__name__)
            return self._refusal(verdict.request, TokenError(TokenFault.CLAIMS)).problem
        return None

    def _claims_of(
        self, request: AccessRequest, asgi_scope: MutableMapping[str, Any]
    ) -> SharedClaimsOrAwaitable[Claims] | None:
        """Return the claims of the caller, verified now or before; None without credentials."""
        credentials = parse_credentials(request.authorization, request.offers)
        if credentials is None:
            return None
        token = credentials.token
        found = state_of(asgi_scope).claims_by(self.verifier, token)
        if found is None:
            found = shared_claims_of(self.verifier, token)
            if not isinstance(found, SharedClaims):
                return self._awaited_claims(found, token, asgi_scope)
        return self._without_foreign_admin_scope(found)

    async def _awaited_claims(
        self,
        claims: Awaitable[SharedClaims[Claims]],
        token: str,
        asgi_scope: MutableMapping[str, Any],
    ) -> SharedClaims[Claims]:
        shared = await claims
        # What is at hand without waiting is found as fast again.
        state_of(asgi_scope).keep_claims(self.verifier, token, shared)
        return self._without_foreign_admin_scope(shared)

    def _without_foreign_admin_scope(self, shared: SharedClaims[Claims]) -> SharedClaims[Claims]:
        """Return *shared* without the admin scope, where their issuer may not grant that."""
        admin_scope, issuers = self.grants.admin_scope, self.admin_issuers
        if issuers is None or admin_scope is None or shared.original.iss in issuers:
            return shared
        claims = shared.original
        scopes = claims.scopes - {admin_scope}
        return SharedClaims(shared.copy().model_copy(update={"scopes": scopes}), is_flat=True)

    def _refusal(
        self, request: AccessRequest, error: CredentialsError | TokenError | VerifierUnavailable
    ) -> Verdict:
        # The path is the client's text; the template is ours. The caller learns no code.
        where = request.route.template if request.route is not None else "an unknown route"
        _log.info("refused %s on %s: %s", request.method, where, error.code)
        return Verdict(request, problem=problem_of(error, self.space))
