"""The summary: every item of the batch in input order, in one JSON document in S3."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from pipeline.answers.outcome import Outcome
from pipeline.store.bucket import Store
from pipeline.store.errors import ObjectInfo
from pipeline.store.keys import Segment
from pipeline.store.segments import merge
from pipeline.store.snapshot import Item, Manifest, Snapshots
from pipeline.store.writer import Writer
from pipeline.units import iso

Status = Literal["succeeded", "failed"]
NewWriter = Callable[[], "Writer"]

_FIELDS = frozenset({"result", "statusCode", "callId", "encoding", "resultRef"})


@dataclass(frozen=True)
class Totals:
    """What the summary says beside its entries; times are seconds since 1970, by the ledger.

    `manifest` is that of the whole input; `not_run` is the result of items that never ran.
    """

    batch: str
    manifest: Manifest
    started: float
    completed: float
    succeeded: int
    not_run: str


@dataclass(frozen=True)
class Written:
    """A summary in S3: how many items succeeded, and how many failures are outcomes, not items that never ran."""

    object: ObjectInfo
    succeeded: int
    failed: int


async def write_summary(
    new_writer: NewWriter, store: Store, snapshots: Snapshots, totals: Totals, segments: Sequence[Segment]
) -> Written:
    """Write the summary in the shape {batchId, batchStarted, batchCompleted, failures, results}; raises as the store.

    The two lists are two passes over the segments, so memory holds neither of them; their counts come first, from
    `totals`. Where Redis lost its last second and an item has run twice, they can differ from the lists: then it is
    written once more.
    """
    written, failures, failed, results = await _write(new_writer(), store, snapshots, totals, segments)
    if (failures, results) != (totals.manifest.items - totals.succeeded, totals.succeeded):
        right = replace(totals, succeeded=results if totals.succeeded else totals.manifest.items - failures)
        written, failures, failed, results = await _write(new_writer(), store, snapshots, right, segments)
    return Written(written, results, failed)


async def _write(
    writer: Writer, store: Store, snapshots: Snapshots, totals: Totals, segments: Sequence[Segment]
) -> tuple[ObjectInfo, int, int, int]:
    """Return the object, the failures, how many of them are outcomes, and the results."""
    head = {
        "batchId": totals.batch,
        "batchStarted": iso(totals.started),
        "batchCompleted": iso(totals.completed),
    }
    counts: list[tuple[int, int]] = []
    lists: tuple[tuple[bytes, Status, int], ...] = (
        (b"failures", "failed", totals.manifest.items - totals.succeeded),
        (b"results", "succeeded", totals.succeeded),
    )
    async with writer:
        await writer.write(orjson.dumps(head)[:-1])
        for name, status, count in lists:
            await writer.write(b',"%s":{"count":%d,"results":[' % (name, count))
            some = (writer, store, snapshots, totals, segments, status)
            counts.append(await _write_entries(*some) if count else (0, 0))
            await writer.write(b"]}")
        await writer.write(b"}\n")
        (failures, failed), (results, _) = counts
        return await writer.close(), failures, failed, results


async def _write_entries(
    writer: Writer,
    store: Store,
    snapshots: Snapshots,
    totals: Totals,
    segments: Sequence[Segment],
    status: Status,
) -> tuple[int, int]:
    """Return how many entries were written, and how many of them are outcomes."""
    entries = outcomes = 0
    separator = b"\n"
    name = "item" if totals.manifest.column in _FIELDS else totals.manifest.column
    async with aclosing(merge(store, segments)) as merged:
        async for some in _with_items(snapshots, totals, merged):
            lines: list[bytes] = []
            for item, outcome in some:
                if outcome is None and status == "failed":
                    entry: dict[str, object] = {
                        name: _shown(item),
                        "result": totals.not_run,
                        "statusCode": None,
                        "callId": None,
                    }
                elif outcome is not None and outcome.status == status:
                    entry = _entry(name, item, outcome)
                    outcomes += 1
                else:
                    continue
                lines.append(separator + orjson.dumps(entry))
                separator = b",\n"
            entries += len(lines)
            await writer.write(b"".join(lines))
            # The same process answers callbacks: they do not wait for a whole summary.
            await asyncio.sleep(0)
    return entries, outcomes


async def _with_items(
    snapshots: Snapshots, totals: Totals, merged: AsyncIterator[dict[int, Outcome]]
) -> AsyncIterator[list[tuple[Item, Outcome | None]]]:
    """Pair every item of the snapshot with its outcome, some at a time; both come in input order."""
    known: dict[int, Outcome] = {}
    last: float = -1
    async for items in snapshots.all_items(totals.batch, totals.manifest):
        while last < items[-1].index:
            outcomes = await anext(merged, None)
            known |= outcomes or {}
            last = next(reversed(outcomes)) if outcomes else math.inf
        yield [(item, known.pop(item.index, None)) for item in items]


def _shown(item: Item) -> object:
    return orjson.Fragment(item.text) if item.json else item.text


def _entry(name: str, item: Item, outcome: Outcome) -> dict[str, object]:
    entry: dict[str, object] = {
        name: _shown(item),
        "result": orjson.Fragment(bytes(outcome.result)),
        "statusCode": outcome.status_code,
        "callId": outcome.call_id,
    }
    if outcome.encoding:
        entry["encoding"] = outcome.encoding
    if outcome.ref:
        entry["resultRef"] = outcome.ref
    return entry
