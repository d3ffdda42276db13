"""The same rows in every format and packing."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.spec.input_format import Format

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda body: gzip.compress(body, 6, mtime=0),
    ".zst": zstd.compress,
}


@dataclass(frozen=True)
class Case:
    """An input: its format, how it is packed, and the columns of an item, none for the cells of `url`."""

    form: Format
    packing: str = ""
    columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the case is called, and the end of its object's key."""
        return f"{self.form}{self.packing}" + " as objects" * bool(self.columns)


OBJECTS = ("id", "url", "score")
CASES = (
    *(Case(form, packing) for form in ("csv", "ndjson", "json") for packing in PACKERS),
    Case("tsv"),
    Case("parquet"),
    *(Case(form, "", OBJECTS) for form in ("csv", "parquet", "ndjson")),
)


def make_rows(count: int) -> pl.DataFrame:
    """Make rows of six columns, text, numbers, truths and gaps among them."""
    number = pl.int_range(count, eager=True).alias("id").to_frame()
    return number.select(
        "id",
        url=pl.format("https://example.org/pictures/{}.jpg", "id"),
        score=pl.col("id") * 0.37,
        title=pl.format("A picture, the {}th of its kind", pl.col("id") * 7919 % 100_003),
        fine=pl.col("id") % 3 == 0,
        note=pl.when(pl.col("id") % 4 == 0).then(pl.lit("kept for later")),
    )


def make_body(rows: pl.DataFrame, case: Case) -> bytes:
    """Write rows as a case's input. Parquet has one row group: what a reader has to hold most of."""
    buffer = io.BytesIO()
    match case.form:
        case "csv":
            rows.write_csv(buffer)
        case "tsv":
            rows.write_csv(buffer, separator="\t")
        case "parquet":
            rows.write_parquet(buffer, row_group_size=rows.height)
        case "ndjson":
            rows.write_ndjson(buffer)
        case "json":
            lines = io.BytesIO()
            rows.write_ndjson(lines)
            buffer.write(b"[" + lines.getvalue().rstrip().replace(b"\n", b",\n") + b"]")
    return PACKERS[case.packing](buffer.getvalue())
