"""A verifier that asks the faulty issuer about opaque tokens, and how the tests ask it."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.verifiers import IntrospectionVerifier
from tests.issuers.faulty import CLIENT_ID, CLIENT_SECRET, FaultyIssuer
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import outcome_of

UNAVAILABLE = "verifier_unavailable"

SETTINGS: Mapping[str, Any] = {
    "endpoint": "https://as.example/introspect",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "issuer": None,
    "audience": None,
}


def make_issuer() -> FaultyIssuer:
    """An issuer whose tokens are good from NOW on for ten minutes."""
    return FaultyIssuer(now=lambda: NOW)


def make_introspecting(issuer: FaultyIssuer, /, **config: Any) -> Any:
    """A verifier at NOW that asks for the issuer's name and audience."""
    place = {
        "endpoint": issuer.introspection.url,
        "issuer": issuer.identifier,
        "audience": issuer.audience,
        "allow_http": True,
        "now": lambda: NOW,
    }
    return IntrospectionVerifier(**{**SETTINGS, **place, **config})


def answers_to(verifier: Any, *tokens: Any) -> list[str]:
    """What becomes of each token, asked one after the other in an event loop of their own."""

    async def ask() -> list[str]:
        async with aclosing(verifier):
            return [await outcome_of(verifier, token) for token in tokens]

    return asyncio.run(ask())


def answer_to(verifier: Any, token: Any) -> str:
    return answers_to(verifier, token)[0]


def claims_from(verifier: Any, token: str) -> Claims:
    async def ask() -> Claims:
        async with aclosing(verifier):
            claims: Claims = await verifier.verify(token)
            return claims

    return asyncio.run(ask())
