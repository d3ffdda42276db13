"""Broken and hostile inputs: at worst they end the process that reads them, and nothing else."""

import asyncio
import decimal
import gzip
import random
import signal
import struct
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs import reader
from pipeline.sandbox import parent
from pipeline.spec.input_format import Format
from pipeline.units import MIB
from tests.rigs.typed_inputs import MANY, open_body, parquet, read
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.usefixtures("watchdog")


def deep_type(levels: int) -> pl.DataType:
    dtype: pl.DataType = pl.Int64()
    for _ in range(levels):
        dtype = pl.List(dtype)
    return dtype


def footer(thrift: bytes) -> bytes:
    return b"PAR1" + thrift + struct.pack("<I", len(thrift)) + b"PAR1"


MIXED = pl.DataFrame({"n": range(500), "s": ["x", None] * 250, "l": [[1], []] * 250, "p": [{"a": 1.5}] * 500})
FINE = parquet(pl.DataFrame({"url": ["a" * 1000] * 1000}), compression="uncompressed")
TWICE = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])

REFUSED: dict[str, tuple[Format, bytes, str]] = {
    "nothing": ("parquet", b"", "the input is empty, expected Parquet"),
    "text": ("parquet", b"url\na\n" * 100, "the input cannot be read as Parquet: "),
    "packed Parquet": ("parquet", gzip.compress(FINE, mtime=0), "the input cannot be read as Parquet: "),
    "a cut file": ("parquet", FINE[:-9], "the input cannot be read as Parquet: "),
    "a file cut in its middle": (
        "parquet",
        FINE[: len(FINE) // 2] + FINE[-8:],
        "the input cannot be read as Parquet: ",
    ),
    "a file without its middle": ("parquet", FINE[:100] + FINE[-600:], "the input cannot be read as Parquet: "),
    "an encrypted footer": ("parquet", FINE[:-4] + b"PARE", "the input cannot be read as Parquet: "),
    "a footer of too many bytes": (
        "parquet",
        b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1",
        "the input cannot be read as Parquet: ",
    ),
    "a footer that tells of too much": (
        "parquet",
        footer(b"\x15\x02\x19\xfc\xff\xff\xff\xff\x0f" + b"\x48\x01a" * 10),
        "the input cannot be read as Parquet: ",
    ),
    "a footer that is nested": (
        "parquet",
        footer(b"\x1c" * 500_000),
        "the input cannot be read as Parquet: ",
    ),
    "types nested too deep": (
        "parquet",
        parquet(pl.DataFrame({"a": pl.Series([None], dtype=deep_type(40))})),
        "the column 'a' is nested too deep: expected at most 32 levels",
    ),
    "two columns of a name": ("parquet", parquet(TWICE), "the input cannot be read as Parquet: "),
    "rows without columns": ("parquet", parquet(pa.table({"a": [1, 2, 3]}).select([])), "the input has no columns"),
    "a decimal of 256 bits": (
        "parquet",
        parquet(pa.table({"a": pa.array([decimal.Decimal("1.25")], pa.decimal256(50, 2))})),
        "the column 'a' has decimals of 50 digits, expected at most 38: cast it to text",
    ),
    "objects without names": ("ndjson", b"{}\n{}", "the input has rows, and no columns"),
    "an array of empty objects": ("json", b"[{}]", "the input has rows, and no columns"),
    "no bytes of NDJSON": ("ndjson", b"", "the input is empty, expected NDJSON"),
    "no bytes of packed JSON": ("json", gzip.compress(b"", mtime=0), "the input is empty, expected JSON"),
    "a broken gzip": ("ndjson", gzip.compress(b"{}", mtime=0)[:-2], "the input cannot be read as NDJSON: its gzip is"),
    "a broken zstd": ("json", zstd.compress(b"[]")[:-2], "the input cannot be read as JSON: its zstd is broken"),
    "gzip in gzip": (
        "json",
        gzip.compress(gzip.compress(b"[]", mtime=0), mtime=0),
        "the input is packed twice: expected JSON, once packed with gzip or zstd, or plain",
    ),
    "a line that is no JSON": ("ndjson", b'{"a":1}\nurl\n', "line 2 is no JSON: "),
    "a row that is no object": ("json", b'[{"a":1}, 7]', "row 2 is no object: "),
    "a row of the wrong letters": (
        "json",
        b'[{"a":1},\n{"a":"\\ud800"}]',
        "the input cannot be read as JSON: it ends too early, or",
    ),
}


@pytest.mark.parametrize(("form", "body", "reason"), REFUSED.values(), ids=REFUSED)
async def test_unreadable_file_is_a_400(tmp_path: Path, form: Format, body: bytes, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await read(tmp_path, body, form)
    assert str(caught.value).startswith(reason)
    assert "its process" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


# One array for all columns: small to write, large to read.
WIDE = pa.table(dict.fromkeys((f"c{n}" for n in range(5000)), pa.array([None] * 500_000, pa.int8())))
# A page of a few bytes that repeats one value of a MiB many times.
REPEATED = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * MIB])})

BOMBS: dict[str, tuple[Format, Callable[[], bytes], str]] = {
    "one value again and again": (
        "parquet",
        lambda: parquet(REPEATED, use_dictionary=True, store_schema=False),
        "the input is over 16384 MiB when it is unpacked",
    ),
    "missing cells in very many columns": (
        "parquet",
        lambda: parquet(WIDE),
        "the input is over 16384 MiB when it is unpacked",
    ),
    "a row over the bound": (
        "parquet",
        lambda: parquet(pl.DataFrame({"a": ["x" * 65 * MIB]})),
        "row 1 is over 64 MiB",
    ),
    "very many names in a line": (
        "ndjson",
        lambda: b"{" + b",".join(b'"%d":1' % n for n in range(4_000_000)) + b"}",
        "the input cannot be read as NDJSON: it needs more than 768 MiB of memory",
    ),
    "very many columns": (
        "ndjson",
        lambda: b"\n".join(b'{"%d":1}' % n for n in range(16_385)),
        "the input has too many columns: expected at most 16384",
    ),
    "very many columns in very many rows": (
        "ndjson",
        lambda: b"\n".join(b'{"%d":1}' % (n % 16_000) for n in range(200_000)),
        "the input is over 16384 MiB when it is unpacked",
    ),
    "nested values that are large": (
        "ndjson",
        lambda: b'{"a":[' + b"[]," * (20 * MIB) + b"1]}",
        "the input cannot be read as NDJSON: it needs more than 768 MiB of memory",
    ),
}


@pytest.mark.attack
@pytest.mark.parametrize(("form", "make", "reason"), BOMBS.values(), ids=BOMBS)
async def test_bomb_is_a_400_within_bounded_memory(
    tmp_path: Path, form: Format, make: Callable[[], bytes], reason: str
) -> None:
    body = await asyncio.to_thread(make)
    with pytest.raises(BadRequestError) as caught:
        await open_body(tmp_path, body, form)
    assert str(caught.value).startswith(reason)


async def test_cancelled_request_kills_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Process] = []
    start = asyncio.create_subprocess_exec

    async def start_and_record(*arguments: Any, **options: Any) -> Process:
        started.append(await start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_record)
    opening = asyncio.create_task(open_body(tmp_path, b'{"a":1}\n' * 3 * MANY, "ndjson", 10 * MANY))
    await wait_until(lambda: started)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert started[0].returncode == -signal.SIGKILL


async def test_file_that_crashes_its_reader_is_a_400(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parent._ENVIRONMENT, "PYTHONHOME", "/nowhere")
    with pytest.raises(BadRequestError) as caught:
        await open_body(tmp_path, b"", "ndjson")
    assert str(caught.value) == (
        "the input cannot be read as NDJSON: its process ended with exit code 1, as one may that needs more than "
        "768 MiB of memory; one of its lines or row groups may be too large"
    )


def damaged_parquet(seed: int) -> bytes:
    """Change some bytes of a Parquet file, in its footer above all."""
    chance = random.Random(seed)
    body = bytearray(parquet(MIXED, compression=chance.choice(["uncompressed", "zstd", "gzip"])))
    footer_bytes = struct.unpack("<I", body[-8:-4])[0]
    for _ in range(chance.choice([1, 2, 20])):
        place = chance.randrange(footer_bytes if chance.random() < 0.7 else len(body) - 8)
        body[len(body) - 9 - place] = chance.choice([0, 127, 128, 255, chance.randrange(256)])
    return bytes(body)


@pytest.mark.parametrize("seed", range(12))
async def test_damaged_parquet_is_read_or_a_400(tmp_path: Path, seed: int) -> None:
    try:
        await open_body(tmp_path, damaged_parquet(seed), "parquet")
    except BadRequestError as error:
        assert "Parquet" in str(error) or "rows" in str(error)  # noqa: PT017 - it may be read as well


async def test_full_disk_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_ipc", full)
    (tmp_path / "input").write_bytes(b'{"a":1}')
    with pytest.raises(UnavailableError, match=r"^the input cannot be stored under .*: No space left on device$"):
        reader.rewrite(reader.Source("ndjson", str(tmp_path / "input"), 1))


async def test_reader_killed_from_outside_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(*_: object) -> None:
        raise parent.ChildEndedError(-signal.SIGKILL, reader.LIMITS)

    monkeypatch.setattr(reader, "call_in_child", killed)
    with pytest.raises(UnavailableError, match=r"^the process that reads the input was killed: try again"):
        await open_body(tmp_path, b"{}", "ndjson")
