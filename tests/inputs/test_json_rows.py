"""Rows of JSON: types without loss, and errors that name the line."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.errors import BadRequestError
from pipeline.inputs import json_rows as jsonrows
from pipeline.inputs.json_rows import JsonRows
from pipeline.units import MIB

MANY = 1_000_000


def read(folder: Path, body: bytes, most: int = MANY) -> tuple[pl.DataFrame, list[str]]:
    path = folder / "rows"
    path.write_bytes(body)
    rows = JsonRows(path, "line")
    rows.infer(most)
    return pl.concat([rows.frame([]), *rows.frames()]), rows.json_columns


def values(folder: Path, *cells: str) -> tuple[pl.DataType, list[Any], bool]:
    """Return the type of a column of these values, its cells, and whether they are JSON text."""
    frame, json_columns = read(folder, "\n".join(f'{{"a": {cell}}}' if cell else "{}" for cell in cells).encode())
    return frame.schema["a"], frame["a"].to_list(), json_columns == ["a"]


BIG = 2**53
TYPES: dict[str, tuple[list[str], pl.DataType, list[Any]]] = {
    "text": (['"x"', '""', '"\\u00e4\\n\\"\\u0000"'], pl.String(), ["x", "", 'ä\n"\0']),
    "a pair of escapes": (['"\\ud83d\\ude00"'], pl.String(), ["😀"]),
    "true and false": (["true", "false"], pl.Boolean(), [True, False]),
    "whole numbers": (["1", "-2", "0"], pl.Int64(), [1, -2, 0]),
    "the largest whole numbers": ([str(2**63 - 1), str(-(2**63))], pl.Int64(), [2**63 - 1, -(2**63)]),
    "fractions": (["1.5", "-0.25", "1e3", "1E-2"], pl.Float64(), [1.5, -0.25, 1000.0, 0.01]),
    "whole numbers and fractions": (["1", "2.5"], pl.Float64(), [1.0, 2.5]),
    "whole numbers that a float holds, and fractions": ([str(BIG), "2.5"], pl.Float64(), [float(BIG), 2.5]),
    "null": (["1", "null"], pl.Int64(), [1, None]),
    "a missing key": (['"x"', ""], pl.String(), ["x", None]),
    "nothing but null": (["null", "null"], pl.String(), [None, None]),
    "the word null": (['"null"', "null"], pl.String(), ["null", None]),
}
AS_JSON: dict[str, list[str]] = {
    "objects": ['{"b": [1.10, {"c": "ä"}]}', "{}"],
    "arrays": ["[1, 2]", "[]"],
    "text and numbers": ['"x"', "1"],
    "true and numbers": ["true", "1"],
    "objects and text": ["{}", '"x"'],
    "a number beyond 64 bits": [str(2**63), "1"],
    "a number far beyond 64 bits": ["9" * 5000],
    "a number that a float would round, and fractions": [str(BIG + 1), "2.5"],
    "a fraction that no float holds": ["1e400", "1.5"],
    "escapes in what is nested": ['{"b": "\\u00e4\\n"}'],
}


@pytest.mark.parametrize(("cells", "dtype", "expected"), TYPES.values(), ids=TYPES)
def test_column_of_one_kind_has_its_type(
    tmp_path: Path, cells: list[str], dtype: pl.DataType, expected: list[Any]
) -> None:
    assert values(tmp_path, *cells) == (dtype, expected, False)
    assert values(tmp_path, *reversed(cells)) == (dtype, expected[::-1], False)


@pytest.mark.parametrize("cells", AS_JSON.values(), ids=AS_JSON)
def test_column_of_mixed_kinds_stays_json(tmp_path: Path, cells: list[str]) -> None:
    assert values(tmp_path, *cells, "null", "") == (pl.String(), [*cells, None, None], True)
    assert values(tmp_path, *reversed(cells)) == (pl.String(), cells[::-1], True)


def test_types_are_inferred_from_the_whole_input(tmp_path: Path) -> None:
    lines = [b'{"a": 1, "b": "x", "c": 1}'] * 200_000
    lines += [b'{"a": 1.5, "b": 7, "d": true}', b'{"c": ' + str(BIG + 1).encode() + b"}"]
    frame, json_columns = read(tmp_path, b"\n".join(lines))
    assert frame.schema == {"a": pl.Float64, "b": pl.String, "c": pl.Int64, "d": pl.Boolean}
    assert json_columns == ["b"]
    assert frame.height == 200_002
    assert frame.row(0) == (1.0, '"x"', 1, None)
    assert frame.row(-2) == (1.5, "7", None, True)
    assert frame.row(-1) == (None, None, BIG + 1, None)


FINE: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "CRLF": (b'{"a":1}\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}]),
    "no newline at the end": (b'{"a":1}\n{"a":2}', [{"a": 1}, {"a": 2}]),
    "blank lines": (b'\n \n{"a":1}\n\t\r\n\n{"a":2}\n\n', [{"a": 1}, {"a": 2}]),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}\n', [{"a": 1}]),
    "white space": (b' { "a" : 1 , "b":\t2 } \n', [{"a": 1, "b": 2}]),
    "names that are patterns, or empty": (b'{"*":1,"^a$":2,"":3}', [{"*": 1, "^a$": 2, "": 3}]),
    "a name with escapes": (b'{"\\u00e4\\"":1}', [{'ä"': 1}]),
    "a colon behind a quote in text": (b'{"a":"x\\":1","b":": "}', [{"a": 'x":1', "b": ": "}]),
    "nothing": (b"", []),
    "blank lines alone": (b"\n\r\n", []),
}


@pytest.mark.parametrize(("body", "rows"), FINE.values(), ids=FINE)
def test_lines_are_read(tmp_path: Path, body: bytes, rows: list[dict[str, Any]]) -> None:
    frame, json_columns = read(tmp_path, body)
    assert (frame.to_dicts(), json_columns) == (rows, [])


GOOD = b'{"a":1}\n'
WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"url", "line 3 is no JSON: "),
    "a cut object": (b'{"a":1', "line 3 is no JSON: "),
    "two objects": (b'{"a":1} {"a":2}', "line 3 is no JSON: "),
    "NaN": (b'{"a":NaN}', "line 3 is no JSON: "),
    "a nested NaN": (b'{"a":[NaN]}', "line 3 is no JSON: "),
    "a leading zero": (b'{"a":01}', "line 3 is no JSON: "),
    "a bad escape": (b'{"a":"\\q"}', "line 3 is no JSON: "),
    "a control character": (b'{"a":["\x01"]}', "line 3 is no JSON: "),
    "an object of two lines": (b'{"a":\n1}', "line 3 is no JSON: "),
    "an array": (b"[1]", "line 3 is no row: expected `object`, got `array`"),
    "a number": (b"7", "line 3 is no row: expected `object`, got `int`"),
    "null": (b"null", "line 3 is no row: expected `object`, got `null`"),
    "latin-1": ('{"a":"ä"}'.encode("latin-1"), "line 3 is not UTF-8"),
    "latin-1 in what is nested": ('{"a":["ä"]}'.encode("latin-1"), "line 3 is not UTF-8"),
    "half a pair": (b'{"a":"\\ud800"}', "line 3 has a \\u escape that is half of a pair"),
    "half a pair in what is nested": (b'{"a":["\\udfff"]}', "line 3 has a \\u escape that is half of a pair"),
    "half a pair in a name": (b'{"\\ud800":1}', "line 3 has a \\u escape that is half of a pair"),
    "a name twice": (b'{"a":1,"b":2,"a":3}', "line 3 has 'a' more than once"),
    "a name twice with space": (b'{"a" :1,"b":{"c":2},"a"\t:3}', "line 3 has 'a' more than once"),
    "a name twice as an escape": (b'{"a":1,"\\u0061":3}', "line 3 has 'a' more than once"),
    "a name twice in what is nested": (b'{"a":[{"b":1,"b":2}]}', "line 3 has 'b' more than once"),
    "arrays without end": (b'{"a":' + b"[" * 100_000, "line 3 is nested too deep"),
    "arrays in arrays": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 3 is nested too deep"),
    "objects in objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "line 3 is nested too deep"),
    "objects in objects with one name twice": (
        b'{"b":1,"b":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        "line 3 is nested too deep",
    ),
}


@pytest.mark.parametrize(("line", "reason"), WRONG.values(), ids=WRONG)
def test_line_that_is_no_row_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    for body in (GOOD + b"\n" + line + b"\n" + GOOD, GOOD + b"\n" + line):
        with pytest.raises(BadRequestError) as caught:
            read(tmp_path, body)
        assert str(caught.value).startswith(reason)


def test_line_far_into_the_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"^line 400002 has 'a' more than once$"):
        read(tmp_path, GOOD * 400_001 + b'{"a":1,"a":1}\n')


def test_nesting_up_to_the_limit_is_accepted(tmp_path: Path) -> None:
    deep = "[" * 300 + "]" * 300
    assert values(tmp_path, deep) == (pl.String(), [deep], True)


def test_rows_are_limited(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD * 3 + b"\n\n", most=3)[0].height == 3
    with pytest.raises(BadRequestError, match=r"^the input has more than 2 rows \(setting max_rows\)$"):
        read(tmp_path, GOOD * 3, most=2)


@pytest.mark.parametrize("end", [b"", GOOD.strip()])
def test_too_many_blank_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(jsonrows, "BLANK_LIMIT", 1000)
    assert read(tmp_path, GOOD + b"\n" * 999 + end)[0].height == 1 + bool(end)
    with pytest.raises(BadRequestError, match=r"^the input has more than 1000 blank lines$"):
        read(tmp_path, GOOD + b"\n" * 1100 + end)


@pytest.mark.parametrize("before", [0, 5])
def test_line_length_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    monkeypatch.setattr(jsonrows, "LINE_LIMIT", 3 * MIB)
    long = b'{"a":"' + b"x" * (3 * MIB - 8) + b'"}'
    assert read(tmp_path, GOOD * before + long + b"\n" + GOOD)[0].height == before + 2
    with pytest.raises(BadRequestError, match=rf"^line {before + 1} is over 3 MiB$"):
        read(tmp_path, GOOD * before + long.replace(b"x", b"xx", 1) + b"\n" + GOOD)
    with pytest.raises(BadRequestError, match=rf"^line {before + 1} is over 3 MiB$"):
        read(tmp_path, GOOD * before + b"x" * 5 * MIB)


def test_columns_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonrows, "MOST_COLUMNS", 3)
    assert read(tmp_path, b'{"a":1,"b":1}\n{"c":1}')[0].width == 3
    with pytest.raises(BadRequestError, match=r"^the input has too many columns: expected at most 3$"):
        read(tmp_path, b'{"a":1,"b":1}\n{"c":1}\n{"d":1}')
    monkeypatch.setattr(jsonrows, "NAMES_LIMIT", 10)
    with pytest.raises(BadRequestError, match=r"^the names of the input's columns are over 0 MiB together$"):
        read(tmp_path, b'{"abcdef":1,"ghijk":1}')


def test_many_columns_are_read_in_small_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonrows, "PIECE_CELLS", 20_000)
    path = tmp_path / "rows"
    path.write_bytes(b"".join(b'{"c%d": %d}\n' % (number % 500, number) for number in range(1000)))
    rows = JsonRows(path, "line")
    rows.infer(MANY)
    frames = list(rows.frames())
    assert [frame.height for frame in frames] == [40] * 25
    whole = pl.concat(frames)
    assert (whole.height, whole.width) == (1000, 500)
    assert whole["c7"].drop_nulls().to_list() == [7, 507]


def test_floats_are_never_infinite(tmp_path: Path) -> None:
    dtype, cells, is_json = values(tmp_path, "1.7976931348623157e308", "-1e308")
    assert (dtype, is_json) == (pl.Float64(), False)
    assert all(map(math.isfinite, cells))
