"""A batch as a row of a file, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from bench.kit.counters import STORED
from bench.kit.errors import BenchError
from bench.kit.publish import read_rows
from bench.speed.sizing.figures import KEYS, OPERATIONS, Case, Row

if TYPE_CHECKING:
    from pathlib import Path

# The figures of a row that are counted by name: the beginning of the names of their columns, and the names.
_COUNTED = {"keys": ("key", KEYS), "s3": ("s3", OPERATIONS), "stored": ("stored", STORED)}
_CASE = tuple(field.name for field in fields(Case))
_FIGURES = tuple(field.name for field in fields(Row) if field.name not in {"case", "seconds", *_COUNTED})
_TEXTS = {"group", "fails"}


def as_row(batch: Row) -> dict[str, object]:
    """Return the cells of a batch."""
    counted = {
        f"{start}_{name}": getattr(batch, figure)[name] for figure, (start, names) in _COUNTED.items() for name in names
    }
    figures = {name: getattr(batch, name) for name in ("seconds", *_FIGURES)}
    return {**asdict(batch.case), **figures, **counted}


def read_batches(path: Path) -> list[Row]:
    """Read the rows of `as_row`; raises BenchError for other rows."""
    try:
        return [_from_row(row) for row in read_rows(path)]
    except (KeyError, ValueError) as error:
        raise BenchError(f"{path} holds no rows of this bench: {error!r}") from error


def _from_row(row: dict[str, str]) -> Row:
    case: dict[str, Any] = {name: row[name] if name in _TEXTS else int(row[name]) for name in _CASE}
    figures: dict[str, Any] = {name: int(row[name]) for name in _FIGURES}
    counted: dict[str, Any] = {
        figure: {name: int(row[f"{start}_{name}"]) for name in names} for figure, (start, names) in _COUNTED.items()
    }
    return Row(Case(**case), float(row["seconds"]), **figures, **counted)
