"""One browser for all tests, and for each test a tab with a service of its own."""

import os
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import BrowserContext

from bench.kit.browser import open_browser
from tests.rigs.browser.service import Served, Service, served
from tests.rigs.browser.visitor import Visitor, open_context, visitor_of


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser_context() -> AsyncIterator[BrowserContext]:
    """A session in a browser whose tabs share a process, which a tab that stays open keeps."""
    async with open_browser(os.environ, "--process-per-site") as browser, served(Service()) as listening:
        context = await open_context(browser)
        await (await visitor_of(context, listening)).open()
        yield context


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[Served]:
    async with served(Service()) as listening:
        yield listening


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser_context: BrowserContext, service: Served) -> AsyncIterator[Visitor]:
    """A tab; a forbidden event in it fails the test."""
    opened = await visitor_of(browser_context, service)
    yield opened
    await opened.page.close()
    assert opened.wrong == []
