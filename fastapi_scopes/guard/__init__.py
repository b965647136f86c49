"""`ScopeGuard`: the scope map as a FastAPI dependency, and as what closes a perimeter."""

from fastapi_scopes.guard.dependency import admin_scope_of
from fastapi_scopes.guard.explanation import Explanation
from fastapi_scopes.guard.scope_guard import AccessRefused, ScopeGuard

__all__ = ["AccessRefused", "Explanation", "ScopeGuard", "admin_scope_of"]
