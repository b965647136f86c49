"""Threads of hooks: where the system has none left, and after a fork."""

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from fastapi_scopes.events import DecisionEvent, Delivery

PATIENCE = 60.0


def event(reason: str) -> DecisionEvent:
    return DecisionEvent(allowed=True, reason=reason, method="GET", moment=datetime.now(UTC))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_event_waits_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was raised into the request, and the hook was never called again."""
    told: list[str] = []
    delivery = Delivery(lambda each: told.append(each.reason))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        delivery.send(event("first"))
    assert caplog.messages == [
        "on_decision fails, and nothing else does: no thread can be started for it"
    ]
    delivery.send(event("second"))
    wait_until(lambda: len(told) == 2)
    assert told == ["first", "second"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_fork_waits_for_no_event_of_its_parent(caplog: pytest.LogCaptureFixture) -> None:
    """Its parent's thread has that, so that the end of the app took five seconds more."""
    release, has_begun = threading.Event(), threading.Event()

    def waits(_: DecisionEvent) -> None:
        has_begun.set()
        release.wait(PATIENCE)

    delivery = Delivery(waits)
    delivery.send(event("of the parent"))
    assert has_begun.wait(PATIENCE)
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        # To fork beside other threads is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if not child:
            try:
                asyncio.run(delivery.flush(0))
                os._exit(len(caplog.messages))
            finally:
                os._exit(70)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        release.set()


DEPENDENCY_ALONE = """
    import secrets, sys, time
    from fastapi import Depends, FastAPI
    from fastapi.testclient import TestClient
    from fastapi_scopes import JWTVerifier, ScopeGuard

    def slow(event):
        time.sleep(0.02)
        print(event.reason, flush=True)

    verifier = JWTVerifier(
        keys=[secrets.token_hex(32)], algorithms=["HS256"], issuer=None, audience=None
    )
    guard = ScopeGuard({"GET /a": "a"}, verifier=verifier, on_decision=slow)
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    app.add_api_route("/a", lambda: None)
    for _ in range(5):
        TestClient(app).get("/a")
"""


def test_end_of_the_process_waits_for_the_thread() -> None:
    program = [sys.executable, "-c", textwrap.dedent(DEPENDENCY_ALONE)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["missing_credentials"] * 5
