"""How FastAPI and Starlette store routes; the only package that knows."""

from fastapi_scopes._routes.documented import DependencyPlaces, Documented, PerimeterPlaces, Place
from fastapi_scopes._routes.gates import deciders_of, install_gate
from fastapi_scopes._routes.inner import Inner, is_answering
from fastapi_scopes._routes.inventory import (
    endpoints_of,
    protected_endpoints_of,
    unreachable_in,
)
from fastapi_scopes._routes.located import RouteTable, untold_in
from fastapi_scopes._routes.resolver import Resolver, is_rest_of, is_run_by
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes._routes.watched import is_watchable
from fastapi_scopes._routes.ways import Way

__all__ = [
    "DependencyPlaces",
    "Documented",
    "Inner",
    "LocatedRoute",
    "PerimeterPlaces",
    "Place",
    "Resolver",
    "RouteTable",
    "Way",
    "deciders_of",
    "endpoints_of",
    "install_gate",
    "is_answering",
    "is_rest_of",
    "is_run_by",
    "is_watchable",
    "protected_endpoints_of",
    "unreachable_in",
    "untold_in",
]
