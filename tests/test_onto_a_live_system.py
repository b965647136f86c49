"""The five steps of docs/onto-a-live-system.md, under the traffic of an app of 25 routes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Route

from fastapi_scopes import DENY, PUBLIC, ScopeGuard
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.events import DecisionEvent
from tests.apps import bearer, make_guard, mint
from tests.perimeter.calling import running

NAMES = ["orders", "users", "invoices", "items"]
RULES = {
    **{f"GET /{name}": f"{name}:read" for name in NAMES},
    **{f"GET /{name}/{{key}}": f"{name}:read" for name in NAMES},
    **{f"POST /{name}": f"{name}:write" for name in NAMES},
    **{f"PUT /{name}/{{key}}": f"{name}:write" for name in NAMES},
    **{f"DELETE /{name}/{{key}}": [f"{name}:write", "app:delete"] for name in NAMES},
    "GET /health": PUBLIC,
    "GET /metrics": "app:metrics",
    "GET /old/export": "export:read",
    "GET /old/report": "export:read",
    "GET /debug": DENY,
}
NOW = 1_800_000_000.0
UNTIL = datetime.fromtimestamp(NOW, UTC) + timedelta(days=14)


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    for name in NAMES:
        router = APIRouter(prefix=f"/{name}")
        router.add_api_route("", running(name))
        router.add_api_route("", running(name), methods=["POST"])
        for method in ("GET", "PUT", "DELETE"):
            router.add_api_route("/{key}", running(name), methods=[method])
        app.include_router(router)
    app.add_api_route("/health", running("health"))
    app.add_api_route("/old/export", running("export"))
    app.add_api_route("/old/report", running("report"))
    app.add_api_route("/debug", running("debug"))
    app.router.routes.append(Route("/metrics", running("metrics")))
    return app


def everything() -> list[tuple[str, str]]:
    return [
        (method, path.replace("{key}", "7"))
        for method, path in (key.split(" ") for key in RULES)
        if path != "/debug"
    ]


READS = [each for each in everything() if each[0] == "GET" and each[1].count("/") < 3]
OLD = [("GET", "/old/export"), ("GET", "/old/report")]
CALLERS: dict[str, tuple[dict[str, Any] | None, list[tuple[str, str]]]] = {
    "anonymous": (None, everything()),
    "shop": ({"scope": "orders:read items:read"}, everything()),
    "full": ({"scope": " ".join([*(f"{n}:{v}" for n in NAMES for v in ("read", "write"))])}, READS),
    "admin": ({"scope": "root"}, everything()),
}


class Live:
    """The application, and the traffic that it has."""

    def __init__(self, guard: ScopeGuard[Any] | None) -> None:
        self.app = make_app()
        if guard is not None:
            guard.protect(self.app)

    @contextmanager
    def served(self) -> Iterator[TestClient]:
        with TestClient(self.app) as client:
            yield client

    def play(self) -> dict[str, Counter[int]]:
        """Return how often each caller got which status."""
        statuses: dict[str, Counter[int]] = {}
        with self.served() as client:
            for name, (claims, requests) in CALLERS.items():
                seen = statuses[name] = Counter()
                for method, path in requests:
                    headers = {} if claims is None else bearer_of(name, **claims)
                    seen[client.request(method, path, headers=headers).status_code] += 1
        return statuses


def bearer_of(client_id: str, **claims: Any) -> dict[str, str]:
    token = mint(client_id=client_id, exp=NOW + 40 * 86_400, **claims)
    return {"Authorization": f"Bearer {token}"}


def guard_of(seen: list[DecisionEvent] | None = None, **options: Any) -> ScopeGuard[Any]:
    hook = None if seen is None else seen.append
    return make_guard(RULES, admin_scope="root", on_decision=hook, **options)


def test_application_has_25_routes_and_today_everything_passes() -> None:
    assert len(RULES) == 25
    found = {str(each.endpoint) for each in make_guard({}).check(make_app()).endpoints}
    # A plain route answers HEAD too.
    assert found == {*RULES, "HEAD /metrics"}
    assert all({*each} == {200} for each in Live(None).play().values())


def test_step_1_lists_every_route() -> None:
    said = str(make_guard({}).check(make_app()))
    assert all(f"'{key}'" in said for key in RULES)


def test_step_2_map_is_complete() -> None:
    coverage = make_guard(RULES).check(make_app())
    assert [each for each in coverage.endpoints if each.rule is None] == []
    assert coverage.dead == ()


def test_step_3_refuses_nobody_who_passes_today() -> None:
    seen: list[DecisionEvent] = []
    options = {"report_until": UNTIL, "report_anonymous": ["* /**"]}
    statuses = Live(guard_of(seen, now=lambda: NOW, **options)).play()
    assert all({*each} == {200} for each in statuses.values())
    reported = Counter(each.client for each in seen if each.reported)
    # 24 requests each, of which one is to a public route; the shop may read two things,
    # and who may do everything else lacks three scopes.
    assert reported == {None: 23, "shop": 19, "full": 3}
    assert {each.reason for each in seen if each.reported} == {
        "missing_credentials",
        "insufficient_scope",
    }


def test_step_3_refuses_what_nobody_may_let_through() -> None:
    options = {"report_until": UNTIL, "report_anonymous": ["* /**"]}
    with Live(guard_of(now=lambda: NOW, **options)).served() as client:
        assert client.get("/debug").status_code == 401
        assert client.get("/debug", headers=bearer("root")).status_code == 403
        assert client.get("/orders", headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.get("/orders", headers={"Authorization": "Bearer"}).status_code == 400


def test_step_4_reports_say_who_lacks_what() -> None:
    seen: list[DecisionEvent] = []
    Live(guard_of(seen, now=lambda: NOW, report_until=UNTIL, report_anonymous=["* /**"])).play()
    lacking = {
        (each.client, each.rule, each.missing) for each in seen if each.reported and each.client
    }
    assert ("shop", "DELETE /items/{key}", ("app:delete", "items:write")) in lacking
    assert ("full", "GET /metrics", ("app:metrics",)) in lacking


def test_step_5_narrower_keys_let_fewer_through() -> None:
    options = {"report_until": UNTIL, "report_anonymous": ["GET /old/*"]}
    statuses = Live(guard_of(now=lambda: NOW, **options)).play()
    assert statuses["anonymous"] == {200: 3, 401: 21}
    assert {*statuses["shop"]} == {200}


def test_step_5_key_that_matches_nothing_is_an_error() -> None:
    options = {"report_until": UNTIL, "report_anonymous": ["GET /old/exports"]}
    live = Live(guard_of(now=lambda: NOW, **options))
    with pytest.raises(ConfigurationError, match="'GET /old/exports' matches no"), live.served():
        pass


@pytest.mark.parametrize("late", [0.0, 1.0, 86_400.0])
def test_at_the_moment_everything_is_enforced_without_a_restart(late: float) -> None:
    now = [NOW]
    live = Live(guard_of(now=lambda: now[0], report_until=UNTIL, report_anonymous=["GET /old/*"]))
    assert live.play()["shop"] == {200: 24}
    now[0] = UNTIL.timestamp() + late
    enforced = live.play()
    assert enforced == Live(guard_of()).play()
    assert enforced["shop"] == {200: 5, 403: 19}
    assert enforced["anonymous"] == {200: 1, 401: 23}
    assert enforced["admin"] == {200: 24}
