"""The snapshot: a generation's immutable copy of its rows in S3, as Parquet parts cut at task boundaries."""

import asyncio
import io
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import msgspec
import polars as pl
from async_lru import alru_cache

from pipeline.store import keys
from pipeline.store.bucket import Check, Store
from pipeline.store.columns import INDEX, ITEM, TASK
from pipeline.store.cut_tasks import Cutter

CACHED_PARTS = 8
CACHED_MANIFESTS = 64
UPLOADS = 4
# A part can hold a million short items, which would take ten times its memory as Python objects.
ITEMS_AT_ONCE = 500


class Shape(msgspec.Struct, frozen=True):
    """How a snapshot holds its items, which the input calls `column`.

    `derived`: the column ITEM is made of other columns, which stay; otherwise it is the input's `column`, at its place.
    `json_items`: items are JSON, otherwise text. `json_columns` are the columns of the input whose cells are JSON text.
    """

    column: str
    derived: bool = False
    json_items: bool = False
    json_columns: tuple[str, ...] = ()


class Manifest(Shape, frozen=True, kw_only=True):
    """A snapshot: `first_tasks` and `first_indices` give the first task and item of each part."""

    items: int
    tasks: int
    first_tasks: list[int]
    first_indices: list[int]


# Each task and the summary make one per item: a Struct takes a fifth of the time of a dataclass.
class Item(msgspec.Struct, frozen=True):
    """The item of one row as the model function gets it: JSON if `json` is set, otherwise text."""

    index: int
    text: str
    json: bool = False


@dataclass(frozen=True)
class Cut:
    """The tasks of a part: `indices` of its items, and `starts`, the place of each task in them, and the end."""

    first_task: int
    starts: Sequence[int]
    indices: list[int]


@dataclass(frozen=True)
class _Part:
    """A part in memory: `starts` gives the first row of each of its tasks, and the end."""

    first_task: int
    starts: Sequence[int]
    indices: pl.Series
    texts: pl.Series
    json_items: bool

    def rows(self, start: int, end: int) -> list[Item]:
        indices, texts = (column.slice(start, end - start).to_list() for column in (self.indices, self.texts))
        return list(map(Item, indices, texts, repeat(self.json_items)))

    def task(self, task: int) -> list[Item]:
        place = task - self.first_task
        return self.rows(self.starts[place], self.starts[place + 1])


class Snapshots:
    """Writes snapshots, and reads them through a cache of parts that all tasks of a replica share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._part = alru_cache(maxsize=CACHED_PARTS)(self._read_part)
        self._manifest = alru_cache(maxsize=CACHED_MANIFESTS)(self._read_manifest)

    async def write(
        self, batch: str, generation: int, frames: AsyncIterator[pl.DataFrame], shape: Shape, chunk: int
    ) -> Manifest:
        """Write the rows of a generation, the manifest last; the same rows give the same objects.

        `frames` have one schema; they are those of an input or of `select`.
        """
        cutter = Cutter(chunk)
        first_tasks: list[int] = []
        first_indices: list[int] = []
        slots = asyncio.Semaphore(UPLOADS)

        async def upload(number: int, part: pl.DataFrame) -> None:
            try:
                body = await asyncio.to_thread(_to_parquet, part)
                await self._store.put(keys.part(batch, generation, number), body, "application/vnd.apache.parquet")
            finally:
                slots.release()

        async def send(group: asyncio.TaskGroup, parts: list[pl.DataFrame]) -> None:
            for part in parts:
                await slots.acquire()
                group.create_task(upload(len(first_tasks), part))
                first_tasks.append(int(part.get_column(TASK)[0]))
                first_indices.append(int(part.get_column(INDEX)[0]))

        try:
            async with asyncio.TaskGroup() as group:
                async for frame in frames:
                    await send(group, await asyncio.to_thread(cutter.feed, frame))
                await send(group, await asyncio.to_thread(cutter.rest))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        manifest = Manifest(
            *(shape.column, shape.derived, shape.json_items, shape.json_columns),
            items=cutter.items,
            tasks=cutter.tasks,
            first_tasks=first_tasks,
            first_indices=first_indices,
        )
        await self._store.put(keys.manifest(batch, generation), msgspec.json.encode(manifest))
        return manifest

    async def items(self, batch: str, epoch: str, generation: int, task: int) -> list[Item]:
        """Return the items of a task, in order; raises MissingObjectError if there is no such snapshot.

        `epoch` is the epoch of the batch's ledger: the cache must not mix two lives of an id.
        """
        manifest = await self._manifest(batch, generation, epoch)
        number = bisect_right(manifest.first_tasks, task) - 1
        part = await self._part(batch, generation, number, epoch, json_items=manifest.json_items)
        return part.task(task)

    async def manifest(self, batch: str, generation: int) -> Manifest:
        """Read the manifest of a generation; raises MissingObjectError if there is none."""
        return await self._read_manifest(batch, generation)

    async def all_items(self, batch: str, manifest: Manifest) -> AsyncIterator[list[Item]]:
        """Yield every item of the batch in input order, ITEMS_AT_ONCE at a time; `manifest` is generation 0's."""
        for number in range(len(manifest.first_tasks)):
            part = await self._read_part(batch, 0, number, json_items=manifest.json_items)
            for start in range(0, part.starts[-1], ITEMS_AT_ONCE):
                yield part.rows(start, start + ITEMS_AT_ONCE)

    async def all_rows(self, batch: str, manifest: Manifest) -> AsyncIterator[pl.DataFrame]:
        """Yield every row of the batch in input order, with all its columns, a part at a time."""
        for number in range(len(manifest.first_tasks)):
            body = await self._store.get(keys.part(batch, 0, number))
            yield await asyncio.to_thread(pl.read_parquet, io.BytesIO(body))

    async def drop(self, batch: str, generation: int, still_ours: Check | None = None) -> None:
        """Delete the snapshot of a generation that does not begin, as far as it was written.

        `still_ours` is called before each request, and raises if the opening is another process's by now.
        """
        parts = await self._store.list(keys.part.folder(batch, generation))
        await self._store.delete_many([keys.manifest(batch, generation), *parts], still_ours)

    async def generations(self, batch: str) -> list[int]:
        """Return the generations that have a complete snapshot, sorted."""
        parsed = map(keys.manifest.parse, await self._store.list(keys.manifest.folder(batch)))
        return sorted(parts["generation"] for parts in parsed if parts)

    async def cuts(self, batch: str, generation: int) -> AsyncIterator[Cut]:
        """Yield the tasks of a generation, a part at a time."""
        manifest = await self.manifest(batch, generation)
        for number in range(len(manifest.first_tasks)):
            part = await self._read_part(batch, generation, number, json_items=manifest.json_items)
            yield Cut(part.first_task, part.starts, part.indices.to_list())

    async def select(self, batch: str, indices: Sequence[int]) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows with these indices, which are sorted, of the whole input, with all columns."""
        manifest = await self.manifest(batch, 0)
        ends = [*manifest.first_indices[1:], manifest.items]
        wanted = pl.Series(indices, dtype=pl.Int64)
        for number, (start, end) in enumerate(zip(manifest.first_indices, ends, strict=True)):
            inside = wanted.filter((wanted >= start) & (wanted < end))
            if inside.len():
                body = await self._store.get(keys.part(batch, 0, number))
                rows = await asyncio.to_thread(pl.read_parquet, io.BytesIO(body))
                yield rows.drop(TASK).filter(pl.col(INDEX).is_in(inside.implode()))

    async def _read_manifest(self, batch: str, generation: int, _epoch: str = "") -> Manifest:
        return msgspec.json.decode(await self._store.get(keys.manifest(batch, generation)), type=Manifest)

    async def _read_part(
        self, batch: str, generation: int, number: int, _epoch: str = "", *, json_items: bool
    ) -> _Part:
        body = await self._store.get(keys.part(batch, generation, number))
        return await asyncio.to_thread(_from_parquet, body, json_items=json_items)


def _from_parquet(body: bytes, *, json_items: bool) -> _Part:
    rows = pl.read_parquet(io.BytesIO(body), columns=[TASK, INDEX, ITEM])
    sizes = rows.group_by(TASK, maintain_order=True).len()
    ends = sizes.get_column("len").cast(pl.Int64).cum_sum().to_list()
    # Not a list: where each row is a task, that would be most of the part's memory.
    starts = array("q", [0, *ends])
    texts = sent(rows.get_column(ITEM), json_items=json_items)
    return _Part(sizes.item(0, TASK), starts, rows.get_column(INDEX), texts, json_items)


def sent(items: pl.Series, *, json_items: bool) -> pl.Series:
    """Return items as they are sent; a missing one is an empty text or null."""
    return items.fill_null("null" if json_items else "")


def _to_parquet(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    return buffer.getvalue()
