"""Navigation on the page: addresses, history, keyboard and token."""

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import brief, ended, status
from tests.rigs.browser.visitor import HIDE, Visitor
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "a-token-of-the-tests"


async def prepare(visitor: Visitor) -> None:
    visitor.service.briefs = {"open": [brief("monday"), brief("tuesday")], "ended": [brief("sunday", state="done")]}
    await visitor.service.put(status("monday"), status("tuesday", succeeded=7), ended("sunday"))


async def test_reload_keeps_the_place_and_back_and_forward_work(visitor: Visitor) -> None:
    await prepare(visitor)
    page = visitor.page
    await visitor.open()
    await page.get_by_role("link", name="tuesday").click()
    await expect(page).to_have_url(f"{visitor.served.url}?batch=tuesday")
    await expect(visitor.field("succeeded")).to_have_text("7")
    await expect(page.locator("#batch-title")).to_be_focused()
    await page.reload()
    await expect(visitor.field("id")).to_have_text("tuesday")
    await page.go_back()
    await expect(page.get_by_role("heading", name="Batches")).to_be_visible()
    await expect(page).to_have_url(visitor.served.url)
    await page.go_forward()
    await expect(visitor.field("id")).to_have_text("tuesday")
    await page.get_by_role("link", name="All batches").click()
    await page.get_by_role("link", name="monday").click()
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    await visitor.service.change("tuesday", succeeded=8)
    await wait_until(lambda: visitor.service.live == 1)
    await expect(visitor.field("id")).to_have_text("monday")


async def test_everything_is_reachable_by_keyboard(visitor: Visitor) -> None:
    await prepare(visitor)
    page = visitor.page
    await visitor.open()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="monday")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{visitor.served.url}?batch=monday")
    await expect(page.locator("#batch-title")).to_be_focused()
    for name in ("Pause", "Cancel"):
        await page.keyboard.press("Tab")
        await expect(visitor.button(name)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Cancel this batch?")).to_be_visible()
    await expect(visitor.button("Keep it")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(visitor.button("Cancel")).to_be_focused()
    for name in ("Window", "Calls/s"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("spinbutton", name=name)).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.locator("summary").first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("details").first).to_have_attribute("open", "")
    assert visitor.service.requests("cancel") == []


async def test_focus_is_visible(visitor: Visitor) -> None:
    await prepare(visitor)
    await visitor.open("monday")
    for _ in range(4):
        await visitor.page.keyboard.press("Tab")
        outline = await visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


async def test_token_is_requested_kept_in_this_tab_and_forgotten(visitor: Visitor) -> None:
    await prepare(visitor)
    visitor.service.token = TOKEN
    page = visitor.page
    await visitor.open("monday")
    field = page.get_by_label("Token", exact=True)
    await expect(field).to_be_focused()
    await expect(page.locator("#token-problem")).to_be_empty()
    await field.fill("a-wrong-one")
    await field.press("Enter")
    await expect(page.locator("#token-problem")).to_have_text("401: the token is not known")
    await expect(field).to_have_value("")
    assert await page.evaluate("sessionStorage.length") == 0
    await expect(visitor.button("Forget token")).to_be_hidden()
    await field.fill(TOKEN)
    await visitor.button("Continue").click()
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    await page.reload()
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    storage = "[Object.values(sessionStorage), Object.values(localStorage), document.cookie, document.title]"
    assert await page.evaluate(storage) == [[TOKEN], [], "", "59% running · monday"]
    assert all(TOKEN not in f"{one.path}{one.query}" for one in visitor.service.seen)
    await visitor.button("Forget token").click()
    await expect(field).to_be_visible()
    assert await page.evaluate(storage) == [[], [], "", "Token needed · pipeline"]
    assert TOKEN not in await page.content()


async def test_typed_token_stays_while_the_tab_is_hidden(visitor: Visitor) -> None:
    visitor.service.token = TOKEN
    await visitor.open()
    field = visitor.page.get_by_label("Token", exact=True)
    await field.fill(TOKEN[:5])
    for hidden in (True, False):
        await visitor.page.evaluate(HIDE, hidden)
    await field.press("End")
    await visitor.page.keyboard.type(TOKEN[5:])
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.get_by_role("heading", name="No batches yet")).to_be_visible()


async def test_same_place_twice_is_one_history_entry(visitor: Visitor) -> None:
    await prepare(visitor)
    await visitor.open("monday")
    for name in ("All batches", "pipeline"):
        await visitor.page.get_by_role("link", name=name).click()
        await expect(visitor.page.get_by_role("link", name="monday")).to_be_visible()
    await visitor.page.go_back()
    await expect(visitor.field("id")).to_have_text("monday")


async def test_details_opened_in_one_batch_are_closed_in_the_next(visitor: Visitor) -> None:
    await prepare(visitor)
    await visitor.open("monday")
    await visitor.page.locator("summary").first.click()
    await visitor.page.get_by_role("link", name="All batches").click()
    await visitor.page.get_by_role("link", name="tuesday").click()
    await expect(visitor.field("id")).to_have_text("tuesday")
    await expect(visitor.page.locator("summary").first).to_be_visible()
    assert await visitor.page.locator("details[open]").count() == 0


async def test_other_tab_has_no_token(visitor: Visitor) -> None:
    visitor.service.token = TOKEN
    await visitor.open()
    await visitor.page.get_by_label("Token", exact=True).fill(TOKEN)
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.get_by_role("heading", name="No batches yet")).to_be_visible()
    other = await visitor.page.context.new_page()
    await other.goto(visitor.served.url)
    await expect(other.get_by_label("Token", exact=True)).to_be_visible()


@pytest.mark.parametrize(("given", "words"), [("", "Enter the token."), ("tokén", "A token has only letters, digits")])
async def test_invalid_token_is_not_sent(visitor: Visitor, given: str, words: str) -> None:
    visitor.service.token = TOKEN
    await visitor.open()
    before = len(visitor.service.seen)
    await visitor.page.get_by_label("Token", exact=True).fill(given)
    await visitor.button("Continue").click()
    await expect(visitor.page.locator("#token-problem")).to_contain_text(words)
    assert len(visitor.service.seen) == before


async def test_outdated_token_is_requested_again(visitor: Visitor) -> None:
    await prepare(visitor)
    visitor.service.token = TOKEN
    await visitor.open("monday")
    await visitor.page.get_by_label("Token", exact=True).fill(TOKEN)
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.field("id")).to_have_text("monday")
    visitor.service.token = "the-next-token"
    await visitor.button("Pause").click()
    await expect(visitor.page.locator("#token-problem")).to_have_text("401: the token is not known")
    await visitor.page.get_by_label("Token", exact=True).fill("the-next-token")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.field("id")).to_have_text("monday")
