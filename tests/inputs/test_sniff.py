"""A file of another format than expected: the error names its format."""

import gzip
import io
import re
import zipfile
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.errors import BadRequestError
from pipeline.inputs.sniff import check_kind
from pipeline.spec.input_format import FORMATS, Format
from tests.rigs.csv_items import scan
from tests.rigs.typed_inputs import open_body, parquet, read

LINES = b'{"url": "a"}\n{"url": "b"}\n'
PRETTY = b'\xef\xbb\xbf[\n  {\n    "url": "a"\n  }\n]\n'
PARQUET = parquet(pl.DataFrame({"url": ["a"]}))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("xl/workbook.xml"), "<workbook/>")
    return buffer.getvalue()


OTHER_FORMATS: dict[str, tuple[bytes, set[Format], str]] = {
    "lines of JSON": (LINES, {"ndjson"}, "it is JSON: format ndjson reads an object a line"),
    "an array of JSON": (PRETTY, {"json"}, "it is an array of JSON: format json reads it"),
    "empty objects": (b"{}\n", {"ndjson"}, "it is JSON: format ndjson reads an object a line"),
    "Parquet": (PARQUET, {"parquet"}, "it is Parquet: format parquet reads it"),
    "a workbook": (zipped(), set(), "it is a ZIP file, as .xlsx is: save it as one plain file"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1", set(), "it is a file of Excel: save it as CSV"),
    "xz": (b"\xfd7zXZ\x00\x00", set(), "it is packed with xz or bzip2: pack it with gzip or zstd, or not at all"),
    "bzip2": (b"BZh91AY&SY", set(), "it is packed with xz or bzip2: pack it with gzip or zstd, or not at all"),
}


async def _open(folder: Path, body: bytes, form: Format) -> None:
    if form in {"csv", "tsv"}:
        scan(folder, body, form)
    else:
        await open_body(folder, body, form)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", OTHER_FORMATS)
async def test_file_of_another_format_is_recognized(tmp_path: Path, name: str, form: Format) -> None:
    body, formats, message = OTHER_FORMATS[name]
    (tmp_path / "input").write_bytes(body)
    if form in formats:
        check_kind(tmp_path / "input", form)
        return
    with pytest.raises(BadRequestError, match=re.escape(message)):
        await _open(tmp_path, body, form)


async def test_compressed_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="Parquet packs its columns itself, so unpack it"):
        await open_body(tmp_path, gzip.compress(PARQUET, mtime=0), "parquet")


@pytest.mark.parametrize(
    "body", [b"PAR1,PAR2\n", b"BZh,b\n", b"[id],[name]\n", b'"{""a"": 1}"\n', b"{\n", b"[\n", b"PK\n"]
)
def test_column_names_like_magic_bytes_are_names(tmp_path: Path, body: bytes) -> None:
    assert scan(tmp_path, body, column=body.decode().strip()).empty.width


async def test_unreadable_column_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "intervals.parquet"
    duckdb.sql(f"COPY (SELECT 'a' AS url, INTERVAL 1 DAY AS age) TO '{path}' (FORMAT parquet)")
    with pytest.raises(BadRequestError, match=r"a type that cannot be read, \w*interval: leave it out, or cast it"):
        await read(tmp_path, path.read_bytes())
