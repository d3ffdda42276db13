"""Plan and run one query with polars: what a child process does, within limits."""

import errno
import io
import json
import os
import resource
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pipeline.errors import BadRequestError
from pipeline.units import MIB

MOST_ROWS = 1_000_000
FIRST_ROWS = 10
FIRST_COLUMNS = 50
CELL = 200
# The largest whole number that a reader of JSON with doubles, such as a browser, keeps exactly.
EXACT = 2**53
OUTPUTS = ("sql.parquet", "sql.csv", "sql.json")

TYPES: Mapping[str, pl.DataType] = {
    "Boolean": pl.Boolean(),
    "Float64": pl.Float64(),
    "Int64": pl.Int64(),
    "String": pl.String(),
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A query to plan or to run: its `text`, and types of the fields to try in order; the first that fits is taken.

    Types fit when every query of `planned` runs over one row of nulls. `names` are the columns of the answer. To plan,
    `columns` is an empty table as IPC; to run, `pieces` are Parquet files and `into` is the folder of the answer.
    """

    text: str
    planned: list[str]
    names: list[str]
    types: list[dict[str, str]]
    columns: bytes = b""
    pieces: list[str] = []
    into: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a query: the number of its rows, at most 50 columns, its first 10 rows at most, or its error."""

    rows: int = 0
    columns: list[str] = []
    first: list[list[Any]] = []
    error: str | None = None


def read_columns(parquet: bytes) -> bytes:
    """Return the columns of a Parquet file without its rows, as an empty table of IPC; raises as polars."""
    return pl.DataFrame(schema=pl.read_parquet_schema(io.BytesIO(parquet))).write_ipc(None).getvalue()


def answer_order(order: Order) -> Answer:
    """Plan the query, and run it unless the order has `columns`; raises BadRequestError for any error of polars."""
    try:
        return plan_query(order) if order.columns else run_query(order)
    except MemoryError:
        raise
    except BaseException as error:  # a panic of polars is no Exception
        raise BadRequestError(_explain(error)) from error


def plan_query(order: Order) -> Answer:
    """Plan the query over the order's columns; raises as polars."""
    _choose_types(order, pl.read_ipc(order.columns).schema)
    return Answer()


def run_query(order: Order) -> Answer:
    """Run the query over the order's pieces, and write OUTPUTS to its folder; raises as polars."""
    types = _choose_types(order, pl.scan_parquet(order.pieces, glob=False).collect_schema())
    frame = _query(order.text, _typed(pl.scan_parquet(order.pieces, glob=False), types))
    parquet, csv, whole = (Path(order.into) / name for name in OUTPUTS)
    frame.limit(MOST_ROWS + 1).sink_parquet(parquet, maintain_order=True, engine="streaming")
    written = pl.scan_parquet(parquet, glob=False)
    rows = int(written.select(pl.len()).collect().item())
    if rows > MOST_ROWS:
        return Answer(error=f"the answer has more than {MOST_ROWS} rows: expected LIMIT, or GROUP BY")
    written.with_columns(_as_cells(written.collect_schema())).sink_csv(csv, maintain_order=True, engine="streaming")
    _write_array(written, whole)
    columns = written.collect_schema().names()
    shown = written.head(FIRST_ROWS).select(pl.nth(range(min(len(columns), FIRST_COLUMNS)))).collect()
    return Answer(rows, [name[:CELL] for name in columns[:FIRST_COLUMNS]], [*_first(shown)])


def _choose_types(order: Order, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Return the first types of the fields with which the query can be planned; raises the first error if none fit."""
    first_error: Exception | None = None
    for types in order.types:
        try:
            _plan(order, {name: TYPES[types[name]] if name in types else dtype for name, dtype in schema.items()})
        except Exception as error:  # noqa: BLE001  # after any error other types may fit
            first_error = first_error or error
        else:
            return types
    raise first_error or ValueError("there are no types to try")


def _plan(order: Order, schema: Mapping[str, pl.DataType]) -> None:
    row = pl.DataFrame({name: [None] for name in schema}, schema=schema).lazy()
    for text in order.planned:
        _query(text, row).collect()
    names = _query(order.text, row).collect_schema().names()
    unique = len(set(order.names)) == len(order.names)
    if len(names) != len(order.names) or (unique and names != order.names):
        raise ValueError(f"polars returns other columns than the query names: {', '.join(names)[:200]}")


def _query(text: str, table: pl.LazyFrame) -> pl.LazyFrame:
    return pl.SQLContext(results=table).execute(text)


def _typed(table: pl.LazyFrame, types: Mapping[str, str]) -> pl.LazyFrame:
    return table.with_columns(
        pl.col(name) == "true" if kind == "Boolean" else pl.col(name).cast(TYPES[kind]) for name, kind in types.items()
    )


def _as_cells(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Return expressions that turn the types which CSV lacks into text."""
    kinds = enumerate(schema.values())
    nested = [pl.nth(place).map_batches(_as_json, pl.String()) for place, dtype in kinds if dtype.is_nested()]
    return [*_as_texts(schema), *nested]


def _as_texts(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Return expressions that turn the types which JSON lacks into text; by place, since a name may be a pattern."""
    kinds = list(enumerate(schema.values()))
    binary = [pl.nth(place).bin.encode("base64") for place, dtype in kinds if dtype == pl.Binary()]
    return [
        *binary,
        *(pl.nth(place).dt.to_string("iso") for place, dtype in kinds if isinstance(dtype, pl.Duration)),
    ]


def _as_json(values: pl.Series) -> pl.Series:
    lines = values.to_frame("value").write_ndjson().splitlines()
    return pl.Series(values.name, [line[len('{"value":') : -1] for line in lines], dtype=pl.String)


def _write_array(table: pl.LazyFrame, path: Path) -> None:
    """Write the rows as one JSON array of objects, a batch of rows at a time."""
    plain = table.with_columns(_as_texts(table.collect_schema()))
    with path.open("w") as file:
        separator = "[\n"
        for frame in plain.collect_batches(maintain_order=True):
            lines = frame.write_ndjson().rstrip("\n")
            if lines:
                file.write(separator + lines.replace("\n", ",\n"))
                separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _first(frame: pl.DataFrame) -> Iterator[list[Any]]:
    for row in json.loads(frame.with_columns(_as_cells(frame.schema)).write_json()):
        yield [_cell(value) for value in islice(row.values(), FIRST_COLUMNS)]


def _cell(value: Any) -> Any:
    """Return a value for the status: a number that a double would round as text, and a long text cut."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    return value[: CELL - 1] + "…" if isinstance(value, str) and len(value) > CELL else value


def _explain(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0][:500]
    if os.strerror(errno.EFBIG) in text:
        return f"the answer has more than {resource.getrlimit(resource.RLIMIT_FSIZE)[0] // MIB} MiB"
    if "maximum length reached" in text:
        return "it makes more than 4,294,967,295 rows on the way to its answer"
    return text or type(error).__name__
