"""An MCP server in a FastAPI app, with a real authorization server, which this starts as well.

    pip install -e ".[mcp]" && python examples/mcp_server.py --client

Two servers of the MCP SDK are mounted at /mcp, and know nothing of OAuth. The scope map says who
may use them: /mcp/notes asks for one scope, and /mcp/editor for one more. A client that knows
nothing but a URL finds its way by the challenges: the 401 names the metadata of this resource
(RFC 9728), which names the authorization server; the 403 of the editor names the scopes to come
back with. With --client the SDK's own client does so, and everything that it asks is printed. It
plays the person as well, and signs in as "alice".
"""

import argparse
import logging
import threading
import time
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import uvicorn
from authorization_server import PUBLIC_CLIENT, AuthorizationServer
from fastapi import FastAPI
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware, get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl
from starlette.applications import Starlette

from fastapi_scopes import PUBLIC, Claims, JWKSVerifier, ScopeGuard, ScopeMap

RULES = ScopeMap(
    {
        "GET /.well-known/oauth-protected-resource/mcp": PUBLIC,
        "* /mcp/**": "mcp:use",
        "* /mcp/editor": ["mcp:use", "mcp:write"],
    }
)
CLIENTS = {"robot": ["mcp:use", "mcp:write"]}
# Nobody listens there: whoever plays the person reads where it would lead.
CALLBACK = "http://127.0.0.1/callback"


def servers_of(notes: list[str]) -> Sequence[MCPServer]:
    """Return two MCP servers: one reads *notes*, the other writes them."""
    reader, editor = MCPServer("notes"), MCPServer("editor")

    @reader.tool()
    def read_notes() -> str:
        """Return all notes."""
        return "\n".join(notes)

    @editor.tool()
    def add_note(text: str) -> str:
        """Add a note in the caller's name."""
        caller = get_access_token()
        notes.append(f"{caller.subject if caller else 'nobody'}: {text}")
        return notes[-1]

    return reader, editor


def tell_the_sdk(asgi_scope: MutableMapping[str, Any], claims: Claims) -> None:
    """Let the SDK know who is calling: tools ask for it, and sessions belong to who opened them."""
    token = AccessToken(
        # It is verified, and nobody needs it any more.
        token="",
        client_id=claims.client_id or "",
        scopes=sorted(claims.scopes),
        subject=claims.sub,
        claims={"iss": claims.iss},
    )
    asgi_scope["user"] = AuthenticatedUser(token)


def create_app(issuer: str, resource: str) -> FastAPI:
    """Return the app; it takes access tokens of *issuer* that are meant for *resource*."""
    guard = ScopeGuard(
        RULES,
        verifier=JWKSVerifier(
            issuer=issuer,
            audience=resource,
            strict=True,
            # The example's server has no TLS, and is reached on a loopback address.
            allow_http=True,
        ),
        resource=resource,
        authorization_servers=[issuer],
        challenge_scopes=["mcp:use"],
        realm="notes",
        bind=tell_the_sdk,
    )
    reader, editor = servers_of(["fastapi_scopes: hello"])
    routes = [
        *reader.streamable_http_app(streamable_http_path="/notes").routes,
        *editor.streamable_http_app(streamable_http_path="/editor").routes,
    ]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A mounted app has no lifespan of its own.
        async with AsyncExitStack() as running:
            for server in (reader, editor):
                await running.enter_async_context(server.session_manager.run())
            yield

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.include_router(guard.metadata_router())
    app.mount("/mcp", AuthContextMiddleware(Starlette(routes=routes)))
    return guard.protect(app)


class Person:
    """Somebody with a browser, who signs in and agrees to everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._answer: AuthorizationCodeResult | None = None

    async def visit(self, url: str) -> None:
        """Follow *url* to the login page, sign in, and go on to where the client waits."""
        print(f"   {self.name} signs in, and is asked for: {parse_qs(url)['scope'][0]}")
        async with httpx2.AsyncClient(trust_env=False) as browser:
            page = await browser.get(url, follow_redirects=True)
            answer = await browser.post(page.url, data={"login": self.name})
            while not answer.headers["location"].startswith(CALLBACK):
                answer = await browser.get(answer.headers["location"])
        given = dict(parse_qs(urlsplit(answer.headers["location"]).query))
        self._answer = AuthorizationCodeResult(
            code=given["code"][0], state=given["state"][0], iss=given["iss"][0]
        )

    async def answer(self) -> AuthorizationCodeResult:
        """Return what the authorization server gave the browser for the client."""
        if self._answer is None:
            raise RuntimeError("nobody has signed in")
        return self._answer


class Memory:
    """What the client keeps (`TokenStorage` of the SDK); it is registered already."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = OAuthClientInformationFull(
            client_id=PUBLIC_CLIENT,
            redirect_uris=[AnyUrl(CALLBACK)],
            token_endpoint_auth_method="none",  # noqa: S106 - a public client has no secret
        )

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens of last time."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep *tokens* for the next time."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return how the client is registered."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep how the client was registered."""
        self.client = client_info


def authorization_of(person: Person, memory: Memory, url: str) -> OAuthClientProvider:
    """Return the SDK's OAuth for the server at *url*, for which *person* signs in."""
    return OAuthClientProvider(
        url,
        OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], token_endpoint_auth_method="none"),  # noqa: S106
        memory,
        redirect_handler=person.visit,
        callback_handler=person.answer,
    )


async def called(http: httpx2.AsyncClient, url: str, tool: str, **arguments: str) -> str:
    """Return what *tool* of the MCP server at *url* gives."""
    async with Client(streamable_http_client(url, http_client=http)) as client:
        result = await client.call_tool(tool, arguments)
    return "".join(each.text for each in result.content if each.type == "text")


async def print_exchange(response: httpx2.Response) -> None:
    """Print what was asked, and the challenge where there is one."""
    request = response.request
    print(f"   {request.method} {request.url.copy_with(query=None)}: {response.status_code}")
    if "www-authenticate" in response.headers:
        print(f"      {response.headers['www-authenticate']}")


async def run_client(resource: str) -> None:
    """Read the notes, and then write one, from nothing but the URLs."""
    notes, editor = f"{resource}/notes", f"{resource}/editor"
    authorization = authorization_of(Person("alice"), Memory(), notes)
    async with httpx2.AsyncClient(
        auth=authorization, trust_env=False, event_hooks={"response": [print_exchange]}
    ) as http:
        print("\n# the client reads the notes; it has no token yet:")
        print(f"=> {await called(http, notes, 'read_notes')}")
        print("\n# it adds one, for which its token lacks a scope:")
        print(f"=> {await called(http, editor, 'add_note', text='hello')}")
        print("\n# it reads again, with the token that it has now:")
        print(f"=> {await called(http, notes, 'read_notes')}\n", flush=True)


def print_places(resource: str) -> None:
    """Print where the servers are, and what leads a client there."""
    print(f"# for MCP clients that are registered as {PUBLIC_CLIENT!r}, without a secret:")
    print(f"{resource}/notes\n{resource}/editor")
    print("\n# whoever has no token is told where there are some: 401")
    print(f"curl -i {resource}/notes")
    print("# what this resource says of itself: 200")
    origin = resource.removesuffix("/mcp")
    print(f"curl -i {origin}/.well-known/oauth-protected-resource/mcp\n", flush=True)


def visit_when_started(server: uvicorn.Server, resource: str) -> None:
    """Have the client visit *resource*, beside *server*, as soon as that is there."""

    def visit() -> None:
        while not server.started:
            time.sleep(0.05)
        anyio.run(run_client, resource)

    threading.Thread(target=visit, daemon=True).start()


def main() -> None:
    """Serve the example."""
    parser = argparse.ArgumentParser(description="an MCP server behind a scope map")
    parser.add_argument("--port", type=int, default=7779)
    parser.add_argument("--client", action="store_true", help="have the SDK's client visit it")
    options = parser.parse_args()
    resource = f"http://127.0.0.1:{options.port}/mcp"
    # Why a token is refused stands in the log alone.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpx2", "mcp"):
        # They tell of every request at this level.
        logging.getLogger(name).setLevel(logging.WARNING)
    with AuthorizationServer(
        CLIENTS, resources={resource: "RS256"}, redirect_uris=[CALLBACK]
    ) as issuer:
        print_places(resource)
        app = create_app(issuer.issuer, resource)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=options.port))
        if options.client:
            visit_when_started(server, resource)
        with suppress(KeyboardInterrupt):
            server.run()


if __name__ == "__main__":
    main()
