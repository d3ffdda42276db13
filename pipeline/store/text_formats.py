"""Frames as CSV and as lines of JSON. Pure: frames in, bytes out; the same rows give the same bytes.

CSV keeps a missing cell (nothing) and an empty text (`""`) apart, and holds what is nested as JSON. A line of JSON has
every column, null for what JSON does not have (NaN, infinity). In both, bytes are base64 and times are as in ISO 8601.
"""

import io
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby

import orjson
import polars as pl

from pipeline.store.columns import nameless

NULL = "null"
_NO_FORMULAS = pl.col(pl.String).str.replace(r"^([=+\-@\t\r])", "'${1}")


def to_csv(frame: pl.DataFrame, *, header: bool, safe: bool = False) -> bytes:
    """Write a frame as CSV; a `safe` one has no cell that a spreadsheet takes for a formula."""
    cells = {series.name: _cells(series) for series in frame.get_columns()}
    if not safe:
        return _csv(pl.DataFrame(cells), header=header)
    names = {str(number): pl.Series([name]) for number, name in enumerate(cells)}
    lines = [_csv(pl.DataFrame(rows).with_columns(_NO_FORMULAS), header=False) for rows in (names, cells)]
    return b"".join(lines if header else lines[1:])


def _csv(cells: pl.DataFrame, *, header: bool) -> bytes:
    buffer = io.BytesIO()
    cells.write_csv(buffer, include_header=header)
    return buffer.getvalue()


def to_lines_again(frame: pl.DataFrame, *, header: bool) -> bytes:
    """Write rows as CSV that is to be an input again: one without any cell is there too, and is no blank line."""
    blank = (
        frame.select(pl.all_horizontal(pl.all().is_null())).to_series() if frame.width else pl.Series(dtype=pl.Boolean)
    )
    if blank.any():
        first = _cells(frame.to_series(0)).cast(pl.String).set(blank, "")
        frame = frame.with_columns(first)
    return to_csv(frame, header=header)


def to_ndjson(frame: pl.DataFrame, raw: AbstractSet[str]) -> bytes:
    """Write a frame as lines of JSON; the columns `raw` hold JSON already, of one line each."""
    parts: list[pl.Expr] = []
    for is_raw, columns in groupby(frame.get_columns(), lambda series: series.name in raw):
        for group in ([each] for each in columns) if is_raw else [list(columns)]:
            parts.append(pl.lit("," if parts else "{"))
            parts += _raw_member(group[0]) if is_raw else [pl.lit(_members(group))]
    lines = pl.select(pl.concat_str(*parts, pl.lit("}")))
    buffer = io.BytesIO()
    # The lines as they are: what is quoted in them is JSON's.
    lines.write_csv(buffer, include_header=False, quote_style="never")
    return buffer.getvalue()


def _raw_member(series: pl.Series) -> list[pl.Expr]:
    """Return the name and the cells of a column that is JSON."""
    return [pl.lit(f"{orjson.dumps(series.name).decode()}:"), pl.lit(nameless(series).fill_null(NULL))]


def _members(columns: Sequence[pl.Series]) -> pl.Series:
    """Return the members of a JSON object of each row."""
    members = {series.name: encodable_in_json(series) for series in columns}
    texts = pl.DataFrame(members).to_struct().struct.json_encode()
    return texts.str.strip_prefix("{").str.strip_suffix("}")


def _cells(series: pl.Series) -> pl.Series:
    """Return a column as one that CSV can hold."""
    if not series.dtype.is_nested():
        return encodable_in_json(series)
    encoded = encodable_in_json(series).rename("").to_frame().to_struct().struct.json_encode()
    text = encoded.str.strip_prefix('{"":').str.strip_suffix("}")
    return text.set(nameless(series).is_null(), None).rename(series.name)


def encodable_in_json(series: pl.Series) -> pl.Series:
    """Return a column with text in the place of bytes (base64) and of times (ISO 8601, with a T), however deep."""
    if not _becomes_text(series.dtype):
        return series
    return series.to_frame("").select(_as_text(pl.first(), series.dtype)).to_series().rename(series.name)


def _becomes_text(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.Struct):
        return any(_becomes_text(part) for part in _parts(kind))
    if isinstance(kind, pl.List | pl.Array):
        return _becomes_text(_inner(kind))
    return isinstance(kind, pl.Binary | pl.Datetime | pl.Duration)


def _as_text(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Write the bytes and times in a value of this type."""
    if not _becomes_text(kind):
        return value
    if isinstance(kind, pl.Struct):
        # By its number: a field's own name may be a pattern to polars.
        numbered = value.struct.rename_fields(list(map(str, range(len(kind.fields)))))
        fields = [
            _as_text(numbered.struct.field(str(number)), part).alias(field.name)
            for number, (field, part) in enumerate(zip(kind.fields, _parts(kind), strict=True))
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(kind, pl.Array):
        return _as_text(value.arr.to_list(), pl.List(kind.inner))
    if isinstance(kind, pl.List):
        return value.list.eval(_as_text(pl.element(), _inner(kind)))
    if isinstance(kind, pl.Binary):
        return value.bin.encode("base64")
    return value.dt.to_string("iso:strict" if isinstance(kind, pl.Datetime) else "iso")


def _parts(kind: pl.Struct) -> Sequence[pl.DataType]:
    return [_instance(field.dtype) for field in kind.fields]


def _inner(kind: pl.List | pl.Array) -> pl.DataType:
    return _instance(kind.inner)


def _instance(kind: object) -> pl.DataType:
    """Return a type of a schema, which polars also gives as a class."""
    made = kind() if isinstance(kind, type) else kind
    if not isinstance(made, pl.DataType):
        raise TypeError(f"{kind!r} is no type of a column")
    return made
