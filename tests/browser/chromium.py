"""The Chromium of this machine, in which tests drive pages of this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

# All that Chromium would ask the network for by itself, and a name service that knows nobody.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class NoChromiumError(Exception):
    """There is no Chromium."""


@contextmanager
def launched_chromium(path: str) -> Iterator[Browser]:
    """Run the Chromium at *path* without a window, with a new profile, during the block."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as browser,
    ):
        yield browser


def find_chromium() -> str:
    """Return where Chromium is.

    Raises:
        NoChromiumError: it is not on PATH.
    """
    found = shutil.which("chromium")
    if found is None:
        raise NoChromiumError("no chromium on PATH; CONTRIBUTING.md says how to install it")
    return found


def skip_unless_ci(reason: str) -> NoReturn:
    """Skip a test for *reason*; fail it in CI, where nobody sees that it is skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
