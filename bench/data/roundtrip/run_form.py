"""Runs a batch of one format through a fresh local stack, and checks and measures its outputs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from bench.data.roundtrip import labels
from bench.data.roundtrip.checking import SQL, check_csv, check_ndjson, check_parquet, check_sql
from bench.data.roundtrip.dataset import as_stored, write_rows
from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.kit.processes import MIB, SAMPLE_SECONDS, repeated
from bench.kit.stack import BETWEEN_POLLS, times_of
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from bench.data.roundtrip.dataset import Form
    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket
    from pipeline.local.stack import LocalStack

MODEL = "labels"
CHUNK = 1_000
PIECE = 8 * MIB
OUTPUTS = ("results.parquet", "results.csv", "results.ndjson", "sql.parquet")


@dataclass(frozen=True)
class Run:
    """One batch: seconds by phase as in `bench.speed.scale`, sizes in MiB.

    `peak_rss_mb` is the peak memory of the pipeline's process, `child_rss_mb` that of a process that it started.
    """

    form: str
    items: int
    open_seconds: float
    map_seconds: float
    reduce_seconds: float
    peak_rss_mb: float
    child_rss_mb: float
    input_mb: float
    parquet_mb: float
    csv_mb: float
    ndjson_mb: float


class _Memory:
    """The peak MiB of a process, and of the processes that it starts."""

    own = child = 0.0

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    async def sample(self) -> None:
        self.own = max(self.own, self._process.memory_info().rss / MIB)
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.child = max(self.child, child.memory_info().rss / MIB)


async def run_form(form: Form, rows: pl.DataFrame, workers: int, folder: Path) -> Run:
    """Write the rows, run them and check the outputs; raises BenchError at a difference."""
    source = folder / f"rows.{form.name}"
    await asyncio.to_thread(write_rows, rows, form, source)
    model = FunctionSpec(MODEL, (sys.executable, "-m", labels.__name__), {"PYTHONPATH": str(ROOT)})
    async with AsyncExitStack() as cleanup:
        stack = await cleanup.enter_async_context(local_stack([model], workers=workers))
        bucket = await cleanup.enter_async_context(open_bucket(stack.s3))
        key = f"bench/{source.name}"
        await bucket.put(key, source.read_bytes())
        memory = _Memory(*stack.pids("pipeline"))
        async with repeated(memory.sample, SAMPLE_SECONDS):
            done = await _run(stack, key)
        if done.state != "done" or done.succeeded != rows.height:
            raise BenchError(f"batch {done.batch_id} is {done.state}, {done.succeeded} of {rows.height} succeeded")
        for name in OUTPUTS:
            await _fetch(bucket, f"{done.batch_id}/{name}", folder / name)
    await asyncio.to_thread(_check, folder, as_stored(rows, form), from_json="json" in form.format)
    times = times_of(done)
    sizes = [(folder / name).stat().st_size / MIB for name in OUTPUTS[:3]]
    return Run(
        *(form.name, rows.height, times.started - times.created, times.completed - times.started),
        *(times.ended - times.completed, memory.own, memory.child, source.stat().st_size / MIB, *sizes),
    )


async def _run(stack: LocalStack, key: str) -> Progress:
    async with Pipeline(stack.gateway_url) as pipeline:
        batch = await pipeline.submit(
            key, function=MODEL, columns=["id", "url"], chunk=CHUNK, chunk_call=True, sql=SQL, timeout=45
        )
        return await batch.wait(BETWEEN_POLLS)


def _check(folder: Path, expected: pl.DataFrame, *, from_json: bool) -> None:
    table = check_parquet(folder / "results.parquet", expected)
    check_csv(folder / "results.csv", table)
    check_ndjson(folder / "results.ndjson", table, from_json=from_json)
    check_sql(folder / "sql.parquet", folder / "results.parquet")


async def _fetch(bucket: Bucket, key: str, path: Path) -> None:
    answer = await bucket.client.get_object(Bucket=bucket.name, Key=key)
    with path.open("wb") as file:
        async for piece in answer["Body"].iter_chunks(PIECE):
            file.write(piece)
