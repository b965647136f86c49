"""What a server does with an app whose perimeter has a gap."""

import pytest
from fastapi import FastAPI

from fastapi_scopes import PUBLIC
from tests.apps import make_guard, mint
from tests.perimeter.rich import answering
from tests.perimeter.serving import SERVERS, ServerStartError, serve

each_server = pytest.mark.parametrize("http", SERVERS)


def admin() -> str:
    """Return the field of someone who may see what is shut."""
    return f"Authorization: Bearer {mint('admin')}"


def make_app(*, gap: bool, strict: bool = True) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/open", answering("open"))
    app.add_api_route("/shut", answering("shut"))
    if gap:
        app.add_api_route("/forgotten", answering("forgotten"))
    make_guard({"GET /open": PUBLIC, "GET /shut": "admin"}).protect(app, strict=strict)
    return app


@each_server
def test_server_does_not_start_on_a_gap(http: str) -> None:
    with pytest.raises(ServerStartError), serve(make_app(gap=True), http=http):
        pass


@each_server
def test_gap_is_unavailable_to_all_where_no_lifespan_runs(http: str) -> None:
    with serve(make_app(gap=True), http=http, lifespan="off") as served:
        for target in ["/open", "/shut", "/forgotten", "/unknown", "/open"]:
            answer = served.request("GET", target, admin())
            assert (answer.status, answer.json()["code"]) == (503, "verifier_unavailable")
            assert int(answer.field("retry-after") or 0) >= 1


@each_server
def test_app_without_a_gap_is_served_where_no_lifespan_runs(http: str) -> None:
    with serve(make_app(gap=False), http=http, lifespan="off") as served:
        assert served.request("GET", "/open").status == 200
        assert served.request("GET", "/shut").status == 401
        assert served.request("GET", "/shut", admin()).body == b"shut"


@each_server
@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_gap_is_denied_where_it_does_not_keep_the_app_from_starting(
    http: str, lifespan: str
) -> None:
    with serve(make_app(gap=True, strict=False), http=http, lifespan=lifespan) as served:
        assert served.request("GET", "/open").status == 200
        assert served.request("GET", "/forgotten").status == 401
        answer = served.request("GET", "/forgotten", admin())
        assert (answer.status, answer.json()["code"]) == (403, "forbidden")
