"""Endpoints of every kind, and ways to them that do not lead through the app that rules them."""

import copy
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import APIRouter, FastAPI
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    HOST,
    SOCKET,
    SPEAKS,
    Answer,
    Guarded,
    Opaque,
    call,
    running,
    talking,
)
from tests.perimeter.places import make_app

OTHER_HOST = "other.example.org"


@dataclass(frozen=True, slots=True)
class Kind:
    """How an endpoint is put into a router, with a name that it says when it runs."""

    put: Callable[[APIRouter, str, Path], None]
    template: str = "/x"
    path: str = "/x"
    method: str = "GET"
    host: str = HOST


def _api_route(router: APIRouter, name: str, _: Path) -> None:
    async def endpoint() -> Response:
        return PlainTextResponse(SPEAKS + name)

    router.add_api_route("/x", endpoint)


def _plain_route(router: APIRouter, name: str, _: Path) -> None:
    router.add_route("/x", running(name))


def _class(router: APIRouter, name: str, _: Path) -> None:
    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse(SPEAKS + name)

    router.routes.append(Route("/x", Endpoint))


def _endpoint_that_is_a_router(router: APIRouter, name: str, _: Path) -> None:
    inner = Router([Route("/{rest:path}", running(name))])
    router.routes.append(Route("/x", inner))


def _plain_socket(router: APIRouter, name: str, _: Path) -> None:
    router.routes.append(WebSocketRoute("/x", talking(name)))


def _api_socket(router: APIRouter, name: str, _: Path) -> None:
    router.add_api_websocket_route("/x", talking(name))


def _mounted_router(router: APIRouter, name: str, _: Path) -> None:
    router.mount("/x", Router([Route("/y", running(name))]))


def _mounted_app(router: APIRouter, name: str, folder: Path) -> None:
    inner = make_app()
    _api_route(inner.router, name, folder)
    router.mount("/m", inner)


def _opaque(router: APIRouter, name: str, _: Path) -> None:
    router.mount("/x", Opaque(name))


def _static_files(router: APIRouter, name: str, folder: Path) -> None:
    (folder / "y").write_text(SPEAKS + name)
    router.mount("/x", StaticFiles(directory=folder))


def _frontend(router: APIRouter, name: str, folder: Path) -> None:
    (folder / "y").write_text(SPEAKS + name)
    router.frontend("/x", directory=folder)


def _host(router: APIRouter, name: str, _: Path) -> None:
    router.host(OTHER_HOST, Router([Route("/x", running(name))]))


def _opaque_host(router: APIRouter, name: str, _: Path) -> None:
    router.host(OTHER_HOST, Opaque(name))


_HERE: dict[str, Kind] = {
    "API route": Kind(_api_route),
    "plain route": Kind(_plain_route),
    "class": Kind(_class),
    "API socket": Kind(_api_socket, method=SOCKET),
    "plain socket": Kind(_plain_socket, method=SOCKET),
    "route of a mounted router": Kind(_mounted_router, "/x/y", "/x/y"),
    "route of a mounted app": Kind(_mounted_app, "/m/x", "/m/x"),
    "opaque mount": Kind(_opaque, "/x/**", "/x/y"),
    "socket of an opaque mount": Kind(_opaque, "/x/**", "/x/y", SOCKET),
    "static files": Kind(_static_files, "/x/**", "/x/y"),
    "frontend": Kind(_frontend, "/x/**", "/x/y"),
    "host": Kind(_host, host=OTHER_HOST),
    "opaque host": Kind(_opaque_host, "/**", host=OTHER_HOST),
}


def _included(kind: Kind) -> Kind:
    def put(router: APIRouter, name: str, folder: Path) -> None:
        between, within = APIRouter(), APIRouter()
        kind.put(within, name, folder)
        between.include_router(within)
        router.include_router(between, prefix="/i")

    return replace(kind, put=put, template="/i" + kind.template, path="/i" + kind.path)


KINDS: dict[str, Kind] = (
    _HERE
    | {f"included {name}": _included(kind) for name, kind in _HERE.items()}
    | {"endpoint that is a router": Kind(_endpoint_that_is_a_router, "/{rest}")}
)


class Door:
    """An opaque app, which sends whoever comes to another app."""

    target: ASGIApp
    change: Callable[[Scope], Scope]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.target(self.change(scope), receive, send)


class Scene:
    """An endpoint of *kind*, and an app with a `/door` that rules it by *requirement*.

    Without one the app is a twin that nobody protects.
    """

    guarded: Guarded
    app: FastAPI
    where: str

    def __init__(self, kind: Kind, folder: Path, requirement: Any = None) -> None:
        self.kind = kind
        self.door = Door()
        self._folder = folder
        self._requirement = requirement

    def put(self, router: APIRouter) -> None:
        """Put the endpoint into *router*."""
        name = "public" if self._requirement is PUBLIC else "secret"
        self.kind.put(router, name, self._folder)

    def made(self) -> FastAPI:
        """Return an app that has the endpoint."""
        app = make_app()
        self.put(app.router)
        return app

    def protect(self, app: FastAPI, where: str = "") -> None:
        """Have *app* rule the endpoint, which it has below *where*."""
        app.router.routes.insert(0, Mount("/door", self.door))
        self.app, self.where = app, where
        if self._requirement is not None:
            key = f"{self.kind.method} {where}{self.kind.template}"
            self.guarded = Guarded(app, {key: self._requirement, "MOUNT /door": PUBLIC})

    def ask(self, app: ASGIApp, where: str = "") -> Answer:
        """Return what *app* answers whoever asks for the endpoint."""
        return call(with_stack(app), self.kind.method, where + self.kind.path, host=self.kind.host)


def with_stack(app: ASGIApp) -> ASGIApp:
    """Return *app*, with what API routes want of the scope that FastAPI gives them."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await app({**scope, "fastapi_middleware_astack": stack}, receive, send)

    return run


Way: TypeAlias = Callable[[Scene], tuple[ASGIApp, str]]
"""Builds a scene; returns what is called instead of its app, and below what the endpoint is."""

_ways: list[Way] = []


def _way(way: Way) -> Way:
    _ways.append(way)
    return way


@_way
def mounted_app(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    app.mount("/m", inner)
    scene.protect(app, "/m")
    return inner, ""


@_way
def mounted_app_that_served_before(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    scene.ask(inner)
    app.mount("/m", inner)
    scene.protect(app, "/m")
    return inner, ""


@_way
def mounted_app_that_was_served(scene: Scene) -> tuple[ASGIApp, str]:
    inner, _ = mounted_app(scene)
    scene.ask(scene.app, "/m")
    return inner, ""


@_way
def router_of_a_mounted_app(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    app.mount("/m", inner)
    scene.protect(app, "/m")
    return inner.router, ""


@_way
def bare_matching_of_a_mounted_app(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    app.mount("/m", inner)
    scene.protect(app, "/m")
    return inner.router.app, ""


@_way
def bare_matching(scene: Scene) -> tuple[ASGIApp, str]:
    app = scene.made()
    scene.protect(app)
    return app.router.app, ""


@_way
def bare_matching_that_was_kept(scene: Scene) -> tuple[ASGIApp, str]:
    app = scene.made()
    matching = app.router.app
    scene.protect(app)
    return matching, ""


@_way
def inclusion_of_its_router(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    scene.protect(app)
    outer.include_router(app.router, prefix="/in")
    return outer, "/in"


@_way
def earlier_inclusion_of_its_router(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    outer.include_router(app.router)
    scene.protect(app)
    return outer, ""


@_way
def inclusion_of_its_router_that_served_before(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    outer.include_router(app.router)
    scene.ask(outer)
    scene.protect(app)
    return outer, ""


@_way
def mount_of_its_router(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    scene.protect(app)
    outer.mount("/in", app.router)
    return outer, "/in"


@_way
def mount_of_its_bare_matching(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    scene.protect(app)
    outer.mount("/in", app.router.app)
    return outer, "/in"


@_way
def copy_of_its_router(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = scene.made(), make_app()
    scene.protect(app)
    outer.router = copy.copy(app.router)
    return outer, ""


@_way
def app_of_its_routes(scene: Scene) -> tuple[ASGIApp, str]:
    app = scene.made()
    scene.protect(app)
    return FastAPI(openapi_url=None, routes=app.routes), ""


@_way
def app_that_was_given_its_routes(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = scene.made(), make_app()
    scene.protect(app)
    other.router.routes.extend(app.routes)
    return other, ""


@_way
def app_that_had_its_routes_before(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = scene.made(), make_app()
    other.router.routes.extend(app.routes)
    scene.protect(app)
    return other, ""


@_way
def app_with_its_list_of_routes(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = scene.made(), make_app()
    scene.protect(app)
    other.router.routes = app.router.routes
    return other, ""


@_way
def app_from_which_its_routes_are(scene: Scene) -> tuple[ASGIApp, str]:
    other = scene.made()
    scene.protect(FastAPI(openapi_url=None, routes=other.routes))
    return other, ""


@_way
def app_that_served_from_which_its_routes_are(scene: Scene) -> tuple[ASGIApp, str]:
    other = scene.made()
    scene.ask(other)
    scene.protect(FastAPI(openapi_url=None, routes=other.routes))
    return other, ""


@_way
def shallow_copies(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = scene.made(), make_app()
    scene.protect(app)
    other.router.routes.extend(map(copy.copy, app.routes))
    return other, ""


@_way
def deep_copies(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = scene.made(), make_app()
    scene.protect(app)
    for route in app.routes[1:]:
        # Python does not copy locks and what leads to itself by an `__eq__`, guard or no guard.
        with suppress(RecursionError, TypeError):
            other.router.routes.append(copy.deepcopy(route))
    return other, ""


@_way
def inclusion_of_what_it_includes(scene: Scene) -> tuple[ASGIApp, str]:
    shared, app, other = APIRouter(), make_app(), make_app()
    scene.put(shared)
    app.include_router(shared)
    scene.protect(app)
    other.include_router(shared, prefix="/in")
    return other, "/in"


@_way
def earlier_inclusion_of_what_it_includes(scene: Scene) -> tuple[ASGIApp, str]:
    shared, app, other = APIRouter(), make_app(), make_app()
    scene.put(shared)
    other.include_router(shared, prefix="/in")
    app.include_router(shared)
    scene.protect(app)
    return other, "/in"


@_way
def inclusion_of_what_it_includes_that_served_before(scene: Scene) -> tuple[ASGIApp, str]:
    shared, app, other = APIRouter(), make_app(), make_app()
    scene.put(shared)
    other.include_router(shared, prefix="/in")
    scene.ask(other, "/in")
    app.include_router(shared)
    scene.protect(app)
    return other, "/in"


@_way
def handle_of_the_route(scene: Scene) -> tuple[ASGIApp, str]:
    app = scene.made()
    scene.protect(app)

    async def handle(asgi_scope: Scope, receive: Receive, send: Send) -> None:
        for route in app.routes[1:]:
            match, found = route.matches(asgi_scope)
            if match is Match.FULL:
                await route.handle({**asgi_scope, **found}, receive, send)
                return
        await app.router.not_found(asgi_scope, receive, send)

    return handle, ""


# What comes after `protect`, and is reached before the app itself got a request.


@_way
def inclusion_of_its_router_that_has_it_late(scene: Scene) -> tuple[ASGIApp, str]:
    app, outer = make_app(), make_app()
    scene.protect(app)
    outer.include_router(app.router)
    scene.put(app.router)
    return outer, ""


@_way
def app_that_was_given_its_late_routes(scene: Scene) -> tuple[ASGIApp, str]:
    app, other = make_app(), make_app()
    scene.protect(app)
    scene.put(app.router)
    other.router.routes.extend(app.routes)
    return other, ""


@_way
def bare_matching_late(scene: Scene) -> tuple[ASGIApp, str]:
    app = make_app()
    scene.protect(app)
    scene.put(app.router)
    return app.router.app, ""


@_way
def mounted_app_that_has_it_late(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = make_app(), make_app()
    app.mount("/m", inner)
    scene.protect(app, "/m")
    scene.put(inner.router)
    return inner, ""


@_way
def bare_matching_of_a_mounted_app_late(scene: Scene) -> tuple[ASGIApp, str]:
    inner, _ = mounted_app_that_has_it_late(scene)
    assert isinstance(inner, FastAPI)
    return inner.router.app, ""


@_way
def app_that_is_mounted_late(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    scene.protect(app, "/m")
    app.mount("/m", inner)
    return inner, ""


@_way
def app_that_is_the_default_late(scene: Scene) -> tuple[ASGIApp, str]:
    inner, app = scene.made(), make_app()
    scene.protect(app)
    app.router.default = inner
    return inner, ""


@_way
def inclusion_of_what_it_includes_late(scene: Scene) -> tuple[ASGIApp, str]:
    shared, app, other = APIRouter(), make_app(), make_app()
    scene.put(shared)
    scene.protect(app)
    other.include_router(shared)
    app.include_router(shared)
    return other, ""


WAYS: dict[str, Way] = {each.__name__.replace("_", " "): each for each in _ways}
