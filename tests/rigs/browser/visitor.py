"""A visitor with a browser, which records everything that the page must not do."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, expect

from tests.rigs.browser.service import Served, Service

AXE = Axe()
# The message of a browser for every answer with an error status.
OF_THE_NETWORK = "Failed to load resource: the server responded with a status of"
VIOLATIONS = "document.addEventListener('securitypolicyviolation', (e) => console.error('POLICY', e.violatedDirective))"
# A headless browser never hides a tab.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)


@dataclass
class Visitor:
    """One tab; `wrong` holds the forbidden events in it."""

    page: Page
    served: Served
    wrong: list[str] = field(default_factory=list)

    @property
    def service(self) -> Service:
        return self.served.service

    async def open(self, batch: str = "", *, path: str = "") -> None:
        """Open the list or a batch by its address, and wait until it is shown."""
        await self.page.goto(self.served.url + path + (f"?batch={batch}" if batch else ""))
        await expect(self.page.locator("#view-wait")).to_be_hidden()

    def field(self, name: str) -> Locator:
        """Return a field of the batch view."""
        return self.page.locator(f'#view-batch [data-field="{name}"]')

    def button(self, name: str) -> Locator:
        """Return a button by its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def link_is(self, text: str) -> None:
        """Wait until the state of the connection has this text."""
        await expect(self.page.locator("#connection-text")).to_have_text(text)

    async def announced(self, text: str) -> None:
        """Wait until this text is announced to screen readers."""
        await expect(self.page.locator("#announcer")).to_have_text(text)

    async def violations(self) -> list[str]:
        """Return the violations that axe-core finds on the current page."""
        found: list[dict[str, Any]] = (await AXE.run(self.page)).response["violations"]
        return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]

    async def overflow(self) -> int:
        """Return the number of pixels by which the page is wider than its window."""
        excess: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return excess

    def watch(self) -> None:
        """Record script errors, policy violations, dialogs, and requests to other hosts."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialog)
        self.page.on("popup", lambda page: self.wrong.append(f"popup: {page.url}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(OF_THE_NETWORK):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.served.origin:
            self.wrong.append(f"request: {request.url}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        await dialog.dismiss()


async def open_context(browser: Browser) -> BrowserContext:
    """Open a session; what a page stores in it belongs to the page's origin, which is another for each service."""
    context = await browser.new_context(locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(PATIENCE)
    await context.add_init_script(VIOLATIONS)
    return context


async def visitor_of(context: BrowserContext, served: Served) -> Visitor:
    """Open a tab."""
    visitor = Visitor(await context.new_page(), served)
    visitor.watch()
    return visitor
