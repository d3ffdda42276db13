"""A batch that has run, made by hand: its snapshot and segments in S3, and the table that a query has to see."""

import asyncio
from collections.abc import AsyncIterator

import polars as pl

from pipeline.store.bucket import Store
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.snapshot import Shape, Snapshots

BATCH = "b"
EPOCH = "5"
SEGMENT_ITEMS = 1_000
FRAME = 50_000
UPLOADS = 8
# One item in so many fails.
FAILS = 100


async def make_batch(store: Store, items: int) -> None:
    """Write the objects of a batch whose answers came nearly in order."""
    await Snapshots(store).write(BATCH, 0, _frames(items), Shape("url"), 100)
    slots = asyncio.Semaphore(UPLOADS)

    async def write(first: int) -> None:
        async with slots:
            lines = _outcomes(first, min(items, first + SEGMENT_ITEMS))
            failed = (lines["status"] == "failed").sum()
            name = f"{first // SEGMENT_ITEMS:06d}.{EPOCH}.{first}-{lines['index'][-1]}.{failed}.ndjson"
            await store.put(f"{BATCH}/segments/0/{name}", lines.write_ndjson().encode(), "application/x-ndjson")

    await asyncio.gather(*map(write, range(0, items, SEGMENT_ITEMS)))


def expected_table(items: int) -> pl.DataFrame:
    """Return the columns and fields of the batch that the queries name."""
    table = _outcomes(0, items).unnest("result")
    return table.select("status", "duration", "label", "confidence", id=pl.format("row-{}", "index"), url="item")


async def _frames(items: int) -> AsyncIterator[pl.DataFrame]:
    for start in range(0, items, FRAME):
        outcomes = _outcomes(start, min(items, start + FRAME))
        title = pl.format("A picture, the {}th of its kind", "index")
        yield outcomes.select("index", id=pl.format("row-{}", "index"), item="item", title=title).rename(
            {"index": INDEX, "item": ITEM}
        )


def _outcomes(first: int, end: int) -> pl.DataFrame:
    index = pl.col("index")
    succeeded, confidence = index % FAILS != 0, index % 1_000_000 / 1_000_000
    result = pl.struct(label=pl.lit("tabby cat"), confidence=confidence, boxes=pl.lit([[1, 2, 3, 4]]))
    return pl.select(index=pl.int_range(first, end)).with_columns(
        item=pl.format("https://example.org/pictures/{}.jpg", index),
        status=pl.when(succeeded).then(pl.lit("succeeded")).otherwise(pl.lit("failed")),
        statusCode=pl.when(succeeded).then(200).otherwise(400),
        attempts=1,
        duration=0.125,
        callId=pl.format("8f14e45f-ceea-567f-a1d2-{}", index.cast(pl.String).str.zfill(12)),
        result=pl.when(succeeded).then(result),
    )
