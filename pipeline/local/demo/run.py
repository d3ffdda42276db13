"""The two commands: `demo` runs one batch and reports it, `up` runs the stack for the user's own calls."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.watch import watch
from pipeline.client import BrokenError, Pipeline, Progress, SpecFields, UnreachableError
from pipeline.local.demo.bucket import Bucket, open_bucket
from pipeline.local.demo.hints import print_hints
from pipeline.local.demo.options import Options, Table, check_answers, parse_function, read_table
from pipeline.local.demo.pictures import image_urls, picture_server
from pipeline.local.demo.report import EndedBatch, print_files, print_report, readable
from pipeline.local.stack import LocalStack, local_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import Console

INPUT_KEY = "data/demo.csv"
LOG_LINES = 30
POLL_INTERVAL = 0.2
# Time to open the page after reading the report.
PAGE_LINGER = 60.0
OUTPUT_FOLDER = Path("build/demo")


@dataclass(frozen=True)
class DemoStack:
    """A running stack, its bucket with the input, and the fields of a specification for that input."""

    stack: LocalStack
    bucket: Bucket
    fields: SpecFields


async def demo(console: Console, options: Options) -> bool:
    """Run one batch, watch it, report it and download its summary; returns whether it ended `done`.

    On a terminal, the page of the batch stays available for a while.

    Raises `UserError`, `LocalError` or `CallError` for errors that the user can fix.
    """
    async with _start_stack(console, options) as running:
        console.print(f"Running [bold]{running.fields['function']}[/] over s3://{running.bucket.name}/{INPUT_KEY}")
        try:
            async with Pipeline(running.stack.gateway_url) as pipeline:
                batch = await pipeline.submit(INPUT_KEY, **running.fields)
                console.print(f"Watch it: {batch.page}", markup=False, highlight=False, soft_wrap=True)
                last = await watch(console, batch.follow(POLL_INTERVAL))
        except (BrokenError, UnreachableError):
            await asyncio.to_thread(_print_log, console, running.stack.directory / "pipeline-0.log")
            raise
        await _report(console, running.bucket, batch.id, last, running.fields["column"])
        if console.is_terminal:
            console.print(f"The page stays for {PAGE_LINGER:g} s, Ctrl-C ends it; `make up` keeps it.", highlight=False)
            await _wait_for_interrupt(PAGE_LINGER)
    return last.state == "done"


async def up(console: Console, options: Options) -> None:
    """Run a stack until Ctrl-C or SIGTERM, and print how to use it; raises as `demo`."""
    async with _start_stack(console, options) as running:
        print_hints(console, running.stack, INPUT_KEY, running.fields)
        await _wait_for_interrupt()
        console.print("Stopping.")


@asynccontextmanager
async def _start_stack(console: Console, options: Options) -> AsyncIterator[DemoStack]:
    function = parse_function(options.function)
    table = read_table(options.csv, options.column) if options.csv else None
    if function.url:
        await check_answers(function.url)
    async with AsyncExitStack() as stack:
        if table is None:
            table = _pictures_table(await stack.enter_async_context(picture_server()), options.count)
        with console.status("Starting Redis, S3, the gateway, the workers and the functions"):
            local = await stack.enter_async_context(local_stack([function], workers=options.workers))
        bucket = await stack.enter_async_context(open_bucket(local.s3))
        await bucket.put(INPUT_KEY, table.content)
        yield DemoStack(local, bucket, options.fields(table.column, function.name))


def _pictures_table(base_url: str, count: int) -> Table:
    return Table("\n".join(["url", *image_urls(base_url, count), ""]).encode(), "url")


async def _report(console: Console, bucket: Bucket, batch_id: str, last: Progress, column: str) -> None:
    content = await bucket.get(f"{batch_id}.json")
    summary = json.loads(content) if content is not None else None
    print_report(console, EndedBatch(batch_id, last.state, last.elapsed, last.reason, summary), column)
    if content is not None:
        local = OUTPUT_FOLDER / f"{batch_id}.json"
        await asyncio.to_thread(_write, local, content)
        objects = len(await bucket.keys(f"{batch_id}/"))
        base = f"s3://{bucket.name}/{batch_id}"
        print_files(console, local, f"{base}.json", f"{base}/", objects)


def _print_log(console: Console, log: Path) -> None:
    # Printed now, because the folder is removed with the stack.
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    console.print("\n".join(map(readable, lines)), markup=False, highlight=False, soft_wrap=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def _wait_for_interrupt(limit: float | None = None) -> None:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    try:
        async with asyncio.timeout(limit):
            await interrupted.wait()
    except TimeoutError:
        return
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
