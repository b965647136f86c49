"""Reads the routes of a router in its own order: routes, frontends, and last its default."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import (
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.routing import Router

from fastapi_scopes._routing.framework import (
    attribute_of,
    is_framework_function,
    wraps_framework_code,
)
from fastapi_scopes._routing.nodes import RouteNode, node_for

__all__ = [
    "default_node",
    "docs_of",
    "forget",
    "frontend_nodes",
    "included_routers_in",
    "is_not_found_patched",
    "own_default_of",
    "route_nodes",
    "routers_with",
    "unread_in",
]


def route_nodes(
    router: Router,
    looks_into: Callable[[APIRouter], bool],
    known: dict[tuple[object, ...], RouteNode],
) -> Iterator[RouteNode]:
    """Yield the routes of *router* in its order, with the routes of included routers in between.

    An included router for which *looks_into* returns False is one node. A node of *known* that has
    not changed is yielded again.
    """
    # A copy, because other code may change the list between two nodes.
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _included_nodes(route, (), looks_into, known)
        else:
            yield node_for(known, route, route, None, ())


def _included_nodes(
    included: _IncludedRouter,
    outer: tuple[_IncludedRouter, ...],
    looks_into: Callable[[APIRouter], bool],
    known: dict[tuple[object, ...], RouteNode],
) -> Iterator[RouteNode]:
    if not looks_into(included.original_router) or not wraps_framework_code(
        included, "matches", "handle"
    ):
        path = included.include_context.prefix
        yield RouteNode(included, included, outer, path=path)
        return
    inclusions = (*outer, included)
    for candidate in list(included.effective_candidates()):
        if isinstance(candidate, _IncludedRouter):
            yield from _included_nodes(candidate, inclusions, looks_into, known)
        else:
            route = candidate.original_route
            effective = candidate.starlette_route or candidate
            yield node_for(known, route, effective, candidate, inclusions)


def frontend_nodes(router: Router) -> Iterator[RouteNode]:
    """Yield the routes that *router* tries where no other matches: frontends, one by one."""
    if not isinstance(router, APIRouter):
        return
    owners: Iterator[Any] = router._iter_low_priority_routes()
    for owner in owners:
        group: Any = getattr(owner, "original_route", owner)
        context = owner if group is not owner else None
        frontends = attribute_of(group, "routes")
        if not hasattr(group, "add_frontend_route") or frontends is None:
            yield RouteNode(group, owner, context=context, is_low_priority=True)
            continue
        for frontend in frontends:
            path = (getattr(owner, "frontend_prefix", "") + frontend.path).rstrip("/")
            yield RouteNode(
                group, owner, context=context, path=path, frontend=frontend, is_low_priority=True
            )


def own_default_of(router: Router) -> Any:
    """Return the default of *router*, or None where that is the framework's own 404."""
    return None if _not_found_in(router) is not None else router.default


def is_not_found_patched(router: Router) -> bool:
    """Tell whether other code replaced the function by which the framework's routers say 404."""
    found = _not_found_in(router)
    return found is not None and not is_framework_function(found)


def _not_found_in(router: Router) -> object:
    """Return the function of the framework's class that is the default of *router*, or None."""
    default = router.default
    owner = attribute_of(default, "__self__")
    if not isinstance(owner, Router) or attribute_of(default, "__name__") != "not_found":
        return None
    definer = next((each for each in type(owner).__mro__ if "not_found" in vars(each)), None)
    is_frameworks = definer in {Router, APIRouter} and "not_found" not in vars(owner)
    return attribute_of(default, "__func__") if is_frameworks else None


def default_node(default: Any) -> RouteNode:
    """Return the node of *default*, which answers paths without a route, as if it were a mount."""
    return RouteNode(default, default, is_default=True, may_lead_to_router=True)


def included_routers_in(router: Router) -> Iterator[APIRouter]:
    """Yield the routers that *router* includes, at any depth."""
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _behind(route)


def routers_with(router: Router, seen: tuple[Router, ...] = ()) -> Iterator[Router]:
    """Yield *router* and the routers that it includes, without FastAPI building anything."""
    # Not by `in`: routers are equal where their routes are.
    if any(router is each for each in seen):
        return
    yield router
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from routers_with(route.original_router, (*seen, router))


def _behind(included: _IncludedRouter) -> Iterator[APIRouter]:
    yield included.original_router
    yield from included_routers_in(included.original_router)
    # INVARIANT: inclusions that were taken out are read, too, while FastAPI still serves them
    # (attacks/test_late_sharing.py).
    for candidate in included._effective_candidates:
        if isinstance(candidate, _IncludedRouter):
            yield from _behind(candidate)


def unread_in(router: Router) -> list[_IncludedRouter]:
    """Return the inclusions in *router* that FastAPI has not built yet."""
    inclusions = (each for each in list(router.routes) if isinstance(each, _IncludedRouter))
    return [each for each in inclusions if each._effective_candidates_version is None]


def forget(included: _IncludedRouter) -> None:
    """Make FastAPI build the routes of an inclusion again, as for the first connection.

    INVARIANT: what is put on an included route until then counts, and runs
    (attacks/test_late_dependencies.py).
    """
    included._effective_candidates_version = None
    included._effective_low_priority_routes_version = None


def docs_of(app: object) -> frozenset[str]:
    """Return the paths of the docs pages of *app*."""
    if not isinstance(app, FastAPI) or not app.openapi_url:
        return frozenset()
    urls = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    return frozenset(url for url in urls if url)
