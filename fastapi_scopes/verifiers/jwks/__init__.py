"""Verification with the keys that an issuer publishes."""

from fastapi_scopes.verifiers.jwks.verifier import JWKSVerifier

__all__ = ["JWKSVerifier"]
