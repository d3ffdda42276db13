"""The needs of a batch of Redis, S3 and the queue: `python -m bench.speed.sizing`, on a local stack."""

from typing import Any

from rich.console import Console

from bench.kit.cli import Out, interleaved, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import publish_rows
from bench.speed.sizing.measure import CASES, run_case
from bench.speed.sizing.report import NAME, render
from pipeline.local.services.redis_and_s3 import s3_server

app = new_app()


@app.command()
def main(*, out: Out = RESULTS) -> None:
    """Measure batches of several sizes, chunks, windows and results."""
    console, machine = new_console(), describe_machine("bench.speed.sizing")
    rows = run_to_end(_measure(console))
    console.print(publish_rows(out, machine, {NAME: rows}, render))


async def _measure(console: Console) -> list[dict[str, Any]]:
    async with s3_server() as s3:
        return [await run_case(case, s3) for _, case in interleaved(CASES, 1, console)]


if __name__ == "__main__":
    app()
