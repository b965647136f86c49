"""``MOUNT /prefix`` before an app: files and apps at that prefix, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.staticfiles import StaticFiles
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from fastapi_scopes import PUBLIC
from tests.apps import bearer, make_guard
from tests.perimeter.small import make_app, opaque


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("file")
    (tmp_path / "a.txt").write_text("file")
    return tmp_path


async def talking(asgi_scope: Scope, receive: Receive, send: Send) -> None:
    if asgi_scope["type"] == "http":
        await opaque(asgi_scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


def test_files_at_the_root_are_open_and_a_late_route_is_not(files: Path) -> None:
    app = make_app("/a")
    guard = make_guard({"GET /a": "a", "MOUNT /": PUBLIC})
    app.mount("/", StaticFiles(directory=files, html=True))
    client = TestClient(guard.protect(app))
    assert guard.check(app, raise_on_gap=True).notices == ()
    assert client.get("/late").status_code == 404
    app.router.routes.insert(0, make_app("/late").router.routes[0])
    assert [client.get(path).text for path in ("/", "/a.txt")] == ["file", "file"]
    assert client.head("/a.txt").status_code == 200
    assert client.get("/a").status_code == 401
    assert client.get("/late").status_code == 401
    assert client.get("/late", headers=bearer("a")).status_code == 403


def test_catch_all_opens_the_late_route_and_says_so(files: Path) -> None:
    app = make_app("/a", "/late")
    guard = make_guard({"GET /a": "a", "GET /**": PUBLIC})
    app.mount("/", StaticFiles(directory=files, html=True))
    assert guard.check(guard.protect(app)).notices == (
        "'GET /**' (PUBLIC) alone opens 1 route: 'GET /late'; give them rules, or use 'MOUNT /' "
        "for the files",
    )


def test_frontend_is_opened_by_its_mount_key(files: Path) -> None:
    app = make_app("/api/a")
    app.frontend("/ui", directory=files)
    guard = make_guard({"GET /api/a": "a", "MOUNT /ui": PUBLIC})
    client = TestClient(guard.protect(app))
    assert guard.check(app, raise_on_gap=True).problems == ()
    assert client.get("/ui/a.txt").text == "file"
    assert client.get("/api/a").status_code == 401


def test_all_methods_and_sockets_of_the_mounted_app_are_ruled_by_its_key() -> None:
    app = make_app()
    app.mount("/m", talking)
    guard = make_guard({"MOUNT /m": "m", "GET /m/**": PUBLIC, "WEBSOCKET /**": PUBLIC})
    client = TestClient(guard.protect(app, strict=False))
    for method in ("GET", "POST", "OPTIONS", "PURGE", "MOUNT", "WEBSOCKET"):
        assert client.request(method, "/m/x").status_code == 401, method
        assert client.request(method, "/m/x", headers=bearer("m")).status_code == 200, method
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/m/x"):
        pass
    with client.websocket_connect("/m/x", headers=bearer("m")):
        pass


@pytest.mark.parametrize(
    ("mounted", "said"),
    [
        pytest.param(make_app("/x"), "the app at '/m' is looked into", id="app"),
        pytest.param(None, "no mount is there", id="nothing"),
    ],
)
def test_mount_key_opens_no_route_of_an_app_that_is_looked_into(mounted: Any, said: str) -> None:
    app = make_app()
    if mounted is not None:
        app.mount("/m", mounted)
    guard = make_guard({"MOUNT /m": PUBLIC})
    coverage = guard.check(guard.protect(app, strict=False))
    (dead,) = coverage.dead
    assert said in str(dead)
    client = TestClient(app)
    answered = client.get("/m/x", headers=bearer("a"))
    assert answered.status_code == (403 if mounted is not None else 404)
