"""Make the items of a batch out of its columns: a cell as it is, its JSON text, or an object of several."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import orjson
import polars as pl

from pipeline.errors import BadRequestError
from pipeline.store.columns import INDEX, ITEM, TASK
from pipeline.store.text_formats import encodable_in_json
from pipeline.units import MIB

PREFERRED_COLUMN = "url"
_SEPARATORS = ",;\t|"
_SHOWN_COLUMNS = 50
_SHOWN_LETTERS = 100
CELL_LIMIT = 16 * MIB


def check_names(names: Sequence[str]) -> None:
    """Raise BadRequestError for a column with one of the pipeline's own names."""
    if {TASK, INDEX, ITEM} & set(names):
        raise BadRequestError(f"the columns {TASK}, {INDEX} and {ITEM} are the pipeline's own: rename them")


def choose_column(names: Sequence[str], wanted: str | None) -> str:
    """Return the column whose cells are the items; raises BadRequestError listing the columns there are."""
    if wanted is None and PREFERRED_COLUMN in names:
        return PREFERRED_COLUMN
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    asked = (
        f"there is no column {wanted!r}" if wanted else f"name the column, there is none called {PREFERRED_COLUMN!r}"
    )
    raise BadRequestError(f"{asked}; the columns are: {_listed(names)}")


def check_split(names: Sequence[str], separator: str) -> None:
    """Raise BadRequestError for a single column whose name looks like several that another separator divides."""
    other = next((each for each in _SEPARATORS if each != separator and each in names[0]), None)
    if len(names) == 1 and other:
        raise BadRequestError(
            f"the only column is {names[0][:_SHOWN_LETTERS]!r}: if {other!r} divides the cells, write {separator!r} in "
            "its place or give the format, csv or tsv; else name it as column"
        )


def check_columns(schema: Mapping[str, pl.DataType], wanted: Sequence[str]) -> None:
    """Raise BadRequestError for a column that there is not, or whose cells cannot stand in JSON."""
    for name in wanted:
        if name not in schema:
            raise BadRequestError(f"there is no column {name!r}; the columns are: {_listed(list(schema))}")
        if _has_bytes(schema[name]):
            raise BadRequestError(
                f"the column {name!r} holds bytes, which no item can: expected text, or other columns; what Parquet "
                "calls JSON or UUID is bytes too, so cast it to text there"
            )


def as_text(frame: pl.DataFrame, column: str, missing: str | None = None) -> pl.DataFrame:
    """Let a column of text be the items, at its place, with `missing` for a missing cell.

    It has a name of our own then, since polars reads some names as patterns.
    """
    renamed = frame.rename({column: ITEM})
    return renamed if missing is None else renamed.with_columns(pl.col(ITEM).fill_null(missing))


def as_json(frame: pl.DataFrame, column: str, json_columns: AbstractSet[str]) -> pl.Series:
    """Return the cells of a column as JSON text, null for a missing one too; what is JSON text already stays so."""
    cells = frame.get_column(column)
    if column not in json_columns:
        objects = pl.DataFrame({"": encodable_in_json(cells)}).select(pl.struct("").struct.json_encode()).to_series()
        cells = objects.str.strip_prefix('{"":').str.strip_suffix("}")
    return cells.fill_null("null").alias(ITEM)


def as_objects(frame: pl.DataFrame, columns: Sequence[str], json_columns: AbstractSet[str]) -> pl.Series:
    """Return one JSON object a row, of these columns."""
    texts = [as_json(frame, column, json_columns).alias(str(place)) for place, column in enumerate(columns)]
    parts: list[pl.Expr] = []
    for place, column in enumerate(columns):
        name = ("," if place else "{") + orjson.dumps(column).decode() + ":"
        parts += [pl.lit(name), pl.col(str(place))]
    return pl.DataFrame(texts).select(pl.concat_str(*parts, pl.lit("}")).alias(ITEM)).to_series()


async def numbered(
    frames: AsyncIterator[pl.DataFrame], make_items: Callable[[pl.DataFrame], pl.DataFrame], most: int
) -> AsyncIterator[pl.DataFrame]:
    """Yield frames with their items and their index from 0.

    Raises BadRequestError for more than `most` rows, and for an item over 16 MiB.
    """
    index = 0
    async for rows in frames:
        if index + rows.height > most:
            raise BadRequestError(f"the input has more than {most} rows (setting max_rows)")
        frame = await asyncio.to_thread(make_items, rows)
        _check_items(frame.get_column(ITEM), index)
        yield frame.with_columns(pl.int_range(index, index + frame.height, dtype=pl.Int64, eager=True).alias(INDEX))
        index += frame.height


def _check_items(items: pl.Series, index: int) -> None:
    """Raise BadRequestError for an item that is no body of a call; `index` is that of the first one's row."""
    large = (items.str.len_bytes() > CELL_LIMIT).arg_true()
    if large.len():
        raise BadRequestError(f"the cell of row {index + large[0] + 1} is over {CELL_LIMIT // MIB} MiB")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_SHOWN_LETTERS] for name in names[:_SHOWN_COLUMNS])
    return shown + (", ..." if len(names) > _SHOWN_COLUMNS else "")


def _has_bytes(dtype: object) -> bool:
    match dtype:
        case pl.List() | pl.Array():
            return _has_bytes(dtype.inner)
        case pl.Struct():
            return any(_has_bytes(field.dtype) for field in dtype.fields)
        case _:
            return dtype == pl.Binary
