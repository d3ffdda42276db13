"""Many batches at once on a local stack: `python -m bench.speed.load`; exit code 1 when a check did not hold."""

from typing import Annotated

import typer

from bench.kit.cli import Out, Workers, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import publish_rows
from bench.speed.load.measure import Load, run_load
from bench.speed.load.report import BATCHES, NAME, render

Batches = Annotated[int, typer.Option(min=1, help="Batches submitted at once.")]
Items = Annotated[int, typer.Option(min=1, help="Items of each.")]
Small = Annotated[int, typer.Option(min=1, help="Items of the batch submitted in the middle.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas of the pipeline.")]
Chunk = Annotated[int, typer.Option(min=1, help="Items a task.")]
Window = Annotated[int, typer.Option(min=1, help="Tasks of a batch in flight.")]

app = new_app()


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    batches: Batches = 20,
    items: Items = 2_000,
    small: Small = 100,
    replicas: Replicas = 4,
    workers: Workers = 64,
    chunk: Chunk = 10,
    window: Window = 128,
    out: Out = RESULTS,
) -> None:
    """Run many batches at once and measure throughput, fairness, callbacks, the queue and memory."""
    machine = describe_machine("bench.speed.load")
    samples, ended = run_to_end(run_load(Load(batches, items, small, replicas, workers, chunk, window)))
    new_console().print(publish_rows(out, machine, {NAME: samples, BATCHES: ended}, render))


if __name__ == "__main__":
    app()
