"""The rows of a batch with their outcomes: one pass over its snapshot and its segments, both in input order."""

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.store.bucket import Store
from pipeline.store.columns import INDEX
from pipeline.store.keys import Segment
from pipeline.store.segments import merge
from pipeline.store.snapshot import Item, Manifest, Snapshots


@dataclass(frozen=True)
class BatchRows:
    """The snapshot of generation 0 (`manifest`) and the segments of all generations."""

    store: Store
    snapshots: Snapshots
    batch: str
    manifest: Manifest
    segments: Sequence[Segment]

    async def with_outcomes(self, most_rows: int) -> AsyncGenerator[tuple[pl.DataFrame, list[Outcome | None]], None]:
        """Yield at most `most_rows` rows at a time with their outcomes, None for an item that never ran."""
        async with self._outcomes() as outcomes:
            async for part in self.snapshots.all_rows(self.batch, self.manifest):
                start = 0
                while start < part.height:
                    index = int(part.get_column(INDEX)[start])
                    await outcomes.read_to(index)
                    count = int(min(part.height - start, most_rows, outcomes.last - index + 1))
                    yield part.slice(start, count), outcomes.take(index, count)
                    start += count

    async def items_with_outcomes(self) -> AsyncGenerator[list[tuple[Item, Outcome | None]], None]:
        """Yield some items at a time with their outcomes, None for an item that never ran."""
        async with self._outcomes() as outcomes:
            async for items in self.snapshots.all_items(self.batch, self.manifest):
                await outcomes.read_to(items[-1].index)
                yield list(zip(items, outcomes.take(items[0].index, len(items)), strict=True))

    @asynccontextmanager
    async def _outcomes(self) -> AsyncGenerator["_Outcomes", None]:
        async with aclosing(merge(self.store, self.segments)) as merged:
            yield _Outcomes(merged)


@dataclass
class _Outcomes:
    """Outcomes in input order: all of them up to the index `last` have been read, and some are taken."""

    merged: AsyncGenerator[dict[int, Outcome], None]
    last: float = -1
    waiting: dict[int, Outcome] = field(default_factory=dict)

    async def read_to(self, index: int) -> None:
        while self.last < index:
            outcomes = await anext(self.merged, None)
            self.waiting |= outcomes or {}
            self.last = next(reversed(outcomes)) if outcomes else math.inf

    def take(self, first: int, count: int) -> list[Outcome | None]:
        return [self.waiting.pop(index, None) for index in range(first, first + count)]
