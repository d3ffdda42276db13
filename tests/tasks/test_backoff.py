"""Waits: after a failed attempt, between generations, and between the calls of a rate."""

import random

import pytest

from pipeline.identity import Identity
from tests.rigs.function.pipeline_bench import PipelineBench, answering

SECOND = 1_000_000


async def test_failed_attempts_double_their_backoff_up_to_a_minute(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def longest(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", longest)
    await pipeline.submit_rows(*"abc")
    (epoch,) = {message.query["epoch"] for message in pipeline.queue}
    bench = pipeline.bench()
    for task, attempt in ((0, 0), (1, 5), (2, 9)):
        await pipeline.redis.hset(bench.key("attempts"), str(task), str(attempt))
        callback = pipeline.signed("callback", Identity(pipeline.batch, 0, task, attempt, epoch))
        await pipeline.handle("collect", callback, {"X-Function-Status": "503"}, path="/collect")
    assert await bench.due() == {"t:0": 0.0, "t:1": 30.0, "t:2": 60.0}
    assert drawn == [(0.5, 1)] * 3
    pipeline.queue.clear()


async def test_generations_double_their_delay_and_a_redrive_has_none(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (500, text)))
    await pipeline.submit_rows("a", attempts="3")
    bench, waited = pipeline.bench(), []
    for _ in range(2):
        await pipeline.deliver_all()
        fields = await bench.fields()
        waited.append(int(fields["not_before"]) - int(fields["heard_at"]))
        await bench.age(not_before=-1)
        await pipeline.sweep()
    assert waited == [SECOND, 2 * SECOND]
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver(pipeline.queue.pop(0))
    fields = await bench.fields()
    assert (fields["generation"], int(fields["not_before"]) - int(fields["heard_at"])) == ("3", 0)
    await pipeline.deliver_all()
    fields = await bench.fields()
    assert (fields["generation"], int(fields["not_before"]) - int(fields["heard_at"])) == ("4", SECOND)
    pipeline.queue.clear()


async def test_exhausted_task_reruns_its_items_one_by_one(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows(*"abcd", chunk="2", window="1", attempts="2")
    lost = pipeline.queue.pop(0)
    assert await pipeline.call_back(lost, None, 500) == {"verdict": "retry"}
    bench = pipeline.bench()
    await bench.age_duty("t:0")
    await pipeline.sweep()
    again = next(message for message in pipeline.queue if message.task == 0)
    pipeline.queue.remove(again)
    assert (again.attempt, await pipeline.call_back(again, None, 500)) == (1, {"verdict": "exhausted"})
    assert [(message.task, message.attempt) for message in pipeline.queue] == [(1, 0)]
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["generation"], status["tasks"], status["succeeded"], status["failed"]) == (1, 2, 2, 0)
    pipeline.queue.clear()


@pytest.mark.parametrize(("options", "reserved"), [({"rate": "1000"}, True), ({}, False)])
async def test_only_a_batch_with_a_rate_reserves_turns(
    pipeline: PipelineBench, options: dict[str, str], *, reserved: bool
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", "b", **options)
    answer = await pipeline.run_task(pipeline.queue.pop(0))
    assert answer.status == 200
    assert ("called_at" in await pipeline.bench().fields()) is reserved
    pipeline.queue.clear()
