"""A snapshot gives every task its own items, for any chunk size and number of parts."""

from collections.abc import AsyncIterator, Sequence

import polars as pl
import pytest

from pipeline.errors import BadRequestError
from pipeline.store import snapshot as snapshot_module
from pipeline.store.bucket import Store
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.cut_tasks import Cutter
from pipeline.store.errors import MissingObjectError
from pipeline.store.snapshot import Item, Shape, Snapshots

ROWS = 1000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut parts after 4 KiB, so that a thousand short rows fill several."""
    monkeypatch.setattr(snapshot_module, "Cutter", lambda chunk: Cutter(chunk, part_bytes=4096))


async def frames(sizes: Sequence[int] = (300, 1, 699)) -> AsyncIterator[pl.DataFrame]:
    """Rows of two columns, in frames of these sizes."""
    start = 0
    for size in sizes:
        numbers = range(start, start + size)
        yield pl.DataFrame(
            {"id": [str(n) for n in numbers], ITEM: [f"https://example.org/{n}" for n in numbers], INDEX: numbers},
            schema_overrides={INDEX: pl.Int64},
        )
        start += size


def item(index: int) -> Item:
    return Item(index, f"https://example.org/{index}")


EPOCH = "e1"


@pytest.mark.parametrize("chunk", [1, 7, 100])
async def test_tasks_have_their_items_and_cover_the_input(store: Store, name: str, chunk: int) -> None:
    manifest = await Snapshots(store).write(name, 0, frames(), Shape("url"), chunk)
    assert (manifest.items, manifest.tasks) == (ROWS, -(-ROWS // chunk))
    assert len(manifest.first_tasks) > 3
    reader = Snapshots(store)
    for task in range(manifest.tasks):
        expected = [item(index) for index in range(task * chunk, min(ROWS, (task + 1) * chunk))]
        assert await reader.items(name, EPOCH, 0, task) == expected
    everything = [found async for items in reader.all_items(name, manifest) for found in items]
    assert everything == [item(index) for index in range(ROWS)]


@pytest.mark.parametrize("sizes", [(1000,), (1,) * 20 + (980,), (500, 500)])
async def test_same_rows_give_the_same_objects_in_any_frames(store: Store, name: str, sizes: tuple[int, ...]) -> None:
    first = await Snapshots(store).write(f"{name}.a", 0, frames(sizes), Shape("url"), 7)
    again = await Snapshots(store).write(f"{name}.b", 0, frames(sizes), Shape("url"), 7)
    assert first == again
    keys = await store.list(f"{name}.a/")
    assert len(keys) == len(first.first_tasks) + 1
    for key in keys:
        assert await store.get(key) == await store.get(key.replace(".a/", ".b/"))


@pytest.mark.parametrize("wanted", [[0], [999], [3, 4, 500, 998], list(range(0, 1000, 3))])
async def test_next_generation_is_cut_from_the_same_rows_and_columns(
    store: Store, name: str, wanted: list[int]
) -> None:
    snapshots = Snapshots(store)
    await snapshots.write(name, 0, frames(), Shape("url"), 7)
    selected = pl.concat([frame async for frame in snapshots.select(name, wanted)])
    assert selected.to_dict(as_series=False) == {
        "id": [str(index) for index in wanted],
        ITEM: [item(index).text for index in wanted],
        INDEX: wanted,
    }
    manifest = await snapshots.write(name, 1, snapshots.select(name, wanted), Shape("url"), 1)
    assert manifest.tasks == len(wanted)
    for task, index in enumerate(wanted):
        assert await snapshots.items(name, EPOCH, 1, task) == [item(index)]
    whole = await snapshots.manifest(name, 0)
    assert [found.index async for items in snapshots.all_items(name, whole) for found in items] == list(range(ROWS))


async def test_cached_parts_are_bounded_and_each_is_read_once(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "CACHED_PARTS", 2)
    await Snapshots(store).write(name, 0, frames(), Shape("url"), 7)
    reader = Snapshots(store)
    manifest = await reader.manifest(name, 0)
    for _ in range(2):
        for task in manifest.first_tasks[:2]:
            await reader.items(name, EPOCH, 0, task)
    assert reader._part.cache_info().misses == 2
    for task in manifest.first_tasks:
        await reader.items(name, EPOCH, 0, task)
    assert reader._part.cache_info().currsize == 2


async def test_empty_input_has_no_tasks(store: Store, name: str) -> None:
    manifest = await Snapshots(store).write(name, 0, frames(()), Shape("url"), 1)
    assert (manifest.items, manifest.tasks, manifest.first_tasks) == (0, 0, [])
    assert [items async for items in Snapshots(store).all_items(name, manifest)] == []


async def test_missing_snapshot_is_named_and_not_cached(store: Store, name: str) -> None:
    reader = Snapshots(store)
    with pytest.raises(MissingObjectError, match=rf"{name}/input/0\.json"):
        await reader.items(name, EPOCH, 0, 0)
    await reader.write(name, 0, frames(), Shape("url"), 1)
    assert await reader.items(name, EPOCH, 0, 0) == [item(0)]


async def test_broken_rows_leave_no_manifest(store: Store, name: str) -> None:
    async def broken() -> AsyncIterator[pl.DataFrame]:
        async for frame in frames():
            yield frame
        raise BadRequestError("row 1000 is broken")

    with pytest.raises(BadRequestError, match="row 1000 is broken"):
        await Snapshots(store).write(name, 0, broken(), Shape("url"), 1)
    assert f"{name}/input/0.json" not in await store.list(f"{name}/")


async def test_cache_is_separate_for_each_epoch(store: Store, name: str) -> None:
    reader = Snapshots(store)
    await reader.write(name, 0, frames(), Shape("url"), 1)
    assert await reader.items(name, EPOCH, 0, 0) == [item(0)]
    await reader.write(name, 0, reader.select(name, [5, 6]), Shape("url"), 1)
    assert await reader.items(name, "e2", 0, 0) == [item(5)]


TYPED = pl.DataFrame(
    {
        "id": [1, 2, None],
        "price": pl.Series(["1.50", None, "2.25"]).cast(pl.Decimal(10, 2)),
        "at": pl.Series([1, 2, 3]).cast(pl.Datetime("us", "Europe/Berlin")),
        "day": pl.Series([1, None, 3], dtype=pl.Int32).cast(pl.Date),
        "tags": [["a"], [], None],
        "place": [{"x": 1.5, "y": None}, {"x": None, "y": "q"}, None],
        "raw": [b"\xff", None, b""],
        "none": pl.Series([None] * 3, dtype=pl.String),
        ITEM: ['{"id":1}', '{"id":2}', None],
        INDEX: pl.Series(range(3), dtype=pl.Int64),
    }
)


async def test_columns_keep_their_types_in_every_generation(store: Store, name: str) -> None:
    async def single_rows() -> AsyncIterator[pl.DataFrame]:
        for place in range(TYPED.height):
            yield TYPED.slice(place, 1)

    snapshots = Snapshots(store)
    await snapshots.write(name, 0, single_rows(), Shape("item", derived=True, json_items=True), 1)
    selected = [frame async for frame in snapshots.select(name, [0, 1, 2])]
    assert pl.concat(selected).equals(TYPED)
    assert {tuple(frame.schema.items()) for frame in selected} == {tuple(TYPED.schema.items())}
    again = await snapshots.write(
        name, 1, snapshots.select(name, [1, 2]), Shape("item", derived=True, json_items=True), 1
    )
    assert await snapshots.manifest(name, 1) == again
    assert (again.column, again.derived, again.json_items) == ("item", True, True)
    assert await snapshots.items(name, EPOCH, 1, 0) == [Item(1, '{"id":2}', json=True)]


@pytest.mark.parametrize(("json_items", "text"), [(True, "null"), (False, "")])
async def test_missing_item_is_null_or_empty_text(store: Store, name: str, text: str, *, json_items: bool) -> None:
    async def missing() -> AsyncIterator[pl.DataFrame]:
        yield TYPED.tail(1).with_columns(pl.lit(0, pl.Int64).alias(INDEX))

    snapshots = Snapshots(store)
    manifest = await snapshots.write(name, 0, missing(), Shape("id", json_items=json_items), 1)
    assert await snapshots.items(name, EPOCH, 0, 0) == [Item(0, text, json_items)]
    assert [items async for items in snapshots.all_items(name, manifest)] == [[Item(0, text, json_items)]]
    (frame,) = [frame async for frame in snapshots.select(name, [0])]
    assert frame[ITEM].to_list() == [None]
