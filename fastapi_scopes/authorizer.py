"""From a rule and a request's credentials to a decision: verify, then decide."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import parse_authorization
from fastapi_scopes.core.decisions import Decision, decide
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.scope_map import Rule
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers.base import TokenVerifier

__all__ = ["Authorizer", "VerifiedTokens"]


@dataclass(slots=True)
class VerifiedTokens:
    """What was found on one connection, per verifier; none sees another's claims."""

    _found: dict[int, tuple[object, str, Claims]] = field(default_factory=dict, repr=False)

    async def verify(self, token: str, verifier: TokenVerifier[Claims]) -> Claims:
        """Return the claims of *token*, verified by *verifier* now or before on the connection.

        Raises:
            TokenError: the token is not valid here.
            VerifierUnavailable: the issuer cannot be reached.
        """
        known = self._found.get(id(verifier))
        if known is not None and known[0] is verifier and known[1] == token:
            return known[2]
        claims: object = await verifier.verify(token)
        if not isinstance(claims, Claims):
            # INVARIANT: a verifier that returns anything else lets no one in
            # (attacks/test_claims.py: test_verifier_without_claims_lets_no_one_in).
            raise TokenError(TokenFault.CLAIMS)
        self._found[id(verifier)] = (verifier, token, claims)
        return claims


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Decides on requests with one verifier and one way in which scopes grant."""

    verifier: TokenVerifier[Claims]
    grants: Grants

    async def authorize(
        self, rule: Rule | None, authorization: Sequence[bytes], verified: VerifiedTokens
    ) -> Decision:
        """Return the decision under *rule* on whoever sent the *authorization* fields.

        Raises:
            CredentialsError: the fields are not one bearer credential.
            TokenError: the token is not valid here.
            VerifierUnavailable: the issuer cannot be reached.
        """
        if rule is not None and rule.requirement.access is Access.PUBLIC:
            # No token is looked at, so an issuer's outage cannot close a public route.
            return decide(rule, None, self.grants)
        credentials = parse_authorization(authorization)
        if credentials is None:
            return decide(rule, None, self.grants)
        claims = await verified.verify(credentials.token, self.verifier)
        return decide(rule, claims, self.grants)
