"""Segments: objects of outcomes in S3, each sorted by item index, and the merge of them in input order."""

import asyncio
import math
import re
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice, zip_longest

import msgspec

from pipeline.answers.envelope import decode_envelope
from pipeline.answers.outcome import Outcome
from pipeline.errors import UnavailableError
from pipeline.store.bucket import Store
from pipeline.store.errors import ObjectInfo

COPIES = 8
READ_AHEAD = 4
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


async def every_segment(store: Store, batch: str, oldest: str) -> list[tuple[Segment, int]]:
    """Return the segments of all generations and of every epoch from `oldest` on, each with its size in bytes."""
    found: list[tuple[Segment, int]] = []
    for key, size in await store.sizes(f"{batch}/segments/"):
        match = _NAME.search(key)
        if match and int(oldest, 16) <= int(match["epoch"], 16):
            generation = int(key.removeprefix(f"{batch}/segments/").partition("/")[0])
            found.append((_segment(key, generation, match), size))
    return sorted(found, key=lambda pair: pair[0].generation)


async def merge(store: Store, segments: Sequence[Segment]) -> AsyncGenerator[dict[int, Outcome], None]:
    """Yield every item's success, or the newest generation's failure where it has none: by index, in input order.

    Where Redis lost its last second an item can have run twice in a generation, and what succeeded then stands. What
    is yielded at once is what lies before the next segment's first item, so memory holds those that overlap.
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
    """Yield the segments' bodies in this order; the next READ_AHEAD are being read meanwhile."""
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


async def unsuccessful(store: Store, segments: Sequence[Segment], items: int) -> tuple[list[int], list[int]]:
    """Return the indices of the items that failed, and of those that never ran, each sorted."""
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
    """Return the indices of one generation's items that failed in a way worth another attempt, sorted."""
    if not any(segment.failed for segment in segments):
        return []
    return [
        index
        async for outcomes in merge(store, segments)
        for index, outcome in outcomes.items()
        if outcome.status == "failed" and outcome.retryable
    ]


def _segment(key: str, generation: int, match: re.Match[str]) -> Segment:
    number, first, last, failed = (int(match[name]) for name in ("number", "first", "last", "failed"))
    return Segment(key, generation, number, first, last, failed)


def _key(batch: str, generation: int, number: int, epoch: str, first: int, last: int, failed: int) -> str:
    return f"{_folder(batch, generation)}{number:06d}.{epoch}.{first}-{last}.{failed}.ndjson"


def _folder(batch: str, generation: int) -> str:
    return f"{batch}/segments/{generation}/"
