"""One batch through a platform, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as S3Error

from bench.errors import BenchError
from bench.figures import Case, Run
from bench.processes import watched
from pipeline.local.demo.bucket import open_bucket
from pipeline.local.demo.client import PipelineClient

if TYPE_CHECKING:
    from bench.platforms import Platform
    from pipeline.local.stack import S3Info

DEADLINE_SECONDS = 600


async def warm_up(platform: Platform, parallelism: int) -> None:
    """Run a small batch through every model function: connections are opened and code is loaded before it counts."""
    for model_ms in platform.functions:
        await run_batch(platform, Case(parallelism, model_ms, max(10, 2 * parallelism)), repeat=0)


async def run_batch(platform: Platform, case: Case, *, repeat: int) -> Run:
    """Put the input, run it at one item a task, and measure until the summary can be read.

    Raises BenchError when an item failed, the batch did not end well or S3 refused; RefusedError when the pipeline did.
    """
    spec = {
        "input": await put_input(platform.s3, case.items),
        "function": platform.functions[case.model_ms],
        "chunk": 1,
        # More in the queue than are worked on: else the workers would wait for the window, not for work.
        "window": max(128, 2 * case.parallelism),
        "deadline": DEADLINE_SECONDS,
    }
    async with watched(platform.groups(case.model_ms), "pipeline") as usage, PipelineClient(platform.gateway_url) as cl:
        batch = await cl.start(spec)
        async for _ in cl.follow(batch):
            pass
    cpu_ms = {name: ms / case.items for name, ms in usage.cpu_ms().items()}
    status = await read_status(platform.gateway_url, batch)
    _check(status, case)
    return Run(
        case=case,
        repeat=repeat,
        seconds=status["completed"] - status["started"],
        total_seconds=status["ended"] - status["created"],
        retried=status["retried"],
        cpu_ms=cpu_ms,
        peak_rss_mb=usage.peak_rss_mb.get("pipeline"),
    )


async def put_input(s3: S3Info, items: int) -> str:
    """Put a CSV of so many items, and return its key; raises BenchError."""
    key = f"bench/{items}.csv"
    rows = "".join(f"item-{index:07}\n" for index in range(items))
    try:
        async with open_bucket(s3) as bucket:
            await bucket.put(key, f"item\n{rows}".encode())
    except (BotoCoreError, S3Error) as error:
        raise BenchError(f"the input cannot be put to {s3.endpoint}: {error}") from error
    return key


async def read_status(gateway_url: str, batch: str) -> dict[str, Any]:
    """Read a batch's status document; raises BenchError."""
    url = f"{gateway_url}/function/pipeline"
    try:
        async with ClientSession(raise_for_status=True) as session, session.get(url, params={"batch": batch}) as answer:
            document: dict[str, Any] = await answer.json()
    except (ClientError, TimeoutError) as error:
        raise BenchError(f"the status of {batch} cannot be read: {error}") from error
    return document


def _check(status: dict[str, Any], case: Case) -> None:
    if status["state"] != "done" or status["succeeded"] != case.items:
        raise BenchError(
            f"batch {status['batch_id']} is {status['state']} with {status['succeeded']} of {case.items} items "
            f"succeeded: {status['reason'] or 'the summary says why'}"
        )
