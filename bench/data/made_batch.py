"""A batch that has run, made by hand in an S3 server of its own: its snapshot and its segments."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import polars as pl

from bench.data.child import Place, Source
from pipeline.local.services.redis_and_s3 import s3_server
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.snapshot import Shape, Snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.store.bucket import Store

BATCH = "b"
EPOCH = "5"
EACH = 1_000
FRAME = 50_000
UPLOADS = 8
# One item in so many fails.
FAILS = 100
_LINE = (
    b'{"index":%d,"item":"https://example.org/pictures/%d.jpg","status":"%s","statusCode":%d,"attempts":1,'
    b'"duration":0.125,"callId":"8f14e45f-ceea-567f-a1d2-%012d","result":%s}'
)


@asynccontextmanager
async def made_batch(items: int) -> AsyncIterator[Source]:
    """Make a batch of so many items, whose answers came nearly in order."""
    async with s3_server() as server:
        place = Place.of(server.info)
        async with place.open() as store:
            await Snapshots(store).write(BATCH, 0, _rows(items), Shape("url"), 100)
            await _write_segments(store, items)
        yield Source(place, BATCH, EPOCH, -(-items // EACH))


async def _write_segments(store: Store, items: int) -> None:
    slots = asyncio.Semaphore(UPLOADS)

    async def write(number: int) -> None:
        first = number * EACH
        last = min(items, first + EACH) - 1
        lines = [_line(index) for index in range(first, last + 1)]
        failed = sum(index % FAILS == 0 for index in range(first, last + 1))
        key = f"{BATCH}/segments/0/{number:06d}.{EPOCH}.{first}-{last}.{failed}.ndjson"
        async with slots:
            await store.put(key, b"\n".join(lines), "application/x-ndjson")

    segments = -(-items // EACH)
    for start in range(0, segments, UPLOADS):
        await asyncio.gather(*(write(number) for number in range(start, min(segments, start + UPLOADS))))


async def _rows(items: int) -> AsyncIterator[pl.DataFrame]:
    for start in range(0, items, FRAME):
        index = pl.int_range(start, min(items, start + FRAME), dtype=pl.Int64, eager=True)
        yield pl.DataFrame(
            {
                "id": "row-" + index.cast(pl.String),
                ITEM: "https://example.org/pictures/" + index.cast(pl.String) + ".jpg",
                "title": "A picture, the " + index.cast(pl.String) + "th of its kind",
                INDEX: index,
            }
        )


def _line(index: int) -> bytes:
    if index % FAILS == 0:
        return _LINE % (index, index, b"failed", 400, index, b'"no picture at row %d"' % index)
    result = b'{"label":"tabby cat","confidence":0.%06d,"boxes":[[1,2,3,4]]}' % (index % 1_000_000)
    return _LINE % (index, index, b"succeeded", 200, index, result)
