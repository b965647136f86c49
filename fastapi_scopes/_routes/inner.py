"""Where a route leads to another router, and what stands before its matching."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRouter
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Gate", "Inner", "gate_of", "inner_app", "inner_of", "install_gate"]

# So many wrappers are looked through; more are nobody's intention.
_DEPTH: Final = 32

_CALLS: Final = frozenset({Starlette.__call__, FastAPI.__call__})
_BUILDS: Final = frozenset({Starlette.build_middleware_stack, FastAPI.build_middleware_stack})
_MATCHINGS: Final = frozenset({Router.app, APIRouter.app})


Passes = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


@dataclass(eq=False)
class Gate:
    """Stands right before the matching of a router: what changes a request has run by then."""

    app: ASGIApp
    """The router's matching, or the gate of another owner."""
    owner: object
    passes: Passes
    """Passes a connection on to the app that it is given, or answers it."""

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

    def is_same_as(self, other: "Inner | None") -> bool:
        """Tell whether *other* is the same router, reached in the same way."""
        # Not by ==: routers are equal where their routes are.
        return other is not None and self.router is other.router and self.app is other.app

    @property
    def root_path(self) -> str | None:
        """The root path that the app itself sets."""
        return self.app.root_path or None if isinstance(self.app, FastAPI) else None


def inner_of(route: Any) -> Inner | None:
    """Return the router that *route* leads to, or None where another app answers."""
    outer: Any = route.app
    declared: Any = outer
    if hasattr(route, "_base_app"):
        declared = route._base_app
    elif isinstance(route, Route | WebSocketRoute):
        declared = route.endpoint
    for layers, app in enumerate(_wrapped(outer)):
        if app is declared:
            return inner_app(declared, is_direct=layers == 0)
    # Another app took the place of the one that was declared.
    return inner_app(outer)


def inner_app(app: object, *, is_direct: bool = True) -> Inner | None:
    """Return the router of *app*, or None where it is neither a router nor an app with one."""
    if isinstance(app, Starlette):
        return Inner(app.router, app, is_direct)
    return Inner(app, app, is_direct) if isinstance(app, Router) else None


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
        type(app).__call__ in _CALLS
        and type(app).build_middleware_stack in _BUILDS
        and not _builds_its_own_stack(app)
        and not app.user_middleware
        and (stack is None or type(stack) is ServerErrorMiddleware)
    )


def _builds_its_own_stack(app: Starlette) -> bool:
    """Tell whether somebody but the owner of a gate changed what the app runs."""
    build = vars(app).get("build_middleware_stack")
    owner = getattr(build, "__self__", None)
    return build is not None and not any(gate.owner is owner for gate in gate_of(app.router))


def _is_plain_router(router: Router) -> bool:
    if type(router).__call__ is not Router.__call__:
        return False
    app: ASGIApp = router.middleware_stack
    while isinstance(app, Gate):
        app = app.app
    return bool(app == router.app)


def gate_of(router: Router) -> Iterator[Gate]:
    """Yield the gates that stand before the matching of *router*."""
    for app in _wrapped(router.middleware_stack):
        if isinstance(app, Gate):
            yield app


def install_gate(router: Router, owner: object, passes: Passes) -> bool:
    """Put a gate of *owner* right before the matching of *router*, once.

    Return whether one stands there: not where a router matches in its own way, or hides
    behind middleware that does not name what it wraps.
    """
    if any(gate.owner is owner for gate in gate_of(router)):
        return True
    if type(router).app not in _MATCHINGS or "app" in vars(router):
        return False
    holder, attribute = router, "middleware_stack"
    for app in _wrapped(router.middleware_stack):
        if app == router.app:
            setattr(holder, attribute, Gate(app, owner, passes))
            return True
        holder, attribute = app, "app"
    return False
