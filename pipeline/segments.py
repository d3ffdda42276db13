"""Segments: objects of outcomes in S3, each sorted by item index, and the merge of them in input order."""

import asyncio
import heapq
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from pipeline.errors import UnavailableError
from pipeline.models import Outcome, decode_envelope
from pipeline.store import ObjectInfo, Store

COPIES = 8
_DECODER = msgspec.json.Decoder(Outcome)
_NAME = re.compile(r"/(?P<number>\d+)\.(?P<epoch>[0-9a-f]+)\.(?P<first>\d+)-(?P<last>\d+)\.(?P<failed>\d+)\.ndjson$")


class MissingSegmentError(UnavailableError):
    """A segment that the ledger counts is not in S3."""


@dataclass(frozen=True)
class Segment:
    """A segment by its name: `first` and `last` are item indices, `failed` counts failed outcomes."""

    key: str
    generation: int
    number: int
    first: int
    last: int
    failed: int


async def write_segment(
    store: Store, batch: str, generation: int, epoch: str, number: int, answers: Sequence[bytes]
) -> None:
    """Write the outcomes of these answers as one object; the same answers give the same object."""
    parts = sorted((decode_envelope(answer) for answer in answers), key=lambda part: part[0].first)
    first, last = parts[0][0].first, max(envelope.last for envelope, _ in parts)
    failed = sum(envelope.failed for envelope, _ in parts)
    key = _key(batch, generation, number, epoch, first, last, failed)
    await store.put(key, b"\n".join(lines for _, lines in parts), "application/x-ndjson")


async def adopt(store: Store, batch: str, generation: int, oldest: str, epoch: str) -> list[Segment]:
    """Copy a generation's segments of earlier epochs, from `oldest` on, as segments 0, 1, ... of this epoch.

    Twice gives the same objects. The originals stay: what they hold is copied once, however often that was done before.
    """
    originals: list[tuple[int, Segment]] = []
    for key in await store.list(_folder(batch, generation)):
        match = _NAME.search(key)
        if match and int(oldest, 16) <= int(match["epoch"], 16) and match["epoch"] != epoch:
            originals.append((int(match["epoch"], 16), _segment(key, generation, match)))
    originals.sort(key=lambda pair: (pair[0], pair[1].number, pair[1].key))
    slots = asyncio.Semaphore(COPIES)

    async def head(original: Segment) -> tuple[Segment, ObjectInfo]:
        async with slots:
            return original, await store.head(original.key)

    async def copy(number: int, original: Segment, info: ObjectInfo) -> Segment:
        key = _key(batch, generation, number, epoch, original.first, original.last, original.failed)
        async with slots:
            await store.copy(info, key)
        return replace(original, key=key, number=number)

    heads = await asyncio.gather(*(head(original) for _, original in originals))
    unique = {(each.first, each.last, each.failed, info.etag): (each, info) for each, info in heads}
    return list(await asyncio.gather(*(copy(number, *pair) for number, pair in enumerate(unique.values()))))


async def list_segments(store: Store, batch: str, generation: int, epoch: str, count: int) -> list[Segment]:
    """Return exactly the segments 0 to count - 1 of this epoch; raises MissingSegmentError when one is not there.

    A number can be there twice, when Redis lost its last second after the segment was written: both count, since the
    merge takes an item once.
    """
    found: list[Segment] = []
    for key in await store.list(_folder(batch, generation)):
        match = _NAME.search(key)
        if match and match["epoch"] == epoch:
            found.append(_segment(key, generation, match))
    missing = sorted(set(range(count)) - {segment.number for segment in found})
    if missing:
        raise MissingSegmentError(f"batch {batch}: segments {missing[:10]} of generation {generation} are not in S3")
    return [segment for segment in found if segment.number < count]


async def merge(store: Store, segments: Sequence[Segment]) -> AsyncIterator[Outcome]:
    """Yield every item's success, or the newest generation's failure where it has none, in input order.

    Where Redis lost its last second an item can have run twice in a generation, and what succeeded then stands. A
    segment is read when the merge comes to its first item, so memory holds those that overlap.
    """
    waiting = sorted(segments, key=lambda segment: segment.first, reverse=True)
    heap: list[tuple[int, bool, int, int, Outcome, Iterator[Outcome]]] = []

    def push(order: int, generation: int, outcomes: Iterator[Outcome]) -> None:
        outcome = next(outcomes, None)
        if outcome is not None:
            failed = outcome.status == "failed"
            heapq.heappush(heap, (outcome.index, failed, -generation, order, outcome, outcomes))

    previous = -1
    while waiting or heap:
        while waiting and (not heap or waiting[-1].first <= heap[0][0]):
            segment = waiting.pop()
            push(len(waiting), segment.generation, _lines(await store.get(segment.key)))
        index, _, generation, order, outcome, outcomes = heapq.heappop(heap)
        push(order, -generation, outcomes)
        if index != previous:
            previous = index
            yield outcome


async def unsuccessful(store: Store, segments: Sequence[Segment], items: int) -> tuple[list[int], list[int]]:
    """Return the indices of the items that failed, and of those that never ran, each sorted."""
    failed: list[int] = []
    never: list[int] = []
    expected = 0
    async for outcome in merge(store, segments):
        never += range(expected, outcome.index)
        expected = outcome.index + 1
        if outcome.status == "failed":
            failed.append(outcome.index)
    never += range(expected, items)
    return failed, never


async def retryable(store: Store, segments: Sequence[Segment]) -> list[int]:
    """Return the indices of one generation's items that failed in a way worth another attempt, sorted."""
    if not any(segment.failed for segment in segments):
        return []
    outcomes = merge(store, segments)
    return [outcome.index async for outcome in outcomes if outcome.status == "failed" and outcome.retryable]


def _lines(body: bytes) -> Iterator[Outcome]:
    start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        yield _DECODER.decode(memoryview(body)[start:end])
        start = end + 1


def _segment(key: str, generation: int, match: re.Match[str]) -> Segment:
    number, first, last, failed = (int(match[name]) for name in ("number", "first", "last", "failed"))
    return Segment(key, generation, number, first, last, failed)


def _key(batch: str, generation: int, number: int, epoch: str, first: int, last: int, failed: int) -> str:
    return f"{_folder(batch, generation)}{number:06d}.{epoch}.{first}-{last}.{failed}.ndjson"


def _folder(batch: str, generation: int) -> str:
    return f"{batch}/segments/{generation}/"
