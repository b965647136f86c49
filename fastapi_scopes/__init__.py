"""One scope map guards a whole FastAPI application.

A root name is imported when it is first used, so that `import fastapi_scopes.core` does not import
FastAPI.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi_scopes.core.claims import Claims as Claims
    from fastapi_scopes.core.coverage import Coverage as Coverage
    from fastapi_scopes.core.decisions import Decision as Decision
    from fastapi_scopes.core.requirements import AUTHENTICATED as AUTHENTICATED
    from fastapi_scopes.core.requirements import DENY as DENY
    from fastapi_scopes.core.requirements import OPTIONAL as OPTIONAL
    from fastapi_scopes.core.requirements import PUBLIC as PUBLIC
    from fastapi_scopes.core.requirements import all_of as all_of
    from fastapi_scopes.core.requirements import any_of as any_of
    from fastapi_scopes.core.scope_map import ScopeMap as ScopeMap
    from fastapi_scopes.guard.scope_guard import ScopeGuard as ScopeGuard
    from fastapi_scopes.routers import RouterFactory as RouterFactory
    from fastapi_scopes.verifiers.base import TokenVerifier as TokenVerifier
    from fastapi_scopes.verifiers.jwks.verifier import JWKSVerifier as JWKSVerifier
    from fastapi_scopes.verifiers.jwt import JWTVerifier as JWTVerifier

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
    "RouterFactory",
    "ScopeGuard",
    "ScopeMap",
    "TokenVerifier",
    "all_of",
    "any_of",
]

# Type checkers read the imports above, Python reads this table; a test compares the two.
_MODULE_OF = {
    "AUTHENTICATED": "core.requirements",
    "DENY": "core.requirements",
    "OPTIONAL": "core.requirements",
    "PUBLIC": "core.requirements",
    "Claims": "core.claims",
    "Coverage": "core.coverage",
    "Decision": "core.decisions",
    "JWKSVerifier": "verifiers.jwks.verifier",
    "JWTVerifier": "verifiers.jwt",
    "RouterFactory": "routers",
    "ScopeGuard": "guard.scope_guard",
    "ScopeMap": "core.scope_map",
    "TokenVerifier": "verifiers.base",
    "all_of": "core.requirements",
    "any_of": "core.requirements",
}


if not TYPE_CHECKING:  # A checker that saw it would take every misspelt name for an object.

    def __getattr__(name: str) -> object:
        # PEP 562: called once for each name. Two threads that ask at once store the same object.
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
