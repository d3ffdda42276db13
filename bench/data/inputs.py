"""What an input costs, by its format and packing: `python -m bench.data.inputs`, some minutes on a local S3 server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
import uvloop
from rich.console import Console

from bench.data.inputs_child import Measured, Task
from bench.data.inputs_report import Run, as_page
from bench.data.made_inputs import CASES, make_body, make_rows
from bench.kit.cli import in_one_line
from bench.kit.errors import BenchError
from bench.kit.machine import describe_machine
from bench.kit.publish import publish
from pipeline.local.services.redis_and_s3 import s3_server
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store.bucket import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.local.services.s3_client import S3Info

RESULTS = Path(__file__).parents[1] / "results"
NAME = "formats-in"
MIB = 1024 * 1024

Rows = Annotated[int, typer.Option(min=1, help="Rows of each input.")]
Repeats = Annotated[int, typer.Option(min=1, help="Processes for each of the inputs.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, rows: Rows = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds and memory of opening an input of each format and cutting it, as CSV, JSON and Markdown."""
    machine = describe_machine("bench.data.inputs", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_measure(rows, repeats, console))
    page = as_page(runs, machine)
    publish(out, NAME, runs, machine, page)
    console.print(page)


async def _measure(rows: int, repeats: int, console: Console) -> Sequence[Run]:
    runs = []
    async with s3_server() as server:
        sizes = await _put_inputs(server.info, rows)
        # The repeats outermost: what slows the machine for a while slows all of them.
        for repeat in range(repeats):
            for case in CASES:
                console.print(f"{case.name}, {repeat + 1} of {repeats}")
                key = f"rows.{case.form}{case.packing}"
                found = await _run(server.info, key, case.columns)
                figures = (found.peak_rss_mb, found.reader_peak_rss_mb, found.longest_hold_ms)
                times = (found.open_seconds, found.seconds, found.rows / found.seconds)
                runs.append(Run(case.name, found.rows, repeat, sizes[key] / MIB, *times, *figures))
    return runs


async def _put_inputs(info: S3Info, count: int) -> dict[str, int]:
    """Put the same rows into S3 in every format; returns the sizes in bytes by key."""
    settings = Settings(s3_bucket=info.bucket, s3_endpoint=info.endpoint, s3_region=info.region, s3_addressing="path")
    secrets = Secrets(info.access_key, info.secret_key, None, (b"a key of the measurement",))
    rows, sizes = make_rows(count), {}
    async with Store.connect(settings, secrets) as store:
        for case in CASES:
            key = f"rows.{case.form}{case.packing}"
            if key not in sizes:
                body = await asyncio.to_thread(make_body, rows, case)
                sizes[key] = (await store.put(key, body)).size
    return sizes


async def _run(info: S3Info, key: str, columns: tuple[str, ...]) -> Measured:
    """Read an input in a new process; raises BenchError when it fails."""
    task = Task(info.endpoint, info.region, info.bucket, info.access_key, info.secret_key, key, columns)
    pipe = asyncio.subprocess.PIPE
    # The child takes the credentials from its input: every user of the machine can read a command line.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.data.inputs_child"), stdin=pipe, stdout=pipe, stderr=pipe
    )
    out, problem = await child.communicate(msgspec.json.encode(task))
    if child.returncode:
        raise BenchError(f"the measured process ended with {child.returncode}: {problem.decode()[-2000:]}")
    return msgspec.json.decode(out, type=Measured)


if __name__ == "__main__":
    app()
