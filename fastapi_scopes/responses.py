"""Refusals on the wire: as an exception, as an HTTP response, or as a refused WebSocket."""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from fastapi_scopes.core.problems import Problem

__all__ = [
    "POLICY_VIOLATION",
    "AccessRefused",
    "access_refused",
    "refusal_response",
    "refuse",
    "send_refusal",
]

_MEDIA_TYPE: Final = "application/problem+json"
# RFC 6455 7.4.1: the endpoint closes because of a message that violates its policy.
POLICY_VIOLATION: Final = 1008
_HANDLERS: Final = "starlette.exception_handlers"


class AccessRefused(Exception):  # noqa: N818 - says what happened to the caller, not what broke
    """The guard refuses a request; an exception handler of yours may render it otherwise.

    Deliberately no HTTPException: an application's handler for status codes would come first
    and strip the challenge.
    """

    problem: Problem
    """The status, texts and challenge for the caller."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


# Users import it from there.
AccessRefused.__module__ = "fastapi_scopes.guard"


def refusal_response(problem: Problem, connection: HTTPConnection) -> ASGIApp:
    """Return an ASGI app that answers *connection* with *problem*.

    A WebSocket that is not accepted yet gets the same response where the server can send
    one, else it is closed with 1008.
    """
    asgi_scope = connection.scope
    can_respond = "websocket.http.response" in (asgi_scope.get("extensions") or {})
    if asgi_scope["type"] == "websocket" and not can_respond:
        return WebSocketClose(POLICY_VIOLATION, problem.title)
    headers = dict(problem.headers())
    return Response(problem.to_json(), problem.status, headers, _MEDIA_TYPE)


async def _render(connection: HTTPConnection, error: AccessRefused) -> ASGIApp:
    return refusal_response(error.problem, connection)


def access_refused(problem: Problem, asgi_scope: MutableMapping[str, Any]) -> AccessRefused:
    """Return the exception that refuses a request; its app has a handler for that afterwards."""
    handlers: tuple[dict[Any, Any], dict[Any, Any]] | None = asgi_scope.get(_HANDLERS)
    if handlers is not None:
        handlers[0].setdefault(AccessRefused, _render)
    return AccessRefused(problem)


async def refuse(problem: Problem, asgi_scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a connection: raise *problem* for the app's exception handler, or send it.

    Raises:
        AccessRefused: the connection is where the app handles exceptions.
    """
    if _HANDLERS in asgi_scope:
        raise access_refused(problem, asgi_scope)
    await send_refusal(problem, asgi_scope, receive, send)


async def send_refusal(problem: Problem, asgi_scope: Scope, receive: Receive, send: Send) -> None:
    """Send *problem* as the answer to a connection; nothing is raised.

    For places such as the middleware of a mounted app, where no handler would catch an exception
    and it would become an error of the server.
    """
    await refusal_response(problem, HTTPConnection(asgi_scope))(asgi_scope, receive, send)
