"""Rebuild the ledger of a batch that Redis has lost, from what S3 keeps: specification, snapshots and segments."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

import msgspec

from pipeline.batch.generations import is_last_generation
from pipeline.batch.open import NewBatch, renewed_claim
from pipeline.context import Context
from pipeline.ledger.ledger import Begun
from pipeline.store.segments import adopt
from pipeline.store.snapshot import Snapshots
from pipeline.units import MICROSECONDS

SUCCEEDED, RETRYABLE, GIVEN_UP = 1, 2, 3

log = logging.getLogger(__name__)


class _ItemStatus(msgspec.Struct, frozen=True):
    """The fields of an outcome that are counted."""

    index: int
    status: str
    retryable: bool = False


_DECODER = msgspec.json.Decoder(_ItemStatus)


@dataclass
class _Tally:
    """SUCCEEDED, RETRYABLE or GIVEN_UP for each item by index, 0 without an outcome that counts.

    `segments` are the counts of segments, by generation.
    """

    items: bytearray
    segments: list[int] = field(default_factory=list)

    def add(self, body: bytes) -> None:
        """Count a segment's outcomes; an item that has succeeded stays so."""
        for line in body.split(b"\n"):
            item = _DECODER.decode(line)
            failed = RETRYABLE if item.retryable else GIVEN_UP
            if self.items[item.index] != SUCCEEDED:
                self.items[item.index] = SUCCEEDED if item.status == "succeeded" else failed


async def rebuild(context: Context, new: NewBatch) -> Begun | None:
    """Rebuild the ledger under the claim of `new`; returns None if there is no snapshot, so that nothing was lost.

    Tasks in flight, and those whose outcomes only Redis had, run again. Raises UnavailableError.
    """
    generations = await context.snapshots.generations(new.name)
    claimed = await context.ledger.state(new.name)
    if not generations or claimed is None:
        return None
    # There may be a snapshot of a later generation that never began.
    current, base = min(claimed.number("generation"), generations[-1]), claimed.number("base")
    async with renewed_claim(context, new):
        tally = await _count_outcomes(context, new, claimed["epoch"], current, redrive=base > current)
        bitmap, tasks, remaining = await _settled_bitmap(context.snapshots, new.name, current, tally)
        fields = await _ledger_fields(context, new, base, current, tally)
        fields |= {f"epoch_{number}": claimed["epoch"] for number in range(current)}
    state = await context.ledger.restore(new.name, new.owner, fields, bitmap, tasks, remaining)
    if state != "lost":
        context.metrics.rebuilt.inc()
        log.warning("the ledger is rebuilt", extra={"batch": new.name, "tasks": tasks, "left": remaining})
    return state


async def _count_outcomes(context: Context, new: NewBatch, epoch: str, current: int, *, redrive: bool) -> _Tally:
    """Copy the segments of all generations to the new epoch, and count their outcomes, the newest of an item last.

    For an item of the current generation only that generation's outcome counts, unless a redrive is to begin.
    """
    tally = _Tally(bytearray((await context.snapshots.manifest(new.name, 0)).items))
    for generation in range(current + 1):
        if generation == current and not redrive:
            async for cut in context.snapshots.cuts(new.name, current):
                for index in cut.indices:
                    tally.items[index] = 0
        copies = await adopt(context.store, new.name, generation, new.submission.epoch, epoch)
        tally.segments.append(len(copies))
        for segment in copies:
            body = await context.store.get(segment.key)
            await asyncio.to_thread(tally.add, body)
    return tally


async def _settled_bitmap(snapshots: Snapshots, batch: str, generation: int, tally: _Tally) -> tuple[bytes, int, int]:
    """Return the bitmap of settled tasks, the number of tasks, and how many are not settled."""
    tasks = (await snapshots.manifest(batch, generation)).tasks
    bits = bytearray(-(-tasks // 8))
    settled = 0
    async for cut in snapshots.cuts(batch, generation):
        for place, start in enumerate(cut.starts[:-1]):
            if all(tally.items[index] for index in cut.indices[start : cut.starts[place + 1]]):
                task = cut.first_task + place
                bits[task // 8] |= 0x80 >> task % 8
                settled += 1
    return bytes(bits), tasks, tasks - settled


async def _ledger_fields(context: Context, new: NewBatch, base: int, current: int, tally: _Tally) -> dict[str, str]:
    """Return the fields of the ledger's hash that neither the claim nor `restore.lua` sets.

    A base past the current generation means that a redrive is to begin.
    """
    spec, now = new.submission.spec, int(time.time() * MICROSECONDS)
    manifests = [await context.snapshots.manifest(new.name, number) for number in range(current + 1)]
    succeeded = tally.items.count(SUCCEEDED)
    given_up, retryable = tally.items.count(GIVEN_UP), tally.items.count(RETRYABLE)
    final = is_last_generation(current, min(base, current), spec)
    created = int(new.submission.epoch, 16) or now
    items, tasks = manifests[-1].items, manifests[-1].tasks
    fields: dict[str, object] = {
        "generation": current,
        "base": min(base, current),
        "redrive": 1 if base > current else None,
        "batch_size": manifests[0].items,
        "items": items,
        "succeeded": succeeded,
        "failed": given_up + retryable,
        "retried": sum(manifest.items for manifest in manifests[1:]),
        "given_up": given_up + (retryable if final else 0),
        "not_found": -1 if succeeded + given_up + retryable else 0,
        "created": created,
        "started": created,
        "run_at": now,
        "run_settled": succeeded + given_up + retryable,
        "deadline_at": (now if base else created) + int(spec.deadline * MICROSECONDS),
        "calls": spec.calls(-(-items // max(1, tasks))),
        "direct": int(spec.direct),
        "final": int(final),
        "segments": tally.segments[-1],
        "tolerated": spec.tolerated(manifests[0].items),
    }
    fields |= {f"segments_{number}": count for number, count in enumerate(tally.segments[:-1])}
    return {name: str(value) for name, value in fields.items() if value is not None}
