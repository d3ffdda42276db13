"""The queue-worker of OpenFaaS Pro: several messages at once, retries, and messages that outlive their worker."""

import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest
from aiohttp import web
from multidict import CIMultiDict

from pipeline.local.errors import LocalError
from pipeline.local.openfaas.exchange import Answer
from pipeline.local.openfaas.pro_worker import ProWorker
from tests.rigs.openfaas.local_platform import Gate, Recorded, platform
from tests.rigs.waiting import wait_until

COLLECT = "/function/pipeline/collect"
FAST = ProWorker(initial_wait=0.01, max_wait=0.02)


def answers_in_turn(*statuses: int) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer with each status once, then with the last one."""
    left = list(statuses)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    return answer


def reported(callback: Recorded) -> tuple[str, str, str]:
    return tuple(callback.headers[name] for name in ("X-Function-Status", "X-Retry", "X-Retry-Max"))  # type: ignore[return-value]


async def test_worker_handles_several_messages_at_once() -> None:
    async with platform(workers=2, pro=ProWorker(max_inflight=3)) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        for _ in range(7):
            await stand_in.enqueue("pipeline/task")
        await wait_until(lambda: gate.held == 6)
        assert stand_in.gateway.queue_depth() == 1
        gate.open()
        await wait_until(lambda: gate.finished == 7)


async def test_callback_comes_once_after_the_retries() -> None:
    async with platform(pro=FAST) as stand_in:
        stand_in.recorder.answers["/task"] = answers_in_turn(429, 503, 200)
        await stand_in.enqueue("pipeline/task", b"body", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert reported(callback) == ("200", "2", "100")
        assert [call.body for call in stand_in.recorder.at("/task")] == [b"body"] * 3


async def test_last_retry_is_reported_whatever_its_status() -> None:
    async with platform(pro=ProWorker(retry_attempts=2, initial_wait=0.01)) as stand_in:
        stand_in.recorder.answers["/task"] = answers_in_turn(500)
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert reported(callback) == ("500", "2", "2")
        assert len(stand_in.recorder.at("/task")) == 3


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_other_status_is_final_at_once(status: int) -> None:
    async with platform(pro=FAST) as stand_in:
        stand_in.recorder.answers["/task"] = answers_in_turn(status)
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert reported(callback) == (str(status), "0", "100")


async def test_annotations_of_a_function_go_before_the_settings() -> None:
    annotations = {
        "com.openfaas.retry.codes": "404,422",
        "com.openfaas.retry.attempts": "1",
        "com.openfaas.retry.min_wait": "10ms",
        "com.openfaas.retry.max_wait": "1m30s",
    }
    settings = ProWorker().for_function(annotations)
    assert settings == ProWorker(50, frozenset({404, 422}), 1, 0.01, 90.0)
    async with platform(pro=ProWorker(), annotations=annotations) as stand_in:
        stand_in.recorder.answers["/task"] = answers_in_turn(422)
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert reported(callback) == ("422", "1", "1")
        async with stand_in.client.get(stand_in.url("/system/function/pipeline")) as response:
            assert (await response.json())["annotations"] == annotations


@pytest.mark.parametrize(
    ("status", "after", "retries", "least", "most"),
    [
        (500, "", 0, 10, 10),
        (500, "", 2, 40, 40),
        (500, "", 90, 120, 120),
        (429, "30", 0, 30, 30),
        (503, "300", 0, 300, 300),
        (503, "1", 0, 10, 10),
        (429, "in an hour", 0, 3000, 3600),
        (429, "soon", 0, 10, 10),
        (500, "30", 0, 10, 10),
    ],
)
def test_wait_before_a_retry(status: int, after: str, retries: int, least: float, most: float) -> None:
    after = formatdate(time.time() + 3600, usegmt=True) if after == "in an hour" else after
    answer = Answer(status, CIMultiDict({"Retry-After": after}), b"")
    assert least <= ProWorker().wait(answer, retries) <= most


async def test_lease_of_a_slow_message_is_extended() -> None:
    async with platform(workers=2, ack_wait=0.01, pro=FAST) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await wait_until(lambda: gate.held)
        for _ in range(5):
            await stand_in.enqueue("pipeline/next", to=COLLECT)
        await wait_until(lambda: len(stand_in.recorder.at("/collect")) == 5)
        gate.open()
        await wait_until(lambda: len(stand_in.recorder.at("/collect")) == 6)
        assert len(stand_in.recorder.at("/task")) == 1


async def test_message_of_a_dead_worker_is_delivered_again() -> None:
    async with platform(workers=1, ack_wait=0.01, pro=FAST) as stand_in:
        gate = stand_in.recorder.answers["/task"] = Gate()
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await wait_until(lambda: gate.held)
        await stand_in.gateway.kill_worker(0)
        await wait_until(lambda: len(stand_in.recorder.at("/task")) == 2)
        gate.open()
        (callback,) = await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert reported(callback) == ("200", "0", "100")


async def test_worker_of_ce_cannot_be_killed() -> None:
    async with platform() as stand_in:
        with pytest.raises(LocalError, match="only a queue-worker of OpenFaaS Pro"):
            await stand_in.gateway.kill_worker(0)


async def test_message_may_be_almost_a_megabyte() -> None:
    async with platform(pro=FAST) as stand_in:
        assert (await stand_in.enqueue("pipeline", b"x" * 750_000)).status == 202
        async with stand_in.client.post(stand_in.url("/async-function/pipeline"), data=b"x" * 790_000) as response:
            assert (response.status, await response.text()) == (
                500,
                "Error queuing request: nats: maximum payload exceeded\n",
            )


async def test_wiped_queue_forgets_retries() -> None:
    async with platform(workers=1, pro=ProWorker(max_inflight=1, initial_wait=0.02)) as stand_in:
        stand_in.recorder.answers["/task"] = answers_in_turn(500)
        await stand_in.enqueue("pipeline/task", to=COLLECT)
        await stand_in.enqueue("pipeline/second")
        await wait_until(lambda: stand_in.recorder.at("/second"))
        stand_in.gateway.wipe_queue()
        await stand_in.enqueue("pipeline/next", to=COLLECT)
        await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert len(stand_in.recorder.at("/task")) == 1
