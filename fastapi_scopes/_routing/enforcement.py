"""Routes that ask for a verdict before they run, in copies and inclusions too.

Within the routers of a perimeter, pinning lets only the route run that was decided on. A route can
be reached without these routers: in a list that it was copied into, by an inclusion elsewhere, by
the bare matching of a router. So the class of each route that a perimeter rules is replaced by a
subclass of the same name whose `handle` asks for a verdict first.
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

from fastapi_scopes._routing.changes import invalidate_inclusions
from fastapi_scopes._routing.deciders import Passage, Passages
from fastapi_scopes._routing.framework import (
    OWN,
    attribute_of,
    computes,
    runs_framework_code,
    subclass_of,
)
from fastapi_scopes._routing.mounts import inner_router_of, is_same, wrapped_router

__all__ = [
    "RECORDER",
    "EndpointEnforcer",
    "EnforcedEndpoint",
    "endpoint_of",
    "enforce",
    "is_enforced",
]

_ENDPOINT: Final = "__fastapi_scopes_endpoint__"
_IS_ENFORCED: Final = "__fastapi_scopes_enforced__"
RECORDER: Final = "fastapi_scopes.recorder"
"""A key of a scope: a list, to which a route adds what it is called with, instead of running."""
_classes: WeakKeyDictionary[type, ref[type]] = WeakKeyDictionary()
# Threads may protect apps that share a route.
_lock: Final = RLock()


class EndpointEnforcer(Protocol):
    """A perimeter, as an endpoint calls it before it runs."""

    def use_passage(self, endpoint: "EnforcedEndpoint", asgi_scope: Scope) -> Passage | None:
        """Return the passage by which *endpoint* may run now, used up by that, or None."""
        ...

    async def decide_at_endpoint(
        self, endpoint: "EnforcedEndpoint", asgi_scope: Scope, receive: Receive, send: Send
    ) -> Passages:
        """Decide on a connection that comes to *endpoint* without a passage."""
        ...


class EnforcedEndpoint:
    """An endpoint that runs by a verdict: a route, its copies, and what inclusions make of it."""

    __slots__ = ("__weakref__", "_enforcers")

    def __init__(self) -> None:
        # A tuple, because each request reads it; weak, because a perimeter goes with its app.
        self._enforcers: tuple[ref[EndpointEnforcer], ...] = ()

    def add(self, enforcer: EndpointEnforcer) -> None:
        """Require a verdict of *enforcer*, too."""
        with _lock:
            living = [each for each in self._enforcers if each() is not None]
            if all(each() is not enforcer for each in living):
                self._enforcers = (*living, ref(enforcer))

    def __deepcopy__(self, memo: dict[int, Any]) -> "EnforcedEndpoint":
        # The copy of a route is the same endpoint.
        return self

    async def run(
        self, route: Any, app: ASGIApp, asgi_scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run *app*, the handler of *route*, where the enforcers of the endpoint allow that.

        One passage that leads here is enough; where there is none, all enforcers must allow.
        """
        enforcers: list[EndpointEnforcer] = []
        opened: list[Passage] = []
        for each in self._enforcers:
            enforcer = each()
            if enforcer is not None:
                enforcers.append(enforcer)
                passage = enforcer.use_passage(self, asgi_scope)
                if passage is not None:
                    opened.append(passage)
        if not opened:
            await self._decide_and_run(enforcers, route, app, asgi_scope, receive, send)
            return
        try:
            for passage in opened:
                refusal = passage.bind_claims(asgi_scope, route)
                if refusal is not None:
                    await refusal(asgi_scope, receive, send)
                    return
            await app(asgi_scope, receive, send)
        finally:
            for passage in opened:
                passage.is_running = False

    async def _decide_and_run(
        self,
        enforcers: Sequence[EndpointEnforcer],
        route: Any,
        app: ASGIApp,
        *connection: Any,
    ) -> None:
        """Run *app* for a connection without a passage, where all *enforcers* allow that."""
        decided: list[Passage] = []
        before = inner_router_of(route)
        try:
            for enforcer in enforcers:
                found = await enforcer.decide_at_endpoint(self, *connection)
                if found is None:
                    return
                decided.extend(found)
            for passage in decided:
                refusal = passage.bind_claims(connection[0], route)
                if refusal is not None:
                    await refusal(*connection)
                    return
            for passage in decided:
                app = passage.with_expiry(app)
            # INVARIANT: nothing is awaited between this look and the route's: a route that leads to
            # another router by now was not decided on (attacks/test_moved_mounts.py).
            if decided and not is_same(before, inner_router_of(route)):
                app = Router().not_found
            await app(*connection)
        finally:
            for passage in decided:
                passage.close()


def endpoint_of(route: Any) -> EnforcedEndpoint | None:
    """Return the endpoint of *route*, or None where no perimeter rules it."""
    endpoint: EnforcedEndpoint | None = getattr(route, "__dict__", {}).get(_ENDPOINT)
    return endpoint


def is_enforced(route: Any) -> bool:
    """Tell whether the class of *route* is one whose `handle` asks for a verdict."""
    return _IS_ENFORCED in vars(type(route))


def enforce(route: Any, enforcer: EndpointEnforcer, made: Any = None) -> EnforcedEndpoint | None:
    """Make *route* run by verdicts of *enforcer* only; *made* is what an inclusion made of it.

    Return its endpoint; None is for a route whose class allows no subclass, or no attributes.
    """
    endpoint = endpoint_of(route)
    if endpoint is None:
        endpoint = EnforcedEndpoint()
        if not _replace_class(route, endpoint):
            return None
    if made is not None and endpoint_of(made) is None and not _replace_class(made, endpoint):
        return None
    endpoint.add(enforcer)
    return endpoint


def enforce_in(router: Router, enforcer: EndpointEnforcer) -> None:
    """Make all endpoints among the routes of *router* run by verdicts of *enforcer* only.

    INVARIANT: inclusions that were built before are built again, because the plain routes and
    frontends that they made ask for no verdict (attacks/test_calls_from_within.py).
    """
    last = router._low_priority_routes if isinstance(router, APIRouter) else []
    is_new = False
    for route in (*router.routes, *last):
        # A route that leads to another router is no endpoint.
        if isinstance(route, _IncludedRouter) or wrapped_router(attribute_of(route, "app")):
            continue
        is_unknown = endpoint_of(route) is None
        enforce(route, enforcer)
        is_new = is_new or (is_unknown and not isinstance(route, APIRoute))
    if is_new and isinstance(router, APIRouter):
        invalidate_inclusions(router)


def _replace_class(route: Any, endpoint: EnforcedEndpoint) -> bool:
    """Make *route* ask for verdicts on *endpoint*; return whether its class allows that."""
    _patch_inclusions()
    if not hasattr(type(route), "handle"):
        # Such as a proxy of a route.
        return False
    try:
        vars(route)[_ENDPOINT] = endpoint
        route.__class__ = _enforced_class(type(route))
    except Exception:  # noqa: BLE001 - the class may raise anything
        getattr(route, "__dict__", {}).pop(_ENDPOINT, None)
        return False
    return True


def _enforced_class(kind: type) -> Any:
    """Return the subclass of the route class *kind* whose `handle` asks for a verdict.

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


async def _run(
    route: Any, handle: ASGIApp, asgi_scope: Scope, receive: Receive, send: Send
) -> None:
    """Run *handle* of *route*, where the enforcers of its endpoint allow that."""
    if RECORDER in asgi_scope:
        asgi_scope[RECORDER].append((id(route), receive, send))
        return
    endpoint = endpoint_of(route)
    if endpoint is None or _answers_405(route, asgi_scope):
        await handle(asgi_scope, receive, send)
    else:
        await endpoint.run(route, handle, asgi_scope, receive, send)


def _answers_405(route: Any, asgi_scope: Scope) -> bool:
    """Tell whether the framework answers 405 for *route*, and runs nothing."""
    context = asgi_scope.get("fastapi", {}).get("effective_route_context")
    is_included = context is not None and context.original_route is route
    methods: Any = getattr(context if is_included else route, "methods", None) or ()
    # The framework compares methods of a Route only, not those that a mount lists.
    is_other = (
        isinstance(route, Route) and bool(methods) and asgi_scope.get("method") not in methods
    )
    # Computed methods may differ when the framework reads them.
    is_other = is_other and not computes(route, "methods")
    return is_other and asgi_scope["type"] == "http" and runs_framework_code(route, "handle")


def _patch_inclusions() -> None:
    """Patch FastAPI, so that an inclusion makes of a route the same endpoint.

    FastAPI makes a new plain route, socket or host for each inclusion; nothing of the original is
    called when that runs (ADR 0014).
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
