"""A Chromium of this machine: none is downloaded."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from bench.kit.errors import BenchError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)


class NoBrowserError(BenchError):
    """There is no browser; the text names what to install."""


def find_browser(environment: Mapping[str, str]) -> str:
    """Return the path of a Chromium: $BROWSER_PATH, or one on $PATH or among a Mac's apps. Raises NoBrowserError."""
    named = environment.get("BROWSER_PATH")
    if named:
        if not Path(named).is_file():
            raise NoBrowserError(f"BROWSER_PATH is {named!r}, and there is no such file")
        return named
    path = environment.get("PATH")
    commands = (shutil.which(name, path=path) for name in NAMES)
    apps = (str(app) for app in MAC_APPS if app.is_file())
    browser = next(filter(None, (*commands, *apps)), None)
    if browser is None:
        raise NoBrowserError(
            "no Chromium or Chrome here: install one (Debian: apt-get install chromium; macOS: brew install --cask "
            "chromium), or name it in BROWSER_PATH"
        )
    return browser


@contextlib.asynccontextmanager
async def open_browser(environment: Mapping[str, str], *options: str) -> AsyncIterator[Browser]:
    """Run a browser without a window, with options of its command line. Raises NoBrowserError."""
    path = find_browser(environment)
    async with async_playwright() as playwright:
        # Its sandbox does not start as root, as a build machine is; nothing but this project's own pages is opened.
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *options])
        try:
            yield browser
        finally:
            await browser.close()
