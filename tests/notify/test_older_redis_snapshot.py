"""notify: Redis comes back with older data while notifications of an end are pending."""

import pytest

from tests.rigs.function.notified_batches import notify_hooks, run, stored_notices, sweep_until_notified
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, status_answer
from tests.rigs.redis.lost_redis import come_back, go_on, lose_redis, redis_snapshot


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks)


async def test_snapshot_from_before_the_end_notifies_with_the_same_id(pipeline: PipelineBench, hooks: Receiver) -> None:
    await pipeline.submit_rows("a", notify=hooks.url)
    await pipeline.deliver(pipeline.queue.pop(0))
    (reduce,) = pipeline.queue
    before = await redis_snapshot(pipeline)
    await pipeline.deliver_all()
    await come_back(pipeline, before)
    await pipeline.deliver(reduce)
    await sweep_until_notified(pipeline)
    assert len({call.id for call in hooks.calls}) == 1
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert pipeline.mark not in await pipeline.objects()


async def test_snapshot_from_before_the_delivery_notifies_with_the_same_id(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    before = await redis_snapshot(pipeline)
    await sweep_until_notified(pipeline)
    await come_back(pipeline, before)
    await sweep_until_notified(pipeline)
    assert (len(hooks.calls), len({call.id for call in hooks.calls})) == (3, 1)
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


@pytest.mark.parametrize("mode", ["redrive", "delete"])
async def test_snapshot_from_before_a_redrive_or_deletion_notifies_no_old_end(
    pipeline: PipelineBench, hooks: Receiver, mode: str
) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    before = await redis_snapshot(pipeline)
    await pipeline.handle(mode, {"batch": pipeline.batch})
    await come_back(pipeline, before)
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    if mode == "delete":
        await sweep_until_notified(pipeline)
        assert len(hooks.calls) == 1
        assert await pipeline.objects() == []
        return
    await go_on(pipeline)
    await sweep_until_notified(pipeline)
    assert [call.document["data"]["status"]["generation"] for call in hooks.calls] == [0, 1]


async def test_delivery_just_before_redis_was_lost_is_stored_in_s3(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target of a forgotten batch was notified, and S3 was away when that was to be stored."""
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)

    async def away(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.records, "close", away)
        await pipeline.sweep()
    assert await stored_notices(pipeline) == [("due", 1, 500)]
    await pipeline.sweep()
    assert await stored_notices(pipeline) == [("delivered", 2, 204)]
    assert len(hooks.calls) == 2
    assert pipeline.mark not in await pipeline.objects()
