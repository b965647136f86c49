"""Mounts that lead in a circle, by routers that are included."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from tests.apps import bearer, make_guard


def make_circle() -> FastAPI:
    router, inner, app = APIRouter(), FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    router.mount("/m", inner)
    inner.add_api_route("/x", lambda: "ran")
    inner.include_router(router, prefix="/again")
    app.include_router(router)
    return app


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_mount_in_a_circle_leads_on_whenever_it_was_read(looks: int) -> None:
    app = make_circle()
    guard = make_guard({"GET /m/x": "x", "* /m/again/m/**": "again"})
    guard.protect(app)
    client = TestClient(app)
    for _ in range(looks):
        guard.check(app)
    for _ in range(2):
        assert client.get("/m/x").status_code == 401
        assert client.get("/m/x", headers=bearer("x")).status_code == 200
        assert client.get("/m/again/m/x", headers=bearer("x")).status_code == 403
        # Behind the mount is what has a rule of its own.
        assert client.get("/m/again/m/x", headers=bearer("again")).status_code in {403, 404}
        inclusion: Any = app.routes[0]
        inclusion.original_router._mark_routes_changed()
