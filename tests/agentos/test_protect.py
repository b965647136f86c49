"""`protect` around whole AgentOS apps that were built without the guard: every route of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agno.os import AgentOS
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import AUTHENTICATED, PUBLIC, Coverage, ScopeGuard, agentos
from fastapi_scopes.errors import ConfigurationError
from tests.agentos.asking import METHODS, SOCKET, Answer, Row, ask, rows_of
from tests.agentos.systems import make_agent_os, make_everything
from tests.agentos.test_example import CALLERS, CUSTOM_SCOPES, MATRIX, example
from tests.apps import SECRET, bearer, make_guard, make_verifier

SYSTEMS: dict[str, Callable[[Path], AgentOS]] = {
    "small": make_agent_os,
    "small with mcp": lambda folder: make_agent_os(folder, mcp=True),
    "small on a base_app": lambda folder: make_agent_os(folder, FastAPI()),
    "everything": lambda folder: make_everything(folder, mcp=True),
    "everything on a base_app": lambda folder: make_everything(folder, FastAPI(), mcp=True),
}
PUBLIC_ROWS = {
    *(f"GET {path}" for path in ("/", "/health", "/info", "/mcp/server-card")),
    "HEAD /mcp/server-card",
    *(
        f"{method} {path}"
        for method in ("GET", "HEAD")
        for path in ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")
    ),
}
UNKNOWN_PATHS = (
    "/nope",
    "/agents/research-agent/nope/deeper",
    "/Config",
    "//config",
    "/config/..;/config",
    "/docs/nope",
    "/health/nope",
    "/config%0a",
    "/mcp/nope",
    "/mcp/server",
    "/mcp/server/tools",
    "/mcp/server/tools/run_agent/run/more",
    "/mcp/server-card/nope",
    "/mcp/%2e%2e/config",
    "/MCP",
    "/.well-known/oauth-protected-resource/mcp",
)


def make_preset_guard() -> ScopeGuard[Any]:
    return make_guard(agentos.PRESET, bind=agentos.bind_principal)


def client_of(app: FastAPI) -> TestClient:
    # The MCP server answers to names of this machine alone.
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@dataclass(frozen=True, slots=True)
class Protected:
    """An app of AgentOS, protected and started, and what every row of it answers."""

    client: TestClient
    coverage: Coverage
    has_mcp: bool
    paths: frozenset[str]
    anonymous: dict[str, Answer]
    wrong: dict[str, Answer]


@pytest.fixture(scope="module", params=["small", "everything", "everything on a base_app"])
def protected(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Protected]:
    agent_os = SYSTEMS[request.param](tmp_path_factory.mktemp("agentos"))
    guard = make_preset_guard()
    app = guard.protect(agent_os.get_app())
    # The preset alone, and strictly: a gap would keep it from starting.
    with client_of(app) as client:
        rows = list(rows_of(app.routes))
        yield Protected(
            client,
            guard.check(app),
            agent_os.mcp,
            frozenset(row.path for row in rows),
            {str(row): ask(client, row.method, row.path) for row in rows},
            {str(row): ask(client, row.method, row.path, bearer("nothing")) for row in rows},
        )


def test_preset_rules_every_row(protected: Protected) -> None:
    assert protected.coverage.problems == ()
    covered = {str(each.endpoint) for each in protected.coverage.endpoints}
    # A route that answers any method is one endpoint.
    rows = {row for row in protected.anonymous if not row.endswith(" /mcp")}
    assert rows - covered == set()
    assert ("* /mcp" in covered) == protected.has_mcp


def test_only_public_rows_answer_without_a_token(protected: Protected) -> None:
    statuses = {row: answer.status for row, answer in protected.anonymous.items()}
    public = {row for row in statuses if row in PUBLIC_ROWS}
    assert {row for row, status in statuses.items() if status == 200} == public
    assert {status for row, status in statuses.items() if row not in public} == {401}
    assert len(statuses) > 150
    assert f"{SOCKET} /workflows/ws" in statuses


def test_wrong_scope_opens_no_row(protected: Protected) -> None:
    statuses = {row: answer.status for row, answer in protected.wrong.items()}
    assert {status for row, status in statuses.items() if row not in PUBLIC_ROWS} == {403}


def test_agentos_strips_no_challenge(protected: Protected) -> None:
    for row in protected.anonymous.keys() - PUBLIC_ROWS:
        missing, insufficient = protected.anonymous[row], protected.wrong[row]
        assert missing.challenges == ('Bearer realm="api"',)
        (challenge,) = insufficient.challenges
        assert 'error="insufficient_scope"' in challenge
        assert {missing.media_type, insufficient.media_type} == {"application/problem+json"}


def test_other_methods_of_every_path_stay_shut_without_a_token(protected: Protected) -> None:
    for path in protected.paths:
        for method in ("HEAD", "DELETE", "OPTIONS", "QUERY"):
            if f"{method} {path}" not in PUBLIC_ROWS:
                assert ask(protected.client, method, path).status in {401, 404, 405}


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_path_answers_no_one(protected: Protected, path: str) -> None:
    statuses = {ask(protected.client, method, path).status for method in METHODS}
    if protected.has_mcp:
        # Mounted at the root, with middleware of its own: it could answer anything.
        assert statuses == {401}
        assert ask(protected.client, "GET", path, bearer("config:read")).status == 403
    assert statuses <= {401, 404, 405}
    assert ask(protected.client, SOCKET, path).status in {401, 403}


@pytest.fixture(scope="module", params=["small with mcp", "small on a base_app"])
def custom(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    guard = make_guard(
        agentos.scope_map(CUSTOM_SCOPES),
        verifier=make_verifier(scopes_claim="scopes"),
        admin_scope=example.ADMIN_SCOPE,
        bind=agentos.bind_principal,
    )
    agent_os = SYSTEMS[request.param](tmp_path_factory.mktemp("custom"))
    app = guard.protect(agent_os.get_app())
    with client_of(app) as client:
        yield client


@pytest.mark.parametrize("caller", ["none", "garbage", *CALLERS])
def test_matrix_holds_behind_the_perimeter(custom: TestClient, caller: str) -> None:
    tokens = {name: example.mint(SECRET, *who) for name, who in example.CALLERS.items()}
    headers = {"Authorization": f"Bearer {tokens.get(caller, 'x.y.z')}"}
    for row in MATRIX:
        path = Row(row["method"], row["template"]).path
        answer = ask(custom, row["method"], path, None if caller == "none" else headers)
        # What is neither is let through; what the app behind says is its own.
        refused = str(answer.status) if answer.status in {401, 403} else None
        assert refused == (row[caller] if row[caller] in {"401", "403"} else None), row


@pytest.mark.parametrize(
    "key",
    [
        "GET /config",
        "GET /openapi.json",
        "GET /docs",
        "WEBSOCKET /workflows/ws",
        "POST /agents/{agent_id}/runs",
        "GET /mcp/server-card",
        "POST /mcp/server/tools/{tool_name}/run",
        "POST /a2a/agents/{id}/v1/message:send",
    ],
)
def test_start_fails_and_names_the_one_route_without_a_rule(tmp_path: Path, key: str) -> None:
    app = make_agent_os(tmp_path, mcp=True, a2a_interface=True).get_app()
    covered = make_preset_guard().check(app).endpoints
    rules = {str(each.endpoint): each.requirement for each in covered if each.requirement}
    assert key in rules
    guard = make_guard({name: rule for name, rule in rules.items() if name != key})
    with pytest.raises(ConfigurationError) as raised, client_of(guard.protect(app)):
        pass
    (problem,) = map(str, raised.value.problems)
    assert key.split()[1] in problem


def test_route_that_agentos_does_not_have_fails_the_start(tmp_path: Path) -> None:
    app = make_agent_os(tmp_path).get_app()
    app.add_api_route("/brand/new", lambda: "new")
    guard = make_preset_guard()
    with pytest.raises(ConfigurationError, match="/brand/new"), client_of(guard.protect(app)):
        pass


def test_keys_of_ones_own_shut_the_docs_pages(tmp_path: Path) -> None:
    pages = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")
    scope_map = agentos.scope_map({f"GET {page}": [] for page in pages})
    app = make_guard(scope_map).protect(make_agent_os(tmp_path).get_app())
    with client_of(app) as client:
        for page in pages:
            for method in ("GET", "HEAD"):
                assert ask(client, method, page).status == 401
                assert ask(client, method, page, bearer()).status == 200


def with_docs_elsewhere(folder: Path) -> FastAPI:
    base_app = FastAPI(docs_url="/manual", openapi_url="/manual.json", redoc_url=None)
    return make_agent_os(folder, base_app).get_app()


def test_docs_at_paths_of_ones_own_fail_the_start(tmp_path: Path) -> None:
    app = make_preset_guard().protect(with_docs_elsewhere(tmp_path))
    with pytest.raises(ConfigurationError) as raised, client_of(app):
        pass
    assert all(text in str(raised.value) for text in ("/manual", "/manual.json", "docs=PUBLIC"))


@pytest.mark.parametrize(
    ("docs", "status"), [(PUBLIC, 200), (AUTHENTICATED, 401)], ids=["public", "authenticated"]
)
def test_docs_at_paths_of_ones_own_answer_as_docs_says(
    tmp_path: Path, docs: Any, status: int
) -> None:
    app = make_preset_guard().protect(with_docs_elsewhere(tmp_path), docs=docs)
    with client_of(app) as client:
        assert client.get("/manual").status_code == status
        assert client.get("/manual.json", headers=bearer()).status_code == 200
