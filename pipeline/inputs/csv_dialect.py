"""Detect the delimiter of a CSV by its first lines, where it is certain."""

import csv
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import BadRequestError
from pipeline.spec.dialect import DETECTED, Dialect

if TYPE_CHECKING:
    from _csv import Reader

HEAD_LINES = 100
_LINE_SHOWN = 80


def detect_delimiter(dialect: Dialect, usual: str, lines: Sequence[str], column: str) -> Dialect:
    """Return the dialect with its delimiter, by the first lines from the header on.

    It is the `usual` one of the format unless the header lacks it and has exactly one other, which divides all of the
    lines alike. `column` is the column that the submitter has named: the whole header, where nothing divides it. Raises
    BadRequestError where the delimiter is not certain.
    """
    header = next((line for line in lines if line.strip()), "")
    others = [mark for mark in DETECTED if mark in header]
    as_usual = msgspec.structs.replace(dialect, delimiter=usual)
    if usual in others or not others or _names(as_usual, header) == [column]:
        return as_usual
    if len(others) == 1:
        found = msgspec.structs.replace(dialect, delimiter=others[0])
        widths = _widths(found, lines)
        if len(widths) == 1 and max(widths) > 1:
            return found
    shown = " and ".join(repr(line.rstrip("\r\n")[:_LINE_SHOWN]) for line in lines[:2])
    raise BadRequestError(
        f"the delimiter of the input is not certain; its first lines are {shown}: expected delimiter, for example "
        f"{others[0]!r}, or {usual!r} for a single column"
    )


def csv_reader(lines: Iterable[str], dialect: Dialect) -> "Reader":
    """Return Python's strict reader for a dialect whose delimiter is known."""
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
        strict=True,
    )


def _names(dialect: Dialect, header: str) -> list[str]:
    try:
        return next(csv_reader([header], dialect))
    except csv.Error:
        return []


def _widths(dialect: Dialect, lines: Sequence[str]) -> set[int]:
    """Return how many cells the rows have; the last may be cut off inside of quotes."""
    widths = set()
    try:
        for row in csv_reader(lines, dialect):
            widths |= {len(row)} if row else set()
    except csv.Error:
        pass
    return widths
