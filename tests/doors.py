"""The two ways in which a guard stands before an app."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fastapi import Depends, FastAPI

from fastapi_scopes import ScopeGuard

Door: TypeAlias = Callable[[ScopeGuard[Any]], FastAPI]

DOORS: Mapping[str, Door] = {
    "dependency": lambda guard: FastAPI(openapi_url=None, dependencies=[Depends(guard)]),
    "perimeter": lambda guard: guard.protect(FastAPI(openapi_url=None)),
}
