"""Joins one batch and runs one query over it, as a reduce does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import msgspec
import psutil

from bench.data.child import Source, answer_task, peak_rss_mb
from bench.kit.errors import BenchError
from bench.kit.processes import repeated
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.joined_table import joined_table
from pipeline.sql.runner import Queries
from pipeline.store.segments import list_segments
from pipeline.store.snapshot import Snapshots

SAMPLE_SECONDS = 0.005


class Question(msgspec.Struct, frozen=True):
    """A query of a batch, and a folder for the table and the answer."""

    source: Source
    text: str
    into: str


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the join and of the answer, its rows, and the peak memory of both processes in MiB."""

    join_seconds: float
    seconds: float
    rows: int
    peak_rss_mb: float
    query_peak_rss_mb: float


class _QueryMemory:
    """The peak memory of the process that runs the query, in MiB."""

    peak = 0.0

    async def sample(self) -> None:
        for child in psutil.Process().children():
            with suppress(OSError, psutil.Error, BenchError):
                self.peak = max(self.peak, peak_rss_mb(child.pid))


async def measure(question: Question) -> Measured:
    """Join and query."""
    source, into, memory = question.source, Path(question.into), _QueryMemory()
    started = perf_counter()
    async with source.place.open() as store:
        snapshots = Snapshots(store)
        manifest = await snapshots.manifest(source.batch, 0)
        segments = await list_segments(store, source.batch, 0, source.epoch, source.segments)
        rows = BatchRows(store, snapshots, source.batch, manifest, segments)
        async with joined_table(rows) as table:
            joined = perf_counter()
            async with repeated(memory.sample, SAMPLE_SECONDS):
                answer = await Queries().run(question.text, table.pieces.paths, into)
                ended = perf_counter()
            peak = peak_rss_mb()
            await asyncio.to_thread(table.pieces.sink, into / "results.parquet", len(table.schema))
    if answer.error:
        raise BenchError(f"{question.text}: {answer.error}")
    return Measured(joined - started, ended - joined, answer.rows, peak, memory.peak)


if __name__ == "__main__":
    answer_task(Question, measure)
