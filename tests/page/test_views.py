"""The batch view and the list on the page, also with hostile data."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import BIDI, MARKUP, NOW, brief, ended, failure, status
from tests.rigs.browser.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_batch_view_shows_every_field(visitor: Visitor) -> None:
    words: dict[str, Any] = {
        "trouble": "S3 is slow",
        "reason": "cancelled on request",
        "notes": ["no report", "or so"],
    }
    await visitor.service.put(status(rate_limit=5.0, **words))
    await visitor.open("monday")
    shown = {
        "id": "monday",
        "percent": "59%",
        "of": "1,192 of 2,000 items",
        "succeeded": "1,180",
        "failed": "12",
        "left": "808",
        "rate": "9.87/s",
        "eta": "≈ 1 min 22 s",
        "retried": "3",
        "settled": "1,192 of 2,000",
        "in-flight": "128",
        "window": "128",
        "rate-limit": "5/s",
        "generation": "0",
        "reason": "cancelled on request",
        "trouble": "S3 is slow",
        "notes": "no report · or so",
        "chart-text": "now 5/s · peak 5.75/s · mean 4.27/s",
    }
    for name, text in shown.items():
        await expect(visitor.field(name)).to_have_text(text)
    await expect(visitor.field("elapsed")).to_have_text(re.compile("2 min [0-9]+ s"))
    await expect(visitor.page).to_have_title("59% running · monday")
    bar = visitor.page.get_by_role("progressbar", name="Progress")
    await expect(bar).to_have_attribute("aria-valuenow", "59")
    await expect(bar).to_have_attribute("aria-valuetext", "59%: 1,180 succeeded, 12 failed, 808 left")
    chart = visitor.page.get_by_role("img", name="Items settled a second over 1 min 52 s: now")
    await expect(chart).to_have_accessible_name(re.compile(f"{re.escape(shown['chart-text'])}$"))
    await expect(chart.locator("rect")).to_have_count(28)
    await expect(visitor.page.locator("#latency")).to_contain_text("p99")
    await expect(visitor.page.locator("#latency")).to_contain_text("1.19 s")


async def test_numbers_change_in_place_and_focus_details_and_selection_stay(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    page = visitor.page
    group = page.locator("#failure-rows summary").first
    await group.click()
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-field=item]'))")
    newer = failure("500: it fell over", item="another")
    await visitor.service.change("monday", succeeded=1500, failures=[newer, *status()["failures"]])
    await expect(visitor.field("succeeded")).to_have_text("1,500")
    groups = page.locator("#failure-rows > li")
    await expect(groups).to_have_count(3)
    await expect(groups.nth(0)).to_contain_text("500: it fell over")
    await expect(groups.nth(1).locator("details")).to_have_attribute("open", "")
    await expect(groups.nth(1).locator("summary")).to_be_focused()
    assert await page.evaluate("String(getSelection())") == "https://pictures.example/41.jpg"
    await visitor.service.change("monday", failures=[])
    await expect(page.locator("#failures")).to_be_hidden()


async def test_list_shows_open_and_ended_batches_as_they_change(visitor: Visitor) -> None:
    service = visitor.service
    old = {"batch_id": "old", "status_url": "http://gateway/"}
    service.briefs = {"open": [brief("monday"), old], "ended": [brief("friday"), brief("sunday", ended=NOW)]}
    await visitor.open()
    page = visitor.page
    row = page.locator("#open-rows > li").first
    await expect(row).to_contain_text("classify")
    await expect(row).to_contain_text("59% of 2,000, 12 failed")
    await expect(page.locator("#open-rows > li").nth(1)).to_contain_text("unknown")
    await page.get_by_role("link", name="sunday").focus()
    service.briefs = {"open": [old], "ended": [brief("monday", state="failed"), brief("sunday"), brief("friday")]}
    await service.notify()
    await expect(page.locator("#ended-rows > li").first).to_contain_text("failed")
    await expect(page.locator("#open-rows > li")).to_have_count(1)
    await expect(page.get_by_role("link", name="sunday")).to_be_focused()
    await expect(page).to_have_title("1 open · Batches · pipeline")


async def test_batch_of_no_rows_shows_no_items(visitor: Visitor) -> None:
    nothing: dict[str, Any] = {"items": 0, "succeeded": 0, "failed": 0}
    visitor.service.briefs = {
        "open": [brief("opening", state="opening", **nothing)],
        "ended": [brief("empty", state="done", **nothing)],
    }
    await visitor.open()
    await expect(visitor.page.locator("#open-rows > li")).to_contain_text("not counted yet")
    await expect(visitor.page.locator("#ended-rows > li")).to_contain_text("no items")
    await visitor.service.put(ended(**nothing))
    await visitor.open("monday")
    await expect(visitor.field("of")).to_have_text("no items")
    bar = visitor.page.get_by_role("progressbar", name="Progress")
    await expect(bar).to_have_attribute("aria-valuetext", "no items")


async def test_empty_list_says_how_to_start_a_batch(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.locator("#list-command")).to_have_text(
        f"curl '{visitor.served.url}' -H 'X-Mode: batch' -d data/rows.csv"
    )


@pytest.mark.parametrize(
    "document",
    [
        status(throughput=None, latency=None, failures=None, items=0, succeeded=0, failed=0, started=None, rate=None),
        {name: value for name, value in ended().items() if name not in {"throughput", "latency", "failures"}},
        {"batch_id": "monday", "state": "opening"},
        status(throughput={"width": 0, "counts": [1]}, latency={"tasks": None}, failures=[None, {}, {"example": None}]),
        status(throughput={"width": 1, "counts": []}, links=None, state=None, function=None, batch_id="monday"),
        ended(sql={"rows": None, "columns": None, "first": [None, "x", {}], "error": {}}),
        ended(sql={"columns": ["a", "b"], "first": [[], [{}], [[1], {"x": 1}, 3]]}),
    ],
    ids=["opening", "an older batch", "nearly nothing", "empty parts", "no state", "no answer", "an odd answer"],
)
async def test_missing_values_are_a_dash_or_hidden(visitor: Visitor, document: dict[str, object]) -> None:
    await visitor.service.put(document)
    await visitor.open("monday")
    await expect(visitor.field("id")).to_have_text("monday")
    text = await visitor.page.locator("#view-batch").inner_text()
    assert not re.search("NaN|undefined|null|Infinity|object", text), text
    assert await visitor.violations() == []


@pytest.mark.parametrize("hostile", [MARKUP, BIDI, "x" * 5000, "\n" * 3000 + "end", "e" + "\u0301" * 2000])
async def test_hostile_text_is_shown_as_text(visitor: Visitor, hostile: str) -> None:
    await visitor.page.set_viewport_size({"width": 320, "height": 640})
    group = failure(hostile, item=hostile, result=hostile, call_id=hostile)
    texts = dict.fromkeys(("reason", "trouble", "function"), hostile)
    await visitor.service.put(status(failures=[group], notes=[hostile], **texts))
    visitor.service.briefs = {"open": [brief("monday", function=hostile, state=hostile)], "ended": []}
    await visitor.open("monday")
    await visitor.page.locator("#failure-rows summary").click()
    for name in ("reason", "trouble", "notes", "kind", "item", "result", "call"):
        shown = await visitor.field(name).text_content()
        assert shown is not None
        assert not [sign for sign in shown if sign < " " and sign not in "\n\t"]
        visible = {chr(0x2400 + code): chr(code) for code in range(32)}
        assert "".join(visible.get(sign, sign) for sign in shown) == hostile
    assert await visitor.page.locator("#view-batch img, #view-batch b, #view-batch script").count() == 0
    for part, most in ((".kind", 80), (".text", 200)):
        box = await visitor.page.locator(f"#failure-rows {part}").bounding_box()
        assert box is not None
        assert box["height"] < most
    assert await visitor.overflow() == 0
    # Everything below is still reachable, and nothing covers it.
    await visitor.page.locator("#failure-rows summary").click(trial=True)
    await visitor.button("Apply").click(trial=True)
    await visitor.open()
    await expect(visitor.page.locator("#open-rows > li")).to_have_count(1)
    assert await visitor.overflow() == 0


async def test_hostile_id_in_the_address_is_shown_as_text(visitor: Visitor) -> None:
    await visitor.page.goto(
        f"{visitor.served.url}?batch=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E#<script>alert(1)</script>"
    )
    await expect(visitor.page.locator("#problem-text")).to_have_text(
        "404: there is no batch '<img src=x onerror=alert(1)>'"
    )
    assert await visitor.page.locator("main img").count() == 0
