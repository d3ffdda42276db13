"""A rebuilt ledger counts the segments as the lost one did, and stops at the same failure."""

from typing import Any, Literal

import pytest

from pipeline.ledger import ledger as ledger_module
from pipeline.store.segments import write_segment
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.lost_redis import go_on, lose_redis, urls
from tests.rigs.s3.outcomes import answer, answers, outcome


@pytest.fixture(autouse=True)
def small_segments(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three outcomes make a segment; items that start with `no` fail for good, those with `later` may run again."""
    monkeypatch.setattr(ledger_module, "SEGMENT_OUTCOMES", 3)

    def reply(text: str) -> tuple[int, Any]:
        return 422 if text.startswith("no") else 503 if text.startswith("later") else 200, text

    pipeline.serve(answering(reply))


async def rebuilt(pipeline: PipelineBench, *rows: str, **options: str) -> dict[str, str]:
    """Lose a batch whose first segment is written, and rebuild it; returns its new ledger."""
    await pipeline.submit_rows(*rows, window="1", **options)
    for _ in range(3):
        await pipeline.deliver(pipeline.queue.pop(0))
    await lose_redis(pipeline)
    pipeline.queue.clear()
    await pipeline.sweep()
    await pipeline.deliver(pipeline.queue.pop(0))
    return await pipeline.bench().fields()


@pytest.mark.parametrize(("attempts", "given_up"), [("1", "2"), ("2", "1")])
async def test_retryable_failure_counts_as_given_up_only_in_the_last_generation(
    pipeline: PipelineBench, attempts: str, given_up: str
) -> None:
    fields = await rebuilt(pipeline, "later a", "no b", "c", "d", attempts=attempts, tolerate="2")
    assert (fields["state"], fields["given_up"], fields["failed"], fields["succeeded"]) == (
        "running",
        given_up,
        "2",
        "1",
    )
    assert (fields["final"], fields["tolerated"]) == ("1" if attempts == "1" else "0", "2")
    pipeline.queue.clear()


async def test_rebuilt_batch_stops_at_one_failure_more_than_tolerated(pipeline: PipelineBench) -> None:
    fields = await rebuilt(pipeline, "no a", "b", "c", "d", "no e", "f", tolerate="1")
    assert (fields["state"], fields["given_up"]) == ("running", "1")
    await go_on(pipeline)
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("failed", "2 items failed, and 1 are tolerated")
    summary = await pipeline.summary()
    assert (urls(summary), urls(summary, "failures")) == (["b", "c", "d"], ["no a", "no e", "f"])


async def test_rebuilt_batch_keeps_its_creation_time(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", window="1")
    created = (await pipeline.status())["created"]
    await lose_redis(pipeline)
    await go_on(pipeline)
    assert (await pipeline.status())["created"] == pytest.approx(created, abs=1e-3)


async def test_batch_stopped_by_its_failures_stays_failed(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("no a", "no b", "c", "d", window="2", tolerate="1")
    for place in (0, 1, 0, 0):
        await pipeline.deliver(pipeline.queue.pop(place))
    assert await pipeline.bench().state() == "reducing"
    await lose_redis(pipeline)
    pipeline.queue.clear()
    await go_on(pipeline)
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("failed", "2 items failed, and 1 are tolerated")
    summary = await pipeline.summary()
    assert (urls(summary), urls(summary, "failures")) == (["c"], ["no a", "no b", "d"])


@pytest.mark.parametrize("written", [0, 1])
async def test_task_runs_again_while_any_of_its_items_has_no_outcome(pipeline: PipelineBench, written: int) -> None:
    await pipeline.submit_rows("a", "b", chunk="2")
    epoch = (await pipeline.bench().current(0)).epoch
    await write_segment(pipeline.context.store, pipeline.batch, 0, epoch, 0, answers(written))
    await lose_redis(pipeline)
    pipeline.queue.clear()
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["a", "b"]


async def test_success_in_a_segment_outweighs_failures(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b", attempts="1")
    store, epoch = pipeline.context.store, (await pipeline.bench().current(0)).epoch
    statuses: tuple[Literal["failed", "succeeded"], ...] = ("failed", "succeeded", "failed")
    for number, status in enumerate(statuses):
        written = [answer([outcome(0, status, retryable=status == "failed", result=b"%d" % number)])]
        await write_segment(store, pipeline.batch, 0, epoch, number, written)
    await lose_redis(pipeline)
    pipeline.queue.clear()
    await pipeline.sweep()
    await pipeline.deliver(pipeline.queue.pop(0))
    fields = await pipeline.bench().fields()
    assert (fields["succeeded"], fields["failed"]) == ("1", "0")
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["a", "b"]
