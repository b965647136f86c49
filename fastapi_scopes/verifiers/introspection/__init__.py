"""Verification by asking the issuer about each token (RFC 7662)."""

from fastapi_scopes.verifiers.introspection.verifier import IntrospectionVerifier

__all__ = ["IntrospectionVerifier"]
