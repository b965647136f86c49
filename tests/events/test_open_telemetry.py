"""`OpenTelemetryDecisions`, with the SDK and the instrumentation of FastAPI."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is not installed")
pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="it is not installed")

from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fastapi_scopes.core.decisions import Reason
from fastapi_scopes.events import OpenTelemetryDecisions
from tests.apps import bearer, make_guard, mint

RULES = {
    "GET /agents/{agent_id}": "agents:read",
    "GET /own/agents/{agent_id}": "agents:read",
    "WEBSOCKET /runs/{run_id}": "runs:follow",
}
TEMPLATE = "/agents/{agent_id}"


class Telemetry:
    """What an application that is instrumented exports."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])
        self._apps: list[FastAPI] = []

    def instrument(self, app: FastAPI) -> None:
        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=self.traces, meter_provider=self.meters
        )
        self._apps.append(app)

    @property
    def server_spans(self) -> list[ReadableSpan]:
        return [each for each in self._spans.get_finished_spans() if each.kind is SpanKind.SERVER]

    @property
    def server_span(self) -> ReadableSpan:
        [span] = self.server_spans
        return span

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes and the value of each point of a metric."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data is not None else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return [
            (dict(point.attributes or {}), getattr(point, "value", None))
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        for app in self._apps:
            FastAPIInstrumentor.uninstrument_app(app)
        self.traces.shutdown()
        self.meters.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    found = Telemetry()
    yield found
    found.close()


MakeClient = Callable[..., TestClient]


@pytest.fixture(params=["protect", "dependency"])
def make_client(request: pytest.FixtureRequest, telemetry: Telemetry) -> MakeClient:
    """A client of an instrumented app, which a guard protects, or is a dependency of."""

    def make(*, subject_as: str | None = None, **options: Any) -> TestClient:
        hook = OpenTelemetryDecisions(subject_as=subject_as, meter_provider=telemetry.meters)
        guard = make_guard(RULES, on_decision=hook, **options)
        is_protected = request.param == "protect"
        app = FastAPI(openapi_url=None, dependencies=[] if is_protected else [Depends(guard)])
        router = APIRouter()

        @app.get(TEMPLATE)
        @router.get(TEMPLATE)
        async def agent(agent_id: str) -> str:
            return agent_id

        @app.websocket("/runs/{run_id}")
        async def run(socket: WebSocket) -> None:
            await socket.accept()
            await socket.close()

        app.include_router(router, prefix="/own")
        telemetry.instrument(app)
        return TestClient(guard.protect(app) if is_protected else app)

    return make


def own(span: ReadableSpan) -> dict[str, Any]:
    name = "fastapi_scopes."
    known = span.attributes or {}
    return {key.removeprefix(name): known[key] for key in known if key.startswith(name)}


def test_span_of_an_allowed_request(make_client: MakeClient, telemetry: Telemetry) -> None:
    assert make_client().get("/agents/a1", headers=bearer("agents:read")).text == '"a1"'
    assert own(telemetry.server_span) == {
        "decision": "allowed",
        "reason": "granted",
        "rule": f"GET {TEMPLATE}",
        "missing": (),
    }


@pytest.mark.parametrize("prefix", ["", "/own"])
def test_span_of_a_refused_request_has_its_route_and_is_no_error(
    make_client: MakeClient, telemetry: Telemetry, prefix: str
) -> None:
    response = make_client().get(f"{prefix}/agents/a1", headers=bearer("other"))
    assert response.status_code == 403
    span, template = telemetry.server_span, prefix + TEMPLATE
    assert own(span) == {
        "decision": "refused",
        "reason": "insufficient_scope",
        "rule": f"GET {template}",
        "missing": ("agents:read",),
    }
    assert (span.attributes or {})["http.route"] == template
    assert (span.name, span.status.status_code) == (f"GET {template}", StatusCode.UNSET)
    assert span.events == ()


def test_span_of_a_refusal_that_is_only_reported(
    make_client: MakeClient, telemetry: Telemetry
) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    response = make_client(report_until=until).get("/agents/a1", headers=bearer("other"))
    assert response.status_code == 200
    found = own(telemetry.server_span)
    assert (found["decision"], found["missing"]) == ("reported", ("agents:read",))


def test_metrics_of_a_refused_request_have_its_route(
    make_client: MakeClient, telemetry: Telemetry
) -> None:
    """They read it from the ASGI scope when the response is over."""
    make_client().get("/agents/a1")
    [(attributes, _)] = telemetry.points("http.server.duration") or telemetry.points(
        "http.server.request.duration"
    )
    assert TEMPLATE in {attributes.get("http.route"), attributes.get("http.target")}


@pytest.mark.parametrize(
    ("scopes", "decision", "reason"),
    [("other", "refused", "insufficient_scope"), ("runs:follow", "allowed", "granted")],
)
def test_span_and_count_of_a_socket(
    make_client: MakeClient, telemetry: Telemetry, scopes: str, decision: str, reason: str
) -> None:
    try:
        with make_client().websocket_connect("/runs/r1", headers=bearer(scopes)):
            pass
    except WebSocketDisconnect:
        assert decision == "refused"
    span = telemetry.server_span
    assert own(span)["decision"] == decision
    assert (span.attributes or {})["http.route"] == "/runs/{run_id}"
    assert span.status.status_code is StatusCode.UNSET
    expected = {
        "fastapi_scopes.decision": decision,
        "fastapi_scopes.reason": reason,
        "http.route": "/runs/{run_id}",
    }
    assert telemetry.points("fastapi_scopes.decisions") == [(expected, 1)]


def test_decisions_are_counted_by_outcome_reason_route_and_method(
    make_client: MakeClient, telemetry: Telemetry
) -> None:
    client = make_client()
    for _ in range(2):
        client.get("/agents/a1", headers=bearer("agents:read"))
    for name in "abc":
        client.get(f"/agents/{name}", headers=bearer("other", sub=name, jti=name))
    common = {"http.route": TEMPLATE, "http.request.method": "GET"}
    found = telemetry.points("fastapi_scopes.decisions")
    assert sorted(found, key=lambda point: point[1]) == [
        (common | {"fastapi_scopes.decision": "allowed", "fastapi_scopes.reason": "granted"}, 2),
        (
            common
            | {
                "fastapi_scopes.decision": "refused",
                "fastapi_scopes.reason": "insufficient_scope",
            },
            3,
        ),
    ]


def test_client_makes_no_new_series(telemetry: Telemetry) -> None:
    """Attack: each value that a client invents would be a series of its own in the store."""
    hook = OpenTelemetryDecisions(meter_provider=telemetry.meters)
    app = FastAPI(openapi_url=None)
    app.mount("/files", PlainTextResponse("a file"))
    guard = make_guard({"* /files/**": "files:read"}, on_decision=hook)
    client = TestClient(guard.protect(app, hide_unknown=True))
    for number in range(20):
        headers = bearer("other", sub=f"s{number}", jti=f"j{number}", client_id=f"c{number}")
        client.request(f"X{number}", f"/files/{number}", headers=headers)
        client.get(f"/nowhere/{number}")
    found = telemetry.points("fastapi_scopes.decisions")
    assert sum(count for _, count in found) == 40
    assert len(found) == 2
    methods = {attributes["http.request.method"] for attributes, _ in found}
    assert methods == {"_OTHER", "GET"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, None, id="not asked for"),
        pytest.param({"subject_as": "enduser.id"}, "alice", id="asked for"),
        pytest.param({"subject_as": "enduser.pseudo.id", "subject_key": "k" * 32}, 32, id="keyed"),
    ],
)
def test_subject_is_on_the_span_where_that_is_asked_for(
    make_client: MakeClient, telemetry: Telemetry, options: dict[str, Any], expected: Any
) -> None:
    make_client(**options).get("/agents/a1", headers=bearer("agents:read"))
    attributes = telemetry.server_span.attributes or {}
    if expected is None:
        assert "alice" not in str(attributes)
    else:
        found = attributes[options["subject_as"]]
        assert expected in {found, len(str(found))}
    assert "alice" not in str(telemetry.points("fastapi_scopes.decisions"))


def test_no_token_is_exported(make_client: MakeClient, telemetry: Telemetry) -> None:
    client = make_client(subject_as="enduser.id")
    tokens = [mint("agents:read"), mint("other"), mint("agents:read", exp=1), "no-token-at-all"]
    for token in tokens:
        client.get("/agents/a1", headers={"Authorization": f"Bearer {token}"})
    spans = [each.to_json() for each in telemetry.server_spans]
    exported = " ".join([*spans, str(telemetry.points("fastapi_scopes.decisions"))])
    assert len(spans) == len(tokens)
    for token in tokens:
        assert not any(part in exported for part in token.split("."))


def test_request_outside_of_any_span_is_counted(telemetry: Telemetry) -> None:
    hook = OpenTelemetryDecisions(subject_as="enduser.id", meter_provider=telemetry.meters)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/agents/{agent_id}", lambda agent_id: agent_id)
    rules = {"GET /agents/{agent_id}": "agents:read"}
    make_guard(rules, on_decision=hook).protect(app)
    TestClient(app).get("/agents/a1", headers=bearer("agents:read"))
    [(attributes, count)] = telemetry.points("fastapi_scopes.decisions")
    assert (attributes["fastapi_scopes.reason"], count) == (Reason.GRANTED.value, 1)


WITHOUT_IT = """
import sys
sys.modules["opentelemetry"] = None
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.events import LogDecisions, OpenTelemetryDecisions
LogDecisions()
try:
    OpenTelemetryDecisions()
except ConfigurationError as error:
    print(error)
"""
NOT_IMPORTED = """
import sys
import fastapi_scopes, fastapi_scopes.events
assert not any(each.startswith("opentelemetry") for each in sys.modules)
"""


def test_error_says_which_extra_to_install() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_IT], check=True, capture_output=True, text=True
    )
    assert found.stdout == (
        "OpenTelemetryDecisions needs the package opentelemetry-api;"
        " pip install 'fastapi-scopes[otel]'\n"
    )


def test_package_imports_no_open_telemetry() -> None:
    subprocess.run([sys.executable, "-c", NOT_IMPORTED], check=True)
