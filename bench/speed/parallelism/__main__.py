"""Throughput against queue-worker parallelism (`python -m bench.speed.parallelism`), locally or on a real OpenFaaS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.kit.cli import Out, Repeats, fail, new_app, new_console, parse_numbers, run_to_end
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import publish_rows
from bench.speed.parallelism import platforms
from bench.speed.parallelism.measure import sweep
from bench.speed.parallelism.report import NAME, render
from bench.speed.parallelism.ways import WAYS, Sweep
from pipeline.local.services.s3_client import S3Info

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


def _workers(text: str) -> tuple[int, ...]:
    return parse_numbers(text, least=1)


def _ways(text: str) -> tuple[str, ...]:
    ways = tuple(part.strip() for part in text.split(","))
    if not set(ways) <= set(WAYS):
        raise typer.BadParameter(f"expected some of: {', '.join(WAYS)}")
    return ways


EVERY_WAY = ",".join(WAYS)

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
    parallelism: Parallelism = "1,4,16,64",
    model_ms: ModelMs = "0,10,100",
    repeats: Repeats = 3,
    items: Items = None,
    out: Out = RESULTS,
    gateway: Gateway = None,
    function: FunctionName = "model",
    s3_endpoint: Endpoint = "",
    s3_bucket: Bucket = "",
    s3_region: Region = "us-east-1",
) -> None:
    """Measure throughput and its cost against queue-worker parallelism, as rows, a page and charts.

    With --gateway, the S3 keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the way `bare` needs
    bench/speed/parallelism/bare.py deployed as a function of that name.
    """
    console = new_console()
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
    rows = run_to_end(sweep(plan, where, console))
    console.print(publish_rows(out, machine, {NAME: rows}, render))


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


if __name__ == "__main__":
    app()
