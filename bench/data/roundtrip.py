"""The same rows in and out: a batch of one format runs through a fresh local stack, and its outputs are checked."""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import polars as pl

from bench.data import labels
from bench.data.checking import OUTPUTS, SQL, check_outputs
from bench.data.child import ChildrenPeak, peak_rss_mb
from bench.data.dataset import as_stored, make_body
from bench.kit.errors import BenchError
from bench.kit.processes import MIB, SAMPLE_SECONDS, repeated
from bench.kit.stack import BETWEEN_POLLS, times_of
from pipeline.client import Pipeline
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

MODEL = FunctionSpec("labels", (sys.executable, "-m", "pipeline.local.serve_handler", labels.__file__))
WORKERS = 4
CHUNK = 1_000


async def run_form(form: str, rows: pl.DataFrame) -> dict[str, float | None]:
    """Return the figures of a batch of these rows; raises BenchError when an output holds others."""
    body = await asyncio.to_thread(make_body, rows, form)
    async with AsyncExitStack() as cleanup:
        enter = cleanup.enter_async_context
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="roundtrip-")))
        stack = await enter(local_stack([MODEL], workers=WORKERS))
        bucket, pipeline = await enter(open_bucket(stack.s3)), await enter(Pipeline(stack.gateway_url))
        key, (pid,) = f"bench/rows.{form}", stack.pids("pipeline")
        await bucket.put(key, body)
        children, before = ChildrenPeak(pid), peak_rss_mb(pid)
        async with repeated(children.sample, SAMPLE_SECONDS):
            batch = await pipeline.submit(
                key, function=MODEL.name, columns=["id", "url"], chunk=CHUNK, chunk_call=True, sql=SQL, timeout=45
            )
            done = await batch.wait(BETWEEN_POLLS)
        if done.state != "done" or done.succeeded != rows.height:
            raise BenchError(f"batch {done.batch_id} is {done.state}, {done.succeeded} of {rows.height} succeeded")
        for name in OUTPUTS:
            content = await bucket.get(f"{done.batch_id}/{name}")
            await asyncio.to_thread((folder / name).write_bytes, content or b"")
        await asyncio.to_thread(check_outputs, folder, as_stored(rows, form), from_json="json" in form)
        times, peak = times_of(done), peak_rss_mb(pid)
    return {
        "rows": rows.height,
        "size_mb": len(body) / MIB,
        "first_seconds": times.started - times.created,
        "seconds": times.ended - times.created,
        "before_rss_mb": before,
        "peak_rss_mb": peak,
        "longest_hold_ms": None,
        "child_rss_mb": children.peak,
    }
