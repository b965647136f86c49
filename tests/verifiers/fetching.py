"""A verifier that fetches over HTTP from the faulty issuer, and how the tests ask it."""

import asyncio
from typing import Any

from fastapi_scopes.verifiers import JWKSVerifier
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.publishing import outcome_of, settled

UNAVAILABLE = "verifier_unavailable"


def make_fetching(issuer: FaultyIssuer, **settings: Any) -> Any:
    """A verifier of that issuer which finds it by discovery."""
    return JWKSVerifier(
        **{
            "issuer": issuer.identifier,
            "audience": issuer.audience,
            "allow_http": True,
            "now": issuer.now,
            **settings,
        }
    )


def outcomes(verifier: Any, *tokens: str) -> list[str]:
    """What becomes of each token, one after the other; what goes on beside them ends first."""

    async def ask() -> list[str]:
        found = []
        for token in tokens:
            found.append(await outcome_of(verifier, token))
            await settled()
        return found

    return asyncio.run(ask())
