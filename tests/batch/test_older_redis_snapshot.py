"""Redis comes back with older data, after a failover or from a snapshot: later answers and requests still hold."""

import contextlib
import dataclasses
from collections import Counter
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConflictError, NotFoundError, UnavailableError
from pipeline.ledger import ledger as ledger_module
from pipeline.ledger.ledger import Ledger
from pipeline.store.bucket import Check
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering
from tests.rigs.redis.lost_redis import come_back, go_on, lose_redis, redis_snapshot, urls


@pytest.fixture(autouse=True)
def calls(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of model calls by item; three outcomes make a segment."""
    counted: Counter[str] = Counter()

    def reply(text: str) -> tuple[int, Any]:
        counted[text] += 1
        return 200, text.upper()

    pipeline.serve(answering(reply))
    monkeypatch.setattr(ledger_module, "SEGMENT_OUTCOMES", 3)
    return counted


async def test_cancel_survives_an_older_snapshot(pipeline: PipelineBench, calls: Counter[str]) -> None:
    await pipeline.submit_rows("a", "b", "c", "d", window="1")
    older = await redis_snapshot(pipeline)
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await come_back(pipeline, older)
    await pipeline.sweep()
    await go_on(pipeline)
    assert (await pipeline.status())["state"] == "cancelled"
    assert not calls


async def test_redrive_clears_the_cancel_before_it(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b", "c", "d", window="1")
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await go_on(pipeline)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await go_on(pipeline)
    assert (await pipeline.status())["state"] == "done"


async def test_ended_ledger_of_an_earlier_batch_does_not_end_the_current_one(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await go_on(pipeline)
    older = await redis_snapshot(pipeline)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    await pipeline.submit_rows("x", "y", window="1")
    await come_back(pipeline, older)
    pipeline.queue.clear()
    await pipeline.sweep()
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["x", "y"]


async def test_deletion_of_an_earlier_batch_erases_nothing_of_the_current_one(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await go_on(pipeline)
    erase, older = pipeline.context.records.erase, {}

    async def with_snapshot(batch: str, check: Check) -> None:
        older.update(await redis_snapshot(pipeline))
        await erase(batch, check)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.context.records, "erase", with_snapshot)
        await pipeline.handle("delete", {"batch": pipeline.batch})
    await pipeline.submit_rows("x", "y", window="1")
    before = await pipeline.objects()
    await come_back(pipeline, older)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await pipeline.objects() == before
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == ["x", "y"]


async def test_interrupted_deletion_is_completed(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await go_on(pipeline)
    await pipeline.context.ledger.control.delete(pipeline.batch, "dead")
    await pipeline.context.ledger.index.add_open(pipeline.batch)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await pipeline.objects() != []
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await pipeline.objects() == []
    assert await pipeline.bench().fields() == {}


async def test_snapshot_from_before_a_rebuild_loses_no_segment(
    pipeline: PipelineBench, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"row {n:02}" for n in range(20)]
    await pipeline.submit_rows(*rows, window="4")
    for _ in range(13):
        await pipeline.deliver(pipeline.queue.pop(0))
    await lose_redis(pipeline)
    pipeline.queue.clear()
    restore, older = Ledger.restore, {}

    async def with_snapshot(*arguments: Any) -> Any:
        older.update(await redis_snapshot(pipeline))
        return await restore(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "restore", with_snapshot)
        await pipeline.sweep()
        await pipeline.deliver(pipeline.queue.pop(0))
    pipeline.queue.clear()
    before = calls.copy()
    await come_back(pipeline, older)
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == rows
    assert set(calls - before) == set(rows[12:])


async def test_clock_that_went_back_hides_no_segment(pipeline: PipelineBench, calls: Counter[str]) -> None:
    rows = [f"row {n:02}" for n in range(20)]
    await pipeline.submit_rows(*rows, window="4")
    for _ in range(13):
        await pipeline.deliver(pipeline.queue.pop(0))
    submission = await pipeline.context.records.read(pipeline.batch)
    later = int(submission.epoch, 16) + 3_600_000_000
    await _change_epoch(pipeline, f"{later:x}")
    before = calls.copy()
    for _ in range(2):
        await lose_redis(pipeline)
        pipeline.queue.clear()
        await pipeline.sweep()
        await pipeline.deliver(pipeline.queue.pop(0))
        assert int((await pipeline.bench().fields())["epoch"], 16) > later
    await go_on(pipeline)
    assert urls(await pipeline.summary()) == rows
    assert set(calls - before) == set(rows[12:])


async def _change_epoch(pipeline: PipelineBench, epoch: str) -> None:
    """Rewrite the batch as if it had been opened, and its segments written, by a clock that was ahead."""
    context = pipeline.context
    submission = await context.records.read(pipeline.batch)
    old = submission.epoch
    for key in await context.store.list(f"{pipeline.batch}/segments/"):
        await context.store.copy(await context.store.head(key), key.replace(old, epoch))
        await context.store.delete(key)
    await context.records.write(pipeline.batch, msgspec.structs.replace(submission, epoch=epoch))


async def test_success_replaces_a_failure_that_redis_forgot(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (503, text)))
    await pipeline.submit_rows("a", attempts="2")
    older = await redis_snapshot(pipeline)
    message = pipeline.queue[0]
    await pipeline.deliver(message)
    await come_back(pipeline, older)
    pipeline.queue.clear()
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.deliver(message)
    pipeline.serve(answering(lambda text: (503, text)))
    await go_on(pipeline)
    summary = await pipeline.summary()
    assert (urls(summary), urls(summary, "failures")) == (["a"], [])
    status = await pipeline.status()
    assert (status["generation"], status["succeeded"], status["failed"]) == (0, 1, 0)


@pytest.mark.parametrize("asked", ["nothing", "submit", "another", "redrive", "delete", "pause"])
@pytest.mark.parametrize("when", ["running", "done"])
async def test_deleted_batch_stays_deleted(pipeline: PipelineBench, when: str, asked: str) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    older = await redis_snapshot(pipeline)
    await go_on(pipeline)
    if when == "done":
        older = await redis_snapshot(pipeline)
        older.pop(f"{pipeline.name}:open".encode(), None)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    await come_back(pipeline, older)
    again = {"submit": "url\na\nb\n", "another": "url\nx\n"}.get(asked)
    if again:
        response = await pipeline.submit(again, CSV, {"window": "1"})
        assert response.status == 201
        await go_on(pipeline)
        assert urls(await pipeline.summary()) == again.split()[1:]
        return
    if asked != "nothing":
        with contextlib.suppress(ConflictError, NotFoundError, UnavailableError):
            await pipeline.handle(asked, {"batch": pipeline.batch})
    for _ in range(3):
        await pipeline.redis.delete(f"{pipeline.name}:epoch")
        await pipeline.sweep()
        pipeline.queue.clear()
        for duty in await pipeline.bench().due():
            await pipeline.bench().age_duty(duty)
        if await pipeline.bench().fields():
            await pipeline.bench().age(lease_until=-1)
    if when == "running" or asked in {"redrive", "delete"}:
        assert await pipeline.bench().fields() == {}
    assert await pipeline.objects() == []
    assert await pipeline.context.ledger.index.open_batches() == []


async def test_generation_begun_again_with_other_items_ignores_old_answers(pipeline: PipelineBench) -> None:
    failing = {"b", "c"}
    pipeline.serve(answering(lambda text: (503 if text in failing else 200, text.upper())))
    await pipeline.submit_rows("a", "b", "c", attempts="2")
    older, messages = await redis_snapshot(pipeline), list(pipeline.queue)
    await pipeline.deliver_all()
    failing.clear()
    await pipeline.bench().age(not_before=-1)
    await pipeline.sweep()
    late = next(message for message in pipeline.queue if message.query["task"] == "0")
    answer = await pipeline.run_task(late)
    snapshots = pipeline.context.snapshots
    await come_back(pipeline, older)
    pipeline.context = dataclasses.replace(pipeline.context, snapshots=snapshots)
    failing.add("c")
    pipeline.queue[:] = messages
    await pipeline.deliver_all()
    assert (await pipeline.status())["generation"] == 1
    failing.clear()
    assert (await pipeline.call_back(late, answer))["verdict"] == "closed"
    await go_on(pipeline)
    status, summary = await pipeline.status(), await pipeline.summary()
    assert (status["generation"], status["succeeded"], status["failed"]) == (1, 3, 0)
    assert [entry["result"] for entry in summary["results"]["results"]] == ["A", "B", "C"]
