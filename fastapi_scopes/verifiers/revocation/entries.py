"""The key and the lifetime of one entry of a revocation list."""

import hashlib
import json
from typing import Final

from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem
from fastapi_scopes.verifiers._settings import is_number_within

__all__ = ["KEPT_BEYOND_EXP", "key_of", "require_entry"]

_MAX_NUMERIC_DATE: Final = 253402300799  # 9999-12-31T23:59:59Z, as for the tokens themselves
KEPT_BEYOND_EXP: Final = 600
"""Seconds for which an entry outlives its token: a verifier's leeway, and clocks that differ."""


def key_of(issuer: str | None, jti: str) -> str:
    """Return the key of the entry for the token *jti* of *issuer*; all keys have one length."""
    # JSON, since no separator is one that an issuer or a jti could not hold.
    named = json.dumps([issuer, jti]).encode("ascii")
    return hashlib.sha256(named).hexdigest()


def require_entry(issuer: object, jti: object, exp: object) -> None:
    """Check the arguments of `revoke`.

    Raises:
        ConfigurationError: *issuer* or *jti* is no text, or *exp* is no time.
    """
    problems: list[ConfigurationProblem] = []
    if issuer is not None and not isinstance(issuer, str):
        problems.append(
            ConfigurationProblem(
                "is no text", "pass the token's iss, None where it has none", setting="issuer"
            )
        )
    if not isinstance(jti, str) or not jti:
        problems.append(
            ConfigurationProblem(
                "is no text, or an empty one", "pass the token's jti", setting="jti"
            )
        )
    if not is_number_within(exp, 0, _MAX_NUMERIC_DATE):
        problems.append(
            ConfigurationProblem(
                "is no time", "pass the token's exp, in seconds since the epoch", setting="exp"
            )
        )
    ConfigurationError.raise_for(problems)
