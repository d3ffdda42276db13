"""The rows of a CSV file, cell by cell, or an error that says what is wrong."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadRequestError
from pipeline.inputs import csv_rows
from pipeline.inputs.items import choose_column as choose
from pipeline.inputs.reader import SMALL, Rows, Source, is_small
from pipeline.spec.dialect import Dialect
from pipeline.store.columns import INDEX, ITEM
from tests.rigs.csv_items import read_items, scan


def choose_column(rows: Rows, wanted: str | None) -> str:
    return choose(rows.empty.columns, wanted)


async def items_of(rows: Rows, column: str) -> list[tuple[int, str]]:
    frames = [frame async for frame in read_items(rows, column)]
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
    "lines that end in CR alone": (b"url,x\ra,1\rb,2\r", ["a", "b"]),
    "lines that end in CRLF, LF and CR": (b"url,x\r\na,1\nb,2\rc,3\r\n", ["a", "b", "c"]),
    "a quote inside of an unquoted cell is text": (b'url,x\n5" pipe,1\n6" pipe,2\n', ['5" pipe', '6" pipe']),
    "UTF-16 with its mark": ("url\nä\n".encode("utf-16"), ["ä"]),
    "UTF-16 of the other order": ("\ufeffurl\nä\n".encode("utf-16-be"), ["ä"]),
    "UTF-16 inside of gzip": (gzip.compress("url\nä\n".encode("utf-16")), ["ä"]),
    "UTF-32 with its mark": ("url\nä\n".encode("utf-32"), ["ä"]),
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


_packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
WIDE_WINDOW = _packer.compress(b"url\n") + _packer.flush()

ENCODING = "is not UTF-8: set encoding, for example to latin-1"

REFUSED: dict[str, tuple[bytes, str]] = {
    "a row with more cells than the header": (b"url,x\na,1\nb,2,3\n", "line 3 of the input has 3 cells, expected 2"),
    "a comma at the end of each row": (b"url,x\na,1,\nb,2,\n", "line 2 of the input has 3 cells, expected 2"),
    "too many cells behind a quoted newline": (b'url,x\n"a\nb",1\nb,2,3\n', "line 4 of the input has 3 cells"),
    "a quote that is never closed": (b'url\n"x"\n"y\nz\n', "line 3 of the input cannot be read: a quote is opened"),
    "a quote in the header that is never closed": (b'url,"x\na,1\n', "line 1 of the input cannot be read: a quote is"),
    "backslashes before quotes": (
        b'url,b\n"say \\"hi\\"",1\nx,2\n',
        "line 2 of the input cannot be read: a quoted cell goes on behind its closing quote",
    ),
    "two columns of one name": (b"A,url,url,E\n1,2,3,4\n", "the input's header has 'url' more than once"),
    "no bytes": (b"", "the input is empty, expected CSV"),
    "blank lines alone": (b"\n\r\n", "the input is empty: expected a line with the names of its columns"),
    "latin-1 in a cell": ("url\nä\n".encode("latin-1"), f"line 2 of the input {ENCODING}"),
    "latin-1 in another column's cell": ("url,x\na,ä\n".encode("latin-1"), f"line 2 of the input {ENCODING}"),
    "latin-1 far behind": (b"url\n" + b"a\n" * 99_999 + b"\xe4\n", f"line 100001 of the input {ENCODING}"),
    "latin-1 in the header": ("ürl,url\na,b\n".encode("latin-1"), f"line 1 of the input {ENCODING}"),
    "UTF-16 cut off": ("url\na\n".encode("utf-16")[:-1], "the input is not utf-16"),
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
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", ENCODING),
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


@pytest.mark.parametrize(
    "cell", [b"x" * 200, b'"' + b"x\n" * 100 + b'"', b'"' + b"x\n" * 100], ids=["long", "lines", "open"]
)
async def test_cell_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: bytes) -> None:
    monkeypatch.setattr(csv_rows, "LINE_LIMIT", 150)
    assert len(await items_of(scan(tmp_path, b"url\n" + b"x" * 150 + b"\n"), "url")) == 1
    with pytest.raises(
        BadRequestError, match=r"line 3 of the input cannot be read: .* or a quote that is never closed"
    ):
        await items_of(scan(tmp_path, b"url\na\n" + cell + b"\nb\n"), "url")


DIALECTS: dict[str, tuple[bytes, Dialect, list[str]]] = {
    "semicolons": (b"url;n\na;1\nb;2,5\n", Dialect(), ["a", "b"]),
    "pipes": (b"url|n\na|1\n", Dialect(), ["a"]),
    "tabs": (b"url\tn\na\t1\n", Dialect(), ["a"]),
    "spaces": (b"url n\na 1\n", Dialect(delimiter=" "), ["a"]),
    "a delimiter of several bytes": ("url§n\na§1\n".encode(), Dialect(delimiter="§"), ["a"]),
    "quoted semicolons": (b'url;n\n"a;b";1\n', Dialect(), ["a;b"]),
    "semicolons in a named column": (b"url\na;b\n", Dialect(), ["a;b"]),
    "commas in a file of semicolons": (b"url;n\na,b;1\n", Dialect(delimiter=";"), ["a,b"]),
    "apostrophes": (b"url,n\n'a,b',1\n", Dialect(quote="'"), ["a,b"]),
    "no quotes": (b'url,n\n"a,1\n', Dialect(quote=""), ['"a']),
    "backslashes": (b'url,n\n"say \\"hi\\"",1\n', Dialect(escape="\\"), ['say "hi"']),
    "backslashes and doubled quotes": (b'url,n\n"a\\"b""c",1\n', Dialect(escape="\\"), ['a"b"c']),
    "names": (b"a,1\nb,2\n", Dialect(header=["url", "n"]), ["a", "b"]),
    "names in place of others": (b"x,x\na,1\n", Dialect(header=["url", "n"], skip=1), ["a"]),
    "lines before the header": (b"# of today\n\nurl,n\na,1\n", Dialect(skip=2), ["a"]),
    "latin-1": ("url;größe\nä;1\n".encode("latin-1"), Dialect(encoding="latin-1"), ["ä"]),
    "windows-1252": ("url\n€\n".encode("windows-1252"), Dialect(encoding="windows-1252"), ["€"]),
    "UTF-16 without a mark": ("url\nä\n".encode("utf-16-le"), Dialect(encoding="utf-16-le"), ["ä"]),
}


@pytest.mark.parametrize(("body", "dialect", "expected"), DIALECTS.values(), ids=DIALECTS)
async def test_dialect_is_taken(tmp_path: Path, body: bytes, dialect: Dialect, expected: list[str]) -> None:
    assert await items_of(scan(tmp_path, body, dialect=dialect), "url") == list(enumerate(expected))


async def test_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    rows = scan(tmp_path, b"a,1\nb,2\n", dialect=Dialect(header=False))
    assert rows.empty.columns == ["column_1", "column_2"]
    assert await items_of(rows, "column_2") == [(0, "1"), (1, "2")]


@pytest.mark.parametrize(
    "body",
    [b"a;b\n1;2\n3\n", b"a|b;c\n1|2;3\n", b"a;b\n1\n2\n"],
    ids=["rows that differ", "two delimiters", "rows without it"],
)
def test_delimiter_that_is_not_certain_is_asked_for(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        scan(tmp_path, body)
    first, second, *_ = body.decode().splitlines()
    assert f"its first lines are {first!r} and {second!r}: expected delimiter, for example" in str(caught.value)


def test_column_with_a_delimiter_in_its_name_is_one_where_it_is_named(tmp_path: Path) -> None:
    assert scan(tmp_path, b"a;b\n1\n2\n", column="a;b").empty.columns == ["a;b"]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5),
    delimiter=st.sampled_from([",", ";", "\t", "|", " ", "§"]),
    quote=st.sampled_from(['"', "'"]),
    encoding=st.sampled_from(ENCODINGS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
async def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    delimiter: str,
    quote: str,
    encoding: str,
    end: str,
) -> None:
    text = io.StringIO(newline="")
    # The writer quotes only the ends of lines that it writes itself.
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator=end, quoting=quoting).writerows(
        [["url", "n"], *rows]
    )
    dialect = Dialect(delimiter, quote, encoding=encoding)
    opened = scan(tmp_path_factory.mktemp("csv"), text.getvalue().encode(encoding), dialect=dialect)
    frames = [opened.empty, *opened.frames]
    assert pl.concat(frames).rows() == [tuple(cell or None for cell in row) for row in rows]


@pytest.mark.parametrize(
    ("header", "wanted", "expected"),
    [
        (b"id,url,x", None, "url"),
        (b"only", None, "only"),
        (b"id,url", "id", "id"),
        (b"id,item text", "item text", "item text"),
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
async def test_indices_are_continuous_across_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(csv_rows, "PIECE_CELLS", 30_000)
    cells = [f"https://example.org/{i}/{'x' * (i % 97)}" for i in range(40_000)]
    rows = scan(tmp_path, pack(b"id,url\n" + b"".join(b"%d,%s\n" % (i, cell.encode()) for i, cell in enumerate(cells))))
    frames = [frame async for frame in read_items(rows, "url")]
    assert len(frames) > 1
    assert pl.concat(frame[INDEX] for frame in frames).to_list() == list(range(40_000))
    assert pl.concat(frame[ITEM] for frame in frames).to_list() == cells


@pytest.mark.parametrize(
    ("body", "is_read_here"),
    [
        (b"url\na\n", True),
        (b"url\n" + b"a" * (SMALL - 4), True),
        (b"url\n" + b"a" * (SMALL - 3), False),
        (gzip.compress(b"url\na\n"), False),
    ],
    ids=["small", "just small", "large", "packed"],
)
def test_only_a_small_plain_file_is_read_in_the_process_of_the_function(
    tmp_path: Path, body: bytes, *, is_read_here: bool
) -> None:
    (tmp_path / "input").write_bytes(body)
    assert is_small(Source("csv", str(tmp_path / "input"), 1)) == is_read_here
    assert not is_small(Source("ndjson", str(tmp_path / "input"), 1))
