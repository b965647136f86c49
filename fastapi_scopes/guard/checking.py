"""What a check finds in an app on which the guard is a dependency alone."""

from collections.abc import Callable, Iterator

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
from fastapi_scopes.authorization import Authorizer
from fastapi_scopes.core.coverage import Coverage, cover
from fastapi_scopes.core.findings import Finding
from fastapi_scopes.core.scope_map import ScopeMap

__all__ = ["cover_dependencies"]


def cover_dependencies(
    app: Starlette,
    guard: object,
    scope_map: ScopeMap,
    authorizer: Authorizer,
    *,
    tree_of: Callable[[Starlette], RouteTree],
    is_guard: Callable[[object], bool],
) -> Coverage:
    """Return what *scope_map* covers of *app* and of the apps mounted in it."""
    trees = [tree_of(inner) for _, inner in apps_in(app, tree_of)]
    for tree in trees:
        tree.refresh(anew=True)
    endpoints = [*endpoints_of(app, guard, tree_of=tree_of, is_guard=is_guard)]
    found = [*_findings(app, tree_of, is_guard), *authorizer.findings_on(endpoints)]
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
