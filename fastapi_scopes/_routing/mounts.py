"""Finds the router to which a route leads, and whether other code is in between."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Router

from fastapi_scopes._routing.framework import (
    attribute_of,
    is_body_limit,
    is_plumbing,
    is_transparent,
    wraps_framework_code,
)
from fastapi_scopes._routing.gates import Gate, app_chain_of, has_gate_of, is_matching_of

__all__ = [
    "InnerRouter",
    "has_own_404_handlers",
    "hides_its_router",
    "inner_router_of",
    "is_running_its_router",
    "is_same",
    "wrapped_router",
]

# What handlers are registered for that answer where no route matches.
_NOT_FOUND: Final[tuple[int | type[Exception], ...]] = (404, 405, HTTPException)


@dataclass(frozen=True, slots=True)
class InnerRouter:
    """A router to which a route leads, and the app that it belongs to."""

    router: Router
    app: Router | Starlette
    is_unwrapped: bool = True
    """Whether nothing is wrapped around the app but the framework's limit of bodies."""

    @property
    def is_plain(self) -> bool:
        """Whether only framework code stands before the matching of the router.

        Such code answers no path that the router does not know.
        """
        is_plain_app = not isinstance(self.app, Starlette) or _is_plain_app(self.app)
        return self.is_unwrapped and is_plain_app and _is_plain_router(self.router)

    @property
    def root_path(self) -> str | None:
        """The root path that the app itself sets."""
        return self.app.root_path or None if isinstance(self.app, FastAPI) else None


def is_same(inner: InnerRouter | None, other: InnerRouter | None) -> bool:
    """Tell whether two routes lead to one router, or both to none."""
    if inner is None or other is None:
        return inner is other
    # Not by ==: routers are equal where their routes are.
    return inner.router is other.router and inner.app is other.app


def inner_router_of(route: Any) -> InnerRouter | None:
    """Return the router that *route* leads to, or None where another app answers."""
    return wrapped_router(attribute_of(route, "app"))


def wrapped_router(outer: Any) -> InnerRouter | None:
    """Return the router of *outer*, or of the app that *outer* wraps, where there is one.

    INVARIANT: only middleware that is known to pass every request to its ``app`` is looked through;
    other code may show one app and run another (attacks/test_code_in_between.py).
    """
    is_unwrapped = True
    for app in app_chain_of(outer):
        if isinstance(app, Starlette):
            # INVARIANT: an app that serves already runs the router that it had then
            # (attacks/test_late_replacements.py).
            return (
                InnerRouter(app.router, app, is_unwrapped) if is_running_its_router(app) else None
            )
        if isinstance(app, Router):
            return InnerRouter(app, app, is_unwrapped)
        if not is_transparent(app):
            return None
        is_unwrapped = is_unwrapped and is_body_limit(app)
    return None


def is_running_its_router(app: Starlette) -> bool:
    """Tell whether *app* runs the router that it has now, as far as its stack shows."""
    running = _running_router_of(app)
    return running is None or running is app.router


def hides_its_router(app: Starlette) -> bool:
    """Tell whether *app* serves already, by a stack that does not show its router."""
    return app.middleware_stack is not None and _running_router_of(app) is None


def _running_router_of(app: Starlette) -> Router | None:
    layers = app_chain_of(app.middleware_stack)
    return next((each for each in layers if isinstance(each, Router)), None)


def _is_plain_app(app: Starlette) -> bool:
    return (
        wraps_framework_code(app, "__call__")
        and not _builds_its_own_stack(app)
        and not app.user_middleware
        and not has_own_404_handlers(app)
        and _runs_plumbing(app)
    )


def _runs_plumbing(app: Starlette) -> bool:
    """Tell whether the stack of *app*, if built, has only the framework's own middleware."""
    outermost = app.middleware_stack if app.middleware_stack is not None else app.router
    layers = app_chain_of(outermost)
    return next((each for each in layers if not is_plumbing(each)), None) is app.router


def _builds_its_own_stack(app: Starlette) -> bool:
    """Tell whether other code than a perimeter replaced `build_middleware_stack` of *app*."""
    if wraps_framework_code(app, "build_middleware_stack"):
        return False
    owner = getattr(app.build_middleware_stack, "__self__", None)
    return not has_gate_of(app.router, owner)


def _is_plain_router(router: Router) -> bool:
    *layers, matching = app_chain_of(router.middleware_stack)
    is_its_own = wraps_framework_code(router, "__call__") and is_matching_of(router, matching)
    return is_its_own and all(isinstance(each, Gate) or is_body_limit(each) for each in layers)


def has_own_404_handlers(app: Starlette) -> bool:
    """Tell whether the app has handlers of its own for paths and methods without a route."""
    return not all(map(_is_of_the_framework, _handlers_of_404(app)))


def _handlers_of_404(app: Starlette) -> Iterator[object]:
    """Yield the handlers for 404 and 405 in the list of *app*, and in the stack that it runs."""
    listed = [app.exception_handlers or {}]
    for layer in app_chain_of(app.middleware_stack):
        if isinstance(layer, ExceptionMiddleware):
            listed += [layer._status_handlers, layer._exception_handlers]
    for handlers in listed:
        yield from (handlers[each] for each in _NOT_FOUND if each in handlers)


def _is_of_the_framework(handler: object) -> bool:
    # By identity: a wrapper passes for the handler that it wraps.
    its_own = getattr(handler, "__func__", None)
    return handler is http_exception_handler or its_own is ExceptionMiddleware.http_exception
