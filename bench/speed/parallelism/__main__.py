"""Throughput against queue-worker parallelism (`python -m bench.speed.parallelism`), locally or on a real OpenFaaS."""

import os
from typing import Annotated

import typer

from bench.kit.cli import Out, Repeats, chosen, fail, measure, new_app
from bench.kit.machine import RESULTS
from bench.speed.parallelism import platforms
from bench.speed.parallelism.measure import sweep
from bench.speed.parallelism.report import NAME, render
from bench.speed.parallelism.ways import WAYS, cases_of
from pipeline.local.services.s3_client import S3Info

PARALLELISM = (1, 4, 16, 64)
MODEL_MS = (0, 10, 100)
S3_VARIABLES = ("S3_ENDPOINT", "AWS_REGION", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

Ways = Annotated[list[str] | None, typer.Option("--way", help=f"Of {', '.join(WAYS)}; may be repeated.")]
Workers = Annotated[list[int] | None, typer.Option(min=1, help="Queue-workers working at once; may be repeated.")]
ModelMs = Annotated[list[int] | None, typer.Option(min=0, help="Milliseconds of a model call; may be repeated.")]
Items = Annotated[int | None, typer.Option(min=1, help="Items a batch; by default as many as take some seconds.")]
Gateway = Annotated[str | None, typer.Option(help="An OpenFaaS gateway with the pipeline; without it, a local stack.")]
FunctionName = Annotated[str, typer.Option(help="The model function behind --gateway.")]

app = new_app()


@app.command()
def main(  # noqa: PLR0913 - the options of the command
    *,
    ways: Ways = None,
    parallelism: Workers = None,
    model_ms: ModelMs = None,
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
    workers, times = parallelism or PARALLELISM, model_ms or MODEL_MS
    where = platforms.local(times)
    if gateway is not None:
        if len(workers) != 1 or len(times) != 1:
            raise fail("--gateway measures what is deployed: give its --parallelism and the --model-ms of its function")
        endpoint, region, bucket, key, secret = (os.environ.get(name, "") for name in S3_VARIABLES)
        if not (endpoint and bucket and key and secret):
            raise fail(f"--gateway needs {', '.join(S3_VARIABLES)} to put the input")
        s3 = S3Info(endpoint, region or "us-east-1", bucket, key, secret)
        where = platforms.remote(gateway.rstrip("/"), s3, times[0], function)
    cases = cases_of(chosen(ways, WAYS), workers, times, items)

    async def run() -> dict[str, list[dict[str, object]]]:
        return {NAME: await sweep(cases, repeats, where)}

    measure("bench.speed.parallelism", run(), out, render)


if __name__ == "__main__":
    app()
