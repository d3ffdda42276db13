"""The end of a batch is written to S3 in several steps: a request or a kill in between leaves nothing undone."""

from typing import Any

import pytest

from tests.rigs.function.interrupted_close import before_close
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.lost_redis import go_on, lose_redis


class Killed(BaseException):
    """The replica is gone."""


async def run_again(pipeline: PipelineBench) -> None:
    """Survey S3, and run the batch to its end with every duty due."""
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await go_on(pipeline)


async def test_sweep_does_not_undo_the_cancel_of_a_redrive(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a", "b")
    await pipeline.deliver_all()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    before_close(pipeline, monkeypatch, pipeline.sweep)
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.deliver_all()
    await run_again(pipeline)
    status = await pipeline.status()
    assert (status["state"], status["generation"], status["failed"]) == ("cancelled", 0, 2)
    assert pipeline.mark not in await pipeline.objects()


async def test_redrive_requested_while_closing_survives_the_death_of_all_replicas(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a")
    close = pipeline.context.records.close

    async def killed(_batch: str) -> None:
        raise Killed

    async def redrive_and_close(batch: str, status: dict[str, Any]) -> None:
        await pipeline.handle("redrive", {"batch": batch})
        await close(batch, status)
        monkeypatch.setattr(pipeline.context.ledger.index, "add_open", killed)

    monkeypatch.setattr(pipeline.context.records, "close", redrive_and_close)
    with pytest.raises(Killed):
        await pipeline.deliver_all()
    monkeypatch.undo()
    pipeline.queue.clear()
    pipeline.serve(answering(lambda text: (200, text)))
    await run_again(pipeline)
    assert ((await pipeline.status())["generation"], (await pipeline.status())["succeeded"]) == (1, 1)


async def test_older_end_written_late_does_not_replace_a_newer_one(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (422 if text == "b" else 200, text)))
    await pipeline.submit_rows("a", "b")

    async def redrive() -> None:
        pipeline.serve(answering(lambda text: (200, text)))
        await pipeline.handle("redrive", {"batch": pipeline.batch})
        await pipeline.deliver_all()
        assert (await pipeline.status())["generation"] == 1

    before_close(pipeline, monkeypatch, redrive)
    await pipeline.deliver_all()
    before = await pipeline.status()
    await lose_redis(pipeline)
    assert await pipeline.status() == before
    assert (before["generation"], before["succeeded"]) == (1, 2)


async def test_redrive_requested_while_closing_keeps_its_mark(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a")
    before_close(pipeline, monkeypatch, lambda: pipeline.handle("redrive", {"batch": pipeline.batch}))
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.deliver(pipeline.queue.pop(0))
    assert pipeline.mark in await pipeline.objects()
    assert [batch for batch, _ in await pipeline.context.ledger.index.open_batches()] == [pipeline.batch]
    await pipeline.deliver_all()
    assert pipeline.mark not in await pipeline.objects()
