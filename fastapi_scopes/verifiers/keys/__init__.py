"""Verification keys: read from ``keys=`` or a JWK set, vetted, and bound to algorithms."""

from fastapi_scopes.verifiers.keys.ring import VerificationKeys, read_keys
from fastapi_scopes.verifiers.keys.sources import KeySource

__all__ = ["KeySource", "VerificationKeys", "read_keys"]
