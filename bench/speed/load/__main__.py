"""Many batches at once on a local stack: `python -m bench.speed.load`; exit code 1 when a check did not hold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.speed.load.report import write
from bench.speed.load.scenario import Load, run_load

OUT = Path(__file__).parents[2] / "results"

Batches = Annotated[int, typer.Option(min=1, help="Batches submitted at once.")]
Items = Annotated[int, typer.Option(min=1, help="Items of each.")]
Small = Annotated[int, typer.Option(min=1, help="Items of the batch submitted in the middle.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas of the pipeline.")]
Workers = Annotated[int, typer.Option(min=1, help="Queue-workers working at once.")]
Chunk = Annotated[int, typer.Option(min=1, help="Items a task.")]
Window = Annotated[int, typer.Option(min=1, help="Tasks of a batch in flight.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    batches: Batches = 20,
    items: Items = 10_000,
    small: Small = 100,
    replicas: Replicas = 4,
    workers: Workers = 64,
    chunk: Chunk = 10,
    window: Window = 128,
    out: Out = OUT,
) -> None:
    """Run many batches at once and measure throughput, fairness, callbacks, the queue and memory."""
    load = Load(batches, items, small, replicas, workers, chunk, window)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    machine = describe_machine("bench.speed.load", sys.argv[1:])
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run_load(load, console))
    page = write(out, load, result, machine)
    console.print(page)
    if result.problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
