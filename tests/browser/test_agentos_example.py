"""The AgentOS example in a browser: its docs page, as it is, and the tokens that it prints."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.agentos.process import Process
from tests.browser.bundle_files import files_of_the_cdn
from tests.browser.conftest import OpenDocs
from tests.browser.docs_page import DocsPage, opened_docs

RUN = {"agent_id": "research-agent", "message": "hello", "stream": "false"}
# What the page makes up for these is no good for a run.
NO_GOOD = ("files", "files_metadata", "version", "factory_input")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("example")) as process:
        yield process


@pytest.fixture(scope="module")
def docs(served: Process, browser: Browser) -> Iterator[DocsPage]:
    """Its page takes seconds to open: there is one for all who need no other token."""
    with opened_docs(browser, served.url, files_of_the_cdn()) as docs:
        yield docs


def test_docs_page_asks_for_the_bundle_and_for_nothing_else(docs: DocsPage) -> None:
    docs.page.wait_for_load_state("networkidle")
    assert docs.network.given == set(files_of_the_cdn())
    assert docs.network.refused == []


def test_operation_shows_the_scopes_of_its_rule(docs: DocsPage) -> None:
    run = docs.operation("POST", "/agents/{agent_id}/runs")
    run.open()
    shown = run.extension("x-required-scopes").locator("td").last.inner_text()
    assert json.loads(shown) == [["app:execute", "app:run"]]


def test_basic_user_lists_agents_and_may_not_run_one(served: Process, docs: DocsPage) -> None:
    docs.give_token(served.tokens["basic"])
    listed = docs.operation("GET", "/agents").execute()
    assert listed.status == "200"
    assert [agent["id"] for agent in json.loads(listed.body)] == ["research-agent"]
    run = docs.operation("POST", "/agents/{agent_id}/runs")
    refused = run.execute(agent_id="research-agent")
    assert refused.status == "403"
    assert refused.headers["www-authenticate"].endswith(',scope="app:execute app:run"')
    assert json.loads(refused.body)["required"] == [["app:execute", "app:run"]]


def test_power_user_runs_one(served: Process, open_docs: OpenDocs) -> None:
    docs = open_docs(served.url, files_of_the_cdn())
    docs.give_token(served.tokens["power"])
    ran = docs.operation("POST", "/agents/{agent_id}/runs").execute(*NO_GOOD, **RUN)
    assert ran.status == "200"
    assert json.loads(ran.body)["content"] == "You said: hello"
    assert json.loads(ran.body)["user_id"] == "user_456"
