"""Actions on the page: only those that fit the state, once, and with a confirmation if they cannot be undone."""

from collections.abc import Mapping

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import ended, status
from tests.rigs.browser.visitor import Visitor
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("Pause", "Resume", "Redrive", "Cancel", "Delete")
FITTING = {
    "opening": {"Pause", "Cancel", "Apply"},
    "running": {"Pause", "Cancel", "Apply"},
    "paused": {"Resume", "Cancel", "Apply"},
    "closing": {"Apply"},
    "reducing": {"Apply"},
    "deleting": set[str](),
}
ENDED = {
    "done": (ended(), {"Redrive", "Delete"}),
    "done without failures": (ended(succeeded=2000, failed=0), {"Delete"}),
    "cancelled": (ended(state="cancelled", succeeded=5, failed=0), {"Redrive", "Delete"}),
    "failed": (ended(state="failed"), {"Redrive", "Delete"}),
    "never opened": (ended(state="failed", started=None, items=0, succeeded=0, failed=0), {"Delete"}),
}


@pytest.mark.parametrize(
    ("document", "fitting"),
    [*((status(state=state), fitting) for state, fitting in FITTING.items()), *ENDED.values()],
    ids=[*FITTING, *ENDED],
)
async def test_only_actions_that_fit_the_state_are_enabled(
    visitor: Visitor, document: dict[str, object], fitting: set[str]
) -> None:
    await visitor.service.put(document)
    await visitor.open("monday")
    assert {name for name in (*NAMES, "Apply") if await visitor.button(name).is_enabled()} == fitting


async def test_batch_is_paused_and_resumed_and_the_focus_stays_on_an_enabled_button(visitor: Visitor) -> None:
    service = visitor.service
    await service.put(status())

    def hold(mode: str, batch: str, _query: Mapping[str, str]) -> None:
        service.batches[batch]["state"] = {"pause": "paused", "resume": "running"}[mode]

    service.on_control = hold
    await visitor.open("monday")
    await visitor.button("Pause").press("Enter")
    await expect(visitor.button("Resume")).to_be_focused()
    await expect(visitor.field("eta")).to_have_text("paused")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.button("Pause")).to_be_focused()
    asked = [(one.mode, one.method, one.query) for one in service.seen if one.mode != "status"]
    assert asked == [("pause", "POST", {"batch": "monday"}), ("resume", "POST", {"batch": "monday"})]


async def test_cancel_asks_for_confirmation(visitor: Visitor) -> None:
    service = visitor.service
    await service.put(status())
    service.on_control = lambda _mode, batch, _query: service.batches.update({batch: ended(state="cancelled")})
    await visitor.open("monday")
    for leave in ("Escape", "Enter"):  # the focus is on what keeps the batch
        await visitor.button("Cancel").click()
        await expect(visitor.page.get_by_role("dialog")).to_be_visible()
        await visitor.page.keyboard.press(leave)
        await expect(visitor.page.locator("#confirm")).to_be_hidden()
    assert service.requests("cancel") == []
    await visitor.button("Cancel").click()
    await visitor.button("Cancel the batch").click()
    await visitor.announced("Batch monday is cancelled: 1,988 succeeded, 12 failed.")
    assert len(service.requests("cancel")) == 1


async def test_redrive_is_followed_to_its_end(visitor: Visitor) -> None:
    service = visitor.service
    await service.put(ended())
    service.on_control = lambda _mode, batch, _query: service.batches.update({batch: status(generation=1)})
    await visitor.open("monday")
    await visitor.link_is("Up to date")
    await visitor.button("Redrive").click()
    await visitor.button("Redrive it").click()
    await expect(visitor.field("generation")).to_have_text("1")
    await visitor.link_is("Live")
    await expect(visitor.page.locator("#outputs")).to_be_hidden()
    await service.put(ended(generation=1, succeeded=2000, failed=0))
    await expect(visitor.page.locator("#output-rows a")).to_have_count(4)
    assert len(service.requests("outputs")) == 2


@pytest.mark.parametrize(
    ("succeeded", "failed", "text"),
    [
        (1988, 12, "It runs 12 failed items."),
        (1999, 1, "It runs 1 failed item."),
        (5, 0, "It runs 1,995 items that never ran."),
        (1900, 1, "It runs 1 failed item and 99 items that never ran."),
    ],
)
async def test_redrive_confirmation_says_what_will_run(
    visitor: Visitor, succeeded: int, failed: int, text: str
) -> None:
    await visitor.service.put(ended(state="cancelled", succeeded=succeeded, failed=failed))
    await visitor.open("monday")
    await visitor.button("Redrive").click()
    await expect(visitor.page.get_by_role("dialog")).to_contain_text(text)
    await visitor.page.keyboard.press("Escape")
    await expect(visitor.page.locator("#confirm")).to_be_hidden()
    assert visitor.service.requests("redrive") == []


async def test_deleted_batch_leads_to_the_list(visitor: Visitor) -> None:
    service = visitor.service
    await service.put(ended())
    service.on_control = lambda _mode, _batch, _query: service.batches.clear()
    await visitor.open("monday")
    await visitor.button("Delete").click()
    await visitor.button("Delete it").click()
    await expect(visitor.page.get_by_role("heading", name="No batches yet")).to_be_visible()
    await expect(visitor.page).to_have_url(visitor.served.url)
    await visitor.announced("Batch monday is deleted.")


async def test_refusal_is_shown_and_disappears_with_the_next_try(visitor: Visitor) -> None:
    await visitor.service.put(status())
    words = "batch 'monday' cannot be paused: it is closing"
    visitor.service.refusals["pause"] = (409, {"error": words, "problems": ["one", "<b>two</b>"]})
    await visitor.open("monday")
    await visitor.button("Pause").click()
    problem = visitor.page.locator("#action-problem")
    await expect(problem).to_have_text(f"409: {words}\none\n<b>two</b>")
    visitor.service.refusals.clear()
    await visitor.button("Pause").click()
    await expect(problem).to_be_empty()


async def test_double_click_sends_one_request(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    # Both clicks come before any answer.
    await visitor.button("Pause").evaluate("button => { button.click(); button.click() }")
    await wait_until(lambda: len(visitor.service.requests("status")) == 2)
    assert len(visitor.service.requests("pause")) == 1


async def test_window_and_rate_are_tuned_and_typed_values_stay(visitor: Visitor) -> None:
    service = visitor.service
    await service.put(status(rate_limit=5.0))

    def tune(_mode: str, batch: str, query: Mapping[str, str]) -> None:
        service.batches[batch] |= {"window": int(query["window"]), "rate_limit": float(query["rate"]) or None}

    service.on_control = tune
    await visitor.open("monday")
    window = visitor.page.get_by_role("spinbutton", name="Window")
    rate = visitor.page.get_by_role("spinbutton", name="Calls/s")
    await expect(rate).to_have_value("5")
    await window.fill("16")
    await service.change("monday", window=64, succeeded=1300)
    await expect(visitor.field("succeeded")).to_have_text("1,300")
    await expect(window).to_have_value("16")
    await rate.fill("")
    await visitor.button("Apply").click()
    await visitor.announced("Window and rate are changed.")
    await expect(visitor.field("window")).to_have_text("16")
    await expect(visitor.field("rate-limit")).to_have_text("none")
    assert [one.query for one in service.requests("tune")] == [{"batch": "monday", "window": "16", "rate": "0"}]
    await service.change("monday", window=32)
    await expect(window).to_have_value("32")


@pytest.mark.parametrize(("name", "value"), [("Window", "0"), ("Window", ""), ("Window", "1.5"), ("Calls/s", "-1")])
async def test_invalid_values_are_not_sent(visitor: Visitor, name: str, value: str) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    field = visitor.page.get_by_role("spinbutton", name=name)
    await field.fill(value)
    await visitor.button("Apply").click()
    await expect(field).to_be_focused()
    assert visitor.service.requests("tune") == []
