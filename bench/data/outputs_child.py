"""The process that is measured: `python -m bench.data.outputs_child`, with a Task on its standard input.

It joins one batch and writes the formats that it is told to, beside a loop that has other things to do, and prints a
Measured.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import uvloop

from bench.kit.errors import BenchError
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import write_tables
from pipeline.outputs.joined_table import joined_table
from pipeline.outputs.summary import Totals, write_summary
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store.bucket import Store
from pipeline.store.segments import list_segments
from pipeline.store.snapshot import Snapshots
from pipeline.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.store.multipart import Upload
    from pipeline.store.object_info import ObjectInfo

BEAT = 0.001


class Source(msgspec.Struct, frozen=True):
    """Where a batch is."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str
    batch: str
    epoch: str
    segments: int


class Task(msgspec.Struct, frozen=True):
    """A batch, and what is to be made of it: its summary, the joined table in these formats, or both."""

    source: Source
    summary: bool
    tables: bool
    formats: tuple[str, ...]


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the join and of all, sizes in bytes by name, the peak memory in MiB, the loop's longest hold in ms."""

    join_seconds: float
    seconds: float
    sizes: dict[str, int]
    before_rss_mb: float
    peak_rss_mb: float
    longest_hold_ms: float


class Heart:
    """Beats in the loop; `longest` is the longest that it was late, in seconds."""

    longest = 0.0

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the block runs."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, perf_counter() - before - BEAT)


async def _measure(task: Task) -> Measured:
    source = task.source
    settings = Settings(
        s3_bucket=source.bucket, s3_endpoint=source.endpoint, s3_region=source.region, s3_addressing="path"
    )
    secrets = Secrets(source.access_key, source.secret_key, None, (b"a key of the measurement",))
    heart, sizes = Heart(), {}
    async with Store.connect(settings, secrets) as store:
        snapshots = Snapshots(store)
        manifest = await snapshots.manifest(source.batch, 0)
        segments = await list_segments(store, source.batch, 0, source.epoch, source.segments)
        rows = BatchRows(store, snapshots, source.batch, manifest, segments)

        async def record(_upload: Upload) -> None:
            return

        def new_writer(name: str) -> Writer:
            return Writer(store, f"{source.batch}/0/{name}", record)

        rss, started, joined = peak_of(), perf_counter(), 0.0

        async def summarize() -> list[ObjectInfo]:
            totals = Totals(0, 0, manifest.items - sum(s.failed for s in segments), "")
            if not task.summary:
                return []
            return [(await write_summary(lambda: new_writer("summary.json"), rows, totals)).object]

        async def tabulate() -> list[ObjectInfo]:
            nonlocal joined
            if not task.tables:
                return []
            async with joined_table(rows) as table:
                joined = perf_counter() - started
                return await write_tables(table, new_writer, task.formats)

        async with heart.beating():
            summary, tables = await asyncio.gather(summarize(), tabulate())
            seconds = perf_counter() - started
        sizes = {each.key.rpartition("/")[2]: each.size for each in [*summary, *tables]}
    return Measured(joined, seconds, sizes, rss, peak_of(), 1000 * heart.longest)


def peak_of(process: int | str = "self") -> float:
    """Return what a process has held at most, in MiB; getrusage counts what its parent held when it began."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise BenchError("this system does not say how much memory a process has held: /proc/self/status has no VmHWM")


def main() -> None:
    """Do the task that is on standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_measure(task))
    sys.stdout.buffer.write(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
