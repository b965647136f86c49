"""Both kinds of verifier for JWTs, asked in one way; the issuer publishes without a network."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastapi_scopes.errors import VerifierUnavailable
from fastapi_scopes.verifiers import Document, JWKSVerifier
from tests.verifiers.minting import NOW, jwk, key_for, pem
from tests.verifiers.publishing import JWKS_URI, key_set_of
from tests.verifiers.verifying import make_verifier, verdict

Make: TypeAlias = Callable[..., Any]
KEY = key_for("ES256")


def make_published(*jwks: Any, **config: Any) -> Any:
    """A verifier at NOW with the published *jwks* that asks for no issuer and no audience."""
    body = key_set_of(*jwks)

    async def fetch(url: str) -> Document:
        return Document(body)

    defaults: dict[str, Any] = {"issuer": None, "audience": None, "jwks_uri": JWKS_URI}
    return JWKSVerifier(**{**defaults, "fetch": fetch, "now": lambda: NOW, **config})


KINDS: Mapping[str, Make] = {
    "given-keys": lambda **config: make_verifier(pem(KEY), algorithms=["ES256"], **config),
    "published-keys": lambda **config: make_published(jwk(KEY), **config),
}
"""For tokens that are minted with ``algorithm="ES256"``."""


def outcome(verifier: Any, token: Any) -> str:
    """`accept`, the code of the TokenError, or `unavailable`; anything else escapes."""
    try:
        return verdict(verifier, token)
    except VerifierUnavailable:
        return "unavailable"


def gathered(*asked: Any) -> list[Any]:
    """What came of several questions that were asked at once in one event loop."""

    async def ask() -> list[Any]:
        return await asyncio.gather(*asked)

    return asyncio.run(ask())
