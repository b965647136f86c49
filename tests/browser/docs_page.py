"""A docs page of FastAPI, which is Swagger UI: what a person does there, and sees."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser.network import Network

# The page of a large API takes its time on a busy machine.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """The answer to a call, as the page shows it."""

    status: str
    """Its digits alone, unless the document does not know it."""
    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignIn:
    """What the page sent to the authorization server, for a code and for the code."""

    asked: Mapping[str, str]
    redeemed: Mapping[str, str] = field(repr=False)


class AuthorizeDialog:
    """The dialog that the Authorize button opens for all, and a padlock for its operation."""

    def __init__(self, page: Page) -> None:
        self.frame = page.locator(".modal-ux")
        expect(self.frame).to_be_visible()
        self._page = page

    def scopes(self) -> dict[str, str]:
        """Return the scopes that may be selected, each with its description."""
        names = self.frame.locator(".scopes .name").all_inner_texts()
        return dict(zip(names, self.frame.locator(".description").all_inner_texts(), strict=True))

    def selected(self) -> list[str]:
        checked = self.frame.locator(".scopes input:checked").all()
        return [each.get_attribute("data-value") or "" for each in checked]

    def select_all(self) -> None:
        self.frame.get_by_text("select all").click()

    def sign_in(self, name: str) -> SignIn:
        """Sign in as *name* at the authorization server, and agree there to what is selected."""
        page = self._page
        with (
            page.context.expect_event("request", lambda each: "/auth?" in each.url) as asked,
            page.expect_popup() as popup,
        ):
            self.frame.get_by_role("button", name="Apply given OAuth2 credentials").click()
        popup.value.get_by_label("Name").fill(name)
        with page.expect_request(lambda each: each.method == "POST") as redeemed:
            popup.value.get_by_role("button").click()
        self._logout().wait_for()
        return SignIn(
            dict(parse_qsl(urlsplit(asked.value.url).query)),
            dict(parse_qsl(redeemed.value.post_data or "")),
        )

    def give_token(self, token: str) -> None:
        self.frame.get_by_role("textbox").fill(token)
        self.frame.get_by_role("button", name="Apply credentials").click()
        self._logout().wait_for()

    def log_out(self) -> None:
        self._logout().click()

    def close(self) -> None:
        self.frame.get_by_role("button", name="Close", exact=True).click()
        expect(self.frame).to_be_hidden()

    def _logout(self) -> Locator:
        return self.frame.get_by_role("button", name="Remove authorization")


class ShownOperation:
    """One operation of the page."""

    def __init__(self, page: Page, method: str, path: str) -> None:
        self.frame = page.locator(f".opblock-{method.lower()}").filter(
            has=page.locator(f'[data-path="{path}"]')
        )
        self.padlock = self.frame.locator(".authorization__btn")
        self.answer_table = self.frame.locator(".live-responses-table")
        self._page = page

    def open_padlock(self) -> AuthorizeDialog:
        self.padlock.click()
        return AuthorizeDialog(self._page)

    def open(self) -> None:
        summary = self.frame.locator(".opblock-summary-control")
        if summary.get_attribute("aria-expanded") == "false":
            summary.click()

    def extension(self, name: str) -> Locator:
        """Return the row of an extension (`x-`); the operation must be open."""
        return self.frame.get_by_role("row", name=name)

    def execute(self, *left_out: str, **fields: str) -> ShownAnswer:
        """Make the call with *fields*, and return the answer.

        The page makes up the other fields of a form, but for those that are to be *left_out*.
        """
        self.open()
        self.frame.get_by_role("button", name="Try it out").click()
        for name, value in fields.items():
            _fill(self._row_of(name), value)
        for name in left_out:
            _leave_out(self._row_of(name))
        self.frame.get_by_role("button", name="Execute").click()
        return self._answer()

    def _row_of(self, field: str) -> Locator:
        return self.frame.locator(f"[data-param-name={field}], [data-property-name={field}]")

    def _answer(self) -> ShownAnswer:
        body = self.answer_table.locator(".highlight-code code")
        body.wait_for()
        status = self.answer_table.locator("tbody .response-col_status").inner_text()
        lines = self.answer_table.locator(".headerline").all_inner_texts()
        fields = (line.strip().partition(": ") for line in lines)
        headers = {name: value for name, _, value in fields}
        return ShownAnswer(status.strip(), body.inner_text(), headers)


def _fill(row: Locator, value: str) -> None:
    if row.locator("select").count():
        row.locator("select").select_option(value)
    else:
        row.get_by_role("textbox").fill(value)


def _leave_out(row: Locator) -> None:
    """Have nothing sent for a field whose value the page has made up."""
    item = row.locator(".json-schema-form-item-remove")
    if item.count():
        item.click()
    else:
        row.get_by_role("textbox").fill("")
    # It would send an empty value now.
    empty_value = row.locator(".parameter__empty_value_toggle input")
    expect(empty_value).to_be_checked()
    empty_value.uncheck()


class DocsPage:
    """The docs page at *url*, opened in *page*."""

    def __init__(self, page: Page, url: str, network: Network) -> None:
        page.goto(url)
        self.page = page
        self.network = network
        expect(page.locator(".information-container .title")).to_be_visible()

    def operation(self, method: str, path: str) -> ShownOperation:
        return ShownOperation(self.page, method, path)

    def open_authorize(self) -> AuthorizeDialog:
        self.page.locator(".scheme-container .authorize").click()
        return AuthorizeDialog(self.page)

    def sign_in(self, name: str) -> None:
        dialog = self.open_authorize()
        dialog.sign_in(name)
        dialog.close()

    def give_token(self, token: str) -> None:
        dialog = self.open_authorize()
        dialog.give_token(token)
        dialog.close()


@contextmanager
def opened_docs(
    browser: Browser,
    url: str,
    files: Mapping[str, Path] | None = None,
    *,
    viewport: ViewportSize | None = None,
) -> Iterator[DocsPage]:
    """Open the docs page of the app at *url*, for someone of whom *browser* knows nothing.

    What the page asks for from elsewhere must be among *files*.
    """
    with browser.new_context(viewport=viewport, service_workers="block") as context:
        context.set_default_timeout(PATIENCE_MS)
        network = Network(context, files)
        yield DocsPage(context.new_page(), f"{url}/docs", network)
    assert network.refused == []
