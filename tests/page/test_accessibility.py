"""Accessibility: axe-core finds no violation in any view, light or dark, and a phone shows all of it."""

from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from playwright.async_api import ViewportSize, expect

from tests.rigs.browser.documents import NOW, brief, ended, notification, status
from tests.rigs.browser.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESKTOP: ViewportSize = {"width": 1200, "height": 900}
PHONE: ViewportSize = {"width": 320, "height": 640}
LOOKS: list[tuple[ViewportSize, Literal["light", "dark"]]] = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")]
LONG = "x" * 64


async def empty_list(visitor: Visitor) -> None:
    await visitor.open()
    await expect(visitor.page.get_by_role("heading", name="No batches yet")).to_be_visible()


async def full_list(visitor: Visitor) -> None:
    states = ("running", "paused", "closing", "opening")
    over = (*("done", "cancelled", "failed"), None)
    visitor.service.briefs = {
        "open": [brief(f"open-{state}", state=state) for state in states],
        "ended": [brief(f"ended-{state}", state=state, ended=NOW) for state in over] + [brief(LONG)],
    }
    await visitor.open()
    await expect(visitor.page.locator("#ended-rows > li")).to_have_count(5)


async def running(visitor: Visitor) -> None:
    await visitor.service.put(status(trouble="S3 answered 503", reason="more than 5% failed"))
    await visitor.open("monday")


async def long_named(visitor: Visitor) -> None:
    await visitor.service.put(status(LONG, state="paused", function=LONG * 2))
    await visitor.open(LONG)


async def failures(visitor: Visitor) -> None:
    await running(visitor)
    await visitor.page.locator("#failure-rows summary").first.click()
    await expect(visitor.page.get_by_role("group", name="Answer")).to_be_visible()


async def over(visitor: Visitor) -> None:
    notified = [
        notification(kind="reduce", state="delivered", tries=1, status_code=200),
        notification(state="given up", tries=9),
    ]
    await visitor.service.put(ended(notifications=notified))
    await visitor.open("monday")
    await visitor.button("Show all parts").click()
    await expect(visitor.page.locator("#output-rows a")).to_have_count(7)


async def refused(visitor: Visitor) -> None:
    visitor.service.refusals["pause"] = (409, {"error": "batch 'monday' cannot be paused: it is closing"})
    await running(visitor)
    await visitor.button("Pause").click()
    await expect(visitor.page.locator("#action-problem")).to_be_visible()


async def question(visitor: Visitor) -> None:
    await running(visitor)
    await visitor.button("Cancel").click()
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()


async def gone(visitor: Visitor) -> None:
    await visitor.open("gone")
    await expect(visitor.page.locator("#problem-text")).to_be_visible()


async def rebuilt(visitor: Visitor) -> None:
    visitor.service.refusals["status"] = (503, {"error": "it is being rebuilt: try again in a moment"})
    await visitor.page.goto(visitor.served.url)
    await expect(visitor.page.locator("#feed-problem")).to_be_visible()


async def token(visitor: Visitor) -> None:
    visitor.service.token = "a-token-of-the-tests"
    await visitor.open()
    await visitor.page.get_by_label("Token", exact=True).fill("wrong")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.locator("#token-problem")).to_be_visible()


VIEWS: dict[str, Callable[[Visitor], Awaitable[None]]] = {
    view.__name__: view
    for view in (empty_list, full_list, running, long_named, failures, over, refused, question, gone, rebuilt, token)
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
async def test_view_has_no_violations_and_fits_its_window(
    visitor: Visitor, view: Callable[[Visitor], Awaitable[None]]
) -> None:
    await view(visitor)
    for size, scheme in LOOKS:
        await visitor.page.set_viewport_size(size)
        await visitor.page.emulate_media(color_scheme=scheme)
        assert await visitor.violations() == [], (size, scheme)
        assert await visitor.overflow() == 0, (size, scheme)


async def test_axe_finds_a_planted_violation(visitor: Visitor) -> None:
    await visitor.open()
    await visitor.page.evaluate("document.querySelector('#main').append(document.createElement('input'))")
    assert [violation.split(":")[0] for violation in await visitor.violations()] == ["label"]


async def test_nothing_moves_with_reduced_motion(visitor: Visitor) -> None:
    await visitor.page.emulate_media(reduced_motion="reduce")
    await running(visitor)
    moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
    await visitor.link_is("Live")
    assert await visitor.page.evaluate(moving) == 0
