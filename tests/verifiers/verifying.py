"""How the tests ask: a verifier at a fixed clock, and what became of a token."""

import asyncio
import json
from pathlib import Path
from typing import Any

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationError, TokenError
from fastapi_scopes.verifiers import JWTVerifier
from tests.verifiers.minting import NOW, SECRET, config_for

VECTORS = Path(__file__).parent.parent / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def make_verifier(*keys: Any, algorithms: Any = None, **config: Any) -> Any:
    """A verifier of HS256 with SECRET at NOW that asks for no issuer and no audience."""
    algorithms = ["HS256"] if algorithms is None else algorithms
    if not keys:
        keys = tuple(SECRET if each[:2] == "HS" else config_for(each) for each in algorithms)
    defaults: dict[str, Any] = {"issuer": None, "audience": None, "now": lambda: NOW}
    return JWTVerifier(algorithms=algorithms, **{"keys": list(keys), **defaults, **config})


def verified(verifier: Any, token: Any) -> Claims:
    claims: Claims = asyncio.run(verifier.verify(token))
    return claims


def verdict(verifier: Any, token: Any) -> str:
    """`accept`, or the code of the TokenError; anything else that is raised escapes."""
    try:
        verified(verifier, token)
    except TokenError as error:
        return error.code
    return "accept"


def configured(*keys: Any, **config: Any) -> tuple[str, ...]:
    """The problems of a configuration, none where it is good."""
    try:
        make_verifier(*keys, **config)
    except ConfigurationError as error:
        return tuple(map(str, error.problems))
    return ()
