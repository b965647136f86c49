"""One scope map guards a whole FastAPI application."""

from fastapi_scopes.core.claims import Claims as Claims
from fastapi_scopes.core.coverage import Coverage as Coverage
from fastapi_scopes.core.decisions import Decision as Decision
from fastapi_scopes.core.grants import ResourceScopes as ResourceScopes
from fastapi_scopes.core.requirements import AUTHENTICATED as AUTHENTICATED
from fastapi_scopes.core.requirements import DENY as DENY
from fastapi_scopes.core.requirements import OPTIONAL as OPTIONAL
from fastapi_scopes.core.requirements import PUBLIC as PUBLIC
from fastapi_scopes.core.requirements import all_of as all_of
from fastapi_scopes.core.requirements import any_of as any_of
from fastapi_scopes.core.scope_map import ScopeMap as ScopeMap
from fastapi_scopes.guard import ScopeGuard as ScopeGuard
from fastapi_scopes.routers import RouterFactory as RouterFactory
from fastapi_scopes.verifiers import JWKSVerifier as JWKSVerifier
from fastapi_scopes.verifiers import JWTVerifier as JWTVerifier
from fastapi_scopes.verifiers import TokenVerifier as TokenVerifier

__all__ = [
    "AUTHENTICATED",
    "DENY",
    "OPTIONAL",
    "PUBLIC",
    "Claims",
    "Coverage",
    "Decision",
    "JWKSVerifier",
    "JWTVerifier",
    "ResourceScopes",
    "RouterFactory",
    "ScopeGuard",
    "ScopeMap",
    "TokenVerifier",
    "all_of",
    "any_of",
]
