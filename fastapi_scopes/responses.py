"""Refusals on the wire: a `Problem` as an exception, an HTTP response or a refused socket."""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from fastapi_scopes.core.problems import Problem

__all__ = ["POLICY_VIOLATION", "AccessRefused", "answer", "refusal_of", "refused", "send_refusal"]

_MEDIA_TYPE: Final = "application/problem+json"
# RFC 6455 7.4.1: the endpoint closes because of a message that violates its policy.
POLICY_VIOLATION: Final = 1008
_HANDLERS: Final = "starlette.exception_handlers"


class AccessRefused(Exception):  # noqa: N818 - says what happened to the caller, not what broke
    """The guard refuses a request; a handler for this class may render it otherwise.

    Deliberately no HTTPException: an application's handler for status codes would come first
    and strip the challenge.
    """

    problem: Problem
    """What the caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


# Where users find it.
AccessRefused.__module__ = "fastapi_scopes.guard"


def refusal_of(problem: Problem, connection: HTTPConnection) -> ASGIApp:
    """Return the app that answers *connection* with *problem*.

    A WebSocket that is not accepted yet gets the same response where the server can send
    one, else it is closed with 1008.
    """
    asgi_scope = connection.scope
    can_respond = "websocket.http.response" in (asgi_scope.get("extensions") or {})
    if asgi_scope["type"] == "websocket" and not can_respond:
        return WebSocketClose(POLICY_VIOLATION, problem.title)
    headers = dict(problem.headers())
    return Response(problem.to_json(), problem.status, headers, _MEDIA_TYPE)


async def _render(connection: HTTPConnection, refused: AccessRefused) -> ASGIApp:
    return refusal_of(refused.problem, connection)


def refused(problem: Problem, asgi_scope: MutableMapping[str, Any]) -> AccessRefused:
    """Return the refusal to raise, known to be rendered by the app it is raised in."""
    handlers: tuple[dict[Any, Any], dict[Any, Any]] | None = asgi_scope.get(_HANDLERS)
    if handlers is not None:
        handlers[0].setdefault(AccessRefused, _render)
    return AccessRefused(problem)


async def answer(problem: Problem, asgi_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a connection with *problem*, by the app's handler where one can be found.

    Raises:
        AccessRefused: for the handler.
    """
    if _HANDLERS in asgi_scope:
        raise refused(problem, asgi_scope)
    await send_refusal(problem, asgi_scope, receive, send)


async def send_refusal(problem: Problem, asgi_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a connection with *problem*, wherever in an app that is.

    Middleware of a mounted app is outside of what handles its exceptions: there a refusal that is
    raised would be an error of the server.
    """
    await refusal_of(problem, HTTPConnection(asgi_scope))(asgi_scope, receive, send)
