"""The docs pages are one decision of the developer's: `docs=`."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Route, Router

from fastapi_scopes import AUTHENTICATED, DENY, OPTIONAL, PUBLIC, ScopeMap, any_of
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.calling import call, running
from tests.perimeter.small import answer, make_app, plain

PAGES = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc")
ANONYMOUS: dict[str, str] = {}


def statuses(app: Any, headers: dict[str, str], *, prefix: str = "") -> set[int]:
    client = TestClient(app)
    return {
        client.request(method, prefix + page, headers=headers).status_code
        for page in PAGES
        for method in ("GET", "HEAD")
    }


def test_docs_pages_without_a_rule_are_one_gap_that_names_the_way_out() -> None:
    app = FastAPI()
    app.mount("/sub", FastAPI(docs_url="/d", redoc_url=None, openapi_url="/o.json"))
    make_guard({}).protect(app)
    with pytest.raises(ConfigurationError) as raised, TestClient(app):
        pass
    (problem,) = map(str, raised.value.problems)
    for page in (*PAGES, "/sub/d", "/sub/o.json"):
        assert f"'GET {page}'" in problem
    assert "HEAD" not in problem
    assert "pass docs=PUBLIC or docs=AUTHENTICATED" in problem
    assert "FastAPI(openapi_url=None)" in problem


def test_route_of_ones_own_in_the_place_of_a_page_is_no_page() -> None:
    app = FastAPI()
    app.router.routes.insert(0, Route("/docs", running("own")))
    make_guard({}).protect(app, docs=PUBLIC)
    with pytest.raises(ConfigurationError, match="no rule for 'GET /docs'"), TestClient(app):
        pass
    assert call(app, "GET", "/docs").ran is None


def test_app_without_docs_pages_has_no_docs_gap() -> None:
    app = FastAPI(openapi_url=None)
    make_guard({}).protect(app)
    with TestClient(app) as client:
        assert {client.get(page).status_code for page in PAGES} == {404}


DOCS = [
    pytest.param(PUBLIC, 200, 200, 200, id="PUBLIC"),
    pytest.param(OPTIONAL, 200, 200, 200, id="OPTIONAL"),
    pytest.param(AUTHENTICATED, 401, 200, 200, id="AUTHENTICATED"),
    pytest.param([], 401, 200, 200, id="empty list"),
    pytest.param("docs", 401, 403, 200, id="scope"),
    pytest.param(["docs", "more"], 401, 403, 403, id="two scopes"),
    pytest.param(any_of("docs", "more"), 401, 403, 200, id="any of two"),
    pytest.param(DENY, 401, 403, 403, id="DENY"),
]


@pytest.mark.parametrize(("docs", "anonymous", "verified", "reader"), DOCS)
@pytest.mark.parametrize("prefix", ["", "/sub"], ids=["own", "of a mounted app"])
def test_docs_pages_ask_for_what_docs_says(
    docs: Any, anonymous: int, verified: int, reader: int, prefix: str
) -> None:
    app = FastAPI()
    app.mount("/sub", FastAPI())
    with TestClient(make_guard({}).protect(app, docs=docs)):
        assert statuses(app, ANONYMOUS, prefix=prefix) == {anonymous}
        assert statuses(app, bearer(), prefix=prefix) == {verified}
        assert statuses(app, bearer("docs"), prefix=prefix) == {reader}


EXACT = [
    pytest.param({"GET /docs": "key"}, {"/docs"}, id="GET"),
    pytest.param({"GET /docs": "key", "GET /redoc": "key"}, {"/docs", "/redoc"}, id="two"),
]


@pytest.mark.parametrize(("rules", "named"), EXACT)
def test_exact_key_wins_over_docs(rules: dict[str, str], named: set[str]) -> None:
    with TestClient(make_guard(rules).protect(FastAPI(), docs="docs")) as client:
        for page in PAGES:
            scope_of_page, other = ("key", "docs") if page in named else ("docs", "key")
            for method in ("GET", "HEAD"):
                request = (method, page)
                assert client.request(*request, headers=bearer(other)).status_code == 403
                assert client.request(*request, headers=bearer(scope_of_page)).status_code == 200


def test_exact_key_of_a_mounted_page_wins_over_docs() -> None:
    app = FastAPI()
    app.mount("/sub", FastAPI())
    with TestClient(make_guard({"GET /sub/docs": "key"}).protect(app, docs="docs")) as client:
        assert client.get("/sub/docs", headers=bearer("docs")).status_code == 403
        assert client.get("/sub/docs", headers=bearer("key")).status_code == 200
        assert client.get("/docs", headers=bearer("docs")).status_code == 200


@pytest.mark.parametrize("key", ["GET /**", "GET /*", "GET /docs/**", "* /docs/**"])
def test_wildcard_wins_over_docs(key: str) -> None:
    client = TestClient(make_guard({key: "key"}).protect(FastAPI(), strict=False, docs="docs"))
    assert client.get("/docs", headers=bearer("key")).status_code == 200
    assert client.get("/docs", headers=bearer("docs")).status_code == 403


def test_docs_opens_nothing_that_the_map_denies() -> None:
    app = FastAPI()
    app.mount("/internal", FastAPI())
    with TestClient(make_guard({"* /internal/**": DENY}).protect(app, docs=PUBLIC)) as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/internal/docs").status_code == 401
        assert client.get("/internal/openapi.json", headers=bearer("x")).status_code == 403


@pytest.mark.parametrize("preset", [{"GET /docs": PUBLIC}, {"GET /**": PUBLIC}])
def test_docs_wins_over_a_preset(preset: dict[str, Any]) -> None:
    guard = make_guard(ScopeMap(preset, optional=True))
    with TestClient(guard.protect(FastAPI(), docs="docs")) as client:
        assert client.get("/docs").status_code == 401
        assert client.get("/docs", headers=bearer("docs")).status_code == 200


def test_docs_opens_nothing_that_a_preset_denies() -> None:
    guard = make_guard(ScopeMap({"GET /docs": DENY}, optional=True))
    with TestClient(guard.protect(FastAPI(), docs=PUBLIC)) as client:
        assert client.get("/docs").status_code == 401
        assert client.get("/redoc").status_code == 200


def test_plain_route_of_an_app_without_docs_pages_is_no_page() -> None:
    app = FastAPI(openapi_url=None)
    app.add_route("/docs", plain)
    with TestClient(make_guard({"* /**": "key"}).protect(app, docs=PUBLIC)) as client:
        assert client.get("/docs").status_code == 401


@pytest.mark.parametrize("rules", [{"GET /**": "key"}, {"* /**": "key"}])
def test_wildcards_rule_the_docs_pages_where_docs_says_nothing(rules: dict[str, str]) -> None:
    app = make_guard(rules).protect(FastAPI())
    with TestClient(app):
        assert statuses(app, bearer()) == {403}
        assert statuses(app, bearer("key")) == {200}


OTHER_URLS = [
    pytest.param({"docs_url": "/"}, "/", id="at the root"),
    pytest.param({"openapi_url": "/v1/schema.json"}, "/v1/schema.json", id="schema"),
    pytest.param({"redoc_url": "/pages/read"}, "/pages/read", id="redoc"),
]


@pytest.mark.parametrize(("options", "page"), OTHER_URLS)
def test_docs_pages_elsewhere_are_docs_pages(options: dict[str, str], page: str) -> None:
    app = make_guard({}).protect(FastAPI(**options), docs="docs")  # type: ignore[arg-type]
    with TestClient(app) as client:
        assert client.get(page).status_code == 401
        assert client.get(page, headers=bearer("docs")).status_code == 200


def _with_an_api_route_before_the_page() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/docs", answer)
    app.router.routes.reverse()
    return app


def _with_a_route_of_another_host() -> FastAPI:
    app = FastAPI()
    app.host("other.example.org", Router([Route("/docs", plain, methods=["GET"])]))
    app.router.routes.reverse()
    return app


each_namesake = pytest.mark.parametrize(
    "make",
    [
        pytest.param(_with_an_api_route_before_the_page, id="API route"),
        pytest.param(_with_a_route_of_another_host, id="route of another host"),
    ],
)


@each_namesake
def test_docs_opens_no_other_endpoint_at_the_path_of_a_page(make: Callable[[], FastAPI]) -> None:
    client = TestClient(make_guard({}).protect(make(), strict=False, docs=PUBLIC))
    host = {"Host": "other.example.org"}
    assert client.get("/docs", headers=host).status_code == 401
    assert client.get("/docs", headers=host | bearer("a")).status_code == 403
    assert client.get("/redoc").status_code == 200


@each_namesake
def test_endpoint_at_the_path_of_a_page_is_a_gap_that_docs_does_not_fill(
    make: Callable[[], FastAPI],
) -> None:
    guard = make_guard({})
    app = guard.protect(make(), docs=PUBLIC)
    assert "no rule for 'GET /docs'; add one, or map it to PUBLIC" in guard.check(app).problems


def test_docs_opens_no_method_but_those_of_the_page() -> None:
    app = make_guard({}).protect(FastAPI(), docs=PUBLIC)
    client = TestClient(app)
    assert client.post("/docs").status_code == 405
    assert client.options("/docs").status_code == 405


BAD_DOCS = [
    pytest.param("", "docs: '' is not a scope", id="empty"),
    pytest.param("a b", "docs: 'a b' is not a scope", id="space"),
    pytest.param(1, "docs: 1 is not a requirement", id="number"),
    pytest.param([None], "docs: None asks for nothing", id="list of None"),
    pytest.param("a:{x}", "docs: 'a:{x}' binds a path parameter", id="bound"),
    pytest.param(["a", PUBLIC], "docs: ", id="mix with PUBLIC"),
]


@pytest.mark.parametrize(("docs", "message"), BAD_DOCS)
def test_docs_that_asks_for_no_such_thing_is_an_error_and_protects_nothing_yet(
    docs: Any, message: str
) -> None:
    app = make_app("/a")
    with pytest.raises(ConfigurationError) as raised:
        make_guard({}).protect(app, docs=docs)
    assert message in str(raised.value)
    # Another guard would be one too many, were the app protected now.
    make_guard({"GET /a": PUBLIC}).protect(app)
    assert TestClient(app).get("/a").status_code == 200
