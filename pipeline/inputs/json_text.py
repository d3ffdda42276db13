"""Columns as JSON can hold them."""

from collections.abc import Sequence

import polars as pl


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
        fields = [
            _as_text(value.struct[place], part).alias(field.name)
            for place, (field, part) in enumerate(zip(kind.fields, _parts(kind), strict=True))
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
