"""The preset rules every route of AgentOS."""

from pathlib import Path

import pytest
from fastapi import Depends, FastAPI

from fastapi_scopes import PUBLIC, agentos
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import ConfigurationError
from tests.agentos.systems import make_agent_os, make_everything
from tests.agentos.test_example import CUSTOM_SCOPES, MATRIX
from tests.apps import make_guard


def test_every_route_of_a_small_agentos_is_ruled(tmp_path: Path) -> None:
    guard = make_guard(agentos.PRESET)
    app = FastAPI(dependencies=[Depends(guard)])
    make_agent_os(tmp_path, app).get_app()
    coverage = guard.check(app, raise_on_gap=True)
    assert len(coverage.endpoints) == 154
    ruled = {str(each.endpoint) for each in coverage.endpoints if each.rule}
    assert {f"{row['method']} {row['template']}" for row in MATRIX} <= ruled
    assert "WEBSOCKET /workflows/ws" in ruled


def test_every_route_of_an_agentos_with_everything_is_ruled(tmp_path: Path) -> None:
    guard = make_guard(agentos.PRESET)
    app = FastAPI(dependencies=[Depends(guard)])
    make_everything(tmp_path, app, mcp=False).get_app()
    coverage = guard.check(app, raise_on_gap=True)
    assert len(coverage.endpoints) > 210
    for family in ("/authz", "/users", "/a2a", "/agui", "/company", "/queue", "/schedules"):
        assert any(str(each.endpoint.template).startswith(family) for each in coverage.endpoints)


def test_mcp_is_ruled_and_named_as_out_of_reach(tmp_path: Path) -> None:
    guard = make_guard(agentos.PRESET)
    app = FastAPI(dependencies=[Depends(guard)])
    make_everything(tmp_path, app, mcp=True).get_app()
    gaps = guard.check(app).gaps
    assert gaps
    assert {gap.endpoint.kind for gap in gaps} == {Kind.ROUTE}
    assert all("/mcp" in str(gap) for gap in gaps)
    assert all(gap.rule is not None for gap in gaps)


def test_route_without_its_dependency_fails_the_start_by_name(tmp_path: Path) -> None:
    """Attack: the one `dependencies=` is dropped, and there is no perimeter."""
    app = FastAPI()
    make_agent_os(tmp_path, app).get_app()
    with pytest.raises(ConfigurationError) as raised:
        make_guard(agentos.PRESET).check(app, raise_on_gap=True)
    problems = tuple(map(str, raised.value.problems))
    assert "nothing enforces 'GET /config' on 'GET /config'; put Depends(guard) on the route" in (
        problems
    )
    assert len(problems) == 143


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("GET /agents/*", "/agents/{agent_id}/runs/{run_id}/checkpoints"),
        ("GET /sessions/*", "/sessions/{session_id}/media/{storage_key:path}"),
    ],
)
def test_custom_glob_governs_nested_routes_as_it_did(key: str, template: str) -> None:
    rule = agentos.scope_map(CUSTOM_SCOPES).rule_for("GET", RouteTemplate.parse(template))
    assert rule is not None
    assert rule.key == key
    assert rule.requirement.alternatives == (tuple(sorted(CUSTOM_SCOPES[key])),)


def test_custom_key_that_never_wins_names_the_preset_s(tmp_path: Path) -> None:
    guard = make_guard(agentos.scope_map({"GET /agents/{agent_id}/runs": ["app:runs"]}))
    app = FastAPI(dependencies=[Depends(guard)])
    make_agent_os(tmp_path, app).get_app()
    (problem,) = guard.check(app).problems
    assert problem.startswith("'GET /agents/*/runs' wins for no endpoint, 'GET /agents/*' wins")


@pytest.mark.parametrize(
    "template",
    [
        "/agui",
        "/a2a/agents/{id}/v1/message:send",
        "/agents/{agent_id}/runs/{run_id}/resume",
        "/components/{path:path}",
    ],
)
def test_custom_catch_all_governs_what_agentos_leaves_open(template: str) -> None:
    scope_map = agentos.scope_map({"POST /*": ["app:admin"]})
    rule = scope_map.rule_for("POST", RouteTemplate.parse(template))
    assert rule is not None
    assert all("app:admin" in each for each in rule.requirement.alternatives)


def test_health_stays_public_under_a_custom_catch_all() -> None:
    scope_map = agentos.scope_map({"GET /*": ["app:read"]})
    rule = scope_map.rule_for("GET", RouteTemplate.parse("/health"))
    assert rule is not None
    assert rule.requirement is PUBLIC


def test_custom_map_is_read_strictly() -> None:
    with pytest.raises(ConfigurationError, match="'get /agents': 'get' is not a method"):
        agentos.scope_map({"get /agents": ["a"]})
