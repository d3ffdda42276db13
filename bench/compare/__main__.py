"""The pipeline beside other ways of doing the same job: `python -m bench.compare`, on a local stack."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from bench.compare import peers
from bench.compare.forms import WAYS, choose
from bench.compare.peers import Layout
from bench.compare.report import Book
from bench.compare.run_faults import run_faults
from bench.compare.run_forms import Plan, compare
from bench.compare.stage import Ground
from bench.kit.cli import Out, Repeats, errors_in_one_line, new_app, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from pipeline.local.services.redis_and_s3 import redis_server, s3_server

Items = Annotated[int, typer.Option(min=1, help="Items a batch.")]
Parallelism = Annotated[int, typer.Option(min=2, help="Queue-workers, or worker processes, working at once.")]
Ways = Annotated[str, typer.Option(help=f"Those to run, with commas between, of: {', '.join(WAYS)}.")]
ModelMs = Annotated[int, typer.Option(min=0, help="Milliseconds that the model function takes for an item.")]
SkipFaults = Annotated[bool, typer.Option("--skip-faults", help="Measure only.")]

app = new_app()


@app.command()
def main(
    *,
    repeats: Repeats = 5,
    items: Items = 1000,
    parallelism: Parallelism = 4,
    ways: Ways = "",
    out: Out = RESULTS,
    model_ms: ModelMs = 0,
    skip_faults: SkipFaults = False,
) -> None:
    """Compare the pipeline with other ways, from submission to summary, and under faults, as CSV, JSON and SVG."""
    machine = describe_machine("bench.compare")
    with errors_in_one_line():
        plan = Plan(choose(ways), Layout(parallelism), items, repeats)
        # The pipeline alone needs no environment of others.
        if any(form.way != "pipeline" for form in plan.forms):
            peers.install()
            machine["peers"] = peers.versions()
    run_to_end(_run(plan, model_ms, Book(out, machine, Console()), faults=not skip_faults))


async def _run(plan: Plan, model_ms: int, book: Book, *, faults: bool) -> None:
    async with redis_server() as redis, s3_server() as s3:
        ground = Ground(redis, s3, model_ms)
        # Written at once: a fault that could not be made to happen takes no figure along.
        book.measured(await compare(plan, ground, book.console))
        if faults:
            ways = {form.way for form in plan.forms}
            book.struck(await run_faults(ways, ground, book.console))


if __name__ == "__main__":
    app()
