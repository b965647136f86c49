"""What is said of paths and methods that no endpoint answers, on real servers."""

from collections.abc import Iterator

import pytest

from tests.apps import mint
from tests.perimeter.rich import HOST, RichApp
from tests.perimeter.serving import SERVERS, Served, serve

MISSING = 'Bearer realm="api"'

each_unknown = pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        pytest.param("GET", "/unknown", (), 404, id="path"),
        pytest.param("GET", "/v1/unknown", (), 404, id="path below an inclusion"),
        pytest.param("GET", "/sub/unknown", (), 404, id="path in a mounted FastAPI"),
        pytest.param("GET", "/sub/inc/unknown", (), 404, id="path below an inclusion in one"),
        pytest.param("GET", "/star/unknown", (), 404, id="path in a mounted Starlette"),
        pytest.param("GET", "/t/acme/unknown", (), 404, id="path in a mounted router"),
        pytest.param("GET", "/unknown", (HOST,), 404, id="path of a host"),
        pytest.param("GET", "/hosted/1", (), 404, id="path of another host"),
        pytest.param("DELETE", "/items/1", (), 405, id="method"),
        pytest.param("DELETE", "/v1/inner/1", (), 405, id="method below an inclusion"),
        pytest.param("DELETE", "/sub/own/1", (), 405, id="method in a mounted FastAPI"),
        pytest.param("DELETE", "/star/x/1", (), 405, id="method in a mounted Starlette"),
        pytest.param("OPTIONS", "/plain", (), 405, id="OPTIONS"),
        pytest.param("GET", "/plain/", (), 307, id="slash"),
        pytest.param("GET", "/v1/inner/1/", (), 307, id="slash below an inclusion"),
        pytest.param("GET", "/sub/inc/leaf/x/", (), 307, id="slash in a mounted FastAPI"),
        pytest.param("GET", "/star/x/1/", (), 307, id="slash in a mounted Starlette"),
        pytest.param("GET", "/static", (), 307, id="slash of a mount"),
    ],
)


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> RichApp:
    return RichApp(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def hiding_app(tmp_path_factory: pytest.TempPathFactory) -> RichApp:
    return RichApp(tmp_path_factory.mktemp("hiding"), hide_unknown=True)


@pytest.fixture(scope="module", params=SERVERS)
def served(open_app: RichApp, request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(open_app.app, http=request.param) as served:
        yield served


@pytest.fixture(scope="module", params=SERVERS)
def hiding(hiding_app: RichApp, request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(hiding_app.app, http=request.param) as served:
        yield served


@each_unknown
def test_unknown_is_answered_by_the_router_whoever_asks(
    served: Served, method: str, target: str, fields: tuple[str, ...], status: int
) -> None:
    assert served.request(method, target, *fields).status == status
    assert served.request(method, target, *fields, "Authorization: Bearer").status == status
    verified = f"Authorization: Bearer {mint()}"
    assert served.request(method, target, *fields, verified).status == status


@each_unknown
def test_hidden_unknown_is_answered_for_verified_callers_alone(
    hiding: Served, method: str, target: str, fields: tuple[str, ...], status: int
) -> None:
    anonymous = hiding.request(method, target, *fields)
    assert (anonymous.status, anonymous.field("www-authenticate")) == (401, MISSING)
    assert anonymous.field("location") is None
    assert anonymous.field("allow") is None
    forged = f"Authorization: Bearer {mint(secret='of-someone-else-0123456789-0123456789')}"
    assert hiding.request(method, target, *fields, forged).status == 401
    assert hiding.request(method, target, *fields, "Authorization: Bearer").status == 400
    verified = f"Authorization: Bearer {mint()}"
    assert hiding.request(method, target, *fields, verified).status == status


@pytest.mark.parametrize("target", ["/unknown", "/items/1", "/sub/unknown", "/t/acme/x/1"])
def test_unknown_socket_is_closed_by_the_router(served: Served, target: str) -> None:
    answer = served.handshake(target)
    assert (answer.status, answer.field("www-authenticate")) == (403, None)


@pytest.mark.parametrize("target", ["/unknown", "/items/1", "/sub/unknown", "/t/acme/x/1"])
def test_hidden_unknown_socket_is_closed_for_verified_callers_alone(
    hiding: Served, target: str
) -> None:
    anonymous = hiding.handshake(target)
    assert (anonymous.status, anonymous.field("www-authenticate")) == (401, MISSING)
    verified = hiding.handshake(target, f"Authorization: Bearer {mint()}")
    assert (verified.status, verified.field("www-authenticate")) == (403, None)


def test_hiding_opens_no_endpoint_and_closes_no_public_one(hiding: Served) -> None:
    assert hiding.request("GET", "/health").status == 200
    assert hiding.request("GET", "/items/1").status == 401
    assert hiding.request("GET", "/items/1", f"Authorization: Bearer {mint()}").status == 403
