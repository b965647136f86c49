"""Attacks by classes of routes that match and run as they like.

An endpoint never runs under another rule than its own; a class that cannot be foreseen has the
rule of its own place, or no one passes.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import (
    SOCKET,
    Guarded,
    Opaque,
    call,
    expected,
    ruled_by,
    running,
    talking,
)
from tests.perimeter.places import ANYWHERE, Where


def wants(version: str, kind: type[Any]) -> type[Any]:
    """Return *kind* for callers who ask for *version* in a header."""

    class Versioned(kind):  # type: ignore[misc]
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            if Headers(scope=scope).get("x-version") != version:
                return Match.NONE, {}
            result: tuple[Match, Scope] = super().matches(scope)
            return result

    return Versioned


def versioned() -> list[BaseRoute]:
    return [
        wants("1", APIRoute)("/x", running("one")),
        wants("2", APIRoute)("/{name}", running("two")),
        wants("3", Route)("/x", running("one")),
        wants("4", Route)("/{name}/y", running("four")),
        wants("5", Mount)("/x", Router([Route("/y", running("five"))])),
        wants("6", APIWebSocketRoute)("/x", talking("six")),
        wants("7", WebSocketRoute)("/{name}", talking("seven")),
        Route("/{any}", running("public")),
    ]


VERSIONS = {
    **{"GET /x": "one", "GET /{name}": "two", "GET /{name}/y": "four", "GET /x/**": "five"},
    **{f"{SOCKET} /x": "six", f"{SOCKET} /{{name}}": "seven", "GET /{any}": PUBLIC},
}


@pytest.mark.parametrize("where", ANYWHERE)
def test_route_by_header_has_its_own_rule(where: Where) -> None:
    guarded, bare, seen = Guarded(where(versioned()), VERSIONS), where(versioned()), set()
    for version in "01234567":
        for method, path in (("GET", "/x"), ("GET", "/x/y"), (SOCKET, "/x"), ("POST", "/x")):
            options = {"fields": {"x-version": version}}
            outcome = guarded.outcome(method, path, **options)
            assert outcome == expected(bare, VERSIONS, method, path, **options)
            seen.add(outcome)
    # FastAPI makes a plain Route of its own in place of one that is included.
    assert seen >= {ruled_by("one"), ruled_by("two"), ruled_by("six")}


class Sharing(Route):
    """Matches a share of all the times that it is asked, as a route for some of the calls does."""

    shares: Iterator[bool]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if next(self.shares) else (Match.NONE, {})


class Stripping(BaseRoute):
    """Takes a prefix off the path while it is asked; matches nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        scope["path"] = scope["path"].removeprefix("/v1")
        return Match.NONE, {}


class Rehosting(BaseRoute):
    """Names another host while it is asked; matches nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        scope["headers"] = [(b"host", b"inner.example.org")]
        return Match.NONE, {}


class Overriding(BaseRoute):
    """Takes a method from a header while it is asked; matches nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        scope["method"] = "DELETE"
        return Match.NONE, {}


class Answering(BaseRoute):
    """Changes the call by what it gives back."""

    def __init__(self, app: Any, path: str) -> None:
        self.app, self.to = app, path

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {"path": self.to}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Remounting(Mount):
    """Leads to another path of its app than its own pattern says."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "path": "/m/secret"}


def secret() -> Route:
    return Route("/secret", running("secret"))


LYING: dict[str, tuple[Callable[[], list[BaseRoute]], str]] = {
    "changes the path": (
        lambda: [Stripping(), secret(), Route("/v1/{name}", running("public"))],
        "/v1/secret",
    ),
    "changes the method": (
        lambda: [
            Overriding(),
            Route("/open", running("secret"), methods=["DELETE"]),
            Route("/open", running("public")),
        ],
        "/open",
    ),
    "changes the host": (
        lambda: [
            Rehosting(),
            Host("inner.example.org", Opaque("secret")),
            Host("{any}", Router([Route("/open", running("public"))])),
        ],
        "/open",
    ),
    "gives another path": (lambda: [Answering(Router([secret()]), "/secret")], "/open"),
    "mounts at another path": (lambda: [Remounting("/m", Router([secret()]))], "/m/open"),
}
LIES = {
    **{"GET /v1/{name}": PUBLIC, "GET /open": PUBLIC, "GET /m/{name}": PUBLIC},
    **{"GET /secret": "secret", "DELETE /open": "secret", "GET /m/secret": "secret"},
    "GET /**": "secret",
}


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(("make", "path"), LYING.values(), ids=LYING)
def test_route_that_changes_the_call_lets_no_one_in(
    make: Callable[[], list[BaseRoute]], path: str, where: Where
) -> None:
    answer = call(Guarded(where(make()), LIES).app, "GET", path)
    assert answer.ran in {None, "public"}


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize("names", [("public", "secret"), ("secret", "public")], ids="-".join)
@pytest.mark.parametrize("shares", ["10", "110", "100", "1110", "1000", "1100", "11110"])
def test_route_that_matches_now_and_then_lets_no_one_in(
    shares: str, names: tuple[str, str], where: Where
) -> None:
    sharing = Sharing("/x", running(names[0]))
    sharing.shares = cycle(share == "1" for share in shares)
    ruled = {name: PUBLIC if name == "public" else name for name in names}
    rules = {"GET /x": ruled[names[0]], "GET /{name}": ruled[names[1]]}
    guarded = Guarded(where([sharing, Route("/{name}", running(names[1]))]), rules)
    for _ in range(8):
        assert call(guarded.app, "GET", "/x").ran in {None, "public"}
