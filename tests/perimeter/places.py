"""Routers at every place where an app can have one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, Route, Router

from tests.perimeter.calling import HOST, running


@dataclass(frozen=True, slots=True)
class Place:
    """A router with a public ``/{name}``, and where in an app its routes are."""

    app: FastAPI
    router: Router
    prefix: str = ""
    host: str = HOST


def make_app() -> FastAPI:
    return FastAPI(openapi_url=None)


def public_route() -> APIRoute:
    return APIRoute("/{name}", running("public"))


def api_router(*routes: BaseRoute) -> APIRouter:
    return APIRouter(routes=[*routes, public_route()])


def plain_router(*routes: BaseRoute) -> Router:
    return Router([*routes, Route("/{name}", running("public"))])


def _own() -> Place:
    app = make_app()
    app.router.routes.append(public_route())
    return Place(app, app.router)


def _included(prefix: str) -> Place:
    app, router = make_app(), api_router()
    app.include_router(router, prefix=prefix)
    return Place(app, router, prefix)


def _nested() -> Place:
    app, outer, router = make_app(), APIRouter(), api_router()
    outer.include_router(router, prefix="/b")
    app.include_router(outer, prefix="/a")
    return Place(app, router, "/a/b")


def _nested_without_prefix() -> Place:
    app, outer, router = make_app(), APIRouter(), api_router()
    outer.include_router(router)
    app.include_router(outer)
    return Place(app, router)


def _mounted_app() -> Place:
    app, sub = make_app(), make_app()
    sub.router.routes.append(public_route())
    app.mount("/m", sub)
    return Place(app, sub.router, "/m")


def _mounted_starlette() -> Place:
    app, sub = make_app(), Starlette(routes=plain_router().routes)
    app.mount("/m", sub)
    return Place(app, sub.router, "/m")


def _mounted(router: Router) -> Place:
    app = make_app()
    app.mount("/m", router)
    return Place(app, router, "/m")


def _included_in_mounted_app() -> Place:
    app, sub, router = make_app(), make_app(), api_router()
    sub.include_router(router, prefix="/b")
    app.mount("/m", sub)
    return Place(app, router, "/m/b")


def _mounted_in_included() -> Place:
    app, included, router = make_app(), APIRouter(), plain_router()
    included.mount("/m", router)
    app.include_router(included, prefix="/a")
    return Place(app, router, "/a/m")


def _mounted_in_mounted() -> Place:
    app, router = make_app(), plain_router()
    app.mount("/m", Router([Mount("/n", Router([Mount("", router)]))]))
    return Place(app, router, "/m/n")


def _host() -> Place:
    app, router = make_app(), plain_router()
    app.host("late.example.org", router)
    return Place(app, router, host="late.example.org")


def _host_in_included() -> Place:
    app, included, router = make_app(), APIRouter(), api_router()
    included.host("late.example.org", router)
    app.include_router(included, prefix="/a")
    return Place(app, router, "/a", "late.example.org")


def _endpoint_of_a_route() -> Place:
    app, router = make_app(), plain_router()
    app.router.routes.append(Route("/{rest:path}", router))
    return Place(app, router)


def _default() -> Place:
    app, router = make_app(), plain_router()
    app.router.default = router
    return Place(app, router)


def _default_of_mounted() -> Place:
    app, router = make_app(), api_router()
    app.mount("/m", Router(default=router))
    return Place(app, router, "/m")


PLACES: dict[str, Callable[[], Place]] = {
    "of the app": _own,
    "included": lambda: _included("/a"),
    "included without prefix": lambda: _included(""),
    "included in an included one": _nested,
    "included in an included one, without prefix": _nested_without_prefix,
    "of a mounted app": _mounted_app,
    "of a mounted Starlette": _mounted_starlette,
    "mounted Router": lambda: _mounted(plain_router()),
    "mounted APIRouter": lambda: _mounted(api_router()),
    "included in a mounted app": _included_in_mounted_app,
    "mounted in an included one": _mounted_in_included,
    "mounted in a mounted one": _mounted_in_mounted,
    "behind a host": _host,
    "behind a host of an included one": _host_in_included,
    "endpoint of a route": _endpoint_of_a_route,
    "default of the app": _default,
    "default of a mounted one": _default_of_mounted,
}


Where = Callable[[Sequence[BaseRoute]], FastAPI]
"""Puts routes into an app."""


def in_the_app(routes: Sequence[BaseRoute]) -> FastAPI:
    app = make_app()
    app.router.routes += routes
    return app


def included(routes: Sequence[BaseRoute]) -> FastAPI:
    app, outer = make_app(), APIRouter()
    outer.include_router(APIRouter(routes=list(routes)))
    app.include_router(outer)
    return app


def mounted(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Mount("", Router(routes))])


def mounted_app(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Mount("", in_the_app(routes))])


def behind_a_host(routes: Sequence[BaseRoute]) -> FastAPI:
    return in_the_app([Host("{any}", Router(routes))])


ANYWHERE: list[Where] = [in_the_app, included, mounted, mounted_app, behind_a_host]
