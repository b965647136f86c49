"""One Chromium and one authorization server for the tests of this folder.

Playwright's loop runs in this thread as long as Chromium does, and others cannot run beside it: so
nothing here outlives the folder.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from playwright.sync_api import Browser

from tests.browser.bundle_files import AuthorizationServer, bundle
from tests.browser.chromium import (
    NoChromiumError,
    find_chromium,
    launched_chromium,
    skip_unless_ci,
)
from tests.browser.docs_page import DocsPage, opened_docs
from tests.browser.network import LOOPBACK
from tests.browser.shop import make_issuer, make_shop
from tests.perimeter.serving import serve

OpenDocs: TypeAlias = Callable[..., DocsPage]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        path = find_chromium()
    except NoChromiumError as error:
        skip_unless_ci(str(error))
    with launched_chromium(path) as browser:
        yield browser


@pytest.fixture(scope="package")
def issuer() -> Iterator[AuthorizationServer]:
    with make_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="package")
def shop(issuer: AuthorizationServer) -> Iterator[str]:
    """The URL of the shop."""
    with serve(make_shop(issuer, bundle()), http="httptools") as served:
        yield f"http://{LOOPBACK}:{served.port}"


@pytest.fixture
def open_docs(browser: Browser) -> Iterator[OpenDocs]:
    """Opens the docs page of the app at a URL."""
    with ExitStack() as opened:

        def open_docs(url: str, files: Mapping[str, Path] | None = None) -> DocsPage:
            return opened.enter_context(opened_docs(browser, url, files))

        yield open_docs
