"""Throughput against queue-worker parallelism (`python -m bench.speed.parallelism`), locally or on a real OpenFaaS."""

import os
from typing import Annotated, Any

import typer

from bench.kit.cli import Out, Repeats, fail, new_app, new_console, parse_numbers, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import publish_rows
from bench.speed.parallelism import platforms
from bench.speed.parallelism.measure import sweep
from bench.speed.parallelism.report import NAME, render
from bench.speed.parallelism.ways import WAYS, Sweep
from pipeline.local.services.s3_client import S3Info

EVERY_WAY = ",".join(WAYS)
S3_VARIABLES = ("S3_ENDPOINT", "AWS_REGION", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def _workers(text: str) -> tuple[int, ...]:
    return parse_numbers(text, least=1)


def _ways(text: str) -> tuple[str, ...]:
    ways = tuple(part.strip() for part in text.split(","))
    if not set(ways) <= set(WAYS):
        raise typer.BadParameter(f"expected some of: {', '.join(WAYS)}")
    return ways


def _numbers(parser: Any, text: str) -> Any:
    return typer.Option(parser=parser, metavar="N,N,...", help=f"{text}; with --gateway, one.")


Ways = Annotated[Any, typer.Option(parser=_ways, metavar="WAY,WAY,...", help=f"Some of: {', '.join(WAYS)}.")]
Parallelism = Annotated[Any, _numbers(_workers, "Queue-workers working at once")]
ModelMs = Annotated[Any, _numbers(parse_numbers, "Milliseconds of a model call")]
Items = Annotated[int | None, typer.Option(min=1, help="Items a batch; by default as many as take some seconds.")]
Gateway = Annotated[str | None, typer.Option(help="An OpenFaaS gateway with the pipeline; without it, a local stack.")]
FunctionName = Annotated[str, typer.Option(help="The model function behind --gateway.")]

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
) -> None:
    """Measure throughput and its cost against queue-worker parallelism, as rows, a page and charts.

    With --gateway, S3_ENDPOINT, S3_BUCKET, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY name the bucket that
    the pipeline reads, and the way `bare` needs bench/speed/parallelism/bare.py deployed as a function of that name.
    """
    where = platforms.local(model_ms)
    if gateway is not None:
        if len(parallelism) != 1 or len(model_ms) != 1:
            raise fail("--gateway measures what is deployed: give its --parallelism and the --model-ms of its function")
        endpoint, region, bucket, key, secret = (os.environ.get(name, "") for name in S3_VARIABLES)
        if not (endpoint and bucket and key and secret):
            raise fail(f"--gateway needs {', '.join(S3_VARIABLES)} to put the input")
        s3 = S3Info(endpoint, region or "us-east-1", bucket, key, secret)
        where = platforms.remote(gateway.rstrip("/"), s3, model_ms[0], function)
    machine = describe_machine("bench.speed.parallelism")
    rows = run_to_end(sweep(Sweep(ways, parallelism, model_ms, repeats, items), where, new_console()))
    new_console().print(publish_rows(out, machine, {NAME: rows}, render))


if __name__ == "__main__":
    app()
