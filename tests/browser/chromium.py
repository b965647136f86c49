"""Debian's Chromium, in which tests drive pages of this machine."""

import os
import shutil
import subprocess
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
INSTALL_SECONDS = 600


class NoChromiumError(Exception):
    """There is no Chromium, and it cannot be installed."""


@contextmanager
def launched_chromium(path: str) -> Iterator[Browser]:
    """Run the Chromium at *path* without a window, with a new profile, during the block."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as browser,
    ):
        yield browser


def find_chromium() -> str:
    """Return where Chromium is, installed from Debian's packages where it is missing.

    Raises:
        NoChromiumError: it is missing, and this is not root on a machine with apt-get.
    """
    found = shutil.which("chromium")
    if found is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoChromiumError("no chromium on PATH; apt-get as root could install it")
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", "chromium", "fonts-liberation")
    found = shutil.which("chromium")
    if found is None:
        raise NoChromiumError("apt-get installed chromium, and it is not on PATH")
    return found


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=300", *arguments]
    ran = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    if ran.returncode:
        raise NoChromiumError(f"{' '.join(command)}: {ran.stderr.strip()}")


def skip_unless_ci(reason: str) -> NoReturn:
    """Skip a test for *reason*; fail it in CI, where nobody sees that it is skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
