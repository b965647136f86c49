"""`RouterFactory`: puts a guard on routers, your own and those of a library."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends

from fastapi_scopes._routing import unreachable_in
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.guard import ScopeGuard

__all__ = ["RouterFactory"]


@dataclass(frozen=True, slots=True)
class RouterFactory:
    """Makes guarded routers out of plain ones, all with the same guard."""

    guard: ScopeGuard[Any]

    def wrap(self, router: APIRouter, *, prefix: str = "") -> APIRouter:
        """Return a new router that has the routes of *router* under *prefix*, each guarded.

        Include it like any other; *router* itself stays as it is. Map keys are those of the
        app: the prefix, then the route's own template.

        Raises:
            ConfigurationError: naming all contents that a dependency cannot reach, such as
                plain routes, mounts and frontends.
        """
        ConfigurationError.raise_for(unreachable_in(router, prefix))
        wrapped = APIRouter(dependencies=[Depends(self.guard)])
        wrapped.include_router(router, prefix=prefix)
        return wrapped
