"""How FastAPI and Starlette store and match routes; the only package that knows.

A request goes through these modules as follows. A `gates.Gate` stands before the matching of
each router and has the perimeter decide. The perimeter calls `tree.RouteTree.resolve`, which
goes from router to router by `following.follow`: each router has an `index.RouteIndex`, and
each route is matched by `nodes.RouteNode.match`. `pinning` makes a copy of each router that has
only the route that was decided on. `router_steps.RouterStep` compares the request with the decision
at each router, and `enforcement.EnforcedEndpoint.run` does so once more before the route runs.
Where the copy has nothing to add, the route is run at once by a `direct.DirectRun`.
`changes` counts changes of routes, after which an index is read again.

A dependency without a perimeter finds its route by `lookup`, and `check` lists all endpoints by
`inventory`.
"""

from fastapi_scopes._routing.changes import start_counting
from fastapi_scopes._routing.deciders import Passages, PinnedCopy
from fastapi_scopes._routing.dependants import asked_scopes, calls, dependants_in, unwrapped
from fastapi_scopes._routing.enforcement import EnforcedEndpoint
from fastapi_scopes._routing.fronts import front_of, is_dispatcher
from fastapi_scopes._routing.gates import entrances_of, install_gate
from fastapi_scopes._routing.index import RouteIndex
from fastapi_scopes._routing.inventory import (
    apps_in,
    endpoints_of,
    mounted_app_of,
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
    has_own_404_handlers,
    hides_its_router,
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
    "EnforcedEndpoint",
    "InnerRouter",
    "Passages",
    "PerimeterView",
    "PinnedCopy",
    "ResolvedRoute",
    "RouteIndex",
    "RouteMatch",
    "RouteTree",
    "SegmentTrie",
    "apps_in",
    "asked_scopes",
    "calls",
    "dependants_in",
    "endpoints_of",
    "entrances_of",
    "front_of",
    "has_own_404_handlers",
    "hides_its_router",
    "install_gate",
    "is_dispatcher",
    "is_not_found_patched",
    "is_running",
    "is_running_its_router",
    "mounted_app_of",
    "pattern_of",
    "placed_endpoints",
    "places_in",
    "protected_endpoints_of",
    "reentries_below",
    "reentries_of",
    "router_of_nothing",
    "sample_of",
    "start_counting",
    "unobservable_routers_in",
    "unreachable_in",
    "untaken_in",
    "unwrapped",
]
