"""Where a route leads to another router, and what stands before its matching."""

import copy
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes._routes.framework import is_framework_code, runs_framework_code

__all__ = ["Gate", "Inner", "gate_of", "inner_app", "inner_of", "install_gate"]

# So many wrappers are looked through; more are nobody's intention.
_DEPTH: Final = 32

# With what a router says that there is no such route.
_ANSWERED: Final[tuple[int | type[Exception], ...]] = (404, 405, HTTPException)


Passes = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


@dataclass(eq=False)
class Gate:
    """Stands right before the matching of a router: what changes a request has run by then."""

    app: ASGIApp
    """The router's matching, or the gate of another owner."""
    owner: object
    passes: Passes
    """Passes a connection on to the app that it is given, or answers it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> ASGIApp:
        # The copy of a router is another router, and not under guard until it is mounted.
        return copy.deepcopy(self.app, memo)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave connections to the owner, and pass on what is none."""
        if scope["type"] in {"http", "websocket"}:
            await self.passes(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Inner:
    """A router that a route leads to."""

    router: Router
    app: Router | Starlette
    is_direct: bool = True
    """Whether nothing is wrapped around the app."""

    @property
    def is_plain(self) -> bool:
        """Whether all that stands before its matching is the framework's own.

        That answers no path which the router does not know.
        """
        is_plain_app = not isinstance(self.app, Starlette) or _is_plain_app(self.app)
        return self.is_direct and is_plain_app and _is_plain_router(self.router)

    @property
    def root_path(self) -> str | None:
        """The root path that the app itself sets."""
        return self.app.root_path or None if isinstance(self.app, FastAPI) else None


def is_same(inner: Inner | None, other: Inner | None) -> bool:
    """Tell whether two routes lead to one router, or both to none."""
    if inner is None or other is None:
        return inner is other
    # Not by ==: routers are equal where their routes are.
    return inner.router is other.router and inner.app is other.app


def inner_of(route: Any) -> Inner | None:
    """Return the router that *route* leads to, or None where another app answers."""
    return inner_app(route.app)


def inner_app(outer: object) -> Inner | None:
    """Return the router of *outer* or of what it is wrapped around, where there is one."""
    for app in _wrapped(outer):
        if isinstance(app, Starlette):
            return Inner(app.router, app, is_direct=app is outer)
        if isinstance(app, Router):
            return Inner(app, app, is_direct=app is outer)
    return None


def _wrapped(app: Any) -> Iterator[Any]:
    """Yield *app* and what it wraps, as far as wrappers say so."""
    for _ in range(_DEPTH):
        yield app
        app = getattr(app, "app", None)
        if app is None:
            return


def _is_plain_app(app: Starlette) -> bool:
    stack = app.middleware_stack
    return (
        runs_framework_code(app, "__call__")
        and not _builds_its_own_stack(app)
        and not app.user_middleware
        and not is_answering(app)
        and (stack is None or type(stack) is ServerErrorMiddleware)
    )


def _builds_its_own_stack(app: Starlette) -> bool:
    """Tell whether somebody but the owner of a gate changed what the app runs."""
    if runs_framework_code(app, "build_middleware_stack"):
        return False
    owner = getattr(app.build_middleware_stack, "__self__", None)
    return not any(gate.owner is owner for gate in gate_of(app.router))


def _is_plain_router(router: Router) -> bool:
    if not _matches_as_the_framework(router):
        return False
    app: ASGIApp = router.middleware_stack
    while isinstance(app, Gate):
        app = app.app
    return bool(app == router.app)


def is_answering(app: Starlette) -> bool:
    """Tell whether code of the app's own answers where no route does."""
    handlers = (app.exception_handlers.get(each) for each in _ANSWERED)
    return any(each is not None and not is_framework_code(each) for each in handlers)


def gate_of(router: Router) -> Iterator[Gate]:
    """Yield the gates that stand before the matching of *router*."""
    for app in _wrapped(router.middleware_stack):
        if isinstance(app, Gate):
            yield app


def install_gate(
    router: Router, owner: object, passes: Passes, *, is_only_one: bool = False
) -> bool:
    """Put a gate of *owner* right before the matching of *router*, once.

    Return whether it stands: not where a router matches in its own way, or hides its matching.
    A middleware that is not the framework's may keep what it wraps twice, and pass the gate by;
    then another one stands before it, or, where that *is_only_one* who decides, none does.
    """
    if any(gate.owner is owner for gate in gate_of(router)):
        return True
    if not _matches_as_the_framework(router):
        return False
    *layers, matching = _wrapped(router.middleware_stack)
    is_certain = all(map(_is_of_the_framework, layers))
    if matching != router.app or (is_only_one and not is_certain):
        return False
    is_inside = bool(layers) and _put_gate(layers[-1], "app", owner, passes)
    is_enough = is_inside and is_certain
    return is_enough or _put_gate(router, "middleware_stack", owner, passes)


def _put_gate(holder: Any, attribute: str, owner: object, passes: Passes) -> bool:
    gate = Gate(getattr(holder, attribute), owner, passes)
    setattr(holder, attribute, gate)
    return getattr(holder, attribute) is gate


def _is_of_the_framework(layer: Any) -> bool:
    return isinstance(layer, Gate) or runs_framework_code(layer, "__call__")


def _matches_as_the_framework(router: Router) -> bool:
    return runs_framework_code(router, "__call__", "app")
