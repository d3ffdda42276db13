"""The feed of the page: a stream, or polling where no stream comes through."""

import pytest
from playwright.async_api import expect

from tests.rigs.browser.documents import ended, status
from tests.rigs.browser.service import PREFIX, Seen
from tests.rigs.browser.visitor import HIDE, Visitor
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

REBUILT = "Redis has lost batch 'monday', and it is being rebuilt: try again in a moment"
# No silence is too long, so that only the test ends a stream.
ENDLESS_PATIENCE = "const real = setTimeout; setTimeout = (call, wait) => wait < 5000 ? real(call, wait) : 0"


def asked(visitor: Visitor) -> list[Seen]:
    return visitor.service.requests("status")


async def test_stream_carries_every_change(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.link_is("Live")
    for succeeded in (1300, 1400, 1988):
        await visitor.service.change("monday", succeeded=succeeded)
        await expect(visitor.field("succeeded")).to_have_text(f"{succeeded:,}")
    assert len(asked(visitor)) == 1
    await expect(visitor.page).to_have_title("100% running · monday")


async def test_ended_stream_is_resumed(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.service.cut_streams()
    await wait_until(lambda: len(asked(visitor)) == 2)
    assert [one.headers.get("Last-Event-ID") for one in asked(visitor)] == [None, str(visitor.service.version)]
    await visitor.service.change("monday", succeeded=1300)
    await expect(visitor.field("succeeded")).to_have_text("1,300")
    await visitor.link_is("Live")


async def test_silent_stream_is_replaced(visitor: Visitor) -> None:
    await visitor.page.clock.install()
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.page.clock.fast_forward(10_000)
    await wait_until(lambda: len(asked(visitor)) == 2)
    await visitor.link_is("Live")
    assert asked(visitor)[1].streams


async def test_page_polls_where_the_stream_is_buffered(visitor: Visitor) -> None:
    await visitor.page.clock.install()
    visitor.service.streaming = "buffered"
    await visitor.service.put(status())
    await visitor.page.goto(visitor.served.url + "?batch=monday")
    await wait_until(lambda: asked(visitor))
    await visitor.page.clock.fast_forward(10_000)
    await visitor.link_is("Every 2 s")
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    await visitor.service.change("monday", succeeded=1300)
    await visitor.page.clock.fast_forward(2_000)
    await expect(visitor.field("succeeded")).to_have_text("1,300")
    assert [one.streams for one in asked(visitor)] == [True] + [False] * (len(asked(visitor)) - 1)


async def test_page_polls_a_server_without_streams(visitor: Visitor) -> None:
    await visitor.page.clock.install()
    visitor.service.streaming = "no"
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.link_is("Every 2 s")
    await visitor.service.change("monday", succeeded=1300)
    await visitor.page.clock.fast_forward(2_000)
    await expect(visitor.field("succeeded")).to_have_text("1,300")


@pytest.mark.parametrize("streaming", ["yes", "no"])
async def test_nothing_is_requested_after_the_end_of_the_batch(visitor: Visitor, streaming: str) -> None:
    await visitor.page.clock.install()
    visitor.service.streaming = streaming
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.service.put(ended())
    await visitor.page.clock.fast_forward(2_000)
    await visitor.announced("Batch monday is done: 1,988 succeeded, 12 failed.")
    await visitor.link_is("Up to date")
    before = len(asked(visitor))
    await visitor.page.clock.run_for(60_000)
    await expect(visitor.page.locator("#output-rows a")).to_have_count(4)
    assert len(asked(visitor)) == before


async def test_only_a_change_of_state_is_announced(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.service.change("monday", succeeded=1300)
    await expect(visitor.field("succeeded")).to_have_text("1,300")
    await visitor.announced("")
    await visitor.service.change("monday", state="paused")
    await visitor.announced("Batch monday is paused.")


async def test_hidden_tab_stops_and_continues_when_visible(visitor: Visitor) -> None:
    await visitor.page.add_init_script(ENDLESS_PATIENCE)
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.page.evaluate(HIDE, True)  # noqa: FBT003 - the argument of a script
    await wait_until(lambda: visitor.service.live == 0)
    await visitor.service.change("monday", succeeded=1300)
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    await visitor.page.evaluate(HIDE, False)  # noqa: FBT003
    await expect(visitor.field("succeeded")).to_have_text("1,300")
    assert len(asked(visitor)) == 2


async def test_batch_being_rebuilt_is_polled_until_it_is_back(visitor: Visitor) -> None:
    await visitor.page.clock.install()
    visitor.service.refusals["status"] = (503, {"error": REBUILT})
    await visitor.service.put(status())
    await visitor.page.goto(visitor.served.url + "?batch=monday")
    await expect(visitor.page.locator("#feed-problem")).to_have_text(f"503: {REBUILT}\nTrying again.")
    await visitor.link_is("Reconnecting")
    visitor.service.refusals.clear()
    await visitor.page.clock.fast_forward(30_000)
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    await expect(visitor.page.locator("#feed-problem")).to_be_empty()


async def test_reason_of_a_repeatedly_broken_stream_is_shown(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    visitor.service.breaking = "Redis cannot serve this now"
    await visitor.service.cut_streams()
    await expect(visitor.page.locator("#feed-problem")).to_contain_text("Redis cannot serve this now")
    await expect(visitor.field("succeeded")).to_have_text("1,180")
    visitor.service.breaking = ""
    await expect(visitor.page.locator("#feed-problem")).to_be_empty()
    await visitor.link_is("Live")


async def test_unreachable_server_is_reported_until_it_is_back(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    await visitor.page.context.set_offline(True)
    await visitor.service.cut_streams()
    await expect(visitor.page.locator("#feed-problem")).to_contain_text("The server cannot be reached.")
    await visitor.page.context.set_offline(False)
    await visitor.link_is("Live")
    await expect(visitor.page.locator("#feed-problem")).to_be_empty()
    visitor.wrong = [one for one in visitor.wrong if "ERR_INTERNET_DISCONNECTED" not in one]


async def test_deleted_batch_is_reported(visitor: Visitor) -> None:
    await visitor.service.put(status())
    await visitor.open("monday")
    del visitor.service.batches["monday"]
    await visitor.service.notify()
    await expect(visitor.page.locator("#problem-text")).to_have_text("404: there is no batch 'monday'")
    await visitor.link_is("Not connected")
    await visitor.service.put(status())
    await visitor.button("Try again").click()
    await expect(visitor.field("id")).to_have_text("monday")


async def test_answer_of_the_gateway_is_shown_unchanged(visitor: Visitor) -> None:
    await visitor.page.route(
        lambda url: "batch=monday" in url,
        lambda route: (
            route.fulfill(status=404, body="error finding function <b>pipeline</b>: not found")
            if "x-mode" in route.request.headers
            else route.continue_()
        ),
    )
    await visitor.open("monday")
    await expect(visitor.page.locator("#problem-text")).to_have_text(
        "404: error finding function <b>pipeline</b>: not found"
    )


@pytest.mark.parametrize("path", ["", "status", "status/"])
async def test_every_request_goes_to_the_pages_own_address_with_a_mode(visitor: Visitor, path: str) -> None:
    await visitor.service.put(ended())
    await visitor.open("monday", path=path)
    await expect(visitor.page.locator("#output-rows a")).to_have_count(4)
    assert {(one.path, one.headers["X-Mode"]) for one in visitor.service.seen} == {
        (f"{PREFIX}/{path}", "status"),
        (f"{PREFIX}/{path}", "outputs"),
    }


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_stream_is_parsed_in_pieces_of_any_size(visitor: Visitor, end: str, size: int) -> None:
    """As in the HTML Standard: comments, unknown fields, data of several lines, a split character."""
    await visitor.open()
    lines = [
        ": hello",
        "id: 7",
        "event: status",
        'data: {"a":',
        'data:"é ☃"}',
        "",
        "retry: 9",
        "",
        "data: {}",
        "",
        "data: lost",
    ]
    found = await visitor.page.evaluate(
        """async ([bytes, size]) => {
            const pieces = new ReadableStream({ start(control) {
                for (let at = 0; at < bytes.length; at += size) {
                    control.enqueue(new Uint8Array(bytes.slice(at, at + size)));
                }
                control.close();
            } });
            const found = [];
            for await (const one of readEvents(pieces, () => {})) found.push(one);
            return found;
        }""",
        [list(end.join(lines).encode()), size],
    )
    assert found == [{"comment": "hello"}, {"id": "7", "event": "status", "data": '{"a":\n"é ☃"}'}, {"data": "{}"}]
