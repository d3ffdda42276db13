"""The page of a real batch: streamed through the gateway, steered by clicks, and safe from answers of a model."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from tests.rigs.browser.service import Served, Service
from tests.rigs.browser.visitor import Visitor, visitor_of
from tests.rigs.openfaas.cluster import Cluster, cluster
from tests.rigs.openfaas.model_function import MARKUP

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path_factory.mktemp("page"), workers=4) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def guest(browser_context: BrowserContext, platform: Cluster) -> AsyncIterator[Visitor]:
    """A tab at the gateway; a forbidden event in it fails the test."""
    served = Served(Service(), f"{platform.url}/", platform.stack.gateway_url)
    opened = await visitor_of(browser_context, served)
    yield opened
    await opened.page.close()
    assert opened.wrong == []


async def press(guest: Visitor, button: str, state: str) -> None:
    """Press a button and wait for the resulting state."""
    await guest.button(button).click()
    await expect(guest.page.locator("#batch-state")).to_have_text(state)


async def test_batch_is_watched_from_the_list_to_its_summary(guest: Visitor, platform: Cluster) -> None:
    await guest.open()
    opened = await platform.submit_rows([f"slow 0.1 {number}" for number in range(120)])
    batch = opened["batch_id"]
    await guest.page.get_by_role("link", name=batch).click()
    await guest.link_is("Live")
    bar = guest.page.get_by_role("progressbar", name="Progress")
    await expect(bar).to_have_attribute("aria-valuenow", "100")
    await expect(guest.page).to_have_title(f"100% done · {batch}")
    await expect(guest.field("succeeded")).to_have_text("120")
    await expect(guest.page.locator("#chart-svg rect").first).to_be_attached()
    await expect(guest.page.locator("#latency")).to_contain_text("of 120 tasks")
    address = await guest.page.get_by_role("link", name=f"{batch}.json").get_attribute("href")
    assert address is not None
    async with platform.http.get(address) as response:
        assert json.loads(await response.read())["results"]["count"] == 120
    await guest.link_is("Up to date")


async def test_batch_is_steered_by_clicks(guest: Visitor, platform: Cluster) -> None:
    opened = await platform.submit_rows([f"slow 0.2 {number}" for number in range(400)])
    batch = opened["batch_id"]
    await guest.open(batch)
    await press(guest, "Pause", "paused")
    await press(guest, "Resume", "running")
    await guest.page.get_by_role("spinbutton", name="Window").fill("3")
    await guest.page.get_by_role("spinbutton", name="Calls/s").fill("500")
    await guest.button("Apply").click()
    await expect(guest.field("window")).to_have_text("3")
    await expect(guest.field("rate-limit")).to_have_text("500/s")
    await guest.button("Cancel").click()
    await press(guest, "Cancel the batch", "cancelled")
    await expect(guest.field("reason")).to_have_text("cancelled on request")
    await guest.button("Redrive").click()
    await press(guest, "Redrive it", "running")
    await expect(guest.field("generation")).to_have_text("1")
    await guest.button("Cancel").click()
    await press(guest, "Cancel the batch", "cancelled")
    await guest.button("Delete").click()
    await guest.button("Delete it").click()
    await expect(guest.page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()
    await expect(guest.page.get_by_role("link", name=batch)).to_have_count(0)
    status, document = await platform.call("status", query={"batch": batch})
    assert (status, document["error"]) == (404, f"there is no batch '{batch}'")


async def test_answers_of_a_model_are_shown_as_text(guest: Visitor, platform: Cluster) -> None:
    rows = ["markup <script>alert(3)</script>", f"markup {MARKUP}"]
    status, _ = await platform.run(rows, chunk="1")
    await guest.open(status["batch_id"])
    group = guest.page.locator("#failure-rows > li")
    await expect(group).to_have_count(1)
    await group.locator("summary").click()
    await expect(group.locator(".kind")).to_contain_text("<img src=x onerror=alert(#)>")
    await expect(group.get_by_role("group", name="Answer")).to_contain_text(MARKUP)
    await expect(group.locator('[data-field="item"]')).to_contain_text("markup <")
    assert await guest.page.locator("#view-batch :is(img, script, b)").count() == 0


async def test_every_path_below_the_function_is_the_page(guest: Visitor, platform: Cluster) -> None:
    status, _ = await platform.run(["one"])
    for path in ("/function/pipeline", "/function/pipeline/", "/function/pipeline/status"):
        await guest.page.goto(f"{platform.stack.gateway_url}{path}?batch={status['batch_id']}")
        await expect(guest.field("percent")).to_have_text("100%")
        assert urlsplit(guest.page.url).path == path
    headers = {"Accept": "text/html"}
    async with platform.http.get(platform.url, headers=headers) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
        same = {**headers, "If-None-Match": response.headers["ETag"]}
    async with platform.http.get(platform.url, headers=same) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with platform.http.head(platform.url, headers=headers) as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
