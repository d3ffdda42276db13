"""Redis' clock is set back while a batch runs."""

from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.clock_steps import set_clock_back
from tests.rigs.redis.lost_redis import urls


async def test_every_item_of_a_batch_with_a_rate_is_called(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows(*"abcd", rate="100", window="2", attempts="1")
    await pipeline.sweep()
    await pipeline.deliver(pipeline.queue.pop(0))
    await set_clock_back(pipeline.bench(), 2 * pipeline.context.settings.task_timeout)
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert urls(await pipeline.summary()) == [*"abcd"]
