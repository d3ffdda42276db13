"""What a task or the writer of a segment leaves of a deleted batch is deleted, and the id stays free."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.batch import survey as surveying
from pipeline.errors import ConflictError, NotFoundError, UnavailableError
from pipeline.store.object_info import ObjectInfo
from tests.rigs.fixtures.event_loop import Freeze
from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document

Late = Callable[[], Awaitable[list[str]]]


async def end_and_delete(pipeline: PipelineBench) -> None:
    """End the batch by other replicas, though a task may be in flight, and delete it."""
    bench = pipeline.bench()
    if (await pipeline.status())["state"] == "running":
        await pipeline.handle("cancel", {"batch": pipeline.batch})
        await bench.age(closing_at=-100_000)
    for duty in await bench.due():
        await bench.age_duty(duty)
    await pipeline.sweep()
    for message in [message for message in pipeline.queue if message.mode == "reduce"]:
        await pipeline.deliver(message)
    assert document(await pipeline.handle("delete", {"batch": pipeline.batch}))["deleted"]
    assert await pipeline.objects() == []


async def running_task(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is deleted while a task runs, which then stores its result."""
    await pipeline.submit_rows("a", "b", inline_limit="0", window="1")
    await deleted_before(pipeline, monkeypatch, "/refs/", lambda: pipeline.run_task(pipeline.queue.pop(0)))


async def segment_writer(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is deleted while the writer of a segment stalls; another replica has written the segment."""
    await pipeline.submit_rows("a")
    await deleted_before(pipeline, monkeypatch, "/segments/", lambda: pipeline.deliver(pipeline.queue.pop(0)))


async def deleted_before(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, part: str, write: Callable[[], Awaitable[object]]
) -> None:
    """Delete the batch between the decision to write an object and the request."""
    put = pipeline.context.store.put

    async def stalled(key: str, body: bytes, content_type: str = "application/json") -> ObjectInfo:
        if part in key:
            fault.undo()
            await end_and_delete(pipeline)
        return await put(key, body, content_type)

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.store, "put", stalled)
        await write()
    pipeline.queue.clear()


@pytest.fixture(params=[running_task, segment_writer])
async def late(request: pytest.FixtureRequest, pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> Late:
    """Leave an object of a deleted batch."""
    pipeline.serve(answering(lambda text: (200, text)))

    async def leave() -> list[str]:
        await request.param(pipeline, monkeypatch)
        objects = await pipeline.objects()
        assert len(objects) == 1
        return objects

    return leave


async def survey(pipeline: PipelineBench) -> None:
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()


async def test_id_is_free_again(pipeline: PipelineBench, late: Late) -> None:
    objects = await late()
    assert (await pipeline.submit("url\nx\ny\n", CSV)).status == 201
    assert objects[0] not in await pipeline.objects()
    await pipeline.deliver_all()
    summary = await pipeline.summary()
    assert [entry["result"] for entry in summary["results"]["results"]] == ["x", "y"]


async def test_it_can_be_deleted_again(pipeline: PipelineBench, late: Late) -> None:
    await late()
    assert document(await pipeline.handle("delete", {"batch": pipeline.batch}))["deleted"]
    assert await pipeline.objects() == []
    with pytest.raises(NotFoundError, match="there is no batch"):
        await pipeline.handle("delete", {"batch": pipeline.batch})


async def test_survey_deletes_it(pipeline: PipelineBench, late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    await late()
    await survey(pipeline)
    assert await pipeline.objects() == []
    mark = f"deleted/{pipeline.name}/{pipeline.batch}"
    assert await pipeline.context.store.list(f"deleted/{pipeline.name}/") == [mark]
    monkeypatch.setattr(surveying, "LATE_WRITES", -1e6)
    await survey(pipeline)
    assert await pipeline.context.store.list(f"deleted/{pipeline.name}/") == []


async def test_survey_leaves_the_next_batch_of_the_id_alone(pipeline: PipelineBench, late: Late) -> None:
    await late()
    assert (await pipeline.submit("url\nx\ny\n", CSV, {"window": "1"})).status == 201
    before = await pipeline.objects()
    await survey(pipeline)
    assert await pipeline.objects() == before
    await pipeline.redis.flushall()
    await survey(pipeline)
    assert set(before) <= set(await pipeline.objects())
    pipeline.queue.clear()


async def test_objects_of_people_under_a_deleted_id_stay(pipeline: PipelineBench, late: Late) -> None:
    await late()
    theirs = [f"{pipeline.batch}.json", *(f"{pipeline.batch}/{name}" for name in ("input.csv", "input/a.csv", "x"))]
    for key in theirs:
        await pipeline.context.store.put(key, b"theirs")
    with pytest.raises(ConflictError, match="that are no batch's: choose another id"):
        await pipeline.submit("url\nx\n", CSV)
    await survey(pipeline)
    assert await pipeline.objects() == theirs
    with pytest.raises(NotFoundError):
        await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == theirs


async def test_task_that_was_frozen_stores_nothing(pipeline: PipelineBench, freeze: Freeze) -> None:
    def reply(text: str) -> tuple[int, str]:
        freeze()
        return 200, text

    pipeline.serve(answering(reply))
    await pipeline.submit_rows("a", inline_limit="0")
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.run_task(pipeline.queue.pop(0))
    assert not [key for key in await pipeline.objects() if "/refs/" in key]


async def test_writer_of_a_segment_that_was_frozen_writes_nothing(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    read = pipeline.context.ledger.read_segment

    async def frozen(batch: str, generation: int, segment: int) -> tuple[str, list[bytes]]:
        answers = await read(batch, generation, segment)
        freeze()
        for _ in range(3):
            await asyncio.sleep(0)
        return answers

    monkeypatch.setattr(pipeline.context.ledger, "read_segment", frozen)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.deliver(pipeline.queue.pop(0))
    assert not [key for key in await pipeline.objects() if "/segments/" in key]


async def test_opening_that_was_frozen_writes_no_snapshot(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    await pipeline.context.store.put(f"{pipeline.name}.csv", b"url\na\n")
    with monkeypatch.context() as large:
        large.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 1)
        assert (await pipeline.submit(f"{pipeline.name}.csv")).status == 202
    write = pipeline.context.snapshots.write

    async def frozen(*arguments: Any) -> Any:
        submission = await pipeline.context.records.read(pipeline.batch)
        await pipeline.bench().age(lease_until=-1)
        await pipeline.context.ledger.claim(pipeline.batch, "another", submission, kind="queued")
        freeze()
        return await write(*arguments)

    monkeypatch.setattr(pipeline.context.snapshots, "write", frozen)
    before = await pipeline.objects()
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.deliver_all()
    assert await pipeline.objects() == before


async def test_submission_that_was_frozen_writes_no_specification(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    take = pipeline.context.records.owners.take

    async def frozen(batch: str) -> None:
        await take(batch)
        monkeypatch.setattr(pipeline.context.records.owners, "take", take)
        freeze()

    monkeypatch.setattr(pipeline.context.records.owners, "take", frozen)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.submit("url\na\n", CSV)
    assert await pipeline.objects() == []


async def test_reduce_that_was_frozen_publishes_nothing(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver(pipeline.queue.pop(0))
    copy = pipeline.context.store.copy

    async def frozen(*arguments: Any) -> None:
        freeze()
        await copy(*arguments)

    monkeypatch.setattr(pipeline.context.store, "copy", frozen)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.deliver_all()
    assert f"{pipeline.batch}.json" not in await pipeline.objects()
    assert f"{pipeline.batch}/results.parquet" not in await pipeline.objects()


async def test_late_direct_callback_leaves_nothing_that_lasts(pipeline: PipelineBench, direct: Direct) -> None:
    await direct.submit("a", "b", inline_limit="0", window="2")
    early, late = direct.calls[:]
    direct.calls.clear()
    await direct.call_back(early, 200, b'"a"')
    await end_and_delete(pipeline)
    await pipeline.context.records.unmark_deleted(pipeline.batch)
    assert (await direct.call_back(late, 200, b'"b"'))["verdict"] == "unknown"
    assert len(await pipeline.objects()) == 1
    await survey(pipeline)
    assert await pipeline.objects() == []


async def test_expired_batches_leave_no_marks(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    settings = pipeline.context.settings.model_copy(update={"retention": 1e-6})
    pipeline.context = replace(pipeline.context, settings=settings)
    monkeypatch.setattr(surveying, "LATE_WRITES", -1e6)
    for _ in range(2):
        await survey(pipeline)
    for prefix in ("deleted", "ended", "open"):
        assert await pipeline.context.store.list(f"{prefix}/{pipeline.name}/") == []
