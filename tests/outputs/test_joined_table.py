"""The joined table: every row of the input once, in its order, with its outcome."""

import random
from collections.abc import Sequence

import polars as pl
import pytest

from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.joined_table import joined_table
from pipeline.store.bucket import Store
from pipeline.store.columns import OUTCOME_TYPES
from pipeline.store.keys import Segment
from pipeline.store.snapshot import Manifest, Snapshots
from tests.rigs.s3.outcomes import outcome
from tests.rigs.s3.tables import write_segments, write_snapshot

ROWS = pl.DataFrame({"id": [1, 2, None], "url": ["a", "b", "c"], "status": [["x"], [], None]})


async def joined(store: Store, name: str, manifest: Manifest, segments: Sequence[Segment]) -> pl.DataFrame:
    async with joined_table(BatchRows(store, Snapshots(store), name, manifest, segments)) as table:
        frame = table.scan().collect()
        assert dict(frame.schema) == table.schema
        assert frame.height == table.pieces.rows == manifest.items
        folder = table.folder
    assert not folder.exists()
    return frame


async def test_table_has_the_typed_input_columns_and_then_the_outcome(store: Store, name: str) -> None:
    found = [outcome(2, result=b'{"a": 1}'), outcome(0, "failed", result=b'"no"')]
    frame = await joined(store, name, await write_snapshot(store, name, ROWS), await write_segments(store, name, found))
    assert frame.columns == ["id", "url", "input.status", *OUTCOME_TYPES]
    assert frame.select("id", "url", pl.col("input.status").alias("status")).equals(ROWS)
    assert frame.select(*OUTCOME_TYPES).rows() == [
        ("failed", 500, '"no"', 1, 0.5, "call-0", None, None),
        ("not run", *[None] * 7),
        ("succeeded", 200, '{"a": 1}', 1, 0.5, "call-2", None, None),
    ]


async def test_items_made_of_columns_are_not_a_column(store: Store, name: str) -> None:
    manifest = await write_snapshot(store, name, ROWS, "item")
    frame = await joined(store, name, manifest, await write_segments(store, name, [outcome(1)]))
    assert frame.columns == ["id", "url", "input.status", *OUTCOME_TYPES]


async def test_referenced_and_binary_results_are_marked(store: Store, name: str) -> None:
    found = [outcome(0, ref="b/refs/0"), outcome(1, result=b'"AAE="', encoding="base64")]
    frame = await joined(store, name, await write_snapshot(store, name, ROWS), await write_segments(store, name, found))
    rows = frame.select("result", "result_ref", "encoding").rows()
    assert rows == [(None, "b/refs/0", None), ('"AAE="', None, "base64"), (None, None, None)]


@pytest.mark.parametrize("items", [0, 1])
async def test_batch_of_which_nothing_ran_has_a_table(store: Store, name: str, items: int) -> None:
    frame = await joined(store, name, await write_snapshot(store, name, ROWS.head(items).select("url")), [])
    assert frame.columns == ["url", *OUTCOME_TYPES]
    assert frame["status"].to_list() == ["not run"] * items


@pytest.mark.parametrize(("most_rows", "most_bytes"), [(7, 1 << 30), (1 << 30, 2000), (1 << 30, 1 << 30)])
async def test_pieces_are_small_and_hold_every_row_once(
    store: Store, name: str, most_rows: int, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.outputs.pieces.PIECE_ROWS", most_rows)
    monkeypatch.setattr("pipeline.outputs.joined_table.PIECE_ROWS", most_rows)
    monkeypatch.setattr("pipeline.outputs.pieces.PIECE_BYTES", most_bytes)
    order = [n for n in range(200) if n % 10]
    # In the order in which tasks settle: nearly that of the input.
    late = random.Random(3)
    order.sort(key=lambda n: n + late.randrange(10))
    found = [outcome(n, result=b'"%d"' % n) for n in order]
    segments = await write_segments(store, name, found, segment_size=20)
    manifest = await write_snapshot(store, name, pl.DataFrame({"url": [f"u{n}" for n in range(200)]}))
    async with joined_table(BatchRows(store, Snapshots(store), name, manifest, segments)) as table:
        assert [(n % 10 and f'"{n}"') or None for n in range(200)] == table.scan().collect()["result"].to_list()
        assert table.scan().collect()["url"].to_list() == [f"u{n}" for n in range(200)]
        sizes = [rows for rows, _ in table.pieces.sizes]
        assert sum(sizes) == 200
        assert (len(sizes) > 3) == (most_rows < 200 or most_bytes < 1 << 30)
        assert (table.tally.succeeded, table.tally.failed, table.tally.not_run) == (180, 0, 20)
