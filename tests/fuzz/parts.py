"""What random applications are made of; whatever answers says so first."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from fastapi_scopes.authorization import verdict_of

SOCKET = "WEBSOCKET"
WAY = "fuzz.way"
"""Where the way lies that a bare resolver found, in the ASGI scope."""
_MARKS = "fuzz.marks"


@dataclass(frozen=True, slots=True)
class Run:
    """An endpoint that ran, and what there was to be seen of the connection."""

    name: str
    method: str
    parameters: frozenset[str]
    marks: frozenset[int]
    """The inclusions whose dependencies ran before it."""
    verdict: tuple[str, str | None] | None
    """The method and the template of the perimeter's verdict."""
    resolved: str | None
    """The template that a bare resolver found."""


@dataclass(slots=True)
class Recorder:
    """Takes down what runs."""

    guard: object = None
    runs: list[Run] = field(default_factory=list[Run])

    def note(self, name: str, asgi_scope: MutableMapping[str, Any]) -> None:
        verdict = verdict_of(asgi_scope, self.guard)
        way = asgi_scope.get(WAY)
        self.runs.append(
            Run(
                name,
                method_of(asgi_scope),
                frozenset(asgi_scope.get("path_params", ())),
                frozenset(asgi_scope.get(_MARKS, ())),
                (verdict.request.method, template_of(verdict.request)) if verdict else None,
                template_of(way),
            )
        )


def method_of(asgi_scope: MutableMapping[str, Any]) -> str:
    return SOCKET if asgi_scope["type"] == "websocket" else str(asgi_scope["method"])


def template_of(found: Any) -> str | None:
    route = found.route if found is not None else None
    return str(route.template.text) if route is not None else None


class Mark:
    """A dependency of one inclusion of a router."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def __call__(self, connection: HTTPConnection) -> None:
        connection.scope.setdefault(_MARKS, set()).add(self.number)


def running(recorder: Recorder, name: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        recorder.note(name, request.scope)
        return PlainTextResponse(name)

    return endpoint


def talking(recorder: Recorder, name: str) -> Callable[[WebSocket], Awaitable[None]]:
    async def endpoint(websocket: WebSocket) -> None:
        recorder.note(name, websocket.scope)
        await websocket.accept()
        await websocket.close()

    return endpoint


class Opaque:
    """An app without a route table, or a class-based endpoint; it answers anything."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.recorder.note(self.name, scope)
        if scope["type"] == "websocket":
            websocket = WebSocket(scope, receive, send)
            await websocket.accept()
            await websocket.close()
        else:
            await PlainTextResponse(self.name)(scope, receive, send)


def recorded_files(static: StaticFiles, recorder: Recorder, name: str) -> StaticFiles:
    """Return *static*, which notes every request that comes to it."""
    get_path = static.get_path

    def noted(scope: Scope) -> str:
        recorder.note(name, scope)
        return get_path(scope)

    static.get_path = noted  # type: ignore[method-assign]
    return static


class Catching(BaseRoute):
    """A route of a class of its own, for all that begins with its path."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        self.path, self.app = path, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        rest = scope["path"].removeprefix(scope.get("root_path", ""))
        return (Match.FULL if rest.startswith(self.path) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Shouting(Route):
    """A route with a matching of its own: case does not matter."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches({**scope, "path": scope["path"].lower()})


class Dual(Route):
    """A route for requests and sockets."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "websocket":
            return super().matches({**scope, "type": "http", "method": "GET"})
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)


class Passing:
    """A middleware that does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Hiding:
    """An app that passes all on, and does not name to whom."""

    def __init__(self, app: ASGIApp) -> None:
        self._hidden = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._hidden(scope, receive, send)


class Answering(Passing):
    """A middleware that answers some paths itself."""

    def __init__(self, app: ASGIApp, recorder: Recorder, name: str) -> None:
        super().__init__(app)
        self.answer = Opaque(recorder, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_own = scope["type"] != "lifespan" and "answer" in scope["path"]
        await (self.answer if is_own else self.app)(scope, receive, send)


class Rewriting(Passing):
    """A middleware that makes other requests of some."""

    def __init__(self, app: ASGIApp, how: str, targets: Callable[[], list[str]]) -> None:
        super().__init__(app)
        self.how, self.targets = how, targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or "alias" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        targets = self.targets()
        local = targets[len(scope["path"]) % len(targets)]
        changes = {
            "path": {"path": scope.get("root_path", "") + local},
            "method": {"method": "POST" if scope.get("method") == "GET" else "GET"},
            "root path": {"path": local, "root_path": ""},
        }[self.how]
        # Some write to the scope that they got, some pass another one on.
        if len(local) % 2:
            scope.update(changes)
            await self.app(scope, receive, send)
        else:
            await self.app({**scope, **changes}, receive, send)


class _Word(Convertor[str]):
    regex = "[a-z]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Words(_Word):
    regex = "[a-z]+(?:/[a-z]+)*"


class _Maybe(_Word):
    regex = "[0-9]*"


class _Picky(_Word):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        if value.startswith("x"):
            raise ValueError(value)
        return value


class _Keyed(_Word):
    def convert(self, value: str) -> str:
        return {"a": "1", "acme": "2"}[value]


_CUSTOM: dict[str, type[Convertor[Any]]] = {
    "fuzz_word": _Word,
    "fuzz_words": _Words,
    "fuzz_maybe": _Maybe,
    "fuzz_picky": _Picky,
    "fuzz_keyed": _Keyed,
}
CONVERTORS = ("str", "int", "float", "uuid", "path", *_CUSTOM)

_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?\}")


def register_convertors() -> None:
    for name, convertor in _CUSTOM.items():
        if name not in CONVERTOR_TYPES:
            register_url_convertor(name, convertor())


def parameters_of(template: str) -> frozenset[str]:
    return frozenset(found[1] for found in _PARAMETER.finditer(template))


def filled(template: str, value_of: Callable[[str], str]) -> str:
    """Return *template*, a value of its convertor in the place of each parameter."""
    return _PARAMETER.sub(lambda found: value_of(found[2] or "str"), template)


def normalised(template: str) -> str:
    """Return *template* as a key of a scope map names it, without convertors."""
    return _PARAMETER.sub(lambda found: f"{{{found[1]}}}", template)
