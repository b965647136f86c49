"""A check that travels with a route: it, its copies and what inclusions make of it run decided.

Within the routers that a perimeter knows, pinning holds what runs to what was decided on. A route
can be reached by others too: a list that it was copied into, an inclusion elsewhere, the bare
matching. So the class of each route that a perimeter rules is replaced by a subclass of the same
name whose `handle` asks for a verdict first.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from threading import RLock
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, ref

from fastapi.routing import (
    APIRoute,
    APIRouter,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.routing import Host, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routing.changes import mark_changed
from fastapi_scopes._routing.deciders import Passage, Passages
from fastapi_scopes._routing.framework import (
    OWN,
    attribute_of,
    computes,
    runs_framework_code,
    subclass_of,
)
from fastapi_scopes._routing.mounts import inner_router_of, is_same, wrapped_router

__all__ = ["Endpoint", "Ruler", "endpoint_of", "enforce"]

_ENDPOINT: Final = "__fastapi_scopes_endpoint__"
_IS_ENFORCED: Final = "__fastapi_scopes_enforced__"
_classes: WeakKeyDictionary[type, ref[type]] = WeakKeyDictionary()
# Threads may protect apps that share a route.
_lock: Final = RLock()


class Ruler(Protocol):
    """Who rules endpoints: a perimeter."""

    def open(self, endpoint: "Endpoint", scope: Scope) -> Passage | None:
        """Return what lets a connection have *endpoint*, right before that runs."""
        ...

    async def decide_on(
        self, endpoint: "Endpoint", scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *endpoint* by a way that nobody decided on."""
        ...


class Endpoint:
    """What is the same in a route, its copies and what inclusions make of it."""

    __slots__ = ("__weakref__", "_rulers")

    def __init__(self) -> None:
        # A tuple, because each request looks at it; rulers are gone with their apps.
        self._rulers: tuple[ref[Ruler], ...] = ()

    def add(self, ruler: Ruler) -> None:
        """Have *ruler* rule it, too."""
        with _lock:
            living = [each for each in self._rulers if each() is not None]
            if all(each() is not ruler for each in living):
                self._rulers = (*living, ref(ruler))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Endpoint":
        # The copy of a route is that route.
        return self

    async def run(
        self, route: Any, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run *app*, which is *route*, where whoever rules it lets the connection pass.

        The verdict of one that decided before is enough; where none did, all must allow.
        """
        rulers: list[Ruler] = []
        opened: list[Passage] = []
        for each in self._rulers:
            ruler = each()
            if ruler is not None:
                rulers.append(ruler)
                passage = ruler.open(self, scope)
                if passage is not None:
                    opened.append(passage)
        if not opened:
            await self._decide_and_run(rulers, route, app, scope, receive, send)
            return
        try:
            for passage in opened:
                refusal = passage.begin(scope, route)
                if refusal is not None:
                    await refusal(scope, receive, send)
                    return
            await app(scope, receive, send)
        finally:
            for passage in opened:
                passage.is_running = False

    async def _decide_and_run(
        self,
        rulers: Sequence[Ruler],
        route: Any,
        app: ASGIApp,
        *connection: Any,
    ) -> None:
        """Run *app* where all *rulers* let a connection have it on which nobody decided."""
        decided: list[Passage] = []
        before = inner_router_of(route)
        try:
            for ruler in rulers:
                found = await ruler.decide_on(self, *connection)
                if found is None:
                    return
                decided.extend(found)
            for passage in decided:
                refusal = passage.begin(connection[0], route)
                if refusal is not None:
                    await refusal(*connection)
                    return
            for passage in decided:
                app = passage.around(app)
            # INVARIANT: nothing is awaited between this look and the route's: what leads elsewhere
            # by now is not what was decided on (attacks/test_moved_mounts.py).
            if decided and not is_same(before, inner_router_of(route)):
                app = Router().not_found
            await app(*connection)
        finally:
            for passage in decided:
                passage.end()


def endpoint_of(route: Any) -> Endpoint | None:
    """Return what rulers know *route* by, or None where none rules it."""
    endpoint: Endpoint | None = getattr(route, "__dict__", {}).get(_ENDPOINT)
    return endpoint


def enforce(route: Any, ruler: Ruler, made: Any = None) -> Endpoint | None:
    """Let *route*, and what an inclusion *made* of it, run by verdicts of *ruler* alone.

    Return what it is known by from now on; None is for a route whose class allows no subclass, or
    no attributes.
    """
    endpoint = endpoint_of(route)
    if endpoint is None:
        endpoint = Endpoint()
        if not _replace_class(route, endpoint):
            return None
    if made is not None and endpoint_of(made) is None and not _replace_class(made, endpoint):
        return None
    endpoint.add(ruler)
    return endpoint


def enforce_in(router: Router, ruler: Ruler) -> None:
    """Let all routes of *router* run by verdicts of *ruler* alone, where it rules them.

    INVARIANT: inclusions that were read before are read again (attacks/test_calls_from_within.py):
    what they made of plain routes and of frontends asks for nothing.
    """
    last = router._low_priority_routes if isinstance(router, APIRouter) else []
    is_new = False
    for route in (*router.routes, *last):
        # What leads to another router is no endpoint.
        if isinstance(route, _IncludedRouter) or wrapped_router(attribute_of(route, "app")):
            continue
        is_unknown = endpoint_of(route) is None
        enforce(route, ruler)
        is_new = is_new or (is_unknown and not isinstance(route, APIRoute))
    if is_new and isinstance(router, APIRouter):
        mark_changed(router)


def _replace_class(route: Any, endpoint: Endpoint) -> bool:
    _follow_inclusions()
    if not hasattr(type(route), "handle"):
        # A proxy of a route, say.
        return False
    try:
        vars(route)[_ENDPOINT] = endpoint
        route.__class__ = _enforced_class(type(route))
    except Exception:  # noqa: BLE001 - the class has its say, whatever that is
        getattr(route, "__dict__", {}).pop(_ENDPOINT, None)
        return False
    return True


def _enforced_class(kind: type) -> Any:
    """Return the class of routes that ask for a verdict and otherwise are of the class *kind*.

    INVARIANT: `handle` is a property, which comes before what is set on the route itself
    (attacks/test_calls_from_within.py).
    """
    if _IS_ENFORCED in vars(kind):
        return kind

    def get(self: Any) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        own = vars(self).get("handle")
        return partial(_run, self, own or super(enforced, self).handle)

    def put(self: Any, value: object) -> None:
        vars(self)["handle"] = value

    def take(self: Any) -> None:
        del vars(self)["handle"]

    handle = property(get, put, take)
    enforced = subclass_of(kind, _classes, {"handle": handle, _IS_ENFORCED: True})
    return enforced


async def _run(route: Any, handle: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run *handle* of *route*, where who rules it lets the connection pass."""
    endpoint = endpoint_of(route)
    if endpoint is None or _says_no_such_method(route, scope):
        await handle(scope, receive, send)
    else:
        await endpoint.run(route, handle, scope, receive, send)


def _says_no_such_method(route: Any, scope: Scope) -> bool:
    """Tell whether the framework answers with 405, and runs nothing."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    is_included = context is not None and context.original_route is route
    methods: Any = getattr(context if is_included else route, "methods", None) or ()
    # A mount that lists methods is asked for none.
    is_other = isinstance(route, Route) and bool(methods) and scope.get("method") not in methods
    # Methods that are made anew may be others when the framework reads them.
    is_other = is_other and not computes(route, "methods")
    return is_other and scope["type"] == "http" and runs_framework_code(route, "handle")


def _follow_inclusions() -> None:
    """Have what FastAPI makes of a route, where that is included, be the same endpoint.

    A plain route, a socket and a host are made anew for each inclusion, wherever that is; nothing
    of the original is asked when they run (ADR 0014).
    """
    build: Any = _IncludedRouter._build_effective_context
    if hasattr(build, OWN):
        return

    @wraps(build)
    def built(self: _IncludedRouter, route: Any) -> Any:
        context = build(self, route)
        endpoint = endpoint_of(route)
        made = getattr(context, "starlette_route", None)
        if isinstance(made, Host) and made.app is not getattr(route, "app", None):
            # Below a prefix, a host leads to a router with a mount of what it led to.
            (made,) = made.routes
        if endpoint is not None and made is not None and endpoint_of(made) is None:
            _replace_class(made, endpoint)
        return context

    setattr(built, OWN, True)
    _IncludedRouter._build_effective_context = built  # type: ignore[method-assign]
