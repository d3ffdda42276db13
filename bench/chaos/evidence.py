"""What is left of a run, gathered with plain clients: nothing of the pipeline's own code reads it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from types_aiobotocore_s3 import S3Client

    from bench.chaos.stage import Stage
    from bench.chaos.traces import Seen

ENDED = frozenset({"done", "cancelled", "failed"})
# The sweep cleans up what the death of a replica leaves, one lease later.
CLEANED_WITHIN = 20.0
NO_TTL = -1
PREFIX = "pipeline"


@dataclass(frozen=True)
class Left:
    """What should not be there any more once a batch has ended."""

    uploads: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    without_ttl: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that the checker looks at.

    `summary` is None where there is none, `later` the summary once all is quiet. `calls` is the model's own log:
    (call id, item). `seen` is the gateway's. `objects` holds what the summary refers to. `stopped` says that a cancel
    was asked for, `cancelled` that it was promised. `problems` are what the run itself met: a hang, an accepted batch
    that is gone. `begun` is the generation with which the batch, or its redrive, began.
    """

    rows: list[str]
    options: dict[str, int]
    status: dict[str, Any]
    summary: dict[str, Any] | None
    later: dict[str, Any] | None
    calls: list[tuple[str, str]]
    seen: list[Seen] = field(repr=False)
    objects: dict[str, bytes] = field(default_factory=dict)
    left: Left = field(default_factory=Left)
    stopped: bool = False
    cancelled: bool = False
    problems: tuple[str, ...] = ()
    column: str = "item"
    begun: int = 0

    def but(self, **changes: Any) -> Evidence:
        """Return the same with changes."""
        return replace(self, **changes)


async def gather(stage: Stage, batch: str, known: Evidence) -> Evidence:
    """Read what S3, Redis and the model's log hold of an ended batch, as soon as it is clean or was long enough."""
    async with stage.s3() as s3:
        bucket = stage.stack.s3.bucket
        summary = await _read(s3, bucket, f"{batch}.json")
        left = await _until_clean(lambda: _left(stage, s3, batch))
        objects = {}
        for entry in (summary or {}).get("results", {}).get("results", []):
            if key := entry.get("resultRef"):
                objects[key] = await _body(s3, bucket, key)
        later = await _read(s3, bucket, f"{batch}.json")
    text = stage.model_log.read_text() if stage.model_log.exists() else ""
    calls = [(call_id, item) for call_id, item in map(json.loads, text.splitlines())]
    return known.but(summary=summary, later=later, left=left, objects=objects, calls=calls)


async def _until_clean(look: Callable[[], Awaitable[Left]]) -> Left:
    deadline = time.monotonic() + CLEANED_WITHIN
    while (left := await look()) != Left() and time.monotonic() < deadline:  # noqa: ASYNC110 - it is Redis' and S3's
        await asyncio.sleep(0.1)
    return left


async def _left(stage: Stage, s3: S3Client, batch: str) -> Left:
    bucket = stage.stack.s3.bucket
    uploads = (await s3.list_multipart_uploads(Bucket=bucket)).get("Uploads", [])
    markers = (await s3.list_objects_v2(Bucket=bucket, Prefix=f"open/{batch}")).get("Contents", [])
    async with stage.redis() as redis:
        indexed = [batch] if await redis.zscore(f"{PREFIX}:open", batch) is not None else []
        keys = [key async for key in redis.scan_iter(f"{PREFIX}*")]
        lasting = [key.decode() for key in keys if await redis.ttl(key) == NO_TTL]
    return Left(
        tuple(upload["Key"] for upload in uploads),
        tuple(entry["Key"] for entry in markers),
        tuple(indexed),
        tuple(lasting),
    )


async def _read(s3: S3Client, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(await _body(s3, bucket, key))
    except ClientError:
        return None
    return document


async def _body(s3: S3Client, bucket: str, key: str) -> bytes:
    answer = await s3.get_object(Bucket=bucket, Key=key)
    async with answer["Body"] as body:
        return await body.read()
