"""What the README and the documentation promise is so."""

import ast
import logging
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from jose import jwt
from pydantic import BaseModel

from tests.apps import bearer, make_guard
from tests.pages import DOCS, FENCE, ROOT, python_of, run_python

README = (ROOT / "README.md").read_text()
PAGES = sorted(DOCS.glob("*.md"))
RECORDS = sorted((DOCS / "adr").glob("*.md"))
TEST_NAME = re.compile(r"`(test_\w+)`")
NAVIGATION = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
GUIDE = re.findall(r": ([\w-]+\.md)$", NAVIGATION, re.MULTILINE)

COMMANDS = {
    "example": 'python3 -m venv .venv && .venv/bin/pip install -e ".[agentos]"'
    " && .venv/bin/python examples/custom_scope_mappings.py\n",
    "tests": 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]"'
    " && .venv/bin/python -m pytest\n",
}


def block_after(marker: str) -> tuple[str, str]:
    """The language and the text of the fenced block directly after ``<!-- marker -->``."""
    _, found, rest = README.partition(f"<!-- {marker} -->\n")
    assert found, f"the README has no <!-- {marker} -->"
    fence = FENCE.match(rest)
    assert fence, f"no block follows <!-- {marker} --> directly"
    return fence[1], fence[2]


def names_of_tests() -> set[str]:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in sources for name in re.findall(r"def (test_\w+)", text)}


@pytest.mark.parametrize("marker", COMMANDS)
def test_command_stands_alone_in_its_block(marker: str) -> None:
    assert block_after(marker) == ("sh", COMMANDS[marker])


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.delenv("SECRET", raising=False)
    namespace: dict[str, Any] = {"__name__": "quickstart"}
    exec(compile(block_after("quick start")[1], "quickstart.py", "exec"), namespace)  # noqa: S102
    return namespace


def test_quick_start_is_at_most_15_lines() -> None:
    language, text = block_after("quick start")
    assert language == "python"
    assert len([line for line in text.splitlines() if line.strip()]) <= 15


ROWS = re.findall(r"^\| `(/\w+)`, (?:no token|scope `(.+?)`) \| (\d+) \| (.*) \|$", README, re.M)


def test_quick_start_table_has_its_four_rows() -> None:
    assert [row[:3] for row in ROWS] == [
        ("/health", "", "200"),
        ("/agents", "", "401"),
        ("/agents", "other", "403"),
        ("/agents", "app:read", "200"),
    ]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_quick_start_answers_as_the_readme_says(
    quick_start: dict[str, Any], row: tuple[str, str, str, str]
) -> None:
    path, scopes, status, rest = row
    headers = {}
    if scopes:
        claims = {"sub": "alice", "scope": scopes, "exp": int(time.time()) + 600}
        headers["Authorization"] = f"Bearer {jwt.encode(claims, quick_start['SECRET'])}"
    response = TestClient(quick_start["app"]).get(path, headers=headers)
    *challenge, body = re.findall(r"`(.*?)`", rest)
    assert response.status_code == int(status)
    assert response.text == body
    assert response.headers.get_list("www-authenticate") == challenge


def test_quick_start_takes_the_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_urlsafe(32)
    monkeypatch.setenv("SECRET", secret)
    namespace: dict[str, Any] = {"__name__": "quickstart"}
    exec(compile(block_after("quick start")[1], "quickstart.py", "exec"), namespace)  # noqa: S102
    assert namespace["SECRET"] == secret


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """Take back what a page does to the loggers of the process."""
    loggers = [logging.getLogger(name) for name in ("fastapi_scopes", "decisions")]
    before = [(each.level, [*each.handlers], each.propagate) for each in loggers]
    yield
    for each, (level, handlers, propagate) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.handlers, each.propagate = handlers, propagate


@pytest.mark.usefixtures("loggers_as_before")
@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_python_of_the_documentation_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "JWT_VERIFICATION_KEY", "JWT_JWKS_FILE", "OS_SECURITY_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, check in run_python(page).items():
        if name.startswith("test_"):
            check()


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_no_check_of_the_documentation_is_caught_by_its_own_page(page: Path) -> None:
    """A failed `assert` in a `try` that catches everything, or in `suppress`, is never seen."""
    trees = [ast.parse(text) for text in python_of(page)]
    catching = [each for tree in trees for each in ast.walk(tree) if _catches_checks(each)]
    inside = [each for around in catching for each in ast.walk(around) if _is_check(each)]
    assert [ast.unparse(each) for each in inside] == []


def _catches_checks(node: ast.AST) -> bool:
    names: list[ast.expr | None] = []
    if isinstance(node, ast.Try):
        names = [handler.type for handler in node.handlers]
    elif isinstance(node, ast.With | ast.AsyncWith):
        calls = [each.context_expr for each in node.items]
        names = [name for call in calls if isinstance(call, ast.Call) for name in call.args]
    return any(
        name is None
        or re.search(r"\b(BaseException|Exception|AssertionError)\b", ast.unparse(name))
        for name in names
    )


def _is_check(node: ast.AST) -> bool:
    is_raise = isinstance(node, ast.Raise) and node.exc is not None
    return isinstance(node, ast.Assert) or (is_raise and "AssertionError" in ast.unparse(node))


def test_page_of_the_wire_quotes_what_is_sent() -> None:
    page = (DOCS / "what-a-caller-gets.md").read_text()
    quoted = {language: text.strip() for language, text in FENCE.findall(page)}
    app = FastAPI(dependencies=[Depends(make_guard({"GET /x": ["app:run", "app:execute"]}))])
    app.add_api_route("/x", lambda: "ran")
    response = TestClient(app).get("/x", headers=bearer("app:read"))
    assert response.text == quoted["json"]
    assert response.headers["www-authenticate"] == quoted["text"]
    assert quoted["json"] in README
    assert quoted["text"] in README


def test_decision_records_are_numbered() -> None:
    assert [path.name[:4] for path in RECORDS] == [f"{each + 1:04}" for each in range(len(RECORDS))]
    assert RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_decision_record_has_its_form(record: Path) -> None:
    text = record.read_text()
    assert len(text.splitlines()) <= 40
    assert re.match(r"# \d{4} .+\n\nAccepted, \d{4}-\d\d-\d\d\n", text)
    parts = re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Rejected", "Consequences", "Held by"]
    assert TEST_NAME.findall(text.partition("**Held by.**")[2])


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=lambda page: page.stem)
def test_every_named_test_is_there(page: Path) -> None:
    assert set(TEST_NAME.findall(page.read_text())) <= names_of_tests()


def test_every_named_import_contract_is_there() -> None:
    named = re.findall(r'"([^"]+)"', " ".join(_held_by(record) for record in RECORDS))
    contracts = (ROOT / "pyproject.toml").read_text()
    assert named
    assert [name for name in named if f'name = "{name}"' not in contracts] == []


def _held_by(record: Path) -> str:
    return " ".join(record.read_text().partition("**Held by.**")[2].split())


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_page_of_the_guide_is_in_the_list_of_the_readme() -> None:
    listed = README.partition("\n## Documentation\n")[2]
    assert {page.name for page in PAGES} == set(GUIDE)
    assert [page for page in GUIDE if f"](docs/{page})" not in listed] == []


class Body(BaseModel):
    number: int


def test_malformed_body_is_answered_before_the_guard_runs() -> None:
    """The limit of a dependency that docs/security.md tells of."""
    app = FastAPI(dependencies=[Depends(make_guard({"POST /x": "a"}))])

    @app.post("/x")
    async def endpoint(body: Body) -> None: ...

    client = TestClient(app)
    json = {"Content-Type": "application/json"}
    assert client.post("/x", content="{", headers=json).status_code == 422
    # One that is only invalid is not told of to whoever may not pass.
    assert client.post("/x", content='{"number": "x"}', headers=json).status_code == 401
    assert client.post("/x", json={"number": "x"}, headers=bearer()).status_code == 403


def test_ecdsa_is_not_imported() -> None:
    """The note for scanners in SECURITY.md."""
    python = "import sys, fastapi_scopes; assert 'ecdsa' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", python], check=True)
