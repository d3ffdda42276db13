"""notify: Redis comes back with an older memory, while somebody is still to be told of an end."""

import pytest

from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.function.told_batches import hear, kept, run, until_told
from tests.rigs.openfaas.receivers import Receiver, due_again, notified, saying
from tests.rigs.redis.lost_redis import come_back, go_on, lose_redis, memory


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    hear(pipeline, hooks)


async def test_a_memory_from_before_the_end_tells_again_by_the_same_name(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    await pipeline.submit_rows("a", notify=hooks.url)
    await pipeline.deliver(pipeline.queue.pop(0))
    (reduce,) = pipeline.queue
    before = await memory(pipeline)
    await pipeline.deliver_all()
    await come_back(pipeline, before)
    await pipeline.deliver(reduce)
    await until_told(pipeline)
    assert len({call.id for call in hooks.calls}) == 1
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert pipeline.mark not in await pipeline.objects()


async def test_a_memory_from_before_the_delivery_tells_again_by_the_same_name(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    before = await memory(pipeline)
    await until_told(pipeline)
    await come_back(pipeline, before)
    await until_told(pipeline)
    assert (len(hooks.calls), len({call.id for call in hooks.calls})) == (3, 1)
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


@pytest.mark.parametrize("mode", ["redrive", "delete"])
async def test_a_memory_from_before_a_redrive_or_a_deletion_tells_of_no_end_that_is_over(
    pipeline: PipelineBench, hooks: Receiver, mode: str
) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, "a", "bad", notify=hooks.url)
    before = await memory(pipeline)
    await pipeline.handle(mode, {"batch": pipeline.batch})
    await come_back(pipeline, before)
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    if mode == "delete":
        await until_told(pipeline)
        assert len(hooks.calls) == 1
        assert await pipeline.objects() == []
        return
    await go_on(pipeline)
    await until_told(pipeline)
    assert [call.document["data"]["status"]["generation"] for call in hooks.calls] == [0, 1]


async def test_what_all_were_told_of_just_before_redis_was_lost_is_settled_in_s3(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch that Redis has forgotten: it was told, and S3 was away when that was to be kept."""
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    await lose_redis(pipeline)

    async def away(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.specs, "close", away)
        await pipeline.sweep()
    assert await kept(pipeline) == [("due", 1, 500)]
    await pipeline.sweep()
    assert await kept(pipeline) == [("delivered", 2, 204)]
    assert len(hooks.calls) == 2
    assert pipeline.mark not in await pipeline.objects()
