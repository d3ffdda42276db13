"""List the objects under a prefix as rows: their addresses, keys, sizes in bytes, ETags and times of writing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipeline.errors import BadRequestError
from pipeline.inputs.find_input import is_object, no_input
from pipeline.inputs.reader import Table, piece_path, write_piece
from pipeline.spec.input_address import SCHEME, Address
from pipeline.store.bucket import Store

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import ObjectTypeDef

PAGES_A_PIECE = 16
SORTED_PIECE_ROWS = 16_000
SCHEMA: dict[str, pl.DataType] = {
    "url": pl.String(),
    "bucket": pl.String(),
    "key": pl.String(),
    "size": pl.Int64(),
    "etag": pl.String(),
    "modified": pl.Datetime("us", "UTC"),
}


async def list_prefix(store: Store, address: Address, folder: Path, max_rows: int) -> Table:
    """List the objects under a prefix into a folder, sorted by key, without the marks of folders.

    `store` is that of the address's bucket. Raises BadRequestError for no object, and for more than `max_rows`, and as
    the store.
    """
    await asyncio.to_thread(folder.mkdir)
    rows = number = 0
    last_key, is_sorted = "", True
    async for piece in _pieces(store, address.key):
        rows += piece.height
        if rows > max_rows:
            raise BadRequestError(f"there are more than {max_rows} objects under {str(address)!r} (setting max_rows)")
        keys = piece.get_column("key")
        is_sorted = is_sorted and keys.is_sorted() and last_key < keys[0]
        last_key = keys[-1]
        await asyncio.to_thread(write_piece, folder, number, piece)
        number += 1
    if not rows:
        raise await no_input(store, address)
    if not is_sorted:
        # Some servers list a folder at the place of its name, not of its keys.
        await asyncio.to_thread(_sort, folder, number)
    return Table(folder, SCHEMA, frozenset(), rows)


async def _pieces(store: Store, prefix: str) -> AsyncIterator[pl.DataFrame]:
    pages: list[pl.DataFrame] = []
    async for page in store.pages(prefix):
        if entries := list(filter(is_object, page)):
            pages.append(_frame(store.bucket, entries))
        if len(pages) == PAGES_A_PIECE:
            yield pl.concat(pages)
            pages.clear()
    if pages:
        yield pl.concat(pages)


def _frame(bucket: str, entries: "list[ObjectTypeDef]") -> pl.DataFrame:
    columns = {
        "url": [f"{SCHEME}{bucket}/{entry['Key']}" for entry in entries],
        "bucket": [bucket] * len(entries),
        "key": [entry["Key"] for entry in entries],
        "size": [entry["Size"] for entry in entries],
        "etag": [entry["ETag"].strip('"') for entry in entries],
        "modified": [entry["LastModified"] for entry in entries],
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def _sort(folder: Path, count: int) -> None:
    """Sort the rows of `count` pieces by key, and write them as pieces again."""
    paths = [piece_path(folder, number) for number in range(count)]
    rows = pl.concat([pl.read_ipc(path) for path in paths]).sort("key")
    for number, piece in enumerate(rows.iter_slices(SORTED_PIECE_ROWS)):
        write_piece(folder, number, piece)
