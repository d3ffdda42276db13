"""Inputs with typed columns: their rows, types and order."""

import datetime as dt
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from backports import zstd

from pipeline.errors import BadRequestError
from pipeline.spec.input_format import Format
from tests.rigs.typed_inputs import open_body, parquet, read

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "zstd": zstd.compress,
}


BERLIN = pl.Datetime("us", "Europe/Berlin")
TYPED = pl.DataFrame(
    {
        "n": [2**63 - 1, None, -1],
        "u": pl.Series([2**64 - 1, None, 0], dtype=pl.UInt64),
        "small": pl.Series([1, None, -1], dtype=pl.Int8),
        "f": [1.5, float("nan"), float("inf")],
        "f32": pl.Series([0.1, None, 2], dtype=pl.Float32),
        "b": [True, None, False],
        "s": ["ä\n\0", None, ""],
        "raw": [b"\xff\x00", None, b""],
        "day": [dt.date(2024, 2, 29), None, dt.date(1, 1, 1)],
        "at": pl.Series([0, None, 10**15], dtype=pl.Int64).cast(pl.Datetime("us")),
        "there": pl.Series([0, None, 10**15], dtype=pl.Int64).cast(BERLIN),
        "ns": pl.Series([1, None, 2], dtype=pl.Int64).cast(pl.Datetime("ns")),
        "time": [dt.time(1, 2, 3, 4), None, dt.time(0)],
        "span": pl.Series([1, None, -1], dtype=pl.Int64).cast(pl.Duration("us")),
        "price": pl.Series(["12.50", None, "-0.01"]).cast(pl.Decimal(38, 2)),
        "tags": [["a", None], None, []],
        "pair": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        "place": [{"x": 1.5, "y": ["q"]}, None, {"x": None, "y": None}],
        "*": ["x", "y", "z"],
        "": ["1", "2", "3"],
    }
)


async def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    found = await read(tmp_path, parquet(TYPED))
    assert found.schema == TYPED.schema
    assert found.equals(TYPED)


async def test_parquet_of_other_writers_is_read(tmp_path: Path) -> None:
    columns = {
        "category": pa.array(["p", "q", None]).dictionary_encode(),
        "none": pa.array([None] * 3, pa.null()),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "json": pa.array(['{"a":1}', None, "1"], pa.json_()),
        "uuid": pa.array([b"u" * 16, None, b"v" * 16], pa.uuid()),
        "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        "price": pa.array([Decimal("1.10"), None, Decimal(2)], pa.decimal128(10, 2)),
        "zoned": pa.array([0, None, 1], pa.timestamp("ms", "+02:00")),
        "nested": pa.array(
            [[{"c": "p"}], [], None], pa.list_(pa.struct([("c", pa.dictionary(pa.int8(), pa.string()))]))
        ),
        "long": pa.array(["a", "b", None], pa.large_string()),
        "half": pa.array([1.5, None, 2.0], pa.float32()).cast(pa.float16()),
    }
    writers: list[dict[str, Any]] = [
        {},
        {"version": "1.0", "use_dictionary": False},
        {"data_page_version": "2.0", "compression": "gzip"},
    ]
    for place, options in enumerate(writers):
        (folder := tmp_path / str(place)).mkdir()
        found = await read(folder, parquet(pa.table(columns), **options))
        assert {name: found.schema[name] for name in ("category", "none", "fixed", "price", "nested", "long")} == {
            "category": pl.String,
            "none": pl.String,
            "fixed": pl.Binary,
            "price": pl.Decimal(10, 2),
            "nested": pl.List(pl.Struct({"c": pl.String})),
            "long": pl.String,
        }
        assert found["category"].to_list() == ["p", "q", None]
        assert found["none"].to_list() == [None] * 3
        assert found["map"].to_list() == [[{"key": "k", "value": 1}], [], None]
        assert found["uuid"].to_list() == [b"u" * 16, None, b"v" * 16]
        assert found["json"].to_list() == ['{"a":1}', None, "1"]
        assert found["nested"].to_list() == [[{"c": "p"}], [], None]
        assert found["half"].to_list() == [1.5, None, 2.0]
        assert found["zoned"].dt.epoch("ms").to_list() == [0, None, 1]


@pytest.mark.parametrize("group", [1000, 33_000, 100_000])
async def test_rows_keep_their_order_across_row_groups(tmp_path: Path, group: int) -> None:
    rows = pl.DataFrame({"n": range(100_000), "s": [f"row {n}" for n in range(100_000)]})
    assert (await read(tmp_path, parquet(rows, row_group_size=group))).equals(rows)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("form", ["ndjson", "json"])
async def test_compressed_json_is_read(tmp_path: Path, form: Format, pack: Callable[[bytes], bytes]) -> None:
    lines = [b'{"n":%d,"s":"row %d","l":[%d]}' % (n, n, n) for n in range(50_000)]
    body = b"\n".join(lines) if form == "ndjson" else b"[" + b",\n".join(lines) + b"]"
    table = await open_body(tmp_path, pack(body), form)
    assert (table.rows, table.json_columns) == (50_000, frozenset({"l"}))
    assert table.schema == {"n": pl.Int64(), "s": pl.String(), "l": pl.String()}
    frames = [frame async for frame in table.frames()]
    assert pl.concat(frames).rows() == [(n, f"row {n}", f"[{n}]") for n in range(50_000)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize(("form", "text"), [("ndjson", '{"a":"ä"}'), ("json", '[{"a":"ä"}]')])
async def test_json_is_read_in_the_encoding_of_its_mark(tmp_path: Path, form: Format, text: str, encoding: str) -> None:
    assert (await read(tmp_path, gzip.compress(text.encode(encoding), mtime=0), form)).rows() == [("ä",)]


EMPTY: dict[str, tuple[Format, bytes, list[str]]] = {
    "no lines": ("ndjson", b"\n", []),
    "an empty array": ("json", b"[]", []),
    "a packed empty array": ("json", gzip.compress(b"[]", mtime=0), []),
    "Parquet without rows": ("parquet", parquet(TYPED.clear()), TYPED.columns),
}


@pytest.mark.parametrize(("form", "body", "columns"), EMPTY.values(), ids=EMPTY)
async def test_empty_input_has_no_rows(tmp_path: Path, form: Format, body: bytes, columns: list[str]) -> None:
    found = await read(tmp_path, body, form)
    assert (found.height, found.columns) == (0, columns)


@pytest.mark.parametrize("form", ["parquet", "ndjson", "json"])
async def test_rows_are_limited(tmp_path: Path, form: Format) -> None:
    bodies = {
        "parquet": parquet(pl.DataFrame({"a": [1, 2, 3]})),
        "ndjson": b'{"a":1}\n' * 3,
        "json": b'[{"a":1},{},{}]',
    }
    for most in (3, 2):
        (folder := tmp_path / str(most)).mkdir()
        if most == 3:
            assert (await read(folder, bodies[form], form, most)).height == 3
        else:
            with pytest.raises(BadRequestError, match=r"^the input has more than 2 rows \(setting max_rows\)$"):
                await read(folder, bodies[form], form, most)
