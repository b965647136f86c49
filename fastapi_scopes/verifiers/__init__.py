"""Verifiers: an access token goes in, verified claims come out."""

from fastapi_scopes.verifiers.base import TokenVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier

__all__ = ["JWTVerifier", "TokenVerifier"]
