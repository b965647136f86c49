"""Lines of the package where records of the application have attributes of the same names."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.apps import make_guard


@pytest.fixture
def record_factory() -> Iterator[None]:
    """Records that tell of the request, as many applications have them."""
    before = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.method, record.status = "of the application", 0
        return record

    logging.setLogRecordFactory(make)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("record_factory")
def test_refusal_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Attack: the line could not be written, and the caller got a 500."""
    app = FastAPI(openapi_url=None)
    app.add_api_route("/agents", lambda: "ran")
    make_guard({"GET /agents": "agents:read"}).protect(app)
    assert TestClient(app).get("/agents").status_code == 401
    assert [each.method for each in caplog.records] == ["of the application"]  # type: ignore[attr-defined]
    assert caplog.messages[0].startswith("refused GET on /agents: missing_credentials (401")
