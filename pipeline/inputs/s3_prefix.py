"""The objects under a prefix as rows: their addresses, keys, sizes, ETags, and when they were written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipeline.errors import BadRequestError, PipelineError
from pipeline.inputs.typed_reader import Table, piece_path, write_piece
from pipeline.spec.input_address import SCHEME, Address
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingBucketError

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import ObjectTypeDef

PAGES_A_PIECE = 16
PAGE = 1000
MOST_NEAR = 10
SCHEMA: dict[str, pl.DataType] = {
    "url": pl.String(),
    "bucket": pl.String(),
    "key": pl.String(),
    "size": pl.Int64(),
    "etag": pl.String(),
    "modified": pl.Datetime("us", "UTC"),
}


async def list_prefix(store: Store, address: Address, folder: Path, most: int) -> Table:
    """List the objects under a prefix into a folder, sorted by key; folders' own marks are left out.

    `store` is the bucket's. Raises BadRequestError for none, and for more than `most`; UnavailableError.
    """
    await asyncio.to_thread(folder.mkdir)
    rows = number = 0
    last, in_order = "", True
    async for piece in _pieces(store, address.key):
        rows += piece.height
        if rows > most:
            raise BadRequestError(f"there are more than {most} objects under {str(address)!r} (setting max_rows)")
        keys = piece.get_column("key")
        in_order = in_order and keys.is_sorted() and last < keys[0]
        last = keys[-1]
        await asyncio.to_thread(write_piece, folder, number, piece)
        number += 1
    if not rows:
        raise await nothing_there(store, address)
    if not in_order:
        # Some servers list a folder where its name would come, not its keys.
        number = await asyncio.to_thread(_sort, folder, number)
    return Table(folder, SCHEMA, frozenset(), rows)


async def look_at(store: Store, address: Address) -> bool:
    """Say whether a prefix has more objects than one page lists; raises BadRequestError for none."""
    try:
        entries = [entry async for page in store.pages(address.key, PAGE + 1) for entry in page]
    except MissingBucketError as error:
        raise _no_bucket(store, address, error) from None
    if not any(map(_is_object, entries)):
        raise await nothing_there(store, address)
    return len(entries) > PAGE


async def nothing_there(store: Store, address: Address) -> PipelineError:
    """Return the error that says what is near an address at which there is nothing."""
    named = address.key.rstrip("/")
    folder = named.rpartition("/")[0]
    try:
        # What begins alike is nearer than what is beside it.
        near = await store.list(named, limit=MOST_NEAR)
        near = near or await store.list(f"{folder}/" if folder else "", limit=MOST_NEAR)
    except MissingBucketError as error:
        return _no_bucket(store, address, error)
    there = f"there are: {', '.join(near)}" if near else "there is nothing under that prefix"
    what = "objects under" if address.is_prefix else "object"
    if not address.is_prefix and any(key.startswith(f"{address.key}/") for key in near):
        there += "; a prefix, whose objects are the items, ends in a slash"
    return BadRequestError(f"no {what} {address.key!r} in bucket {store.bucket!r}; {there}")


def _no_bucket(store: Store, address: Address, error: PipelineError) -> PipelineError:
    """Return the error for a bucket that there is not: that of the settings is no submitter's fault."""
    return error if address.bucket is None else BadRequestError(f"there is no bucket {store.bucket!r}")


async def _pieces(store: Store, prefix: str) -> AsyncIterator[pl.DataFrame]:
    pages: list[pl.DataFrame] = []
    async for page in store.pages(prefix):
        if entries := list(filter(_is_object, page)):
            pages.append(_frame(store.bucket, entries))
        if len(pages) == PAGES_A_PIECE:
            yield pl.concat(pages)
            pages.clear()
    if pages:
        yield pl.concat(pages)


def _is_object(entry: "ObjectTypeDef") -> bool:
    """Say whether this is more than the empty object by which consoles make a folder."""
    return entry["Size"] > 0 or not entry["Key"].endswith("/")


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


def _sort(folder: Path, count: int) -> int:
    """Sort the pieces of a folder by key; returns how many there are then."""
    paths = [piece_path(folder, number) for number in range(count)]
    rows = pl.concat([pl.read_ipc(path) for path in paths]).sort("key")
    pieces = list(rows.iter_slices(PAGES_A_PIECE * PAGE))
    for number, piece in enumerate(pieces):
        write_piece(folder, number, piece)
    return len(pieces)
