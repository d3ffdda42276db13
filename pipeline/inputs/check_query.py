"""The columns of a large input, from its first or last bytes: its query is held against them before it is opened."""

import asyncio
import io
import zlib
from collections.abc import Mapping

import polars as pl
from backports import zstd
from polars.exceptions import PolarsError

from pipeline.context import Context
from pipeline.inputs import s3_prefix as prefixes
from pipeline.inputs.decompress import SEPARATORS
from pipeline.inputs.parquet_rows import kept_as
from pipeline.spec.batch_spec import BatchSpec
from pipeline.sql.rewrite import check
from pipeline.store.bucket import Store
from pipeline.store.columns import table_schema
from pipeline.store.object_info import ObjectInfo
from pipeline.units import MIB

HEAD = MIB
FOOTER_LIMIT = 16 * MIB
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
# The footer's length, and the name of the format.
_END = 8


async def read_columns(context: Context, spec: BatchSpec, found: ObjectInfo) -> dict[str, pl.DataType] | None:
    """Return the columns of an input, and their types, without reading it; None where its opening is to find them.

    Raises BadRequestError when it has changed, and as the store.
    """
    address, form = spec.address.without_bucket(context.store.bucket), spec.input_format
    store = context.store.elsewhere(address.bucket)
    if address.is_prefix:
        return prefixes.SCHEMA
    if form == "parquet" and found.size > _END:
        return await _of_parquet(context, store, found)
    if form in SEPARATORS and found.size:
        head = await store.get_range(found, 0, HEAD)
        return await asyncio.to_thread(_of_lines, head, SEPARATORS[form].decode())
    return None


def _of_lines(head: bytes, separator: str) -> dict[str, pl.DataType] | None:
    try:
        plain = _unpacked(head)
        # Not a line that is cut off.
        lines = plain[: plain.rfind(b"\n") + 1]
        names = pl.scan_csv(io.BytesIO(lines), infer_schema=False, separator=separator).collect_schema().names()
    except (zlib.error, zstd.ZstdError, PolarsError):
        return None
    return dict.fromkeys(names, pl.String())


def _unpacked(head: bytes) -> bytes:
    """Return at most so many bytes as a head has, of what is packed in it."""
    if head.startswith(_GZIP):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    if head.startswith(_ZSTD):
        return zstd.ZstdDecompressor().decompress(head, HEAD)
    return head


async def _of_parquet(context: Context, store: Store, found: ObjectInfo) -> dict[str, pl.DataType] | None:
    end = await store.get_range(found, found.size - _END, found.size)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _PARQUET or not 0 < length <= min(FOOTER_LIMIT, found.size - _END):
        return None
    footer = await store.get_range(found, found.size - _END - length, found.size)
    columns = await context.queries.columns(_PARQUET + footer)
    return columns and {name: kept_as(name, dtype) for name, dtype in columns.items()}


async def check_query(context: Context, spec: BatchSpec, inputs: Mapping[str, pl.DataType]) -> None:
    """Raise BadRequestError unless the query can be run over results with these columns of the input.

    Raises UnavailableError where that cannot be found out.
    """
    if spec.sql is not None:
        columns = table_schema(inputs)
        await context.queries.plan(check(spec.sql, list(columns)), columns)
