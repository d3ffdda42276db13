"""The pipeline beside other ways of doing the same job: `python -m bench.compare`, on a local stack."""

from typing import Annotated

import typer

from bench.compare import peers
from bench.compare.report import FAULTS, NAME, render
from bench.compare.run import compare, run_faults
from bench.compare.stage import Ground
from bench.compare.ways import FORMS, WAYS, Layout
from bench.kit.cli import Out, Repeats, chosen, errors_in_one_line, new_app, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import publish_rows
from pipeline.local.services.redis_and_s3 import redis_server, s3_server

Items = Annotated[int, typer.Option(min=1, help="Items a batch.")]
Parallelism = Annotated[int, typer.Option(min=2, help="Queue-workers, or worker processes, working at once.")]
Ways = Annotated[list[str] | None, typer.Option("--way", help=f"Of {', '.join(WAYS)}; may be repeated.")]
ModelMs = Annotated[int, typer.Option(min=0, help="Milliseconds that the model function takes for an item.")]
SkipFaults = Annotated[bool, typer.Option("--skip-faults", help="Measure only.")]

app = new_app()


@app.command()
def main(
    *,
    repeats: Repeats = 5,
    items: Items = 1000,
    parallelism: Parallelism = 4,
    ways: Ways = None,
    out: Out = RESULTS,
    model_ms: ModelMs = 0,
    skip_faults: SkipFaults = False,
) -> None:
    """Compare the pipeline with other ways, from submission to summary, and under faults, as CSV, JSON and SVG."""
    machine, names = describe_machine("bench.compare"), chosen(ways, WAYS)
    forms = [form for form in FORMS if form.way in names]
    # The pipeline alone needs no environment of others.
    if names != ["pipeline"]:
        with errors_in_one_line():
            machine["peers"] = peers.install()

    async def run() -> None:
        async with redis_server() as redis, s3_server() as s3:
            ground = Ground(redis, s3, model_ms)
            rows = await compare(forms, Layout(parallelism), items, repeats, ground)
            # Written at once: a fault that could not be made to happen takes no figure along.
            (out / f"{FAULTS}.csv").unlink(missing_ok=True)
            page = publish_rows(out, machine, {NAME: rows}, render)
            if not skip_faults:
                outcomes = await run_faults(names, ground)
                page = publish_rows(out, machine, {NAME: rows, FAULTS: outcomes}, render)
            typer.echo(page)

    run_to_end(run())


if __name__ == "__main__":
    app()
