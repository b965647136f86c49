"""Middleware that leads a connection elsewhere, at every place where an app can have some."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.perimeter.calling import SOCKET, Opaque, running, talking
from tests.perimeter.places import make_app

Change = Callable[[Scope], Scope]
"""What becomes of an ASGI scope; the same one, changed, or another."""

INNER = {
    "GET /open": "public",
    "GET /open/{rest}": "public",
    "GET /a": "a",
    "GET /b": "b",
    "DELETE /a": "deleting",
    "GET /items/{item_id}": "items",
    "WEBSOCKET /a": "talking",
    "GET /deep/a": "deep",
    "GET /both": "both:GET",
    "DELETE /both": "both:DELETE",
    "GET /any/**": "any:GET",
    f"{SOCKET} /any/**": f"any:{SOCKET}",
}


class ByCall:
    """One endpoint for all calls, opened by another scope for each kind of them."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = SOCKET if scope["type"] == "websocket" else scope["method"]
        await Opaque(f"{self.name}:{method}")(scope, receive, send)


def inner_routes() -> list[BaseRoute]:
    return [
        Route("/open", running("public")),
        Route("/open/{rest}", running("public")),
        Route("/a", running("a"), methods=["GET"]),
        Route("/b", running("b")),
        Route("/a", running("deleting"), methods=["DELETE"]),
        Route("/items/{item_id}", running("items")),
        WebSocketRoute("/a", talking("talking")),
        Mount("/deep", Router([Route("/a", running("deep"))])),
        Route("/both", ByCall("both")),
        Mount("/any", ByCall("any")),
    ]


class Rewriter:
    """Passes a connection on as *change* makes it; the paths in *known* it answers itself."""

    def __init__(self, app: ASGIApp, change: Change, known: frozenset[str] = frozenset()) -> None:
        self.app, self.change, self.known = app, change, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["path"] in self.known:
            await Opaque("known")(scope, receive, send)
        else:
            await self.app(self.change(scope), receive, send)


class HiddenRewriter(Rewriter):
    """Does not tell what it wraps."""

    def __init__(self, app: ASGIApp, change: Change, known: frozenset[str] = frozenset()) -> None:
        super().__init__(app, change, known)
        self._hidden = app
        del self.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Rewriter(self._hidden, self.change, self.known)(scope, receive, send)


class BaseRewriter(BaseHTTPMiddleware):
    """The same by way of Starlette's own base, for HTTP."""

    def __init__(self, app: ASGIApp, change: Change, known: frozenset[str] = frozenset()) -> None:
        super().__init__(app)
        self.change, self.known = change, known

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.url.path in self.known:
            return await running("known")(request)
        request.scope.update(self.change(request.scope))
        return await call_next(request)


Make = Callable[[Change, frozenset[str]], FastAPI]
"""Makes an app with the inner routes below ``/m``, and what rewrites somewhere between."""


def _outer(*routes: BaseRoute) -> FastAPI:
    app = make_app()
    app.router.routes += routes
    return app


def _sub_app() -> FastAPI:
    return _outer(*inner_routes())


def _added(kind: Any) -> Make:
    def make(change: Change, known: frozenset[str]) -> FastAPI:
        sub = _sub_app()
        sub.add_middleware(kind, change=change, known=known)
        return _outer(Mount("/m", sub))

    return make


def _starlette(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(Rewriter, change=change, known=known)]
    return _outer(Mount("/m", Starlette(routes=inner_routes(), middleware=middleware)))


def _of_the_mount(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(Rewriter, change=change, known=known)]
    return _outer(Mount("/m", Router(inner_routes()), middleware=middleware))


def _of_the_mount_of_an_app(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(Rewriter, change=change, known=known)]
    return _outer(Mount("/m", _sub_app(), middleware=middleware))


def _of_the_router(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(Rewriter, change=change, known=known)]
    return _outer(Mount("/m", Router(inner_routes(), middleware=middleware)))


def _of_an_included_mount(change: Change, known: frozenset[str]) -> FastAPI:
    app, included = make_app(), APIRouter()
    middleware = [Middleware(Rewriter, change=change, known=known)]
    included.routes.append(Mount("/m", Router(inner_routes()), middleware=middleware))
    app.include_router(included)
    return app


def _wrapped_later(change: Change, known: frozenset[str]) -> FastAPI:
    mount = Mount("/m", Router(inner_routes()))
    app = _outer(mount)
    mount.app = Rewriter(mount.app, change, known)
    return app


def _stack_wrapped(change: Change, known: frozenset[str]) -> FastAPI:
    router = Router(inner_routes())
    router.middleware_stack = Rewriter(router.middleware_stack, change, known)
    return _outer(Mount("/m", router))


def _outside_another(change: Change, known: frozenset[str]) -> FastAPI:
    """The mounted app has an app mounted with the routes, at its own root."""
    sub = _outer(Mount("", _sub_app()))
    sub.add_middleware(Rewriter, change=change, known=known)
    return _outer(Mount("/m", sub))


def _own_call(change: Change, known: frozenset[str]) -> FastAPI:
    class Own(Starlette):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await Rewriter(super().__call__, change, known)(scope, receive, send)

    return _outer(Mount("/m", Own(routes=inner_routes())))


def _own_call_of_a_router(change: Change, known: frozenset[str]) -> FastAPI:
    class Own(Router):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await Rewriter(super().__call__, change, known)(scope, receive, send)

    return _outer(Mount("/m", Own(inner_routes())))


def _own_stack(change: Change, known: frozenset[str]) -> FastAPI:
    class Own(FastAPI):
        def build_middleware_stack(self) -> ASGIApp:
            return Rewriter(super().build_middleware_stack(), change, known)

    sub = Own(openapi_url=None)
    sub.router.routes += inner_routes()
    return _outer(Mount("/m", sub))


def _behind_a_route(change: Change, known: frozenset[str]) -> FastAPI:
    """A Route takes nothing of the path for itself, and no sockets."""
    middleware = [Middleware(Rewriter, change=change, known=known)]
    router = Router([Mount("/m", Router(inner_routes()))])
    return _outer(Route("/{rest:path}", router, middleware=middleware))


def _of_the_default(change: Change, known: frozenset[str]) -> FastAPI:
    app = make_app()
    app.router.default = Rewriter(Router([Mount("/m", Router(inner_routes()))]), change, known)
    return app


SEEN: dict[str, Make] = {
    "add_middleware": _added(Rewriter),
    "add_middleware, hidden": _added(HiddenRewriter),
    "add_middleware, BaseHTTPMiddleware": _added(BaseRewriter),
    "of a Starlette": _starlette,
    "outside another app": _outside_another,
    "__call__ of the app": _own_call,
    "build_middleware_stack": _own_stack,
}
"""Where the router behind the middleware can be seen, and so has rules of its own."""


def _wrapped(change: Change, known: frozenset[str]) -> FastAPI:
    return _outer(Mount("/m", Rewriter(Router(inner_routes()), change, known)))


def _wrapped_app(change: Change, known: frozenset[str]) -> FastAPI:
    return _outer(Mount("/m", Rewriter(_sub_app(), change, known)))


def _hidden(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(HiddenRewriter, change=change, known=known)]
    return _outer(Mount("/m", Router(inner_routes()), middleware=middleware))


def _hidden_of_the_router(change: Change, known: frozenset[str]) -> FastAPI:
    middleware = [Middleware(HiddenRewriter, change=change, known=known)]
    return _outer(Mount("/m", Router(inner_routes(), middleware=middleware)))


OPAQUE: dict[str, Make] = {
    "of the mount": _of_the_mount,
    "of the mount of an app": _of_the_mount_of_an_app,
    "of a mount in an included router": _of_an_included_mount,
    "around the app of the mount, later": _wrapped_later,
    "of the mount, hidden": _hidden,
    "of the router": _of_the_router,
    "of the router, hidden": _hidden_of_the_router,
    "around the stack of the router": _stack_wrapped,
    "around a router": _wrapped,
    "around an app": _wrapped_app,
    "__call__ of the router": _own_call_of_a_router,
}
"""Where nothing is known of what is behind: all below ``/m`` is one endpoint."""

ROOT: dict[str, Make] = {"of a route": _behind_a_route, "of the default": _of_the_default}
"""The same for all that is in the app: ``/{rest}``, ``/**``."""


def setting(**values: Any) -> Change:
    """Change the scope itself."""

    def change(scope: Scope) -> Scope:
        scope.update(values)
        return scope

    return change


def copying(**values: Any) -> Change:
    return lambda scope: {**scope, **values}


# What the ASGI specification has.
_STANDARD = frozenset(
    {
        *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
        *("root_path", "headers", "client", "server", "extensions", "subprotocols", "state"),
    }
)


def making_anew(**values: Any) -> Change:
    """Leave out what frameworks and their guests have put into the scope."""

    def change(scope: Scope) -> Scope:
        standard: MutableMapping[str, Any] = {
            name: value for name, value in scope.items() if name in _STANDARD
        }
        return {**standard, **values}

    return change
