"""Read the columns of a large input from its first or last bytes, to check its query before the input is opened."""

import asyncio
import io
import zlib

import polars as pl
from backports import zstd
from polars.exceptions import PolarsError

from pipeline.capacity import ANYBODY, Caller
from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.inputs import s3_prefix
from pipeline.inputs.csv_rows import CsvRows
from pipeline.inputs.parquet_rows import stored_type
from pipeline.inputs.text_encoding import detect_encoding
from pipeline.sandbox.parent import call_in_child
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.input_format import DELIMITERS
from pipeline.sql.runner import CHECK
from pipeline.store.bucket import Store
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

HEAD = MIB
FOOTER_LIMIT = 16 * MIB
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
# The length of the footer, and the name of the format.
_TRAILER = 8


async def peek_columns(
    context: Context, spec: BatchSpec, info: ObjectInfo, caller: Caller = ANYBODY
) -> dict[str, pl.DataType] | None:
    """Return the columns of an input with their types; None when only opening the input can tell them.

    Raises BadRequestError when the object has changed, and as the store.
    """
    address, form = spec.address.without_bucket(context.store.bucket), spec.input_format
    store = context.store.elsewhere(address.bucket)
    if address.is_prefix:
        return s3_prefix.SCHEMA
    if form == "parquet" and info.size > _TRAILER:
        return await _peek_parquet(context, store, info, caller)
    if form in DELIMITERS and info.size:
        head = await store.get_range(info, 0, HEAD)
        return await asyncio.to_thread(_peek_csv, head, spec)
    return None


def _peek_csv(head: bytes, spec: BatchSpec) -> dict[str, pl.DataType] | None:
    try:
        plain = _unpack(head)
        encoding = detect_encoding(plain) if spec.encoding == "auto" else spec.encoding
        # Without the last line, which may be cut off.
        text, _, _ = plain.decode(encoding, errors="ignore").removeprefix("\ufeff").rpartition("\n")
        usual, column = DELIMITERS[spec.input_format], spec.column or ""
        rows = CsvRows.open(lambda: io.StringIO(text, newline=""), spec.dialect, usual, column)
    except (zlib.error, zstd.ZstdError, BadRequestError):
        return None
    return dict.fromkeys(rows.columns, pl.String())


def _unpack(head: bytes) -> bytes:
    """Return the plain bytes of a head, at most HEAD of them."""
    if head.startswith(_GZIP):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    if head.startswith(_ZSTD):
        return zstd.ZstdDecompressor().decompress(head, HEAD)
    return head


async def _peek_parquet(
    context: Context, store: Store, info: ObjectInfo, caller: Caller
) -> dict[str, pl.DataType] | None:
    trailer = await store.get_range(info, info.size - _TRAILER, info.size)
    length = int.from_bytes(trailer[:4], "little")
    if trailer[4:] != _PARQUET or not 0 < length <= min(FOOTER_LIMIT, info.size - _TRAILER):
        return None
    footer = await store.get_range(info, info.size - _TRAILER - length, info.size)
    try:
        async with context.queries.checking.part(1, caller):
            empty = await call_in_child(read_columns, _PARQUET + footer, CHECK)
    except (BadRequestError, TimeoutError):
        return None
    schema = (await asyncio.to_thread(pl.read_ipc, empty)).schema
    return {name: stored_type(name, dtype) for name, dtype in schema.items()}


def read_columns(parquet: bytes) -> bytes:
    """Return the columns of a Parquet file without its rows, as an empty table of IPC. The child process calls this."""
    try:
        return pl.DataFrame(schema=pl.read_parquet_schema(io.BytesIO(parquet))).write_ipc(None).getvalue()
    except PolarsError as error:
        raise BadRequestError(str(error)) from error
