"""AgentOS support: a scope map of its routes, a `bind` function, and guarded routers."""

from fastapi_scopes.agentos.preset import PRESET as PRESET
from fastapi_scopes.agentos.preset import scope_map as scope_map
from fastapi_scopes.agentos.principal import bind_principal as bind_principal
from fastapi_scopes.agentos.routers import AgentOSRouters as AgentOSRouters
from fastapi_scopes.agentos.routers import install as install
from fastapi_scopes.agentos.routers import routers as routers

__all__ = ["PRESET", "AgentOSRouters", "bind_principal", "install", "routers", "scope_map"]
