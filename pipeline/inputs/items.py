"""Choose the columns of the items and make the items: a cell as it is, its JSON text, or an object of several."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import orjson
import polars as pl

from pipeline.errors import BadRequestError
from pipeline.inputs.limits import CELL_LIMIT
from pipeline.store.columns import INDEX, ITEM, TASK, nameless
from pipeline.store.text_formats import encodable_in_json
from pipeline.units import MIB

PREFERRED_COLUMN = "url"
_SHOWN_COLUMNS = 50
_NAME_SHOWN = 100


def check_names(names: Sequence[str]) -> None:
    """Raise BadRequestError for a column with one of the pipeline's own names."""
    if {TASK, INDEX, ITEM} & set(names):
        raise BadRequestError(f"the columns {TASK}, {INDEX} and {ITEM} are the pipeline's own: rename them")


def choose_column(names: Sequence[str], wanted: str | None) -> str:
    """Return the column whose cells are the items; raises BadRequestError with the list of columns."""
    if wanted is None and PREFERRED_COLUMN in names:
        return PREFERRED_COLUMN
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    problem = (
        f"there is no column {wanted!r}" if wanted else f"name the column, there is none called {PREFERRED_COLUMN!r}"
    )
    raise BadRequestError(f"{problem}; the columns are: {_list_names(names)}")


def check_columns(schema: Mapping[str, pl.DataType], wanted: Sequence[str]) -> None:
    """Raise BadRequestError for a column that does not exist, or has bytes, which JSON lacks."""
    for name in wanted:
        if name not in schema:
            raise BadRequestError(f"there is no column {name!r}; the columns are: {_list_names(list(schema))}")
        if _has_bytes(schema[name]):
            raise BadRequestError(
                f"the column {name!r} holds bytes, which no item can: expected text, or other columns; the types "
                "JSON and UUID of Parquet are bytes too, so cast such a column to text"
            )


def as_text(frame: pl.DataFrame, column: str, missing: str | None = None) -> pl.DataFrame:
    """Return the frame with a column of text as its items, at the same place, and `missing` for a missing cell.

    The column is renamed to ITEM, since polars reads some names as patterns.
    """
    renamed = frame.rename({column: ITEM})
    return renamed if missing is None else renamed.with_columns(pl.col(ITEM).fill_null(missing))


def as_json(frame: pl.DataFrame, column: str, json_columns: AbstractSet[str]) -> pl.Series:
    """Return the cells of a column as JSON text, null for a missing cell; those of `json_columns` are JSON already."""
    cells = nameless(frame.get_column(column))
    if column not in json_columns:
        objects = pl.DataFrame({"": encodable_in_json(cells)}).select(pl.struct("").struct.json_encode()).to_series()
        cells = objects.str.strip_prefix('{"":').str.strip_suffix("}")
    return cells.fill_null("null").alias(ITEM)


def as_objects(frame: pl.DataFrame, columns: Sequence[str], json_columns: AbstractSet[str]) -> pl.Series:
    """Return one JSON object a row, with these columns as its members."""
    texts = [as_json(frame, column, json_columns).alias(str(place)) for place, column in enumerate(columns)]
    parts: list[pl.Expr] = []
    for place, column in enumerate(columns):
        name = ("," if place else "{") + orjson.dumps(column).decode() + ":"
        parts += [pl.lit(name), pl.col(str(place))]
    return pl.DataFrame(texts).select(pl.concat_str(*parts, pl.lit("}")).alias(ITEM)).to_series()


async def with_items(
    frames: AsyncIterator[pl.DataFrame], make_items: Callable[[pl.DataFrame], pl.DataFrame], max_rows: int
) -> AsyncIterator[pl.DataFrame]:
    """Yield frames with the columns ITEM and INDEX, which counts rows from 0.

    Raises BadRequestError for more than `max_rows` rows, and for an item over 16 MiB.
    """
    index = 0
    async for rows in frames:
        if index + rows.height > max_rows:
            raise BadRequestError(f"the input has more than {max_rows} rows (setting max_rows)")
        frame = await asyncio.to_thread(make_items, rows)
        _check_items(frame.get_column(ITEM), index)
        yield frame.with_columns(pl.int_range(index, index + frame.height, dtype=pl.Int64, eager=True).alias(INDEX))
        index += frame.height


def _check_items(items: pl.Series, index: int) -> None:
    """Raise BadRequestError for an item that is too large for a call; `index` is that of the first row."""
    large = (items.str.len_bytes() > CELL_LIMIT).arg_true()
    if large.len():
        raise BadRequestError(f"the cell of row {index + large[0] + 1} is over {CELL_LIMIT // MIB} MiB")


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_NAME_SHOWN] for name in names[:_SHOWN_COLUMNS])
    return shown + (", ..." if len(names) > _SHOWN_COLUMNS else "")


def _has_bytes(dtype: object) -> bool:
    match dtype:
        case pl.List() | pl.Array():
            return _has_bytes(dtype.inner)
        case pl.Struct():
            return any(_has_bytes(field.dtype) for field in dtype.fields)
        case _:
            return dtype == pl.Binary
