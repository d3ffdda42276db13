"""Batches written directly to S3 for the joined table: a snapshot of rows, and segments of outcomes."""

from collections.abc import AsyncIterator, Iterable, Sequence

import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.store.bucket import Store
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.keys import Segment
from pipeline.store.segments import list_segments, write_segment
from pipeline.store.snapshot import Manifest, Shape, Snapshots
from tests.rigs.s3.outcomes import answer

EPOCH = "abc123"


async def write_snapshot(store: Store, name: str, rows: pl.DataFrame, column: str = "url") -> Manifest:
    """Write a snapshot of these rows; `column` holds the items, which without it are made of all columns."""

    async def frames() -> AsyncIterator[pl.DataFrame]:
        if rows.height:
            yield made.with_columns(pl.int_range(made.height, dtype=pl.Int64, eager=True).alias(INDEX))

    derived = column not in rows.columns
    made = rows.with_columns(_items(rows)) if derived else rows.rename({column: ITEM})
    return await Snapshots(store).write(name, 0, frames(), Shape(column, derived, derived), 1)


def _items(rows: pl.DataFrame) -> pl.Series:
    return rows.to_struct().struct.json_encode().alias(ITEM)


async def write_segments(
    store: Store, name: str, outcomes: Sequence[Outcome], segment_size: int = 1000, generation: int = 0
) -> list[Segment]:
    """Write outcomes as segments of `segment_size` outcomes."""
    count = 0
    for number, some in enumerate(_batched(outcomes, segment_size)):
        await write_segment(store, name, generation, EPOCH, number, [answer([found]) for found in some])
        count = number + 1
    return await list_segments(store, name, generation, EPOCH, count)


def _batched(outcomes: Sequence[Outcome], size: int) -> Iterable[Sequence[Outcome]]:
    return (outcomes[start : start + size] for start in range(0, len(outcomes), size))
