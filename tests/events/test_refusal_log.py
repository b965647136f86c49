"""The log gets a line for each refusal: the first of a kind loud, and never too many."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from fastapi_scopes.core.problems import ProblemCode
from fastapi_scopes.events import DecisionEvent, RefusalLog

NOW = datetime(2026, 12, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refusal(reason: str = "audience", **parts: Any) -> DecisionEvent:
    code = ProblemCode.INVALID_TOKEN
    told = {"allowed": False, "status": 401, "code": code, "method": "GET", "moment": NOW, **parts}
    return DecisionEvent(reason=reason, **told)


class Writing:
    """A log in which a test writes refusals."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = RefusalLog(self.clock)

    def refuse(self, reason: str = "audience", times: int = 1) -> None:
        for _ in range(times):
            line = self.log.line_for(f"refused: {reason}", reason)
            if line is not None:
                self.log.write(refusal(reason), line)


@pytest.fixture
def writing(caplog: pytest.LogCaptureFixture) -> Writing:
    caplog.set_level(logging.INFO, "fastapi_scopes")
    return Writing()


def levels_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.levelname for each in caplog.records]


def test_first_of_a_kind_is_a_warning_that_names_the_page(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    writing.refuse(times=3)
    writing.refuse("expired", times=2)
    assert levels_in(caplog) == ["WARNING", "INFO", "INFO", "WARNING", "INFO"]
    assert caplog.messages[0] == (
        "refused GET on -: audience (401 invalid_token); "
        "the first of this kind, see docs/refused.md#audience"
    )
    assert caplog.messages[1] == "refused GET on -: audience (401 invalid_token)"


def test_next_ones_are_counted_in_one_warning_a_minute(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    writing.refuse(times=41)
    writing.clock.now += 59
    writing.refuse()
    writing.clock.now += 2
    writing.refuse(times=5)
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warned) == 2
    assert warned[1].getMessage().endswith("; 42 of this kind in the last 61 s")


def test_no_line_is_made_where_info_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fastapi_scopes")
    writing = Writing()
    writing.refuse(times=50)
    assert levels_in(caplog) == ["WARNING"]
    assert writing.log.line_for("refused: audience", "audience") is None


def test_flood_is_cut_at_100_lines_a_second_and_counted(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    writing.refuse(times=5_001)
    assert levels_in(caplog) == ["WARNING", *["INFO"] * 100]
    writing.clock.now += 1
    writing.refuse(times=2)
    assert caplog.messages[-2].endswith("; 4900 before it were not written")
    assert caplog.messages[-1] == "refused GET on -: audience (401 invalid_token)"


def test_what_was_counted_is_written_at_the_end(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    writing.refuse(times=8)
    writing.refuse("expired")
    writing.clock.now += 5
    caplog.clear()
    writing.log.flush()
    assert caplog.messages == ["refused: audience; 7 of this kind in the last 5 s"]
    writing.log.flush()
    assert len(caplog.messages) == 1


def test_parts_are_attributes_of_the_record(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    line = writing.log.line_for("refused: insufficient_scope", "insufficient_scope")
    assert line is not None
    event = refusal(
        "insufficient_scope",
        status=403,
        code=ProblemCode.INSUFFICIENT_SCOPE,
        method="POST",
        template="/agents/{agent_id}/runs",
        rule="POST /agents/*/runs",
        subject="alice",
        client="web",
        actor="robot",
        jti="t1",
        missing=("app:run", "app:execute"),
    )
    writing.log.write(event, line)
    (record,) = caplog.records
    assert record.getMessage() == (
        "refused POST on /agents/{agent_id}/runs: insufficient_scope, "
        "missing 'app:run' 'app:execute' (403, rule 'POST /agents/*/runs', sub 'alice', "
        "client_id 'web', actor 'robot', jti 't1'); "
        "the first of this kind, see docs/refused.md#insufficient_scope"
    )
    known = vars(record)
    assert {name: known[name] for name in event.attributes()} == {
        "allowed": False,
        "reason": "insufficient_scope",
        "status": 403,
        "code": "insufficient_scope",
        "method": "POST",
        "template": "/agents/{agent_id}/runs",
        "rule": "POST /agents/*/runs",
        "sub": "alice",
        "client_id": "web",
        "actor": "robot",
        "jti": "t1",
        "missing": ["app:run", "app:execute"],
        "detail": "",
        "reported": False,
    }


@pytest.mark.parametrize(
    "hostile",
    ["a\nWARNING forged", "\x1b[2J", "\u2028next", "\u202egnp", "x" * 100_000, "a\r\n", "\x85"],
    ids=["newline", "escape", "separator", "bidi", "long", "crlf", "nel"],
)
@pytest.mark.parametrize("name", ["subject", "client", "actor", "jti", "method"])
def test_foreign_text_makes_one_short_line(name: str, hostile: str) -> None:
    line = str(refusal(**{name: hostile}))
    assert line.isprintable()
    assert len(line) < 400
