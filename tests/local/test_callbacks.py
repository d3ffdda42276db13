"""The callback: one POST with the answer of the function."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from aiohttp import web

from pipeline.local.openfaas.message_queue import Callback
from pipeline.local.services.ports import free_port
from tests.rigs.openfaas.local_platform import Gate, Recorder, platform, served
from tests.rigs.waiting import wait_until

COLLECT = "/function/pipeline/collect"


async def test_callback_has_the_functions_headers_but_not_the_callers() -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"X-Mode": "evil", "X-Function-Name": "other", "X-Function-Status": "200", "X-Call-Id": "forged"}
        return web.Response(status=418, text="tea", headers=headers)

    async with platform() as stand_in:
        stand_in.recorder.answers["/task"] = answer
        await stand_in.enqueue("pipeline/task", to=COLLECT + "?sig=a%2Fb&x=", X_Call_Id="c1", X_Private="caller")
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert (callback.method, callback.path, callback.body) == ("POST", "/collect?sig=a%2Fb&x=", b"tea")
        assert callback.headers["X-Mode"] == "evil"
        assert callback.headers.getall("X-Function-Name") == ["pipeline"]
        assert callback.headers.getall("X-Function-Status") == ["418"]
        assert callback.headers.getall("X-Call-Id") == ["c1"]
        assert float(callback.headers["X-Duration-Seconds"]) > 0
        assert not {"X-Private", "X-Callback-Url", "Content-Length"} & set(callback.headers)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
async def test_callback_is_not_retried_whatever_its_status(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with platform(workers=1) as stand_in:
        stand_in.recorder.answers["/collect"] = refuse
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await stand_in.enqueue("pipeline/next")
        await wait_until(lambda: stand_in.recorder.at("/next"))
        assert stand_in.calls() == ["/task", "/collect", "/next"]
        assert [record.status for record in stand_in.gateway.callback_log] == [status]


async def test_callback_time_is_measured_from_post_to_answer() -> None:
    inside = []

    async def slow(_: web.Request) -> web.Response:
        started = time.perf_counter()
        await asyncio.sleep(0.05)
        inside.append(time.perf_counter() - started)
        return web.Response()

    async with platform() as stand_in:
        stand_in.recorder.answers["/collect"] = slow
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (record,) = await wait_until(lambda: stand_in.gateway.callback_log)
        assert [record.seconds > seconds for seconds in inside] == [True]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/gone", "/no/scheme", "mailto:nobody"])
async def test_unreachable_callback_is_only_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with platform(workers=1) as stand_in:
        await stand_in.enqueue("pipeline/task", X_Callback_Url=url.format(port=free_port()))
        await stand_in.enqueue("pipeline/next")
        await wait_until(lambda: stand_in.recorder.at("/next"))
        (record,) = stand_in.gateway.callback_log
        assert (record.function, record.function_status, record.status) == ("pipeline", 200, None)
        assert len(stand_in.recorder.at("/task")) == 1
        assert "callback to " in caplog.text


async def test_worker_that_cannot_reach_the_gateway_reports_503() -> None:
    async with platform() as stand_in:
        stand_in.gateway.cut_off = True
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert (callback.headers["X-Function-Status"], callback.body) == ("503", b"")
        assert stand_in.recorder.at("/task") == []


async def test_callback_follows_a_redirect_as_a_get_without_body() -> None:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/function/pipeline/moved?x=1"})

    async with platform() as stand_in:
        stand_in.recorder.answers["/collect"] = redirect
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (moved,) = await wait_until(lambda: stand_in.recorder.at("/moved"))
        assert (moved.method, moved.path, moved.body) == ("GET", "/moved?x=1", b"")
        assert "Transfer-Encoding" not in moved.headers
        (record,) = await wait_until(lambda: stand_in.gateway.callback_log)
        assert record.status == 200


@pytest.mark.parametrize(("chunked", "framing"), [(False, ("2", None)), (True, (None, "chunked"))])
async def test_callback_has_a_length_if_the_answer_had_one(*, chunked: bool, framing: tuple[str | None, ...]) -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(text="ok")
        if chunked:
            response.enable_chunked_encoding()
        return response

    sink = Recorder()
    async with platform() as stand_in, served(sink) as receiver:
        stand_in.recorder.answers["/task"] = answer
        await stand_in.enqueue("pipeline/task", X_Callback_Url=receiver)
        (callback,) = await wait_until(lambda: sink.requests)
        assert (callback.headers.get("Content-Length"), callback.headers.get("Transfer-Encoding")) == framing
        assert (callback.headers["Connection"], callback.headers["Accept-Encoding"]) == ("close", "gzip")
        assert (callback.headers["User-Agent"], callback.body) == ("Go-http-client/1.1", b"ok")


async def test_five_megabytes_arrive_complete() -> None:
    large = bytes(range(256)) * 20_000

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=large)

    async with platform() as stand_in:
        stand_in.recorder.answers["/task"] = answer
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert callback.body == large


async def test_compressed_answer_is_decoded_unless_the_caller_asked_for_it() -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(text="long " * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with platform() as stand_in:
        stand_in.recorder.answers["/task"] = answer
        async with stand_in.client.post(
            stand_in.url("/async-function/pipeline/task"),
            headers={"X-Callback-Url": stand_in.url(COLLECT)},
            skip_auto_headers=["Accept-Encoding"],
        ):
            pass
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert callback.body == b"long " * 1000
        assert "Content-Encoding" not in callback.headers
        async with stand_in.client.post(stand_in.url("/function/pipeline/task")) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert await response.text() == "long " * 1000


async def test_callbacks_can_be_lost_duplicated_and_delayed() -> None:
    delays: dict[str, Sequence[float]] = {"lost": (), "tripled": (0.0, 0.0, 0.0), "late": (0.05,), "again": (0.0, 0.05)}

    def hook(callback: Callback) -> Sequence[float]:
        assert (callback.function, callback.status, callback.path) == (
            "pipeline",
            200,
            f"/function/pipeline/collect?{callback.call_id}",
        )
        assert callback.headers["X-Call-Id"] == callback.call_id
        return delays[callback.call_id]

    async with platform(workers=1, callbacks=hook) as stand_in:
        for call_id in delays:
            await stand_in.enqueue("pipeline/task", to=f"{COLLECT}?{call_id}", X_Call_Id=call_id)
        await wait_until(lambda: len(stand_in.gateway.callback_log) == 6)
        seen = stand_in.recorder.at("/collect")
        assert sorted(callback.path.partition("?")[2] for callback in seen) == [
            *("again", "again", "late", "tripled", "tripled", "tripled")
        ]
        tripled = [callback for callback in seen if callback.path.endswith("tripled")]
        assert len({callback.headers["X-Duration-Seconds"] for callback in tripled}) == 1
        assert {callback.body for callback in tripled} == {b"ok"}


async def test_concurrent_copies_hold_the_slot_and_later_ones_do_not() -> None:
    async with platform(workers=1) as stand_in:
        gate = stand_in.recorder.answers["/collect"] = Gate()
        stand_in.gateway.callbacks_hook = lambda _: [0.0, 0.0, 3600.0]
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await stand_in.enqueue("pipeline/next")
        await wait_until(lambda: gate.held == 2)
        assert stand_in.gateway.queue_depth() == 1
        gate.open()
        await wait_until(lambda: stand_in.recorder.at("/next"))
        assert gate.finished == 2
