"""What is left of a run, gathered with plain clients: nothing of the pipeline's own code reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from bench.kit.leftovers import clean_within
from pipeline.local.demo.bucket import Bucket

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

    from bench.chaos.stage import Stage

ENDED = frozenset({"done", "cancelled", "failed"})
# The sweep cleans up what the death of a replica leaves, one lease later.
CLEANED_WITHIN = 20.0


@dataclass(frozen=True)
class Seen:
    """One delivery or exchange at the gateway.

    `kind` is enqueue, message, callback or call; `call_id` is the X-Call-Id; `item` is a model call's body, or what a
    message is: mode/generation/task/attempt. `fault` says what was done to it, '' for nothing: drop, wipe, refuse,
    lose. `status` is what the caller was answered, 0 for one that never came to that; `seconds` is how long it took.
    """

    kind: str
    call_id: str
    item: str
    fault: str
    status: int
    seconds: float = 0.0


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
    left: tuple[str, ...] = ()
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
        async with stage.redis() as redis:
            left = tuple(await clean_within(CLEANED_WITHIN, Bucket(s3, bucket), redis, batch))
        objects = {}
        for entry in (summary or {}).get("results", {}).get("results", []):
            if key := entry.get("resultRef"):
                objects[key] = await _body(s3, bucket, key)
        later = await _read(s3, bucket, f"{batch}.json")
    text = stage.model_log.read_text() if stage.model_log.exists() else ""
    calls = [(call_id, item) for call_id, item in map(json.loads, text.splitlines())]
    return known.but(summary=summary, later=later, left=left, objects=objects, calls=calls)


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
