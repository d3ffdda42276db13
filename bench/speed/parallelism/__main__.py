"""Throughput against queue-worker parallelism (`python -m bench.speed.parallelism`), locally or on a real OpenFaaS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench.kit.cli import Out, Repeats, fail, new_app, parse_numbers, run_to_end
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import publish
from bench.speed.parallelism import platforms
from bench.speed.parallelism.figures import BARE, WAYS, Run, medians
from bench.speed.parallelism.show import draw_costs, draw_efficiency, draw_ratios, draw_throughput, print_points, row
from bench.speed.parallelism.sweep import Sweep, sweep
from pipeline.local.services.s3_client import S3Info

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

NAME = "parallelism"
EVERY_WAY = ",".join(WAYS)


def _workers(text: str) -> tuple[int, ...]:
    return parse_numbers(text, least=1)


def _ways(text: str) -> tuple[str, ...]:
    ways = tuple(part.strip() for part in text.split(","))
    if not set(ways) <= set(WAYS):
        raise typer.BadParameter(f"expected some of: {', '.join(WAYS)}")
    return ways


Ways = Annotated[Any, typer.Option(parser=_ways, metavar="WAY,WAY,...", help=f"Some of: {', '.join(WAYS)}.")]
Parallelism = Annotated[
    Any, typer.Option(parser=_workers, metavar="N,N,...", help="Queue-workers working at once; with --gateway, one.")
]
ModelMs = Annotated[
    Any,
    typer.Option(parser=parse_numbers, metavar="N,N,...", help="Milliseconds of a model call; with --gateway, one."),
]
Items = Annotated[int | None, typer.Option(min=1, help="Items a batch; by default as many as take some seconds.")]
Gateway = Annotated[str | None, typer.Option(help="An OpenFaaS gateway with the pipeline; without it, a local stack.")]
FunctionName = Annotated[str, typer.Option(help="The model function behind --gateway.")]
Endpoint = Annotated[str, typer.Option(envvar="S3_ENDPOINT", help="The S3 that the pipeline behind --gateway reads.")]
Bucket = Annotated[str, typer.Option(envvar="S3_BUCKET", help="Its bucket.")]
Region = Annotated[str, typer.Option(envvar="AWS_REGION", help="Its region.")]

app = new_app()


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    ways: Ways = EVERY_WAY,
    parallelism: Parallelism = "1,2,4,8,16,32,64",
    model_ms: ModelMs = "0,10,100",
    repeats: Repeats = 5,
    items: Items = None,
    out: Out = RESULTS,
    gateway: Gateway = None,
    function: FunctionName = "model",
    s3_endpoint: Endpoint = "",
    s3_bucket: Bucket = "",
    s3_region: Region = "us-east-1",
) -> None:
    """Measure throughput and its cost against queue-worker parallelism, as CSV, JSON and SVG.

    With --gateway, the S3 keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the way `bare` needs
    bench/speed/parallelism/bare.py deployed as a function of that name.
    """
    console = Console()
    plan = Sweep(ways, parallelism, model_ms, repeats, items)
    machine = describe_machine("bench.speed.parallelism")
    try:
        where = (
            platforms.local(model_ms)
            if gateway is None
            else _deployed(plan, gateway.rstrip("/"), function, (s3_endpoint, s3_bucket, s3_region))
        )
    except BenchError as error:
        raise fail(str(error)) from error
    _write(out, run_to_end(sweep(plan, where, console)), machine, console)


def _deployed(
    plan: Sweep, gateway: str, function: str, place: tuple[str, str, str]
) -> AbstractAsyncContextManager[platforms.Opener]:
    if len(plan.parallelism) != 1 or len(plan.model_ms) != 1:
        raise BenchError(
            "--gateway measures what is deployed: give its queue-workers' --parallelism and its function's --model-ms"
        )
    endpoint, bucket, region = place
    key, secret = (os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if not (endpoint and bucket and key and secret):
        raise BenchError(
            "--gateway needs --s3-endpoint, --s3-bucket, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to put the input"
        )
    return platforms.remote(gateway, S3Info(endpoint, region, bucket, key, secret), plan.model_ms[0], function)


def _write(out: Path, runs: list[Run], machine: dict[str, Any], console: Console) -> None:
    points = medians(runs)
    publish(out, NAME, machine=machine, rows=[row(run) for run in runs])
    draw_throughput(out / f"{NAME}.svg", points)
    if any(point.against_bare is not None and point.case.way != BARE for point in points):
        draw_ratios(out / f"{NAME}-ratios.svg", points)
    if any(point.efficiency is not None for point in points):
        draw_efficiency(out / f"{NAME}-efficiency.svg", points)
    if any(point.cpu_ms for point in points):
        draw_costs(out / f"{NAME}-costs.svg", points)
    print_points(console, points)
    console.print(f"Rows, machine and charts: {out}/{NAME}.csv, .json, *.svg", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    app()
