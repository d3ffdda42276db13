"""A batch whose objects S3 is slow to answer for holds up no other batch."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from pipeline.store.batch_records import BatchRecords
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Snapshots
from tests.rigs.function.pipeline_bench import CSV, PipelineBench
from tests.rigs.s3.proxy import S3Proxy, hold
from tests.rigs.waiting import wait_until


@pytest.mark.parametrize("surveyed", [False, True])
async def test_slow_batch_holds_up_no_other(
    pipeline: PipelineBench,
    proxied_store: Store,
    proxy: S3Proxy,
    surveyed: bool,  # noqa: FBT001
) -> None:
    settings = pipeline.context.settings.model_copy(update={"sweep_interval": 0.3})
    slow, quick = f"{pipeline.name}.slow", f"{pipeline.name}.quick"
    for batch in (slow, quick):
        await pipeline.submit("url\na\n", CSV, batch=batch)
        pipeline.queue.clear()
        if not surveyed:
            await pipeline.redis.delete(pipeline.bench(batch).key())
    if surveyed:
        await pipeline.redis.delete(f"{pipeline.name}:epoch")
        await pipeline.redis.delete(pipeline.bench(quick).key())
    records, snapshots = BatchRecords(proxied_store, pipeline.name), Snapshots(proxied_store)
    pipeline.context = replace(
        pipeline.context, settings=settings, store=proxied_store, records=records, snapshots=snapshots
    )

    def is_of_slow_batch(request: web.Request) -> bool:
        return slow in request.path

    reached, goes_on = asyncio.Event(), asyncio.Event()
    proxy.affects = is_of_slow_batch
    proxy.faults += [hold(reached, goes_on)] * 50
    try:
        for _ in range(2):
            async with asyncio.timeout(10):
                await pipeline.sweep()
            await wait_until(lambda: bool(pipeline.queue))
            assert reached.is_set()
            assert [message.query["batch"] for message in pipeline.queue] == [quick]
            pipeline.queue.clear()
            await pipeline.bench(quick).age(lease_until=-1)
            await pipeline.bench(quick).age_duty("o")
    finally:
        proxy.faults.clear()
        goes_on.set()
    await wait_until(lambda: not pipeline.context.sweeps._running)
    pipeline.queue.clear()
