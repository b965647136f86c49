"""Every endpoint of an app, as a guard sees it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import APIRouter
from starlette.applications import Starlette

from fastapi_scopes._routes.dependants import asked_scopes, calls, dependants_in, never_none
from fastapi_scopes._routes.resolver import Resolver
from fastapi_scopes._routes.walk import Node, walk_app, walk_router
from fastapi_scopes.core.coverage import Endpoint, Kind, Reach

__all__ = ["endpoints_of", "protected_endpoints_of", "unreachable_in"]

_REACHABLE = frozenset({Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND})


def endpoints_of(
    app: Starlette, guard: object, *, is_guard: Callable[[object], bool]
) -> Iterator[Endpoint]:
    """Yield every endpoint of *app* and of the apps mounted in it, as *guard* sees them.

    *is_guard* tells of a dependency whether it is a guard of any map.
    """
    yield from _endpoints_in(app, guard, is_guard, mount="", outer=())


def _endpoints_in(
    app: Starlette,
    guard: object,
    is_guard: Callable[[object], bool],
    *,
    mount: str,
    outer: tuple[Starlette, ...],
) -> Iterator[Endpoint]:
    nodes = list(walk_app(app))
    places = Counter(id(node.source) for node in nodes)
    for node in nodes:
        if isinstance(node.target, Starlette):
            if node.target not in (*outer, app):
                inner = mount + node.template.text.removesuffix("/**")
                yield from _endpoints_in(
                    node.target, guard, is_guard, mount=inner, outer=(*outer, app)
                )
            continue
        reach = _reach_of(node, guard, is_guard, is_ambiguous=places[id(node.source)] > 1)
        yield from _endpoints_at(node, guard, reach, mount)


def _endpoints_at(node: Node, guard: object, reach: Reach, mount: str) -> Iterator[Endpoint]:
    tree = node.dependant
    for method in node.methods:
        yield Endpoint(
            method,
            node.template,
            node.kind,
            reach,
            source=_name_of(node.target),
            mount=mount,
            scopes=asked_scopes(tree, guard) if tree is not None else (),
            never_none=tuple(never_none(tree, guard)) if tree is not None else (),
        )


def _reach_of(
    node: Node, guard: object, is_guard: Callable[[object], bool], *, is_ambiguous: bool
) -> Reach:
    if node.kind not in _REACHABLE or node.dependant is None:
        return Reach.UNREACHABLE
    tree = list(dependants_in(node.dependant))
    if any(calls(each, guard) for each in tree):
        is_unknown = is_ambiguous or node.kind is Kind.FRONTEND
        return Reach.UNRESOLVED if is_unknown else Reach.GUARDED
    if any(is_guard(each.call) for each in tree):
        return Reach.OTHER_GUARD
    return Reach.UNGUARDED


def protected_endpoints_of(resolver: Resolver, guard: object) -> Iterator[Endpoint]:
    """Yield every endpoint that *resolver* finds, as a perimeter of *guard* decides on it."""
    for route, target, tree in resolver.endpoints():
        for method in sorted(route.methods):
            yield Endpoint(
                method,
                route.template,
                route.kind,
                Reach.PERIMETER,
                source=_name_of(target),
                scopes=route.scopes,
                never_none=tuple(never_none(tree, guard)) if tree is not None else (),
            )


def unreachable_in(router: APIRouter, prefix: str) -> Iterable[str]:
    """Yield a sentence for everything in *router* that no dependency reaches or can place."""
    for node in walk_router(router, prefix, ()):
        if node.kind not in {Kind.API_ROUTE, Kind.API_WEBSOCKET}:
            yield f"no dependency reaches {str(node.template)!r} ({node.kind.value})"


def _name_of(target: Any) -> str:
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"
