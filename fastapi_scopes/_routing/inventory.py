"""Every endpoint of an app, as a guard sees it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from starlette.applications import Starlette

from fastapi_scopes._routing.dependants import (
    calls,
    dependants_in,
    never_none,
    untaken_scopes,
    unwrapped,
)
from fastapi_scopes._routing.index import Place, RouteIndex
from fastapi_scopes._routing.matching import RouteMatch
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes._routing.tree import RouteTree
from fastapi_scopes._routing.views import DependencyView
from fastapi_scopes.core.endpoints import Endpoint, Kind, Reach
from fastapi_scopes.core.findings import Finding, FindingCode
from fastapi_scopes.errors import ConfigurationProblem

__all__ = [
    "PlacedEndpoint",
    "endpoints_of",
    "inner_app_of",
    "mounted_app_of",
    "placed_endpoints",
    "places_in",
    "protected_endpoints_of",
    "unreachable_in",
    "untaken_in",
]


@dataclass(frozen=True, slots=True)
class PlacedEndpoint:
    """An endpoint, the code that answers there, and the tree of its dependencies."""

    route: ResolvedRoute
    target: object
    dependant: Dependant | None


def placed_endpoints(index: RouteIndex) -> Iterator[PlacedEndpoint]:
    """Yield every endpoint to which *index* leads, and unknown paths behind other code."""
    for place in index.places():
        if place.index is None:
            yield PlacedEndpoint(place.route, place.node.target, place.node.dependant)
            continue
        yield from placed_endpoints(place.index)
        if place.inner is not None and place.unknown_paths is not None and not place.inner.is_plain:
            yield PlacedEndpoint(place.unknown_paths, place.inner.app, None)


def protected_endpoints_of(tree: RouteTree, guard: object) -> Iterator[Endpoint]:
    """Yield every endpoint in *tree*, as a perimeter of *guard* decides on it."""
    tree.refresh()
    for placed in placed_endpoints(tree.root):
        yield from _endpoints_at(placed, guard, Reach.PERIMETER, "")


def endpoints_of(
    app: Starlette,
    guard: object,
    *,
    tree_of: Callable[[Starlette], RouteTree],
    is_guard: Callable[[object], bool],
) -> Iterator[Endpoint]:
    """Yield every endpoint of *app* and of the apps mounted in it, as *guard* sees them.

    *is_guard* tells of a dependency whether it is a guard of any map.
    """
    for mount, place, is_ambiguous in places_in(app, tree_of):
        reach = _reach_of(place, guard, is_guard, is_ambiguous=is_ambiguous)
        placed = PlacedEndpoint(place.route, place.node.target, place.node.dependant)
        yield from _endpoints_at(placed, guard, reach, mount)


def places_in(
    app: Starlette, tree_of: Callable[[Starlette], RouteTree]
) -> Iterator[tuple[str, Place, bool]]:
    """Yield every endpoint of *app* and of its mounted apps, as a dependency there sees it.

    Each comes as the mount path of its app, its place, and whether its route has two places there.
    """
    for mount, inner in apps_in(app, tree_of):
        places = list(tree_of(inner).places())
        seen = Counter(id(place.node.effective) for place in places)
        for place in places:
            if inner_app_of(place) is None:
                yield mount, place, seen[id(place.node.effective)] > 1


def apps_in(
    app: Starlette,
    tree_of: Callable[[Starlette], RouteTree],
    mount: str = "",
    outer: tuple[Starlette, ...] = (),
) -> Iterator[tuple[str, Starlette]]:
    """Yield *app* and the apps mounted in it, each with the path at which it is mounted."""
    yield mount, app
    for place in tree_of(app).places():
        inner = inner_app_of(place)
        if inner is not None and not any(inner is each for each in (*outer, app)):
            where = mount + place.route.template.text.removesuffix("/**")
            yield from apps_in(inner, tree_of, where, (*outer, app))


def inner_app_of(place: Place) -> Starlette | None:
    """Return the app that is mounted at *place*, or None where it has no routes of its own."""
    inner = DependencyView().inner_of(place.node)
    return inner.app if inner is not None and isinstance(inner.app, Starlette) else None


def mounted_app_of(match: RouteMatch) -> tuple[Starlette, dict[str, Any]] | None:
    """Return the app to which the mount at the end of *match* leads, and the scope that it gets.

    None where there is no mount, or its app has no routes of its own.
    """
    step = match.steps[-1] if match.steps else None
    node = step.pin.node if step is not None else None
    inner = DependencyView().inner_of(node) if node is not None else None
    if step is None or node is None or inner is None or not isinstance(inner.app, Starlette):
        return None
    seen = step.visible_scope()
    return inner.app, {**seen, **node.call_matches(seen)[1], "app": inner.app}


def _endpoints_at(
    placed: PlacedEndpoint, guard: object, reach: Reach, mount: str
) -> Iterator[Endpoint]:
    for method in sorted(placed.route.methods):
        yield Endpoint(
            method,
            placed.route.template,
            placed.route.kind,
            reach,
            source=_name_of(placed.target),
            mount=mount,
            scopes=placed.route.scopes,
            never_none=tuple(never_none(placed.dependant, guard)),
        )


def _reach_of(
    place: Place, guard: object, is_guard: Callable[[object], bool], *, is_ambiguous: bool
) -> Reach:
    kind, tree = place.route.kind, place.node.dependant
    if not kind.has_dependencies or tree is None:
        return Reach.UNREACHABLE
    nodes = list(dependants_in(tree))
    if any(calls(each, guard) for each in nodes):
        is_unknown = is_ambiguous or kind is Kind.FRONTEND
        return Reach.UNRESOLVED if is_unknown else Reach.GUARDED
    if any(is_guard(call) for each in nodes for call in unwrapped(each.call)):
        return Reach.OTHER_GUARD
    return Reach.UNGUARDED


def untaken_in(
    endpoints: Iterable[PlacedEndpoint], is_guard: Callable[[object], bool]
) -> Iterator[Finding]:
    """Yield a finding for each endpoint that asks for scopes which no guard is asked for."""
    for placed in endpoints:
        for scope, asking in untaken_scopes(placed.dependant, is_guard).items():
            yield Finding.notice(
                FindingCode.SCOPES_NOT_TAKEN,
                f"{str(placed.route.template)!r} asks for {scope!r} of {asking!r}, which no guard "
                "takes",
                "ask the guard with Security(guard, scopes=[...]), or leave it to the map",
            )


def unreachable_in(router: APIRouter, prefix: str) -> Iterable[ConfigurationProblem]:
    """Yield a problem for everything in *router* that no dependency reaches or can place."""
    app = Starlette()
    app.router = router
    tree = RouteTree(app, None, is_guard=lambda _: False, view=DependencyView())
    for place in tree.places():
        if place.route.kind not in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
            template = prefix + place.route.template.text
            yield ConfigurationProblem(
                f"no dependency reaches {template!r} ({place.route.kind.value})",
                "take it out of the router",
            )


def _name_of(target: Any) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"
