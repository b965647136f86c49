"""From what a developer writes into ``keys=`` to vetted keys, each bound to its algorithms."""

from fastapi_scopes.verifiers.keys.ring import VerificationKeys, read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource

__all__ = ["KeySource", "VerificationKeys", "read_keys"]
