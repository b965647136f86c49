"""Mounted apps: each has a document of its own, by the keys of the guard that decides there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from fastapi_scopes import PUBLIC, any_of
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard, mint
from tests.documents import lies_of, security_of

S = "ScopeGuard"


async def answer() -> str:
    return "ran"


def make_app(*paths: str, **options: Any) -> FastAPI:
    app = FastAPI(**options)
    for path in paths:
        app.add_api_route(path, answer)
    return app


def mounted(outer: FastAPI, sub: FastAPI) -> None:
    outer.mount("/sub", sub)


def included(outer: FastAPI, sub: FastAPI) -> None:
    router = APIRouter()
    router.mount("/sub", sub)
    outer.include_router(router)


def below_starlette(outer: FastAPI, sub: FastAPI) -> None:
    outer.mount("", Starlette(routes=[Mount("/sub", sub)]))


def behind_middleware(outer: FastAPI, sub: FastAPI) -> None:
    outer.router.routes.append(Mount("/sub", sub, middleware=[Middleware(GZipMiddleware)]))


def wrapped(outer: FastAPI, sub: FastAPI) -> None:
    outer.mount("/sub", GZipMiddleware(sub))


WAYS = [mounted, included, below_starlette, behind_middleware, wrapped]
Put = Callable[[FastAPI, FastAPI], None]


@pytest.mark.parametrize("put", WAYS)
def test_mounted_app_is_shown_by_keys_with_its_prefix(put: Put) -> None:
    outer, sub = make_app("/x"), make_app("/x", "/y/{n:int}", "/none")
    put(outer, sub)
    guard = make_guard({"GET /x": "outer", "GET /sub/x": "inner", "GET /sub/y/{n}": PUBLIC})
    guard.protect(outer, strict=False)
    assert security_of(outer.openapi()) == {"GET /x": [{S: ["outer"]}]}
    assert security_of(sub.openapi()) == {
        "GET /x": [{S: ["inner"]}],
        "GET /y/{n}": None,
        "GET /none": [{S: []}],
    }
    assert lies_of(sub.openapi(), TestClient(outer), mint, prefix="/sub") == []


def test_prefix_with_a_parameter_is_part_of_the_keys() -> None:
    outer, sub = make_app(), make_app("/x/{id}")
    outer.mount("/t/{id}", sub)
    make_guard({"GET /t/{id}/x/{id}": "a"}).protect(outer, strict=False)
    assert security_of(sub.openapi()) == {"GET /x/{id}": [{S: ["a"]}]}


def test_app_that_is_mounted_twice_is_shown_as_the_stricter_of_both() -> None:
    outer, sub = make_app(), make_app("/x", "/y", "/z")
    outer.mount("/one", sub)
    outer.mount("/two", sub)
    rules = {"GET /one/x": "a", "GET /two/x": "b", "GET /one/y": PUBLIC, "GET /two/y": "c"}
    make_guard({**rules, "GET /one/z": PUBLIC}).protect(outer, strict=False)
    assert security_of(sub.openapi()) == {
        "GET /x": [{S: ["a", "b"]}],
        "GET /y": [{S: ["c"]}],
        "GET /z": [{S: []}],
    }


def test_scopes_of_a_mounted_route_are_shown() -> None:
    guard = make_guard({"GET /sub/x": "a"})
    outer, sub = make_app(), FastAPI()
    sub.add_api_route("/x", answer, dependencies=[Security(guard, scopes=["s"])])
    outer.mount("/sub", sub)
    guard.protect(outer, strict=False)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a", "s"]}]}


def test_app_that_is_mounted_late_is_shown_once_it_is_checked() -> None:
    guard = make_guard({"GET /late/x": "a"})
    outer, sub = guard.protect(make_app(), strict=False), make_app("/x")
    outer.mount("/late", sub)
    guard.check(outer)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_app_that_is_mounted_late_is_shown_from_the_start_on() -> None:
    guard = make_guard({"GET /late/x": "a"})
    outer, sub = guard.protect(make_app(), strict=False), make_app("/x")
    outer.mount("/late", sub)
    with TestClient(outer):
        assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_app_that_is_mounted_while_serving_is_shown_to_the_first_who_asks() -> None:
    guard = make_guard(
        {"GET /late/x": "a", "GET /late/openapi.json": PUBLIC},
    )
    outer, sub = guard.protect(make_app(), strict=False), make_app("/x")
    with TestClient(outer) as client:
        outer.mount("/late", sub)
        assert security_of(client.get("/late/openapi.json").json()) == {"GET /x": [{S: ["a"]}]}


def test_openapi_that_was_replaced_after_protect_is_shown_at_the_start() -> None:
    guard = make_guard({"GET /x": "a"})
    app = guard.protect(make_app("/x"), strict=False)
    ours = app.openapi
    before = ours()["paths"]

    def theirs() -> dict[str, Any]:
        return {**ours(), "x-theirs": True}

    app.openapi = theirs  # type: ignore[method-assign]
    with TestClient(app):
        document = app.openapi()
    assert document["x-theirs"] is True
    assert security_of(document) == {"GET /x": [{S: ["a"]}]}
    assert document["paths"] == before
    assert set(document["components"]["schemas"]) == {"AccessRefused", "ApplicationError"}


def test_openapi_that_took_the_place_of_ours_is_taken_in_by_check() -> None:
    guard = make_guard({"GET /x": "a"})
    app = guard.protect(make_app("/x"), strict=False)
    app.openapi = lambda: get_openapi(title="T", version="1", routes=app.routes)  # type: ignore[method-assign]
    guard.check(app)
    assert security_of(app.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_openapi_that_took_the_place_of_ours_is_taken_in_by_check_without_a_perimeter() -> None:
    guard = make_guard({"GET /x": "a"})
    app = guard.document(make_app("/x", dependencies=[Depends(guard)]))
    app.openapi = lambda: get_openapi(title="T", version="1", routes=app.routes)  # type: ignore[method-assign]
    guard.check(app)
    assert security_of(app.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_dependency_of_a_mounted_app_has_the_keys_of_that_app() -> None:
    guard = make_guard({"GET /x": "a", "GET /sub/x": "never"})
    outer = make_app("/x", dependencies=[Depends(guard)])
    sub = make_app("/x", dependencies=[Depends(guard)])
    outer.mount("/sub", sub)
    assert guard.document(outer) is outer
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}
    assert lies_of(sub.openapi(), TestClient(outer), mint, prefix="/sub") == []
    late = make_app("/x", dependencies=[Depends(guard)])
    outer.mount("/late", late)
    guard.check(outer)
    assert security_of(late.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_document_that_shows_a_mounted_app_shows_its_rules() -> None:
    guard = make_guard({"GET /x": "a"})
    sub = make_app("/x", dependencies=[Depends(guard)])
    outer = FastAPI()
    outer.mount("/sub", sub)
    written = {"openapi": "3.1.0", "info": {}, "paths": {"/sub/x": {"get": {}}}}
    outer.openapi = lambda: written  # type: ignore[method-assign]
    assert security_of(guard.document(outer).openapi()) == {"GET /sub/x": [{S: ["a"]}]}


def test_router_that_is_mounted_twice_is_shown_as_denied_as_it_is() -> None:
    guard = make_guard({"* /**": PUBLIC})
    router = APIRouter(dependencies=[Depends(guard)])
    router.add_api_route("/x", answer)
    app = FastAPI()
    app.mount("/one", router)
    app.mount("/two", router)
    written = {"openapi": "3.1.0", "info": {}, "paths": {"/one/x": {"get": {}}}}
    app.openapi = lambda: written  # type: ignore[method-assign]
    assert TestClient(app).get("/one/x", headers=bearer()).status_code == 403
    assert security_of(guard.document(app).openapi()) == {"GET /one/x": [{S: []}]}


def test_guard_of_a_mounted_app_and_the_perimeter_outside_are_both_shown() -> None:
    inner = make_guard({"GET /x": "inner"})
    outer = make_guard({"GET /sub/x": "outer"})
    for protect_first in (True, False):
        sub, app = make_app("/x", dependencies=[Depends(inner)]), make_app()
        app.mount("/sub", sub)
        if protect_first:
            outer.protect(app, strict=False)
        inner.document(sub)
        outer.protect(app, strict=False)
        assert security_of(sub.openapi()) == {"GET /x": [{S: ["inner", "outer"]}]}
        assert lies_of(sub.openapi(), TestClient(app), mint, prefix="/sub") == []


def test_perimeters_of_two_guards_are_both_shown() -> None:
    sub, app = make_app("/x"), make_app()
    app.mount("/sub", sub)
    make_guard({"GET /x": "inner"}).protect(sub, strict=False)
    make_guard({"GET /sub/x": "outer"}).protect(app, strict=False)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["inner", "outer"]}]}
    assert lies_of(sub.openapi(), TestClient(app), mint, prefix="/sub") == []


def test_too_many_alternatives_of_two_guards_are_shown_as_denied() -> None:
    def guard(letter: str, key: str) -> Any:
        return make_guard({key: any_of(*(f"{letter}{n}" for n in range(6)))})

    sub, app = make_app("/x"), make_app()
    app.mount("/sub", sub)
    guard("i", "GET /x").protect(sub, strict=False)
    guard("o", "GET /sub/x").protect(app, strict=False)
    operation = sub.openapi()["paths"]["/x"]["get"]
    assert (operation["security"], operation["x-denied"]) == ([{S: []}], True)


def test_protected_starlette_app_shows_the_fastapi_apps_in_it() -> None:
    sub = make_app("/x")
    app = Starlette(routes=[Mount("/sub", sub)])
    make_guard({"GET /sub/x": "a"}).protect(app, strict=False)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_operation_without_a_route_is_looked_up_with_the_prefix_of_the_mount() -> None:
    outer, sub = make_app(), make_app()
    outer.mount("/sub", sub)
    written = {"openapi": "3.1.0", "info": {}, "paths": {"/nowhere": {"get": {}}}}
    sub.openapi = lambda: written  # type: ignore[method-assign]
    rules = {"GET /sub/nowhere": "prefixed", "GET /nowhere": PUBLIC}
    make_guard(rules).protect(outer, strict=False)
    assert security_of(sub.openapi()) == {"GET /nowhere": [{S: ["prefixed"]}]}


@pytest.mark.parametrize("is_inner_first", [True, False])
def test_scheme_is_that_of_the_guard_of_the_very_app(is_inner_first: bool) -> None:
    def scheme(name: str) -> Any:
        return make_guard({"GET /**": "a"}, security_scheme=HTTPBearer(scheme_name=name))

    sub, app = make_app("/x"), make_app()
    app.mount("/sub", sub)
    calls = [(scheme("inner"), sub), (scheme("outer"), app)]
    for guard, each in calls if is_inner_first else reversed(calls):
        guard.protect(each, strict=False)
    assert list(sub.openapi()["components"]["securitySchemes"]) == ["inner"]


def test_app_that_was_documented_from_outside_may_be_documented_itself() -> None:
    guard, other = make_guard({"GET /x": "a"}), make_guard({"GET /x": "b"})
    outer, sub = make_app(), make_app("/x", dependencies=[Depends(guard)])
    outer.mount("/sub", sub)
    guard.document(outer)
    guard.document(sub)
    with pytest.raises(ConfigurationError, match="documented by another guard"):
        other.document(sub)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_what_comes_first_in_or_around_a_mounted_app_is_what_is_shown() -> None:
    """Attack: the document of an app calls open what a route around that app takes."""
    outer, sub = make_app("/{word}/x", "/sub/late/{n:int}"), make_app("/{any}/y", "/a/y", "/x")
    sub.add_api_route("/late/{m:int}", answer)
    outer.mount("/sub", sub)
    outer.add_api_route("/sub/{behind}/y", answer)
    rules = {"GET /sub/**": PUBLIC, "GET /{word}/x": "outer", "GET /sub/late/{n}": "late"}
    make_guard({**rules, "GET /sub/{any}/y": "any"}).protect(outer, strict=False)
    assert security_of(sub.openapi()) == {
        "GET /{any}/y": [{S: ["any"]}],
        "GET /a/y": [{S: ["any"]}],
        "GET /x": [{S: ["outer"]}],
        "GET /late/{m}": [{S: ["late"]}],
    }
    assert lies_of(sub.openapi(), TestClient(outer), mint, prefix="/sub") == []


def test_app_that_answers_what_no_route_matches_is_shown() -> None:
    outer, sub = make_app(), make_app("/x")
    outer.router.default = sub
    make_guard({"GET /x": "a"}).protect(outer, strict=False)
    assert security_of(sub.openapi()) == {"GET /x": [{S: ["a"]}]}


def test_frontend_is_shown_as_denied_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("page")
    guard = make_guard({"* /**": PUBLIC})
    app = FastAPI(dependencies=[Depends(guard)])
    app.frontend("/ui", directory=tmp_path)
    written = {"openapi": "3.1.0", "info": {}, "paths": {"/ui/page.html": {"get": {}}}}
    app.openapi = lambda: written  # type: ignore[method-assign]
    assert TestClient(app).get("/ui/page.html", headers=bearer()).status_code == 403
    assert security_of(guard.document(app).openapi()) == {"GET /ui/page.html": [{S: []}]}
