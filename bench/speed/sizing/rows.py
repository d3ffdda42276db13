"""Rows as a file."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from bench.kit.errors import BenchError
from bench.speed.sizing.figures import KEYS, OPERATIONS, STORED, Case, Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CASE = tuple(field.name for field in fields(Case))
_FIGURES = tuple(field.name for field in fields(Row) if field.name not in {"case", "keys", "s3", "stored"})
_KEYS = tuple(f"key_{name}" for name in KEYS)
_S3 = tuple(f"s3_{name}" for name in OPERATIONS)
_STORED = tuple(f"stored_{name}" for name in STORED)
COLUMNS = (*_CASE, *_FIGURES, *_KEYS, *_S3, *_STORED)
_WORDS = {"group", "fails"}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write one line a batch."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote; raises BenchError for another file."""
    try:
        with path.open(newline="") as file:
            return [_row(line) for line in csv.DictReader(file)]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise BenchError(f"{path} holds no rows of this benchmark: {error!r}") from error


def _cells(row: Row) -> list[str]:
    figures = [f"{row.seconds:.3f}", *(str(getattr(row, name)) for name in _FIGURES[1:])]
    parts = ((row.keys, KEYS), (row.s3, OPERATIONS), (row.stored, STORED))
    counts = [found[name] for found, names in parts for name in names]
    return [*map(str, asdict(row.case).values()), *figures, *map(str, counts)]


def _row(line: dict[str, str]) -> Row:
    case: dict[str, Any] = {name: line[name] if name in _WORDS else int(line[name]) for name in _CASE}
    figures: dict[str, Any] = {name: int(line[name]) for name in _FIGURES[1:]}
    return Row(
        Case(**case),
        float(line["seconds"]),
        **figures,
        keys={name: int(line[f"key_{name}"]) for name in KEYS},
        s3={name: int(line[f"s3_{name}"]) for name in OPERATIONS},
        stored={name: int(line[f"stored_{name}"]) for name in STORED},
    )
