"""The snapshot: a generation's immutable copy of its rows in S3, as Parquet parts cut at task boundaries."""

import asyncio
import io
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl
from async_lru import alru_cache

from pipeline.cutting import INDEX, ITEM, TASK, Cutter
from pipeline.store import Store

CACHED_PARTS = 8
CACHED_MANIFESTS = 64
UPLOADS = 4
# A part can hold a million of the shortest items, and as objects they would take ten times its memory.
ITEMS_AT_ONCE = 500


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot holds. `first_tasks` and `first_indices` give the first task and item of each part."""

    column: str
    items: int
    tasks: int
    first_tasks: list[int]
    first_indices: list[int]


# Made once an item by each task and once more by the summary: a Struct takes a fifth of a dataclass's time.
class Item(msgspec.Struct, frozen=True):
    """One row's cell, as it is sent to the model function."""

    index: int
    text: str


@dataclass(frozen=True)
class Cut:
    """The tasks of a part: `starts` gives the place in `indices` (of items) of each, and the end."""

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

    def rows(self, start: int, end: int) -> list[Item]:
        indices, texts = (column.slice(start, end - start).to_list() for column in (self.indices, self.texts))
        return list(map(Item, indices, texts))

    def task(self, task: int) -> list[Item]:
        place = task - self.first_task
        return self.rows(self.starts[place], self.starts[place + 1])


class Snapshots:
    """Writes snapshots, and reads them through a cache of parts that a replica's tasks share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._part = alru_cache(maxsize=CACHED_PARTS)(self._read_part)
        self._manifest = alru_cache(maxsize=CACHED_MANIFESTS)(self._read_manifest)

    async def write(
        self, batch: str, generation: int, frames: AsyncIterator[pl.DataFrame], column: str, chunk: int
    ) -> Manifest:
        """Write a generation's rows, the manifest last; the same rows give the same objects.

        `frames` are those of `read_rows` or `select`; `column` is what the input calls the items.
        """
        cutter = Cutter(chunk)
        first_tasks: list[int] = []
        first_indices: list[int] = []
        slots = asyncio.Semaphore(UPLOADS)

        async def upload(number: int, part: pl.DataFrame) -> None:
            try:
                body = await asyncio.to_thread(_to_parquet, part)
                await self._store.put(_part_key(batch, generation, number), body, "application/vnd.apache.parquet")
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
        manifest = Manifest(column, cutter.items, cutter.tasks, first_tasks, first_indices)
        await self._store.put(_manifest_key(batch, generation), msgspec.json.encode(manifest))
        return manifest

    async def items(self, batch: str, epoch: str, generation: int, task: int) -> list[Item]:
        """Return a task's items, in order; raises MissingObjectError when there is no such snapshot.

        `epoch` is that of the batch's ledger: what is remembered is remembered for one generation of one life of an id.
        """
        manifest = await self._manifest(batch, generation, epoch)
        number = bisect_right(manifest.first_tasks, task) - 1
        part = await self._part(batch, generation, number, epoch)
        return part.task(task)

    async def manifest(self, batch: str, generation: int) -> Manifest:
        """Read a generation's manifest; raises MissingObjectError when there is none."""
        return await self._read_manifest(batch, generation)

    async def all_items(self, batch: str, manifest: Manifest) -> AsyncIterator[list[Item]]:
        """Yield every item of the batch in input order, ITEMS_AT_ONCE at a time; `manifest` is generation 0's."""
        for number in range(len(manifest.first_tasks)):
            part = await self._read_part(batch, 0, number)
            for start in range(0, part.starts[-1], ITEMS_AT_ONCE):
                yield part.rows(start, start + ITEMS_AT_ONCE)

    async def drop(self, batch: str, generation: int) -> None:
        """Delete what there is of a generation's snapshot: it does not begin."""
        parts = await self._store.list(f"{batch}/input/{generation}/")
        await self._store.delete_many([_manifest_key(batch, generation), *parts])

    async def generations(self, batch: str) -> list[int]:
        """Return the generations that have a whole snapshot, sorted."""
        keys = await self._store.list(f"{batch}/input/")
        names = [key.removeprefix(f"{batch}/input/").removesuffix(".json") for key in keys if key.endswith(".json")]
        return sorted(int(name) for name in names)

    async def cuts(self, batch: str, generation: int) -> AsyncIterator[Cut]:
        """Yield the tasks of a generation, a part at a time."""
        manifest = await self.manifest(batch, generation)
        for number in range(len(manifest.first_tasks)):
            part = await self._read_part(batch, generation, number)
            yield Cut(part.first_task, part.starts, part.indices.to_list())

    async def select(self, batch: str, indices: Sequence[int]) -> AsyncIterator[pl.DataFrame]:
        """Yield the rows with these indices (sorted) out of the whole input, with all their columns."""
        manifest = await self.manifest(batch, 0)
        ends = [*manifest.first_indices[1:], manifest.items]
        wanted = pl.Series(indices, dtype=pl.Int64)
        for number, (start, end) in enumerate(zip(manifest.first_indices, ends, strict=True)):
            inside = wanted.filter((wanted >= start) & (wanted < end))
            if inside.len():
                body = await self._store.get(_part_key(batch, 0, number))
                rows = await asyncio.to_thread(pl.read_parquet, io.BytesIO(body))
                yield rows.drop(TASK).filter(pl.col(INDEX).is_in(inside.implode()))

    async def _read_manifest(self, batch: str, generation: int, _epoch: str = "") -> Manifest:
        return msgspec.json.decode(await self._store.get(_manifest_key(batch, generation)), type=Manifest)

    async def _read_part(self, batch: str, generation: int, number: int, _epoch: str = "") -> _Part:
        body = await self._store.get(_part_key(batch, generation, number))
        return await asyncio.to_thread(_from_parquet, body)


def _from_parquet(body: bytes) -> _Part:
    rows = pl.read_parquet(io.BytesIO(body), columns=[TASK, INDEX, ITEM])
    sizes = rows.group_by(TASK, maintain_order=True).len()
    ends = sizes.get_column("len").cast(pl.Int64).cum_sum().to_list()
    # Not a list: where each row is a task, that would be most of the part's memory.
    starts = array("q", [0, *ends])
    return _Part(sizes.item(0, TASK), starts, rows.get_column(INDEX), rows.get_column(ITEM))


def _to_parquet(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    return buffer.getvalue()


def _manifest_key(batch: str, generation: int) -> str:
    return f"{batch}/input/{generation}.json"


def _part_key(batch: str, generation: int, number: int) -> str:
    return f"{batch}/input/{generation}/{number:06d}.parquet"
