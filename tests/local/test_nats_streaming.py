"""NATS Streaming: copies that pile up in the workers' inboxes, what it keeps and drops, and its restart."""

import asyncio
import contextlib
from collections import Counter

import pytest
from aiohttp import web
from multidict import CIMultiDict

from pipeline.local.errors import LocalError
from pipeline.local.openfaas.message_queue import Message
from pipeline.local.openfaas.nats_streaming import NatsStreaming
from pipeline.local.openfaas.pro_worker import ProWorker
from tests.rigs.openfaas.local_platform import Gate, platform
from tests.rigs.virtual_time import run_in_virtual_time
from tests.rigs.waiting import wait_until


def message(number: int, body: bytes = b"") -> Message:
    return Message("model", f"/{number}", CIMultiDict(), body, f"call-{number}", None)


class Work:
    """Workers that take `seconds` for a message; counts the runs of each message and notes when the first ended."""

    def __init__(self, queue: NatsStreaming, seconds: float) -> None:
        self.runs: Counter[str] = Counter()
        self.first_end: dict[str, float] = {}
        self._queue = queue
        self._seconds = seconds

    async def worker(self) -> None:
        subscription = self._queue.subscribe()
        while (received := await subscription.next()) is not None:
            sequence, taken = received
            self.runs[taken.path] += 1
            await asyncio.sleep(self._seconds)
            self.first_end.setdefault(taken.path, asyncio.get_running_loop().time())
            self._queue.acknowledge(subscription, sequence)


def run(rows: int, workers: int, seconds: float, ack_wait: float, until: float) -> Work:
    """Return the work that is done by a time."""

    async def work() -> Work:
        queue = NatsStreaming(ack_wait)
        done = Work(queue, seconds)
        tasks = [asyncio.create_task(done.worker()) for _ in range(workers)]
        await asyncio.sleep(0)
        for number in range(rows):
            queue.put(message(number))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks), until)
        return done

    return run_in_virtual_time(work())


def test_storm_keeps_every_worker_busy_with_copies() -> None:
    """The real queue made 356 calls in these 447 s, up to 36 for one row, and had not begun with the last one."""
    storm = run(rows=24, workers=4, seconds=5, ack_wait=2, until=447)
    assert 340 <= storm.runs.total() <= 360
    assert max(storm.runs.values()) >= 36
    assert len(storm.first_end) < 24


def test_message_that_outlives_ack_wait_runs_three_times_on_two_workers() -> None:
    assert run(rows=1, workers=2, seconds=5, ack_wait=2, until=1000).runs == {"/0": 3}


def test_messages_within_ack_wait_run_once_each() -> None:
    work = run(rows=24, workers=4, seconds=5, ack_wait=6, until=1000)
    assert set(work.runs.values()) == {1}
    assert max(work.first_end.values()) == pytest.approx(30)


async def test_gateway_calls_a_slow_function_far_more_often_than_there_are_rows() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.Response()

    async with platform(workers=4, ack_wait=0.02) as stand_in:
        stand_in.recorder.answers["/task"] = slow
        for _ in range(24):
            await stand_in.enqueue("pipeline/task")
        await wait_until(lambda: len(stand_in.recorder.at("/task")) > 72)
        assert stand_in.gateway.queue_depth() > 24


def test_oldest_messages_are_dropped_silently_even_before_their_delivery() -> None:
    async def work() -> tuple[list[str], tuple[int, int]]:
        queue = NatsStreaming(60, max_messages=3)
        for number in range(5):
            queue.put(message(number, b"x" * 300))
        return [one.path for one in queue.messages()], (queue.kept_messages, queue.kept_bytes)

    waiting, (count, size) = run_in_virtual_time(work())
    assert waiting == ["/2", "/3", "/4"]
    assert count == 3
    assert 3 * 700 <= size < 3 * 800


def test_dropped_message_is_not_redelivered() -> None:
    async def work() -> Counter[str]:
        queue = NatsStreaming(2, max_messages=1)
        done = Work(queue, 5)
        tasks = [asyncio.create_task(done.worker()) for _ in range(2)]
        await asyncio.sleep(0)
        queue.put(message(0))
        queue.put(message(1))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks), 100)
        return done.runs

    runs = run_in_virtual_time(work())
    assert (runs["/0"], runs["/1"]) == (1, 3)


def test_limit_of_bytes_keeps_at_least_one_message() -> None:
    async def work() -> tuple[Message, ...]:
        queue = NatsStreaming(60, max_bytes=1000)
        for number in range(3):
            queue.put(message(number, b"x" * 3000))
        return queue.messages()

    (left,) = run_in_virtual_time(work())
    assert left.path == "/2"


async def test_delivered_messages_stay_in_memory() -> None:
    async with platform() as stand_in:
        for _ in range(3):
            await stand_in.enqueue("pipeline/task", b"x" * 600, to="/function/pipeline/collect")
        await wait_until(lambda: len(stand_in.gateway.callback_log) == 3)
        count, size = stand_in.gateway.kept_messages()
        assert (count, stand_in.gateway.queue_depth()) == (3, 0)
        assert 1000 <= size / count <= 1800
    async with platform(pro=ProWorker()) as other:
        with pytest.raises(LocalError, match="only NATS Streaming keeps messages"):
            other.gateway.kept_messages()


async def test_messages_above_max_messages_are_lost() -> None:
    async with platform(workers=1, max_messages=2) as stand_in:
        gate = stand_in.recorder.answers["/first"] = Gate()
        await stand_in.enqueue("pipeline/first")
        await wait_until(lambda: gate.held)
        for path in ("second", "third", "fourth"):
            assert (await stand_in.enqueue(f"pipeline/{path}")).status == 202
        gate.open()
        await wait_until(lambda: stand_in.calls() == ["/first", "/third", "/fourth"])


async def test_restart_of_nats_loses_the_queue_and_refuses_messages_for_a_while() -> None:
    async with platform(workers=1, ack_wait=0.05) as stand_in:
        gate = stand_in.recorder.answers["/running"] = Gate()
        await stand_in.enqueue("pipeline/running", to="/function/pipeline/collect")
        await wait_until(lambda: gate.held)
        await stand_in.enqueue("pipeline/lost")
        stand_in.gateway.restart_nats(away=0.02, reconnect=0.05)
        assert (stand_in.gateway.queue_depth(), stand_in.gateway.kept_messages()) == (0, (0, 0))

        async def enqueue() -> int:
            async with stand_in.client.post(stand_in.url("/async-function/pipeline/next")) as response:
                assert response.status == 202 or (await response.text()).startswith("Error queuing request: ")
                return response.status

        assert await enqueue() == 500

        async def is_back() -> bool:
            return await enqueue() == 202

        await wait_until(is_back)
        # The workers have connected again; the running call goes on, and its answer comes home.
        await wait_until(lambda: stand_in.recorder.at("/next"))
        gate.open()
        await wait_until(lambda: stand_in.recorder.at("/collect"))
        assert stand_in.calls() == ["/running", "/next", "/collect"]
