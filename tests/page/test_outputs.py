"""The outputs and notifications of an ended batch on the page."""

import json

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import NOW, ended, notification, outputs, status
from tests.rigs.browser.visitor import HIDE, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_outputs_are_links_that_open_in_a_new_tab(visitor: Visitor) -> None:
    await visitor.service.put(ended())
    await visitor.open("monday")
    links, rows = visitor.page.locator("#output-rows a"), visitor.page.locator("#output-rows > li")
    await expect(links).to_have_count(4)
    for place, link in enumerate([outputs()["summary"], *outputs()["outputs"]]):
        await expect(links.nth(place)).to_have_attribute("href", link["url"])
        await expect(links.nth(place)).to_have_attribute("rel", "noopener noreferrer")
        await expect(links.nth(place)).to_have_attribute("target", "_blank")
    await expect(rows.nth(1)).to_contain_text("Rows and results, CSV · 51 KB")
    await expect(rows.nth(3)).to_contain_text("Output · 51 KB")
    await visitor.button("Show all parts").click()
    await expect(links).to_have_count(7)
    await expect(rows.nth(5)).to_contain_text("Outcomes, generation 0 · 51 KB")
    # A second event of the same end requests nothing again.
    await visitor.service.change("monday", trouble="sent again")
    for hidden in (True, False):
        await visitor.page.evaluate(HIDE, hidden)
    await expect(visitor.field("trouble")).to_have_text("sent again")
    await visitor.link_is("Up to date")
    await expect(links).to_have_count(7)
    assert [one.query for one in visitor.service.requests("outputs")] == [
        {"batch": "monday"},
        {"batch": "monday", "parts": "true"},
    ]


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "//", "x"])
async def test_address_that_is_not_http_is_no_link(visitor: Visitor, address: str) -> None:
    await visitor.service.put(ended())
    answer = json.dumps(outputs(summary={"key": "monday.json", "size": 1, "url": address}, outputs=[]))

    await visitor.page.route(
        lambda url: "batch=monday" in url,
        lambda route: (
            route.fulfill(body=answer, content_type="application/json")
            if route.request.headers.get("x-mode") == "outputs"
            else route.continue_()
        ),
    )
    await visitor.open("monday")
    link = visitor.page.locator("#output-rows a")
    await expect(link).to_contain_text("monday.json")
    assert await link.get_attribute("href") is None


async def test_refused_outputs_are_reported(visitor: Visitor) -> None:
    visitor.service.refusals["outputs"] = (409, {"error": "batch 'monday' has not ended: it is running"})
    await visitor.service.put(ended())
    await visitor.open("monday")
    await expect(visitor.page.locator("#outputs-problem")).to_have_text(
        "409: batch 'monday' has not ended: it is running"
    )


async def test_notifications_are_shown_until_all_are_delivered(visitor: Visitor) -> None:
    waiting = [notification(target="fold", kind="reduce"), notification(target="https://hooks.example")]
    await visitor.service.put(status(notifications=waiting))
    await visitor.open("monday")
    rows = visitor.page.locator("#notice-rows > li")
    await expect(rows).to_have_text(["fold at the end reduces", "https://hooks.example at the end is notified"])
    tried = notification(target="https://hooks.example", tries=3, at=NOW)
    await visitor.service.put(ended(notifications=[waiting[0] | {"state": "delivered", "tries": 1, "at": NOW}, tried]))
    await expect(rows.nth(1)).to_contain_text("due is notified \u00b7 3 tries \u00b7 no answer at")
    await visitor.link_is("Live")
    gone = {"state": "given up", "tries": 4, "status_code": 410}
    await visitor.service.change("monday", notifications=[waiting[0] | {"state": "delivered"}, tried | gone])
    await expect(rows.nth(1)).to_contain_text("given up is notified \u00b7 4 tries \u00b7 410 at")
    await visitor.link_is("Up to date")
    # The answer of the reduce function is another output.
    assert len(visitor.service.requests("outputs")) >= 1


@pytest.mark.parametrize(
    "found", [None, {}, [None], [{}], [notification(target="<b>x</b>", state="<i>", tries="x")]], ids=range(5)
)
async def test_malformed_notifications_are_shown_as_text(visitor: Visitor, found: object) -> None:
    await visitor.service.put(ended(notifications=found))
    await visitor.open("monday")
    await visitor.link_is("Up to date")
    assert await visitor.page.locator("#notices :is(b, i)").count() == 0
