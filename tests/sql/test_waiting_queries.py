"""A replica runs few queries at a time: a batch whose query waits for its turn holds up no batch without a query."""

import asyncio

from pipeline.capacity import AT_ONCE
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering
from tests.rigs.waiting import wait_until


async def test_batch_without_a_query_ends_while_another_waits_for_its_turn(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    slots = pipeline.context.queries._running
    for _ in range(AT_ONCE):
        await slots.acquire()
    await pipeline.submit_rows("a", sql="SELECT count(*) AS n FROM results")
    await pipeline.deliver(pipeline.queue.pop(0))
    waiting = asyncio.create_task(pipeline.deliver(pipeline.queue.pop(0)))
    await wait_until(lambda: bool(slots._waiters))
    other = f"{pipeline.batch}.2"
    await pipeline.submit("url\nb\n", CSV, batch=other)
    assert (await pipeline.deliver_all())[-1]["verdict"] == "done"
    assert (await pipeline.status(other))["state"] == "done"
    assert not waiting.done()
    lease = await pipeline.bench().ledger.lease_reduce(pipeline.batch, "another", 0)
    assert lease.verdict == "held"
    for _ in range(AT_ONCE):
        slots.release()
    assert (await waiting)["verdict"] == "done"
    assert (await pipeline.status())["sql"]["first"] == [[1]]
