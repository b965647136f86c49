"""Refusals on the wire: a `Problem` as an HTTP response or a refused socket."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocketClose

from fastapi_scopes.core.problems import Problem

__all__ = ["refusal_of"]

_MEDIA_TYPE: Final = "application/problem+json"
# RFC 6455 7.4.1: the endpoint closes because of a message that violates its policy.
_POLICY_VIOLATION: Final = 1008


def refusal_of(problem: Problem, connection: HTTPConnection) -> ASGIApp:
    """Return the app that answers *connection* with *problem*.

    A WebSocket that is not accepted yet gets the same response where the server can send
    one, else it is closed with 1008.
    """
    asgi_scope = connection.scope
    can_respond = "websocket.http.response" in (asgi_scope.get("extensions") or {})
    if asgi_scope["type"] == "websocket" and not can_respond:
        return WebSocketClose(_POLICY_VIOLATION, problem.title)
    headers = dict(problem.headers())
    return Response(problem.to_json(), problem.status, headers, _MEDIA_TYPE)
