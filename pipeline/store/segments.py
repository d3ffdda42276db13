"""Segments: objects of outcomes in S3, each sorted by item index, and their merge in input order."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Container, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import islice, zip_longest

import msgspec

from pipeline.answers.envelope import decode_envelope
from pipeline.answers.outcome import Outcome
from pipeline.errors import UnavailableError
from pipeline.store.bucket import Store
from pipeline.store.keys import Segment, segment, segment_beginning
from pipeline.store.object_info import ObjectInfo

COPIES = 8
READ_AHEAD = 4
_DECODER = msgspec.json.Decoder(Outcome)


class MissingSegmentError(UnavailableError):
    """Segments that the ledger counts are not in S3: `objects` are the beginnings of their keys."""

    def __init__(self, message: str, objects: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.objects = tuple(objects)


async def write_segment(
    store: Store, batch: str, generation: int, epoch: str, number: int, answers: Sequence[bytes]
) -> None:
    """Write the outcomes of some answers as one object; the same answers give the same object."""
    parts = sorted((decode_envelope(answer) for answer in answers), key=lambda part: part[0].first)
    first, last = parts[0][0].first, max(envelope.last for envelope, _ in parts)
    failed = sum(envelope.failed for envelope, _ in parts)
    key = segment(batch, generation, number, epoch, first, last, failed)
    await store.put(key, b"\n".join(lines for _, lines in parts), "application/x-ndjson")


async def adopt(store: Store, batch: str, generation: int, oldest: str, epoch: str) -> list[Segment]:
    """Copy a generation's segments of earlier epochs, from `oldest` on, as segments 0, 1, ... of this epoch.

    A second run gives the same objects. The originals stay; copies of one original are copied only once.
    """
    listed = map(Segment.parse, await store.list(segment.folder(batch, generation)))
    originals = [each for each in listed if each and each.is_since(oldest) and each.epoch != epoch]
    originals.sort(key=lambda original: (int(original.epoch, 16), original.number, original.key))
    slots = asyncio.Semaphore(COPIES)

    async def head(original: Segment) -> tuple[Segment, ObjectInfo]:
        async with slots:
            return original, await store.head(original.key)

    async def copy(number: int, original: Segment, info: ObjectInfo) -> Segment:
        renamed = replace(original, number=number, epoch=epoch)
        async with slots:
            await store.copy(info, renamed.key)
        return renamed

    heads = await asyncio.gather(*map(head, originals))
    unique = {(each.first, each.last, each.failed, info.etag): (each, info) for each, info in heads}
    return list(await asyncio.gather(*(copy(number, *pair) for number, pair in enumerate(unique.values()))))


async def list_segments(
    store: Store, batch: str, generation: int, epoch: str, count: int, lost: Container[str] = ()
) -> list[Segment]:
    """Return the segments 0 to count - 1 of this epoch; raises MissingSegmentError if one is missing and not `lost`.

    A number can exist twice, if Redis lost its last second after the segment was written. Both are returned: the merge
    takes each item once.
    """
    listed = map(Segment.parse, await store.list(segment.folder(batch, generation)))
    segments = [each for each in listed if each and each.epoch == epoch]
    names = {number: segment_beginning(batch, generation, number, epoch) for number in range(count)}
    missing = sorted(
        number for number in names.keys() - {each.number for each in segments} if names[number] not in lost
    )
    if missing:
        raise MissingSegmentError(
            f"batch {batch}: segments {missing[:10]} of generation {generation} are not in S3",
            [names[number] for number in missing[:10]],
        )
    return [each for each in segments if each.number < count]


async def every_segment(store: Store, batch: str, oldest: str) -> list[tuple[Segment, int]]:
    """Return the segments of all generations and of every epoch from `oldest` on, each with its size in bytes."""
    listed = [(Segment.parse(key), size) for key, size in await store.sizes(segment.folder(batch))]
    segments = [(each, size) for each, size in listed if each and each.is_since(oldest)]
    return sorted(segments, key=lambda pair: pair[0].generation)


async def merge(store: Store, segments: Sequence[Segment]) -> AsyncGenerator[dict[int, Outcome], None]:
    """Yield the outcome of every item by index, in input order: its success, or the failure of its newest generation.

    If Redis lost its last second, an item can have run twice in a generation; a success then wins over a failure. One
    step yields the items before the first item of the next segment, so memory holds only segments that overlap.
    """
    waiting = sorted(segments, key=lambda segment: segment.first)
    known: dict[int, tuple[bool, int, Outcome]] = {}
    async with aclosing(_read_ahead(store, waiting)) as bodies:
        for segment, following in zip_longest(waiting, waiting[1:]):
            end = following.first if following else math.inf
            for outcome in _DECODER.decode_lines(await anext(bodies)):
                rank = (outcome.status == "succeeded", segment.generation)
                rival = known.get(outcome.index)
                if rival is None or rank > rival[:2]:
                    known[outcome.index] = (*rank, outcome)
            ready = sorted(index for index in known if index < end)
            if ready:
                yield {index: known.pop(index)[2] for index in ready}


async def _read_ahead(store: Store, segments: Sequence[Segment]) -> AsyncGenerator[bytes, None]:
    """Yield the bodies of the segments in this order, while the next READ_AHEAD are read."""
    reading: deque[asyncio.Task[bytes]] = deque()
    waiting = iter(segments)
    try:
        while True:
            reading += [
                asyncio.create_task(store.get(segment.key))
                for segment in islice(waiting, READ_AHEAD + 1 - len(reading))
            ]
            if not reading:
                return
            yield await reading.popleft()
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def failed_and_never_run(store: Store, segments: Sequence[Segment], items: int) -> tuple[list[int], list[int]]:
    """Return the indices of the items that failed, and of the items that never ran, each sorted."""
    failed: list[int] = []
    never: list[int] = []
    expected = 0
    async for outcomes in merge(store, segments):
        for index, outcome in outcomes.items():
            never += range(expected, index)
            expected = index + 1
            if outcome.status == "failed":
                failed.append(index)
    never += range(expected, items)
    return failed, never


async def retryable(store: Store, segments: Sequence[Segment]) -> list[int]:
    """Return the indices of one generation's items whose failure is worth another attempt, sorted."""
    if not any(segment.failed for segment in segments):
        return []
    return [
        index
        async for outcomes in merge(store, segments)
        for index, outcome in outcomes.items()
        if outcome.status == "failed" and outcome.retryable
    ]
