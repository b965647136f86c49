"""Attacks by calls from within: what was decided on one connection is not said of another."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import AUTHENTICATED, PUBLIC, Claims, ScopeMap
from tests.apps import make_guard, mint
from tests.perimeter.calling import Guarded, ask, call, ruled_by, running
from tests.perimeter.places import make_app
from tests.perimeter.serving import SERVERS, request_of, serve


async def unheard(message: Any) -> None: ...


def as_service(scope: Scope, **changes: Any) -> Scope:
    """Return *scope* as a call of another caller has it."""
    token = mint("admin", sub="service").encode()
    return {**scope, "headers": [(b"authorization", b"Bearer " + token)], **changes}


@pytest.mark.parametrize("path", ["/me", "/both"])
@pytest.mark.parametrize("is_protected", [False, True], ids=["dependency", "perimeter"])
def test_call_from_an_endpoint_with_another_token_does_not_change_whose_the_outer_one_is(
    is_protected: bool, path: str
) -> None:
    told: list[str | None] = []
    guard = make_guard(
        {"GET /me": AUTHENTICATED, "GET /both": AUTHENTICATED},
        bind=lambda _, claims: told.append(claims.sub),
    )
    app = make_app()

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(guard)]) -> str | None:
        return claims.sub

    @app.get("/both", dependencies=[Depends(guard)])
    async def both(request: Request) -> str:
        if not request.scope.get("is_within"):
            inner = as_service(request.scope, path=path, is_within=True)
            await app(inner, request.receive, unheard)
        claims = guard.claims_of(request)
        return str(claims.sub if claims is not None else None)

    if is_protected:
        guard.protect(app)
    assert call(app, "GET", "/both", set()).text == '"alice"'
    assert told == ["alice", "service"]


def test_call_from_an_endpoint_gives_no_claims_to_a_guard_that_did_not_run() -> None:
    guard, around = make_guard({"GET /me": AUTHENTICATED}), make_guard({"GET /both": PUBLIC})
    app = make_app()

    @app.get("/me", dependencies=[Depends(guard)])
    async def me() -> None: ...

    @app.get("/both", dependencies=[Depends(around)])
    async def both(request: Request) -> bool:
        await app(as_service(request.scope, path="/me"), request.receive, unheard)
        return guard.claims_of(request) is None

    assert call(app, "GET", "/both").text == "true"


@pytest.mark.parametrize("is_dependency", [False, True], ids=["claims_of", "dependency"])
def test_call_from_middleware_with_another_token_does_not_change_whose_the_outer_one_is(
    is_dependency: bool,
) -> None:
    guard = make_guard({"GET /sub/me": AUTHENTICATED})
    sub, app = make_app(), make_app()

    class Ahead:
        """Asks the app as a service first, to have the answer at hand."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if not scope.get("is_ahead"):
                await app(as_service(scope, root_path="", is_ahead=True), receive, unheard)
            await self.app(scope, receive, send)

    async def by_dependency(claims: Annotated[Claims, Depends(guard)]) -> str | None:
        return claims.sub

    async def by_hand(request: Request) -> str | None:
        claims = guard.claims_of(request)
        return claims.sub if claims is not None else None

    sub.add_api_route("/me", by_dependency if is_dependency else by_hand)
    sub.add_middleware(Ahead)
    app.mount("/sub", sub)
    assert call(guard.protect(app), "GET", "/sub/me", set()).text == '"alice"'


def test_dependency_takes_no_verdict_that_was_on_another_token() -> None:
    guard = make_guard({"GET /sub/me": AUTHENTICATED})
    sub, app = make_app(), make_app()

    @sub.get("/me")
    async def me(claims: Annotated[Claims, Depends(guard)]) -> str | None:
        return claims.sub

    class Replacing:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(as_service(scope), receive, send)

    sub.add_middleware(Replacing)
    app.mount("/sub", sub)
    assert call(guard.protect(app), "GET", "/sub/me", set()).status == 403


SEEN = ("type", "method", "path", "root_path", "headers", "query_string", "client", "scheme")


def making_anew(**changes: Any) -> Callable[[Scope], Scope]:
    """Return what makes a scope of its own, out of what it knows; None leaves one out."""

    def made(scope: Scope) -> Scope:
        new = {name: scope[name] for name in SEEN if name in scope} | changes
        return {name: value for name, value in new.items() if value is not None}

    return made


def middleware(change: Callable[[Scope], Scope]) -> Callable[[ASGIApp], ASGIApp]:
    def around(app: ASGIApp) -> ASGIApp:
        class Anew:
            def __init__(self) -> None:
                self.app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await self.app(change(scope), receive, send)

        return Anew()

    return around


def routes() -> list[Route]:
    return [Route("/open", running("public")), Route("/secret", running("secret"))]


RULES = {"GET /b/open": PUBLIC, "GET /b/secret": "secret"}
ANEW: dict[str, dict[str, Any]] = {
    "the same client": {},
    "no client": {"client": None},
    "a list for a client": {"client": ["192.0.2.1", 4711]},
}


@pytest.mark.parametrize("changes", ANEW.values(), ids=ANEW)
@pytest.mark.parametrize("is_protected", ["no", "before", "after"])
def test_scope_that_is_made_anew_shakes_off_no_verdict(
    is_protected: str, changes: dict[str, Any]
) -> None:
    """Also where another perimeter stands behind what makes it."""
    inner, within = Starlette(routes=routes()), make_guard({"GET /*": PUBLIC})
    if is_protected == "before":
        within.protect(inner)
    inner.add_middleware(middleware(making_anew(path="/b/secret", **changes)))
    guarded = Guarded(Starlette(routes=[Mount("/b", inner)]), RULES)
    guarded.guard.check(guarded.app)
    if is_protected == "after":
        within.protect(inner)
    answer = call(guarded.app, "GET", "/b/open")
    assert (answer.status, answer.ran) == (401, None)
    same = Starlette(routes=routes())
    same.add_middleware(middleware(making_anew(**changes)))
    again = Guarded(Starlette(routes=[Mount("/b", same)]), RULES)
    assert again.outcome("GET", "/b/secret") == ruled_by("secret")


def test_connection_without_a_client_is_held_to_its_verdict() -> None:
    inner = Starlette(routes=routes())
    inner.add_middleware(middleware(making_anew(path="/b/secret")))
    guarded = Guarded(Starlette(routes=[Mount("/b", inner)]), RULES)

    async def without_client(scope: Scope, receive: Receive, send: Send) -> None:
        del scope["client"]
        await guarded.app(scope, receive, send)

    assert call(without_client, "GET", "/b/open").status == 401


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("192.0.2.1", 4711), None])
def test_call_from_within_is_decided_on_its_own_credentials(client: Any) -> None:
    inner = FastAPI(openapi_url=None)
    inner.router.routes += routes()

    class Within:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await inner(
                making_anew(path="/secret", root_path="", client=client)(scope),
                receive,
                send,
            )

    guarded = Guarded(
        Starlette(routes=[Route("/door", Within()), Mount("/b", inner)]),
        RULES | {"* /door": PUBLIC},
    )
    assert call(guarded.app, "GET", "/door").status == 401
    assert call(guarded.app, "GET", "/door", {"other"}).status == 403
    assert call(guarded.app, "GET", "/door", {"secret"}).ran == "secret"


# What a connection leaves behind: tasks, and with some servers the connection after it.


def sharing(*routes: Route) -> Starlette:
    """Return an app in which a router is mounted twice, once in a protected app."""
    shared = Router([*routes, Route("/other", running("other"))])
    inner = Starlette(routes=[Mount("/s", shared)])
    make_guard({"GET /s/*": AUTHENTICATED}).protect(inner)
    return Starlette(routes=[Mount("/in", inner), Mount("/s", shared)])


@pytest.mark.parametrize("http", SERVERS)
def test_request_that_a_server_starts_within_the_one_before_is_one_of_its_own(http: str) -> None:
    app = sharing(Route("/open", running("open")))
    credentials = f"Authorization: Bearer {mint()}"
    with serve(app, http=http) as served, served.connect() as connection:
        requests = [
            request_of("GET", "/in/s/open", credentials),
            request_of("GET", "/s/other"),
            request_of("GET", "/s/other", credentials),
        ]
        connection.send(b"".join(requests))
        assert connection.receive().body == b"ran open"
        assert connection.receive().status == 401
        assert connection.receive().body == b"ran other"


@pytest.mark.parametrize("scopes", [None, set()], ids=["anonymous", "with a token"])
def test_task_of_a_connection_inherits_no_verdict_and_is_held_to_none(scopes: Any) -> None:
    tasks: list[asyncio.Task[str | None]] = []

    async def starting(request: Request) -> Response:
        tasks.append(asyncio.create_task(later()))
        return PlainTextResponse("ran starting")

    async def later() -> str | None:
        await is_over.wait()
        answer = await ask(app, "GET", "/s/other", scopes)
        return answer.ran

    async def both() -> str | None:
        assert (await ask(app, "GET", "/in/s/open", set())).ran == "starting"
        is_over.set()
        return await tasks[0]

    is_over = asyncio.Event()
    app = sharing(Route("/open", starting))
    assert asyncio.run(both()) == (None if scopes is None else "other")


def test_task_that_outlives_its_connection_keeps_no_app_and_no_token() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def starting(request: Request) -> Response:
        tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        return PlainTextResponse("ran starting")

    async def is_kept() -> bool:
        app = Starlette(routes=[Route("/open", starting)])
        make_guard({"GET /open": AUTHENTICATED}).protect(app)
        assert (await ask(app, "GET", "/open", set())).ran == "starting"
        reference = weakref.ref(app)
        del app
        gc.collect()
        return reference() is not None

    assert not asyncio.run(is_kept())


def test_bind_is_told_once_of_a_connection_whatever_is_called_within() -> None:
    told: list[str | None] = []
    guard = make_guard(
        ScopeMap({"GET /sub/x": AUTHENTICATED, "GET /x": AUTHENTICATED}, optional=True),
        bind=lambda _, claims: told.append(claims.sub),
    )
    sub, app = Starlette(routes=[Route("/x", running("x"))]), Starlette()

    class Ahead:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if not scope.get("is_ahead"):
                await app(as_service(scope, root_path="", is_ahead=True), receive, unheard)
            await self.app(scope, receive, send)

    sub.add_middleware(Ahead)
    app.mount("/sub", sub)
    guard.protect(app)
    guard.protect(sub)
    assert call(app, "GET", "/sub/x", set()).ran == "x"
    assert told == ["alice", "service"]
