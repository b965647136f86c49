"""An MCP server behind a scope map, a real authorization server, and the SDK's own OAuth client."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import httpx2
import pytest
from mcp.shared.auth import ProtectedResourceMetadata

from tests.issuers.ports import HeldPort
from tests.issuers.real import unverified
from tests.perimeter.serving import serve

from authorization_server import PUBLIC_CLIENT, AuthorizationServer  # isort: skip - see `real`
import mcp_server as example  # isort: skip - see `real`

ELSEWHERE = "https://elsewhere.example/mcp"
ROBOTS = {"robot": ["mcp:use", "mcp:write"], "other": ["mcp:use"], "stranger": []}
WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp"
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
PATIENCE = 60


@dataclass(frozen=True)
class World:
    """The example, served, and the authorization server that it takes tokens of."""

    resource: str
    server: AuthorizationServer

    @property
    def origin(self) -> str:
        return self.resource.removesuffix("/mcp")

    @property
    def notes(self) -> str:
        return f"{self.resource}/notes"

    @property
    def editor(self) -> str:
        return f"{self.resource}/editor"

    def bearer(self, client_id: str, **asked: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.token(client_id, **asked)}"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    port = HeldPort()
    resource = f"http://127.0.0.1:{port.number}/mcp"
    resources = {resource: "RS256", ELSEWHERE: "RS256"}
    with AuthorizationServer(
        ROBOTS, resources=resources, redirect_uris=[example.CALLBACK]
    ) as server:
        app = example.create_app(server.issuer, resource)
        with serve(app, http="h11", port=port.number):
            yield World(resource, server)
    port.close()


@dataclass
class Visit:
    """What one person's client asked, and what it was told."""

    world: World
    memory: example.Memory = field(default_factory=example.Memory)
    requests: list[httpx2.Request] = field(default_factory=list)
    exchanges: list[tuple[str, str, int]] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    signed_in: list[dict[str, str]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    async def note(self, response: httpx2.Response) -> None:
        request = response.request
        self.requests.append(request)
        self.exchanges.append((request.method, self.named(request.url), response.status_code))
        if "www-authenticate" in response.headers:
            self.challenges.append(response.headers["www-authenticate"])

    def named(self, url: httpx2.URL) -> str:
        text = str(url.copy_with(query=None))
        return text.replace(self.world.origin, "here:").replace(self.world.server.issuer, "there:")

    def made(self, url: str) -> httpx2.AsyncClient:
        person = Watched("alice", self)
        authorization = example.authorization_of(person, self.memory, url)
        return httpx2.AsyncClient(
            auth=authorization, trust_env=False, event_hooks={"response": [self.note]}
        )

    @property
    def claims(self) -> dict[str, Any]:
        assert self.memory.tokens is not None
        return unverified(self.memory.tokens.access_token)[1]


class Watched(example.Person):
    """Somebody of whom is noted what a browser was asked to open."""

    def __init__(self, name: str, visit: Visit) -> None:
        super().__init__(name)
        self._visit = visit

    async def visit(self, url: str) -> None:
        asked = parse_qs(urlsplit(url).query)
        self._visit.exchanges.append(("(browser)", self._visit.named(httpx2.URL(url)), 302))
        self._visit.signed_in.append({name: values[0] for name, values in asked.items()})
        await super().visit(url)


Steps = Callable[[Visit, httpx2.AsyncClient], Awaitable[None]]


def visited(world: World, url: str, steps: Steps) -> Visit:
    """Return what was noted while *steps* were taken with a client for *url*."""
    visit = Visit(world)

    async def run() -> None:
        with anyio.fail_after(PATIENCE):
            async with visit.made(url) as http:
                await steps(visit, http)

    anyio.run(run)
    return visit


async def read(visit: Visit, http: httpx2.AsyncClient) -> None:
    visit.results.append(await example.called(http, visit.world.notes, "read_notes"))


async def write(visit: Visit, http: httpx2.AsyncClient) -> None:
    visit.results.append(await example.called(http, visit.world.editor, "add_note", text="hi"))


def test_client_finds_its_way_from_a_challenge_to_the_tool(world: World) -> None:
    visit = visited(world, world.notes, read)

    assert visit.results[0].startswith("fastapi_scopes: hello")
    led = f'resource_metadata="{world.origin}{WELL_KNOWN}"'
    assert visit.challenges == [f'Bearer realm="notes", scope="mcp:use", {led}']
    assert visit.exchanges[:6] == [
        ("POST", "here:/mcp/notes", 401),
        ("GET", f"here:{WELL_KNOWN}", 200),
        ("GET", "there:/.well-known/oauth-authorization-server", 200),
        ("(browser)", "there:/auth", 302),
        ("POST", "there:/token", 200),
        ("POST", "here:/mcp/notes", 200),
    ]
    assert {each[1:] for each in visit.exchanges[6:]} == {("here:/mcp/notes", 200)}


def test_token_is_for_this_resource_and_this_person(world: World) -> None:
    visit = visited(world, world.notes, read)

    # RFC 7636, RFC 8707: what the SDK asks for by itself.
    (asked,) = visit.signed_in
    assert asked["client_id"] == PUBLIC_CLIENT
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"] == world.resource
    assert "mcp:use" in asked["scope"].split()
    (exchange,) = [each for each in visit.requests if each.url.path == "/token"]
    form = parse_qs(exchange.content.decode())
    assert form["resource"] == [world.resource]
    assert form["grant_type"] == ["authorization_code"]
    assert len(form["code_verifier"][0]) >= 43
    claims = visit.claims
    assert (claims["aud"], claims["sub"]) == (world.resource, "alice")
    assert (claims["client_id"], claims["scope"]) == (PUBLIC_CLIENT, "mcp:use")


def test_client_comes_back_with_more_scopes_after_a_403(world: World) -> None:
    stepped: list[tuple[str, str, int]] = []

    async def read_and_write(visit: Visit, http: httpx2.AsyncClient) -> None:
        await read(visit, http)
        before = len(visit.exchanges)
        await write(visit, http)
        stepped.extend(visit.exchanges[before:])
        await read(visit, http)

    visit = visited(world, world.notes, read_and_write)

    assert visit.results[1] == "alice: hi"
    assert "alice: hi" in visit.results[2]
    # The SDK does it by itself: a new code with the scopes of before and those of the challenge.
    assert stepped[:4] == [
        ("POST", "here:/mcp/editor", 403),
        ("(browser)", "there:/auth", 302),
        ("POST", "there:/token", 200),
        ("POST", "here:/mcp/editor", 200),
    ]
    first, second = (set(each["scope"].split()) - {"offline_access"} for each in visit.signed_in)
    assert (first, second) == ({"mcp:use"}, {"mcp:use", "mcp:write"})
    assert visit.challenges[1] == (
        'Bearer realm="notes", error="insufficient_scope", error_description="the access token '
        'lacks a required scope", scope="mcp:use mcp:write", '
        f'resource_metadata="{world.origin}{WELL_KNOWN}"'
    )
    assert visit.claims["aud"] == world.resource
    assert set(visit.claims["scope"].split()) == {"mcp:use", "mcp:write"}
    # What it got serves where the first one did, so nobody signs in a third time.
    assert len(visit.challenges) == len(visit.signed_in) == 2


def test_client_that_begins_at_the_editor_gets_there(world: World) -> None:
    visit = visited(world, world.editor, write)

    assert visit.results == ["alice: hi"]

    # The 401 names the scopes that are published, whatever the route: the rest comes with the 403.
    assert [each["scope"].split()[0] for each in visit.signed_in] == ["mcp:use", "mcp:use"]
    assert set(visit.claims["scope"].split()) == {"mcp:use", "mcp:write"}
    assert visit.claims["aud"] == world.resource


def test_tool_does_not_run_for_whom_it_lacks_a_scope(world: World) -> None:
    call = {"name": "add_note", "arguments": {"text": "never"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = JSON | world.bearer("other")
    refused = httpx.post(world.editor, json=message, headers=headers, trust_env=False)
    assert (refused.status_code, refused.json()["required"]) == (403, [["mcp:use", "mcp:write"]])
    assert "never" not in visited(world, world.notes, read).results[0]


def test_metadata_is_what_the_sdk_reads(world: World) -> None:
    found = httpx.get(world.origin + WELL_KNOWN, trust_env=False)
    read = ProtectedResourceMetadata.model_validate_json(found.content)
    assert str(read.resource) == world.resource
    assert [str(each) for each in read.authorization_servers] == [world.server.issuer]
    assert read.scopes_supported == ["mcp:use", "mcp:write"]
    assert read.bearer_methods_supported == ["header"]


TOKENS: dict[str, tuple[dict[str, Any], int, str]] = {
    "for-another-resource": (
        {"client_id": "robot", "resource": ELSEWHERE},
        401,
        'error="invalid_token"',
    ),
    "without-scopes": ({"client_id": "stranger"}, 403, 'scope="mcp:use"'),
}


@pytest.mark.parametrize(("asked", "status", "told"), TOKENS.values(), ids=TOKENS)
def test_token_that_is_not_for_this_resource_opens_nothing(
    world: World, asked: dict[str, Any], status: int, told: str
) -> None:
    refused = httpx.post(world.notes, json={}, headers=world.bearer(**asked), trust_env=False)
    assert refused.status_code == status
    assert told in refused.headers["www-authenticate"]


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    },
}


def test_session_is_of_no_use_to_another_caller(world: World) -> None:
    with httpx.Client(trust_env=False, headers=JSON) as http:
        robot, other = world.bearer("robot"), world.bearer("other")
        opened = http.post(world.notes, json=INITIALIZE, headers=robot)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        assert http.post(world.notes, json=ping, headers=session | robot).status_code == 200
        assert http.post(world.notes, json=ping, headers=session | other).status_code == 404
        # And a session is no credential.
        assert http.post(world.notes, json=ping, headers=session).status_code == 401
