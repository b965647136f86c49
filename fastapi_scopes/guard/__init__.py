"""`ScopeGuard`: the scope map as a FastAPI dependency, and as what closes a perimeter."""

from fastapi_scopes.guard.scope_guard import AccessRefused, ScopeGuard, admin_scope_of

__all__ = ["AccessRefused", "ScopeGuard", "admin_scope_of"]
