"""What docs/swagger-ui.md shows is what a browser makes of it."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import expect

from tests.browser.bundle_files import AuthorizationServer, bundle, files_of_the_cdn
from tests.browser.conftest import OpenDocs
from tests.browser.network import LOOPBACK
from tests.perimeter.serving import serve

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "swagger-ui.md").read_text()
PICTURES = sorted((DOCS / "images").glob("swagger-ui-*.png"))
SIGN_IN, WITHOUT_A_CDN = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def app_of(code: str, issuer: AuthorizationServer) -> FastAPI:
    """Return the app that *code* makes, with an issuer and a bundle that are there."""
    for words, stand_in in {
        "https://login.example.com": issuer.issuer,
        "JWKSVerifier(issuer=": "JWKSVerifier(allow_http=True, issuer=",
        "Path(mkdtemp())": f"Path({str(bundle())!r})",
    }.items():
        code = code.replace(words, stand_in)
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "swagger-ui.md", "exec"), namespace)  # noqa: S102
    app: FastAPI = namespace["app"]
    return app


def test_people_sign_in_to_the_app_of_the_page(
    issuer: AuthorizationServer, open_docs: OpenDocs
) -> None:
    with serve(app_of(SIGN_IN, issuer), http="httptools") as served:
        docs = open_docs(f"http://{LOOPBACK}:{served.port}", files_of_the_cdn())
        docs.sign_in("alice")
        assert docs.operation("GET", "/orders").execute().status == "200"
        assert docs.operation("POST", "/orders").execute(thing="tea").status == "403"


def test_page_without_a_cdn_asks_for_nothing_elsewhere(
    issuer: AuthorizationServer, open_docs: OpenDocs
) -> None:
    with serve(app_of(SIGN_IN + WITHOUT_A_CDN, issuer), http="httptools") as served:
        docs = open_docs(f"http://{LOOPBACK}:{served.port}")
        expect(docs.page.locator(".information-container .title")).to_contain_text("Shop")
        docs.page.wait_for_load_state("networkidle")
        assert docs.network.refused == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_picture_is_small_and_shown(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    assert f"](images/{picture.name})" in PAGE
