"""Direct runs: a route that was decided on runs at once, without the router's matching.

On its way to a route the framework writes the same into the scope of every request, path parameters
aside. That is recorded once, from a run of the framework's own code on a request without fields;
later requests get it written, and the route runs.
"""

from collections.abc import Mapping
from types import MethodType
from typing import Any, Final

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
_WRITTEN: Final = frozenset({"router", "route", "endpoint", "path_params", _FASTAPI})
# What routers read of a scope to find a route, and no more: nothing of a caller is recorded.
_READ: Final = ("type", "method", "path", "root_path", "path_params", "app", "router")
# Where telemetry is on, the router tells it which route it has found.
_TELEMETRY: Final = "fastapi.telemetry"


class DirectRun:
    """The framework's way to one route: what it writes into a scope, and what it calls then."""

    __slots__ = (
        "_app",
        "_by_fastapi",
        "_handle",
        "_kind",
        "_matches",
        "_nested",
        "_router_app",
        "_router_kind",
        "_written",
        "route",
    )

    def __init__(
        self, router: Router, route: Any, written: dict[str, Any], by_fastapi: dict[str, Any] | None
    ) -> None:
        """Take *written*, and of it what FastAPI keeps *by_fastapi*, for the way to *route*."""
        self.route = route
        """The route that runs, as the framework names it in the scope."""
        self._written = written
        self._by_fastapi = by_fastapi
        self._nested = [name for name in by_fastapi or () if isinstance(by_fastapi[name], dict)]
        self._router_kind: Any = type(router)
        self._router_app: object = self._router_kind.app
        self._kind: Any = type(route)
        self._matches: object = self._kind.matches
        # Of the class that was replaced: this one's asks for a verdict.
        self._handle: Any = self._kind.__base__.handle
        self._app: ASGIApp = MethodType(self._handle, route)

    def app_in(self, asgi_scope: Scope, path_params: Mapping[str, Any]) -> ASGIApp | None:
        """Return the app that runs the route, with *asgi_scope* as the router would have left it.

        None is for a route, or a request, for which the router itself has to be asked.

        INVARIANT: code that was put in the place of the framework's meanwhile is called by the
        router (attacks/test_overriding_routes.py).
        """
        route, kind = self.route, self._kind
        own = vars(route)
        if (
            type(route) is not kind
            or "matches" in own
            or "handle" in own
            or kind.matches is not self._matches
            or kind.__base__.handle is not self._handle
            or self._router_kind.app is not self._router_app
            or _FASTAPI in asgi_scope
            or _TELEMETRY in asgi_scope
        ):
            return None
        asgi_scope.update(self._written)
        asgi_scope["path_params"] = path_params
        if self._by_fastapi is not None:
            by_fastapi = asgi_scope[_FASTAPI] = self._by_fastapi.copy()
            for name in self._nested:
                by_fastapi[name] = by_fastapi[name].copy()
        return self._app


def direct_run_of(
    pinned_copy: Router,
    node: RouteNode,
    endpoint: EnforcedEndpoint,
    asgi_scope: Scope,
    path_params: Mapping[str, Any],
) -> DirectRun | None:
    """Return the direct run of *node*, to which *pinned_copy* leads *asgi_scope*.

    None is for a route that other code than the framework's leads to, or runs.
    """
    route: Any = node.matched
    routers = (each.original_router for each in node.inclusions)
    if (
        endpoint_of(route) is not endpoint
        or not is_enforced(route)
        or node.needs_matches_call
        or node.family is not Route
        or not runs_framework_code(route, "matches", "handle")
        or not all(runs_framework_code(each, "matches", "handle") for each in routers)
        or not runs_framework_code(pinned_copy, "app")
    ):
        return None
    written = _recorded(pinned_copy, route, asgi_scope)
    if written is None or written.pop("path_params", None) != path_params:
        return None
    return DirectRun(pinned_copy, route, written, written.pop(_FASTAPI, None))


def _recorded(router: Router, route: Any, asgi_scope: Scope) -> dict[str, Any] | None:
    """Return what *router* writes into a scope on its way to *route*, which does not run."""
    before = {name: asgi_scope[name] for name in _READ if name in asgi_scope}
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
    # Middleware around the route would pass on other channels than these.
    is_reached = reached == [(id(route), _receive_nothing, _send_nothing)]
    is_kept = all(recording.get(name) is before[name] for name in before)
    written = {name: recording[name] for name in recording if name in _WRITTEN - before.keys()}
    is_known = len(recording) == len(before) + len(written) + 2
    return written if is_reached and is_kept and is_known else None


async def _receive_nothing() -> Message:
    raise LookupError


async def _send_nothing(message: Message) -> None:
    raise LookupError(message)
