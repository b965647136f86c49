"""A guard that nobody attached is one WARNING, which says where it was made."""

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.testclient import TestClient
from starlette.requests import Request

from fastapi_scopes import RouterFactory, ScopeGuard
from fastapi_scopes.guard.attachment import AttachmentWatch, process_watch
from tests.apps import bearer, make_guard
from tests.perimeter.calling import running
from tests.verifiers.publishing import PATIENCE

RULES = {"GET /a": "a"}
SAID = "the ScopeGuard that was made at apps.py:"


def app_with(**options: Any) -> FastAPI:
    app = FastAPI(openapi_url=None, **options)
    app.add_api_route("/a", running("a"))
    return app


def by_route(guard: ScopeGuard[Any]) -> object:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"), dependencies=[Depends(guard)])
    return app


def by_inclusion(guard: ScopeGuard[Any]) -> object:
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/a", running("a"))
    app.include_router(router, dependencies=[Depends(guard)])
    return app


def by_factory(guard: ScopeGuard[Any]) -> object:
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/a", running("a"))
    app.include_router(RouterFactory(guard).wrap(router))
    return app


def by_parameter(guard: ScopeGuard[Any]) -> object:
    def endpoint(claims: Any = Security(guard, scopes=["a"])) -> None:
        pass

    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", endpoint)
    return app


def by_dependency_of_a_dependency(guard: ScopeGuard[Any]) -> object:
    def user(claims: Any = Depends(guard)) -> None:
        pass

    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"), dependencies=[Depends(user)])
    return app


WAYS: dict[str, Callable[[ScopeGuard[Any]], object]] = {
    "protect": lambda guard: guard.protect(app_with()),
    "document": lambda guard: guard.document(app_with()),
    "check": lambda guard: guard.check(app_with()),
    "explain": lambda guard: guard.explain(app_with(), "GET", "/a"),
    "app": lambda guard: app_with(dependencies=[Depends(guard)]),
    "route": by_route,
    "inclusion": by_inclusion,
    "factory": by_factory,
    "parameter": by_parameter,
    "dependency": by_dependency_of_a_dependency,
}


@pytest.mark.parametrize("attach", WAYS.values(), ids=WAYS)
def test_guard_that_is_attached_is_no_warning(
    attach: Callable[[ScopeGuard[Any]], object], caplog: pytest.LogCaptureFixture
) -> None:
    guard = make_guard(RULES)
    kept = attach(guard)
    process_watch.warn_of_all()
    assert caplog.messages == []
    assert kept is not None


@pytest.mark.parametrize("is_kept", [True, False])
def test_guard_that_nobody_attached_is_one_warning(
    is_kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    guard: Any = make_guard(RULES)
    app = app_with()
    if not is_kept:
        guard = None
        gc.collect()
    for _ in range(2):
        process_watch.warn_of_all()
    (said,) = caplog.messages
    assert said.startswith(SAID)
    assert said.endswith(" guards nothing; call guard.protect(app), or write Depends(guard)")
    assert TestClient(app).get("/a").status_code == 200
    assert guard is None or guard.explain(app, "GET", "/a").allowed


def test_warning_comes_by_itself_and_the_thread_goes(caplog: pytest.LogCaptureFixture) -> None:
    watch = AttachmentWatch(seconds=0.05)
    guards = [make_guard(RULES) for _ in range(3)]
    for each in guards:
        watch.add(each)
    watch.drop(guards[1])
    deadline = time.monotonic() + PATIENCE
    while len(caplog.messages) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while any(each.name == "fastapi_scopes-attachment" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        process_watch.forget()
        time.sleep(0.01)
    assert len(caplog.messages) == 2


def test_guard_that_refuses_its_arguments_is_not_watched(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception, match="verifier"):
        ScopeGuard(RULES, verifier=None)  # type: ignore[arg-type]
    process_watch.warn_of_all()
    assert caplog.messages == []


def test_guard_that_code_calls_by_itself_is_attached(caplog: pytest.LogCaptureFixture) -> None:
    guard = make_guard(RULES)
    app = FastAPI(openapi_url=None)

    @app.get("/a")
    async def endpoint(request: Request) -> None:
        await guard(request)

    assert TestClient(app).get("/a", headers=bearer("a")).status_code == 200
    process_watch.warn_of_all()
    assert [each for each in caplog.messages if "guards nothing" in each] == []


FORGOTTEN = """
    import secrets
    from fastapi import FastAPI
    from fastapi_scopes import JWTVerifier, ScopeGuard

    app = FastAPI()
    verifier = JWTVerifier(
        keys=[secrets.token_hex(32)], algorithms=["HS256"], issuer=None, audience=None
    )
    guard = ScopeGuard({"GET /a": "a"}, verifier=verifier)
"""


def test_end_of_the_process_is_soon_enough() -> None:
    program = [sys.executable, "-c", textwrap.dedent(FORGOTTEN)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines() == [
        "the ScopeGuard that was made at <string>:10 guards nothing; "
        "call guard.protect(app), or write Depends(guard)"
    ]
    protects = [*program[:2], textwrap.dedent(FORGOTTEN) + "guard.protect(app)\n"]
    ended = subprocess.run(protects, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
