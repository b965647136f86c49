"""How FastAPI and Starlette store routes; the only package that knows.

The way of a connection through a perimeter: `gates.Gate` stands before the matching of a router
and has the perimeter decide. That asks `tree.RouteTree.resolve`, which by `following.follow` goes
from one `index.RouteIndex` to the next; each route is matched by `nodes.RouteNode.match`. What
was decided on is shown to the routers by `pinning`, compared on the way by `matching.Step`, and
asked for once more where it runs, by `enforcement.Endpoint.run`. `changes` counts what makes an
index old.

A dependency alone finds its route by `lookup`, and `check` lists all of them by `inventory`.
"""

from fastapi_scopes._routing.changes import is_watchable
from fastapi_scopes._routing.deciders import Passages, Shown
from fastapi_scopes._routing.dependants import asked_scopes, calls, dependants_in, unwrapped
from fastapi_scopes._routing.enforcement import Endpoint
from fastapi_scopes._routing.fronts import front_of, is_dispatcher
from fastapi_scopes._routing.gates import entrances_of, install_gate
from fastapi_scopes._routing.index import RouteIndex
from fastapi_scopes._routing.inventory import (
    apps_in,
    endpoints_of,
    placed_endpoints,
    places_in,
    protected_endpoints_of,
    unreachable_in,
    untaken_in,
)
from fastapi_scopes._routing.lookup import (
    DependencyRoutes,
    is_running,
    unobservable_routers_in,
)
from fastapi_scopes._routing.matching import RouteMatch
from fastapi_scopes._routing.mounts import (
    InnerRouter,
    hides_its_router,
    is_answering,
    is_running_its_router,
)
from fastapi_scopes._routing.paths import pattern_of, sample_of
from fastapi_scopes._routing.pinning import router_of_nothing
from fastapi_scopes._routing.reading import is_not_found_patched
from fastapi_scopes._routing.reentry import reentries_below, reentries_of
from fastapi_scopes._routing.route import ResolvedRoute
from fastapi_scopes._routing.tree import RouteTree
from fastapi_scopes._routing.trie import SegmentTrie
from fastapi_scopes._routing.views import PerimeterView

__all__ = [
    "DependencyRoutes",
    "Endpoint",
    "InnerRouter",
    "Passages",
    "PerimeterView",
    "ResolvedRoute",
    "RouteIndex",
    "RouteMatch",
    "RouteTree",
    "SegmentTrie",
    "Shown",
    "apps_in",
    "asked_scopes",
    "calls",
    "dependants_in",
    "endpoints_of",
    "entrances_of",
    "front_of",
    "hides_its_router",
    "install_gate",
    "is_answering",
    "is_dispatcher",
    "is_not_found_patched",
    "is_running",
    "is_running_its_router",
    "is_watchable",
    "pattern_of",
    "placed_endpoints",
    "places_in",
    "protected_endpoints_of",
    "reentries_below",
    "reentries_of",
    "router_of_nothing",
    "sample_of",
    "unobservable_routers_in",
    "unreachable_in",
    "untaken_in",
    "unwrapped",
]
