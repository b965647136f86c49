"""What a router has, in the order in which it asks: routes, frontends, its default."""

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
from fastapi_scopes._routing.nodes import RouteNode, known_node

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
    """Yield the routes of *router* in its order, included ones where they are included.

    An included router that *looks_into* says no to is one node. A node that is *known*, and is
    still what it was, is yielded again.
    """
    # A list of its own: others may run while these are looked at.
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _included_nodes(route, (), looks_into, known)
        else:
            yield known_node(known, route, route, None, ())


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
            yield known_node(known, route, effective, candidate, inclusions)


def frontend_nodes(router: Router) -> Iterator[RouteNode]:
    """Yield what *router* asks where no route matches: frontends, one by one."""
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
    """Return what of the developer's answers where no route matches, or None."""
    return None if _not_found_in(router) is not None else router.default


def is_not_found_patched(router: Router) -> bool:
    """Tell whether what the framework answers where no route matches was replaced by other code."""
    found = _not_found_in(router)
    return found is not None and not is_framework_function(found)


def _not_found_in(router: Router) -> object:
    """Return the function by which the framework's class says that there is no route, or None."""
    default = router.default
    owner = attribute_of(default, "__self__")
    if not isinstance(owner, Router) or attribute_of(default, "__name__") != "not_found":
        return None
    definer = next((each for each in type(owner).__mro__ if "not_found" in vars(each)), None)
    is_frameworks = definer in {Router, APIRouter} and "not_found" not in vars(owner)
    return attribute_of(default, "__func__") if is_frameworks else None


def default_node(default: Any) -> RouteNode:
    """Return *default*, which answers what no route matches, as if it were a mount."""
    return RouteNode(default, default, is_default=True, leads=True)


def included_routers_in(router: Router) -> Iterator[APIRouter]:
    """Yield the routers that *router* includes, at any depth."""
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _behind(route)


def routers_with(router: Router, seen: tuple[Router, ...] = ()) -> Iterator[Router]:
    """Yield *router* and those that it includes, before FastAPI makes anything of them."""
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
    # INVARIANT: what FastAPI still serves is looked at too, if it was taken out meanwhile
    # (attacks/test_late_sharing.py).
    for candidate in included._effective_candidates:
        if isinstance(candidate, _IncludedRouter):
            yield from _behind(candidate)


def unread_in(router: Router) -> list[_IncludedRouter]:
    """Return the inclusions in *router* of which FastAPI has made nothing yet."""
    inclusions = (each for each in list(router.routes) if isinstance(each, _IncludedRouter))
    return [each for each in inclusions if each._effective_candidates_version is None]


def forget(included: _IncludedRouter) -> None:
    """Let FastAPI make anew what it makes of an inclusion, as it does for the first connection.

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
