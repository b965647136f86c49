"""Finds the route of a connection as the framework would, from router to router."""

from typing import Any

from starlette.routing import Match, Mount

from fastapi_scopes._routing.index import Place, RouteIndex, Snapshot
from fastapi_scopes._routing.matching import RouteMatch
from fastapi_scopes._routing.nodes import UnroutableError
from fastapi_scopes._routing.pinning import answering_router, pinned_router, router_of_nothing
from fastapi_scopes._routing.router_steps import Pin, RouteChangedError, RouterStep

__all__ = ["follow"]


def follow(index: RouteIndex, step: RouterStep, match: RouteMatch) -> None:
    """Fill *match* with the routers and the route that the framework would choose, from *step* on.

    *step* is at the router of *index*.

    Raises:
        UnroutableError: the code of a route fails on the path.
    """
    route_path = step.route_path
    try:
        snapshot = index.current_or_none() or index.read()
        found, place, parameters = snapshot.choose(step, route_path)
    except RouteChangedError:
        snapshot, found, place, parameters = _reread_and_choose(index, step, route_path)
    match.routes = snapshot
    if place is None:
        _follow_no_match(index, snapshot, step, match)
    elif found is Match.FULL and not place.node.may_lead_to_router:
        # The usual case, without a call: it was asked for before.
        step.pin = place.pinned or _pinned(index, place)
        match.end_at_route(step, place.route, place.endpoint, parameters)
    elif found is Match.FULL:
        _follow_match(index, place, step, route_path, parameters, match)
    else:
        _follow_partial_match(index, place, step, parameters, match)


def _reread_and_choose(
    index: RouteIndex, step: RouterStep, route_path: str
) -> tuple[Snapshot, Match, Place | None, Any]:
    # A route was changed in place, uncounted: its router is read again, once.
    snapshot = index.read()
    try:
        return snapshot, *snapshot.choose(step, route_path)
    except RouteChangedError as error:
        raise UnroutableError from error


def _follow_match(
    index: RouteIndex,
    place: Place,
    step: RouterStep,
    route_path: str,
    parameters: Any,
    match: RouteMatch,
) -> None:
    """Continue *match* through the route at *place*, which may lead to another router."""
    step.pin = _pinned(index, place)
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
    follow(place.index, step.below(place.node, place.inner, mounted, parameters), match)


def _follow_partial_match(
    index: RouteIndex, place: Place, step: RouterStep, parameters: Any, match: RouteMatch
) -> None:
    """End *match* at a route that lists other methods: with a 405, or with what runs."""
    node = place.node
    methods = node.listed_methods
    # INVARIANT: only then does the framework answer 405 and not run the route
    # (attacks/test_route_handling.py).
    is_method_refused = bool(methods) and step.method not in methods
    if is_method_refused and not node.has_own_handle:
        step.pin = _answering(index, place)
        match.end_without_route(step)
    else:
        step.pin = _pinned(index, place)
        match.end_at_route(step, place.route, place.endpoint, parameters)


def _follow_no_match(
    index: RouteIndex, snapshot: Snapshot, step: RouterStep, match: RouteMatch
) -> None:
    """End *match* where no route matches: with a redirect, a frontend, the default, or a 404."""
    redirected: Place | None = None
    if not step.is_socket and index.router.redirect_slashes and step.route_path != "/":
        other = step.with_slash_changed()
        try:
            _, redirected, _ = snapshot.choose(other, other.route_path)
        except RouteChangedError as error:
            raise UnroutableError from error
    if redirected is not None:
        step.pin = _answering(index, redirected)
        match.end_without_route(step, redirected.route)
        return
    frontend = None if step.is_socket else _frontend_at(snapshot.frontends, step)
    default = snapshot.default
    if frontend is not None:
        step.pin = _pinned(index, frontend)
        match.end_at_route(step, frontend.route, frontend.endpoint, {})
    elif default is not None:
        _follow_match(index, default, step, step.route_path, {}, match)
    else:
        if snapshot.no_route is None:
            snapshot.no_route = Pin(index.router, router_of_nothing(index.router))
        step.pin = snapshot.no_route
        match.end_without_route(step)


def _pinned(index: RouteIndex, place: Place) -> Pin:
    """Return the pin by which the router can run the route at *place* alone."""
    if place.pinned is None:
        pinned_copy = pinned_router(index.router, place.node)
        place.pinned = Pin(index.router, pinned_copy, place.node.shared_key, place.node)
    return place.pinned


def _answering(index: RouteIndex, place: Place) -> Pin:
    """Return the pin by which the router answers for the route at *place*, and runs nothing."""
    if place.answering is None:
        place.answering = Pin(index.router, answering_router(index.router, place.node))
    return place.answering


def _frontend_at(frontends: list[Place], step: RouterStep) -> Place | None:
    """Return the frontend, or other low-priority route, that the framework would choose.

    It is the most specific one that matches; a partial match counts only without a full one.
    """
    chosen: dict[Match, tuple[Place, int | None]] = {}
    for place in frontends:
        match, specificity = place.node.call_frontend_matches(step.visible_scope())
        before = chosen.get(match)
        if before is None or (before[1] is not None and (specificity or -1) > before[1]):
            chosen[match] = place, specificity
    found = chosen.get(Match.FULL) or chosen.get(Match.PARTIAL)
    return found[0] if found is not None else None
