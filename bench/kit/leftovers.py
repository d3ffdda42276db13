"""Leftovers of batches that have ended: uploads, marks, index entries, keys without a TTL."""

import asyncio
import time
from typing import cast

from redis.asyncio import Redis

from pipeline.local.demo.bucket import Bucket

NO_TTL = -1
BETWEEN_LOOKS = 0.2
INDEX, MARKS = "pipeline:open", "open/pipeline/"


async def leftovers(bucket: Bucket, redis: Redis, batch: str = "") -> list[str]:
    """Describe the leftovers of a batch, or of all batches, and every upload and every key without a TTL."""
    uploads = (await bucket.client.list_multipart_uploads(Bucket=bucket.name)).get("Uploads", [])
    lasting = [key.decode() async for key in redis.scan_iter(count=1000) if await redis.ttl(key) == NO_TTL]
    indexed = [name.decode() for name in cast("list[bytes]", await redis.zrange(INDEX, 0, -1))]
    marks = await bucket.keys(MARKS)
    return [
        *(f"upload left: {upload['Key']}" for upload in uploads),
        *(f"mark of an open batch left: {key}" for key in marks if batch in {"", key.removeprefix(MARKS)}),
        *(f"entry of the index left: {name}" for name in indexed if batch in {"", name}),
        *(f"key without TTL: {key}" for key in lasting),
    ]


async def clean_within(seconds: float, bucket: Bucket, redis: Redis, batch: str = "") -> list[str]:
    """Wait at most so many seconds until nothing is left; returns the leftovers."""
    deadline = time.monotonic() + seconds
    while (left := await leftovers(bucket, redis, batch)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(BETWEEN_LOOKS)
    return left
