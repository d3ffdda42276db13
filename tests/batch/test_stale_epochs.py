"""Anything stamped with an older epoch of an id, or of a deleted batch, changes nothing in the current one."""

from typing import Any

import pytest

from pipeline.errors import UnavailableError
from pipeline.tasks import settle as duties
from pipeline.tasks import settle as settling
from tests.rigs.function.interrupted_close import before_close
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.lost_redis import come_back, go_on, redis_snapshot, urls


@pytest.fixture(autouse=True)
def uppercase_model(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text.upper())))


async def survey(pipeline: PipelineBench) -> None:
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()


@pytest.mark.parametrize("surveyed", [False, True])
async def test_old_ledger_publishes_nothing_over_a_later_batch(pipeline: PipelineBench, *, surveyed: bool) -> None:
    await pipeline.submit_rows("a", "b", "c", window="1")
    await pipeline.deliver(pipeline.queue.pop(0))
    older, first = await redis_snapshot(pipeline), list(pipeline.queue)
    await go_on(pipeline)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    await pipeline.submit_rows("x", "y", "z", window="1")
    await go_on(pipeline)
    before = await pipeline.summary()
    await come_back(pipeline, older)
    if surveyed:
        await survey(pipeline)
        assert (await pipeline.status())["state"] == "done"
    pipeline.queue[:] = first
    if surveyed:
        await pipeline.deliver_all()
    else:
        with pytest.raises(UnavailableError, match="Redis holds an earlier life of batch"):
            await pipeline.deliver_all()
        pipeline.queue.clear()
        await survey(pipeline)
    assert await pipeline.summary() == before
    assert urls(before) == ["x", "y", "z"]
    assert (await pipeline.status())["succeeded"] == 3


async def test_objects_that_an_old_ledger_wrote_are_deleted(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    older: dict[Any, Any] = {}
    write = duties.write_due_segment

    async def with_snapshot(*arguments: Any) -> None:
        older.update(await redis_snapshot(pipeline))
        await write(*arguments)

    with monkeypatch.context() as fault:
        fault.setattr(settling, "write_due_segment", with_snapshot)
        await pipeline.deliver(pipeline.queue.pop(0))
    await go_on(pipeline)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    await come_back(pipeline, older)
    await pipeline.context.ledger.index.end_survey()
    await pipeline.bench().age_duty("s:0")
    await pipeline.sweep()
    assert await pipeline.objects() != []
    pipeline.queue.clear()
    await survey(pipeline)
    assert await pipeline.objects() == []
    assert await pipeline.bench().fields() == {}
    await pipeline.submit_rows("x")
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["x"]


async def test_late_close_does_not_end_the_next_batch_of_the_id(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    close = pipeline.context.records.close
    await pipeline.context.store.put(f"{pipeline.name}.csv", b"url\nx\ny\n")

    async def late(batch: str, status: dict[str, Any]) -> None:
        monkeypatch.undo()
        await pipeline.handle("delete", {"batch": batch})
        monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 1)
        assert (await pipeline.submit(f"{pipeline.name}.csv")).status == 202
        await close(batch, status)
        queued.append(await pipeline.context.records.read_status(batch))

    queued: list[Any] = []
    monkeypatch.setattr(pipeline.context.records, "close", late)
    await pipeline.deliver_all()
    assert queued == [None]
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["x", "y"]


async def test_end_mark_of_an_earlier_batch_is_removed_for_the_next_one(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")

    async def replace_batch() -> None:
        await pipeline.handle("delete", {"batch": pipeline.batch})
        await pipeline.submit_rows("x", window="1")

    before_close(pipeline, monkeypatch, replace_batch)
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.deliver(pipeline.queue.pop(0))
    objects = await pipeline.objects()
    assert f"{pipeline.batch}/status.json" not in objects
    assert pipeline.mark in objects
    assert await pipeline.context.records.ended_batches() == []
    await go_on(pipeline)


async def test_cancelled_redrive_does_not_run_from_an_old_ledger(pipeline: PipelineBench) -> None:
    calls: list[str] = []

    def called(text: str) -> tuple[int, Any]:
        calls.append(text)
        return 200, text

    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a", "b")
    await go_on(pipeline)
    older = await redis_snapshot(pipeline)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver(pipeline.queue.pop(0))
    assert (await pipeline.status())["generation"] == 1
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await come_back(pipeline, older)
    pipeline.queue.clear()
    pipeline.serve(answering(called))
    for _ in range(2):
        await survey(pipeline)
        await pipeline.deliver_all()
    assert calls == []
    assert ((await pipeline.status())["state"], (await pipeline.status())["generation"]) == ("done", 0)
    assert pipeline.mark not in await pipeline.objects()
