"""One object of an open batch is deleted from the bucket: the batch ends, and says which object and which rows."""

from typing import Any

import pytest

from pipeline.errors import ConflictError, PipelineError, UnavailableError
from pipeline.ledger import ledger as ledger_module
from pipeline.ledger.control import MISSING_PATIENCE
from pipeline.ledger.states import ENDED
from pipeline.store.errors import MissingObjectError
from pipeline.units import MICROSECONDS
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.openfaas.receivers import notified
from tests.rigs.redis.lost_redis import come_back, go_on, lose_redis, redis_snapshot, urls


@pytest.fixture(autouse=True)
def small_segments(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two outcomes make a segment."""
    monkeypatch.setattr(ledger_module, "SEGMENT_OUTCOMES", 2)
    pipeline.serve(answering(lambda text: (422 if text == "bad" else 200, text)))


async def lose(pipeline: PipelineBench, beginning: str) -> str:
    """Delete the object whose key in the batch begins so, as somebody does who tidies a bucket up."""
    (key,) = await pipeline.context.store.list(f"{pipeline.batch}/{beginning}")
    await pipeline.context.store.delete(key)
    pipeline.forget()
    return key


async def pass_time(pipeline: PipelineBench, seconds: float) -> None:
    """Let everything become due that is within so many seconds, sweep, and deliver."""
    bench = pipeline.bench()
    for duty, due in (await bench.due()).items():
        await bench.age_duty(duty, due - seconds)
    fields = await bench.fields()
    if "lease_until" in fields:
        await bench.age(lease_until=-1)
    if fields["state"] == "closing":
        await bench.age(closing_at=int(fields["closing_at"]) / MICROSECONDS - await bench.now() - seconds)
    await pipeline.sweep()
    while pipeline.queue:
        message = pipeline.queue.pop(0)
        try:
            await pipeline.deliver(message)
        except PipelineError:
            # As the queue-worker reports it.
            if message.mode == "task":
                await pipeline.call_back(message, None, 404)


async def end_within_ten_minutes(pipeline: PipelineBench) -> dict[str, Any]:
    for _ in range(20):
        await pass_time(pipeline, 30)
        status = await pipeline.status()
        if status["state"] in ENDED:
            return status
    raise AssertionError(await pipeline.bench().fields())


async def run_tasks(pipeline: PipelineBench) -> None:
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))


async def test_lost_segment_fails_the_batch_with_the_outcomes_that_are_left(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcde")
    await run_tasks(pipeline)
    key = await lose(pipeline, "segments/0/000001")
    status = await end_within_ten_minutes(pipeline)
    assert status["state"] == "failed"
    assert key.startswith(status["reason"].split("'")[1])
    assert status["reason"].endswith("and with it the outcomes of the rows 2 to 3")
    summary = await pipeline.summary()
    assert (urls(summary), urls(summary, "failures")) == ([*"abe"], [*"cd"])
    assert (await pipeline.handle("redrive", {"batch": pipeline.batch})).status == 202
    await pipeline.deliver_all()
    assert urls(await pipeline.summary()) == [*"abcde"]
    assert (await pipeline.status())["state"] == "done"


@pytest.mark.parametrize(
    ("beginning", "held"),
    [("input/0/000000", "the rows 0 to 2"), ("input/0.json", "all rows"), ("spec.json", "all rows")],
)
@pytest.mark.parametrize("found_by", ["a task", "the reduce"])
async def test_lost_input_fails_the_batch(pipeline: PipelineBench, beginning: str, held: str, found_by: str) -> None:
    await pipeline.submit_rows(*"abc", notify="next")
    if found_by == "the reduce":
        await run_tasks(pipeline)
    key = await lose(pipeline, beginning)
    status = await end_within_ten_minutes(pipeline)
    assert (status["state"], status["reason"]) == (
        *("failed", f"the object {key!r} is gone from the bucket, and with it {held}"),
    )
    assert (status["succeeded"], status["failed"]) == ((3, 0) if found_by == "the reduce" else (0, 3))
    assert "there are no outputs of this end" in status["notes"][0]
    await pipeline.sweep()
    assert notified(await pipeline.status())[0][0] == ("given up" if beginning == "spec.json" else "due")
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
    assert await pipeline.objects() == []


async def test_lost_part_of_a_batch_that_redis_has_lost_too(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcd")
    for _ in range(2):
        await pipeline.deliver(pipeline.queue.pop(0))
    pipeline.queue.clear()
    key = await lose(pipeline, "input/0/000000")
    await lose_redis(pipeline)
    await pipeline.sweep()
    status = await end_within_ten_minutes(pipeline)
    reason = f"the object {key!r} is gone from the bucket, and with it the rows 0 to 3"
    assert (status["state"], status["reason"]) == ("failed", reason)
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
    assert await pipeline.objects() == []


@pytest.mark.parametrize("beginning", ["segments/0/000000", "input/0/000000"])
async def test_cancel_ends_a_batch_with_a_lost_object_at_once(pipeline: PipelineBench, beginning: str) -> None:
    await pipeline.submit_rows(*"abc")
    await run_tasks(pipeline)
    await lose(pipeline, beginning)
    await pass_time(pipeline, 0)
    assert (await pipeline.status())["state"] == "reducing"
    with pytest.raises(ConflictError, match="cancel it first"):
        await pipeline.handle("delete", {"batch": pipeline.batch})
    assert (await pipeline.handle("cancel", {"batch": pipeline.batch})).status == 202
    await pipeline.sweep()
    await pass_time(pipeline, 0)
    assert (await pipeline.status())["state"] == "cancelled"
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200


async def test_object_that_is_there_again_costs_nothing(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abc")
    await run_tasks(pipeline)
    store = pipeline.context.store
    body = await store.get(f"{pipeline.batch}/input/0/000000.parquet")
    key = await lose(pipeline, "input/0/000000")
    with pytest.raises(UnavailableError):
        await pipeline.deliver(pipeline.queue.pop(0))
    assert (await pipeline.bench().fields())["missing"] == key
    await store.put(key, body)
    await pipeline.bench().age_duty("m")
    await pipeline.sweep()
    assert "missing" not in await pipeline.bench().fields()
    assert (await end_within_ten_minutes(pipeline))["state"] == "done"
    assert urls(await pipeline.summary()) == [*"abc"]


async def test_outage_is_no_loss(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    await pipeline.submit_rows(*"abc")
    await run_tasks(pipeline)

    async def refuse(*_: object, **__: object) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as outage:
        outage.setattr(pipeline.context.store, "get", refuse)
        for _ in range(int(2 * MISSING_PATIENCE / 30)):
            await pass_time(pipeline, 30)
        assert "missing" not in await pipeline.bench().fields()
    assert (await end_within_ten_minutes(pipeline))["state"] == "done"


async def test_lost_part_of_a_later_generation_names_its_rows(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "bad", "c")
    await pipeline.deliver_all()
    assert (await pipeline.handle("redrive", {"batch": pipeline.batch})).status == 202
    await pipeline.deliver(pipeline.queue.pop(0))
    key = await lose(pipeline, "input/1/000000")
    status = await end_within_ten_minutes(pipeline)
    assert (status["state"], status["reason"]) == (
        *("failed", f"the object {key!r} is gone from the bucket, and with it rows of generation 1 among 1 to 2"),
    )
    assert urls(await pipeline.summary()) == ["a", "c"]


async def test_lost_specification_of_a_batch_that_redis_has_lost_too(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcd")
    await pipeline.deliver(pipeline.queue.pop(0))
    key = await lose(pipeline, "spec.json")
    await lose_redis(pipeline)
    await pipeline.sweep()
    status = await pipeline.status()
    reason = f"the object {key!r} is gone from the bucket, and Redis has lost the batch"
    assert (status["state"], status["reason"], status["items"]) == ("failed", reason, 4)
    assert pipeline.mark not in await pipeline.objects()
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
    assert await pipeline.objects() == []


async def test_lost_mark_is_written_again_before_redis_is_lost_too(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcd")
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.handle("pause", {"batch": pipeline.batch})
    mark = await pipeline.context.store.get(pipeline.mark)
    await pipeline.context.store.delete(pipeline.mark)
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()
    assert await pipeline.context.store.get(pipeline.mark) == mark


async def test_deleted_batch_that_redis_still_holds_stays_deleted(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    (message,) = pipeline.queue
    older = await redis_snapshot(pipeline)
    await go_on(pipeline)
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
    await come_back(pipeline, older)
    await pipeline.context.ledger.index.end_survey()
    with pytest.raises(MissingObjectError):
        await pipeline.deliver(message)
    await pipeline.bench().age_duty("m")
    await pipeline.sweep()
    assert (await pipeline.bench().fields(), await pipeline.objects()) == ({}, [])
