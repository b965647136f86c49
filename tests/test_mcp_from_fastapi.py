"""MCP servers that are made of an API: their tools call its routes in this process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from fastapi_scopes import ScopeMap
from tests.apps import bearer, make_guard
from tests.perimeter.places import make_app

HOST = "http://testserver"
RULES = {
    "DELETE /api/users/{user_id}": "users:delete",
    "DELETE /users/{user_id}": "users:delete",
    "* /mcp/**": "mcp:use",
}

Parts = tuple[FastAPI, FastAPI]
"""The app that is protected, and the one that the tools call."""


class Users:
    """An API, and whom it deleted."""

    def __init__(self) -> None:
        self.deleted: list[int] = []
        self.api = make_app()
        self.api.add_api_route(
            "/users/{user_id}", self.delete, methods=["DELETE"], operation_id="delete_user"
        )

    async def delete(self, user_id: int) -> dict[str, str]:
        self.deleted.append(user_id)
        return {"ran": f"deleted {user_id}"}


def mounted(api: FastAPI) -> Parts:
    app = make_app()
    app.mount("/api", api)
    return app, api


def of_its_routes(api: FastAPI) -> Parts:
    return FastAPI(openapi_url=None, routes=api.routes), api


def extended_by_its_routes(api: FastAPI) -> Parts:
    app = make_app()
    app.router.routes.extend(api.routes)
    return app, api


def included(api: FastAPI) -> Parts:
    app = make_app()
    app.include_router(api.router, prefix="/api")
    return app, api


def the_protected_app_itself(api: FastAPI) -> Parts:
    return api, api


def a_copy_of_the_protected_app(api: FastAPI) -> Parts:
    return api, FastAPI(openapi_url=None, routes=api.routes)


ARRANGEMENTS: list[Callable[[FastAPI], Parts]] = [
    mounted,
    of_its_routes,
    extended_by_its_routes,
    included,
    the_protected_app_itself,
    a_copy_of_the_protected_app,
]


def hand_on(request: httpx2.Request) -> httpx2.Request:
    request.headers["authorization"] = get_http_headers(include={"authorization"})["authorization"]
    return request


def service(*scopes: str) -> dict[str, Any]:
    return {"headers": bearer(*scopes, sub="service")}


class Served:
    """A protected app with an MCP server whose tools call an API with *client_options*."""

    def __init__(
        self,
        arrange: Callable[[FastAPI], Parts] = mounted,
        client_options: dict[str, Any] | None = None,
        *,
        is_protected_first: bool = False,
    ) -> None:
        self.users = Users()
        self.app, called = arrange(self.users.api)
        guard = make_guard(ScopeMap(RULES, optional=True))
        if is_protected_first:
            guard.protect(self.app)
        server = FastMCP.from_fastapi(called, httpx_client_kwargs=client_options)
        mcp = server.http_app(path="/", json_response=True)
        self.app.mount("/mcp", mcp)
        guard.protect(self.app)
        assert guard.check(self.app).gaps == ()
        self._lifespan = mcp.lifespan

    def delete(self, *callers: Sequence[str]) -> str:
        """Return what the tool says to the last of *callers*, in a session of the first."""
        return asyncio.run(self._delete([bearer(*scopes) for scopes in callers]))

    async def _delete(self, headers: list[dict[str, str]]) -> str:
        transport = httpx2.ASGITransport(self.app)
        async with self._lifespan(self.app), httpx2.AsyncClient(transport=transport) as http:
            http.headers.update(headers[0])
            async with Client(streamable_http_client(f"{HOST}/mcp/", http_client=http)) as client:
                assert [each.name for each in (await client.list_tools()).tools] == ["delete_user"]
                http.headers.update(headers[-1])
                result = await client.call_tool("delete_user", {"user_id": 7})
        return "".join(each.text for each in result.content if each.type == "text")


USES, DELETES = ("mcp:use",), ("mcp:use", "users:delete")


@pytest.mark.parametrize("is_protected_first", [False, True], ids=["before", "after protect"])
@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_tool_runs_nothing_for_who_may_use_the_server_alone(
    arrange: Callable[[FastAPI], Parts], is_protected_first: bool
) -> None:
    served = Served(arrange, is_protected_first=is_protected_first)
    for scopes in (USES, DELETES):
        assert "missing_credentials" in served.delete(scopes)
    assert served.users.deleted == []


@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_tool_is_decided_on_by_the_route_where_the_callers_token_is_handed_on(
    arrange: Callable[[FastAPI], Parts],
) -> None:
    served = Served(arrange, {"auth": hand_on})
    assert "insufficient_scope" in served.delete(USES)
    assert served.users.deleted == []
    assert served.delete(DELETES) == '{"ran":"deleted 7"}'
    assert served.users.deleted == [7]


def test_token_that_is_handed_on_is_that_of_the_call_whoever_opened_the_session() -> None:
    served = Served(client_options={"auth": hand_on})
    assert "insufficient_scope" in served.delete(DELETES, USES)
    assert served.users.deleted == []
    assert "deleted 7" in served.delete(USES, DELETES)


@pytest.mark.parametrize("arrange", ARRANGEMENTS)
def test_tool_runs_by_the_token_of_the_server_where_that_has_one(
    arrange: Callable[[FastAPI], Parts],
) -> None:
    assert "deleted 7" in Served(arrange, service("users:delete")).delete(USES)
    served = Served(arrange, service("users:read"))
    assert "insufficient_scope" in served.delete(DELETES)
    assert served.users.deleted == []
