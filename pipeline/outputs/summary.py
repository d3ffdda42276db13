"""The summary: every item of the batch in input order, in one JSON document in S3."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from pipeline.answers.outcome import Outcome
from pipeline.outputs.batch_rows import BatchRows
from pipeline.store.object_info import ObjectInfo
from pipeline.store.snapshot import Item
from pipeline.store.writer import Writer
from pipeline.units import iso

Status = Literal["succeeded", "failed"]

_FIELDS = frozenset({"result", "statusCode", "callId", "encoding", "resultRef"})


@dataclass(frozen=True)
class Totals:
    """The start and the end of the batch in seconds since 1970, by the ledger, and the number of its successes.

    `not_run` is the result of items that never ran.
    """

    started: float
    completed: float
    succeeded: int
    not_run: str


@dataclass(frozen=True)
class Summary:
    """A summary in S3: the numbers of successes and of failed outcomes. Items that never ran are in neither."""

    object: ObjectInfo
    succeeded: int
    failed: int


async def write_summary(new_writer: Callable[[], Writer], rows: BatchRows, totals: Totals) -> Summary:
    """Write the summary in the shape {batchId, batchStarted, batchCompleted, failures, results}; raises as the store.

    Each list is one pass over the segments, so memory holds neither of them. Their counts come before them, from
    `totals`. Where Redis lost its last second and an item ran twice, the counts can differ from the lists: then the
    summary is written once more.
    """
    written, failures, failed, results = await _write(new_writer(), rows, totals)
    items = rows.manifest.items
    if (failures, results) != (items - totals.succeeded, totals.succeeded):
        counted = replace(totals, succeeded=results if totals.succeeded else items - failures)
        written, failures, failed, results = await _write(new_writer(), rows, counted)
    return Summary(written, results, failed)


async def _write(writer: Writer, rows: BatchRows, totals: Totals) -> tuple[ObjectInfo, int, int, int]:
    """Return the object, the number of failures, the outcomes among them, and the number of results."""
    head = {
        "batchId": rows.batch,
        "batchStarted": iso(totals.started),
        "batchCompleted": iso(totals.completed),
    }
    counts: list[tuple[int, int]] = []
    lists: tuple[tuple[bytes, Status, int], ...] = (
        (b"failures", "failed", rows.manifest.items - totals.succeeded),
        (b"results", "succeeded", totals.succeeded),
    )
    async with writer:
        await writer.write(orjson.dumps(head)[:-1])
        for name, status, count in lists:
            await writer.write(b',"%s":{"count":%d,"results":[' % (name, count))
            counts.append(await _write_entries(writer, rows, status, totals.not_run) if count else (0, 0))
            await writer.write(b"]}")
        await writer.write(b"}\n")
        (failures, failed), (results, _) = counts
        return await writer.close(), failures, failed, results


async def _write_entries(writer: Writer, rows: BatchRows, status: Status, not_run: str) -> tuple[int, int]:
    """Return the number of entries, and of the outcomes among them."""
    entries = outcomes = 0
    separator = b"\n"
    name = "item" if rows.manifest.column in _FIELDS else rows.manifest.column
    async with aclosing(rows.items_with_outcomes()) as pieces:
        async for pairs in pieces:
            lines: list[bytes] = []
            for item, outcome in pairs:
                if (outcome.status if outcome else "failed") == status:
                    outcomes += outcome is not None
                    lines.append(separator + orjson.dumps(_entry(name, item, outcome, not_run)))
                    separator = b",\n"
            entries += len(lines)
            await writer.write(b"".join(lines))
            # The same process answers callbacks: they do not wait for a whole summary.
            await asyncio.sleep(0)
    return entries, outcomes


def _entry(name: str, item: Item, outcome: Outcome | None, not_run: str) -> dict[str, object]:
    entry: dict[str, object] = {
        name: orjson.Fragment(item.text) if item.json else item.text,
        "result": orjson.Fragment(bytes(outcome.result)) if outcome else not_run,
        "statusCode": outcome.status_code if outcome else None,
        "callId": outcome.call_id if outcome else None,
    }
    if outcome and outcome.encoding:
        entry["encoding"] = outcome.encoding
    if outcome and outcome.ref:
        entry["resultRef"] = outcome.ref
    return entry
