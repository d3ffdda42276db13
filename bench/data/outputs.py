"""What the outputs of a large batch cost: `python -m bench.data.outputs`, three minutes on a local S3 server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console

from bench.data.measured_child import open_stage
from bench.data.outputs_report import Run, as_page
from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.kit.publish import publish

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parents[1] / "results"
NAME = "outputs"
FORMATS = ("parquet", "csv", "ndjson")
# Formats of the table, None for no table, and whether there is a summary.
CASES: dict[str, tuple[tuple[str, ...] | None, bool]] = {
    "summary": (None, True),
    "none": ((), False),
    **{name: ((name,), False) for name in FORMATS},
    "all": (FORMATS, False),
    "summary and all": (FORMATS, True),
}
MIB = 1024 * 1024

Items = Annotated[int, typer.Option(min=1, help="Items of the batch.")]
Repeats = Annotated[int, typer.Option(min=1, help="Processes for each of the outputs.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, items: Items = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds, sizes and memory of each output, beside those of the summary, as CSV, JSON and Markdown."""
    machine = describe_machine("bench.data.outputs", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_measure(items, repeats, console))
    page = as_page(runs, machine)
    publish(out, NAME, runs, machine, page)
    console.print(page)


async def _measure(items: int, repeats: int, console: Console) -> Sequence[Run]:
    runs = []
    async with open_stage(items) as stage:
        for repeat in range(repeats):
            for name, (formats, summary) in CASES.items():
                console.print(f"{name}, {repeat + 1} of {repeats}")
                found = await stage.measure(formats, summary=summary)
                size = sum(found.sizes.values()) / MIB
                figures = (found.before_rss_mb, found.peak_rss_mb, found.longest_hold_ms)
                runs.append(Run(name, items, repeat, found.join_seconds, found.seconds, size, *figures))
    return runs


if __name__ == "__main__":
    app()
