"""Redis has lost everything: the batch is rebuilt from S3, and only items without an outcome there run again."""

from collections import Counter
from typing import Any

import pytest

from pipeline.errors import UnavailableError
from pipeline.ledger import ledger as ledger_module
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering
from tests.rigs.redis.lost_redis import go_on, lose_redis, urls


@pytest.fixture
def calls(pipeline: PipelineBench) -> Counter[str]:
    """The number of model calls by item; an item that starts with `no` fails for good."""
    counted: Counter[str] = Counter()

    def reply(text: str) -> tuple[int, Any]:
        counted[text] += 1
        status = 422 if text.startswith("no") else 503 if text.startswith("later") and counted[text] < 6 else 200
        return status, text.upper()

    pipeline.serve(answering(reply))
    return counted


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three outcomes make a segment."""
    monkeypatch.setattr(ledger_module, "SEGMENT_OUTCOMES", 3)


async def test_sweep_rebuilds_a_batch_and_reruns_only_items_without_a_segment(
    pipeline: PipelineBench, calls: Counter[str]
) -> None:
    rows = [f"row {n}" for n in range(20)]
    await pipeline.submit_rows(*rows, window="4")
    for _ in range(11):
        await pipeline.deliver(pipeline.queue.pop(0))
    await lose_redis(pipeline)
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == rows
    assert [row for row in rows if calls[row] > 1] == rows[9:11]
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"]) == ("done", 20, 0)
    assert pipeline.mark not in await pipeline.objects()


async def test_messages_from_before_the_loss_settle_nothing(pipeline: PipelineBench, calls: Counter[str]) -> None:
    await pipeline.submit_rows("a", "b", "c", "d")
    old = list(pipeline.queue)
    pipeline.queue.clear()
    answers = [await pipeline.run_task(message) for message in old]
    await lose_redis(pipeline)
    assert await pipeline.call_back(old[0], answers[0]) == {"verdict": "unknown"}
    await pipeline.sweep()
    await pipeline.deliver(pipeline.queue.pop(0))
    assert await pipeline.call_back(old[1], answers[1]) == {"verdict": "closed"}
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == list("abcd")
    assert set(calls.values()) == {2}


async def test_failures_and_the_generation_survive(pipeline: PipelineBench, calls: Counter[str]) -> None:
    rows = ["a", "no b", "later c", "later d", "e", "no f", "g"]
    await pipeline.submit_rows(*rows, chunk="2")
    await pipeline.deliver_all()
    assert (await pipeline.status())["generation"] == 1
    before = calls.copy()
    await lose_redis(pipeline)
    await go_on(pipeline)
    summary = await pipeline.summary()
    assert (urls(summary), urls(summary, "failures")) == (["a", "later c", "later d", "e", "g"], ["no b", "no f"])
    again = calls - before
    assert set(again) == {"later c", "later d"}
    status = await pipeline.status()
    assert (status["succeeded"], status["failed"], status["generation"]) == (5, 2, 1)


async def test_repeated_losses_still_end_with_every_row_once(pipeline: PipelineBench, calls: Counter[str]) -> None:
    rows = [f"row {n}" for n in range(12)]
    await pipeline.submit_rows(*rows, window="3")
    for _ in range(4):
        for _ in range(4):
            if pipeline.queue:
                await pipeline.deliver(pipeline.queue.pop(0))
        await lose_redis(pipeline)
        await pipeline.sweep()
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == rows
    assert set(calls) == set(rows)
    again = Counter(calls) - Counter(rows)
    assert again.total() <= 4 * (3 + 2)


async def test_loss_during_the_reduce_still_writes_the_summary(pipeline: PipelineBench, calls: Counter[str]) -> None:
    await pipeline.submit_rows("a", "b", "c")
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    pipeline.queue.clear()
    await lose_redis(pipeline)
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["a", "b", "c"]
    assert set(calls.values()) == {1}


async def test_loss_before_the_snapshot_opens_the_batch_from_its_input(
    pipeline: PipelineBench, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    assert (await pipeline.submit("url\na\nb\n", CSV)).status == 202
    pipeline.queue.clear()
    await lose_redis(pipeline)
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["a", "b"]
    assert set(calls.values()) == {1}


async def test_loss_during_a_redrive_continues_the_redrive(pipeline: PipelineBench, calls: Counter[str]) -> None:
    await pipeline.submit_rows("a", "no b", "c", "no d")
    await pipeline.deliver_all()
    before = calls.copy()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await lose_redis(pipeline)
    await go_on(pipeline)
    again = calls - before
    assert again == {"no b": 1, "no d": 1}
    status = await pipeline.status()
    assert (status["generation"], status["failed"], status["succeeded"]) == (1, 2, 2)


async def test_rebuild_that_dies_is_started_again(
    pipeline: PipelineBench, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows(*"abcdef")
    for _ in range(3):
        await pipeline.deliver(pipeline.queue.pop(0))
    await lose_redis(pipeline)
    pipeline.queue.clear()
    await pipeline.sweep()
    with monkeypatch.context() as fault:

        async def away(*_: object) -> None:
            raise UnavailableError("Redis is away")

        fault.setattr(pipeline.context.ledger, "restore", away)
        with pytest.raises(UnavailableError):
            await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.bench().age(lease_until=-1)
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == list("abcdef")
    assert set(calls.values()) == {1}


async def test_generation_prevented_by_a_cancel_is_not_taken_for_a_running_one(
    pipeline: PipelineBench, calls: Counter[str]
) -> None:
    await pipeline.submit_rows("a", "later b", "no c")
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    begin = pipeline.context.ledger.begin

    async def cancelled_first(*arguments: Any) -> Any:
        await pipeline.context.ledger.control.cancel(pipeline.batch)
        return await begin(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.context.ledger, "begin", cancelled_first)
        await pipeline.deliver(pipeline.queue.pop(0))
    await go_on(pipeline)
    assert (await pipeline.status())["state"] == "cancelled"
    before = calls.copy()
    await lose_redis(pipeline)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await go_on(pipeline)
    assert set(calls - before) == {"later b", "no c"}
