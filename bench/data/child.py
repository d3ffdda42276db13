"""A process that is measured: it reads an order as JSON from its standard input, and prints its figures as JSON."""

import asyncio
import sys
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import uvloop

from bench.data.made_batch import BATCH, EPOCH, SEGMENT_ITEMS
from bench.kit.errors import BenchError
from bench.kit.processes import MIB, repeated
from pipeline.capacity import ANYBODY, few_at_once
from pipeline.inputs.open_input import open_input
from pipeline.local.services.s3_client import S3Info
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import write_tables
from pipeline.outputs.joined_table import joined_table
from pipeline.outputs.summary import Totals, write_summary
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.spec.submission import Submission
from pipeline.sql.runner import Queries
from pipeline.store.bucket import Store
from pipeline.store.multipart import Upload
from pipeline.store.segments import list_segments
from pipeline.store.snapshot import Snapshots
from pipeline.store.writer import Writer
from pipeline.temporary import TemporarySpace

BEAT = 0.001

# The time at which columns are known or rows joined, and the rows and bytes at the end.
Result = tuple[float, int, int]


class OpenInput(msgspec.Struct, frozen=True, tag=True):
    """Open an input and cut it into a snapshot; `columns` are those of an item, none for the cells of `url`."""

    key: str
    columns: tuple[str, ...] = ()

    async def run(self, store: Store, order: "Order") -> Result:
        """Do as an opening does."""
        # The rest of a context is for what comes after.
        context: Any = SimpleNamespace(
            store=store, settings=order.settings(), temporary=TemporarySpace.of_disk(), readers=few_at_once()
        )
        head = await store.head(self.key)
        fields = {"input": self.key, "function": "model"} | ({"columns": list(self.columns)} if self.columns else {})
        async with open_input(context, Submission(fields, head.etag, head.size, head.etag), ANYBODY) as opened:
            first = perf_counter()
            manifest = await Snapshots(store).write("opened", 0, opened.frames, opened.shape, opened.chunk)
        return first, manifest.items, head.size


class WriteOutputs(msgspec.Struct, frozen=True, tag=True):
    """Join a batch and write the table in these formats, None for no table, and the summary."""

    formats: tuple[str, ...] | None
    summary: bool = False

    async def run(self, store: Store, order: "Order") -> Result:
        """Do as a reduce does."""
        rows = await order.batch_rows(store)

        async def record(_upload: Upload) -> None:
            return

        def new_writer(name: str) -> Writer:
            return Writer(store, f"{BATCH}/0/{name}", record)

        async def summarize() -> int:
            if not self.summary:
                return 0
            totals = Totals(0, 0, rows.manifest.items - sum(segment.failed for segment in rows.segments), "")
            return (await write_summary(lambda: new_writer("summary.json"), rows, totals)).object.size

        async def tabulate() -> tuple[float, int]:
            if self.formats is None:
                return perf_counter(), 0
            async with joined_table(rows) as table:
                joined = perf_counter()
                return joined, sum(info.size for info in await write_tables(table, new_writer, self.formats))

        summary, (joined, tables) = await asyncio.gather(summarize(), tabulate())
        return joined, rows.manifest.items, summary + tables


class RunQuery(msgspec.Struct, frozen=True, tag=True):
    """Join a batch and answer a query."""

    sql: str

    async def run(self, store: Store, order: "Order") -> Result:
        """Do as a reduce does; the answer is in the order's folder."""
        async with joined_table(await order.batch_rows(store)) as table:
            joined = perf_counter()
            answer = await Queries().run(self.sql, table.pieces.paths, Path(order.folder))
        if answer.error:
            raise BenchError(f"{self.sql}: {answer.error}")
        return joined, answer.rows, Path(order.folder, "sql.parquet").stat().st_size  # noqa: ASYNC240 - nothing waits


Case = OpenInput | WriteOutputs | RunQuery


class Order(msgspec.Struct, frozen=True):
    """A case, the bucket, the items of the batch in it, and a folder for an answer."""

    case: Case
    s3: S3Info
    items: int
    folder: str = ""

    def settings(self) -> Settings:
        """Return the settings of a function that uses the bucket."""
        s3 = self.s3
        return Settings(s3_bucket=s3.bucket, s3_endpoint=s3.endpoint, s3_region=s3.region, s3_addressing="path")

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        """Connect to the bucket as the function does."""
        secrets = Secrets(self.s3.access_key, self.s3.secret_key, None, (b"a key of the measurement",))
        return Store.connect(self.settings(), secrets)

    async def batch_rows(self, store: Store) -> BatchRows:
        """Return the rows of the batch that was made by hand."""
        snapshots = Snapshots(store)
        segments = await list_segments(store, BATCH, 0, EPOCH, -(-self.items // SEGMENT_ITEMS))
        return BatchRows(store, snapshots, BATCH, await snapshots.manifest(BATCH, 0), segments)


class ChildrenPeak:
    """The peak memory of the largest process that a process has started, in MiB."""

    peak = 0.0

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    async def sample(self) -> None:
        """Look at those that run now."""
        with suppress(psutil.NoSuchProcess):
            for child in self._process.children(recursive=True):
                with suppress(OSError, BenchError):
                    self.peak = max(self.peak, peak_rss_mb(child.pid))


def peak_rss_mb(process: int | str = "self") -> float:
    """Return the most memory that a process has held, in MiB; getrusage would count its parent's at the start too."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchError("this system does not tell the peak memory of a process: /proc/self/status has no VmHWM")


class Heart:
    """Beats in the event loop; `longest` is the longest delay of a beat, in seconds: how long the loop was held."""

    def __init__(self) -> None:
        self.longest, self._last = 0.0, perf_counter()

    async def beat(self) -> None:
        """Count the seconds since the last beat."""
        now = perf_counter()
        self.longest, self._last = max(self.longest, now - self._last - BEAT), now


async def measure(order: Order) -> dict[str, float]:
    """Run the case of an order beside a loop that only measures its own delay; memory in MiB."""
    async with order.open_store() as store:
        before, started, heart = peak_rss_mb(), perf_counter(), Heart()
        async with repeated(heart.beat, BEAT):
            first, rows, size = await order.case.run(store, order)
            seconds = perf_counter() - started
    return {
        "rows": rows,
        "size_mb": size / MIB,
        "first_seconds": first - started,
        "seconds": seconds,
        "before_rss_mb": before,
        "peak_rss_mb": peak_rss_mb(),
        "longest_hold_ms": 1000 * heart.longest,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))
    sys.stdout.buffer.write(msgspec.json.encode(figures))
