"""The process that is measured: `python -m bench.data.sql_child`, with a Question on its standard input.

It joins one batch and asks it one query, as a reduce does, and prints a Measured.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import msgspec
import psutil
import uvloop

from bench.data.outputs_child import Source, peak_of
from bench.kit.errors import BenchError
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.joined_table import joined_table
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.sql.fields import Fields
from pipeline.sql.rewrite import check
from pipeline.sql.runner import Queries
from pipeline.store.bucket import Store
from pipeline.store.segments import list_segments
from pipeline.store.snapshot import Snapshots

LOOK = 0.005


class Question(msgspec.Struct, frozen=True):
    """A batch, what it is asked, the columns of its table, and a folder for the table and the answer."""

    source: Source
    text: str
    columns: list[str]
    into: str


class Measured(msgspec.Struct, frozen=True):
    """Seconds of the join and of the answer, its rows, and the peak memory of both processes in MiB."""

    join_seconds: float
    seconds: float
    rows: int
    peak_rss_mb: float
    query_peak_rss_mb: float


class _Watch:
    """Looks at the process that runs the query; `peak` is what it has held at most, in MiB."""

    peak = 0.0

    async def looking(self) -> None:
        while True:
            for child in psutil.Process().children():
                with suppress(OSError, psutil.Error, BenchError):
                    self.peak = max(self.peak, peak_of(child.pid))
            await asyncio.sleep(LOOK)


async def _measure(question: Question) -> Measured:
    source, into, watch = question.source, Path(question.into), _Watch()
    settings = Settings(
        s3_bucket=source.bucket, s3_endpoint=source.endpoint, s3_region=source.region, s3_addressing="path"
    )
    secrets = Secrets(source.access_key, source.secret_key, None, (b"a key of the measurement",))
    query = check(question.text, question.columns)
    fields, started = Fields(query.paths), perf_counter()
    async with Store.connect(settings, secrets) as store:
        snapshots = Snapshots(store)
        manifest = await snapshots.manifest(source.batch, 0)
        segments = await list_segments(store, source.batch, 0, source.epoch, source.segments)
        rows = BatchRows(store, snapshots, source.batch, manifest, segments)
        async with joined_table(rows, fields.extract) as table:
            joined = perf_counter()
            looking = asyncio.create_task(watch.looking())
            answer = await Queries().run(query, table.pieces.paths, {**table.schema, **fields.types()}, into)
            ended = perf_counter()
            looking.cancel()
            peak = peak_of()
            await asyncio.to_thread(table.pieces.sink, into / "results.parquet", len(table.schema))
    if answer.error:
        raise BenchError(f"{question.text}: {answer.error}")
    return Measured(joined - started, ended - joined, answer.rows, peak, watch.peak)


def main() -> None:
    """Ask the question that is on standard input."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_measure(question))
    sys.stdout.buffer.write(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
