"""The life of a batch in a ledger, in two halves, so that a test can break Redis in between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from redis.asyncio import Redis

from pipeline.context import LedgerCache
from pipeline.ledger.arguments import Published
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.redis.client import open_redis
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.redis.ledger_bench import Bench
from tests.rigs.redis.nodes import PASSWORD

TASKS = 6


@dataclass(frozen=True)
class OpenLedger:
    """The batches of one ledger, over a connection that the function opens."""

    redis: Redis
    ledger: Ledger
    prefix: str

    def bench(self, number: int) -> Bench:
        """One of the batches; their numbers spread them over a cluster."""
        return Bench(self.ledger, self.redis, self.prefix, f"batch-{number}")


@asynccontextmanager
async def open_ledger(url: str, prefix: str, password: str | None = PASSWORD) -> AsyncIterator[OpenLedger]:
    """Open the connection that `redis_url` asks for."""
    async with open_redis(url, password) as redis:
        yield OpenLedger(redis, Ledger(redis, prefix), prefix)


async def begin(bench: Bench) -> None:
    """Claim, begin, fail one task and settle two others."""
    assert await bench.open(TASKS, window=3) == [0, 1, 2]
    assert await bench.fail(0) == "retry"
    assert (await bench.settle(1)).verdict == "settled"
    assert (await bench.settle(2)).verdict == "settled"


async def end(bench: Bench, *, lossy: bool = False) -> None:
    """Release the failed task again, settle the rest once each, reduce and finish.

    Where replies may be lost (`lossy`), a script may run twice, and the second reply says that it is done already.
    """
    repeated = {"duplicate", "closed"} if lossy else set()
    await bench.age_duty("t:0")
    # A failover takes longer than the queue may be silent before it is probed.
    await bench.age(heard_at=0)
    assert (await bench.repair()).release in ([((0, 1),), ()] if lossy else [((0, 1),)])
    for task, attempt in ((0, 1), *((task, 0) for task in range(3, TASKS))):
        assert (await bench.settle(task, attempt)).verdict in {"settled", *repeated}
    assert (await bench.settle(3)).verdict == "closed"
    fields = await bench.fields()
    assert (fields["state"], fields["succeeded"]) == ("reducing", str(TASKS))
    await bench.reduce()
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(0, 0)) == "done"


def on_ledger(pipeline: PipelineBench, opened: OpenLedger) -> PipelineBench:
    """The whole function, with its ledger in this Redis."""
    context = replace(pipeline.context, ledger=opened.ledger, ledger_cache=LedgerCache(opened.ledger))
    return PipelineBench(context, opened.redis, pipeline.gateway, pipeline.name)
