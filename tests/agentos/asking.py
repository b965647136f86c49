"""The routes of a real AgentOS, found without the package, and what a request to each gets."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agno.os.utils import flatten_routes
from fastapi.testclient import TestClient
from starlette.routing import Mount, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
SOCKET = "WEBSOCKET"


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one route, as an app has it."""

    method: str
    template: str

    @property
    def path(self) -> str:
        named = self.template.replace("{agent_id}", "research-agent")
        return re.sub(r"\{[^}]*\}", "x1", named)

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def rows_of(routes: Sequence[Any], prefix: str = "") -> Iterator[Row]:
    """Yield every method of every route, those of mounted apps included.

    A route without methods answers all but OPTIONS and the ones that no one uses.
    """
    for route in flatten_routes(routes):
        template = prefix + route.path
        if isinstance(route, Mount):
            yield from rows_of(route.routes, template)
        elif isinstance(route, WebSocketRoute):
            yield Row(SOCKET, template)
        else:
            for method in sorted(route.methods or METHODS[:6]):
                yield Row(method, template)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    challenges: tuple[str, ...] = ()
    media_type: str = ""


def ask(
    client: TestClient, method: str, path: str, headers: dict[str, str] | None = None
) -> Answer:
    if method != SOCKET:
        # As a whole URL, or a path with two slashes in front would be taken for a host.
        url = f"http://localhost{path}"
        return _told(client.request(method, url, headers=headers, follow_redirects=False))
    try:
        with client.websocket_connect(path, headers=dict(headers or {})):
            return Answer(101)
    except WebSocketDenialResponse as refused:
        return _told(refused)
    except WebSocketDisconnect:
        # Closed before it was accepted: what a server makes of that.
        return Answer(403)


def _told(response: Any) -> Answer:
    fields = response.headers
    challenges = tuple(fields.get_list("www-authenticate"))
    return Answer(response.status_code, challenges, fields.get("content-type", ""))
