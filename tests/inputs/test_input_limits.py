"""Limits of an input: one that exceeds them is refused before it is read into memory."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs import csv_rows, decompress, items, limits
from pipeline.inputs.decompress import unpack
from pipeline.inputs.limits import MOST_COLUMNS, PIECE_CELLS
from pipeline.units import MIB
from tests.rigs.csv_items import read_items, scan

PACKERS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd.compress}


def write(folder: Path, body: bytes) -> Path:
    path = folder / "input"
    path.write_bytes(body)
    return path


async def count(folder: Path, body: bytes, most: int = 1_000_000) -> int:
    return sum([frame.height async for frame in read_items(scan(folder, body, most=most), "url", most)])


def test_limits_are_the_documented_ones() -> None:
    assert (limits.UNPACKED_LIMIT, limits.LINE_LIMIT) == (16 * 1024 * MIB, 64 * MIB)
    assert (limits.CELL_LIMIT, limits.BLANK_LIMIT) == (16 * MIB, 10_000_000)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
async def test_input_with_more_rows_than_max_rows_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    body = pack(b"url\na\n\nb\n\n\nc\n")
    assert await count(tmp_path, body, most=3) == 3
    with pytest.raises(BadRequestError, match=r"^the input has more than 2 rows \(setting max_rows\)$"):
        await count(tmp_path, body, most=2)


async def test_rows_are_counted_across_frames(tmp_path: Path) -> None:
    body = b"url\n" + b"a\n" * 300_000
    assert await count(tmp_path, body, most=300_000) == 300_000
    with pytest.raises(BadRequestError, match="more than 299999 rows"):
        await count(tmp_path, body, most=299_999)


async def test_too_many_blank_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "BLANK_LIMIT", 1000)
    assert await count(tmp_path, b"url\na\n" + b"\n" * 1000) == 1
    with pytest.raises(BadRequestError, match=r"^the input has more than 1000 blank lines$"):
        await count(tmp_path, b"url\na\n" + b"\n" * 1001)


@pytest.mark.parametrize("before", [0, 1, 40_000])
async def test_cell_over_the_limit_is_refused_by_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(items, "CELL_LIMIT", 10_000)
    body = b"url,x\n" + b"a,1\n" * before + "ä".encode() * 5000 + b",1\nb," + b"x" * 20_000 + b"\n"
    assert await count(tmp_path, body) == before + 2
    with pytest.raises(BadRequestError, match=rf"^the cell of row {before + 1} is over 0 MiB$"):
        await count(tmp_path, body.replace(b",1\nb", b"+,1\nb"))


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_file_that_decompresses_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(decompress, "UNPACKED_LIMIT", 3 * MIB)
    line = b"x" * 1023 + b"\n"
    assert unpack(write(tmp_path, pack(line * 3072)), "csv").stat().st_size == 3 * MIB
    with pytest.raises(BadRequestError, match=r"^the input is over 3 MiB when it is unpacked$"):
        unpack(write(tmp_path, pack(line * 30_000)), "csv")
    assert sum(path.stat().st_size for path in tmp_path.glob("*.csv")) <= 3 * MIB


BOMB = """
import resource, sys
from pathlib import Path
from pipeline.errors import BadRequestError
from pipeline.inputs import decompress
decompress.UNPACKED_LIMIT = 256 * decompress.MIB
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decompress.unpack(Path(sys.argv[1]), "csv")
except BadRequestError as error:
    unit = 1 if sys.platform == "darwin" else 1024
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit, error)
"""


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_compression_bomb_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "input"
    with gzip.open(path, "wb", 1) if name == "gzip" else zstd.open(path, "wb") as file:
        for _ in range(300):
            file.write(b"a\n" * (MIB // 2))
    environment = {**os.environ, "PYTHONPATH": str(Path(decompress.__file__).parents[2])}
    told = subprocess.run([sys.executable, "-c", BOMB, path], env=environment, capture_output=True, check=True)
    grown, _, reason = told.stdout.decode().strip().partition(" ")
    assert reason == "the input is over 256 MiB when it is unpacked"
    assert int(grown) < 64 * MIB


HEADERS: dict[str, tuple[bytes, bool]] = {
    "the most columns": (",".join(map(str, range(MOST_COLUMNS))).encode(), True),
    "one more column": (",".join(map(str, range(MOST_COLUMNS + 1))).encode(), False),
    "columns after blank lines": (b"\n\r\n\n" + b"," * MOST_COLUMNS + b"\n", False),
    "few columns, many cells": (b"a,b\n" + b"1,2\n" * MOST_COLUMNS, True),
    "a long name": (b"x" * MIB + b"\n", True),
    "a longer name": (b"x" * (MIB + 1) + b"\n", False),
    "many blank lines first": (b"\n" * MIB + b"url\na\n", True),
}


@pytest.mark.parametrize(("body", "taken"), HEADERS.values(), ids=HEADERS)
def test_header_size_is_limited(tmp_path: Path, body: bytes, *, taken: bool) -> None:
    if taken:
        assert scan(tmp_path, body).empty.width
        return
    with pytest.raises(BadRequestError, match=r"^the input's header is too large: expected at most 16384 columns"):
        scan(tmp_path, body)


def test_frames_of_many_columns_are_short(tmp_path: Path) -> None:
    columns = 2000
    header = b",".join(b"c%d" % number for number in range(columns)) + b"\n"
    frames = list(scan(tmp_path, header + b"a\n" * 3000).frames)
    assert [frame.height for frame in frames] == [PIECE_CELLS // columns, PIECE_CELLS // columns, 904]


def test_full_disk_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = write(tmp_path, gzip.compress(b"url\n"))
    monkeypatch.setattr(decompress, "_packing", lambda _: b"\x1f\x8b")
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UnavailableError, match=r"^the input cannot be unpacked under .*: No space left on device$"):
        unpack(path, "csv")
