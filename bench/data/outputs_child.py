"""Joins one batch and writes its outputs, as a reduce does, beside a loop that has other things to do."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from bench.data.child import Heart, Source, answer_task, peak_rss_mb
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import write_tables
from pipeline.outputs.joined_table import joined_table
from pipeline.outputs.summary import Totals, write_summary
from pipeline.store.segments import list_segments
from pipeline.store.snapshot import Snapshots
from pipeline.store.writer import Writer

if TYPE_CHECKING:
    from pipeline.store.multipart import Upload
    from pipeline.store.object_info import ObjectInfo


class Task(msgspec.Struct, frozen=True):
    """A batch, and the outputs to write: its summary, the joined table in these formats, or both."""

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


async def measure(task: Task) -> Measured:
    """Join and write."""
    source, heart = task.source, Heart()
    async with source.place.open() as store:
        snapshots = Snapshots(store)
        manifest = await snapshots.manifest(source.batch, 0)
        segments = await list_segments(store, source.batch, 0, source.epoch, source.segments)
        rows = BatchRows(store, snapshots, source.batch, manifest, segments)

        async def record(_upload: Upload) -> None:
            return

        def new_writer(name: str) -> Writer:
            return Writer(store, f"{source.batch}/0/{name}", record)

        before, started, joined = peak_rss_mb(), perf_counter(), 0.0

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
        sizes = {info.key.rpartition("/")[2]: info.size for info in [*summary, *tables]}
    return Measured(joined, seconds, sizes, before, peak_rss_mb(), 1000 * heart.longest)


if __name__ == "__main__":
    answer_task(Task, measure)
