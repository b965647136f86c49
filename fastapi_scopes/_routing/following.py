"""Finds the route of a connection as the framework would, from router to router."""

from typing import Any

from starlette.routing import Match, Mount

from fastapi_scopes._routing.index import Place, RouteIndex, Snapshot
from fastapi_scopes._routing.matching import (
    Pin,
    RouteChangedError,
    RouteMatch,
    RouterScope,
    RouterStep,
)
from fastapi_scopes._routing.nodes import UnroutableError
from fastapi_scopes._routing.pinning import answering_router, pinned_router, router_of_nothing

__all__ = ["follow"]


def follow(index: RouteIndex, router_scope: RouterScope, match: RouteMatch) -> None:
    """Fill *match* with the routers and the route that the framework would choose, from *index* on.

    Raises:
        UnroutableError: the code of a route fails on the path.
    """
    route_path = router_scope.route_path
    try:
        snapshot = index.current()
        found, place, parameters = snapshot.choose(router_scope, route_path)
    except RouteChangedError:
        snapshot, found, place, parameters = _reread_and_choose(index, router_scope, route_path)
    match.routes = snapshot
    if place is None:
        _follow_no_match(index, snapshot, router_scope, match)
    elif found is Match.FULL and not place.node.may_lead_to_router:
        match.end_at_route(
            _pinned_step(index, place, router_scope), place.route, place.endpoint, parameters
        )
    elif found is Match.FULL:
        _follow_match(index, place, router_scope, route_path, parameters, match)
    else:
        _follow_partial_match(index, place, router_scope, parameters, match)


def _reread_and_choose(
    index: RouteIndex, router_scope: RouterScope, route_path: str
) -> tuple[Snapshot, Match, Place | None, Any]:
    # A route was changed in place, uncounted: its router is read again, once.
    snapshot = index.read()
    try:
        return snapshot, *snapshot.choose(router_scope, route_path)
    except RouteChangedError as error:
        raise UnroutableError from error


def _follow_match(
    index: RouteIndex,
    place: Place,
    router_scope: RouterScope,
    route_path: str,
    parameters: Any,
    match: RouteMatch,
) -> None:
    """Continue *match* through the route at *place*, which may lead to another router."""
    step = _pinned_step(index, place, router_scope)
    index.update_inner(place, again=False)
    match.mounts = (*match.mounts, (place.unknown_paths or place.route, place.inner))
    # A route that is one endpoint of the view may lead to a router all the same.
    step.inner = place.inner or place.node.inner_router()
    mounted = ""
    if place.node.family is Mount:
        parameters = dict(parameters)
        mounted = route_path[: -len("/" + parameters.pop("path"))]
    if place.inner is None or place.index is None:
        match.end_at_route(step, place.route, place.endpoint, parameters)
        return
    match.steps = (*match.steps, step)
    follow(place.index, router_scope.below(place.node, place.inner, mounted, parameters), match)


def _follow_partial_match(
    index: RouteIndex, place: Place, router_scope: RouterScope, parameters: Any, match: RouteMatch
) -> None:
    """End *match* at a route that lists other methods: with a 405, or with what runs."""
    node = place.node
    methods = node.listed_methods
    # INVARIANT: only then does the framework answer 405 and not run the route
    # (attacks/test_route_handling.py).
    is_method_refused = bool(methods) and router_scope.method not in methods
    if is_method_refused and not node.has_own_handle:
        match.end_without_route(_answering_step(index, place, router_scope))
    else:
        match.end_at_route(
            _pinned_step(index, place, router_scope), place.route, place.endpoint, parameters
        )


def _follow_no_match(
    index: RouteIndex, snapshot: Snapshot, router_scope: RouterScope, match: RouteMatch
) -> None:
    """End *match* where no route matches: with a redirect, a frontend, the default, or a 404."""
    redirected: Place | None = None
    if (
        not router_scope.is_socket
        and index.router.redirect_slashes
        and router_scope.route_path != "/"
    ):
        other = router_scope.with_slash_changed()
        try:
            _, redirected, _ = snapshot.choose(other, other.route_path)
        except RouteChangedError as error:
            raise UnroutableError from error
    if redirected is not None:
        match.end_without_route(_answering_step(index, redirected, router_scope), redirected.route)
        return
    frontend = None if router_scope.is_socket else _frontend_at(snapshot.frontends, router_scope)
    default = snapshot.default
    if frontend is not None:
        match.end_at_route(
            _pinned_step(index, frontend, router_scope), frontend.route, frontend.endpoint, {}
        )
    elif default is not None:
        _follow_match(index, default, router_scope, router_scope.route_path, {}, match)
    else:
        if snapshot.no_route is None:
            snapshot.no_route = Pin(index.router, router_of_nothing(index.router))
        match.end_without_route(RouterStep(snapshot.no_route, router_scope))


def _pinned_step(index: RouteIndex, place: Place, router_scope: RouterScope) -> RouterStep:
    """Return the step at which the router can run the route at *place* alone."""
    if place.pinned is None:
        pinned_copy = pinned_router(index.router, place.node)
        place.pinned = Pin(index.router, pinned_copy, place.node.shared_key, place.node)
    return RouterStep(place.pinned, router_scope)


def _answering_step(index: RouteIndex, place: Place, router_scope: RouterScope) -> RouterStep:
    """Return the step at which the router answers for the route at *place*, and runs nothing."""
    if place.answering is None:
        place.answering = Pin(index.router, answering_router(index.router, place.node))
    return RouterStep(place.answering, router_scope)


def _frontend_at(frontends: list[Place], router_scope: RouterScope) -> Place | None:
    """Return the frontend, or other low-priority route, that the framework would choose.

    It is the most specific one that matches; a partial match counts only without a full one.
    """
    chosen: dict[Match, tuple[Place, int | None]] = {}
    for place in frontends:
        match, specificity = place.node.call_frontend_matches(router_scope.visible_scope())
        before = chosen.get(match)
        if before is None or (before[1] is not None and (specificity or -1) > before[1]):
            chosen[match] = place, specificity
    found = chosen.get(Match.FULL) or chosen.get(Match.PARTIAL)
    return found[0] if found is not None else None
