"""`on_decision=` takes one hook or several; none of them is another's concern."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.events import DecisionEvent
from tests.apps import bearer, make_guard


class Immediate:
    def __init__(self) -> None:
        self.events: list[DecisionEvent] = []

    def tell(self, event: DecisionEvent) -> None:
        self.events.append(event)


class AsyncTell:
    async def tell(self, event: DecisionEvent) -> None: ...


async def async_hook(event: DecisionEvent) -> None: ...


def app_with(on_decision: Any) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/agents", lambda: "ran")
    return make_guard({"GET /agents": "agents:read"}, on_decision=on_decision).protect(app)


def reasons(events: list[DecisionEvent]) -> list[str]:
    return [each.reason for each in events]


def test_every_hook_of_a_list_gets_every_event_in_order() -> None:
    immediate, threaded, awaited = Immediate(), [], []

    async def in_the_loop(event: DecisionEvent) -> None:
        await asyncio.sleep(0)
        awaited.append(event)

    with TestClient(app_with([immediate, threaded.append, in_the_loop])) as client:
        client.get("/agents", headers=bearer("agents:read"))
        client.get("/agents", headers=bearer("other"))
        client.get("/agents")
    expected = ["granted", "insufficient_scope", "missing_credentials"]
    assert reasons(immediate.events) == reasons(threaded) == reasons(awaited) == expected


@pytest.mark.parametrize("several", [list, tuple])
def test_sequence_of_one_is_that_hook(several: Callable[[Any], Any]) -> None:
    immediate = Immediate()
    with TestClient(app_with(several([immediate]))) as client:
        client.get("/agents")
    assert reasons(immediate.events) == ["missing_credentials"]


def test_empty_list_is_no_hook() -> None:
    with TestClient(app_with([])) as client:
        assert client.get("/agents").status_code == 401


def test_hook_that_raises_or_waits_keeps_no_event_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release, immediate = threading.Event(), Immediate()

    def waits(event: DecisionEvent) -> None:
        release.wait(60)

    class Raises:
        def tell(self, event: DecisionEvent) -> None:
            raise LookupError("a secret of the hook")

    with TestClient(app_with([waits, Raises(), immediate])) as client:
        assert client.get("/agents").status_code == 401
        assert reasons(immediate.events) == ["missing_credentials"]
        release.set()
    [fault] = [each for each in caplog.messages if "fails" in each]
    assert fault.startswith("on_decision[1] fails, and nothing else does: it raised LookupError at")
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("hooks", "problems"),
    [
        pytest.param(
            [async_hook, "print", Immediate, None],
            [
                "on_decision[1] is a 'str'; pass a function of one DecisionEvent",
                "on_decision[2] is a class; pass an instance",
                "on_decision[3] is a 'NoneType'; pass a function of one DecisionEvent",
            ],
            id="all at once",
        ),
        pytest.param(
            [[print]],
            ["on_decision[0] is a 'list'; pass a function of one DecisionEvent"],
            id="a list in a list",
        ),
        pytest.param(
            "print", ["on_decision is a 'str'; pass a function of one DecisionEvent"], id="a text"
        ),
        pytest.param(
            {print},
            ["on_decision is a 'set'; pass a function of one DecisionEvent"],
            id="without an order",
        ),
        pytest.param(
            AsyncTell(),
            ["on_decision has an async tell(); pass an async function instead"],
            id="nobody would await it",
        ),
    ],
)
def test_hook_that_cannot_be_used_is_named_by_its_place(hooks: Any, problems: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_guard({"GET /agents": "agents:read"}, on_decision=hooks, subject_key="short")
    *found, last = [str(each) for each in caught.value.problems]
    assert found == problems
    assert last.startswith("subject_key ")


def test_lost_events_are_logged_with_the_hook_that_is_too_slow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release, fast = threading.Event(), []
    try:
        with TestClient(app_with([fast.append, lambda _: release.wait(60)])) as client:
            client.get("/agents")
            client.get("/agents")
    finally:
        release.set()
    lost = [each for each in caplog.messages if "lost" in each]
    assert lost == ["on_decision[1]: 2 events are lost, it is too slow"]
    assert len(fast) == 2
