"""The rows, and the files that hold them."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

NESTED = "tags"
ROWS_AT_ONCE = 50_000
TEXT_ONLY = frozenset({"csv", "tsv"})
PACKERS = {"": None, "gz": gzip.open, "zst": zstd.open}
# Values that are hard for a format or its reader, in turn.
_NOTES = ["plain", 'a "quoted", word', "two\nlines", "ä ö ü € 🦉", "tab\there", None, "=1+1", "  spaces  "]


@dataclass(frozen=True)
class Form:
    """A format and how it is packed, '' for not at all."""

    format: str
    packing: str = ""

    @property
    def name(self) -> str:
        """The end of a file's name, from which the pipeline knows the form."""
        return f"{self.format}.{self.packing}" if self.packing else self.format


FORMS = (Form("csv"), Form("tsv", "zst"), Form("parquet"), Form("ndjson", "gz"), Form("json"))


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


def as_stored(rows: pl.DataFrame, form: Form) -> pl.DataFrame:
    """Return the rows with the types that the format can hold; lists are JSON text where it has none for them."""
    if form.format == "parquet":
        return rows
    nested = pl.format('["{}","{}"]', pl.col(NESTED).list.get(0), pl.col(NESTED).list.get(1))
    stored = rows.with_columns(nested.alias(NESTED), pl.col("taken").cast(pl.String))
    return stored.with_columns(pl.all().cast(pl.String)) if form.format in TEXT_ONLY else stored


def write_rows(rows: pl.DataFrame, form: Form, path: Path) -> None:
    """Write them as a file of this form, packed if it is."""
    plain = path.with_suffix(".plain") if form.packing else path
    if form.format == "parquet":
        rows.write_parquet(plain)
    elif form.format in TEXT_ONLY:
        as_stored(rows, form).write_csv(plain, separator="\t" if form.format == "tsv" else ",")
    elif form.format == "ndjson":
        rows.write_ndjson(plain)
    else:
        _write_array(rows, plain)
    packer = PACKERS[form.packing]
    if packer is not None:
        with plain.open("rb") as source, packer(path, "wb") as target:
            shutil.copyfileobj(source, target)
        plain.unlink()


def _write_array(rows: pl.DataFrame, path: Path) -> None:
    with path.open("w") as file:
        separator = "["
        for part in rows.iter_slices(ROWS_AT_ONCE):
            file.write(separator + part.write_ndjson().rstrip("\n").replace("\n", ",\n"))
            separator = ",\n"
        file.write("]\n" if separator != "[" else "[]\n")
