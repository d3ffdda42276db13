"""What must hold after a load run, read from S3 and Redis with plain clients."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from pipeline.client import Progress
    from pipeline.local.demo.bucket import Bucket

# The sweep cleans up what is left one lease later.
CLEAN_WITHIN = 60.0
NO_TTL = -1
INDEX = "pipeline:open"


def summary_problems(batch: str, rows: Sequence[str], status: Progress, summary: Any) -> list[str]:
    """Say what is wrong with a batch whose items all succeed: [] when each is in the summary once and in order."""
    found = []
    if status.state != "done":
        found.append(f"{batch} is {status.state}: {status.reason}")
    if summary is None:
        return [*found, f"{batch} has no summary"]
    for name in ("results", "failures"):
        part = summary[name]
        if part["count"] != len(part["results"]):
            found.append(f"{batch}: {name} counts {part['count']}, the list has {len(part['results'])}")
    if summary["failures"]["results"]:
        found.append(f"{batch}: {len(summary['failures']['results'])} items failed")
    if [entry["item"] for entry in summary["results"]["results"]] != list(rows):
        found.append(f"{batch}: the results are not the rows, each once and in order")
    if any(entry["result"] != {"length": len(entry["item"])} for entry in summary["results"]["results"]):
        found.append(f"{batch}: a result is not its item's")
    told = (status.items, status.succeeded, status.failed)
    if told != (len(rows), len(rows), 0):
        found.append(f"{batch}: the status tells {told} items, succeeded and failed instead of {len(rows)} and none")
    return found


async def batch_problems(bucket: Bucket, batch: str, rows: Sequence[str], status: Progress) -> list[str]:
    """Read the summary of an ended batch and say what is wrong with it."""
    content = await bucket.get(f"{batch}.json")
    summary = None if content is None else json.loads(content)
    return summary_problems(batch, rows, status, summary)


async def leftovers(bucket: Bucket, redis: Redis, *, within: float = CLEAN_WITHIN) -> list[str]:
    """Say what is still there that should have gone, as soon as there is nothing or it was waited `within` s."""
    deadline = time.monotonic() + within
    while (left := await _left(bucket, redis)) and time.monotonic() < deadline:  # noqa: ASYNC110 - it is Redis' and S3's
        await asyncio.sleep(1)
    return left


async def _left(bucket: Bucket, redis: Redis) -> list[str]:
    uploads = (await bucket.client.list_multipart_uploads(Bucket=bucket.name)).get("Uploads", [])
    lasting = [key.decode() async for key in redis.scan_iter(count=1000) if await redis.ttl(key) == NO_TTL]
    indexed = cast("list[bytes]", await redis.zrange(INDEX, 0, -1))
    return [
        *(f"upload left: {upload['Key']}" for upload in uploads),
        *(f"mark of an open batch left: {key}" for key in await bucket.keys("open/")),
        *(f"entry of the index left: {name.decode()}" for name in indexed),
        *(f"key without TTL: {key}" for key in lasting),
    ]
