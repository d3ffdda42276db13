"""One browser for all tests, and for each test a tab with a service of its own."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from bench.kit.browser import open_browser
from tests.rigs.browser.service import Served, Service, served
from tests.rigs.browser.visitor import Visitor, visitor_of


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser(os.environ) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[Served]:
    async with served(Service()) as listening:
        yield listening


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser, service: Served, request: pytest.FixtureRequest) -> AsyncIterator[Visitor]:
    """A tab, with options of its context as indirect parameters; a forbidden event in it fails the test."""
    context, opened = await visitor_of(browser, service, **getattr(request, "param", {}))
    yield opened
    await context.close()
    assert opened.wrong == []
