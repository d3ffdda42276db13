"""The answer of a query on the page."""

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import BIDI, MARKUP, answer, status
from tests.rigs.browser.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_answer_of_a_query_is_a_table(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    page = visitor.page
    await expect(page.locator("#sql")).to_be_hidden()
    await visitor.service.put(status(sql=answer(rows=5000)))
    await expect(visitor.field("sql-count")).to_have_text("The first 2 of 5,000 rows")
    region = page.get_by_role("group", name="SQL")
    await expect(region.get_by_role("columnheader")).to_have_text(["label", "n", "ok", "score"])
    rows = region.locator("tbody tr")
    await expect(rows.nth(0).locator("td")).to_have_text(["espresso", "812", "true", "0.5"])
    await expect(rows.nth(1).locator("td")).to_have_text(["tripod", "401", "false", "\u2013"])
    await visitor.service.put(status(sql=answer(["moped"], rows=1)))
    await expect(region.get_by_role("columnheader")).to_have_text(["label"])
    await expect(region.locator("td")).to_have_text(["moped"])
    await expect(visitor.field("sql-count")).to_have_text("1 row")


async def test_query_without_rows_or_with_an_error_is_reported(visitor: Visitor) -> None:
    await visitor.service.put(status(sql=answer(rows=0, first=[])))
    await visitor.open("monday")
    await expect(visitor.field("sql-count")).to_have_text("0 rows")
    await expect(visitor.page.get_by_role("columnheader")).to_have_count(4)
    await visitor.service.put(status(sql={"rows": 0, "columns": [], "first": [], "error": "it took more than 300 s"}))
    await expect(visitor.page.locator("#sql-problem")).to_have_text("it took more than 300 s")
    await expect(visitor.page.locator("#sql-scroll")).to_be_hidden()


@pytest.mark.parametrize("hostile", [MARKUP, BIDI, "x" * 5000, "\n" * 3000 + "end"])
async def test_hostile_cells_are_text_in_a_table_that_fits(visitor: Visitor, hostile: str) -> None:
    await visitor.page.set_viewport_size({"width": 320, "height": 640})
    await visitor.service.put(status(sql=answer([hostile] * 4, columns=[hostile] * 60, first=[[hostile] * 60] * 40)))
    await visitor.open("monday")
    await expect(visitor.page.locator("#sql-rows tr")).to_have_count(10)
    await expect(visitor.page.locator("#sql-names th")).to_have_count(50)
    shown = await visitor.page.locator("#sql-rows td").first.text_content()
    assert shown is not None
    visible = {chr(0x2400 + code): chr(code) for code in range(32)}
    assert "".join(visible.get(sign, sign) for sign in shown) == hostile
    assert await visitor.page.locator("#sql img, #sql b, #sql script").count() == 0
    assert await visitor.overflow() == 0
    await visitor.service.put(status(sql={"error": hostile}))
    await expect(visitor.page.locator("#sql-scroll")).to_be_hidden()
    assert await visitor.page.locator("#sql img, #sql b, #sql script").count() == 0
    assert await visitor.overflow() == 0
