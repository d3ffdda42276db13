"""The ledger of a batch in each state."""

from collections.abc import Awaitable, Callable

from pipeline.ledger.arguments import Published
from tests.rigs.redis.ledger_bench import Bench

Made = Callable[[Bench], Awaitable[None]]


async def ended(bench: Bench) -> None:
    """Two tasks, of which one failed; a reduce that had trouble first, and then ended the batch."""
    await bench.open(2)
    await bench.settle(0)
    await bench.settle(1, succeeded=0, failed=1)
    await bench.segment_written(0)
    await bench.reduce()
    await bench.write(trouble="S3 was away")
    assert await bench.ledger.finish(bench.name, "reducer", 0, Published(1, 1)) == "done"


async def opening(bench: Bench) -> None:
    await bench.claim()


async def paused(bench: Bench) -> None:
    await bench.open(2)
    await bench.ledger.control.hold(bench.name, paused=True)
    assert await bench.state() == "paused"


async def reducing(bench: Bench) -> None:
    await bench.open(1)
    assert (await bench.settle(0)).reduce is True


async def closing(bench: Bench) -> None:
    await bench.open(2)
    await bench.ledger.control.cancel(bench.name)
    assert await bench.state() == "closing"


async def deleting(bench: Bench) -> None:
    await ended(bench)
    assert await bench.ledger.control.delete(bench.name, "deleter") == ("leased", "done")
