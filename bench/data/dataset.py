"""Rows with values that are hard for a format or its reader, and the inputs that hold them."""

import gzip
import io
from collections.abc import Callable

import polars as pl
from backports import zstd

NESTED = "tags"
TEXT_ONLY = frozenset({"csv", "tsv"})
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda body: gzip.compress(body, 6, mtime=0),
    ".zst": zstd.compress,
}
_NOTES = ["plain", 'a "quoted", word', "two\nlines", "ä ö ü € 🦉", "tab\there", None, "=1+1", "  spaces  "]


def make_rows(count: int) -> pl.DataFrame:
    """Make rows with an integer, texts, a fraction, a truth value, a date and a list; every eighth note is missing."""
    number = pl.int_range(count, dtype=pl.Int64, eager=True)
    return pl.DataFrame({"id": number}).with_columns(
        url=pl.format("https://upload.example.org/pictures/{}.jpg", "id"),
        size=pl.col("id") / 8,
        colour=pl.col("id") % 2 == 0,
        taken=pl.date(2020, 1, 1) + pl.duration(days=pl.col("id") % 1000),
        note=pl.Series(_NOTES).gather(number % len(_NOTES)),
        tags=pl.concat_list(pl.format("t{}", pl.col("id") % 5), pl.lit("all")),
    )


def as_stored(rows: pl.DataFrame, form: str) -> pl.DataFrame:
    """Return the rows with the types that the format can hold; lists are JSON text where it has none for them."""
    if form == "parquet":
        return rows
    nested = pl.format('["{}","{}"]', pl.col(NESTED).list.get(0), pl.col(NESTED).list.get(1))
    stored = rows.with_columns(nested.alias(NESTED), pl.col("taken").cast(pl.String))
    return stored.with_columns(pl.all().cast(pl.String)) if form.partition(".")[0] in TEXT_ONLY else stored


def make_body(rows: pl.DataFrame, form: str) -> bytes:
    """Write rows as an input such as `csv.gz`. Parquet has one row group: a reader has to hold all of it."""
    buffer, (kind, point, packing) = io.BytesIO(), form.partition(".")
    if kind == "parquet":
        rows.write_parquet(buffer, row_group_size=rows.height)
    elif kind in TEXT_ONLY:
        as_stored(rows, kind).write_csv(buffer, separator="\t" if kind == "tsv" else ",")
    else:
        rows.write_ndjson(buffer)
    body = buffer.getvalue()
    if kind == "json":
        body = b"[" + body.rstrip().replace(b"\n", b",\n") + b"]"
    return PACKERS[point + packing](body)
