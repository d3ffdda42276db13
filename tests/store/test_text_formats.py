"""Frames as CSV and lines of JSON: every type that Parquet has, read back by common readers."""

import csv
import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from pipeline.inputs.items import as_json, as_objects
from pipeline.store.text_formats import to_csv, to_lines_again, to_ndjson

MIDNIGHT = datetime(2026, 11, 26, tzinfo=UTC)
TEXTS = ["", " a ", "a,b", 'a "b"', "a\nb", "a\r\nb", "\ufeff", "\u2028", "null", "NULL", "\\N", "#", "ä😀", "'"]


def column(name: str, values: list[Any], kind: pl.DataType | None = None) -> pl.Series:
    return pl.Series(name, values, dtype=kind)


# A column, and its first cell in CSV and in JSON.
TYPES: dict[str, tuple[pl.Series, str, Any]] = {
    "int": (column("x", [-(2**63), None]), str(-(2**63)), -(2**63)),
    "unsigned": (column("x", [2**64 - 1, None], pl.UInt64()), str(2**64 - 1), 2**64 - 1),
    "small": (column("x", [7, None], pl.UInt8()), "7", 7),
    "float": (column("x", [0.1, None]), "0.1", 0.1),
    "large float": (column("x", [1e300, None]), "1e+300", 1e300),
    "no number": (column("x", [float("nan"), None]), "NaN", None),
    "infinity": (column("x", [float("inf"), None]), "inf", None),
    "bool": (column("x", [True, None]), "true", True),
    "date": (column("x", [date(2026, 11, 26), None]), "2026-11-26", "2026-11-26"),
    "time": (column("x", [time(1, 2, 3), None]), "01:02:03.000000000", "01:02:03"),
    "moment": (
        column("x", [datetime(2026, 11, 26, 1, 2, 3), None]),  # noqa: DTZ001
        *("2026-11-26T01:02:03.000000", "2026-11-26T01:02:03.000000"),
    ),
    "moment of a zone": (
        column("x", [MIDNIGHT, None]).dt.convert_time_zone("Europe/Berlin"),
        *("2026-11-26T01:00:00.000000+01:00", "2026-11-26T01:00:00.000000+01:00"),
    ),
    "duration": (column("x", [timedelta(days=1, seconds=2), None]), "P1DT2S", "P1DT2S"),
    "decimal": (column("x", [Decimal("1.10"), None]), "1.10", "1.10"),
    "category": (column("x", ["a", None], pl.Categorical()), "a", "a"),
    "enum": (column("x", ["a", None], pl.Enum(["a", "b"])), "a", "a"),
    "nothing": (column("x", [None, None]), "", None),
    "bytes": (column("x", [b"\xff\x00", None]), "/wA=", "/wA="),
    "list": (column("x", [["a", None], None]), '["a",null]', ["a", None]),
    "empty list": (column("x", [[], None], pl.List(pl.Int64())), "[]", []),
    "array": (column("x", [[1, 2], None], pl.Array(pl.Int64(), 2)), "[1,2]", [1, 2]),
    "struct": (column("x", [{"b": 1, "a": [True]}, None]), '{"b":1,"a":[true]}', {"b": 1, "a": [True]}),
    "moments in a list": (
        column("x", [[datetime(2026, 11, 26, 1, 2, 3), None], None]),  # noqa: DTZ001
        *('["2026-11-26T01:02:03.000000",null]', ["2026-11-26T01:02:03.000000", None]),
    ),
    "times in structs": (
        column("x", [{"at": MIDNIGHT, "for": timedelta(days=1, seconds=2)}, None]),
        '{"at":"2026-11-26T00:00:00.000000+00:00","for":"P1DT2S"}',
        {"at": "2026-11-26T00:00:00.000000+00:00", "for": "P1DT2S"},
    ),
    "bytes in a list": (column("x", [[b"\xff", None], None]), '["/w==",null]', ["/w==", None]),
    "bytes in an array": (column("x", [[b"a"], None], pl.Array(pl.Binary(), 1)), '["YQ=="]', ["YQ=="]),
    "bytes in structs": (
        column("x", [{"n": 1, "l": [{"b": b"a"}]}, None]),
        *('{"n":1,"l":[{"b":"YQ=="}]}', {"n": 1, "l": [{"b": "YQ=="}]}),
    ),
}
# Results as `as_json` makes them: one line of JSON, for any answer of a model function.
RESULTS = [
    *('{"a":1}', "null", '""', '"text"', "-0.0", "1e999", "12345678901234567890123", "[]", "true"),
    *('"\u2028\u2029\x7f"', '"\\u0000"', '"\\ud800"', '"\\n"', '{"a":1,"a":2}', '"}{"', "[" * 700 + "]" * 700),
]


def lines(body: bytes) -> list[Any]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.removesuffix(b"\n").split(b"\n")]


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_its_csv_and_json_text(name: str) -> None:
    cells, text, value = TYPES[name]
    frame = pl.DataFrame({"url": ["a", "b"], "x": cells, "result": ["1", None], "status": ["s", "s"]})
    rows = list(csv.reader(io.StringIO(to_csv(frame, header=True).decode())))
    assert rows == [["url", "x", "result", "status"], ["a", text, "1", "s"], ["b", "", "", "s"]]
    first, second = lines(to_ndjson(frame, {"result"}))
    assert first == {"url": "a", "x": value, "result": 1, "status": "s"}
    assert second == {"url": "b", "x": None, "result": None, "status": "s"}
    assert list(first) == frame.columns


@pytest.mark.parametrize("name", [name for name in TYPES if "bytes" not in name])
def test_json_item_equals_the_value_in_a_json_line(name: str) -> None:
    cells, _, value = TYPES[name]
    frame = pl.DataFrame({"x": cells})
    assert [json.loads(item) for item in as_json(frame, "x", frozenset())] == [value, None]
    assert [json.loads(item) for item in as_objects(frame, ["x"], frozenset())] == [{"x": value}, {"x": None}]


def test_missing_cell_and_empty_text_differ() -> None:
    frame = pl.DataFrame({"a": ["", None], "b": [None, ""]})
    assert to_csv(frame, header=True) == b'a,b\n"",\n,""\n'
    assert pl.read_csv(to_csv(frame, header=True), infer_schema=False).equals(frame)


def test_every_text_is_read_back(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": range(len(TEXTS)), "x": TEXTS, "result": ["1"] * len(TEXTS), "y": ["end"] * len(TEXTS)})
    path = tmp_path / "x.csv"
    path.write_bytes(to_csv(frame, header=True))
    assert pl.read_csv(path, schema_overrides={"result": pl.String}).equals(frame)
    read = f"read_csv('{path}', header = true, all_varchar = true, nullstr = '$')"
    found = duckdb.sql(f"SELECT x FROM {read} ORDER BY n::int")
    assert found is not None
    assert [cell for (cell,) in found.fetchall()] == TEXTS
    assert pd.read_csv(path, keep_default_na=False, lineterminator="\n")["x"].tolist() == TEXTS
    assert [line["x"] for line in lines(to_ndjson(frame, {"result"}))] == TEXTS


@pytest.mark.parametrize("result", RESULTS, ids=range(len(RESULTS)))
def test_result_is_embedded_as_json(result: str) -> None:
    frame = pl.DataFrame({"url": ["a"], "result": [result], "status": ["succeeded"]})
    body = to_ndjson(frame, {"result"})
    assert body == b'{"url":"a","result":%b,"status":"succeeded"}\n' % result.encode()
    assert lines(body) == [{"url": "a", "result": json.loads(result), "status": "succeeded"}]


def test_json_columns_are_embedded_at_any_place() -> None:
    frame = pl.DataFrame(
        {"a": ["[1]", None], "b": ['{"x":null}', '"t"'], "c": [1, 2], "d": ['"say"', "[]"], "e": ["[", ""]}
    )
    assert lines(to_ndjson(frame, {"a", "b", "d"})) == [
        {"a": [1], "b": {"x": None}, "c": 1, "d": "say", "e": "["},
        {"a": None, "b": "t", "c": 2, "d": [], "e": ""},
    ]
    assert to_ndjson(frame.select("c"), set()) == b'{"c":1}\n{"c":2}\n'
    assert to_ndjson(frame.select(pl.col("a").alias('q"\\')), {'q"\\'}) == b'{"q\\"\\\\":[1]}\n{"q\\"\\\\":null}\n'


@pytest.mark.parametrize("name", ["", "^x.*$", "*", "pipeline.x", 'a"b', "a,b", "a\nb", "input.result", "\u2028"])
def test_every_column_name_is_written(name: str) -> None:
    frame = pl.DataFrame({name: ["a", None], "x1": ["b", "c"], "result": ["1", None], "status": ["s", "s"]})
    assert next(csv.reader(io.StringIO(to_csv(frame, header=True).decode()))) == frame.columns
    assert lines(to_ndjson(frame, {"result"})) == [
        {name: "a", "x1": "b", "result": 1, "status": "s"},
        {name: None, "x1": "c", "result": None, "status": "s"},
    ]


def test_header_is_written_once() -> None:
    frame = pl.DataFrame({"a": ["1"]})
    assert to_csv(frame, header=True) + to_csv(frame, header=False) == b"a\n1\n1\n"
    assert to_csv(frame.clear(), header=True) == b"a\n"
    assert to_ndjson(pl.DataFrame(schema={"a": pl.String, "result": pl.String, "b": pl.String}), {"result"}) == b""


@pytest.mark.parametrize("first", [pl.String(), pl.Int64(), pl.List(pl.Int64())], ids=str)
def test_row_without_cells_is_not_a_blank_line(first: pl.DataType) -> None:
    frame = pl.DataFrame({"a": [None, None], "b": [None, "x"]}, schema={"a": first, "b": pl.String()})
    assert to_lines_again(frame, header=True) == b'a,b\n"",\n,x\n'
    assert to_lines_again(frame.select("a"), header=False) == b'""\n""\n'


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=\n1")


def test_safe_csv_has_no_formulas() -> None:
    harmless = ["a=1", "", None, " =1", "1-1", "'=1", "ä"]
    frame = pl.DataFrame({"=a": [*FORMULAS], "": harmless, "^a$": [-1, 0, 1, None, 2, 3, 4]})
    head, *rows = csv.reader(io.StringIO(to_csv(frame, header=True, safe=True).decode(), newline=""))
    assert head == ["'=a", "", "^a$"]
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS]
    assert [row[1] for row in rows] == [text or "" for text in harmless]
    assert [row[2] for row in rows] == ["-1", "0", "1", "", "2", "3", "4"]
    assert to_csv(frame, header=False, safe=True).decode().startswith("'=1+1,a=1,-1\n'+1,\"\",0\n")


def test_safe_csv_of_harmless_cells_is_the_faithful_one() -> None:
    frame = pl.DataFrame({"a": TEXTS, "b": [[number] for number in range(len(TEXTS))]})
    for header in (True, False):
        assert to_csv(frame, header=header, safe=True) == to_csv(frame, header=header)
