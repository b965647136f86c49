"""Direct runs: a route that was decided on runs at once, without the router's matching.

The framework writes the same keys and values for every request to one route, path parameters aside.
They are recorded once, by running the framework's own code on a scope without header fields, and
written into the scopes of later requests.
"""

from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any, Final

from fastapi.routing import (
    APIRoute,
    _EffectiveRouteContext,  # pyright: ignore[reportPrivateUsage]
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Scope

from fastapi_scopes._routing.enforcement import (
    RECORDER,
    EnforcedEndpoint,
    endpoint_of,
    is_enforced,
)
from fastapi_scopes._routing.framework import runs_framework_code
from fastapi_scopes._routing.nodes import RouteNode

__all__ = ["DirectRun", "direct_run_of"]

_FASTAPI: Final = "fastapi"
# What the framework may write into a scope on the way to a route. A version that writes more is
# not known here, and routes all requests itself.
_KEYS_WRITTEN: Final = frozenset({"route", "endpoint", "path_params", _FASTAPI})
# What routers read of a scope to find a route, and no more: nothing of a caller is recorded.
_KEYS_READ: Final = ("type", "method", "path", "root_path", "app", "router")
# Where telemetry is on, the router tells it which route it has found.
_TELEMETRY: Final = "fastapi.telemetry"


class DirectRun:
    """The framework's way to one route: what it writes into a scope, and what it calls then."""

    __slots__ = (
        "_app",
        "_by_fastapi",
        "_called",
        "_contexts",
        "_effective",
        "_kind",
        "_path_regex",
        "_router_limits",
        "_written",
        "route",
    )

    def __init__(self, router: Router, node: RouteNode, written: dict[str, Any]) -> None:
        """Take what was *written* on the way from *router* to *node*, path parameters aside."""
        self.route: Any = node.route
        """The route that runs, as the framework names it in the scope."""
        self._by_fastapi: dict[str, Any] | None = written.pop(_FASTAPI, None)
        self._written = written
        self._kind: type[APIRoute] = type(node.route)
        handle = self._handle()
        # Another kind of attribute may be another app whenever it is read.
        self._app: ASGIApp | None = handle if isinstance(handle, MethodType) else None
        self._effective: Any = node.effective
        self._path_regex: object = node.effective.path_regex
        self._router_limits: object = getattr(router, "form_limits", None)
        contexts: list[Any] = [each.include_context for each in node.inclusions]
        self._contexts = [each for each in contexts if hasattr(each, "form_limits")]
        self._called = [
            (owner, name, getattr(owner, name)) for owner, name in _functions_called(router, node)
        ]

    def is_as_recorded(self, asgi_scope: Scope) -> bool:
        """Tell whether the router would do now, for *asgi_scope*, what was recorded.

        INVARIANT: code or settings that replaced the framework's since are noticed here, and the
        router is asked (attacks/test_late_code.py).
        """
        effective, own = self._effective, vars(self.route)
        if (
            type(self.route) is not self._kind
            or "matches" in own
            or "handle" in own
            or "matches" in vars(effective)
            or effective.path_regex is not self._path_regex
            or effective.endpoint is not self._written["endpoint"]
            or _FASTAPI in asgi_scope
            or _TELEMETRY in asgi_scope
        ):
            return False
        for owner, name, function in self._called:
            if getattr(owner, name) is not function:
                return False
        for context in self._contexts:
            if context.form_limits:
                return False
        return not self._router_limits

    def app_in(self, asgi_scope: Scope, path_params: Mapping[str, Any]) -> ASGIApp:
        """Return the app that runs the route, with *asgi_scope* as the router would leave it."""
        asgi_scope.update(self._written)
        asgi_scope["path_params"] = path_params
        if self._by_fastapi is not None:
            asgi_scope[_FASTAPI] = self._by_fastapi.copy()
        return self._app or self._handle()

    def _handle(self) -> ASGIApp:
        """Return `handle` as the class has it that was replaced by one which asks for a verdict."""
        above: Any = super(self._kind, self.route)
        handle: ASGIApp = above.handle
        return handle


def direct_run_of(
    pinned_copy: Router,
    node: RouteNode,
    endpoint: EnforcedEndpoint,
    asgi_scope: Scope,
    path_params: Mapping[str, Any],
) -> DirectRun | None:
    """Return the direct run of *node*, to which *pinned_copy* leads *asgi_scope*.

    None is for a route that other code than the framework's leads to, or matches.
    """
    route: Any = node.route
    routers = (each.original_router for each in node.inclusions)
    if (
        not isinstance(route, APIRoute)
        or endpoint_of(route) is not endpoint
        or not is_enforced(route)
        or node.needs_matches_call
        or not runs_framework_code(route, "matches")
        or not all(runs_framework_code(each, "matches", "handle") for each in routers)
        or not runs_framework_code(pinned_copy, "app")
    ):
        return None
    written = _recorded(pinned_copy, route, asgi_scope)
    # Names only: `==` of the values may be the developer's code.
    if written is None or not written.pop("path_params", {}).keys() <= path_params.keys():
        return None
    return DirectRun(pinned_copy, node, written)


def _functions_called(router: Router, node: RouteNode) -> Iterator[tuple[type, str]]:
    """Yield the functions, by class and name, that the framework calls on the way to *node*."""
    kind = type(node.route)
    yield type(router), "app"
    yield kind, "matches"
    yield kind.__mro__[1], "handle"
    if not node.inclusions:
        # By super().
        yield Route, "matches"
        return
    yield _EffectiveRouteContext, "matches"
    yield _IncludedRouter, "handle"
    yield _IncludedRouter, "_handle_selected"
    yield from {(type(each.original_router), "handle") for each in node.inclusions}


def _recorded(router: Router, route: Any, asgi_scope: Scope) -> dict[str, Any] | None:
    """Return what *router* writes into a scope on its way to *route*, which does not run."""
    before = {name: asgi_scope[name] for name in _KEYS_READ if name in asgi_scope}
    reached: list[tuple[object, ...]] = []
    recording = {**before, "headers": [], RECORDER: reached}
    run: Any = router.app(recording, _receive_nothing, _send_nothing)
    try:
        run.send(None)
    except StopIteration:
        pass
    except Exception:  # noqa: BLE001 - the code of a convertor may raise anything
        return None
    finally:
        run.close()
    # Middleware around the route, such as a limit of bodies, wraps `receive` or `send`.
    is_reached = reached == [(id(route), _receive_nothing, _send_nothing)]
    is_kept = all(recording.get(name) is before[name] for name in before)
    written = {name: recording[name] for name in recording if name in _KEYS_WRITTEN - before.keys()}
    is_known = len(recording) == len(before) + len(written) + 2
    # What could be changed in place would be shared by all requests.
    shared = (written.get(_FASTAPI) or {}).values()
    is_constant = "endpoint" in written and not any(isinstance(each, dict) for each in shared)
    return written if is_reached and is_kept and is_known and is_constant else None


async def _receive_nothing() -> Message:
    raise LookupError


async def _send_nothing(message: Message) -> None:
    raise LookupError(message)
