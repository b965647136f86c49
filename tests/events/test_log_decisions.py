"""`LogDecisions`: one line for every decision, with its parts on the record."""

import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.events import LogDecisions
from tests.apps import bearer, make_guard, mint


def client_of(*hooks: Any, **options: Any) -> TestClient:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/agents/{agent_id}", lambda agent_id: agent_id)
    rules = {"GET /agents/{agent_id}": "agents:read"}
    return TestClient(make_guard(rules, on_decision=hooks, **options).protect(app))


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == logger]


def test_every_decision_is_one_line_in_the_chosen_logger(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(LogDecisions("audit"))
    with caplog.at_level(logging.INFO, "audit"):
        client.get("/agents/a1", headers=bearer("agents:read", jti="t1"))
        client.get("/agents/a1", headers=bearer("other"))
        client.get("/agents/a1")
    rule = "rule 'GET /agents/{agent_id}'"
    assert lines(caplog, "audit") == [
        f"allowed GET on /agents/{{agent_id}}: granted ({rule}, sub 'alice', jti 't1')",
        "refused GET on /agents/{agent_id}: insufficient_scope, missing 'agents:read'"
        f" (403, {rule}, sub 'alice')",
        f"refused GET on /agents/{{agent_id}}: missing_credentials (401, {rule})",
    ]


def test_lines_of_the_package_are_as_without_it(caplog: pytest.LogCaptureFixture) -> None:
    def refusals_with(*hooks: Any) -> list[str]:
        caplog.clear()
        client = client_of(*hooks)
        for _ in range(3):
            client.get("/agents/a1", headers=bearer("other"))
        return lines(caplog, "fastapi_scopes")

    with caplog.at_level(logging.INFO):
        before = refusals_with()
        # The page is named once in a process.
        again = refusals_with(LogDecisions("audit"))
    assert len(before) == len(again) == 3
    assert before[1:] == again[1:]


def test_text_of_an_issuer_stays_within_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Attack: a name with a line feed would forge a line, one with an escape sequence hide some."""
    client = client_of(LogDecisions("audit"))
    sub, jti = "x\nINFO allowed GET on /agents: granted", "\x1b[2J" + "j" * 5_000
    with caplog.at_level(logging.INFO, "audit"):
        client.get("/agents/a1", headers=bearer("other", sub=sub, jti=jti, client_id="\u202e"))
    [line] = lines(caplog, "audit")
    assert line.isprintable()
    assert "sub 'x\\nINFO allowed GET on /agents: granted', client_id '\\u202e'" in line
    assert len(line) < 500


class JSONFormatter(logging.Formatter):
    """As those of python-json-logger and others: what a record has beyond the usual, as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        usual = {*vars(logging.makeLogRecord({})), "message"}
        return json.dumps({k: v for k, v in vars(record).items() if k not in usual})


def test_record_has_everything_for_a_json_formatter(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(LogDecisions("audit", level=logging.WARNING), subject_key="k" * 32)
    client.get("/agents/a1", headers=bearer("other", jti="t1", client_id="web", act={"sub": "bot"}))
    [record] = [each for each in caplog.records if each.name == "audit"]
    found = json.loads(JSONFormatter().format(record))
    subject, actor = found.pop("sub"), found.pop("actor")
    assert (len(subject), len(actor), subject == actor) == (32, 32, False)
    assert found == {
        "allowed": False,
        "reason": "insufficient_scope",
        "status": 403,
        "code": "insufficient_scope",
        "method": "GET",
        "template": "/agents/{agent_id}",
        "rule": "GET /agents/{agent_id}",
        "client_id": "web",
        "jti": "t1",
        "missing": ["agents:read"],
        "detail": "",
        "reported": False,
    }
    assert record.levelno == logging.WARNING


def test_line_below_the_level_of_its_logger_is_not_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "audit")
    client_of(LogDecisions("audit")).get("/agents/a1")
    assert lines(caplog, "audit") == []


def test_no_token_is_in_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(LogDecisions("audit"))
    tokens = [mint("other"), mint("agents:read"), mint("agents:read", exp=1), "no-token-at-all"]
    for token in tokens:
        client.get("/agents/a1", headers={"Authorization": f"Bearer {token}"})
    told = " ".join(str(vars(each)) for each in caplog.records)
    assert len(lines(caplog, "audit")) == len(tokens)
    for token in tokens:
        assert not any(part in told for part in token.split("."))


def test_arguments_that_are_none_are_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        LogDecisions(logging.LoggerAdapter(logging.getLogger("audit")), level="INFO")  # type: ignore[arg-type]
    assert [str(each) for each in caught.value.problems] == [
        "logger is a 'LoggerAdapter'; pass a logging.Logger, or its name",
        "level is a 'str'; pass a number, such as logging.INFO",
    ]
