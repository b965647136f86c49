"""Compact tokens, read strictly: the signature of RFC 7515, the claims of RFC 7519."""

from fastapi_scopes.verifiers.tokens.compact import VerifiedJWS, verify_compact_jws

__all__ = ["VerifiedJWS", "verify_compact_jws"]
