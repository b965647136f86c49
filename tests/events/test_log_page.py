"""docs/log-decisions.md shows what is written."""

import logging

import pytest
from fastapi.testclient import TestClient

from tests.apps import bearer as bearer_of_others
from tests.pages import DOCS, run_python

PAGE = DOCS / "log-decisions.md"


def test_lines_of_the_page_are_those_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    quoted = PAGE.read_text().partition("<!-- lines -->\n```text\n")[2].partition("```")[0]
    page = run_python(PAGE, blocks=1)
    client, bearer = TestClient(page["app"]), page["bearer"]
    with caplog.at_level(logging.WARNING):
        client.get("/agents/a1", headers=bearer("other"))
        client.get("/agents/a1", headers=bearer_of_others("agents:read"))
        client.get("/agents/a1")
    assert "\n".join([*caplog.messages, ""]) == quoted
