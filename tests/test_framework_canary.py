"""What of FastAPI and Starlette the guard leans on and no documentation promises.

A failure here means that a new version stores or says something otherwise: `_routes` and
`guard` want a look before that version is supported.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Security, WebSocket
from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
    iter_route_contexts,
)
from fastapi.security.base import SecurityBase
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send


class Probe:
    """A dependency that keeps the ASGI scope as dependencies see it."""

    def __init__(self) -> None:
        self.asgi_scope: dict[str, Any] = {}

    async def __call__(self, connection: HTTPConnection) -> None:
        self.asgi_scope = dict(connection.scope)


async def answer() -> str:
    return "ran"


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def seen_by_probe(app: FastAPI, probe: Probe, path: str) -> dict[str, Any]:
    TestClient(app).get(path)
    return probe.asgi_scope


def test_direct_route_is_named_by_the_connection() -> None:
    probe = Probe()
    app = FastAPI(dependencies=[Depends(probe)])
    app.add_api_route("/x/{i}", answer)
    seen = seen_by_probe(app, probe, "/x/1")
    assert seen["route"] is app.router.routes[-1]
    assert seen["app"] is app
    assert seen.get("fastapi", {}).get("effective_route_context") is None


def test_included_route_is_named_by_its_context() -> None:
    probe = Probe()
    router = APIRouter()
    router.add_api_route("/x/{i}", answer)
    app = FastAPI(dependencies=[Depends(probe)])
    app.include_router(router, prefix="/v1")
    seen = seen_by_probe(app, probe, "/v1/x/1")
    context = seen["fastapi"]["effective_route_context"]
    assert context.original_route is seen["route"] is router.routes[-1]
    assert context.path == "/v1/x/{i}"
    assert context.methods == {"GET"}
    assert isinstance(context.dependant, Dependant)
    walked = [found._route_context for found in iter_route_contexts(app.routes)]
    assert any(each is context for each in walked)


def test_included_socket_is_named_by_a_copy_of_its_route() -> None:
    probe = Probe()
    router = APIRouter()
    router.add_api_websocket_route("/ws/{i}", greet)
    app = FastAPI(dependencies=[Depends(probe)])
    app.include_router(router, prefix="/v1")
    with TestClient(app).websocket_connect("/v1/ws/1"):
        pass
    copy = probe.asgi_scope["route"]
    assert isinstance(copy, APIWebSocketRoute)
    assert copy is not router.routes[-1]
    assert copy.path == "/v1/ws/{i}"
    walked = [found._route_context for found in iter_route_contexts(app.routes)]
    assert any(each is not None and each.starlette_route is copy for each in walked)


def test_what_is_made_of_an_inclusion_is_kept_with_a_version() -> None:
    router, app = APIRouter(), FastAPI(openapi_url=None)
    router.add_api_route("/x", answer)
    app.include_router(router)
    (included,) = app.routes
    assert isinstance(included, _IncludedRouter)
    assert included._effective_candidates_version is None
    assert included._effective_candidates == []
    first = included.effective_candidates()
    assert included.effective_candidates() is included._effective_candidates is first
    assert included._effective_candidates_version is not None
    included._effective_candidates_version = None
    assert included.effective_candidates() is not first
    last = included.effective_low_priority_routes()
    assert included.effective_low_priority_routes() is last
    included._effective_low_priority_routes_version = None
    assert included.effective_low_priority_routes() is not last


def test_mount_keeps_the_app_that_middleware_wraps() -> None:
    app = Router()
    assert Mount("/m", app=app)._base_app is app


def test_low_priority_routes_are_listed_apart(tmp_path: Any) -> None:
    (tmp_path / "index.html").write_text("ran")
    app = FastAPI()
    app.frontend("/ui", directory=tmp_path)
    assert not any("ui" in str(getattr(route, "path", "")) for route in app.routes)
    (group,) = app.router._iter_low_priority_routes()
    assert [route.path for route in group.routes] == ["/ui"]
    assert isinstance(group.dependant, Dependant)


def test_scopes_of_security_lie_on_the_dependant() -> None:
    probe = Probe()

    async def outer(_: None = Security(probe, scopes=["b"])) -> None: ...

    route = APIRoute("/x", answer, dependencies=[Security(outer, scopes=["a"])])
    (first,) = route.dependant.dependencies
    (second,) = first.dependencies
    assert first.own_oauth_scopes == ["a"]
    assert second.call is probe
    assert (second.parent_oauth_scopes, second.own_oauth_scopes) == (["a"], ["b"])


def test_exception_handlers_are_found_in_the_connection() -> None:
    app = FastAPI()
    found: list[Any] = []

    @app.get("/x")
    async def endpoint(request: Request) -> None:
        found.append(request.scope["starlette.exception_handlers"])

    TestClient(app).get("/x")
    by_class, by_status = found[0]
    assert isinstance(by_class, dict)
    assert isinstance(by_status, dict)
    assert all(inspect.isclass(each) for each in by_class)


def test_security_schemes_are_documented_by_two_attributes() -> None:
    assert set(SecurityBase.__annotations__) == {"model", "scheme_name"}


# What pinning leans on: a copy of a router, or of an inclusion, has what is read of it.


def read_of_self(function: Callable[..., Any]) -> set[str]:
    """Return what *function* reads of its first parameter, `a.b` where it reads on from there."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Name) and node.id == "self"):
            continue
        names, parent = [], parents.get(node)
        while isinstance(parent, ast.Attribute):
            names.append(parent.attr)
            parent = parents.get(parent)
        # Else the object is passed on as a whole.
        found.add(".".join(names) or "self")
    return found


READ: dict[Callable[..., Any], tuple[set[str], set[str]]] = {
    Router.__call__: ({"middleware_stack"}, set()),
    Router.app: ({"routes", "redirect_slashes", "default", "lifespan", "self"}, set()),
    Router.not_found: (set(), set()),
    APIRouter.app: (
        {"routes", "redirect_slashes", "default", "lifespan", "_match_low_priority", "self"},
        {"form_limits"},
    ),
    APIRouter.handle: ({"app", "self"}, set()),
    APIRouter.matches: ({"self"}, set()),
    APIRouter._iter_low_priority_routes: ({"_low_priority_routes", "routes"}, set()),
    APIRouter._match_low_priority: (
        {"_iter_low_priority_routes", "_frontend_match_is_more_specific"},
        set(),
    ),
    APIRouter._frontend_match_is_more_specific: (set(), set()),
    _IncludedRouter._match: ({"effective_candidates"}, set()),
    _IncludedRouter.matches: ({"original_router.matches", "self"}, set()),
    _IncludedRouter.handle: (
        {"original_router.handle", "self"},
        {"include_context.form_limits"},
    ),
    _IncludedRouter._handle_selected: (
        {"original_router.default", "_match"},
        {"include_context.max_body_size"},
    ),
}
"""Of each function what it reads in all versions, and what later ones read besides."""


@pytest.mark.parametrize("function", [pytest.param(each, id=each.__qualname__) for each in READ])
def test_matching_reads_of_a_router_what_a_copy_of_it_is_given(
    function: Callable[..., Any],
) -> None:
    always, later = READ[function]
    read = read_of_self(function)
    assert always <= read <= always | later


def test_reading_of_self_is_found_wherever_it_is() -> None:
    class Reading:
        def read(self) -> Any:
            return [self.a.b(self.c) for _ in self.d], self

    assert read_of_self(Reading.read) == {"a.b", "c", "d", "self"}


# What an inclusion makes of a route.


async def plain(request: Request) -> Response:
    return PlainTextResponse("ran")


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


def context_of(route: BaseRoute, *, prefix: str = "/p") -> Any:
    app = FastAPI(openapi_url=None)
    app.include_router(APIRouter(routes=[route]), prefix=prefix)
    included = app.router.routes[-1]
    assert isinstance(included, _IncludedRouter)
    (context,) = included.effective_candidates()
    assert context.original_route is route
    return context


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(Route("/x", plain), id="plain route"),
        pytest.param(WebSocketRoute("/x", greet), id="plain socket"),
        pytest.param(APIWebSocketRoute("/x", greet), id="API socket"),
        pytest.param(Host("{any}", nothing), id="host"),
    ],
)
def test_inclusion_makes_another_route_of_the_framework_anew(route: BaseRoute) -> None:
    class Own(type(route)):  # type: ignore[misc]
        """A class of the developer's, of which the inclusion keeps nothing."""

    route.__class__ = Own
    vars(route)["mark"] = "of the developer"
    made = context_of(route).starlette_route
    assert made is not route
    assert type(made) is Own.__mro__[1]
    assert not hasattr(made, "mark")


def test_inclusion_copies_a_mount_with_all_that_is_set_on_it() -> None:
    class Own(Mount):
        """A class of the developer's, which the copy has too."""

    route = Own("/x", nothing)
    vars(route)["mark"] = "of the developer"
    made = context_of(route).starlette_route
    assert made is not route
    assert type(made) is Own
    assert (made.app, made.mark) == (route.app, "of the developer")


def test_inclusion_leads_to_a_host_by_a_mount_below_a_prefix_alone() -> None:
    bare = context_of(Host("{any}", nothing), prefix="").starlette_route
    assert bare.app is nothing
    below = context_of(Host("{any}", nothing)).starlette_route
    (mount,) = below.app.routes
    assert (type(mount), mount.path, mount.app) == (Mount, "/p", nothing)


def test_inclusion_makes_no_route_of_an_api_route() -> None:
    context = context_of(APIRoute("/x", answer))
    assert context.starlette_route is None


@pytest.mark.parametrize("depth", [1, 2])
def test_api_route_that_is_included_runs_by_its_own_matches_and_handle(depth: int) -> None:
    asked: list[str] = []

    class Own(APIRoute):
        def matches(self, scope: Scope) -> Any:
            asked.append("matches")
            return super().matches(scope)

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            asked.append("handle")
            await super().handle(scope, receive, send)

    router = APIRouter(route_class=Own)
    router.add_api_route("/x", answer)
    for _ in range(depth - 1):
        outer = APIRouter()
        outer.include_router(router)
        router = outer
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/p")
    assert TestClient(app).get("/p/x").text == '"ran"'
    # It is asked when it is chosen, and once more at each router on the way to it.
    assert set(asked[:-1]) == {"matches"}
    assert asked[-1] == "handle"


def test_default_of_an_included_router_runs_where_its_route_says_no_by_then() -> None:
    """Why a pinned inclusion has a router without one."""
    asked: list[int] = []

    class Once(APIRoute):
        def matches(self, scope: Scope) -> Any:
            asked.append(1)
            match, found = super().matches(scope)
            return (match if len(asked) == 1 else type(match).NONE), found

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("default")(scope, receive, send)

    router = APIRouter(route_class=Once, default=default)
    router.add_api_route("/x", answer)
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert TestClient(app).get("/x").text == "default"
