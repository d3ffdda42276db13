"""The joined table in its formats: every column type, in pieces, and the same bytes in a second run."""

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import orjson
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline.answers.outcome import Outcome
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import write_tables
from pipeline.outputs.joined_table import joined_table
from pipeline.store.bucket import Store
from pipeline.store.keys import CONTENT_TYPES
from pipeline.store.multipart import Upload
from pipeline.store.snapshot import Snapshots
from pipeline.store.writer import Writer
from tests.rigs.s3.outcomes import outcome
from tests.rigs.s3.tables import write_segments, write_snapshot

MOMENT = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
TYPED = pl.DataFrame(
    {
        "url": ["a", None, "c"],
        "int": [1, None, -(2**62)],
        "float": [0.1, None, float("inf")],
        "bool": [True, None, False],
        "date": [date(2026, 11, 26), None, date(1, 1, 1)],
        "moment": pl.Series([MOMENT, None, MOMENT]).dt.convert_time_zone("Europe/Berlin"),
        "decimal": [Decimal("1.10"), None, Decimal("-3.33")],
        "struct": [{"x": 1, "y": ["z"]}, None, {"x": None, "y": []}],
        "list": [[1, None], None, []],
        "bytes": [b"\xff\x00", None, b""],
        "category": pl.Series(["k", None, "l"], dtype=pl.Categorical()),
        "enum": pl.Series(["k", None, "l"], dtype=pl.Enum(["k", "l"])),
    }
)


async def write_outputs(
    store: Store,
    name: str,
    rows: pl.DataFrame,
    outcomes: Sequence[Outcome],
    column: str = "url",
    segment_size: int = 1000,
) -> dict[str, bytes]:
    """Write a batch in all formats; return the objects by name."""
    manifest = await write_snapshot(store, name, rows, column)
    segments = await write_segments(store, name, outcomes, segment_size)

    async def record(_upload: Upload) -> None:
        return

    def new_writer(output: str) -> Writer:
        return Writer(store, f"{name}/0/{output}", record, CONTENT_TYPES[output])

    async with joined_table(BatchRows(store, Snapshots(store), name, manifest, segments)) as table:
        objects = await write_tables(table, new_writer, ["parquet", "csv", "ndjson"])
    return {made.key.removeprefix(f"{name}/0/"): await store.get(made.key) for made in objects}


async def test_every_column_type_is_read_back_by_the_readers_of_parquet(
    store: Store, name: str, tmp_path: Path
) -> None:
    found = [outcome(0, result=b'{"a":[1]}'), outcome(1, "failed", result=b'"no"')]
    files = await write_outputs(store, name, TYPED, found)
    path = tmp_path / "results.parquet"
    path.write_bytes(files["results.parquet"])
    frame = pl.read_parquet(path)
    assert frame.select(TYPED.columns).equals(TYPED)
    assert frame.select(TYPED.columns).schema == TYPED.schema
    assert frame["status"].to_list() == ["succeeded", "failed", "not run"]
    assert pl.from_pandas(pd.read_parquet(path).convert_dtypes())["status_code"].to_list() == [200, 500, None]
    plain = TYPED.with_columns(pl.col("category", "enum").cast(pl.String))
    arrow = pl.DataFrame(pq.read_table(path)).select(TYPED.columns)
    assert arrow.with_columns(pl.col("category", "enum").cast(pl.String)).equals(plain)
    ducks = duckdb.sql(f"SELECT * FROM '{path}'")
    assert ducks is not None
    assert [row[: len(TYPED.columns)] for row in ducks.fetchall()] == plain.rows()
    again = pl.read_parquet(io.BytesIO(files["failures.parquet"]))
    assert again.equals(TYPED.slice(1))
    assert again.schema == TYPED.schema


async def test_every_column_type_has_a_text(store: Store, name: str) -> None:
    files = await write_outputs(store, name, TYPED.select(pl.exclude("float")), [outcome(0, result=b'{"a":[1]}')])
    line = orjson.loads(files["results.ndjson"].splitlines()[0])
    expected = {
        "url": "a",
        "int": 1,
        "bool": True,
        "date": "2026-11-26",
        "moment": "2026-11-26T13:30:00.000000+01:00",
        "decimal": "1.10",
        "struct": {"x": 1, "y": ["z"]},
        "list": [1, None],
        "bytes": "/wA=",
        "category": "k",
        "enum": "k",
        "status": "succeeded",
        "status_code": 200,
        "result": {"a": [1]},
        "attempts": 1,
        "duration": 0.5,
        "call_id": "call-0",
        "result_ref": None,
        "encoding": None,
    }
    assert line == expected
    table = pl.read_csv(files["results.csv"], infer_schema=False)
    assert table.columns == list(expected)
    assert orjson.loads(table["struct"][0]) == expected["struct"]
    assert table.row(1)[:11] == (None,) * 11
    failed = pl.read_csv(files["failures.csv"], infer_schema=False)
    # A row without any cell is written with one empty text: an empty line would not be a row.
    assert failed.row(0) == ("", *[None] * 10)
    assert failed[1].equals(table[2, :11])


async def test_failures_of_items_made_of_columns_have_these_columns(store: Store, name: str) -> None:
    rows = pl.DataFrame({"a": [1, None, 3], "b": [None, None, "x"]})
    files = await write_outputs(store, name, rows, [outcome(2)], "item")
    # A row without any cell is written with one empty text: an empty line would not be a row.
    assert files["failures.csv"] == b'a,b\n1,\n"",\n'
    assert pl.read_parquet(files["failures.parquet"]).equals(rows.head(2))


@pytest.mark.parametrize("most_rows", [7, 1_000_000])
async def test_output_is_the_same_in_pieces_and_in_a_second_run(
    store: Store, name: str, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.DataFrame({"url": [f"item {n}" for n in range(500)], "n": range(500)})
    outcomes = [outcome(n, "succeeded" if n % 3 else "failed", result=b'"%d"' % n) for n in range(0, 500, 2)]
    whole = await write_outputs(store, name, rows, outcomes)
    monkeypatch.setattr("pipeline.outputs.pieces.PIECE_ROWS", most_rows)
    monkeypatch.setattr("pipeline.outputs.joined_table.PIECE_ROWS", most_rows)
    assert await write_outputs(store, name, rows, outcomes) == whole
    assert pl.read_parquet(whole["results.parquet"])["n"].to_list() == list(range(500))
    assert len(whole["results.ndjson"].splitlines()) == 500
    failed = [n for n in range(500) if n % 6 == 0 or n % 2]
    assert pl.read_csv(whole["failures.csv"])["n"].to_list() == failed


async def test_row_groups_stay_within_their_size(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group has fewer rows where rows are large."""
    monkeypatch.setattr("pipeline.outputs.pieces.PIECE_BYTES", 50_000)
    monkeypatch.setattr("pipeline.outputs.pieces.GROUP_BYTES", 200_000)
    rows = pl.DataFrame({"url": [f"item {n}" for n in range(2_000)]})
    outcomes = [outcome(n, result=b'"%s"' % (b"x" * (10_000 if n > 1_900 else 1))) for n in range(2_000)]
    files = await write_outputs(store, name, rows, outcomes, segment_size=20)
    groups = pq.ParquetFile(io.BytesIO(files["results.parquet"])).metadata
    sizes = [groups.row_group(n).num_rows for n in range(groups.num_row_groups)]
    assert max(sizes) == sizes[0]
    assert 5 <= sizes[0] <= 40
    assert sum(sizes) == 2_000
    again = pq.ParquetFile(io.BytesIO(files["failures.parquet"])).metadata
    assert again.num_row_groups <= 1
