"""The rows of a CSV file, cell by cell, or an error that says what is wrong."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from backports import zstd

from pipeline.errors import BadRequestError
from pipeline.inputs import csv_rows
from pipeline.inputs.csv_rows import count_lines, open_rows
from pipeline.inputs.items import choose_column as choose
from pipeline.store.columns import INDEX, ITEM
from pipeline.units import MIB
from tests.rigs.csv_items import read_items

MANY_ROWS = 1_000_000


def scan(folder: Path, body: bytes) -> pl.LazyFrame:
    path = folder / "input"
    path.write_bytes(body)
    rows = open_rows(path)
    assert rows is not None
    return rows


def choose_column(rows: pl.LazyFrame, wanted: str | None) -> str:
    return choose(rows.collect_schema().names(), wanted)


async def items_of(rows: pl.LazyFrame, column: str, most: int = MANY_ROWS) -> list[tuple[int, str]]:
    frames = [frame async for frame in read_items(rows, column, most)]
    return [pair for frame in frames for pair in zip(frame[INDEX].to_list(), frame[ITEM].to_list(), strict=True)]


READ: dict[str, tuple[bytes, list[str]]] = {
    "a byte order mark is no part of the header": (b"\xef\xbb\xbfurl\na\n", ["a"]),
    "CRLF is no part of a cell": (b"url\r\na\r\nb\r\n", ["a", "b"]),
    "the last line needs no newline": (b"url\na\nb", ["a", "b"]),
    "a quoted newline stays in its cell": (b'url,x\n"a\nb",1\nc,2\n', ["a\nb", "c"]),
    "a quoted CRLF stays in its cell": (b'url\r\n"a\r\nb"\r\nc\r\n', ["a\r\nb", "c"]),
    "a quoted quote is one quote": (b'url\n"a ""b"""\n', ['a "b"']),
    "a quoted comma stays in its cell": (b'url,x\n"a,b",1\n', ["a,b"]),
    "a blank line is no row": (b"url,x\na,1\n\nb,2\n", ["a", "b"]),
    "a blank line of one column is no row": (b"url\n\na\n\n\nb\n\n", ["a", "b"]),
    "a blank line with CRLF is no row": (b"url\r\na\r\n\r\nb\r\n", ["a", "b"]),
    "a quoted empty cell is an empty item": (b'url\na\n""\nb\n', ["a", "", "b"]),
    "an empty cell is an empty item": (b"url,x\n,1\na,2\n", ["", "a"]),
    "a short row keeps its item": (b"url,x,y\na,1\nb\n", ["a", "b"]),
    "a short row without the item's cell has an empty item": (b"x,url\n1,a\n2\n", ["a", ""]),
    "spaces are kept": (b"url\n  \n a \n", ["  ", " a "]),
    "cells stay as they are written": (
        b"url\n1.10\n007\ntrue\n2020-01-01\n#x\n",
        ["1.10", "007", "true", "2020-01-01", "#x"],
    ),
    "what other formats call null is text": (b"url\nnull\nNULL\nNA\nNone\n", ["null", "NULL", "NA", "None"]),
    "UTF-8 is read": ("url\nä€😀\n".encode(), ["ä€😀"]),
    "a gzip file is read": (gzip.compress(b"url\na\nb\n"), ["a", "b"]),
    "a gzip file of two members is read": (gzip.compress(b"url\na\n") + gzip.compress(b"b\n"), ["a", "b"]),
    "a zstd file is read": (zstd.compress(b"url\na\nb\n"), ["a", "b"]),
    "a zstd file of two frames is read": (zstd.compress(b"url\na\n") + zstd.compress(b"b\n"), ["a", "b"]),
    "blank lines before the header are skipped": (b"\n\nurl\na\n", ["a"]),
    "of two columns of one name the first is read": (b"url,url\na,b\n", ["a"]),
    "a header alone has no rows": (b"url,x\n", []),
    "a header without a newline has no rows": (b"url", []),
    "a large cell is read": (b"url\n" + b"x" * 2_000_000 + b"\n", ["x" * 2_000_000]),
}


@pytest.mark.parametrize(("body", "expected"), READ.values(), ids=READ)
async def test_csv_is_read_cell_by_cell(tmp_path: Path, body: bytes, expected: list[str]) -> None:
    rows = scan(tmp_path, body)
    column = choose_column(rows, None)
    assert column == "url"
    assert await items_of(rows, column) == list(enumerate(expected))
    assert await count_lines(rows) >= len(expected)


_packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
WIDE_WINDOW = _packer.compress(b"url\n") + _packer.flush()

ICONV = "it is not UTF-8: convert it, for example with iconv -f latin1 -t utf-8"

REFUSED: dict[str, tuple[bytes, str]] = {
    "a row with more cells than the header": (b"url,x\na,1\nb,2,3\n", "more fields than defined"),
    "a quote that is never closed": (b'url,x\n1,2\n"a,3\n4,5\n', "the input cannot be read as CSV"),
    "latin-1 in a cell": ("url\nä\n".encode("latin-1"), ICONV),
    "latin-1 in another column's cell": ("url,x\na,ä\n".encode("latin-1"), ICONV),
    "latin-1 in the header": ("ürl,url\na,b\n".encode("latin-1"), ICONV),
    "UTF-16": ("url\na\n".encode("utf-16"), "UTF-16, expected UTF-8: convert it with iconv -f utf-16"),
    "UTF-16 of the other order": ("\ufeffurl\na\n".encode("utf-16-be"), "UTF-16, expected UTF-8"),
    "UTF-16 inside gzip": (gzip.compress("url\na\n".encode("utf-16")), "UTF-16, expected UTF-8"),
    "UTF-16 without a mark": ("url\na\n".encode("utf-16-le"), ICONV),
    "lines that end in CR alone": (b"url\ra\rb\r", "the input's lines end in CR alone, expected LF or CRLF"),
    "a gzip file cut short": (
        gzip.compress(b"".join(b"%d\n" % i for i in range(9999)))[:9000],
        "the input cannot be read as CSV: its gzip is broken",
    ),
    "a gzip file with something else behind": (gzip.compress(b"url\na\n") + b"rest", "its gzip is broken"),
    "a zstd file cut short": (zstd.compress(b"url\na\n")[:-3], "its zstd is broken"),
    "a zstd file with something else behind": (zstd.compress(b"url\na\n") + b"rest", "its zstd is broken"),
    "a zstd file that asks for a window of 1 GiB": (WIDE_WINDOW, "its zstd is broken"),
    "a zlib file": (zlib.compress(b"url\na\n"), "packed with zlib: expected CSV, plain or packed with gzip or zstd"),
    "a fast zlib file": (zlib.compress(b"url\na\n", 1), "packed with zlib"),
    "a small zlib file": (zlib.compress(b"url\na\n", 9), "packed with zlib"),
    "gzip in gzip": (gzip.compress(gzip.compress(b"url\na\n")), "the input is packed twice: expected CSV, once"),
    "zstd in gzip": (gzip.compress(zstd.compress(b"url\na\n")), "the input is packed twice"),
    "zlib in zstd": (zstd.compress(zlib.compress(b"url\na\n")), "the input is packed twice"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "the input cannot be read as CSV"),
    "the pipeline's own column of tasks": (b"url,pipeline.task\na,b\n", "are the pipeline's own: rename them"),
    "the pipeline's own column of indices": (b"pipeline.index,url\n1,b\n", "are the pipeline's own: rename them"),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
async def test_unreadable_csv_is_refused(tmp_path: Path, body: bytes, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await items_of(scan(tmp_path, body), "url")
    assert reason in str(caught.value)


STAR = b"*,^u.*$,url\nx,y,z\n"


@pytest.mark.parametrize("column", ["*", "^u.*$"])
async def test_column_name_is_not_a_pattern(tmp_path: Path, column: str) -> None:
    rows = scan(tmp_path, STAR)
    assert choose_column(rows, column) == column
    assert await items_of(rows, column) == [(0, {"*": "x", "^u.*$": "y"}[column])]


async def test_wide_file_is_read_without_its_blank_lines(tmp_path: Path) -> None:
    header = ",".join(["url", *(f"c{number}" for number in range(2000))])
    body = f"{header}\na{',1' * 2000}\n\n,x\n".encode()
    assert await items_of(scan(tmp_path, body), "url") == [(0, "a"), (1, "")]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_line_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    monkeypatch.setattr(csv_rows, "LINE_LIMIT", 3 * MIB)
    body = b"url\n" + b"x" * (2 * MIB) + b"\n" + b"y" * (4 * MIB) + b"\n"
    with pytest.raises(BadRequestError, match="the input has a line over 3 MiB"):
        scan(tmp_path, gzip.compress(body) if packed else body)
    scan(tmp_path, b"url\n" + (b"x" * (2 * MIB) + b"\n") * 3)


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_file_without_a_header_has_no_rows(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "input").write_bytes(body)
    assert open_rows(tmp_path / "input") is None


@pytest.mark.parametrize(
    ("header", "wanted", "expected"),
    [
        (b"id,url,x", None, "url"),
        (b"only", None, "only"),
        (b"id,url", "id", "id"),
        (b"id,item text", "item text", "item text"),
        (b"a,a", "a_duplicated_0", "a_duplicated_0"),
    ],
)
def test_column_of_items_is_chosen(tmp_path: Path, header: bytes, wanted: str | None, expected: str) -> None:
    assert choose_column(scan(tmp_path, header + b"\n"), wanted) == expected


MANY = ",".join(f"c{i}" for i in range(60)).encode()


@pytest.mark.parametrize(
    ("header", "wanted", "reason"),
    [
        (b"id,link", None, "name the column, there is none called 'url'; the columns are: id, link"),
        (b"URL,x", None, "name the column, there is none called 'url'; the columns are: URL, x"),
        (b"id,url", "link", "there is no column 'link'; the columns are: id, url"),
        (b"only", "url", "there is no column 'url'; the columns are: only"),
    ],
)
def test_missing_column_is_an_error_that_lists_the_columns(
    tmp_path: Path, header: bytes, wanted: str | None, reason: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        choose_column(scan(tmp_path, header + b"\n"), wanted)
    assert str(caught.value) == reason


def test_only_the_first_of_many_columns_are_listed(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match=r"c0, c1, .*, c49, \.\.\.$"):
        choose_column(scan(tmp_path, MANY + b"\n"), None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_indices_are_continuous_across_frames(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    cells = [f"https://example.org/{i}/{'x' * (i % 97)}" for i in range(40_000)]
    rows = scan(tmp_path, pack(b"id,url\n" + b"".join(b"%d,%s\n" % (i, cell.encode()) for i, cell in enumerate(cells))))
    frames = [frame async for frame in read_items(rows, "url", MANY_ROWS)]
    assert len(frames) > 1
    assert pl.concat(frame[INDEX] for frame in frames).to_list() == list(range(40_000))
    assert pl.concat(frame[ITEM] for frame in frames).to_list() == cells
    assert await count_lines(rows) == 40_000
