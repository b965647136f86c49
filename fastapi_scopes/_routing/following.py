"""Where the framework would lead a connection, from router to router."""

from typing import Any

from starlette.routing import Match, Mount

from fastapi_scopes._routing.index import Place, RouteIndex, Snapshot
from fastapi_scopes._routing.matching import Pin, RouteChangedError, RouteMatch, RouterScope, Step
from fastapi_scopes._routing.nodes import UnroutableError
from fastapi_scopes._routing.pinning import answering_router, pinned_router, router_of_nothing

__all__ = ["follow"]


def follow(index: RouteIndex, at: RouterScope, match: RouteMatch) -> None:
    """Add to *match* where the framework would lead a connection from here.

    Raises:
        UnroutableError: the code of a route fails on the path.
    """
    route_path = at.route_path
    try:
        snapshot = index.current()
        found, place, parameters = snapshot.choose(at, route_path)
    except RouteChangedError:
        snapshot, found, place, parameters = _choose_anew(index, at, route_path)
    match.routes = snapshot
    if place is None:
        _take_nothing(index, snapshot, at, match)
    elif found is Match.FULL and not place.node.leads:
        match.end(_step(index, place, at), place.route, place.endpoint, parameters)
    elif found is Match.FULL:
        _take(index, place, at, route_path, parameters, match)
    else:
        _take_partly(index, place, at, parameters, match)


def _choose_anew(
    index: RouteIndex, at: RouterScope, route_path: str
) -> tuple[Snapshot, Match, Place | None, Any]:
    # A route changed in itself; read once, it is what it is now.
    snapshot = index.read()
    try:
        return snapshot, *snapshot.choose(at, route_path)
    except RouteChangedError as error:
        raise UnroutableError from error


def _take(
    index: RouteIndex,
    place: Place,
    at: RouterScope,
    route_path: str,
    parameters: Any,
    match: RouteMatch,
) -> None:
    step = _step(index, place, at)
    index.look_behind(place, again=False)
    match.entered = (*match.entered, (place.behind or place.route, place.inner))
    # What is not looked into may be a router all the same.
    step.inner = place.inner or place.node.inner()
    mounted = ""
    if place.node.family is Mount:
        parameters = dict(parameters)
        mounted = route_path[: -len("/" + parameters.pop("path"))]
    if place.inner is None or place.index is None:
        match.end(step, place.route, place.endpoint, parameters)
        return
    match.steps = (*match.steps, step)
    follow(place.index, at.below(place.node, place.inner, mounted, parameters), match)


def _take_partly(
    index: RouteIndex, place: Place, at: RouterScope, parameters: Any, match: RouteMatch
) -> None:
    """Add to *match* that the framework says which methods there are, or else what runs."""
    node = place.node
    methods = node.listed_methods
    # INVARIANT: only where this holds does the framework not run what it matched partly
    # (attacks/test_route_handling.py).
    is_refused = bool(methods) and at.method not in methods
    if is_refused and not node.answers_partial:
        match.end_nowhere(_answer(index, place, at))
    else:
        match.end(_step(index, place, at), place.route, place.endpoint, parameters)


def _take_nothing(
    index: RouteIndex, snapshot: Snapshot, at: RouterScope, match: RouteMatch
) -> None:
    """Add to *match* that the router redirects, or else what answers where no route matches."""
    redirected: Place | None = None
    if not at.is_socket and index.router.redirect_slashes and at.route_path != "/":
        other = at.with_slash_changed()
        try:
            _, redirected, _ = snapshot.choose(other, other.route_path)
        except RouteChangedError as error:
            raise UnroutableError from error
    if redirected is not None:
        match.end_nowhere(_answer(index, redirected, at), redirected.route)
        return
    frontend = None if at.is_socket else _frontend_at(snapshot.frontends, at)
    default = snapshot.default
    if frontend is not None:
        match.end(_step(index, frontend, at), frontend.route, frontend.endpoint, {})
    elif default is not None:
        _take(index, default, at, at.route_path, {}, match)
    else:
        if snapshot.nothing is None:
            snapshot.nothing = Pin(index.router, router_of_nothing(index.router))
        match.end_nowhere(Step(snapshot.nothing, at))


def _step(index: RouteIndex, place: Place, at: RouterScope) -> Step:
    if place.pinned is None:
        shown = pinned_router(index.router, place.node)
        place.pinned = Pin(index.router, shown, place.node.key, place.node, place.node.leads)
    return Step(place.pinned, at)


def _answer(index: RouteIndex, place: Place, at: RouterScope) -> Step:
    if place.answering is None:
        place.answering = Pin(index.router, answering_router(index.router, place.node))
    return Step(place.answering, at)


def _frontend_at(frontends: list[Place], at: RouterScope) -> Place | None:
    """Return the frontend, or what else is asked last, that the framework would choose.

    The most specific one; one that matches partly, only where none does wholly.
    """
    chosen: dict[Match, tuple[Place, int | None]] = {}
    for place in frontends:
        match, specificity = place.node.ask_frontend(at.visible_scope())
        before = chosen.get(match)
        if before is None or (before[1] is not None and (specificity or -1) > before[1]):
            chosen[match] = place, specificity
    found = chosen.get(Match.FULL) or chosen.get(Match.PARTIAL)
    return found[0] if found is not None else None
