"""The evidence of a run, gathered with plain clients: no code of the pipeline reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.kit.leftovers import clean_within
from bench.kit.stack import open_redis

if TYPE_CHECKING:
    from bench.chaos.stage import Stage
    from pipeline.local.demo.bucket import Bucket

ENDED = frozenset({"done", "cancelled", "failed"})
# The sweep removes what a killed replica left, one lease later.
CLEANED_WITHIN = 20.0


@dataclass(frozen=True)
class Seen:
    """One delivery or exchange at the gateway.

    `kind` is enqueue, message, callback or call; `call_id` is the X-Call-Id; `item` is the body of a model call, or
    mode/generation/task/attempt of a message. `fault` is drop, wipe, refuse or lose, '' for none. `status` is that of
    the answer, 0 for none; `seconds` is the duration.
    """

    kind: str
    call_id: str
    item: str
    fault: str
    status: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """All that the checker reads.

    `summary` is None where there is none; `later` is the summary once no more answers come. `calls` is the log of the
    model, (call id, item); `seen` is the log of the gateway. `objects` are those that the summary refers to. `stopped`:
    a cancel was requested; `cancelled`: it was accepted. `problems` are those of the client: a batch that hangs, or an
    accepted one that is gone. `begun` is the generation with which the batch, or its redrive, began. `left` is what
    must be gone after the end.
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
        """Return a copy with changes."""
        return replace(self, **changes)


async def gather(stage: Stage, batch: str, known: Evidence) -> Evidence:
    """Read S3, Redis and the model log of an ended batch, as soon as nothing is left or the time is over."""
    async with stage.bucket() as bucket, open_redis(stage.stack) as redis:
        summary = await _document(bucket, batch)
        left = tuple(await clean_within(CLEANED_WITHIN, bucket, redis, batch))
        results = summary["results"]["results"] if summary else []
        keys = [entry["resultRef"] for entry in results if entry.get("resultRef")]
        objects = {key: await bucket.get(key) or b"" for key in keys}
        later = await _document(bucket, batch)
    text = stage.model_log.read_text() if stage.model_log.exists() else ""
    calls = [(call_id, item) for call_id, item in map(json.loads, text.splitlines())]
    return known.but(summary=summary, later=later, left=left, objects=objects, calls=calls)


async def _document(bucket: Bucket, batch: str) -> dict[str, Any] | None:
    stored = await bucket.get(f"{batch}.json")
    document: dict[str, Any] | None = json.loads(stored) if stored else None
    return document
