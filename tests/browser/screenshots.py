"""Takes the pictures of docs/swagger-ui.md.

    python -m tests.browser.screenshots

They show the pages of which the tests of this folder say how they answer. No token is in them.
"""

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Locator, ViewportSize

from tests.agentos.process import Process
from tests.browser.bundle_files import bundle, files_of_the_cdn
from tests.browser.chromium import find_chromium, launched_chromium
from tests.browser.docs_page import DocsPage, opened_docs
from tests.browser.network import LOOPBACK
from tests.browser.shop import make_issuer, make_shop
from tests.perimeter.serving import serve

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# So high that no dialog has to be scrolled.
VIEWPORT = ViewportSize(width=900, height=1200)
MADE_UP = ("session_id", "user_id", "files", "files_metadata", "version", "factory_input")
MARGIN = 6
# Dialogs scroll in the page, and pictures do not.
UNSCROLLED = ".modal-ux-content { max-height: none !important }"
HIDE_TOKENS = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    texts.currentNode.data = texts.currentNode.data.replace(/eyJ[\\w.-]+/g, '•••');
  }
}"""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with launched_chromium(find_chromium()) as browser:
        take_shop(browser)
        take_agentos(browser)


def take_shop(browser: Browser) -> None:
    with make_issuer() as issuer, serve(make_shop(issuer, bundle()), http="httptools") as served:
        url = f"http://{LOOPBACK}:{served.port}"
        with opened(browser, url) as docs:
            take("authorize", docs.open_authorize().frame)
        with opened(browser, url) as docs:
            take("padlock", docs.operation("POST", "/orders").open_padlock().frame)
        with opened(browser, url) as docs:
            docs.sign_in("alice")
            listed = docs.operation("GET", "/orders")
            listed.execute()
            take("allowed", listed.frame, until=listed.answer_table)
        with opened(browser, url) as docs:
            docs.sign_in("alice")
            placed = docs.operation("POST", "/orders")
            placed.execute(thing="tea")
            take("refused", placed.frame, until=placed.answer_table)


def take_agentos(browser: Browser) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(Path(folder)) as process,
        opened(browser, process.url) as docs,
    ):
        run = docs.operation("POST", "/agents/{agent_id}/runs")
        run.open()
        sections = run.frame.locator(".opblock-section")
        take("extension", sections.filter(has_text="x-required-scopes"))
        docs.give_token(process.tokens["basic"])
        run.execute(*MADE_UP, agent_id="research-agent", message="hello", stream="false")
        take("agentos", run.frame.locator(".responses-inner"), until=run.answer_table)


def opened(browser: Browser, url: str) -> AbstractContextManager[DocsPage]:
    return opened_docs(browser, url, files_of_the_cdn(), viewport=VIEWPORT)


def take(name: str, frame: Locator, *, until: Locator | None = None) -> None:
    """Take a picture of *frame*, or of its upper part *until* there, without tokens."""
    page = frame.page
    page.evaluate(HIDE_TOKENS)
    page.add_style_tag(content=UNSCROLLED)
    # Buttons look otherwise where the mouse rests.
    page.mouse.move(0, 0)
    area = box_of(frame)
    if until is not None:
        end = box_of(until)
        area["height"] = end["y"] + end["height"] + MARGIN - area["y"]
    area["y"] += float(page.evaluate("window.scrollY"))
    path = IMAGES / f"swagger-ui-{name}.png"
    page.screenshot(path=path, full_page=True, animations="disabled", clip=area)


def box_of(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


if __name__ == "__main__":
    main()
