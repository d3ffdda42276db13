"""Redis loses everything, or comes back with an older snapshot."""

from typing import Any

from pipeline.ledger.states import ENDED
from tests.rigs.function.pipeline_bench import PipelineBench


async def lose_redis(pipeline: PipelineBench) -> None:
    """Empty Redis and the memory of the replicas; the queue stays."""
    await pipeline.redis.flushall()
    pipeline.forget()


async def redis_snapshot(pipeline: PipelineBench) -> dict[Any, Any]:
    """All that Redis holds, as a snapshot on its disk has it."""
    return {key: await pipeline.redis.dump(key) for key in await pipeline.redis.keys("*")}


async def come_back(pipeline: PipelineBench, snapshot: dict[Any, Any]) -> None:
    """Restore an older snapshot of Redis, after which S3 is to be surveyed again."""
    await lose_redis(pipeline)
    for key, value in snapshot.items():
        await pipeline.redis.restore(key, 3_600_000, value)
    await pipeline.redis.delete(f"{pipeline.name}:epoch")


async def go_on(pipeline: PipelineBench) -> None:
    """Sweep and deliver until the batch has ended, with every duty due at once."""
    for _ in range(50):
        await pipeline.sweep()
        await pipeline.deliver_all()
        bench = pipeline.bench()
        for duty in await bench.due():
            await bench.age_duty(duty)
        await bench.age(not_before=-1, lease_until=-1)
        if await bench.fields() and (await pipeline.status())["state"] in ENDED:
            return
    raise AssertionError(await bench.fields())


def urls(summary: dict[str, Any], name: str = "results") -> list[str]:
    assert summary[name]["count"] == len(summary[name]["results"])
    return [entry["url"] for entry in summary[name]["results"]]
