"""Checks an app: what a map covers of it, by a perimeter or by dependencies alone."""

from collections.abc import Callable, Iterator

from fastapi import FastAPI
from starlette.applications import Starlette

from fastapi_scopes._routing import (
    RouteTree,
    apps_in,
    endpoints_of,
    is_dispatcher,
    placed_endpoints,
    reentries_of,
    unobservable_routers_in,
    untaken_in,
)
from fastapi_scopes.core.coverage import Coverage, cover
from fastapi_scopes.core.findings import Finding
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.guard.arguments import required_app
from fastapi_scopes.guard.dependency import ENDLESS, DependencyEdge
from fastapi_scopes.guard.documents import GuardDocuments
from fastapi_scopes.perimeter import perimeter_of

__all__ = ["check_app"]


def check_app(
    app: object, scope_map: ScopeMap, *, edge: DependencyEdge, documents: GuardDocuments
) -> Coverage:
    """Return what *scope_map* covers of *app*, by its perimeter or by the dependencies of *edge*.

    Raises:
        ConfigurationError: *app* is no app.
    """
    checked = required_app(app, "check()")
    perimeter = perimeter_of(checked)
    if perimeter is not None and perimeter.guard is edge.guard:
        return perimeter.check()
    coverage = _cover_dependencies(checked, scope_map, edge)
    if isinstance(checked, FastAPI) and checked in documents:
        # Apps may have been mounted since, and `openapi` replaced.
        documents.show_dependencies(checked, edge.rules, edge.tree_of)
    return coverage.with_findings([ENDLESS] if edge.ends_streams else [])


def _cover_dependencies(app: Starlette, scope_map: ScopeMap, edge: DependencyEdge) -> Coverage:
    tree_of, is_guard = edge.tree_of, edge.is_guard
    trees = [tree_of(inner) for _, inner in apps_in(app, tree_of)]
    for tree in trees:
        tree.refresh(anew=True)
    endpoints = [*endpoints_of(app, edge.guard, tree_of=tree_of, is_guard=is_guard)]
    found = [*_findings(app, tree_of, is_guard), *edge.authorizer.findings_on(endpoints)]
    coverage = cover(scope_map, endpoints).with_findings(found)
    has_dispatchers = any(is_dispatcher(each.router) for tree in trees for each in tree.indexes())
    return coverage.without_dead() if coverage.dead and has_dispatchers else coverage


def _findings(
    app: Starlette,
    tree_of: Callable[[Starlette], RouteTree],
    is_guard: Callable[[object], bool],
) -> Iterator[Finding]:
    for _, inner in apps_in(app, tree_of):
        yield from untaken_in(placed_endpoints(tree_of(inner).root), is_guard)
    yield from unobservable_routers_in(app, tree_of)
    yield from reentries_of(app, tree_of)
