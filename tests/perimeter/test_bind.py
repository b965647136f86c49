"""``bind``: an application is told of each caller, wherever that caller gets, or refuses."""

import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_scopes import OPTIONAL, PUBLIC, Claims
from fastapi_scopes.errors import (
    CredentialsError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from tests.apps import make_guard
from tests.perimeter.calling import SOCKET, SPEAKS, call, running, talking
from tests.perimeter.places import (
    Where,
    behind_a_host,
    in_the_app,
    included,
    make_app,
    mounted,
    mounted_app,
)

# What it raises.


class OfTheAppError(Exception):
    """Says what no log may hold."""

    def __str__(self) -> str:
        return "canary may not, says her token"


RAISED: dict[str, tuple[Exception, int]] = {
    "token": (TokenError(TokenFault.CLAIMS), 401),
    "credentials": (CredentialsError(), 400),
    "issuer": (VerifierUnavailable(), 503),
    "anything": (OfTheAppError(), 401),
    "key": (KeyError("canary"), 401),
    "lookup": (LookupError("canary"), 401),
}
PLACES: list[Where] = [in_the_app, included, mounted, mounted_app, behind_a_host]


def raising(error: Exception) -> Callable[..., None]:
    def bind(scope: Any, claims: Claims) -> None:
        raise error

    return bind


@pytest.mark.parametrize("method", ["GET", SOCKET])
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(("error", "status"), RAISED.values(), ids=RAISED)
def test_caller_of_whom_the_application_cannot_be_told_is_refused(
    error: Exception, status: int, where: Where, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = where([Route("/x", running("x")), *make_socket("/x"), Route("/open", running("public"))])
    rules = {"GET /x": "x", f"{SOCKET} /x": "x", "GET /open": PUBLIC}
    make_guard(rules, bind=raising(error)).protect(app)
    with caplog.at_level(logging.INFO):
        answer = call(app, method, "/x", {"x"})
    assert (answer.status, answer.ran) == (status, None)
    assert call(app, "GET", "/open", {"x"}).ran == "public"
    failed = [each for each in caplog.records if each.levelno == logging.ERROR]
    is_known = isinstance(error, CredentialsError | TokenError | VerifierUnavailable)
    assert [type(error).__name__ in each.getMessage() for each in failed] == [True] * (not is_known)
    assert "canary" not in caplog.text


def make_socket(path: str) -> list[Any]:
    router = APIRouter()
    router.add_websocket_route(path, talking("x"))
    return list(router.routes)


@pytest.mark.parametrize("kind", ["GET", SOCKET])
@pytest.mark.parametrize(("error", "status"), RAISED.values(), ids=RAISED)
def test_dependency_refuses_who_cannot_be_made_known(
    error: Exception, status: int, kind: str
) -> None:
    guard = make_guard({"GET /x": "x", f"{SOCKET} /x": "x"}, bind=raising(error))
    app, router = make_app(), APIRouter(dependencies=[Depends(guard)])
    router.add_api_route("/x", lambda: PlainTextResponse("ran x"))
    router.add_api_websocket_route("/x", talking("x"))
    app.include_router(router)
    answer = call(app, kind, "/x", {"x"})
    assert (answer.status, answer.ran) == (status, None)


# How often it is told.


class Handing:
    """Hands a connection on in a scope that it makes."""

    def __init__(self, app: ASGIApp, *, make: Callable[[Scope], Scope]) -> None:
        self.app = app
        self.make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(self.make(scope), receive, send)


HANDED_ON: dict[str, Callable[[Scope], Scope]] = {
    "the scope itself": lambda scope: scope,
    "a copy": dict,
    "a copy with a fresh state": lambda scope: {**scope, "state": {}},
    "a copy without a state": lambda scope: {
        key: value for key, value in scope.items() if key != "state"
    },
}


async def who(request: Request) -> Response:
    return PlainTextResponse(SPEAKS + getattr(request.state, "user", "nobody"))


class Telling:
    """A bind that counts in which scopes it told the application of whom."""

    def __init__(self) -> None:
        self.told: list[Scope] = []

    def __call__(self, scope: Any, claims: Claims) -> None:
        self.told.append(scope)
        scope.setdefault("state", {})["user"] = claims.sub

    @property
    def is_once_for_each(self) -> bool:
        return len({id(each) for each in self.told}) == len(self.told)


@pytest.mark.parametrize("requirement", ["x", OPTIONAL], ids=str)
@pytest.mark.parametrize("make", HANDED_ON.values(), ids=HANDED_ON)
@pytest.mark.parametrize(
    "where", ["around a mounted app", "within a mounted app", "in place of the app"]
)
def test_handler_knows_the_caller_in_whatever_scope_it_runs(
    where: str, make: Callable[[Scope], Scope], requirement: Any
) -> None:
    route, handing = Route("/x", who), Middleware(Handing, make=make)
    if where == "around a mounted app":
        mount = Mount("/m", Starlette(routes=[route]), middleware=[handing])
    elif where == "within a mounted app":
        mount = Mount("/m", Starlette(routes=[route], middleware=[handing]))
    else:
        mount = Mount("/m", Handing(Starlette(routes=[route]), make=make))
    app, telling = in_the_app([mount]), Telling()
    # What hides what it wraps has one rule for all of it.
    rules = {"GET /m/x": requirement, "* /m/**": requirement}
    make_guard(rules, bind=telling).protect(app, strict=False)
    answer = call(app, "GET", "/m/x", {"x"})
    assert answer.status == 200
    assert telling.is_once_for_each
    if where == "within a mounted app":
        assert answer.ran == "alice"
        assert len(telling.told) == (1 if make is HANDED_ON["the scope itself"] else 2)


@pytest.mark.parametrize("make", HANDED_ON.values(), ids=HANDED_ON)
def test_perimeter_within_a_perimeter_of_the_same_guard_makes_the_caller_known(
    make: Callable[[Scope], Scope],
) -> None:
    inner, outer, telling = Starlette(routes=[Route("/x", who)]), make_app(), Telling()
    outer.mount("/i", Handing(inner, make=make))
    guard = make_guard({"GET /x": "x", "* /i/**": "x"}, bind=telling)
    guard.protect(inner, strict=False)
    guard.protect(outer, strict=False)
    assert call(outer, "GET", "/i/x", {"x"}).ran == "alice"
    assert call(inner, "GET", "/x", {"x"}).ran == "alice"
    assert telling.is_once_for_each


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("error", [TokenError(TokenFault.CLAIMS), OfTheAppError()])
def test_claims_of_a_caller_whom_bind_refused_are_nobodys(error: Exception, where: Where) -> None:
    guard = make_guard({"GET /**": "a"}, bind=raising(error))
    told: list[Claims | None] = []

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        told.append(guard.claims_of(HTTPConnection(scope)))

    app = guard.protect(where([Route("/x", running("secret"))]), strict=False)
    prefix = next((each.path for each in app.routes if isinstance(each, Mount)), "")
    answer = call(served, "GET", f"{prefix}/x", {"a"})
    assert (answer.status, answer.ran) == (401, None)
    assert told == [None]


@pytest.mark.parametrize("method", ["GET", SOCKET])
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("has_dependency", [False, True], ids=["protected", "and a dependency"])
def test_application_is_told_once_of_a_connection(
    has_dependency: bool, where: Where, method: str
) -> None:
    telling = Telling()
    rules = {"GET /x": "x", f"{SOCKET} /x": "x"}
    guard = make_guard(rules, bind=telling)
    dependencies = [Depends(guard)] if has_dependency else []
    router = APIRouter(dependencies=dependencies)
    router.add_api_route("/x", lambda: PlainTextResponse("ran x"))
    router.add_api_websocket_route("/x", talking("x"))
    app = where(router.routes)
    guard.protect(app)
    assert call(app, method, "/x").ran is None
    assert telling.told == []
    assert call(app, method, "/x", {"x"}).ran == "x"
    assert len(telling.told) == 1


def test_claims_are_the_same_for_bind_and_for_a_dependency() -> None:
    telling: list[Claims] = []
    guard = make_guard({"GET /x": "x"}, bind=lambda _, claims: telling.append(claims))
    app = make_app()

    @app.get("/x")
    async def endpoint(
        connection: HTTPConnection, claims: Annotated[Claims, Depends(guard)]
    ) -> Response:
        assert guard.claims_of(connection) == claims == telling[0]
        return PlainTextResponse("ran x")

    guard.protect(app)
    assert call(app, "GET", "/x", {"x"}).ran == "x"
