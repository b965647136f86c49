"""Verifiers: an access token goes in, verified claims come out."""

from fastapi_scopes.verifiers._http import Document, Fetch
from fastapi_scopes.verifiers.base import (
    DiscoveringVerifier,
    IssuerEndpoints,
    ProofChecker,
    RevocationList,
    ScopeLimitedVerifier,
    TokenVerifier,
    WarmableVerifier,
)
from fastapi_scopes.verifiers.introspection import IntrospectionVerifier
from fastapi_scopes.verifiers.issuers import IssuersVerifier, SingleIssuerVerifier
from fastapi_scopes.verifiers.jwks import JWKSVerifier
from fastapi_scopes.verifiers.jwt import JWTVerifier
from fastapi_scopes.verifiers.options import (
    ANY_TENANT,
    AlgorithmName,
    AnyTenant,
    JWTOptions,
    ScopesClaim,
    TokenKind,
    TokenOptions,
)
from fastapi_scopes.verifiers.revocation import MemoryRevocationList, RedisRevocationList

__all__ = [
    "ANY_TENANT",
    "AlgorithmName",
    "AnyTenant",
    "DiscoveringVerifier",
    "Document",
    "Fetch",
    "IntrospectionVerifier",
    "IssuerEndpoints",
    "IssuersVerifier",
    "JWKSVerifier",
    "JWTOptions",
    "JWTVerifier",
    "MemoryRevocationList",
    "ProofChecker",
    "RedisRevocationList",
    "RevocationList",
    "ScopeLimitedVerifier",
    "ScopesClaim",
    "SingleIssuerVerifier",
    "TokenKind",
    "TokenOptions",
    "TokenVerifier",
    "WarmableVerifier",
]
