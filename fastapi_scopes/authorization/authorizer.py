"""Verify who asks, and decide."""

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi_scopes.authorization.access import AccessRequest, Verdict
from fastapi_scopes.authorization.connection import state_of
from fastapi_scopes.authorization.subprotocols import withhold
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import BearerCredentials, parse_credentials
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
from fastapi_scopes.verifiers.base import TokenVerifier, Vouched, vouched_by

__all__ = ["Authorizer"]

_log = logging.getLogger("fastapi_scopes")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Gives verdicts, with one verifier and one way in which scopes grant."""

    verifier: TokenVerifier[Any]
    grants: Grants
    space: ProtectionSpace
    bind: Callable[[MutableMapping[str, Any], Any], None] | None = None
    admin_issuers: frozenset[str] | None = None
    """From which issuers the admin scope counts; None is from whomever the verifier verifies."""

    async def authorize(
        self,
        request: AccessRequest,
        rule: Rule | None,
        asgi_scope: MutableMapping[str, Any],
        *,
        stand_in: Claims | None = None,
    ) -> Verdict:
        """Return the verdict under *rule* on who is asking.

        *stand_in* takes the place of what the verifier would say. A token that is looked at
        is in *asgi_scope* no longer, where it was a subprotocol.
        """
        vouched = Vouched(stand_in, is_flat=True) if stand_in is not None else None
        # No token is looked at for a public route, so an issuer's outage cannot close that.
        if rule is None or rule.requirement.access is not Access.PUBLIC:
            if asgi_scope["type"] == "websocket":
                withhold(request.offers, asgi_scope)
            try:
                if vouched is None:
                    found = parse_credentials(request.authorization, request.offers)
                    vouched = await self._vouched(found, asgi_scope) if found is not None else None
            except (CredentialsError, TokenError, VerifierUnavailable) as error:
                return self._refusal(request, error)
        decision = decide(rule, vouched.kept if vouched is not None else None, self.grants)
        if not decision.allowed:
            return Verdict(request, problem=problem_of(decision, self.space))
        return Verdict(request, vouched if decision.claims is not None else None)

    def bind_to(self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]) -> Problem | None:
        """Make the claims of *verdict* known to the application; return why it must not run."""
        claims = verdict.claims if self.bind is not None else None
        if self.bind is None or claims is None:
            return None
        state_of(asgi_scope).admin_scope = self.grants.admin_scope
        try:
            self.bind(asgi_scope, claims)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(verdict.request, error).problem
        except Exception as error:  # noqa: BLE001 - the developer's code, on a caller's claims
            # INVARIANT: nobody is let in whom the application was not told of, and nothing of the
            # caller's is said (attacks/test_claims.py).
            _log.error("bind failed, the caller is refused: %s", type(error).__name__)
            return self._refusal(verdict.request, TokenError(TokenFault.CLAIMS)).problem
        return None

    async def _vouched(
        self, credentials: BearerCredentials, asgi_scope: MutableMapping[str, Any]
    ) -> Vouched[Claims]:
        """Return the claims of who asks, verified now or before on the connection."""
        verified = state_of(asgi_scope).verified
        vouched = verified.get(credentials.token, self.verifier)
        if vouched is None:
            vouched = await vouched_by(self.verifier, credentials.token)
            verified.put(credentials.token, self.verifier, vouched)
        return self._limited(vouched)

    def _limited(self, vouched: Vouched[Claims]) -> Vouched[Claims]:
        """Return *vouched* without the admin scope, where it is not their issuer's to give."""
        admin_scope, claims = self.grants.admin_scope, vouched.kept
        if admin_scope is None or self.admin_issuers is None or claims.iss in self.admin_issuers:
            return vouched
        scopes = claims.scopes - {admin_scope}
        return Vouched(vouched.copy().model_copy(update={"scopes": scopes}), is_flat=True)

    def _refusal(
        self, request: AccessRequest, error: CredentialsError | TokenError | VerifierUnavailable
    ) -> Verdict:
        # The path is the client's text; the template is ours. The caller learns no code.
        where = request.route.template if request.route is not None else "an unknown route"
        _log.info("refused %s on %s: %s", request.method, where, error.code)
        return Verdict(request, problem=problem_of(error, self.space))
