"""The network of a browser under test: this machine, and what is said to lie elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Route

LOOPBACK = "127.0.0.1"


class Network:
    """Lets the pages of *context* reach 127.0.0.1, and gives them *files* for other addresses.

    What else they ask for they do not get, and it is written down.
    """

    def __init__(self, context: BrowserContext, files: Mapping[str, Path] | None = None) -> None:
        self.given: set[str] = set()
        """The addresses of files that a page asked for."""
        self.refused: list[str] = []
        """The addresses elsewhere that a page asked for, and did not get."""
        self._files = files or {}
        context.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        url = route.request.url
        if url in self._files:
            self.given.add(url)
            route.fulfill(path=self._files[url])
        elif urlsplit(url).hostname == LOOPBACK:
            route.continue_()
        else:
            self.refused.append(url)
            route.abort()
