"""Verifiers: an access token goes in, verified claims come out."""

from fastapi_scopes.verifiers._http import Document, Fetch
from fastapi_scopes.verifiers.base import (
    IssuerLimits,
    ProofChecker,
    RevocationList,
    TokenVerifier,
)
from fastapi_scopes.verifiers.introspection import IntrospectionVerifier
from fastapi_scopes.verifiers.issuers import IssuersVerifier, OneIssuer
from fastapi_scopes.verifiers.jwks import JWKSVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier
from fastapi_scopes.verifiers.revocation import MemoryRevocationList, RedisRevocationList

__all__ = [
    "Document",
    "Fetch",
    "IntrospectionVerifier",
    "IssuerLimits",
    "IssuersVerifier",
    "JWKSVerifier",
    "JWTVerifier",
    "MemoryRevocationList",
    "OneIssuer",
    "ProofChecker",
    "RedisRevocationList",
    "RevocationList",
    "TokenVerifier",
]
