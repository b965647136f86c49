"""Attacks by what looks like the framework's answer to an unknown path, and is not."""

import gc
from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import PUBLIC
from fastapi_scopes._routing.gates import app_chain_of
from tests.perimeter.calling import NOT_FOUND, SPEAKS, Guarded, Opaque, call, ruled_by, running
from tests.perimeter.places import make_app


def leaf() -> Route:
    return Route("/{name}", running("secret"))


def mounting(inner: ASGIApp) -> Starlette:
    return Starlette(routes=[Mount("/m", inner)])


class Answering:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/private"):
            await PlainTextResponse(SPEAKS + "secret")(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def built_with_more(inner: Starlette) -> None:
    inner.middleware_stack = stack = inner.build_middleware_stack()
    stack.app = Answering(stack.app)  # type: ignore[attr-defined]


def taken_out_of_the_list(inner: Starlette) -> None:
    inner.add_middleware(Answering)
    inner.middleware_stack = inner.build_middleware_stack()
    inner.user_middleware.clear()


def replaced(inner: Starlette) -> None:
    inner.middleware_stack = Answering(inner.build_middleware_stack())


class Disguised(Answering):
    """Has the name of the framework's, and its module."""

    __module__ = ServerErrorMiddleware.__module__


Disguised.__name__ = ServerErrorMiddleware.__name__


def disguised(inner: Starlette) -> None:
    inner.middleware_stack = Disguised(inner.build_middleware_stack())


async def page(request: Request, error: Exception) -> Response:
    return PlainTextResponse(SPEAKS + "secret")


def handler_taken_out_of_the_list(inner: Starlette) -> None:
    inner.add_exception_handler(404, page)
    inner.middleware_stack = inner.build_middleware_stack()
    del inner.exception_handlers[404]


def handler_added_to_the_stack(inner: Starlette) -> None:
    inner.middleware_stack = inner.build_middleware_stack()
    for layer in app_chain_of(inner.middleware_stack):
        if isinstance(layer, ExceptionMiddleware):
            layer.add_exception_handler(HTTPException, page)


UNLISTED: list[Callable[[Starlette], None]] = [
    *(built_with_more, taken_out_of_the_list, replaced, disguised),
    *(handler_taken_out_of_the_list, handler_added_to_the_stack),
]


@pytest.mark.parametrize("change", UNLISTED)
@pytest.mark.parametrize("make", [make_app, Starlette])
def test_middleware_that_no_list_shows_answers_no_unknown_path(
    make: Callable[[], Starlette], change: Callable[[Starlette], None]
) -> None:
    inner = make()
    inner.router.routes.append(Route("/x", running("public")))
    change(inner)
    guarded = Guarded(mounting(inner), {"GET /m/x": PUBLIC})
    answer = call(guarded.app, "GET", "/m/private")
    assert (answer.status, answer.ran) == (401, None)


class Sly:
    """Builds the stack of an app, and says that it is whoever is asked for."""

    def __init__(self, inner: Starlette) -> None:
        self.inner, self.build = inner, inner.build_middleware_stack

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def build_more(self) -> ASGIApp:
        return Answering(self.build())


def built_by_a_function(inner: Starlette) -> None:
    build = inner.build_middleware_stack
    inner.build_middleware_stack = lambda: Answering(build())  # type: ignore[method-assign]


def built_by_someone_sly(inner: Starlette) -> None:
    inner.build_middleware_stack = Sly(inner).build_more  # type: ignore[method-assign]


@pytest.mark.parametrize("build", [built_by_a_function, built_by_someone_sly])
@pytest.mark.parametrize("is_alone", [True, False], ids=["one app", "another came and went"])
def test_stack_that_an_app_will_build_answers_no_unknown_path(
    is_alone: bool, build: Callable[[Starlette], None]
) -> None:
    inner = Starlette(routes=[Route("/x", running("public"))])
    build(inner)
    guarded = Guarded(mounting(inner), {"GET /m/x": PUBLIC})
    guarded.guard.check(guarded.app)
    if not is_alone:
        other = Guarded(mounting(inner), {"GET /m/x": PUBLIC})
        other.guard.check(other.app)
        del other
        gc.collect()
    assert call(guarded.app, "GET", "/m/private").status == 401


@pytest.mark.parametrize("make", [make_app, Starlette])
def test_stack_that_is_the_frameworks_leaves_unknown_paths_to_it(
    make: Callable[[], Starlette],
) -> None:
    inner = make()
    inner.middleware_stack = inner.build_middleware_stack()
    guarded = Guarded(mounting(inner), {})
    assert guarded.outcome("GET", "/m/x") == NOT_FOUND


def _limited_router() -> Mount:
    return Mount("/m", Router([leaf()], max_body_size=10))


def _limited_app() -> Mount:
    return Mount("/m", Starlette(routes=[leaf()], max_body_size=10))


LIMITED: dict[str, Callable[[], BaseRoute]] = {
    "router": _limited_router,
    "app": _limited_app,
    "mount": lambda: Mount("/m", Router([leaf()]), max_body_size=10),
}


@pytest.mark.parametrize("make", LIMITED.values(), ids=LIMITED)
def test_body_limit_of_the_framework_is_no_other_code(make: Callable[[], BaseRoute]) -> None:
    guarded = Guarded(Starlette(routes=[make()]), {"GET /m/{name}": "secret"})
    assert guarded.outcome("GET", "/m/x") == ruled_by("secret")
    assert guarded.outcome("GET", "/m/x/y") == NOT_FOUND
    assert guarded.outcome("POST", "/m/x") == "405"


def test_opaque_app_is_still_no_router() -> None:
    guarded = Guarded(mounting(Opaque("secret")), {"* /m/**": "secret"})
    assert guarded.outcome("GET", "/m/x") == ruled_by("secret")
